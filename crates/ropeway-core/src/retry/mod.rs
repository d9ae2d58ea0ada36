//! Whether a failed attempt may be tried again on another server.
//!
//! [`RetryPolicy`] says whether a retry is safe and wanted; [`RetryBudget`] whether there are already too many.

mod budget;
mod policy;

pub use budget::RetryBudget;
pub use policy::{Failure, RetryOn, RetryPolicy, Symptom};
