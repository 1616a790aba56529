//! Looking at the open issues, and taking the first one that can be worked on.

use std::collections::BTreeMap;

use serde::Serialize;
use timmy_core::EventKind;
use timmy_core::EventSink;
use timmy_core::IssueNumber;
use timmy_core::ObjectName;
use timmy_core::RunId;
use timmy_core::event::Feedback;
use timmy_core::event::Fingerprint;
use timmy_core::event::PassedOver;
use timmy_forge::ForgeError;
use timmy_forge::Issue;
use timmy_forge::IssueFilter;
use timmy_forge::IssueState;
use timmy_git::RefName;

use super::Choice;
use super::Declined;
use super::Wish;
use super::branches::issue_and_attempt;
use super::desk::Desk;
use super::hold::Hold;
use super::hold::Taken;
use crate::error::SprintError;
use crate::selection;
use crate::selection::Answer;
use crate::selection::Blocker;
use crate::selection::Candidate;
use crate::selection::Past;

/// Rules that a person overrules by naming the issue.
const OVERRULED_BY_NAME: [&str; 5] = ["kind", "labels", "assignee", "stopped", "attempts"];

/// An issue that is about to be worked on.
pub(super) struct Chosen {
    pub(super) issue: Issue,
    /// The branch the work starts from and goes to, by its short name.
    pub(super) base_branch: String,
    /// Its commit on the forge.
    pub(super) base: ObjectName,
    /// The commit whose instructions and check count: never one that an agent has written.
    pub(super) trusted: ObjectName,
    /// The branch that will be pushed, as a full ref name.
    pub(super) branch: String,
    /// What the attempt begins from.
    pub(super) fingerprint: Fingerprint,
    /// What changed since the attempts that put the issue into quarantine; empty without one.
    pub(super) lifted: Vec<String>,
    /// The feedback that the attempt answers.
    pub(super) answers: Option<Answers>,
}

/// Feedback on an own pull request.
pub(super) struct Answers {
    pub(super) pull: IssueNumber,
    pub(super) feedback: Vec<Feedback>,
}

impl Chosen {
    /// The own pull request whose feedback is answered.
    pub(super) fn answered_pull(&self) -> Option<IssueNumber> {
        self.answers.as_ref().map(|answers| answers.pull)
    }

    /// What the attempt has to answer.
    pub(super) fn feedback(&self) -> &[Feedback] {
        self.answers
            .as_ref()
            .map_or(&[], |answers| &answers.feedback)
    }
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
pub(super) struct Ground {
    pub(super) base_branch: String,
    pub(super) base: ObjectName,
    /// SHA-256 of what every prompt for this base has in common.
    pub(super) prompt: String,
    /// Branches of earlier attempts, by issue.
    pub(super) branches: BTreeMap<IssueNumber, Vec<String>>,
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
            let considered = self.candidate(&ground, issue, Depth::WithClaim).await?;
            let candidate = considered.candidate;
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
        let considered = self.candidate(&ground, issue, Depth::Everything).await?;
        let answers = self.judge(&considered.candidate);
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
        let chosen = self.chosen(&ground, issue, Vec::new()).await?;
        let project = self.read_project(&chosen.base).await?;
        // Whoever reads it is in a clone of their own.
        let here = std::path::Path::new("$PWD");
        let next = RunId::generate();
        Ok(self.prompt(&next, &chosen, &project, here).await?.whole())
    }

    /// Takes the claim of the issue that is wished for, or of the first one that passes every rule.
    pub(super) async fn take(
        &self,
        run: &RunId,
        wish: Wish,
    ) -> Result<(Choice, Option<(Chosen, Hold)>), SprintError> {
        let ground = self.ground().await?;
        let mut passed_over = Vec::new();
        let mut taken = None;
        let named = match wish {
            Wish::Best => None,
            Wish::Insisted(number) | Wish::Issue(number) => Some(number),
        };
        let issues = match named {
            Some(number) => vec![self.forge.issue(&self.repo, number).await?],
            None => self.ordered_issues().await?,
        };
        for issue in issues {
            let number = issue.number;
            match self.try_to_take(run, wish, &ground, issue).await? {
                Ok(pair) => {
                    taken = Some(pair);
                    break;
                }
                Err(declined) => passed_over.push(PassedOver {
                    issue: number,
                    reason: declined.reason,
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
        if let (Some(issue), None) = (named, selected) {
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

    /// Takes the claim of the issue that is ordered, or says why not.
    pub(super) async fn take_ordered(
        &self,
        run: &RunId,
        number: IssueNumber,
    ) -> Result<Result<(Chosen, Hold), Declined>, SprintError> {
        let issue = match self.forge.issue(&self.repo, number).await {
            Ok(issue) => issue,
            Err(ForgeError::NotFound(_)) => {
                let reason = "it is not on the forge any more".to_owned();
                return Ok(Err(Declined {
                    rule: "open",
                    reason,
                }));
            }
            Err(error) => return Err(error.into()),
        };
        let ground = self.ground().await?;
        self.try_to_take(run, Wish::Issue(number), &ground, issue)
            .await
    }

    async fn try_to_take(
        &self,
        run: &RunId,
        wish: Wish,
        ground: &Ground,
        issue: Issue,
    ) -> Result<Result<(Chosen, Hold), Declined>, SprintError> {
        let considered = match self.pass(wish, ground, issue).await? {
            Ok(considered) => considered,
            Err(declined) => return Ok(Err(declined)),
        };
        let number = considered.candidate.issue.number;
        match self.hold(run, number).await? {
            Taken::Held(reason) => Ok(Err(Declined {
                rule: "claim",
                reason,
            })),
            Taken::Won(hold) => self.under(run, wish, number, hold).await,
        }
    }

    /// An issue that passes every rule, or the first one that failed. The claim is not looked at.
    pub(super) async fn pass(
        &self,
        wish: Wish,
        ground: &Ground,
        issue: Issue,
    ) -> Result<Result<Considered, Declined>, SprintError> {
        let considered = self.candidate(ground, issue, Depth::WithoutClaim).await?;
        let mut answers = self.judge(&considered.candidate);
        if matches!(wish, Wish::Insisted(_)) {
            answers.retain(|answer| !OVERRULED_BY_NAME.contains(&answer.rule));
        }
        let Some(failed) = selection::first_failure(&answers) else {
            return Ok(Ok(considered));
        };
        Ok(Err(Declined {
            rule: failed.rule,
            reason: failed.finding.clone(),
        }))
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

    pub(super) async fn ground(&self) -> Result<Ground, SprintError> {
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
        let prompt = self.prompt_sha256(&bare, &base).await?;
        Ok(Ground {
            base_branch,
            base,
            prompt,
            branches,
        })
    }

    /// Finds out what the rules ask about an issue, as far as earlier answers make it necessary.
    async fn candidate(
        &self,
        ground: &Ground,
        issue: Issue,
        depth: Depth,
    ) -> Result<Considered, SprintError> {
        let mut candidate = Candidate {
            issue,
            blockers: None,
            claim: None,
            past: Past::default(),
        };
        let mut lifted = Vec::new();
        let decided = |candidate: &Candidate| selection::failure(&self.judge(candidate)).is_some();
        if depth != Depth::Everything && decided(&candidate) {
            return Ok(Considered { candidate, lifted });
        }
        let number = candidate.issue.number;
        (candidate.past, lifted) = self.past(ground, &candidate.issue).await?;
        if depth != Depth::Everything && decided(&candidate) {
            return Ok(Considered { candidate, lifted });
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
        Ok(Considered { candidate, lifted })
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

/// What was found out about an issue.
pub(super) struct Considered {
    pub(super) candidate: Candidate,
    /// What changed since the attempts that put it into quarantine.
    pub(super) lifted: Vec<String>,
}

impl Ground {
    /// The branch of the next attempt, by its short name.
    pub(super) fn next_branch(&self, issue: IssueNumber) -> String {
        let earlier = self.branches.get(&issue).into_iter().flatten();
        let attempts = earlier
            .filter_map(|branch| issue_and_attempt(branch))
            .map(|(_, n)| n);
        let next = attempts.max().unwrap_or(0) + 1;
        format!("timmy/{issue}-{next}")
    }
}

impl Desk {
    /// The commit that new work starts from.
    ///
    /// # Errors
    /// As [`Self::choose`].
    pub async fn newest_base(&self) -> Result<ObjectName, SprintError> {
        Ok(self.ground().await?.base)
    }

    /// The branch of the next attempt, by its short name.
    pub(super) async fn next_branch(&self, issue: IssueNumber) -> Result<String, SprintError> {
        Ok(self.ground().await?.next_branch(issue))
    }
}
