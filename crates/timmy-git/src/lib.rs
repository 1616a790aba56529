//! timmy-git
