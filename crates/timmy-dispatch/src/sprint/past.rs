//! What earlier attempts and people's answers say about an issue.

use sha2::Digest;
use sha2::Sha256;
use timmy_agent::prompt;
use timmy_core::ExitStatus;
use timmy_core::IssueName;
use timmy_core::IssueNumber;
use timmy_core::ObjectName;
use timmy_core::event::Fingerprint;
use timmy_core::event::Outcome;
use timmy_core::text;
use timmy_forge::ForgeError;
use timmy_forge::Issue;
use timmy_forge::PullFilter;
use timmy_forge::PullState;
use timmy_forge::StateFilter;
use timmy_git::BareRepository;
use timmy_store::runs::RunSummary;

use super::consider::Ground;
use super::desk::Desk;
use crate::error::SprintError;
use crate::selection::Past;
use crate::workflow;
use crate::workflow::WorkflowError;

/// Runs of the past on one issue that are looked at.
const RUNS_LOOKED_AT: u32 = 2_000;

impl Desk {
    /// What happened to an issue before, and what changed since the attempts that put it into
    /// quarantine.
    pub(super) async fn past(
        &self,
        ground: &Ground,
        issue: &Issue,
    ) -> Result<(Past, Vec<String>), SprintError> {
        let mut past = Past::default();
        for branch in ground.branches.get(&issue.number).into_iter().flatten() {
            let filter = PullFilter {
                state: StateFilter::All,
                head: Some(branch.clone()),
            };
            for pull in self.forge.pulls(&self.repo, &filter).await? {
                past.note(pull.number, pull.state);
            }
        }
        // Newest first.
        let mut failed: Vec<Option<Fingerprint>> = Vec::new();
        let runs = self.runs_on(issue.number).await?;
        if let Some(newest) = runs.first() {
            past.stopped_run = self.stopped_by_person(ground, issue, newest).await?;
        }
        for summary in runs {
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
                None if counts_as_attempt(&summary) => failed.push(summary.fingerprint),
                None => {}
            }
        }
        let Some(newest) = failed.first().cloned() else {
            return Ok((past, Vec::new()));
        };
        let now = self.fingerprint(ground, issue).await?;
        past.failed_attempts = count(&failed, &now);
        past.failed_in_all = u32::try_from(failed.len()).unwrap_or(u32::MAX);
        let limit = self.settings.selection.attempts;
        let quarantined = |old: &Fingerprint| *old != now && count(&failed, old) >= limit;
        let changed = newest.filter(quarantined).map(|old| old.difference(&now));
        let changed = changed.unwrap_or_default();
        Ok((past, changed.into_iter().map(str::to_owned).collect()))
    }

    /// The run as people name it, if a person stopped it, nobody said that the fleet is to go on, and
    /// the issue is still what it was.
    async fn stopped_by_person(
        &self,
        ground: &Ground,
        issue: &Issue,
        newest: &RunSummary,
    ) -> Result<Option<String>, SprintError> {
        let cancelled = matches!(newest.outcome, Some(Outcome::Cancelled { .. }));
        if !cancelled || !self.events().standing_stops().await?.contains(&newest.run) {
            return Ok(None);
        }
        let now = self.fingerprint(ground, issue).await?;
        let from = newest.fingerprint.as_ref();
        let same = from.is_none_or(|from| from.text == now.text);
        Ok(same.then(|| newest.run.short().to_owned()))
    }

    /// Attempts at an issue that failed from the same beginnings.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn failures(
        &self,
        issue: IssueNumber,
        fingerprint: &Fingerprint,
    ) -> Result<u32, SprintError> {
        let runs = self.runs_on(issue).await?;
        let failed = runs.into_iter().filter(counts_as_attempt);
        let failed: Vec<_> = failed.map(|summary| summary.fingerprint).collect();
        Ok(count(&failed, fingerprint))
    }

    /// What an attempt at an issue begins from that starts at this commit.
    pub(super) async fn fingerprint_at(
        &self,
        base: &ObjectName,
        issue: &Issue,
    ) -> Result<Fingerprint, SprintError> {
        let mut ground = self.ground().await?;
        if ground.base != *base {
            let bare = self.bare().await?;
            ground.prompt = self.prompt_sha256(&bare, base).await?;
            ground.base = base.clone();
        }
        self.fingerprint(&ground, issue).await
    }

    /// What an attempt at an issue begins from.
    pub(super) async fn fingerprint(
        &self,
        ground: &Ground,
        issue: &Issue,
    ) -> Result<Fingerprint, SprintError> {
        let mut hasher = Sha256::new();
        let mut add = |part: &str| {
            // With its length, so that no two lists of texts are the same bytes.
            hasher.update(part.len().to_le_bytes());
            hasher.update(part.as_bytes());
        };
        add(&issue.title);
        add(&issue.body);
        if issue.comment_count > 0 {
            for comment in self.forge.comments(&self.repo, issue.number).await? {
                // What timmy says itself is no new input.
                if !comment.author.eq_ignore_ascii_case(&self.login) {
                    add(&comment.author);
                    add(&comment.body);
                }
            }
        }
        Ok(Fingerprint {
            text: text::hexadecimal(&hasher.finalize()),
            base: ground.base.clone(),
            model: self.settings.models.clone(),
            prompt: ground.prompt.clone(),
        })
    }

    /// What every prompt for a base commit has in common: the rules, the project's instructions and
    /// its check.
    pub(super) async fn prompt_sha256(
        &self,
        bare: &BareRepository,
        base: &ObjectName,
    ) -> Result<String, SprintError> {
        let own = match workflow::read_project(bare, base, self.said()).await {
            Ok(project) => {
                let (file, text) = project.instructions.unwrap_or_default();
                let workflow = project.workflow.sha256;
                format!("{}\n{file}\n{text}\n{workflow}", project.check)
            }
            Err(WorkflowError::Git(error)) => return Err(error.into()),
            // The attempt will say so; mending the file changes the fingerprint.
            Err(error) => error.to_string(),
        };
        let mut hasher = Sha256::new();
        hasher.update(prompt::TEMPLATE.as_bytes());
        hasher.update(own.as_bytes());
        Ok(text::hexadecimal(&hasher.finalize()))
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
    pub(crate) async fn run_of_pull(
        &self,
        number: IssueNumber,
    ) -> Result<Option<RunSummary>, SprintError> {
        let runs = self.events().runs_that_opened(number).await?;
        Ok(runs.into_iter().find(|run| run.repo == self.repo))
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

/// How many began from the same; one of an older version, which does not say, counts.
fn count(failed: &[Option<Fingerprint>], fingerprint: &Fingerprint) -> u32 {
    let same = failed
        .iter()
        .filter(|old| old.as_ref().is_none_or(|old| old == fingerprint));
    u32::try_from(same.count()).unwrap_or(u32::MAX)
}

/// Whether a run says something about its issue. A forge or model that was away, or a
/// setting that is missing, does not; nor does one that answered feedback.
fn counts_as_attempt(summary: &RunSummary) -> bool {
    if summary.answers.is_some() {
        return false;
    }
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
