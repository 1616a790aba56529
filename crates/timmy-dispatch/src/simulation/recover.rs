//! What a process does first: it carries on or closes the runs of the one before it.

use std::rc::Rc;

use timmy_core::IssueName;
use timmy_core::RunId;
use timmy_core::event::Outcome;
use timmy_forge::ForgeError;
use timmy_forge::IssueState;
use timmy_forge::PullFilter;
use timmy_forge::PullRequest;
use timmy_forge::PullState;
use timmy_forge::StateFilter;

use super::claim::Acquired;
use super::claim::reference;
use super::hold::Hold;
use super::host::Process;
use super::run;
use super::run::PATIENCE;
use super::schedule::Mailbox;
use super::schedule::Signal;
use super::steps;
use crate::attempt::Step;

/// Closes every run of this host that has no end.
pub(crate) async fn recover(process: &Rc<Process>) {
    let dead: Vec<(RunId, IssueName)> = {
        let log = process.host.log.borrow();
        let open = log.runs().filter(|(_, run)| run.outcome.is_none());
        let dead = open.filter(|(_, run)| run.life != process.life);
        dead.map(|(id, run)| (id.clone(), run.key.clone()))
            .collect()
    };
    let done = Mailbox::default();
    let count = dead.len();
    for (run, key) in dead {
        let (own, done) = (Rc::clone(process), done.clone());
        process.spawn(async move {
            bury(&own, &run, &key).await;
            done.put(());
        });
    }
    for _ in 0..count {
        done.take().await;
    }
}

/// Carries a dead run on as far as its log allows.
async fn bury(process: &Rc<Process>, run: &RunId, key: &IssueName) {
    process.note(Some(key.number), "recovered", || run.short().to_owned());
    let ends = match steps::next(process, run, false) {
        Some((_, Step::End(outcome))) => Some(outcome),
        _ => None,
    };
    let ends = process.end_asked_for(run).or(ends);
    // Nothing needs the claim any more; it is only given back.
    if let Some(outcome) = ends {
        run::end(process, run, outcome).await;
        free(process, run, key).await;
        return;
    }
    let hold = loop {
        match process.claims.acquire(key.number, run).await {
            Ok(Acquired::Won(claim)) => {
                break Hold::start(&process.claims, process.group, claim);
            }
            Ok(Acquired::Held(_)) => {
                run::end(process, run, Outcome::ClaimLost).await;
                return;
            }
            Err(_) => process.world.schedule.sleep(PATIENCE).await,
        }
    };
    let never = Signal::default();
    let work = async |hold: &Hold| match answered(process, run, key).await? {
        true => Ok(Outcome::Abandoned),
        false => steps::walk(process, run, hold, None).await,
    };
    run::under_claim(process, run, hold, work, &never).await;
}

/// Takes the claim of a run that is over, only to give it back.
async fn free(process: &Rc<Process>, run: &RunId, key: &IssueName) {
    let reference = reference(key.number);
    let held = process
        .line
        .read(|forge| forge.reference(&key.repo, &reference))
        .await;
    let ours = held.ok().flatten().is_some_and(|object| {
        let forge = process.world.forge.borrow();
        let claim = forge
            .objects
            .get(&object)
            .and_then(|commit| commit.claim.as_ref());
        claim.is_some_and(|message| message.run_id == *run)
    });
    if ours && let Ok(Acquired::Won(claim)) = process.claims.acquire(key.number, run).await {
        let hold = Hold::start(&process.claims, process.group, claim);
        run::give_back(process, hold, Some(run)).await;
    }
}

/// Whether the issue is closed, a person decided about this attempt's pull request, or another
/// attempt has one.
async fn answered(process: &Process, run: &RunId, key: &IssueName) -> Result<bool, ForgeError> {
    let (repo, number) = (&key.repo, key.number);
    let issue = process.line.read(|forge| forge.issue(repo, number)).await?;
    if issue.state == IssueState::Closed {
        return Ok(true);
    }
    let own = {
        let log = process.host.log.borrow();
        let start = log.run(run).and_then(|run| run.attempt.start());
        start.and_then(|start| start.work_branch.clone())
    };
    let all = PullFilter {
        state: StateFilter::All,
        head: None,
    };
    let pulls = process.line.read(|forge| forge.pulls(repo, &all)).await?;
    let prefix = format!("timmy/{number}-");
    let mut of_issue = pulls
        .iter()
        .filter(|pull| pull.head_branch.starts_with(&prefix));
    let ours = |pull: &PullRequest| Some(&pull.head_branch) == own.as_ref();
    Ok(of_issue.any(|pull| !ours(pull) || pull.state != PullState::Open))
}
