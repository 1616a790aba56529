//! The one-time set-up of a workspace: what the repository wants done after it was cloned, then its
//! check.

use std::time::Duration;

use serde::Serialize;
use timmy_core::text;
use timmy_sandbox::Command;
use timmy_sandbox::End;

use super::New;
use super::Workspaces;
use super::record::LastCheck;
use super::record::Record;
use super::site::Site;
use crate::workflow;
use crate::workspace::error::WorkspaceError;

/// The end of a step's output that is told, in bytes.
const TAIL_BYTES: usize = 8 << 10;

/// What a set-up did.
#[derive(Debug, Clone, Serialize)]
pub struct Bootstrap {
    /// The workspace.
    pub workspace: Record,
    /// What ran, in order. A step that fails is the last one.
    pub steps: Vec<Step>,
}

/// One command of a set-up. It ran in the sandbox, without a network.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// What it is: `set-up` or `check`.
    pub what: &'static str,
    /// The command.
    pub command: String,
    /// Its exit code; none when a limit or a signal ended it.
    pub exit_code: Option<i32>,
    /// The end of what it printed.
    pub output_tail: String,
}

impl Bootstrap {
    /// Whether every step, the check among them, succeeded.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        let checked = self.steps.iter().any(|step| step.what == CHECK);
        checked && self.steps.iter().all(|step| step.exit_code == Some(0))
    }
}

const SET_UP: &str = "set-up";
const CHECK: &str = "check";

impl Workspaces<'_> {
    /// Makes the workspace when there is none, runs what the repository wants done after a clone,
    /// and the check once. Can be repeated.
    ///
    /// # Errors
    /// As [`Workspaces::init`]; TIMMY-0801 when nothing says how to check the project. A command
    /// that fails is in the answer.
    pub async fn bootstrap(&self, new: &New) -> Result<Bootstrap, WorkspaceError> {
        let site = Site::lock(&self.desk.root, &new.name)?;
        let mut record = match Record::read(site.path())? {
            Some(record) => record,
            None => self.make(&site, new).await?,
        };
        let project = self.desk.read_project(&record.base).await?;
        let bare = self.desk.bare().await?;
        let set_up = workflow::set_up_command(&bare, &record.base).await;
        let set_up = set_up.map_err(crate::SprintError::from)?;
        let mut steps = Vec::new();
        if let Some(command) = set_up {
            steps.push(self.step(&site, &record, SET_UP, command).await?);
        }
        if steps.iter().all(|step| step.exit_code == Some(0)) {
            let check = self.step(&site, &record, CHECK, project.check).await?;
            record.last_check = Some(LastCheck {
                at: self.desk.clock.now(),
                command: check.command.clone(),
                exit_code: check.exit_code,
            });
            record.write(site.path())?;
            steps.push(check);
        }
        Ok(Bootstrap {
            workspace: record,
            steps,
        })
    }

    async fn step(
        &self,
        site: &Site,
        record: &Record,
        what: &'static str,
        command: String,
    ) -> Result<Step, WorkspaceError> {
        let mut policy = self.inside(site, record).policy;
        policy.limits.wall = Duration::from_secs(self.desk.settings.publish.check_seconds);
        let both_streams = Command::shell(&format!("exec 2>&1\n{command}"));
        let finished = self.sandbox.run(&policy, &both_streams).await?;
        let output = finished.text(&self.desk.redactor);
        Ok(Step {
            what,
            command,
            exit_code: match finished.end {
                End::Exited(code) => Some(code),
                End::Signalled(_) | End::OverLimit(_) => None,
            },
            output_tail: text::tail(&output, TAIL_BYTES).into_owned(),
        })
    }
}
