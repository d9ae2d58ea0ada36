//! The signals that an operator, a shell or a service manager sends.

use std::io;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// SIGTERM, SIGINT: finish what is under way, then end. Sent again: end now.
    Stop,
    /// SIGHUP: read the configuration again.
    Reload,
    /// SIGUSR1: open log files again, after they were rotated.
    ReopenLogs,
}

/// The signals that are listened to. As long as it exists, none of them ends the process by itself.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    user1: Signal,
}

impl Signals {
    /// Begins to listen. Has to be called on a runtime.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
        })
    }

    /// Waits for the next signal. Nothing is lost when the future is dropped.
    pub(crate) async fn next(&mut self) -> Request {
        tokio::select! {
            _ = self.terminate.recv() => Request::Stop,
            _ = self.interrupt.recv() => Request::Stop,
            _ = self.hangup.recv() => Request::Reload,
            _ = self.user1.recv() => Request::ReopenLogs,
        }
    }
}

/// Ends the process with exit code 1, `grace` after the second signal to stop: whatever the rest of it waits for then, be
/// it a disk, does not keep it.
///
/// # Errors
/// When the thread that sees to it cannot be started.
pub(crate) fn end_after_second_stop(grace: Duration) -> io::Result<()> {
    // A runtime of its own: the threads of the other may be what hangs.
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let entered = runtime.enter();
    let mut signals = Signals::listen()?;
    drop(entered);
    let watch = async move {
        for _ in 0..2 {
            while signals.next().await != Request::Stop {}
        }
        tokio::time::sleep(grace).await;
    };
    let end = move || {
        runtime.block_on(watch);
        std::process::exit(1);
    };
    std::thread::Builder::new().name("ropeway-signals".to_owned()).spawn(end).map(drop)
}
