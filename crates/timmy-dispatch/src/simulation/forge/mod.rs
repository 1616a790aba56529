//! The embedded forge's logic, in memory.
//!
//! What a client of [`timmy_forge::embedded`] sees through [`timmy_forge::Forge`] and through leased
//! pushes, without HTTP, SQL and git: issues, labels, blockers, comments, refs, pull requests, reviews
//! and statuses. A test plays random sequences on both and compares every answer.
//!
//! # Rules
//! - A push is all or nothing, and each of its refs has a lease.
//! - Pull requests follow their branches: another commit is offered, or the branch is gone and the
//!   pull request is closed.
//! - `updated` is stamped with the forge's own clock, which nobody else's need agree with.

mod changes;
mod issues;
mod objects;
mod pulls;
mod refs;

#[cfg(test)]
mod differential;
#[cfg(test)]
mod pair;

use std::collections::BTreeMap;
use std::rc::Rc;

use jiff::Timestamp;
use timmy_core::IssueNumber;
use timmy_core::ObjectName;
use timmy_core::RepoName;
use timmy_forge::Comment;
use timmy_forge::ForgeError;
use timmy_forge::Issue;
use timmy_forge::Label;
use timmy_forge::Refusal;
use timmy_forge::Status;

pub(crate) use self::objects::Commit;
pub(crate) use self::objects::Maker;
pub(crate) use self::objects::Objects;
pub(crate) use self::objects::Path;
pub(crate) use self::objects::Tree;
pub(crate) use self::refs::branch_ref;

/// The branch that pull requests go to.
pub(crate) const MAIN: &str = "main";

/// A forge with some repositories.
#[derive(Debug)]
pub(crate) struct SimForge {
    /// What the forge's own clock says.
    pub(crate) clock: Timestamp,
    pub(crate) objects: Objects,
    repositories: BTreeMap<RepoName, Repository>,
    comments: u64,
}

#[derive(Debug, Default)]
struct Repository {
    /// Issues and pull requests; number 1 comes first.
    entries: Vec<Entry>,
    labels: Vec<Label>,
    refs: BTreeMap<String, ObjectName>,
    statuses: BTreeMap<ObjectName, Vec<Status>>,
    /// The last answer to "all open issues", while it is still true.
    open: Option<Rc<Vec<Issue>>>,
}

/// Issues and pull requests share numbers, texts, labels and comments.
#[derive(Debug, Clone)]
struct Entry {
    issue: Issue,
    comments: Vec<Comment>,
    /// Newest first, as the forge lists them.
    blockers: Vec<IssueNumber>,
    pull: Option<Offer>,
}

/// What a pull request has beyond an issue.
#[derive(Debug, Clone)]
struct Offer {
    head_branch: String,
    base_branch: String,
    head: ObjectName,
    merge_commit: Option<ObjectName>,
    reviews: Vec<Review>,
}

/// A review of a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Review {
    pub(crate) id: u64,
    pub(crate) author: String,
    pub(crate) verdict: Verdict,
    pub(crate) body: String,
}

/// What a review says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may be merged.
    Approved,
    /// Something has to change first.
    ChangesRequested,
}

impl SimForge {
    pub(crate) fn new(clock: Timestamp) -> Self {
        Self {
            clock,
            objects: Objects::default(),
            repositories: BTreeMap::new(),
            comments: 0,
        }
    }

    /// Adds a repository with one commit on `main`.
    pub(crate) fn create_repository(&mut self, repo: &RepoName, files: Tree) -> ObjectName {
        let first = self.objects.make(Commit {
            parents: Vec::new(),
            tree: Rc::new(files),
            maker: Maker::Person,
            claim: None,
        });
        let repository = Repository {
            refs: BTreeMap::from([(branch_ref(MAIN), first.clone())]),
            ..Repository::default()
        };
        self.repositories.insert(repo.clone(), repository);
        first
    }

    fn repository(&self, repo: &RepoName) -> Result<&Repository, ForgeError> {
        self.repositories.get(repo).ok_or_else(not_found)
    }

    fn repository_mut(&mut self, repo: &RepoName) -> Result<&mut Repository, ForgeError> {
        self.repositories.get_mut(repo).ok_or_else(not_found)
    }
}

impl Repository {
    fn entry(&self, number: IssueNumber) -> Result<&Entry, ForgeError> {
        self.entries.get(place(number)?).ok_or_else(not_found)
    }

    /// An entry that is about to change.
    fn touch(&mut self, number: IssueNumber, at: Timestamp) -> Result<&mut Entry, ForgeError> {
        let entry = self.entries.get_mut(place(number)?).ok_or_else(not_found)?;
        entry.issue.updated = at;
        self.open = None;
        Ok(entry)
    }
}

fn place(number: IssueNumber) -> Result<usize, ForgeError> {
    let place = number
        .checked_sub(1)
        .and_then(|place| usize::try_from(place).ok());
    place.ok_or_else(not_found)
}

fn refusal(said: &str) -> Refusal {
    Refusal {
        call: "a simulated call".to_owned(),
        said: said.to_owned(),
    }
}

fn not_found() -> ForgeError {
    ForgeError::NotFound(refusal(""))
}
