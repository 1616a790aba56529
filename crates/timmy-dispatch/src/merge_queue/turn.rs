//! One turn of a repository's queue, against the forge.

use std::collections::BTreeMap;

use serde::Serialize;
use timmy_core::Code;
use timmy_core::Coded;
use timmy_core::EventKind;
use timmy_core::EventSink;
use timmy_core::ExitStatus;
use timmy_core::IssueNumber;
use timmy_core::ObjectName;
use timmy_core::Problem;
use timmy_core::Receipt;
use timmy_core::RunId;
use timmy_core::text;
use timmy_forge::ForgeError;
use timmy_forge::IssueState;
use timmy_forge::MergeRequest;
use timmy_forge::PullFilter;
use timmy_forge::PullRequest;
use timmy_forge::PullState;
use timmy_forge::Status;
use timmy_forge::StatusState;
use timmy_git::BareRepository;
use timmy_git::GitError;
use timmy_git::MergedTree;
use timmy_git::RefName;
use timmy_git::Refspec;
use timmy_git::Revision;
use timmy_sandbox::Sandbox;

use super::MergeQueueSettings;
use super::Queued;
use super::Standing;
use super::machine::Answer;
use super::machine::Entry;
use super::machine::Layer;
use super::machine::MergeQueue;
use super::machine::Rejection;
use super::machine::Rest;
use super::machine::Step;
use super::standing;
use crate::Desk;
use crate::error::SprintError;
use crate::sprint::RunPlace;
use crate::sprint::Taken;

/// The number whose claim is the right to work the queue. No issue has it.
const QUEUE: IssueNumber = 0;
/// The commit status by which a base branch that fails is known again.
const CONTEXT: &str = "timmy/queue";
/// The end of the check's output that a comment shows, in bytes.
const OUTPUT_BYTES: usize = 4 << 10;

/// What a turn did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct MergeTurn {
    /// Pull requests that are merged now, in order.
    pub merged: Vec<IssueNumber>,
    /// Those that lost their place, and why.
    pub rejected: Vec<(IssueNumber, String)>,
    /// How often the check ran.
    pub checks: u32,
    /// Why it ended, as a sentence.
    pub rest: String,
    /// Whether another turn would find something to do at once.
    pub more: bool,
}

/// Where pull requests go.
struct Target {
    branch: String,
    reference: RefName,
}

struct Turn<'a> {
    desk: &'a Desk,
    sandbox: &'a dyn Sandbox,
    settings: &'a MergeQueueSettings,
    bare: BareRepository,
    target: Target,
    check: String,
    pulls: BTreeMap<IssueNumber, PullRequest>,
    /// The newest check that failed.
    failed: Option<Receipt>,
    report: MergeTurn,
}

impl Desk {
    /// The open pull requests in the order of the queue, each with its standing.
    ///
    /// # Errors
    /// When the forge does not answer.
    pub async fn merge_queue(
        &self,
        settings: &MergeQueueSettings,
    ) -> Result<Vec<Queued>, SprintError> {
        let target = self.merge_target().await?;
        let pulls = self.queued_pulls(&target, settings).await?;
        Ok(pulls.into_iter().map(|(_, queued)| queued).collect())
    }

    /// Works the queue off once. Goes on from whatever the forge shows: a turn that was killed has
    /// merged some, and the others are still there.
    ///
    /// # Errors
    /// When forge, git, sandbox or log fail in the middle. What was merged is merged.
    pub async fn merge_turn(
        &self,
        sandbox: &dyn Sandbox,
        settings: &MergeQueueSettings,
    ) -> Result<MergeTurn, SprintError> {
        let target = self.merge_target().await?;
        let ready = |(_, queued): &(PullRequest, Queued)| queued.standing == Standing::Ready;
        if !self
            .queued_pulls(&target, settings)
            .await?
            .iter()
            .any(ready)
        {
            return Ok(MergeTurn {
                rest: "no pull request is ready".to_owned(),
                ..MergeTurn::default()
            });
        }
        let run = RunId::generate();
        let hold = match self.hold(&run, QUEUE).await? {
            Taken::Won(hold) => hold,
            Taken::Held(rest) => {
                return Ok(MergeTurn {
                    rest,
                    ..MergeTurn::default()
                });
            }
        };
        let done = hold
            .while_held(self.merge_under_claim(target, sandbox, settings))
            .await;
        let released = hold.release(&self.events(), &run).await;
        let report = done?;
        released?;
        Ok(report)
    }

    async fn merge_under_claim(
        &self,
        target: Target,
        sandbox: &dyn Sandbox,
        settings: &MergeQueueSettings,
    ) -> Result<MergeTurn, SprintError> {
        let bare = self.bare().await?;
        let base = self.fetch_branch(&bare, &target.reference).await?;
        // Read again: another host may have worked until the claim was free.
        let queued = self.queued_pulls(&target, settings).await?;
        let ready = queued
            .into_iter()
            .filter(|(_, queued)| queued.standing == Standing::Ready);
        let pulls: BTreeMap<IssueNumber, PullRequest> =
            ready.map(|(pull, _)| (pull.number, pull)).collect();
        let turn = Turn {
            desk: self,
            sandbox,
            settings,
            check: self.read_project(&base).await?.check,
            bare,
            target,
            pulls,
            failed: None,
            report: MergeTurn::default(),
        };
        turn.work(base).await
    }

    async fn merge_target(&self) -> Result<Target, SprintError> {
        let repository = self.forge.repository(&self.repo).await?;
        if repository.archived {
            return Err(SprintError::Archived(self.repo.clone()));
        }
        let named = self.settings.base_branch.clone();
        let branch = named.unwrap_or(repository.default_branch);
        let reference = format!("refs/heads/{branch}").parse();
        let reference = reference.map_err(GitError::from)?;
        Ok(Target { branch, reference })
    }

    /// Oldest first: who waited longest is stacked first.
    async fn queued_pulls(
        &self,
        target: &Target,
        settings: &MergeQueueSettings,
    ) -> Result<Vec<(PullRequest, Queued)>, SprintError> {
        let mut pulls = self.forge.pulls(&self.repo, &PullFilter::default()).await?;
        pulls.sort_by_key(|pull| pull.number);
        let mut queued = Vec::with_capacity(pulls.len());
        for pull in pulls {
            let mut standing = standing::standing(&pull, &target.branch, settings);
            if standing == Standing::Ready {
                let reviews = self.forge.reviews(&self.repo, pull.number).await?;
                let comments = self.forge.comments(&self.repo, pull.number).await?;
                standing = standing::objection(&pull, &reviews, &comments, &self.login);
            }
            let shown = Queued {
                number: pull.number,
                title: self.presentable_line(&pull.title),
                head: pull.head.clone(),
                standing,
            };
            queued.push((pull, shown));
        }
        Ok(queued)
    }
}

impl Turn<'_> {
    async fn work(mut self, base: ObjectName) -> Result<MergeTurn, SprintError> {
        if self.is_known_to_fail(&base).await? {
            self.report.rest = Rest::BaseFails.to_string();
            return Ok(self.report);
        }
        let entry = |pull: &PullRequest| Entry {
            number: pull.number,
            head: pull.head.clone(),
        };
        let entries = self.pulls.values().map(entry).collect();
        let mut queue = MergeQueue::new(base, entries, self.settings.batch);
        loop {
            let answer = match queue.next() {
                Step::Stack { base, pulls } => self.stack(base, pulls).await?,
                Step::Check { commit, pulls } => self.check(&commit, pulls).await?,
                Step::Merge { pull, base, tree } => self.merge(&pull, &base, &tree).await?,
                Step::Reject { pull, reason } => self.reject(&pull, &reason).await?,
                Step::Rest(rest) => {
                    self.report.rest = rest.to_string();
                    self.report.more = rest == Rest::Restless;
                    return Ok(self.report);
                }
            };
            queue.answer(answer);
        }
    }

    async fn record(&self, kind: EventKind) -> Result<(), Problem> {
        self.desk.events().append(None, kind).await.map(drop)
    }

    /// Somebody has to mend the base branch; until it moves, nothing is checked on it again.
    async fn is_known_to_fail(&self, base: &ObjectName) -> Result<bool, SprintError> {
        let statuses = self.desk.forge.statuses(&self.desk.repo, base).await?;
        let failed =
            |status: &Status| status.context == CONTEXT && status.state == StatusState::Failure;
        Ok(statuses.iter().any(failed))
    }

    async fn stack(&self, base: ObjectName, pulls: Vec<Entry>) -> Result<Answer, SprintError> {
        let mut layers: Vec<Layer> = Vec::with_capacity(pulls.len());
        for pull in pulls {
            if !self.fetch_head(&pull).await? {
                return Ok(Answer::Changed(pull.number));
            }
            let below = layers.last().map_or(&base, |layer| &layer.commit);
            let tree = match self.bare.merge_tree(below, &pull.head).await? {
                MergedTree::Clean(tree) => tree,
                MergedTree::Conflict(paths) => {
                    let number = pull.number;
                    return Ok(Answer::Conflict { number, paths });
                }
            };
            let message = format!("Stack #{}", pull.number);
            let now = self.desk.clock.now();
            let parents = [below, &pull.head];
            let commit = self
                .bare
                .commit_tree(&tree, &parents, &message, now)
                .await?;
            layers.push(Layer { pull, commit, tree });
        }
        Ok(Answer::Stacked(layers))
    }

    /// Whether the branch still ends in the head that was looked at, which is here then.
    async fn fetch_head(&self, entry: &Entry) -> Result<bool, SprintError> {
        let Some(pull) = self.pulls.get(&entry.number) else {
            return Ok(false);
        };
        let branch: RefName = format!("refs/heads/{}", pull.head_branch)
            .parse()
            .map_err(GitError::from)?;
        let ours: RefName = format!("refs/timmy/queue/{}", entry.number)
            .parse()
            .map_err(GitError::from)?;
        let refspec = [Refspec::one(&branch, &ours)];
        match self.bare.fetch(&self.desk.remote, &refspec).await {
            Ok(()) => {}
            Err(GitError::NotFound { .. }) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        let found = self.bare.resolve(&Revision::Reference(ours)).await?;
        Ok(found.as_ref() == Some(&entry.head))
    }

    async fn check(
        &mut self,
        commit: &ObjectName,
        pulls: Vec<IssueNumber>,
    ) -> Result<Answer, SprintError> {
        let place = RunPlace::make(&self.desk.root, &RunId::generate())?;
        let checkout = place.check_tree()?;
        let checked = self
            .desk
            .check(self.sandbox, commit, &self.check, &checkout)
            .await;
        place.clear()?;
        let receipt = checked?;
        self.report.checks += 1;
        let passed = receipt.passed();
        let of_base = pulls.is_empty();
        let event = EventKind::StackChecked {
            repo: self.desk.repo.clone(),
            pulls,
            receipt: receipt.clone(),
        };
        self.record(event).await?;
        if !passed && of_base {
            self.mark_base(commit).await?;
        }
        if !passed {
            self.failed = Some(receipt);
        }
        Ok(Answer::Checked { passed })
    }

    async fn mark_base(&self, base: &ObjectName) -> Result<(), SprintError> {
        let status = Status {
            context: CONTEXT.to_owned(),
            state: StatusState::Failure,
            description: "the check fails here; the merge queue waits".to_owned(),
            target_url: String::new(),
        };
        self.desk
            .forge
            .set_status(&self.desk.repo, base, &status)
            .await?;
        let what = format!("the check fails on {} itself", self.target.branch);
        let problem = Problem::new(Code::new(951), ExitStatus::Failure, what)
            .at(format!("{} at {}", self.desk.repo, base.short()))
            .fix("push a repair to that branch; no pull request is to blame");
        Ok(self.record(EventKind::Warned { problem }).await?)
    }

    async fn merge(
        &mut self,
        entry: &Entry,
        base: &ObjectName,
        tree: &ObjectName,
    ) -> Result<Answer, SprintError> {
        let desk = self.desk;
        let now = desk
            .fetch_branch(&self.bare, &self.target.reference)
            .await?;
        if now != *base {
            return Ok(Answer::Diverged {
                base: now,
                merged: false,
            });
        }
        let pull = desk.forge.pull(&desk.repo, entry.number).await?;
        let labelled = pull.labels.contains(&self.settings.label);
        if pull.state != PullState::Open || pull.head != entry.head || !labelled {
            return Ok(Answer::Changed(entry.number));
        }
        let request = MergeRequest {
            style: self.settings.style,
            head: entry.head.clone(),
        };
        match desk
            .forge
            .merge_pull(&desk.repo, entry.number, &request)
            .await
        {
            Ok(_) => {}
            // Another head, or closed, since it was looked at.
            Err(ForgeError::Conflict(_) | ForgeError::NotFound(_)) => {
                return Ok(Answer::Changed(entry.number));
            }
            Err(ForgeError::NotMergeable(refusal)) => {
                return Ok(Answer::Refused { said: refusal.said });
            }
            Err(error) => return Err(error.into()),
        }
        self.report.merged.push(entry.number);
        self.settle_issue(entry.number).await?;
        let base = desk
            .fetch_branch(&self.bare, &self.target.reference)
            .await?;
        if self.bare.tree_of(&base).await? == *tree {
            return Ok(Answer::Merged { base });
        }
        let what = format!(
            "after merging #{} {} is not what was tested",
            entry.number, self.target.branch
        );
        let problem = Problem::new(Code::new(950), ExitStatus::Failure, what)
            .at(format!("{} at {}", desk.repo, base.short()))
            .fix("nothing to do: what still waits is checked again on the new base");
        self.record(EventKind::Warned { problem }).await?;
        Ok(Answer::Diverged { base, merged: true })
    }

    /// An own pull request answers an issue, which some forges close by themselves.
    async fn settle_issue(&self, number: IssueNumber) -> Result<(), SprintError> {
        let desk = self.desk;
        let Some(summary) = desk.run_of_pull(number).await? else {
            return Ok(());
        };
        let (repo, issue) = (desk.repo.clone(), summary.issue);
        let merged = EventKind::PullRequestMerged {
            repo: repo.clone(),
            issue,
            number,
        };
        self.record(merged).await?;
        let closed = match desk.forge.issue(&repo, issue).await {
            Ok(found) if found.state == IssueState::Closed => return Ok(()),
            Ok(_) => desk.forge.close_issue(&repo, issue).await,
            Err(error) => Err(error),
        };
        let event = match closed {
            Ok(_) => EventKind::IssueClosed { repo, issue },
            // It waits for another, or is gone: the merge stands.
            Err(error) => EventKind::Warned {
                problem: error.problem(),
            },
        };
        Ok(self.record(event).await?)
    }

    async fn reject(&mut self, entry: &Entry, reason: &Rejection) -> Result<Answer, SprintError> {
        let desk = self.desk;
        let sentence = desk.redactor.redact(&reason.to_string());
        let body = self.told(entry, reason, &sentence);
        desk.forge.comment(&desk.repo, entry.number, &body).await?;
        let event = EventKind::QueueRejected {
            repo: desk.repo.clone(),
            number: entry.number,
            reason: sentence.clone(),
        };
        self.record(event).await?;
        self.report.rejected.push((entry.number, sentence));
        Ok(Answer::Rejected)
    }

    fn told(&self, entry: &Entry, reason: &Rejection, sentence: &str) -> String {
        let mut body = format!(
            "{}\nNot merged: {}.\n\nAt {} this lost its place in the merge queue. With another \
             commit it has it again.\n",
            standing::rejection_mark(&entry.head),
            text::defuse_markdown(sentence),
            entry.head.short(),
        );
        if let (Rejection::Breaks { .. }, Some(receipt)) = (reason, &self.failed) {
            let output = text::tail(&receipt.output_tail, OUTPUT_BYTES);
            let output = text::fence(&self.desk.redactor.redact(&output), "text");
            let summary = "\n<details><summary>Output of the check</summary>\n\n";
            body.push_str(&format!("{summary}{output}\n\n</details>\n"));
        }
        body
    }
}
