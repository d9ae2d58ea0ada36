//! The pure rules of Ropeway: what a message means, where it goes, who answers it, and when to stop.
//!
//! Nothing here touches a socket, a clock, a thread or a logger. Time is an argument, randomness is an argument,
//! and every input that comes from a peer or a file is answered with a value, never with a panic. That is what
//! makes these rules fuzzable, replayable under simulated time, and usable inside an application as a client-side
//! load balancer.

#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod balance;
pub mod client_hello;
pub mod end;
pub mod forwarding;
pub mod grpc;
pub mod health;
pub mod http1;
pub mod http2;
pub mod priority;
pub mod proxy_protocol;
pub mod rate;
pub mod retry;
pub mod route;
mod wire;
