//! timmy-agent
