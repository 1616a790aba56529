//! timmy-dispatch
