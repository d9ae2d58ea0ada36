//! System calls of one thread of the proxy, seen through strace.

use std::path::PathBuf;
use std::process::Command;

use rustix::process::Signal;

use crate::process::Process;
use crate::tempdir::TempDir;
use crate::wait::eventually;

/// An strace that is attached to a thread.
pub struct Trace {
    strace: Process,
    output: PathBuf,
    _directory: TempDir,
}

/// One system call as strace wrote it.
#[derive(Clone, Debug)]
pub struct Call {
    /// Seconds since the epoch when it was entered.
    pub at: f64,
    /// Its name.
    pub name: String,
    /// The rest of the line: arguments and result.
    pub text: String,
}

impl Trace {
    /// Attaches to a thread and waits until strace says so.
    ///
    /// `options` are more arguments to strace, `["-e", "trace=read"]`.
    #[must_use]
    pub fn attach(thread: u32, options: &[&str]) -> Self {
        let directory = TempDir::new();
        let output = directory.file("strace");
        let mut command = Command::new("strace");
        command.args(["-ttt", "-p", &thread.to_string(), "-o"]).arg(&output).args(options);
        let mut strace = Process::start(&mut command);
        strace.wait_for_line("strace attaches", |line| line.contains("attached").then_some(()));
        Self { strace, output, _directory: directory }
    }

    /// The calls until now.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        let text = std::fs::read_to_string(&self.output).unwrap_or_default();
        text.lines().filter_map(parse_call).collect()
    }

    /// Waits until `done` likes the calls.
    pub fn wait_until(&self, what: &str, done: impl Fn(&[Call]) -> bool) -> Vec<Call> {
        eventually(what, || {
            let calls = self.calls();
            done(&calls).then_some(calls)
        })
    }

    /// Detaches, and gives all calls.
    #[must_use]
    pub fn detach(mut self) -> Vec<Call> {
        self.strace.signal(Signal::INT);
        self.strace.wait();
        self.calls()
    }
}

/// `1763683200.123456 read(5, "..."..., 16384) = 36`
fn parse_call(line: &str) -> Option<Call> {
    let (at, rest) = line.split_once(' ')?;
    let at = at.parse().ok()?;
    let (name, text) = rest.trim_start().split_once('(')?;
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_').then(|| Call {
        at,
        name: name.to_owned(),
        text: text.to_owned(),
    })
}
