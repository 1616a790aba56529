//! What timmy keeps about a workspace, in a file that agents do not write.

use std::io::Write;
use std::path::Path;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use timmy_core::IssueNumber;
use timmy_core::ObjectName;
use timmy_core::RepoName;

use super::name::WorkspaceName;
use super::ports::PortRange;
use crate::workspace::error::WorkspaceError;

/// The file's name.
pub(super) const FILE: &str = "workspace.toml";

/// The version that is written.
const VERSION: u32 = 1;

/// A workspace, as it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    version: u32,
    /// Its name.
    pub name: WorkspaceName,
    /// The repository that it is a clone of.
    pub repo: RepoName,
    /// The branch that work starts from and goes to.
    pub base_branch: String,
    /// The newest commit of that branch that the clone has.
    pub base: ObjectName,
    /// The branch that timmy made last.
    pub branch: String,
    /// The issue that the work is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issue: Option<IssueNumber>,
    /// When it was made.
    pub created: Timestamp,
    /// Its ports.
    pub ports: PortRange,
    /// How the check ended when timmy last ran it here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_check: Option<LastCheck>,
}

/// A check that ran in the clone. No receipt: it was not on a clean checkout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LastCheck {
    /// When.
    pub at: Timestamp,
    /// The command.
    pub command: String,
    /// Its exit code; absent when a limit or a signal ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
}

impl Record {
    pub(super) fn new(
        name: &WorkspaceName,
        repo: &RepoName,
        base_branch: &str,
        base: ObjectName,
        ports: PortRange,
        created: Timestamp,
    ) -> Self {
        Self {
            version: VERSION,
            name: name.clone(),
            repo: repo.clone(),
            base_branch: base_branch.to_owned(),
            base,
            branch: first_branch(name),
            issue: None,
            created,
            ports,
            last_check: None,
        }
    }

    /// Reads the record in a workspace's directory. `None` when there is none.
    pub(super) fn read(directory: &Path) -> Result<Option<Self>, WorkspaceError> {
        let path = directory.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(WorkspaceError::io("read", &path))?,
        };
        let damaged = |reason: String| WorkspaceError::Record {
            path: path.clone(),
            reason: timmy_core::text::clean_line(&reason),
        };
        let record: Self = toml::from_str(&text).map_err(|error| damaged(error.to_string()))?;
        if record.version != VERSION {
            return Err(damaged(format!("version {} is not known", record.version)));
        }
        Ok(Some(record))
    }

    /// Writes the record in one step: a reader sees the old one or the new.
    pub(super) fn write(&self, directory: &Path) -> Result<(), WorkspaceError> {
        let path = directory.join(FILE);
        let failed = |error: std::io::Error| WorkspaceError::io("write", &path)(error);
        let text = toml::to_string(self).map_err(|e| failed(std::io::Error::other(e)))?;
        let mut draft = tempfile::NamedTempFile::new_in(directory).map_err(failed)?;
        draft.write_all(text.as_bytes()).map_err(failed)?;
        draft.as_file().sync_all().map_err(failed)?;
        draft.persist(&path).map_err(|error| failed(error.error))?;
        Ok(())
    }
}

/// The branch that a new clone has checked out.
pub(super) fn first_branch(name: &WorkspaceName) -> String {
    format!("work/{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_and_a_damaged_one_says_where() {
        let directory = tempfile::TempDir::new().unwrap();
        let place = directory.path();
        assert_eq!(None, Record::read(place).unwrap());
        let name: WorkspaceName = "kimi".parse().unwrap();
        let ports = PortRange {
            first: 20_000,
            count: 10,
        };
        let (repo, base) = ("a/b".parse().unwrap(), "1".repeat(40).parse().unwrap());
        let mut record = Record::new(&name, &repo, "main", base, ports, Timestamp::UNIX_EPOCH);
        record.last_check = Some(LastCheck {
            at: Timestamp::UNIX_EPOCH,
            command: "make test".to_owned(),
            exit_code: Some(1),
        });
        record.write(place).unwrap();
        assert_eq!(Some(record), Record::read(place).unwrap());
        let text = std::fs::read_to_string(place.join(FILE)).unwrap();
        for damaged in [
            text.replace("version = 1", "version = 2"),
            text.replace("repo", "rapo"),
            text.replace("kimi", "../kimi"),
            text[..text.len() / 2].to_owned(),
        ] {
            std::fs::write(place.join(FILE), damaged).unwrap();
            let error = Record::read(place).unwrap_err();
            assert!(matches!(error, WorkspaceError::Record { .. }), "{error}");
        }
    }
}
