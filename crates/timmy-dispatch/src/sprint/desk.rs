//! A repository, its forge, and what is known of both: all that judging and telling needs.

use std::path::PathBuf;
use std::sync::Arc;

use timmy_core::Clock;
use timmy_core::Coded;
use timmy_core::EventKind;
use timmy_core::EventSink;
use timmy_core::Problem;
use timmy_core::Redactor;
use timmy_core::RepoName;
use timmy_core::RunId;
use timmy_core::text;
use timmy_forge::Forge;
use timmy_forge::claim::Identity;
use timmy_git::Git;
use timmy_git::Remote;
use timmy_store::EventLog;
use timmy_store::Store;
use timmy_store::runs::RunSummary;

use super::Settings;
use super::place::RunPlace;
use crate::error::SprintError;
use crate::results;

/// The longest title that is kept, in bytes.
const TITLE_BYTES: usize = 200;

/// What is needed to look at a repository's issues and to tell its forge something. Nothing in here
/// runs a command or asks a model.
pub struct Desk {
    /// The forge.
    pub forge: Arc<dyn Forge>,
    /// The login the forge knows timmy by.
    pub login: String,
    /// The repository's address and credential.
    pub remote: Remote,
    /// The repository.
    pub repo: RepoName,
    /// The host's git.
    pub git: Git,
    /// The database.
    pub store: Store,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// What must not be shown.
    pub redactor: Redactor,
    /// The private root.
    pub root: PathBuf,
    /// Who this process is.
    pub identity: Identity,
    /// The operator's decisions.
    pub settings: Settings,
}

impl Desk {
    /// Writes the row of a run that ended, and clears its directory.
    pub(super) async fn close(
        &self,
        run: &RunId,
        place: &RunPlace,
    ) -> Result<RunSummary, SprintError> {
        // What a killed call used is not known; it cannot have been more than was set aside.
        let spending = self.store.spending(Arc::clone(&self.clock));
        spending.release_of_run(run).await?;
        let Some(summary) = self.events().summary(run).await? else {
            return Err(SprintError::NoReceipt {
                repo: self.repo.clone(),
                number: 0,
            });
        };
        results::append(&self.root, &summary).map_err(|source| SprintError::Place {
            path: self.root.clone(),
            source,
        })?;
        // What was published stays published when its workspace cannot be removed.
        if let Err(error) = place.clear() {
            let problem = error.problem();
            self.record(run, EventKind::Warned { problem }).await?;
        }
        Ok(summary)
    }

    pub(crate) fn events(&self) -> EventLog {
        self.store.log(Arc::clone(&self.clock))
    }

    pub(super) async fn record(&self, run: &RunId, kind: EventKind) -> Result<(), Problem> {
        self.events().append(Some(run), kind).await.map(drop)
    }

    pub(crate) fn presentable_line(&self, text: &str) -> String {
        let line = self.redactor.redact(&text::clean_line(text));
        text::bound(&line, TITLE_BYTES).into_owned()
    }
}
