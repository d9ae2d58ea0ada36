//! What the process counts, as a page in the OpenMetrics text format, which Prometheus reads.
//!
//! The workers' counters are plain memory: they are summed up when somebody asks, and cost nothing until then.
//! [`families`] declares every family once; the page, its order and the documentation come from there.

mod certificates;
mod distribution;
pub mod families;
mod listeners;
mod orders;
mod page;
mod process;
mod routes;
mod scrape;
mod servers;

pub use certificates::Certificates;
pub use distribution::Distribution;
pub use orders::Orders;
pub use process::ProcessFacts;
pub use routes::{OTHER, route_counters};
pub use scrape::{Scrape, occurred, render};

/// The media type of the page (OpenMetrics 1.0.0, section 5.1).
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[cfg(test)]
mod tests;
