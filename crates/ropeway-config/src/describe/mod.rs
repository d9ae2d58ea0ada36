//! Descriptions of the file, all made from the declarations in [`crate::schema`].

mod json_schema;
mod reference;
mod starter;

pub use json_schema::json_schema;
pub use reference::reference_markdown;
pub use starter::commented_default;
