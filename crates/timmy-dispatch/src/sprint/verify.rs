//! Running the project's check on a clean checkout, and the receipt for it.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use sha2::Digest;
use sha2::Sha256;
use timmy_core::IssueNumber;
use timmy_core::ObjectName;
use timmy_core::Receipt;
use timmy_core::RunId;
use timmy_core::text;
use timmy_git::BareRepository;
use timmy_git::GitError;
use timmy_git::RefName;
use timmy_git::Refspec;
use timmy_git::Revision;
use timmy_sandbox::Command;
use timmy_sandbox::End;
use timmy_sandbox::Sandbox;

use super::desk::Desk;
use super::place::RunPlace;
use crate::error::SprintError;
use crate::policy;
use crate::workspace::cache;

/// The end of the check's output that a receipt keeps, in bytes.
const TAIL_BYTES: usize = 8 << 10;
/// The part of a change that is searched for secrets, in bytes.
const PATCH_BYTES: usize = 32 << 20;
/// The longest symbolic link target that is read, in bytes.
const LINK_BYTES: u64 = 4 << 10;
const SYMLINK: u32 = 0o120_000;

/// What running a pull request's check again showed.
#[derive(Debug, Clone, Serialize)]
pub struct Verification {
    /// The run that made the pull request.
    pub run: RunId,
    /// Its receipt, from the log.
    pub recorded: Receipt,
    /// The commit at the end of the pull request's branch now.
    pub head: ObjectName,
    /// Whether that is still the commit the receipt is for.
    pub same_commit: bool,
    /// The check, run again on the head.
    pub again: Receipt,
}

impl Verification {
    /// Whether the branch still holds what was checked, and the check passes again.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.same_commit && self.recorded.passed() && self.again.passed()
    }
}

impl Desk {
    /// Runs the check on a commit in a fresh checkout that no agent ever wrote to.
    pub(crate) async fn check(
        &self,
        sandbox: &dyn Sandbox,
        commit: &ObjectName,
        command: &str,
        checkout: &Path,
    ) -> Result<Receipt, SprintError> {
        let bare = self.bare().await?;
        let tree = bare.tree_of(commit).await?;
        bare.materialise(commit, checkout).await?;
        sandbox.hand_over(checkout)?;
        cache::lend(self, sandbox, checkout).await?;
        let both_streams = Command::shell(&format!("exec 2>&1\n{command}"));
        let mut policy = self.policy(checkout);
        policy.limits.wall = Duration::from_secs(self.settings.publish.check_seconds);
        let finished = sandbox.run(&policy, &both_streams).await?;
        let output = finished.text(&self.redactor);
        Ok(Receipt {
            command: command.to_owned(),
            exit_code: match finished.end {
                End::Exited(code) => Some(code),
                End::Signalled(_) | End::OverLimit(_) => None,
            },
            tree,
            commit: commit.clone(),
            duration_ms: u64::try_from(finished.duration.as_millis()).unwrap_or(u64::MAX),
            output_tail: text::tail(&output, TAIL_BYTES).into_owned(),
            sandbox: finished.level,
            output_sha256: text::hexadecimal(&Sha256::digest(output.as_bytes())),
        })
    }

    /// Compares a pull request with the receipt of the run that made it, and runs the check again.
    ///
    /// # Errors
    /// When no run of this log made it, or it cannot be fetched or checked.
    pub async fn verify(
        &self,
        sandbox: &dyn Sandbox,
        number: IssueNumber,
    ) -> Result<Verification, SprintError> {
        let no_receipt = || SprintError::NoReceipt {
            repo: self.repo.clone(),
            number,
        };
        let summary = self.run_of_pull(number).await?.ok_or_else(no_receipt)?;
        let recorded = summary.receipt.ok_or_else(no_receipt)?;
        let pull = self.forge.pull(&self.repo, number).await?;
        let bare = self.bare().await?;
        let branch: RefName = format!("refs/heads/{}", pull.head_branch)
            .parse()
            .map_err(timmy_git::GitError::from)?;
        let head = self.fetch_branch(&bare, &branch).await?;
        let place = RunPlace::make(&self.root, &RunId::generate())?;
        let checkout = place.check_tree()?;
        let again = self
            .check(sandbox, &head, &recorded.command, &checkout)
            .await;
        place.clear()?;
        let same_commit = recorded.commit == head;
        Ok(Verification {
            run: summary.run,
            recorded,
            head,
            same_commit,
            again: again?,
        })
    }
}

impl Desk {
    /// Every reason why a commit may not be published.
    pub(super) async fn reasons_against(
        &self,
        base: &ObjectName,
        commit: &ObjectName,
    ) -> Result<Vec<String>, SprintError> {
        let bare = self.bare().await?;
        let changes = bare.changes(base, commit).await?;
        let patch = bare.patch(base, commit, PATCH_BYTES).await?;
        let mut links = Vec::new();
        for change in changes.iter().filter(|change| change.new_mode == SYMLINK) {
            let target = bare.blob(commit, &change.path, LINK_BYTES).await?;
            let target = target.map(|target| String::from_utf8_lossy(&target).into_owned());
            links.push((change.path.clone(), target));
        }
        let settings = &self.settings.publish;
        Ok(policy::reasons_against(
            &changes,
            &patch,
            &links,
            settings,
            &self.redactor,
        ))
    }

    /// The host's own copy of the repository.
    pub(crate) async fn bare(&self) -> Result<BareRepository, SprintError> {
        let path = self
            .root
            .join("repositories")
            .join(format!("{}.git", self.repo));
        Ok(BareRepository::open_or_init(&self.git, &path).await?)
    }

    /// Brings a branch of the forge into the host's copy and gives its commit back.
    pub(crate) async fn fetch_branch(
        &self,
        bare: &BareRepository,
        branch: &RefName,
    ) -> Result<ObjectName, SprintError> {
        let missing = || SprintError::Unborn {
            repo: self.repo.clone(),
            branch: branch.branch().unwrap_or(branch.as_str()).to_owned(),
        };
        match bare
            .fetch(&self.remote, &[Refspec::one(branch, branch)])
            .await
        {
            Ok(()) => {}
            Err(GitError::NotFound { .. }) => return Err(missing()),
            Err(error) => return Err(error.into()),
        }
        let commit = bare.resolve(&Revision::Reference(branch.clone())).await?;
        let commit = commit.ok_or_else(missing)?;
        Ok(commit)
    }
}
