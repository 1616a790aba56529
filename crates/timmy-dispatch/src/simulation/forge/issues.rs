//! Issues, labels, blockers and comments.

use std::rc::Rc;

use jiff::Timestamp;
use timmy_core::IssueNumber;
use timmy_core::RepoName;
use timmy_forge::Comment;
use timmy_forge::ForgeError;
use timmy_forge::Issue;
use timmy_forge::IssueState;
use timmy_forge::Label;
use timmy_forge::NewIssue;
use timmy_forge::NewLabel;
use timmy_forge::StateFilter;
use timmy_forge::marker::marker_in;

use super::Entry;
use super::Repository;
use super::SimForge;
use super::not_found;
use super::refusal;

impl SimForge {
    /// The open issues, newest first. The same list as long as nothing changed.
    ///
    /// # Errors
    /// When there is no such repository.
    pub(crate) fn open_issues(&mut self, repo: &RepoName) -> Result<Rc<Vec<Issue>>, ForgeError> {
        let repository = self.repository_mut(repo)?;
        if let Some(known) = &repository.open {
            return Ok(Rc::clone(known));
        }
        let found = Rc::new(repository.issues(StateFilter::Open));
        repository.open = Some(Rc::clone(&found));
        Ok(found)
    }

    /// The issues of a state, newest first.
    ///
    /// # Errors
    /// When there is no such repository.
    pub(crate) fn issues(
        &self,
        repo: &RepoName,
        state: StateFilter,
    ) -> Result<Vec<Issue>, ForgeError> {
        Ok(self.repository(repo)?.issues(state))
    }

    /// One issue. The number of a pull request is not found.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn issue(&self, repo: &RepoName, number: IssueNumber) -> Result<Issue, ForgeError> {
        let entry = self.repository(repo)?.entry(number)?;
        match entry.pull {
            None => Ok(entry.issue.clone()),
            Some(_) => Err(not_found()),
        }
    }

    /// Opens an issue.
    ///
    /// # Errors
    /// When a label does not exist or the title is empty.
    pub(crate) fn create_issue(
        &mut self,
        repo: &RepoName,
        author: &str,
        new: &NewIssue,
    ) -> Result<Issue, ForgeError> {
        let at = self.clock;
        let repository = self.repository_mut(repo)?;
        repository.known_labels(repo, &new.labels)?;
        let title = title(&new.title)?;
        let issue = repository.next_issue(author, title, &new.body, at);
        let issue = Issue {
            labels: in_order(&repository.labels, &new.labels),
            web_url: page(repo, "issues", issue.number),
            ..issue
        };
        repository.add(issue.clone(), None);
        Ok(issue)
    }

    /// Closes an issue or pull request.
    ///
    /// # Errors
    /// [`ForgeError::Blocked`] when another that is open stands before it.
    pub(crate) fn close(
        &mut self,
        repo: &RepoName,
        number: IssueNumber,
    ) -> Result<Issue, ForgeError> {
        let at = self.clock;
        let repository = self.repository_mut(repo)?;
        if repository.entry(number)?.issue.state == IssueState::Open && repository.waits(number)? {
            return Err(ForgeError::Blocked(refusal("open dependencies")));
        }
        let entry = repository.touch(number, at)?;
        entry.issue.state = IssueState::Closed;
        Ok(entry.issue.clone())
    }

    /// Replaces the text of an issue.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn edit_body(
        &mut self,
        repo: &RepoName,
        number: IssueNumber,
        body: &str,
    ) -> Result<(), ForgeError> {
        let at = self.clock;
        let entry = self.repository_mut(repo)?.touch(number, at)?;
        body.clone_into(&mut entry.issue.body);
        entry.issue.body_bytes = count(body.len());
        Ok(())
    }

    /// Makes an issue wait for another; whether it does now. Two cannot wait for each other.
    ///
    /// # Errors
    /// When one of them does not exist.
    pub(crate) fn add_blocker(
        &mut self,
        repo: &RepoName,
        number: IssueNumber,
        blocker: IssueNumber,
    ) -> Result<bool, ForgeError> {
        let repository = self.repository_mut(repo)?;
        let known = repository.entry(number)?.blockers.contains(&blocker);
        let crosswise = repository.entry(blocker)?.blockers.contains(&number);
        if number == blocker || known || crosswise {
            return Ok(known);
        }
        let entry = &mut repository.entries[super::place(number)?];
        entry.blockers.push(blocker);
        // Listed by the time of creation, newest first.
        entry.blockers.sort_unstable_by(|one, other| other.cmp(one));
        Ok(true)
    }

    /// What an issue waits for, newest first.
    ///
    /// # Errors
    /// When there is no such issue.
    pub(crate) fn blockers(
        &self,
        repo: &RepoName,
        number: IssueNumber,
    ) -> Result<Vec<Issue>, ForgeError> {
        let repository = self.repository(repo)?;
        let blockers = repository.entry(number)?.blockers.iter();
        blockers
            .map(|blocker| repository.entry(*blocker).map(|entry| entry.issue.clone()))
            .collect()
    }

    /// Makes a label, or gives the one of that name back.
    ///
    /// # Errors
    /// When there is no such repository.
    pub(crate) fn create_label(
        &mut self,
        repo: &RepoName,
        new: &NewLabel,
    ) -> Result<Label, ForgeError> {
        let repository = self.repository_mut(repo)?;
        let known = repository
            .labels
            .iter()
            .find(|label| label.name == new.name);
        if let Some(known) = known {
            return Ok(known.clone());
        }
        let label = Label {
            id: count(repository.labels.len()) + 1,
            name: new.name.clone(),
            color: new.color.clone(),
            description: new.description.clone(),
        };
        repository.labels.push(label.clone());
        Ok(label)
    }

    /// Puts labels on an issue or pull request.
    ///
    /// # Errors
    /// [`ForgeError::MissingLabels`] when one does not exist.
    pub(crate) fn add_labels(
        &mut self,
        repo: &RepoName,
        number: IssueNumber,
        labels: &[String],
    ) -> Result<(), ForgeError> {
        let at = self.clock;
        let repository = self.repository_mut(repo)?;
        if labels.is_empty() {
            return Ok(());
        }
        repository.known_labels(repo, labels)?;
        let mut wanted = repository.entry(number)?.issue.labels.clone();
        wanted.extend_from_slice(labels);
        let labels = in_order(&repository.labels, &wanted);
        repository.touch(number, at)?.issue.labels = labels;
        Ok(())
    }

    /// Takes a label off an issue or pull request.
    ///
    /// # Errors
    /// When there is no such number.
    pub(crate) fn remove_label(
        &mut self,
        repo: &RepoName,
        number: IssueNumber,
        label: &str,
    ) -> Result<(), ForgeError> {
        let at = self.clock;
        let repository = self.repository_mut(repo)?;
        if repository
            .entry(number)?
            .issue
            .labels
            .iter()
            .any(|one| one == label)
        {
            let entry = repository.touch(number, at)?;
            entry.issue.labels.retain(|one| one != label);
        }
        Ok(())
    }

    /// All comments, oldest first. A number that there is not has none.
    ///
    /// # Errors
    /// When there is no such issue.
    pub(crate) fn comments(
        &self,
        repo: &RepoName,
        number: IssueNumber,
    ) -> Result<Vec<Comment>, ForgeError> {
        Ok(self.repository(repo)?.entry(number)?.comments.clone())
    }

    /// Comments. One of the same author with the same mark is brought up to date instead.
    ///
    /// # Errors
    /// When there is no such issue or nothing was said.
    pub(crate) fn comment(
        &mut self,
        repo: &RepoName,
        number: IssueNumber,
        author: &str,
        body: &str,
    ) -> Result<Comment, ForgeError> {
        let at = self.clock;
        let id = self.comments + 1;
        let repository = self.repository_mut(repo)?;
        let known = marker_in(body).and_then(|marker| {
            let comments = &repository.entry(number).ok()?.comments;
            let ours = |comment: &Comment| {
                comment.author == author && marker_in(&comment.body) == Some(marker)
            };
            comments.iter().position(ours)
        });
        repository.entry(number)?;
        if body.trim().is_empty() {
            return Err(ForgeError::Validation(refusal("[Body]: Required")));
        }
        if let Some(known) = known {
            let entry = &mut repository.entries[super::place(number)?];
            let comment = &mut entry.comments[known];
            body.clone_into(&mut comment.body);
            return Ok(comment.clone());
        }
        let comment = Comment {
            id,
            author: author.to_owned(),
            body: body.to_owned(),
            created: at,
        };
        let entry = repository.touch(number, at)?;
        entry.comments.push(comment.clone());
        entry.issue.comment_count += 1;
        self.comments = id;
        Ok(comment)
    }
}

impl Repository {
    fn issues(&self, state: StateFilter) -> Vec<Issue> {
        let wanted = |entry: &&Entry| {
            let of_state = match state {
                StateFilter::Open => entry.issue.state == IssueState::Open,
                StateFilter::Closed => entry.issue.state == IssueState::Closed,
                StateFilter::All => true,
            };
            entry.pull.is_none() && of_state
        };
        let newest_first = self.entries.iter().rev().filter(wanted);
        newest_first.map(|entry| entry.issue.clone()).collect()
    }

    /// Whether something that is open stands before an issue.
    pub(super) fn waits(&self, number: IssueNumber) -> Result<bool, ForgeError> {
        for blocker in &self.entry(number)?.blockers {
            if self.entry(*blocker)?.issue.state == IssueState::Open {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn known_labels(&self, repo: &RepoName, labels: &[String]) -> Result<(), ForgeError> {
        let unknown = |name: &&String| self.labels.iter().all(|label| label.name != **name);
        let missing: Vec<String> = labels.iter().filter(unknown).cloned().collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(ForgeError::MissingLabels {
            repo: repo.clone(),
            labels: missing,
        })
    }

    /// An issue with the next number that is not added yet.
    pub(super) fn next_issue(
        &self,
        author: &str,
        title: String,
        body: &str,
        at: Timestamp,
    ) -> Issue {
        Issue {
            number: count(self.entries.len()) + 1,
            title,
            body: body.to_owned(),
            body_bytes: count(body.len()),
            state: IssueState::Open,
            labels: Vec::new(),
            assignees: Vec::new(),
            author: author.to_owned(),
            created: at,
            updated: at,
            comment_count: 0,
            web_url: String::new(),
        }
    }

    pub(super) fn add(&mut self, issue: Issue, pull: Option<super::Offer>) {
        self.entries.push(Entry {
            issue,
            comments: Vec::new(),
            blockers: Vec::new(),
            pull,
        });
        self.open = None;
    }
}

/// A title as the forge keeps it.
pub(super) fn title(text: &str) -> Result<String, ForgeError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(ForgeError::Validation(refusal("[Title]: Required")));
    }
    Ok(text.to_owned())
}

pub(super) fn page(repo: &RepoName, kind: &str, number: IssueNumber) -> String {
    format!("https://forge.invalid/{repo}/{kind}/{number}")
}

/// Those of the names that are wanted, each once, by name as the forge lists them.
fn in_order(labels: &[Label], wanted: &[String]) -> Vec<String> {
    let chosen = labels.iter().filter(|label| wanted.contains(&label.name));
    let mut names: Vec<String> = chosen.map(|label| label.name.clone()).collect();
    names.sort_unstable();
    names
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
