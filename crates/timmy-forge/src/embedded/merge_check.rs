//! Whether pull requests can be merged, found out in the background; and following their branches.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use timmy_core::Coded;
use timmy_store::forge::IssueEdit;
use timmy_store::forge::IssueState;
use timmy_store::forge::Mergeable;
use timmy_store::forge::Pull;
use timmy_store::forge::Repository;

use super::Shared;
use super::access::Visit;
use super::answer::Refusal;
use super::branches;
use super::changes;
use super::error::EmbeddedError;
use super::git::Bare;
use super::merging;
use super::merging::Merged;
use super::pulls;

/// The pull requests (by key) that are being checked.
#[derive(Debug, Default)]
pub(super) struct Checks(Mutex<HashSet<i64>>);

impl Checks {
    fn begin(&self, id: i64) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id)
    }

    fn end(&self, id: i64) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&id);
    }
}

/// Starts the check of a pull request whose answer is open. A crash can have ended an earlier one,
/// so each look at the pull request asks again.
pub(super) fn start_if_needed(visit: &Visit<'_>, pull: &Pull) {
    if pull.mergeable == Mergeable::Checking && pull.merged_at.is_none() {
        start(visit.shared, &visit.repository, pull.clone());
    }
}

fn start(shared: &Arc<Shared>, repository: &Repository, pull: Pull) {
    let id = pull.issue.id;
    if !shared.checks.begin(id) {
        return;
    }
    let bare = shared.bare(repository.id);
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        shared.faults.before_merge_check().await;
        if let Err(error) = check(&shared, &bare, &pull).await {
            tracing::warn!(problem = %error.problem(), "cannot tell whether a pull request merges");
        }
        shared.checks.end(id);
    });
}

async fn check(shared: &Shared, bare: &Bare, pull: &Pull) -> Result<(), EmbeddedError> {
    let tables = &shared.tables;
    let current = tables
        .pull(pull.issue.repository_id, pull.issue.number)
        .await?;
    let Some(pull) = current else {
        return Ok(());
    };
    let mut base = bare.branch(&pull.base_branch).await?;
    loop {
        let found = match &base {
            None => Mergeable::No,
            Some(base) => match merging::merge_trees(bare, base, &pull.head).await? {
                Merged::Clean(_) => Mergeable::Yes,
                Merged::Conflict => Mergeable::No,
            },
        };
        let base_now = bare.branch(&pull.base_branch).await?;
        if base_now == base {
            return Ok(tables
                .keep_mergeable(pull.issue.id, &pull.head, found)
                .await?);
        }
        base = base_now;
    }
}

/// Brings the open pull requests of a repository in line with its branches: another commit may be
/// offered, a branch may be gone, the base may be among those that have moved.
pub(super) async fn follow(
    shared: &Arc<Shared>,
    repository: &Repository,
    moved: &[String],
) -> Result<(), Refusal> {
    let _one_at_a_time = shared.following.lock().await;
    let bare = shared.bare(repository.id);
    let open = shared.tables.open_pulls(repository.id).await?;
    if open.is_empty() {
        return Ok(());
    }
    let tips = branches::tips(&bare).await?;
    for pull in open {
        let Some(head) = tips.get(&pull.head_branch) else {
            close(shared, &pull).await?;
            continue;
        };
        if *head == pull.head && !moved.contains(&pull.base_branch) {
            continue;
        }
        let base = tips.get(&pull.base_branch).map_or("", String::as_str);
        let merge_base = match base {
            "" => String::new(),
            base => changes::merge_base(&bare, base, head).await?,
        };
        let id = pull.issue.id;
        shared
            .tables
            .move_pull(id, &pull.base_branch, head, &merge_base)
            .await?;
        let moved = Pull {
            head: head.clone(),
            mergeable: Mergeable::Checking,
            ..pull
        };
        pulls::keep_reference(&bare, &moved).await?;
        start(shared, repository, moved);
    }
    Ok(())
}

/// The branches that are not where they were.
pub(super) fn moved(
    before: &HashMap<String, String>,
    now: &HashMap<String, String>,
) -> Vec<String> {
    let changed = now
        .iter()
        .filter(|(name, tip)| before.get(*name) != Some(*tip));
    let gone = before.keys().filter(|name| !now.contains_key(*name));
    changed.map(|(name, _)| name).chain(gone).cloned().collect()
}

/// As Gitea does when the branch of a pull request is gone.
async fn close(shared: &Shared, pull: &Pull) -> Result<(), Refusal> {
    let edit = IssueEdit {
        state: Some(IssueState::Closed),
        ..IssueEdit::default()
    };
    Ok(shared.tables.edit_issue(pull.issue.id, edit).await?)
}
