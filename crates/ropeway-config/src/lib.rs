//! The configuration file of Ropeway: its schema, how it is loaded, and errors with a place and a fix.
//!
//! [`load()`] reads a file; [`parse`] a text. Both answer with a [`Loaded`] whose [`schema::Config`] has every default
//! filled in, or with [`Diagnostics`]: everything that is wrong, each with a stable code, file, line, column and, where
//! possible, what was probably meant.
//!
//! Every key is declared once, in [`schema`]; the reader, the JSON schema, the reference page and the starter file are
//! all made from that declaration.

#![forbid(unsafe_code)]

mod check;
mod context;
mod describe;
mod diagnostic;
mod include;
mod interpolate;
mod kind;
mod load;
mod place;
mod reader;
mod render;
pub mod schema;
mod section;
mod shape;
mod suggest;
mod syntax;

pub use context::Environment;
pub use describe::{commented_default, json_schema, reference_markdown};
pub use diagnostic::{Diagnostic, Diagnostics, Severity, Style};
pub use load::{Loaded, load, load_with, parse, parse_with};
pub use place::{Located, Place, Source};
pub use schema::{base64_of_32, is_host_name};
