//! timmy-forge
