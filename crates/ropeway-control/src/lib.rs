//! The control plane of Ropeway: everything that happens beside requests.
//!
//! [`run::run`] is the whole life of a process: it reads the configuration, compiles it ([`mod@compile`]) into the
//! snapshot that the data plane works with, starts the workers, and then waits for signals. [`Control`] is the handle
//! that the rest shares: reloads go through it, the admin API reads it, and active checks ([`mod@probe`]) and name
//! resolution ([`mod@discovery`]) report to the [`current::Current`] snapshot that it puts into service.
//!
//! Nothing here runs per request; all of it may be slow without a request noticing.

#![forbid(unsafe_code)]

pub mod acme;
pub mod admin;
pub mod client;
pub mod compile;
pub mod control;
pub mod current;
pub mod demo;
pub mod discovery;
pub mod events;
#[cfg(test)]
mod fixture;
pub mod log;
mod logs;
pub mod metrics;
pub mod probe;
pub mod process;
pub mod quick;
pub mod registry;
pub mod reload;
pub mod run;
pub mod server_state;
mod signals;
mod task;
mod ticker;
pub mod tls;
mod whole_file;

pub use control::Control;
