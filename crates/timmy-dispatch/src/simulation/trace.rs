//! What happened in a night: always as a number, as lines where somebody reads them.

use std::collections::VecDeque;
use std::fmt::Write;
use std::time::Duration;

use timmy_core::IssueNumber;

use super::random::mix;

/// How much of a trace is kept as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// None of it.
    Nothing,
    /// The last lines.
    Tail(usize),
    /// The last lines up to the first violation.
    UntilViolation(usize),
    /// Every line.
    Everything,
}

/// What a violation is called in a trace.
pub(crate) const VIOLATION: &str = "VIOLATION";

/// Something that happened.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Happening {
    pub(crate) at: Duration,
    /// The host, if one did it.
    pub(crate) host: Option<u32>,
    pub(crate) issue: Option<IssueNumber>,
    pub(crate) what: &'static str,
}

/// The trace of one night.
#[derive(Debug)]
pub(crate) struct Trace {
    keep: Keep,
    digest: u64,
    lines: VecDeque<String>,
}

impl Trace {
    pub(crate) fn new(keep: Keep) -> Self {
        Self {
            keep,
            digest: 0,
            lines: VecDeque::new(),
        }
    }

    /// Notes what happened. The detail is written only where it is kept.
    pub(crate) fn note(&mut self, happening: Happening, detail: impl FnOnce() -> String) {
        let Happening {
            at,
            host,
            issue,
            what,
        } = happening;
        let millis = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        self.stir(millis);
        self.stir(host.map_or(u64::MAX, u64::from));
        self.stir(issue.unwrap_or(u64::MAX));
        for byte in what.bytes() {
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
        let most = match self.keep {
            Keep::Nothing => return,
            Keep::Tail(most) | Keep::UntilViolation(most) => most,
            Keep::Everything => usize::MAX,
        };
        if self.lines.len() >= most {
            self.lines.pop_front();
        }
        self.lines.push_back(line(happening, millis, &detail()));
        if matches!(self.keep, Keep::UntilViolation(_)) && what == VIOLATION {
            self.keep = Keep::Nothing;
        }
    }

    fn stir(&mut self, value: u64) {
        self.digest = mix(self.digest ^ value);
    }

    /// A number that two equal traces share.
    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    pub(crate) fn into_lines(self) -> Vec<String> {
        self.lines.into()
    }
}

/// `03:12:07.250 host 1 #17 claim won: epoch 2`
fn line(happening: Happening, millis: u64, detail: &str) -> String {
    let seconds = millis / 1_000;
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    let mut line = format!(
        "{hours:02}:{minutes:02}:{:02}.{:03}",
        seconds % 60,
        millis % 1_000
    );
    let mut add = |text: std::fmt::Arguments<'_>| {
        // Writing into a string cannot fail.
        let _ = line.write_fmt(text);
    };
    if let Some(host) = happening.host {
        add(format_args!(" host {}", host + 1));
    }
    if let Some(issue) = happening.issue {
        add(format_args!(" #{issue}"));
    }
    add(format_args!(" {}", happening.what));
    if !detail.is_empty() {
        add(format_args!(": {detail}"));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn happening(issue: IssueNumber, what: &'static str) -> Happening {
        Happening {
            at: Duration::from_millis(11_527_250),
            host: Some(0),
            issue: Some(issue),
            what,
        }
    }

    #[test]
    fn a_line_reads_like_this_and_the_digest_sees_every_part() {
        let mut trace = Trace::new(Keep::Tail(1));
        trace.note(happening(16, "began"), String::new);
        trace.note(happening(17, "claim won"), || "epoch 2".to_owned());
        let mut other = Trace::new(Keep::Nothing);
        other.note(happening(16, "began"), String::new);
        assert_ne!(trace.digest(), other.digest());
        other.note(happening(17, "claim won"), String::new);
        assert_eq!(trace.digest(), other.digest());
        assert_eq!(
            vec!["03:12:07.250 host 1 #17 claim won: epoch 2"],
            trace.into_lines()
        );
        assert!(other.into_lines().is_empty());
    }
}
