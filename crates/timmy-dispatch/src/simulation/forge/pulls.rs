//! Pull requests, reviews and statuses.

use std::rc::Rc;

use timmy_core::IssueNumber;
use timmy_core::ObjectName;
use timmy_core::RepoName;
use timmy_forge::ForgeError;
use timmy_forge::Issue;
use timmy_forge::IssueState;
use timmy_forge::MergeRequest;
use timmy_forge::NewPull;
use timmy_forge::Opened;
use timmy_forge::PullFilter;
use timmy_forge::PullRequest;
use timmy_forge::PullState;
use timmy_forge::PullUpdate;
use timmy_forge::StateFilter;
use timmy_forge::Status;

use super::Commit;
use super::Entry;
use super::MAIN;
use super::Maker;
use super::Offer;
use super::Review;
use super::SimForge;
use super::Verdict;
use super::branch_ref;
use super::issues::page;
use super::issues::title;
use super::not_found;
use super::objects::Merged;
use super::refusal;

/// Words that close an issue when the pull request that says them is merged; those of Gitea.
const KEYWORDS: [&str; 9] = [
    "close", "closes", "closed", "fix", "fixes", "fixed", "resolve", "resolves", "resolved",
];

impl SimForge {
    /// All pull requests that match, newest first.
    ///
    /// # Errors
    /// When there is no such repository.
    pub(crate) fn pulls(
        &self,
        repo: &RepoName,
        filter: &PullFilter,
    ) -> Result<Vec<PullRequest>, ForgeError> {
        let entries = self.repository(repo)?.entries.iter().rev();
        let mut found = Vec::new();
        for entry in entries {
            let Some(offer) = &entry.pull else {
                continue;
            };
            let wanted = filter
                .head
                .as_ref()
                .is_none_or(|head| offer.head_branch == *head);
            let of_state = match filter.state {
                StateFilter::All => true,
                StateFilter::Open => entry.issue.state == IssueState::Open,
                StateFilter::Closed => entry.issue.state == IssueState::Closed,
            };
            if wanted && of_state {
                found.push(shown(&entry.issue, offer));
            }
        }
        Ok(found)
    }

    /// One pull request after the forge found out whether it merges.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn checked_pull(
        &self,
        repo: &RepoName,
        number: IssueNumber,
    ) -> Result<PullRequest, ForgeError> {
        let pull = self.pull(repo, number)?;
        let base = self.reference(repo, &branch_ref(&pull.base_branch))?;
        let clean = |base| self.objects.merge(&base, &pull.head) != Merged::Conflict;
        let mergeable = pull.state == PullState::Open && !pull.draft && base.is_some_and(clean);
        Ok(PullRequest {
            mergeable: Some(mergeable),
            ..pull
        })
    }

    /// One pull request, before the forge found out whether it merges.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn pull(
        &self,
        repo: &RepoName,
        number: IssueNumber,
    ) -> Result<PullRequest, ForgeError> {
        let entry = self.repository(repo)?.entry(number)?;
        let offer = entry.pull.as_ref().ok_or_else(not_found)?;
        Ok(shown(&entry.issue, offer))
    }

    /// Opens a pull request, or brings the open one between the same branches up to date.
    ///
    /// # Errors
    /// When a branch is missing, the two are one, or there is no title.
    pub(crate) fn create_pull(
        &mut self,
        repo: &RepoName,
        author: &str,
        new: &NewPull,
    ) -> Result<Opened, ForgeError> {
        let at = self.clock;
        let repository = self.repository_mut(repo)?;
        let title = title(&new.title)?;
        if new.head == new.base {
            return Err(ForgeError::Validation(refusal("no changes")));
        }
        if !repository.refs.contains_key(&branch_ref(&new.base)) {
            return Err(not_found());
        }
        let head = repository.refs.get(&branch_ref(&new.head)).cloned();
        let head = head.ok_or_else(not_found)?;
        let open = |entry: &&Entry| {
            let same =
                |offer: &Offer| offer.head_branch == new.head && offer.base_branch == new.base;
            entry.issue.state == IssueState::Open && entry.pull.as_ref().is_some_and(same)
        };
        if let Some(entry) = repository.entries.iter().find(open) {
            let number = entry.issue.number;
            let wanted = PullUpdate {
                title: Some(new.title.clone()),
                body: Some(new.body.clone()),
                draft: Some(new.draft),
                state: None,
            };
            let pull = self.update_pull(repo, number, &wanted)?;
            return Ok(Opened {
                pull,
                adopted: true,
            });
        }
        let title = titled(&title, new.draft);
        let issue = repository.next_issue(author, title, &new.body, at);
        let number = issue.number;
        let issue = Issue {
            web_url: page(repo, "pulls", number),
            ..issue
        };
        let offer = Offer {
            head_branch: new.head.clone(),
            base_branch: new.base.clone(),
            head,
            merge_commit: None,
            reviews: Vec::new(),
        };
        repository.add(issue, Some(offer));
        let pull = self.pull(repo, number)?;
        Ok(Opened {
            pull,
            adopted: false,
        })
    }

    /// Changes a pull request.
    ///
    /// # Errors
    /// When there is none, or it was merged and its state should change.
    pub(crate) fn update_pull(
        &mut self,
        repo: &RepoName,
        number: IssueNumber,
        update: &PullUpdate,
    ) -> Result<PullRequest, ForgeError> {
        let at = self.clock;
        let now = self.pull(repo, number)?;
        if now.state == PullState::Merged && update.state.is_some() {
            return Err(ForgeError::Blocked(refusal("it was already merged")));
        }
        let repository = self.repository_mut(repo)?;
        let closes = update.state == Some(IssueState::Closed) && now.state == PullState::Open;
        if closes && repository.waits(number)? {
            return Err(ForgeError::Blocked(refusal("open dependencies")));
        }
        let entry = repository.touch(number, at)?;
        let draft = update.draft.unwrap_or(now.draft);
        let title = update.title.as_deref().unwrap_or(&now.title);
        entry.issue.title = titled(title, draft);
        if let Some(body) = &update.body {
            entry.issue.body.clone_from(body);
        }
        if let Some(state) = update.state {
            entry.issue.state = state;
        }
        self.follow(repo)?;
        self.pull(repo, number)
    }

    /// Merges a pull request with a squash, if its head is still the commit that was checked.
    ///
    /// # Errors
    /// When it is closed, a draft, in conflict, or offers another commit by now.
    pub(crate) fn merge_pull(
        &mut self,
        repo: &RepoName,
        number: IssueNumber,
        request: &MergeRequest,
    ) -> Result<PullRequest, ForgeError> {
        let pull = self.pull(repo, number)?;
        let refused = |said| Err(ForgeError::NotMergeable(refusal(said)));
        match pull.state {
            PullState::Merged if pull.head == request.head => return Ok(pull),
            PullState::Merged => return refused("The PR is already merged"),
            PullState::Closed => return Err(not_found()),
            PullState::Open if pull.draft => return refused("Work in progress"),
            PullState::Open => {}
        }
        let base_ref = branch_ref(&pull.base_branch);
        let base = self.repository(repo)?.refs.get(&base_ref).cloned();
        let merged = base
            .as_ref()
            .map(|base| self.objects.merge(base, &pull.head));
        let (Some(base), Some(Merged::Clean(tree))) = (base, merged) else {
            return refused("Please try again later");
        };
        if request.head != pull.head {
            return Err(ForgeError::Conflict(refusal("head out of date")));
        }
        let result = self.objects.make(Commit {
            parents: vec![base],
            tree: Rc::new(tree),
            maker: Maker::Timmy,
            claim: None,
        });
        let at = self.clock;
        let repository = self.repository_mut(repo)?;
        repository.refs.insert(base_ref, result.clone());
        let entry = repository.touch(number, at)?;
        entry.issue.state = IssueState::Closed;
        if let Some(offer) = &mut entry.pull {
            offer.merge_commit = Some(result);
        }
        if pull.base_branch == MAIN {
            self.close_named(repo, &format!("{}\n{}", pull.title, pull.body))?;
        }
        self.follow(repo)?;
        self.pull(repo, number)
    }

    /// Closes the issues that a text names, except those that wait for others.
    fn close_named(&mut self, repo: &RepoName, text: &str) -> Result<(), ForgeError> {
        let at = self.clock;
        let repository = self.repository_mut(repo)?;
        for number in named(text) {
            let issue = repository
                .entry(number)
                .is_ok_and(|entry| entry.pull.is_none());
            if issue && !repository.waits(number)? {
                repository.touch(number, at)?.issue.state = IssueState::Closed;
            }
        }
        Ok(())
    }

    /// Reviews a pull request. Nobody approves or refuses his own.
    ///
    /// # Errors
    /// When there is no such pull request, or the reviewer wrote it.
    pub(crate) fn review(
        &mut self,
        repo: &RepoName,
        number: IssueNumber,
        author: &str,
        verdict: Verdict,
        body: &str,
    ) -> Result<u64, ForgeError> {
        let at = self.clock;
        let id = self.comments + 1;
        if self.pull(repo, number)?.author == author {
            return Err(ForgeError::Validation(refusal("your own pull")));
        }
        let entry = self.repository_mut(repo)?.touch(number, at)?;
        let offer = entry.pull.as_mut().ok_or_else(not_found)?;
        offer.reviews.push(Review {
            id,
            author: author.to_owned(),
            verdict,
            body: body.to_owned(),
        });
        self.comments = id;
        Ok(id)
    }

    /// Sets a commit status.
    ///
    /// # Errors
    /// When there is no such commit.
    pub(crate) fn set_status(
        &mut self,
        repo: &RepoName,
        commit: &ObjectName,
        status: &Status,
    ) -> Result<(), ForgeError> {
        self.objects.get(commit).ok_or_else(not_found)?;
        let repository = self.repository_mut(repo)?;
        let known = repository.statuses.entry(commit.clone()).or_default();
        known.retain(|one| one.context != status.context);
        known.push(status.clone());
        Ok(())
    }

    /// The newest status of each context of a commit, by context.
    ///
    /// # Errors
    /// When there is no such commit.
    pub(crate) fn statuses(
        &self,
        repo: &RepoName,
        commit: &ObjectName,
    ) -> Result<Vec<Status>, ForgeError> {
        self.objects.get(commit).ok_or_else(not_found)?;
        let known = self.repository(repo)?.statuses.get(commit);
        Ok(known.cloned().unwrap_or_default())
    }
}

fn shown(issue: &Issue, offer: &Offer) -> PullRequest {
    let state = match (&offer.merge_commit, issue.state) {
        (Some(_), _) => PullState::Merged,
        (None, IssueState::Open) => PullState::Open,
        (None, IssueState::Closed) => PullState::Closed,
    };
    PullRequest {
        number: issue.number,
        title: issue.title.trim_start_matches(DRAFT).to_owned(),
        body: issue.body.clone(),
        state,
        labels: Vec::new(),
        draft: issue.title.starts_with(DRAFT),
        head_branch: offer.head_branch.clone(),
        head: offer.head.clone(),
        from_fork: false,
        base_branch: offer.base_branch.clone(),
        mergeable: None,
        merge_commit: offer.merge_commit.clone(),
        author: issue.author.clone(),
        web_url: issue.web_url.clone(),
    }
}

const DRAFT: &str = "WIP: ";

fn titled(title: &str, draft: bool) -> String {
    match draft {
        true => format!("{DRAFT}{title}"),
        false => title.to_owned(),
    }
}

/// The numbers after a keyword: `closes #12`, `Fixes: #3`.
fn named(text: &str) -> Vec<IssueNumber> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut numbers = Vec::new();
    for pair in words.windows(2) {
        let keyword = pair[0].trim_end_matches(':').to_lowercase();
        let digits = pair[1].strip_prefix('#').unwrap_or_default();
        let digits = digits.trim_end_matches(|c: char| c.is_ascii_punctuation());
        if KEYWORDS.contains(&keyword.as_str()) {
            numbers.extend(digits.parse::<IssueNumber>().ok());
        }
    }
    numbers
}
