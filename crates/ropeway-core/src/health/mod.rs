//! Which servers are fit to answer: what checks say, what traffic says, and how it came to be.
//!
//! Two independent judges. [`ActiveHealth`] turns the results of a server's own checks into up and down;
//! [`PassiveCell`] and [`EjectionBook`] watch the real requests and take a failing server out of its pool for a
//! while. [`History`] remembers what they decided. Time is an argument everywhere: milliseconds of one monotonic
//! clock.

mod active;
mod expected;
mod history;
mod passive;

pub use crate::balance::HealthState as CheckState;
pub use active::{ActiveConfig, ActiveHealth};
pub use expected::{Expectation, Mismatch, StatusSet, StatusSetError};
pub use history::{Cause, Condition, Entry, History, Transition};
pub use passive::{EjectionBook, FailureKind, PassiveCell, PassiveConfig};
