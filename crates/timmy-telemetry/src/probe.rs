//! Looking at this machine.

pub mod disk;
