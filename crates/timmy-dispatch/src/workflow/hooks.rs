//! The project's own scripts around an attempt.
