//! The agent with everything around it: a real sandbox, a real database, a real router that asks a
//! scripted model over HTTP. Only what the model says is made up.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set itself up has failed"
)]

mod commands;
mod files;
mod finishing;
mod forge;
mod git;
mod hostile;
mod limits;
mod loops;
mod mending;
mod stage;
