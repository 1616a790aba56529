//! An attempt, as the shell makes it: look, claim, look again, then the steps of its state machine.

use std::rc::Rc;
use std::time::Duration;

use timmy_core::Code;
use timmy_core::Coded;
use timmy_core::EventKind;
use timmy_core::ExitStatus;
use timmy_core::IssueName;
use timmy_core::IssueNumber;
use timmy_core::ObjectName;
use timmy_core::Problem;
use timmy_core::RunId;
use timmy_core::event::Fingerprint;
use timmy_core::event::Outcome;
use timmy_core::receipt::Provenance;
use timmy_core::receipt::SandboxLevel;
use timmy_forge::ForgeError;
use timmy_forge::Issue;
use timmy_forge::IssueState;
use timmy_forge::PullFilter;
use timmy_forge::PullState;
use timmy_forge::StateFilter;

use super::asked::PAUSED;
use super::claim::Acquired;
use super::claim::ClaimEnd;
use super::forge::MAIN;
use super::forge::branch_ref;
use super::hold::Hold;
use super::host::Process;
use super::plan::Sabotage;
use super::random::mix;
use super::schedule::First;
use super::schedule::Signal;
use super::schedule::race;
use super::steps;
use super::world::BOT;
use crate::night::Declined;
use crate::night::Ended;
use crate::night::Input;
use crate::night::Purpose;
use crate::night::Recheck;
use crate::night::failure;
use crate::night::failure::Fault;
use crate::selection;
use crate::selection::Blocker;
use crate::selection::Candidate;
use crate::selection::Past;

/// Between two tries of something that has to be done in the end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Why no run began.
enum Nothing {
    Declined(String, Recheck),
    Failed(Problem),
}

impl From<ForgeError> for Nothing {
    fn from(error: ForgeError) -> Self {
        Self::Failed(error.problem())
    }
}

/// A run that began.
struct Begun {
    run: RunId,
    hold: Hold,
    fingerprint: Fingerprint,
}

/// What a run starts from.
pub(crate) struct Ground {
    pub(crate) base: ObjectName,
    pub(crate) branch: String,
}

/// What was found out about an issue.
struct Considered {
    issue: Issue,
    ground: Ground,
    fingerprint: Fingerprint,
}

/// Makes an attempt; what the core is told in the end.
pub(crate) async fn attempt(
    process: &Rc<Process>,
    key: &IssueName,
    purpose: Purpose,
    cancel: &Signal<Outcome>,
) -> Input {
    match begin(process, key, purpose).await {
        Ok((begun, ground)) => {
            process.inbox.put(Input::Began { key: key.clone() });
            let run = begun.run.clone();
            let work = async |hold: &Hold| steps::walk(process, &run, hold, Some(&ground)).await;
            let outcome = under_claim(process, &run, begun.hold, work, cancel).await;
            ended(process, key, outcome, Some(begun.fingerprint))
        }
        Err(Nothing::Declined(reason, recheck)) => {
            process.note(Some(key.number), "declined", || reason.clone());
            Input::Declined {
                key: key.clone(),
                declined: Declined { reason, recheck },
            }
        }
        Err(Nothing::Failed(problem)) => {
            process.note(Some(key.number), "not begun", || problem.what.clone());
            ended(process, key, Outcome::Failed { problem }, None)
        }
    }
}

fn ended(
    process: &Process,
    key: &IssueName,
    outcome: Outcome,
    fingerprint: Option<Fingerprint>,
) -> Input {
    let counted = fingerprint.as_ref().map_or(0, |from| {
        let log = process.host.log.borrow();
        log.failed_attempts(key, from)
    });
    let attempts = process.world.plan.settings.selection.attempts;
    let answers = process
        .host
        .log
        .borrow()
        .runs_on(key)
        .last()
        .is_some_and(|run| run.answers.is_some());
    if failure::fault(&outcome) == Fault::Agent && counted < attempts && !answers {
        let host = process.host.index;
        let happening = process
            .world
            .happening(Some(host), Some(key.number), "failed");
        let mut watch = process.world.watch.borrow_mut();
        watch.failed(happening, (host, process.life), key, counted.max(1));
    }
    let lasts = steps::lasts(process, &outcome);
    Input::Ended {
        key: key.clone(),
        ended: Ended {
            outcome,
            failed_attempts: counted,
            fingerprint,
            lasts,
        },
    }
}

/// Looks, claims, looks again, records the beginning.
async fn begin(
    process: &Rc<Process>,
    key: &IssueName,
    purpose: Purpose,
) -> Result<(Begun, Ground), Nothing> {
    let considered = consider(process, key, purpose).await?;
    let run = process.new_run();
    let claim = match process.claims.acquire(key.number, &run).await {
        Ok(Acquired::Won(claim)) => claim,
        Ok(Acquired::Held(left)) => {
            let reason = "somebody else works on it".to_owned();
            return Err(Nothing::Declined(reason, Recheck::After(left)));
        }
        Err(end) => return Err(Nothing::Failed(unreachable(&end))),
    };
    let hold = Hold::start(&process.claims, process.group, claim);
    match record(process, key, purpose, &run, considered, &hold).await {
        Ok((fingerprint, ground)) => {
            let begun = Begun {
                run,
                hold,
                fingerprint,
            };
            Ok((begun, ground))
        }
        Err(nothing) => {
            give_back(process, hold, None).await;
            Err(nothing)
        }
    }
}

async fn record(
    process: &Rc<Process>,
    key: &IssueName,
    purpose: Purpose,
    run: &RunId,
    considered: Considered,
    hold: &Hold,
) -> Result<(Fingerprint, Ground), Nothing> {
    // Between the first look and the claim somebody may have finished the issue.
    let second = process.world.plan.sabotage != Sabotage::NoSecondLook;
    let Considered {
        issue,
        mut ground,
        fingerprint,
    } = considered;
    let answers = match purpose {
        Purpose::Resolve => None,
        Purpose::Answer { pull } => Some(pull),
    };
    if second && answers.is_none() {
        let (past, branch) = past(process, key).await?;
        ground.branch = branch;
        if process.is_held(key, &fingerprint.text) {
            let reason = "a person stopped its last run".to_owned();
            return Err(Nothing::Declined(reason, Recheck::PersonAsks));
        }
        if past
            .open_pull
            .or(past.merged_pull)
            .or(past.refused_pull)
            .is_some()
        {
            let reason = "it was answered meanwhile".to_owned();
            return Err(Nothing::Declined(reason, Recheck::IssueEdited));
        }
    }
    if process.is_refused() {
        let reason = "a person paused the fleet".to_owned();
        return Err(Nothing::Declined(reason, Recheck::After(PAUSED)));
    }
    let host = process.host.index;
    let started = EventKind::RunStarted {
        repo: key.repo.clone(),
        issue: key.number,
        title: issue.title,
        provider: "simulated".to_owned(),
        provenance: Provenance::Replayed,
        sandbox: SandboxLevel::L3,
        fingerprint: Some(fingerprint.clone()),
        answers,
    };
    let happening = process
        .world
        .happening(Some(host), Some(key.number), "began");
    if answers.is_none() {
        let mut watch = process.world.watch.borrow_mut();
        watch.began(happening, host, process.life, key);
        drop(watch);
        process.check_wishes(key, &fingerprint.text);
    }
    process
        .append(Some(run), started)
        .await
        .map_err(Nothing::Failed)?;
    let acquired = EventKind::ClaimAcquired {
        reference: super::claim::reference(key.number),
        epoch: hold.epoch,
        ttl_s: process.world.plan.claim_ttl.as_secs(),
    };
    // A run that began has to end in the log, whatever fails from here on.
    let mut told = process.append(Some(run), acquired).await;
    if let (Ok(()), Some(number)) = (&told, answers) {
        let items = process
            .line
            .read(|forge| forge.feedback(&key.repo, number, BOT))
            .await;
        let items = items.unwrap_or_default();
        let taken = EventKind::FeedbackTaken { number, items };
        told = process.append(Some(run), taken).await;
    }
    if let Err(problem) = told {
        process.trouble(&problem);
    }
    Ok((fingerprint, ground))
}

/// Finds out what the rules ask, and asks them.
async fn consider(
    process: &Process,
    key: &IssueName,
    purpose: Purpose,
) -> Result<Considered, Nothing> {
    let (repo, number) = (&key.repo, key.number);
    let issue = match process.line.read(|forge| forge.issue(repo, number)).await {
        Err(ForgeError::NotFound(_)) => {
            let reason = "it is gone".to_owned();
            return Err(Nothing::Declined(reason, Recheck::IssueChanges));
        }
        other => other?,
    };
    let main = branch_ref(MAIN);
    let base = process
        .line
        .read(|forge| forge.reference(repo, &main))
        .await?;
    let base = base.ok_or_else(|| ForgeError::Unavailable {
        call: String::new(),
        why: "no branch to start from".to_owned(),
    })?;
    let from = fingerprint(&issue, &base);
    if let Purpose::Answer { pull } = purpose {
        let ground = answerable(process, key, pull).await?;
        return Ok(Considered {
            issue,
            ground,
            fingerprint: from,
        });
    }
    let (mut past, branch) = past(process, key).await?;
    past.failed_attempts = process.host.log.borrow().failed_attempts(key, &from);
    past.stopped_run = process.is_held(key, &from.text).then(String::new);
    let blockers = process
        .line
        .read(|forge| forge.blockers(repo, number))
        .await?;
    let blocker = |issue: Issue| Blocker {
        number: issue.number,
        open: issue.state == IssueState::Open,
    };
    let candidate = Candidate {
        issue,
        blockers: Some(blockers.into_iter().map(blocker).collect()),
        claim: None,
        past,
    };
    let answers = selection::judge(&candidate, &process.world.plan.settings.selection, BOT);
    if let Some(failed) = answers.iter().find(|answer| answer.passed == Some(false)) {
        let recheck = match failed.rule {
            "pull request" => Recheck::IssueEdited,
            "stopped" => Recheck::PersonAsks,
            "blockers" => Recheck::RepositoryChanges,
            _ => Recheck::IssueChanges,
        };
        return Err(Nothing::Declined(failed.finding.clone(), recheck));
    }
    Ok(Considered {
        issue: candidate.issue,
        ground: Ground { base, branch },
        fingerprint: from,
    })
}

/// The pull requests of an issue, and the branch that the next attempt would push.
pub(crate) async fn past(process: &Process, key: &IssueName) -> Result<(Past, String), ForgeError> {
    let (repo, number) = (&key.repo, key.number);
    let prefix = branch_ref(&format!("timmy/{number}-"));
    let branches = process
        .line
        .read(|forge| forge.references(repo, &prefix))
        .await?;
    let mut past = Past::default();
    let mut last = 0;
    for (name, _) in &branches {
        let branch = name.trim_start_matches("refs/heads/").to_owned();
        let attempt = branch
            .rsplit('-')
            .next()
            .and_then(|n| n.parse::<u64>().ok());
        last = last.max(attempt.unwrap_or(0));
        let filter = PullFilter {
            state: StateFilter::All,
            head: Some(branch),
        };
        for pull in process
            .line
            .read(|forge| forge.pulls(repo, &filter))
            .await?
        {
            note(&mut past, pull.number, pull.state);
        }
    }
    let known: Vec<IssueNumber> = {
        let log = process.host.log.borrow();
        log.runs_on(key).filter_map(|run| run.pull).collect()
    };
    for pull in known {
        let found = process.line.read(|forge| forge.pull(repo, pull)).await?;
        note(&mut past, found.number, found.state);
    }
    Ok((past, format!("timmy/{number}-{}", last + 1)))
}

fn note(past: &mut Past, number: IssueNumber, state: PullState) {
    match state {
        PullState::Open => past.open_pull = Some(number),
        PullState::Closed => past.refused_pull = Some(number),
        PullState::Merged => past.merged_pull = Some(number),
    }
}

/// What an answer to feedback starts from: the branch as timmy left it.
async fn answerable(
    process: &Process,
    key: &IssueName,
    pull: IssueNumber,
) -> Result<Ground, Nothing> {
    let found = process
        .line
        .read(|forge| forge.pull(&key.repo, pull))
        .await?;
    let ours = process.host.log.borrow().pushed(&found.head);
    if found.state != PullState::Open || !ours {
        let reason = "its pull request is closed, or a person edited its branch".to_owned();
        return Err(Nothing::Declined(reason, Recheck::RepositoryChanges));
    }
    Ok(Ground {
        base: found.head,
        branch: found.head_branch,
    })
}

/// What an attempt begins from.
pub(crate) fn fingerprint(issue: &Issue, base: &ObjectName) -> Fingerprint {
    let bytes = issue.title.bytes().chain(issue.body.bytes());
    let text = bytes.fold(0, |sum, byte| mix(sum ^ u64::from(byte)));
    Fingerprint {
        text: format!("{text:016x}"),
        base: base.clone(),
        model: "simulated".to_owned(),
        prompt: String::new(),
    }
}

/// Works under a claim, and stops when it is lost or not wanted any more; then the end is recorded
/// and the claim given back.
pub(crate) async fn under_claim(
    process: &Rc<Process>,
    run: &RunId,
    hold: Hold,
    work: impl AsyncFnOnce(&Hold) -> Result<Outcome, steps::Stop>,
    cancel: &Signal<Outcome>,
) -> Outcome {
    let raced = race(cancel.wait(), race(hold.lost.wait(), work(&hold))).await;
    hold.rest();
    let lost = match &raced {
        First::Other(First::One(reason)) => Some((*reason).to_owned()),
        First::Other(First::Other(Err(steps::Stop::ClaimLost))) => Some("it is lost".to_owned()),
        First::One(_) | First::Other(First::Other(_)) => None,
    };
    let mut hold = Some(hold);
    if let Some(reason) = lost {
        // Dropped at once: nothing more is done under it.
        drop(hold.take());
        process.world.watch.borrow_mut().tally.claims_lost += 1;
        let event = EventKind::ClaimLost { reason };
        if let Err(problem) = process.append(Some(run), event).await {
            process.trouble(&problem);
        }
    }
    let outcome = match raced {
        First::One(outcome) | First::Other(First::Other(Ok(outcome))) => outcome,
        First::Other(First::One(_) | First::Other(Err(steps::Stop::ClaimLost))) => {
            Outcome::ClaimLost
        }
        First::Other(First::Other(Err(steps::Stop::Failed(problem)))) => {
            Outcome::Failed { problem }
        }
    };
    end(process, run, outcome.clone()).await;
    if let Some(hold) = hold {
        give_back(process, hold, Some(run)).await;
    }
    outcome
}

/// Records the end of a run, however long the database is away.
pub(crate) async fn end(process: &Process, run: &RunId, outcome: Outcome) {
    loop {
        let ended = EventKind::RunEnded {
            outcome: outcome.clone(),
            duration_ms: 0,
        };
        let Err(problem) = process.append(Some(run), ended).await else {
            break;
        };
        process.trouble(&problem);
        process.world.schedule.sleep(PATIENCE).await;
    }
    process.note_end(run, &outcome);
    let mut watch = process.world.watch.borrow_mut();
    *watch.tally.outcomes.entry(outcome.word()).or_default() += 1;
}

/// Gives a claim back. One that cannot be given back lapses.
pub(crate) async fn give_back(process: &Process, hold: Hold, run: Option<&RunId>) {
    let epoch = hold.epoch;
    if hold.release().await.is_ok() && run.is_some() {
        let released = EventKind::ClaimReleased { epoch };
        if let Err(problem) = process.append(run, released).await {
            process.trouble(&problem);
        }
    }
}

/// A claim that nobody answered about, as the program reports it.
pub(crate) fn unreachable(end: &ClaimEnd) -> Problem {
    let what = match end {
        ClaimEnd::Unreachable => "the forge did not answer about a claim",
        ClaimEnd::Lost(reason) => reason,
    };
    Problem::new(Code::new(903), ExitStatus::Unavailable, what)
}
