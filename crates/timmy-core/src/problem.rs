//! Coded errors: what happened, where, and what to do about it.
//!
//! Every error that reaches a person has a [`Code`] with a page of its own
//! (`docs/errors/TIMMY-NNNN.md`, also `timmy explain TIMMY-NNNN`). Ranges by crate:
//! 01xx configuration and command line, 02xx store, 03xx sandbox, 04xx git, 05xx forge,
//! 06xx model, 07xx agent, 08xx verification and publishing, 09xx claims and dispatch.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

/// A stable error code, shown as `TIMMY-0301`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Code(u16);

impl Code {
    /// A code by its number. Each number in the sources has a page; a test holds the two together.
    #[must_use]
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// Its number. The first two digits of four name the part that reports it.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TIMMY-{:04}", self.0)
    }
}

impl FromStr for Code {
    type Err = CodeError;

    fn from_str(value: &str) -> Result<Self, CodeError> {
        let digits = value
            .strip_prefix("TIMMY-")
            .or_else(|| value.strip_prefix("timmy-"));
        let number = digits
            .filter(|d| d.len() == 4 && d.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|d| d.parse().ok());
        number
            .map(Self)
            .ok_or_else(|| CodeError(value.chars().take(40).collect()))
    }
}

impl TryFrom<String> for Code {
    type Error = CodeError;

    fn try_from(value: String) -> Result<Self, CodeError> {
        value.parse()
    }
}

impl From<Code> for String {
    fn from(code: Code) -> Self {
        code.to_string()
    }
}

/// Text that is no error code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an error code such as TIMMY-0101")]
pub struct CodeError(String);

/// How the program ends. The numbers are those of `sysexits.h` where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum ExitStatus {
    /// It worked, and there is evidence.
    Success = 0,
    /// The work was done as asked and ended without success: a failed check, a refused publication.
    Failure = 1,
    /// The command line was wrong.
    Usage = 2,
    /// Input from a file, a repository, a forge or a model was not usable.
    Data = 65,
    /// A named thing does not exist.
    NotFound = 66,
    /// A server or program that is needed did not answer.
    Unavailable = 69,
    /// A defect of timmy itself, or of the machine: a full disk, say.
    Internal = 70,
    /// Try again later: a quota, a claim held elsewhere.
    Later = 75,
    /// The forge or the provider refused the credentials.
    Permission = 77,
    /// The configuration is wrong, or the sandbox cannot be had: refused before anything ran.
    Refused = 78,
}

/// Everything a person needs to hear about an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The stable code.
    pub code: Code,
    /// What happened, as one sentence without a full stop at its end.
    pub what: String,
    /// Where: a file and key, an URL, a path, a command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// What to do about it, naming the setting or the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
    /// When it will be over, where that is known: a quota's reset, the end of a budget's day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// How the program ends when nobody handles this.
    pub exit: ExitStatus,
}

impl Problem {
    /// A problem that says only what happened.
    #[must_use]
    pub fn new(code: Code, exit: ExitStatus, what: impl Into<String>) -> Self {
        Self {
            code,
            what: what.into(),
            place: None,
            fix: None,
            until: None,
            exit,
        }
    }

    /// The same, with where it happened.
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.place = Some(place.into());
        self
    }

    /// The same, with what to do.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// The same, with when it will be over.
    #[must_use]
    pub fn until(mut self, time: Option<Timestamp>) -> Self {
        self.until = time;
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.what)?;
        if let Some(place) = &self.place {
            write!(f, "\n  where: {place}")?;
        }
        if let Some(fix) = &self.fix {
            write!(f, "\n  to do: {fix}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

/// An error that can be told to a person.
pub trait Coded {
    /// What to tell.
    fn problem(&self) -> Problem;
}

impl Coded for Problem {
    fn problem(&self) -> Problem {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_what_where_and_what_to_do() {
        let problem = Problem::new(Code::new(101), ExitStatus::Refused, "the file is missing")
            .at("timmy.toml")
            .fix("run `timmy init`");
        insta::assert_snapshot!(problem.to_string(), @r"
        TIMMY-0101: the file is missing
          where: timmy.toml
          to do: run `timmy init`
        ");
    }

    #[test]
    fn codes_are_four_digits() {
        assert_eq!(Ok(Code::new(301)), "TIMMY-0301".parse());
        for bad in ["TIMMY-301", "0301", "TIMMY-03o1", "TIMMY-+301", ""] {
            assert!(bad.parse::<Code>().is_err(), "{bad}");
        }
    }
}
