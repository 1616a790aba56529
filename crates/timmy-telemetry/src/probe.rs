//! Looking at this machine.

pub mod disk;
pub mod machine;
