//! The proxy as a process: started with a file, found by what it says, stopped by its id.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use rustix::process::Signal;

use crate::admin::Admin;
use crate::process::Process;
use crate::wait::eventually;

/// A running `ropeway run`.
#[derive(Debug)]
pub struct Proxy {
    process: Process,
    admin: Admin,
    config: PathBuf,
}

/// What is unusual about the way the process is started.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Environment variables.
    pub environment: Vec<(String, String)>,
    /// Most file descriptors it may have (soft and hard limit).
    pub descriptors: Option<u32>,
}

impl Proxy {
    /// Starts the binary with a configuration file and waits until it is ready.
    ///
    /// # Panics
    /// When it does not get there, with everything that it printed.
    #[must_use]
    pub fn start(config: &Path, surroundings: &Surroundings) -> Self {
        let mut process = Process::start(&mut command(config, surroundings));
        let address = process.wait_for_line("the admin listener says where it is", admin_address);
        let proxy = Self { process, admin: Admin::new(address), config: config.to_path_buf() };
        eventually("the proxy is ready", || {
            proxy.admin.try_get("/readyz").filter(|answer| answer.status == 200)
        });
        proxy
    }

    /// The admin listener.
    #[must_use]
    pub fn admin(&self) -> &Admin {
        &self.admin
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The file it was started with.
    #[must_use]
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// The address of a listener, by its name.
    ///
    /// # Panics
    /// When there is none with that name.
    #[must_use]
    pub fn address(&self, listener: &str) -> SocketAddr {
        let status = self.admin.status();
        let listeners = status["listeners"].as_array().cloned().unwrap_or_default();
        let found = listeners.iter().find(|entry| entry["name"] == listener);
        let address =
            found.and_then(|entry| entry["addresses"][0].as_str()).and_then(|text| text.parse().ok());
        address.unwrap_or_else(|| panic!("no address of listener {listener} in {}", status["listeners"]))
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits until the process ends.
    pub fn wait(&mut self) -> ExitStatus {
        self.process.wait()
    }

    /// Whether the process has ended.
    pub fn has_ended(&mut self) -> bool {
        self.process.ended().is_some()
    }

    /// Reads no more of what it prints, until [`Self::read_on`] or its end.
    pub fn stop_reading(&self) {
        self.process.stop_reading();
    }

    /// Reads what it prints again.
    pub fn read_on(&self) {
        self.process.read_on();
    }

    /// Lets the process see all that `act` does at once.
    ///
    /// # Panics
    /// When the process does not stop.
    pub fn while_stopped<T>(&self, act: impl FnOnce() -> T) -> T {
        let state = || std::fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap_or_default();
        self.signal(Signal::STOP);
        eventually("the process is stopped", || state().contains(") T ").then_some(()));
        let result = act();
        self.signal(Signal::CONT);
        result
    }

    /// Everything it printed.
    #[must_use]
    pub fn transcript(&self) -> String {
        self.process.transcript()
    }

    /// What it printed, by line.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.process.lines()
    }

    /// Resident memory in KiB.
    #[must_use]
    pub fn resident_kib(&self) -> u64 {
        self.memory_kib("VmRSS:")
    }

    /// The most memory, in KiB, that was resident at any time until now.
    #[must_use]
    pub fn most_resident_kib(&self) -> u64 {
        self.memory_kib("VmHWM:")
    }

    fn memory_kib(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|value| value.trim().trim_end_matches("kB").trim().parse().ok())
            .unwrap_or_else(|| panic!("{name} in /proc"))
    }

    /// The thread ids of the process with their names.
    #[must_use]
    pub fn threads(&self) -> Vec<(u32, String)> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.id())).unwrap();
        let named = tasks.flatten().filter_map(|task| {
            let name = std::fs::read_to_string(task.path().join("comm")).ok()?;
            Some((task.file_name().to_str()?.parse().ok()?, name.trim().to_owned()))
        });
        named.collect()
    }

    /// How many descriptors it has open.
    #[must_use]
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.id())).map_or(0, Iterator::count)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.process.kill();
        if std::thread::panicking() {
            eprintln!("--- what the proxy printed\n{}\n---", self.process.transcript());
        }
    }
}

fn command(config: &Path, surroundings: &Surroundings) -> Command {
    let binary = crate::binary::ropeway();
    let mut command = match surroundings.descriptors {
        Some(most) => {
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(format!("ulimit -n {most}; exec \"$@\"")).arg("sh").arg(binary);
            shell
        }
        None => Command::new(binary),
    };
    command.args(["run", "-c"]).arg(config).env("NO_COLOR", "1");
    command.envs(surroundings.environment.iter().cloned());
    command
}

/// `... admin listener address=127.0.0.1:40001`
fn admin_address(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("admin listen")?;
    let (_, address) = rest.split_once("address=")?;
    address.split_whitespace().next()?.trim_matches('"').parse().ok()
}
