//! A workflow that may change at any time, and the last good one.

use std::io;
use std::path::Path;
use std::path::PathBuf;

use timmy_core::Coded;
use timmy_core::Problem;

use super::Workflow;
use super::error::WorkflowError;

/// The name of the file where none is given.
pub const DEFAULT_FILE: &str = "WORKFLOW.md";
/// The largest file that is read, in bytes.
const LARGEST_FILE: u64 = 256 << 10;

/// Where a workflow comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A file on this machine, which an operator named. Its variables are resolved.
    File(PathBuf),
    /// The base branch of the repository that is worked on. Its variables are not.
    Repository,
}

impl Origin {
    /// The file that a person gave, or `WORKFLOW.md` in the directory they are in.
    #[must_use]
    pub fn file(given: Option<&Path>, current: &Path) -> Self {
        Self::File(current.join(given.unwrap_or(Path::new(DEFAULT_FILE))))
    }
}

/// What a look at the origin brought.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// It is as it was, or as wrong as it was: nothing to tell.
    Unchanged,
    /// Another workflow is in force from now on.
    Loaded,
    /// It cannot be used. What was in force stays so, and this is told once.
    Kept(Problem),
}

/// The workflow in force.
#[derive(Debug, Default)]
pub struct Source {
    good: Option<Workflow>,
    problem: Option<Problem>,
}

impl Source {
    /// The workflow in force: the last that could be used. None before there was one.
    #[must_use]
    pub fn current(&self) -> Option<&Workflow> {
        self.good.as_ref()
    }

    /// What is wrong with the newest text, as long as it is. New attempts wait until it is mended.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        self.problem.as_ref()
    }

    /// Takes the newest text, or why it could not be read.
    pub fn refresh(&mut self, read: Result<&str, WorkflowError>) -> Change {
        let problem = match read.and_then(Workflow::parse) {
            Err(error) => error.problem(),
            Ok(workflow) => {
                let mended = self.problem.take().is_some();
                if self.good.as_ref() == Some(&workflow) && !mended {
                    return Change::Unchanged;
                }
                self.good = Some(workflow);
                return Change::Loaded;
            }
        };
        if self.problem.as_ref() == Some(&problem) {
            return Change::Unchanged;
        }
        self.problem = Some(problem.clone());
        Change::Kept(problem)
    }

    /// Looks at a file on this machine.
    pub fn refresh_from(&mut self, path: &Path) -> Change {
        match read_file(path) {
            Ok(text) => self.refresh(Ok(&text)),
            Err(error) => self.refresh(Err(error)),
        }
    }
}

/// The text of a workflow file on this machine.
///
/// # Errors
/// [`WorkflowError::Missing`] when it is not there, is no file, is too large or cannot be read.
pub fn read_file(path: &Path) -> Result<String, WorkflowError> {
    let missing = |source| WorkflowError::Missing {
        path: path.to_owned(),
        source,
    };
    let about = std::fs::metadata(path).map_err(missing)?;
    if !about.is_file() {
        return Err(missing(io::Error::other("it is not a file")));
    }
    if about.len() > LARGEST_FILE {
        return Err(missing(io::Error::from(io::ErrorKind::FileTooLarge)));
    }
    let bytes = std::fs::read(path).map_err(missing)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    const GOOD: &str = "---\npolling:\n  interval_ms: 1000\n---\nWork.\n";
    const OTHER: &str = "---\npolling:\n  interval_ms: 2000\n---\nWork.\n";
    const BROKEN: &str = "---\npolling: [\n---\nWork.\n";

    fn interval(source: &Source) -> Option<u128> {
        source
            .current()
            .map(|workflow| workflow.poll_interval.as_millis())
    }

    #[test]
    fn a_changed_file_is_in_force_without_a_restart() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("WORKFLOW.md");
        let mut source = Source::default();
        std::fs::write(&path, GOOD).unwrap();
        assert_eq!(Change::Loaded, source.refresh_from(&path));
        assert_eq!(Change::Unchanged, source.refresh_from(&path));
        std::fs::write(&path, OTHER).unwrap();
        assert_eq!(Change::Loaded, source.refresh_from(&path));
        assert_eq!(Some(2000), interval(&source));
    }

    #[test]
    fn a_broken_edit_keeps_the_last_good_one_and_is_told_once() {
        let mut source = Source::default();
        source.refresh(Ok(GOOD));
        let Change::Kept(problem) = source.refresh(Ok(BROKEN)) else {
            panic!("the broken file was taken");
        };
        assert_eq!("TIMMY-0802", problem.code.to_string());
        for _ in 0..3 {
            assert_eq!(Change::Unchanged, source.refresh(Ok(BROKEN)));
        }
        assert_eq!(
            (Some(1000), Some(&problem)),
            (interval(&source), source.problem())
        );
        // Another fault is told too; the mended file ends the fault even when nothing else changed.
        assert!(matches!(
            source.refresh(Ok("---\n- 1\n---\n")),
            Change::Kept(_)
        ));
        assert_eq!(Change::Loaded, source.refresh(Ok(GOOD)));
        assert_eq!(None, source.problem());
    }

    #[test]
    fn a_file_that_vanishes_is_a_typed_error_and_changes_nothing() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("WORKFLOW.md");
        assert_eq!(
            "missing_workflow_file",
            read_file(&path).unwrap_err().class()
        );
        assert_eq!(
            "missing_workflow_file",
            read_file(directory.path()).unwrap_err().class()
        );
        let mut source = Source::default();
        assert!(matches!(source.refresh_from(&path), Change::Kept(_)));
        assert_eq!(None, source.current());
        std::fs::write(&path, GOOD).unwrap();
        source.refresh_from(&path);
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(source.refresh_from(&path), Change::Kept(_)));
        assert_eq!(Some(1000), interval(&source));
    }

    #[test]
    fn the_file_that_was_given_comes_before_the_one_that_lies_here() {
        let current = Path::new("/srv/project");
        let file = |given| Origin::file(given, current);
        assert_eq!(
            Origin::File(PathBuf::from("/srv/project/WORKFLOW.md")),
            file(None)
        );
        assert_eq!(
            Origin::File(PathBuf::from("/srv/project/other.md")),
            file(Some(Path::new("other.md")))
        );
        assert_eq!(
            Origin::File(PathBuf::from("/etc/timmy/w.md")),
            file(Some(Path::new("/etc/timmy/w.md")))
        );
    }
}
