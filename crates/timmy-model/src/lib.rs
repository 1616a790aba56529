//! timmy-model
