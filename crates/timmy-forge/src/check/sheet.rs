//! The table that the list fills in.

use std::fmt;
use std::fmt::Debug;

use serde::Serialize;
use timmy_core::Code;
use timmy_core::Coded;
use timmy_core::text;

/// The longest text in a cell, in characters.
const CELL_LIMIT: usize = 160;

/// What one expectation came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As expected.
    Pass,
    /// Not as expected, and timmy cannot work with it.
    Fail,
    /// Not as expected, and the client makes it good.
    DiffersButHandled,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass => "pass",
            Self::Fail => "FAIL",
            Self::DiffersButHandled => "differs, handled",
        })
    }
}

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// What was tried.
    pub name: &'static str,
    /// What timmy expects.
    pub expected: String,
    /// What happened: cleaned, on one line, bounded.
    pub observed: String,
    /// What it comes to.
    pub verdict: Verdict,
}

#[derive(Default)]
pub(super) struct Sheet {
    rows: Vec<Row>,
}

impl Sheet {
    pub(super) fn into_rows(self) -> Vec<Row> {
        self.rows
    }

    fn row(&mut self, name: &'static str, expected: String, observed: &str, verdict: Verdict) {
        let observed = text::clean_line(observed);
        let observed = match observed.char_indices().nth(CELL_LIMIT) {
            Some((cut, _)) => format!("{}\u{2026}", &observed[..cut]),
            None => observed,
        };
        self.rows.push(Row {
            name,
            expected,
            observed,
            verdict,
        });
    }

    /// A step that the next ones need: it works or it does not.
    pub(super) fn done<T, E: Coded>(
        &mut self,
        name: &'static str,
        result: Result<T, E>,
    ) -> Option<T> {
        let expected = "done".to_owned();
        match result {
            Ok(value) => {
                self.row(name, expected, "done", Verdict::Pass);
                Some(value)
            }
            Err(error) => {
                self.row(name, expected, &told(&error), Verdict::Fail);
                None
            }
        }
    }

    /// A value that must be exactly this one.
    pub(super) fn equal<T: PartialEq + Debug, E: Coded>(
        &mut self,
        name: &'static str,
        expected: T,
        observed: Result<T, E>,
    ) {
        let wanted = format!("{expected:?}");
        match observed {
            Ok(value) => {
                let verdict = if value == expected {
                    Verdict::Pass
                } else {
                    Verdict::Fail
                };
                self.row(name, wanted, &format!("{value:?}"), verdict);
            }
            Err(error) => self.row(name, wanted, &told(&error), Verdict::Fail),
        }
    }

    /// A value that is usually this one; the client works with any.
    pub(super) fn usual<T: PartialEq + Debug, E: Coded>(
        &mut self,
        name: &'static str,
        expected: T,
        observed: Result<T, E>,
    ) {
        let wanted = format!("{expected:?}");
        match observed {
            Ok(value) if value == expected => {
                self.row(name, wanted, &format!("{value:?}"), Verdict::Pass);
            }
            Ok(value) => {
                self.row(
                    name,
                    wanted,
                    &format!("{value:?}"),
                    Verdict::DiffersButHandled,
                );
            }
            Err(error) => self.row(name, wanted, &told(&error), Verdict::Fail),
        }
    }

    /// A call that must be refused with one of these codes; the first is the usual one.
    pub(super) fn refused<T, E: Coded>(
        &mut self,
        name: &'static str,
        codes: &[u16],
        observed: Result<T, E>,
    ) {
        let codes: Vec<Code> = codes.iter().copied().map(Code::new).collect();
        let wanted = codes.first().map(|code| format!("refused, {code}"));
        let wanted = wanted.unwrap_or_default();
        let Err(error) = observed else {
            self.row(name, wanted, "done", Verdict::Fail);
            return;
        };
        let verdict = match codes.iter().position(|code| *code == error.problem().code) {
            Some(0) => Verdict::Pass,
            Some(_) => Verdict::DiffersButHandled,
            None => Verdict::Fail,
        };
        self.row(name, wanted, &told(&error), verdict);
    }
}

fn told<E: Coded>(error: &E) -> String {
    let problem = error.problem();
    format!("{}: {}", problem.code, problem.what)
}
