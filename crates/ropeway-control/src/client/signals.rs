//! Signals to a running process.

use std::io;

use rustix::process::{Pid, Signal, kill_process};

/// Has process `pid` read its configuration again.
///
/// # Errors
/// When there is no such process, or it belongs to somebody else.
pub fn signal_reload(pid: i32) -> io::Result<()> {
    send(pid, Signal::HUP)
}

/// Has process `pid` finish what it has, and end.
///
/// # Errors
/// As for [`signal_reload`].
pub fn signal_stop(pid: i32) -> io::Result<()> {
    send(pid, Signal::TERM)
}

fn send(pid: i32, signal: Signal) -> io::Result<()> {
    // Zero and negative numbers mean groups of processes, which is never meant here.
    let pid = Some(pid).filter(|pid| *pid > 0).and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(kill_process(pid, signal)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_processes_are_never_signalled() {
        for pid in [0, -1, i32::MIN] {
            assert_eq!(signal_stop(pid).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
    }
}
