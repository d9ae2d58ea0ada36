//! A background task with an owner.

use std::future::Future;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// A task that ends when its owner lets go of it, so that none outlives the configuration that wanted it.
#[derive(Debug)]
pub(crate) struct Task(JoinHandle<()>);

impl Task {
    /// Starts `work` on the runtime of the control plane.
    pub(crate) fn start(handle: &Handle, work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(handle.spawn(work))
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
