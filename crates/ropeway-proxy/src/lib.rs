//! The data plane of Ropeway.
//!
//! [`runtime::Runtime`] starts one worker thread per core. A worker accepts connections (`listener`), reads
//! requests from them (`connection`), and runs each one through the exchange (`exchange`), the one place
//! where the order of events is visible. What configuration decides arrives as an immutable
//! [`snapshot::Snapshot`]; what is learned at run time lives beside it, in [`upstream::UpstreamLive`] and
//! [`upstream::ServerLive`], and survives a reload.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod access_log;
mod admission;
mod buffers;
pub mod challenges;
pub mod clock;
mod complaint;
mod connect;
mod connection;
pub mod counters;
mod crowding;
mod deadline;
mod exchange;
mod grpc_web;
mod http2;
mod link;
mod listener;
mod local_response;
mod opening;
mod pool;
mod proxy_header;
mod relay;
pub mod runtime;
pub mod snapshot;
mod starts;
mod sys;
pub mod tls;
mod tunnel;
pub mod upstream;
mod uptake;
mod worker;
