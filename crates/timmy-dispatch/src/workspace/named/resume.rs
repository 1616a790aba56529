//! Where the work in a workspace stands, and a prompt to go on with it.

use std::fmt::Write;

use serde::Serialize;
use timmy_core::IssueNumber;

use super::Environment;
use super::Workspaces;
use super::inside::State;
use super::name::WorkspaceName;
use super::record::Record;
use super::site::Site;
use super::variables;
use crate::workspace::error::WorkspaceError;

/// The paths of changed files that the prompt names.
const PATHS_NAMED: usize = 20;

/// A quick look at a workspace.
#[derive(Debug, Clone, Serialize)]
pub struct Resume {
    /// What timmy keeps about it.
    pub workspace: Record,
    /// What its clone holds.
    pub state: State,
    /// The open pull request that comes from its branch.
    pub pull_request: Option<IssueNumber>,
    /// The variables for whoever works in it.
    pub environment: Environment,
    /// A self-contained prompt for going on.
    pub prompt: String,
}

impl Workspaces<'_> {
    /// Tells where the work stands. Changes nothing in the clone but what it knows of the base
    /// branch.
    ///
    /// # Errors
    /// TIMMY-0934 when there is no such workspace, TIMMY-0941 when its clone cannot be read, and
    /// what the forge can fail with.
    pub async fn resume(&self, name: &WorkspaceName) -> Result<Resume, WorkspaceError> {
        let site = Site::lock(&self.desk.root, name)?;
        let mut record = site.record()?;
        let (_, base) = self.desk.base_of(Some(&record.base_branch)).await?;
        let state = self.look(&site, &mut record, &base).await?;
        let branch = state.branch.as_deref().unwrap_or(&record.branch);
        let pull_request = self.open_pull(branch).await?;
        let project = self.desk.read_project(&base).await?;
        let issue = match record.issue {
            Some(issue) => self.desk.prompt_for(issue).await?,
            None => String::new(),
        };
        let environment = variables(&record, site.path());
        let facts = Facts {
            record: &record,
            state: &state,
            pull_request,
            environment: &environment,
            check: &project.check,
        };
        let prompt = format!("{}{issue}", facts.prompt());
        Ok(Resume {
            workspace: record,
            state,
            pull_request,
            environment,
            prompt,
        })
    }
}

struct Facts<'a> {
    record: &'a Record,
    state: &'a State,
    pull_request: Option<IssueNumber>,
    environment: &'a Environment,
    check: &'a str,
}

impl Facts<'_> {
    fn prompt(&self) -> String {
        let (record, state) = (self.record, self.state);
        let mut text = String::new();
        let mut line = |sentence: String| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{sentence}");
        };
        line(format!(
            "You go on with work in a clone of {}.",
            record.repo
        ));
        for (name, value) in &self.environment.variables {
            line(format!("{name}={value}"));
        }
        let on = match &state.branch {
            Some(branch) => format!("branch {branch}"),
            None => "no branch".to_owned(),
        };
        line(format!(
            "It is on {on}, {} commits ahead of {} and {} behind it.",
            state.ahead, record.base_branch, state.behind
        ));
        match state.changed.len() {
            0 => line("Nothing is uncommitted.".to_owned()),
            number => line(format!(
                "Changed and not committed ({number} in all): {}",
                state.changed[..number.min(PATHS_NAMED)].join(", ")
            )),
        }
        if let Some(number) = self.pull_request {
            line(format!(
                "Pull request #{number} comes from this branch and is open."
            ));
        }
        let last = match &record.last_check {
            None => "It was not run here yet.".to_owned(),
            Some(check) => match check.exit_code {
                Some(code) => format!("When it ran at {}, it ended with {code}.", check.at),
                None => format!("When it ran at {}, it was stopped.", check.at),
            },
        };
        line(format!("The check is `{}`. {last}", self.check));
        if let Some(issue) = record.issue {
            line(format!("The work is for issue #{issue}, which follows.\n"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::workspace::PortRange;
    use crate::workspace::named::record::LastCheck;

    #[test]
    fn the_prompt_says_where_the_work_stands() {
        let ports = PortRange {
            first: 20_010,
            count: 10,
        };
        let base: timmy_core::ObjectName = "1".repeat(40).parse().unwrap();
        let (name, repo) = ("kimi".parse().unwrap(), "a/b".parse().unwrap());
        let created = Timestamp::UNIX_EPOCH;
        let mut record = Record::new(&name, &repo, "main", base.clone(), ports, created);
        record.last_check = Some(LastCheck {
            at: created,
            command: "make test".to_owned(),
            exit_code: Some(2),
        });
        record.issue = Some(7);
        let state = State {
            branch: Some("work/kimi".to_owned()),
            head: base,
            changed: vec!["src/lib.rs".to_owned()],
            ahead: 2,
            behind: 1,
            unpublished: 2,
        };
        let environment = variables(&record, std::path::Path::new("/srv/timmy/workspaces/kimi"));
        let facts = Facts {
            record: &record,
            state: &state,
            pull_request: Some(9),
            environment: &environment,
            check: "make test",
        };
        insta::assert_snapshot!(facts.prompt());
    }
}
