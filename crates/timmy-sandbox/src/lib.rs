//! timmy-sandbox
