//! timmy-forge

pub mod embedded;
