//! The JSON of pull requests.

use serde::Deserialize;
use timmy_core::IssueNumber;
use timmy_core::ObjectName;

use super::paging::Listed;
use super::wire::WireLabel;
use super::wire::WireRepository;
use super::wire::WireUser;
use super::wire::bounded;
use super::wire::login_of;
use super::wire::nullable;
use crate::types::PullFile;
use crate::types::PullRequest;
use crate::types::PullState;

/// What marks a draft at the start of a title. Gitea and Forgejo know no other way.
pub(super) const DRAFT_PREFIX: &str = "WIP: ";
const DRAFT_PREFIXES: [&str; 2] = ["wip:", "[wip]"];

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WireBranch {
    #[serde(rename = "ref", deserialize_with = "nullable")]
    reference: String,
    #[serde(deserialize_with = "nullable")]
    sha: String,
    repo_id: Option<i64>,
    repo: Option<WireRepository>,
}

impl WireBranch {
    fn repository(&self) -> Option<i64> {
        let inner = self
            .repo
            .as_ref()
            .and_then(|repo| i64::try_from(repo.id).ok());
        self.repo_id.or(inner)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WirePull {
    #[serde(deserialize_with = "nullable")]
    id: u64,
    #[serde(deserialize_with = "nullable")]
    pub(super) number: IssueNumber,
    #[serde(deserialize_with = "nullable")]
    title: String,
    #[serde(deserialize_with = "nullable")]
    body: String,
    #[serde(deserialize_with = "nullable")]
    state: String,
    #[serde(deserialize_with = "nullable")]
    draft: bool,
    #[serde(deserialize_with = "nullable")]
    merged: bool,
    #[serde(deserialize_with = "nullable")]
    mergeable: bool,
    merge_commit_sha: Option<String>,
    #[serde(deserialize_with = "nullable")]
    labels: Vec<WireLabel>,
    #[serde(deserialize_with = "nullable")]
    head: WireBranch,
    #[serde(deserialize_with = "nullable")]
    base: WireBranch,
    user: Option<WireUser>,
    #[serde(deserialize_with = "nullable")]
    html_url: String,
}

impl Listed for WirePull {
    fn id(&self) -> u64 {
        self.id
    }
}

impl WirePull {
    pub(super) fn into_pull(self) -> Result<PullRequest, String> {
        let head: ObjectName = self.head.sha.parse().map_err(|error| format!("{error}"))?;
        let prefixed = without_draft_prefix(&self.title);
        let merge_commit = self.merge_commit_sha.as_deref().unwrap_or_default();
        Ok(PullRequest {
            number: self.number,
            draft: self.draft || prefixed.is_some(),
            title: prefixed.unwrap_or(&self.title).to_owned(),
            body: bounded(self.body),
            state: pull_state(&self.state, self.merged),
            from_fork: self.head.repository() != self.base.repository(),
            head_branch: self.head.reference,
            head,
            base_branch: self.base.reference,
            mergeable: self.mergeable.then_some(true),
            merge_commit: merge_commit.parse().ok().filter(|_| self.merged),
            labels: self.labels.into_iter().map(|label| label.name).collect(),
            author: login_of(self.user.as_ref()).to_owned(),
            web_url: self.html_url,
        })
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WireFile {
    #[serde(deserialize_with = "nullable")]
    filename: String,
    #[serde(deserialize_with = "nullable")]
    status: String,
    #[serde(deserialize_with = "nullable")]
    additions: u64,
    #[serde(deserialize_with = "nullable")]
    deletions: u64,
}

impl Listed for WireFile {
    fn id(&self) -> u64 {
        use std::hash::DefaultHasher;
        use std::hash::Hash;
        use std::hash::Hasher;
        let mut hasher = DefaultHasher::new();
        self.filename.hash(&mut hasher);
        hasher.finish()
    }
}

impl From<WireFile> for PullFile {
    fn from(file: WireFile) -> Self {
        Self {
            path: file.filename,
            status: file.status,
            additions: file.additions,
            deletions: file.deletions,
        }
    }
}

pub(super) fn pull_state(word: &str, merged: bool) -> PullState {
    match word {
        _ if merged => PullState::Merged,
        "open" => PullState::Open,
        _ => PullState::Closed,
    }
}

/// The title behind the prefix that marks a draft, when there is one.
pub(super) fn without_draft_prefix(title: &str) -> Option<&str> {
    DRAFT_PREFIXES.iter().find_map(|prefix| {
        let start = title.get(..prefix.len())?;
        let rest = &title[prefix.len()..];
        start
            .eq_ignore_ascii_case(prefix)
            .then_some(rest.trim_start())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drafts_are_told_by_their_title() {
        for title in ["WIP: x", "wip:x", "[WIP] x", "[wip]x"] {
            assert_eq!(Some("x"), without_draft_prefix(title), "{title}");
        }
        for title in ["x", "WIPx: y", "", "wi\u{e9}: x"] {
            assert_eq!(None, without_draft_prefix(title), "{title}");
        }
    }
}
