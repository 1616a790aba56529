//! Follow-up: what becomes of own pull requests, and attempts that answer what was said about them.

use std::collections::BTreeSet;

use timmy_core::EventKind;
use timmy_core::EventSink;
use timmy_core::IssueNumber;
use timmy_core::RunId;
use timmy_core::event::Feedback;
use timmy_forge::ForgeError;
use timmy_forge::IssueState;
use timmy_forge::PullRequest;
use timmy_forge::PullState;
use timmy_git::RefName;

use super::Attempted;
use super::Declined;
use super::Order;
use super::Sprint;
use super::consider::Answers;
use super::consider::Chosen;
use super::desk::Desk;
use super::hold::Taken;
use super::own_pulls::OwnPull;
use super::own_pulls::OwnPulls;
use crate::error::SprintError;
use crate::follow_up;
use crate::follow_up::Listener;
use crate::follow_up::PullFacts;
use crate::follow_up::Said;
use crate::follow_up::Verdict;
use crate::follow_up::Voices;

/// What a look at own pull requests found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Those that are open.
    pub(crate) open: u32,
    /// Issue and pull request of those with feedback to be answered.
    pub(crate) answers: Vec<(IssueNumber, IssueNumber)>,
}

impl Sprint {
    /// Makes one attempt that answers what was said about an own pull request, on its branch.
    ///
    /// # Errors
    /// As [`Sprint::fulfil`].
    pub async fn answer(
        &self,
        run: &RunId,
        order: &Order,
        number: IssueNumber,
    ) -> Result<Attempted, SprintError> {
        let desk = &self.desk;
        let mut own = OwnPulls::new(desk.repo.clone());
        own.read(&desk.events()).await?;
        let declined = |rule, reason: String| Ok(Attempted::Declined(Declined { rule, reason }));
        let Some(known) = own.get(number) else {
            return declined("pull request", "it is not one of this log".to_owned());
        };
        let pull = desk.forge.pull(&desk.repo, number).await?;
        let feedback = match desk.verdict(known, &pull).await? {
            Verdict::Answer(feedback) => feedback,
            Verdict::EditedByPerson => {
                return declined("pull request", "a person edited its branch".to_owned());
            }
            Verdict::Wait | Verdict::Enough | Verdict::Merged { .. } | Verdict::Refused => {
                return declined("pull request", "nothing is to be answered".to_owned());
            }
        };
        let hold = match desk.hold(run, known.issue).await? {
            Taken::Held(reason) => return declined("claim", reason),
            Taken::Won(hold) => hold,
        };
        match desk.chosen_answer(known, &pull, feedback).await {
            Ok(Some(chosen)) => {
                let summary = self.attempt(run, &chosen, hold, order).await?;
                Ok(Attempted::Ran(Box::new(summary)))
            }
            other => {
                hold.release(&desk.events(), run).await?;
                other?;
                declined("pull request", "a person edited its branch".to_owned())
            }
        }
    }
}

impl Desk {
    /// Looks at every own pull request nobody has decided about, and records what was decided.
    pub(crate) async fn attend(&self, own: &mut OwnPulls) -> Result<Found, SprintError> {
        own.read(&self.events()).await?;
        let mut found = Found::default();
        for (number, known) in own.unsettled() {
            let pull = match self.forge.pull(&self.repo, number).await {
                Ok(pull) => pull,
                // Deleted by a person: an answer too.
                Err(ForgeError::NotFound(_)) => {
                    self.refused(number, known).await?;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            match self.verdict(known, &pull).await? {
                Verdict::Merged { close_issue } => self.merged(number, known, close_issue).await?,
                Verdict::Refused => self.refused(number, known).await?,
                Verdict::EditedByPerson => {
                    found.open += 1;
                    self.edited(number, known, &pull).await?;
                }
                Verdict::Answer(_) => {
                    found.open += 1;
                    found.answers.push((known.issue, number));
                }
                Verdict::Wait | Verdict::Enough => found.open += 1,
            }
        }
        Ok(found)
    }

    /// What follows for an own pull request.
    async fn verdict(&self, own: &OwnPull, pull: &PullRequest) -> Result<Verdict, SprintError> {
        let issue_is_open = match pull.state {
            PullState::Merged => {
                let issue = self.forge.issue(&self.repo, own.issue).await;
                issue.is_ok_and(|issue| issue.state == IssueState::Open)
            }
            PullState::Open | PullState::Closed => true,
        };
        // A forge notices a push a moment later: an earlier commit of ours is nobody's edit.
        let pushed = own.pushed.iter().rfind(|commit| **commit == pull.head);
        let Some(pushed) = pushed.or(own.pushed.last()) else {
            return Ok(Verdict::Wait);
        };
        let ours = own.pushed.contains(&pull.head);
        let listens = self.settings.follow_up.enabled && pull.state == PullState::Open && ours;
        let said = if listens {
            self.feedback(own, pull).await?
        } else {
            Vec::new()
        };
        let facts = PullFacts {
            state: pull.state,
            head: &pull.head,
            pushed,
            answered: own.answered,
            issue_is_open,
        };
        Ok(follow_up::verdict(&facts, said, &self.settings.follow_up))
    }

    async fn feedback(
        &self,
        own: &OwnPull,
        pull: &PullRequest,
    ) -> Result<Vec<Feedback>, SprintError> {
        let number = pull.number;
        let comments = self.forge.comments(&self.repo, number).await?;
        let reviews = self.forge.reviews(&self.repo, number).await?;
        let statuses = self.forge.statuses(&self.repo, &pull.head).await?;
        let said = Said {
            comments: &comments,
            reviews: &reviews,
            statuses: &statuses,
            head: &pull.head,
        };
        let mut heard = BTreeSet::new();
        if self.settings.follow_up.from == Voices::Writers {
            for author in said.authors() {
                if self.forge.is_writer(&self.repo, author).await? {
                    heard.insert(author.to_owned());
                }
            }
        }
        let listener = Listener {
            login: &self.login,
            heard: (self.settings.follow_up.from == Voices::Writers).then_some(&heard),
            contexts: &[],
            taken: &own.taken,
            redactor: &self.redactor,
        };
        Ok(follow_up::feedback(&said, &listener))
    }

    /// What the attempt begins from; nothing when a person was faster.
    async fn chosen_answer(
        &self,
        own: &OwnPull,
        pull: &PullRequest,
        feedback: Vec<Feedback>,
    ) -> Result<Option<Chosen>, SprintError> {
        let name = |branch: &str| -> Result<RefName, SprintError> {
            let name = format!("refs/heads/{branch}").parse();
            Ok(name.map_err(timmy_git::GitError::from)?)
        };
        let bare = self.bare().await?;
        let head = self.fetch_branch(&bare, &name(&pull.head_branch)?).await?;
        if own.pushed.last() != Some(&head) {
            return Ok(None);
        }
        let trusted = self.fetch_branch(&bare, &name(&pull.base_branch)?).await?;
        let issue = self.forge.issue(&self.repo, own.issue).await?;
        let mut fingerprint = self.fingerprint_at(&trusted, &issue).await?;
        fingerprint.base = head.clone();
        Ok(Some(Chosen {
            fingerprint,
            issue,
            base_branch: pull.base_branch.clone(),
            base: head,
            trusted,
            branch: format!("refs/heads/{}", pull.head_branch),
            lifted: Vec::new(),
            answers: Some(Answers {
                pull: pull.number,
                feedback,
            }),
        }))
    }

    async fn merged(
        &self,
        number: IssueNumber,
        own: &OwnPull,
        close_issue: bool,
    ) -> Result<(), SprintError> {
        let (repo, issue) = (self.repo.clone(), own.issue);
        if close_issue {
            match self.forge.close_issue(&self.repo, issue).await {
                Ok(_) => {
                    let repo = repo.clone();
                    let closed = EventKind::IssueClosed { repo, issue };
                    self.events().append(None, closed).await?;
                }
                // What blocks it is for people to see to.
                Err(ForgeError::Blocked { .. } | ForgeError::NotFound(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let merged = EventKind::PullRequestMerged {
            repo,
            issue,
            number,
        };
        self.events().append(None, merged).await?;
        Ok(())
    }

    async fn refused(&self, number: IssueNumber, own: &OwnPull) -> Result<(), SprintError> {
        let refused = EventKind::PullRequestRefused {
            repo: self.repo.clone(),
            issue: own.issue,
            number,
        };
        self.events().append(None, refused).await?;
        Ok(())
    }

    async fn edited(
        &self,
        number: IssueNumber,
        own: &OwnPull,
        pull: &PullRequest,
    ) -> Result<(), SprintError> {
        if own.edited.contains(&pull.head) {
            return Ok(());
        }
        let edited = EventKind::BranchEdited {
            repo: self.repo.clone(),
            number,
            head: pull.head.clone(),
        };
        self.events().append(None, edited).await?;
        Ok(())
    }
}
