//! The harness of the end-to-end tests: the real `ropeway` binary between peers of which every byte is known.
//!
//! A test reads like a sentence:
//!
//! ```no_run
//! use ropeway_e2e::Lab;
//!
//! let lab = Lab::new().origins(3).start();
//! lab.client().get("/").expect(200).expect_body("1");
//! ```
//!
//! Clients and origins are written by hand over `std::net`, so that a test decides what is sent in which write, when
//! a connection closes or resets, and sees exactly what arrived. The parser in [`message`] is independent of the
//! proxy's own, and stricter than any server: it is the judge.
//!
//! Nothing sleeps. What cannot be awaited on a socket is awaited with [`eventually`].
//!
//! # The binary under test
//!
//! `ROPEWAY_BIN` names it. Without that variable the harness runs `cargo build -p ropeway` once per test run, in the
//! profile and target directory of the tests themselves, so that `cargo nextest run -p ropeway-e2e` is all there is
//! to do; see [`binary`].

pub mod acme_server;
pub mod admin;
pub mod binary;
pub mod browser;
pub mod client;
pub mod descriptors;
pub mod grpc;
pub mod h2;
pub mod lab;
pub mod load;
pub mod message;
pub mod openssl;
pub mod origin;
pub mod process;
pub mod program;
pub mod proxy;
pub mod python;
pub mod slow_readers;
pub mod tempdir;
pub mod tls;
pub mod tls_site;
pub mod trace;
pub mod wait;
pub mod wire;

pub use acme_server::AcmeServer;
pub use client::{Client, Connection};
pub use lab::{Lab, Running};
pub use load::Load;
pub use message::{Request, Response};
pub use origin::{Origin, Peer, reply};
pub use program::{Output, Program};
pub use slow_readers::SlowReaders;
pub use wait::{Gate, eventually};
