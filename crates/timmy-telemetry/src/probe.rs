//! What is looked at, one module a source.
//!
//! Each takes hostile text from a program, a file or a server and makes typed values of it; reading
//! text is apart from getting it, and pure.
//!
//! # Rules
//! - What is not there (no tmux, no cron, no systemd, no GPU) is no error: it has no values.
//! - What is there and could not be looked at is an [`Unseen`], and changes nothing.
//! - Programs get a list of arguments, no input, a time, and a limit of what is read of them.

pub mod disk;
pub mod forge;
pub mod gpu;
pub mod machine;
pub mod models;
pub mod program;
pub mod runs;
pub(crate) mod socket;
pub mod timers;
pub mod tmux;

use serde::Serialize;
use timmy_core::Redactor;
use timmy_core::text;

/// The longest name of anything, in bytes.
const LONGEST_NAME: usize = 160;

/// Something that is there and could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unseen {
    /// What: a socket, a repository, a program.
    pub what: String,
    /// Why, as a sentence, cleaned and bounded.
    pub why: String,
}

impl Unseen {
    pub(crate) fn new(what: impl Into<String>, why: &str) -> Self {
        Self {
            what: what.into(),
            why: text::bound(&text::clean_line(why), LONGEST_NAME).into_owned(),
        }
    }
}

/// Text of a stranger as a name: one line, bounded, without secrets.
pub(crate) fn name(text: &str, redactor: &Redactor) -> String {
    let line = redactor.redact(&text::clean_line(text));
    let bounded = text::bound(&line, LONGEST_NAME);
    text::clean_line(&bounded)
}
