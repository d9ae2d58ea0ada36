//! What the process writes about itself: one line per request ([`AccessLog`]), and its own messages
//! ([`ProcessLog`]).

mod access;
mod destination;
mod lines;
mod process;
mod report_gate;
mod sink;

pub use access::{AccessLog, Batch, BatchSource, Losses, Stalled};
pub use destination::Destination;
pub use process::{Format, ProcessLog};
pub use sink::Sink;

#[cfg(test)]
pub(crate) mod test_directory;
