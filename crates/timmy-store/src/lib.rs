//! timmy-store
