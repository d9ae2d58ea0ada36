//! The end-to-end tests: one file per subject, each test a sentence.

mod access_log;
mod balancing;
mod bodies;
mod caps;
mod early_response;
mod fields;
mod forwarding;
mod health_active;
mod health_passive;
mod interim;
mod keep_alive;
mod lab;
mod metrics;
mod own_responses;
mod reload;
mod retries;
mod routing;
mod servers;
mod shutdown;
mod syscalls;
mod targets;
mod timeouts;
mod tunnels;
mod websocket;
