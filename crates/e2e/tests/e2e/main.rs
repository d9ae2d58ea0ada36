//! The end-to-end tests: one file per subject, each test a sentence.

mod bodies;
mod early_response;
mod fields;
mod interim;
mod keep_alive;
mod lab;
mod targets;
mod tunnels;
mod websocket;
