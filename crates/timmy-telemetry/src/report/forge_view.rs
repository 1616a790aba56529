//! What the forge says: a few lists for each repository, and single pull requests only where the
//! lists leave a question.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use timmy_core::Coded;
use timmy_core::IssueNumber;
use timmy_core::RepoName;
use timmy_forge::Forge;
use timmy_forge::ForgeError;
use timmy_forge::IssueFilter;
use timmy_forge::PullFilter;
use timmy_forge::PullRequest;
use timmy_forge::PullState;
use timmy_forge::Review;
use timmy_forge::ReviewState;
use timmy_forge::StateFilter;
use timmy_forge::StatusState;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::unseen::Unseen;
use super::words::short;

/// Pull requests that are not open are looked up one by one up to this number; more are listed.
const SINGLE: usize = 8;
/// Pull requests that no list held, looked up at most.
const MOST_MISSING: usize = 50;
/// Open pull requests of which reviews and statuses are read, at most: the newest ones.
const MOST_OPEN: usize = 100;
/// Questions to the forge at once.
const AT_ONCE: usize = 8;
/// How long the forge may work out whether a pull request merges before it counts as one that does
/// not.
const MERGE_WAIT: Duration = Duration::from_secs(5);

/// What is asked about.
pub type Wanted = BTreeMap<RepoName, BTreeSet<IssueNumber>>;

/// What the forge says about the repositories of a window.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ForgeView {
    /// The login that timmy's pull requests are opened by.
    pub user: String,
    /// What became of the question about a pull request; one that could not be asked about is not
    /// among them.
    pub pulls: BTreeMap<(RepoName, IssueNumber), Found>,
    /// The numbers of the open issues, of each repository that could be asked.
    pub open_issues: BTreeMap<RepoName, BTreeSet<IssueNumber>>,
    /// What could not be seen.
    pub unseen: Vec<Unseen>,
}

/// A pull request as the forge has it.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// The forge has none of that number.
    Nothing,
    /// This one.
    Pull(Box<Seen>),
}

/// A pull request, and what was said about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// The pull request.
    pub pull: PullRequest,
    /// Whether it can be merged; none when that was not asked.
    pub merges: Option<bool>,
    /// Who wants something changed first.
    pub changes_asked: Vec<String>,
    /// Commit statuses that failed.
    pub failing: Vec<String>,
}

impl Seen {
    fn new(pull: PullRequest) -> Self {
        Self {
            merges: pull.mergeable,
            pull,
            changes_asked: Vec::new(),
            failing: Vec::new(),
        }
    }
}

impl ForgeView {
    /// A view of a forge that cannot be asked at all.
    #[must_use]
    pub fn of_nothing(why: &dyn Coded) -> Self {
        let problem = why.problem();
        Self {
            unseen: vec![Unseen::forge(&problem)],
            ..Self::default()
        }
    }

    /// Asks the forge. What cannot be asked is noted, and the rest is asked all the same.
    pub async fn look(forge: &Arc<dyn Forge>, user: &str, wanted: &Wanted) -> Self {
        let mut view = Self {
            user: user.to_owned(),
            ..Self::default()
        };
        for (repo, numbers) in wanted {
            if let Err(error) = view.look_at(forge.as_ref(), repo, numbers).await {
                view.unseen.push(Unseen::repository(repo, &error.problem()));
            }
        }
        view.look_closer(forge).await;
        view
    }

    async fn look_at(
        &mut self,
        forge: &dyn Forge,
        repo: &RepoName,
        numbers: &BTreeSet<IssueNumber>,
    ) -> Result<(), ForgeError> {
        let mut left = numbers.clone();
        self.list(forge, repo, StateFilter::Open, &mut left).await?;
        let issues = forge.issues(repo, &IssueFilter::default()).await?;
        let issues = issues.into_iter().map(|issue| issue.number).collect();
        self.open_issues.insert(repo.clone(), issues);
        if left.len() > SINGLE {
            self.list(forge, repo, StateFilter::Closed, &mut left)
                .await?;
        }
        let surplus = left.len().saturating_sub(MOST_MISSING);
        if surplus > 0 {
            self.unseen.push(Unseen::pulls(repo, surplus));
        }
        for number in left.into_iter().rev().take(MOST_MISSING) {
            let found = match forge.pull(repo, number).await {
                Ok(pull) => Found::Pull(Box::new(Seen::new(pull))),
                Err(ForgeError::NotFound(_)) => Found::Nothing,
                Err(error) => return Err(error),
            };
            self.pulls.insert((repo.clone(), number), found);
        }
        Ok(())
    }

    /// Lists pull requests of a state, and keeps those asked about; of open ones also older ones of
    /// timmy's own.
    async fn list(
        &mut self,
        forge: &dyn Forge,
        repo: &RepoName,
        state: StateFilter,
        left: &mut BTreeSet<IssueNumber>,
    ) -> Result<(), ForgeError> {
        let filter = PullFilter { state, head: None };
        for pull in forge.pulls(repo, &filter).await? {
            let asked = left.remove(&pull.number);
            let own = state == StateFilter::Open && self.is_own(&pull);
            if asked || own {
                let key = (repo.clone(), pull.number);
                let found = Found::Pull(Box::new(Seen::new(pull)));
                self.pulls.insert(key, found);
            }
        }
        Ok(())
    }

    fn is_own(&self, pull: &PullRequest) -> bool {
        pull.author.eq_ignore_ascii_case(&self.user)
            && !pull.from_fork
            && pull.head_branch.starts_with("timmy/")
    }

    /// Reads what was said about open pull requests, several at once.
    async fn look_closer(&mut self, forge: &Arc<dyn Forge>) {
        let open = self
            .pulls
            .iter()
            .rev()
            .filter_map(|(key, found)| match found {
                Found::Pull(seen) if seen.pull.state == PullState::Open => {
                    Some((key.clone(), seen))
                }
                _ => None,
            });
        let open: Vec<_> = open.map(|(key, seen)| (key, seen.clone())).collect();
        if let Some(surplus) = open.len().checked_sub(MOST_OPEN + 1) {
            self.unseen.push(Unseen::reviews(surplus + 1));
        }
        let room = Arc::new(Semaphore::new(AT_ONCE));
        let mut looks = JoinSet::new();
        for (key, seen) in open.into_iter().take(MOST_OPEN) {
            let (forge, room) = (Arc::clone(forge), Arc::clone(&room));
            looks.spawn(async move {
                let _turn = room.acquire().await;
                let looked = closer(forge.as_ref(), &key.0, *seen).await;
                (key, looked)
            });
        }
        let mut failed: BTreeMap<RepoName, ForgeError> = BTreeMap::new();
        while let Some(looked) = looks.join_next().await {
            match looked {
                Ok((key, Ok(seen))) => {
                    self.pulls.insert(key, Found::Pull(Box::new(seen)));
                }
                Ok((key, Err(error))) => drop(failed.insert(key.0, error)),
                Err(_) => {}
            }
        }
        for (repo, error) in failed {
            let problem = error.problem();
            self.unseen.push(Unseen::remarks(&repo, &problem));
        }
    }
}

async fn closer(forge: &dyn Forge, repo: &RepoName, mut seen: Seen) -> Result<Seen, ForgeError> {
    let number = seen.pull.number;
    let undecided = seen.pull.mergeable != Some(true) && !seen.pull.draft;
    if undecided {
        let checked = tokio::time::timeout(MERGE_WAIT, forge.checked_pull(repo, number)).await;
        let checked = checked.ok().transpose()?;
        seen.merges = Some(checked.is_some_and(|pull| pull.mergeable == Some(true)));
    }
    let reviews = forge.reviews(repo, number).await?;
    seen.changes_asked = changes_asked(&reviews);
    let statuses = forge.statuses(repo, &seen.pull.head).await?;
    let failing = statuses
        .iter()
        .filter(|status| matches!(status.state, StatusState::Failure | StatusState::Error));
    seen.failing = failing.map(|status| short(&status.context)).collect();
    seen.failing.sort();
    Ok(seen)
}

/// Whose newest verdict is that something must change.
fn changes_asked(reviews: &[Review]) -> Vec<String> {
    let mut verdicts: BTreeMap<&str, ReviewState> = BTreeMap::new();
    for review in reviews {
        match review.state {
            ReviewState::Approved | ReviewState::RequestChanges | ReviewState::Dismissed => {
                verdicts.insert(&review.author, review.state);
            }
            ReviewState::Comment | ReviewState::Pending => {}
        }
    }
    let against = verdicts
        .into_iter()
        .filter(|(_, state)| *state == ReviewState::RequestChanges);
    against.map(|(author, _)| short(author)).collect()
}
