//! A child process that is stopped by its id, and of whom every line is kept.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal};

use crate::wait::eventually;

/// A running child; killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    reading: Arc<Reading>,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    /// Starts a command with its output and errors on record.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(command: &mut Command) -> Self {
        let started = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = started.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let (lines, reading) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Reading::default()));
        let out = child.stdout.take().map(|out| keep_lines(out, lines.clone(), reading.clone()));
        let err = child.stderr.take().map(|err| keep_lines(err, lines.clone(), reading.clone()));
        Self { child, lines, reading, readers: out.into_iter().chain(err).collect() }
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it printed until now.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// Reads no more of what it prints, but for what is being read already, until [`Self::read_on`] or its end.
    pub fn stop_reading(&self) {
        self.reading.pause(true);
    }

    /// Reads what it prints again.
    pub fn read_on(&self) {
        self.reading.pause(false);
    }

    /// Waits for a line from which `pick` gets a value.
    ///
    /// # Panics
    /// When the process ends, or patience does.
    pub fn wait_for_line<T>(&mut self, what: &str, mut pick: impl FnMut(&str) -> Option<T>) -> T {
        eventually(what, || {
            let found = self.lines().iter().find_map(|line| pick(line));
            if found.is_none()
                && let Some(status) = self.ended()
            {
                self.finish_reading();
                let found = self.lines().iter().find_map(|line| pick(line));
                return Some(
                    found.unwrap_or_else(|| panic!("{what}: ended with {status}\n{}", self.transcript())),
                );
            }
            found
        })
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let _ = rustix::process::kill_process(self.pid(), signal);
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits until it ends.
    pub fn wait(&mut self) -> ExitStatus {
        let status = eventually("the process ends", || self.child.try_wait().unwrap());
        self.finish_reading();
        status
    }

    /// Kills it and waits for its end.
    pub fn kill(&mut self) {
        if self.ended().is_none() {
            self.signal(Signal::KILL);
            let _ = self.child.wait();
        }
    }

    /// Everything it printed, as one text.
    #[must_use]
    pub fn transcript(&self) -> String {
        self.lines().join("\n")
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn finish_reading(&mut self) {
        self.read_on();
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Whether its output is read.
#[derive(Debug, Default)]
struct Reading {
    paused: Mutex<bool>,
    changed: Condvar,
}

impl Reading {
    fn pause(&self, paused: bool) {
        *self.paused.lock().unwrap() = paused;
        self.changed.notify_all();
    }

    fn wait(&self) {
        drop(self.changed.wait_while(self.paused.lock().unwrap(), |paused| *paused).unwrap());
    }
}

fn keep_lines(
    from: impl Read + Send + 'static,
    lines: Arc<Mutex<Vec<String>>>,
    reading: Arc<Reading>,
) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
            lines.lock().unwrap().push(String::from_utf8_lossy(&line).into_owned());
            reading.wait();
        }
    })
}
