//! What the fuzz targets compare the product with.

pub mod reference;
