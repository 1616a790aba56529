//! Looking at the open issues, and taking the first one that can be worked on.

use std::collections::BTreeMap;

use serde::Serialize;
use timmy_core::EventKind;
use timmy_core::EventSink;
use timmy_core::ExitStatus;
use timmy_core::IssueName;
use timmy_core::IssueNumber;
use timmy_core::ObjectName;
use timmy_core::RunId;
use timmy_core::event::Outcome;
use timmy_core::event::PassedOver;
use timmy_forge::ForgeError;
use timmy_forge::Issue;
use timmy_forge::IssueFilter;
use timmy_forge::IssueState;
use timmy_forge::PullFilter;
use timmy_forge::PullState;
use timmy_forge::StateFilter;
use timmy_git::RefName;
use timmy_git::RefPattern;
use timmy_store::runs::RunSummary;

use super::Choice;
use super::SprintRequest;
use super::desk::Desk;
use super::hold::Hold;
use super::hold::Taken;
use crate::error::SprintError;
use crate::selection;
use crate::selection::Answer;
use crate::selection::Blocker;
use crate::selection::Candidate;
use crate::selection::Past;

/// Branches that timmy pushes: `timmy/<issue>-<attempt>`.
const OWN_BRANCHES: &str = "refs/heads/timmy";
/// Runs of the past on one issue that are looked at.
const RUNS_LOOKED_AT: u32 = 2_000;
/// Rules that a person overrules by naming the issue.
const OVERRULED_BY_NAME: [&str; 4] = ["kind", "labels", "assignee", "attempts"];

/// An issue that is about to be worked on.
pub(super) struct Chosen {
    pub(super) issue: Issue,
    /// The branch the work starts from and goes to, by its short name.
    pub(super) base_branch: String,
    /// Its commit on the forge.
    pub(super) base: ObjectName,
    /// The branch that will be pushed, as a full ref name.
    pub(super) branch: String,
}

/// A branch that an attempt pushed.
pub(super) struct OwnBranch {
    pub(super) issue: IssueNumber,
    /// Its short name.
    pub(super) name: String,
    pub(super) commit: ObjectName,
}

/// Every rule's answer about one issue.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// The issue.
    pub issue: IssueNumber,
    /// Its title.
    pub title: String,
    /// Whether a sprint would take it.
    pub workable: bool,
    /// The answers, in the order in which the rules are asked.
    pub answers: Vec<Answer>,
}

/// What is known about the repository before single issues are looked at.
struct Ground {
    base_branch: String,
    base: ObjectName,
    /// Branches of earlier attempts, by issue.
    branches: BTreeMap<IssueNumber, Vec<String>>,
}

impl Desk {
    /// Which issue a sprint would take now. Claims nothing.
    ///
    /// # Errors
    /// When the repository cannot be worked on or the forge fails.
    pub async fn choose(&self) -> Result<Choice, SprintError> {
        self.look_over(Extent::UpToTheChosen).await
    }

    /// As [`Self::choose`], but says of every open issue why a sprint would not take it, also of
    /// those that come after the one it would take.
    ///
    /// # Errors
    /// As [`Self::choose`].
    pub async fn survey(&self) -> Result<Choice, SprintError> {
        self.look_over(Extent::EveryIssue).await
    }

    async fn look_over(&self, extent: Extent) -> Result<Choice, SprintError> {
        let ground = self.ground().await?;
        let mut choice = Choice {
            issue: None,
            title: None,
            passed_over: Vec::new(),
        };
        for issue in self.ordered_issues().await? {
            let candidate = self.candidate(&ground, issue, Depth::WithClaim).await?;
            let answers = self.judge(&candidate);
            let passed_over = selection::passed_over(candidate.issue.number, &answers);
            match passed_over {
                Some(passed_over) => choice.passed_over.push(passed_over),
                None if choice.issue.is_none() => {
                    choice.issue = Some(candidate.issue.number);
                    choice.title = Some(self.presentable_line(&candidate.issue.title));
                    if extent == Extent::UpToTheChosen {
                        break;
                    }
                }
                None => {}
            }
        }
        Ok(choice)
    }

    /// Every rule's answer about one issue.
    ///
    /// # Errors
    /// When the repository cannot be worked on, or the forge fails or has no such issue.
    pub async fn explain(&self, number: IssueNumber) -> Result<Explanation, SprintError> {
        let ground = self.ground().await?;
        let issue = self.forge.issue(&self.repo, number).await?;
        let title = self.presentable_line(&issue.title);
        let candidate = self.candidate(&ground, issue, Depth::Everything).await?;
        let answers = self.judge(&candidate);
        let workable = selection::failure(&answers).is_none();
        Ok(Explanation {
            issue: number,
            title,
            workable,
            answers,
        })
    }

    /// The prompt for an issue, for another agent or a person. It holds no token.
    ///
    /// # Errors
    /// As [`Self::explain`].
    pub async fn prompt_for(&self, number: IssueNumber) -> Result<String, SprintError> {
        let ground = self.ground().await?;
        let issue = self.forge.issue(&self.repo, number).await?;
        let chosen = ground.chosen(issue);
        let project = self.read_project(&chosen.base).await?;
        // Whoever reads it is in a clone of their own.
        let here = std::path::Path::new("$PWD");
        Ok(self.prompt(&chosen, &project, here).await?.whole())
    }

    /// Takes the claim of the first issue that passes every rule.
    pub(super) async fn take(
        &self,
        run: &RunId,
        request: &SprintRequest,
    ) -> Result<(Choice, Option<(Chosen, Hold)>), SprintError> {
        let ground = self.ground().await?;
        let mut passed_over = Vec::new();
        let mut taken = None;
        let issues = match request.issue {
            Some(number) => vec![self.forge.issue(&self.repo, number).await?],
            None => self.ordered_issues().await?,
        };
        for issue in issues {
            let number = issue.number;
            match self.try_to_take(run, request, &ground, issue).await? {
                Ok(pair) => {
                    taken = Some(pair);
                    break;
                }
                Err(reason) => passed_over.push(PassedOver {
                    issue: number,
                    reason,
                }),
            }
        }
        let selected = taken.as_ref().map(|(chosen, _)| chosen.issue.number);
        let considered = EventKind::IssuesConsidered {
            repo: self.repo.clone(),
            selected,
            passed_over: passed_over.clone(),
        };
        self.events().append(None, considered).await?;
        if let (Some(issue), None) = (request.issue, selected) {
            let reason = passed_over
                .pop()
                .map(|passed| passed.reason)
                .unwrap_or_default();
            return Err(SprintError::NotWorkable { issue, reason });
        }
        let title = taken
            .as_ref()
            .map(|(chosen, _)| self.presentable_line(&chosen.issue.title));
        Ok((
            Choice {
                issue: selected,
                title,
                passed_over,
            },
            taken,
        ))
    }

    async fn try_to_take(
        &self,
        run: &RunId,
        request: &SprintRequest,
        ground: &Ground,
        issue: Issue,
    ) -> Result<Result<(Chosen, Hold), String>, SprintError> {
        let candidate = self.candidate(ground, issue, Depth::WithoutClaim).await?;
        let mut answers = self.judge(&candidate);
        if request.issue.is_some() {
            answers.retain(|answer| !OVERRULED_BY_NAME.contains(&answer.rule));
        }
        if let Some(reason) = selection::failure(&answers) {
            return Ok(Err(reason.to_owned()));
        }
        match self.hold(run, candidate.issue.number).await? {
            Taken::Held(reason) => Ok(Err(reason)),
            Taken::Won(hold) => Ok(Ok((ground.chosen(candidate.issue), hold))),
        }
    }

    fn judge(&self, candidate: &Candidate) -> Vec<Answer> {
        selection::judge(candidate, &self.settings.selection, &self.login)
    }

    async fn ordered_issues(&self) -> Result<Vec<Issue>, SprintError> {
        let mut issues = self
            .forge
            .issues(&self.repo, &IssueFilter::default())
            .await?;
        selection::order(&mut issues, &self.settings.selection);
        Ok(issues)
    }

    async fn ground(&self) -> Result<Ground, SprintError> {
        let repository = self.forge.repository(&self.repo).await?;
        if repository.archived {
            return Err(SprintError::Archived(self.repo.clone()));
        }
        if !repository.can_push {
            return Err(SprintError::ReadOnly(self.repo.clone()));
        }
        let base_branch = self
            .settings
            .base_branch
            .clone()
            .unwrap_or(repository.default_branch);
        if repository.empty {
            return Err(SprintError::Unborn {
                repo: self.repo.clone(),
                branch: base_branch,
            });
        }
        let bare = self.bare().await?;
        let reference: RefName = format!("refs/heads/{base_branch}")
            .parse()
            .map_err(timmy_git::GitError::from)?;
        let base = self.fetch_branch(&bare, &reference).await?;
        let mut branches: BTreeMap<IssueNumber, Vec<String>> = BTreeMap::new();
        for own in self.own_branches().await? {
            branches.entry(own.issue).or_default().push(own.name);
        }
        Ok(Ground {
            base_branch,
            base,
            branches,
        })
    }

    /// The branches of earlier attempts that are on the forge.
    pub(super) async fn own_branches(&self) -> Result<Vec<OwnBranch>, SprintError> {
        let own: RefName = OWN_BRANCHES.parse().map_err(timmy_git::GitError::from)?;
        let bare = self.bare().await?;
        let found = bare
            .list_remote(&self.remote, &[RefPattern::Below(own)])
            .await?;
        let own_branch = |(name, commit): (RefName, ObjectName)| {
            let name = name.branch()?.to_owned();
            let (issue, _) = issue_and_attempt(&name)?;
            Some(OwnBranch {
                issue,
                name,
                commit,
            })
        };
        Ok(found.into_iter().filter_map(own_branch).collect())
    }

    /// Finds out what the rules ask about an issue, as far as earlier answers make it necessary.
    async fn candidate(
        &self,
        ground: &Ground,
        issue: Issue,
        depth: Depth,
    ) -> Result<Candidate, SprintError> {
        let mut candidate = Candidate {
            issue,
            blockers: None,
            claim: None,
            past: Past::default(),
        };
        let decided = |candidate: &Candidate| selection::failure(&self.judge(candidate)).is_some();
        if depth != Depth::Everything && decided(&candidate) {
            return Ok(candidate);
        }
        let number = candidate.issue.number;
        candidate.past = self.past(ground, number).await?;
        if depth != Depth::Everything && decided(&candidate) {
            return Ok(candidate);
        }
        let blockers = self.forge.blockers(&self.repo, number).await?;
        let blocker = |issue: Issue| Blocker {
            number: issue.number,
            open: issue.state == IssueState::Open,
        };
        candidate.blockers = Some(blockers.into_iter().map(blocker).collect());
        if depth != Depth::WithoutClaim {
            candidate.claim = self.holder(number).await?;
        }
        Ok(candidate)
    }

    async fn past(&self, ground: &Ground, issue: IssueNumber) -> Result<Past, SprintError> {
        let mut past = Past::default();
        for branch in ground.branches.get(&issue).into_iter().flatten() {
            let filter = PullFilter {
                state: StateFilter::All,
                head: Some(branch.clone()),
            };
            for pull in self.forge.pulls(&self.repo, &filter).await? {
                past.note(pull.number, pull.state);
            }
        }
        for summary in self.runs_on(issue).await? {
            match &summary.pull_request {
                Some(link) if past.open_pull.is_none() => {
                    match self.forge.pull(&self.repo, link.number).await {
                        Ok(pull) => past.note(pull.number, pull.state),
                        // Deleted by a person: as much an answer as a closed one, and no reason to
                        // leave every other issue alone.
                        Err(ForgeError::NotFound(_)) => past.note(link.number, PullState::Closed),
                        Err(error) => return Err(error.into()),
                    }
                }
                Some(_) => {}
                None => past.failed_attempts += u32::from(counts_as_attempt(&summary)),
            }
        }
        Ok(past)
    }

    /// The runs of this log on an issue, newest first.
    async fn runs_on(&self, issue: IssueNumber) -> Result<Vec<RunSummary>, SprintError> {
        let subject = IssueName {
            repo: self.repo.clone(),
            number: issue,
        };
        Ok(self.events().runs_on(&subject, RUNS_LOOKED_AT).await?)
    }

    /// The run of this log that opened a pull request.
    pub(super) async fn run_of_pull(
        &self,
        number: IssueNumber,
    ) -> Result<Option<RunSummary>, SprintError> {
        let runs = self.events().runs_that_opened(number).await?;
        Ok(runs.into_iter().find(|run| run.repo == self.repo))
    }
}

/// How many of the open issues are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// As many as it takes to choose one.
    UpToTheChosen,
    /// All of them, for a person.
    EveryIssue,
}

/// How much is looked up about an issue.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    /// Up to the first rule that fails; the claim is tried instead of looked at.
    WithoutClaim,
    /// Up to the first rule that fails.
    WithClaim,
    /// Everything, for a person.
    Everything,
}

impl Ground {
    fn chosen(&self, issue: Issue) -> Chosen {
        let earlier = self.branches.get(&issue.number).into_iter().flatten();
        let attempts = earlier
            .filter_map(|branch| issue_and_attempt(branch))
            .map(|(_, n)| n);
        let next = attempts.max().unwrap_or(0) + 1;
        Chosen {
            branch: format!("{OWN_BRANCHES}/{}-{next}", issue.number),
            issue,
            base_branch: self.base_branch.clone(),
            base: self.base.clone(),
        }
    }
}

impl Past {
    fn note(&mut self, number: IssueNumber, state: PullState) {
        match state {
            PullState::Open => self.open_pull = Some(number),
            PullState::Closed => self.refused_pull = Some(number),
            PullState::Merged => self.merged_pull = Some(number),
        }
    }
}

/// Reads `timmy/<issue>-<attempt>`.
pub(super) fn issue_and_attempt(branch: &str) -> Option<(IssueNumber, u64)> {
    let (issue, attempt) = branch.strip_prefix("timmy/")?.split_once('-')?;
    Some((issue.parse().ok()?, attempt.parse().ok()?))
}

/// Whether a run says something about its issue. A forge or model that was away, or a
/// setting that is missing, does not.
fn counts_as_attempt(summary: &RunSummary) -> bool {
    match &summary.outcome {
        None
        | Some(
            Outcome::ClaimLost
            | Outcome::Cancelled { .. }
            | Outcome::PullRequest { .. }
            | Outcome::Draft { .. },
        ) => false,
        Some(Outcome::Failed { problem }) => {
            matches!(
                problem.exit,
                ExitStatus::Failure | ExitStatus::Data | ExitStatus::Internal
            )
        }
        Some(
            Outcome::NoChange
            | Outcome::CheckFailed
            | Outcome::Blocked
            | Outcome::Stopped { .. }
            | Outcome::Abandoned
            | Outcome::Stalled { .. },
        ) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_branches_tell_an_issue() {
        assert_eq!(Some((12, 3)), issue_and_attempt("timmy/12-3"));
        for other in ["timmy/12", "timmy/x-1", "feature/12-1", "timmy/12-1-b"] {
            assert_eq!(None, issue_and_attempt(other));
        }
    }
}
