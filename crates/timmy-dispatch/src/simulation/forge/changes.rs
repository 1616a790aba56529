//! What changed since a moment, and what was said about pull requests.

use jiff::Timestamp;
use timmy_core::IssueNumber;
use timmy_core::RepoName;
use timmy_core::event::Feedback;
use timmy_forge::ForgeError;
use timmy_forge::Issue;
use timmy_forge::IssueState;
use timmy_forge::StatusState;

use super::SimForge;
use super::Verdict;

/// What changed since a moment of the forge's clock.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Changes {
    /// Issues, open and closed.
    pub(crate) issues: Vec<Issue>,
    /// Whether a pull request changed.
    pub(crate) pulls: bool,
    /// The newest change.
    pub(crate) newest: Option<Timestamp>,
}

impl SimForge {
    /// Issues that changed since a moment, that moment included.
    ///
    /// # Errors
    /// When there is no such repository.
    pub(crate) fn changed_since(
        &self,
        repo: &RepoName,
        since: Timestamp,
    ) -> Result<Changes, ForgeError> {
        let entries = &self.repository(repo)?.entries;
        let changed = entries.iter().filter(|entry| entry.issue.updated >= since);
        let mut changes = Changes {
            issues: Vec::new(),
            pulls: false,
            newest: None,
        };
        for entry in changed {
            changes.newest = changes.newest.max(Some(entry.issue.updated));
            match entry.pull {
                Some(_) => changes.pulls |= entry.issue.updated > since,
                None => changes.issues.push(entry.issue.clone()),
            }
        }
        Ok(changes)
    }

    /// What people and checks said about an open pull request that asks for more work.
    ///
    /// # Errors
    /// When there is no such pull request.
    pub(crate) fn feedback(
        &self,
        repo: &RepoName,
        number: IssueNumber,
        own_login: &str,
    ) -> Result<Vec<Feedback>, ForgeError> {
        let entry = self.repository(repo)?.entry(number)?;
        let mut items = Vec::new();
        let Some(offer) = entry
            .pull
            .as_ref()
            .filter(|_| entry.issue.state == IssueState::Open)
        else {
            return Ok(items);
        };
        let mut add = |id: String, author: &str, text: &str| {
            items.push(Feedback {
                id,
                author: author.to_owned(),
                text: text.to_owned(),
            });
        };
        for review in &offer.reviews {
            if review.verdict == Verdict::ChangesRequested {
                add(
                    format!("review {}", review.id),
                    &review.author,
                    &review.body,
                );
            }
        }
        for comment in entry.comments.iter().filter(|one| one.author != own_login) {
            add(
                format!("comment {}", comment.id),
                &comment.author,
                &comment.body,
            );
        }
        for status in self.statuses(repo, &offer.head)? {
            if matches!(status.state, StatusState::Failure | StatusState::Error) {
                let id = format!("status {} {}", status.context, offer.head.short());
                add(id, &status.context, &status.description);
            }
        }
        Ok(items)
    }
}
