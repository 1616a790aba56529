//! What can be said of a night only when it is over.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use jiff::SignedDuration;
use timmy_core::IssueNumber;
use timmy_core::event::Outcome;
use timmy_forge::Issue;
use timmy_forge::IssueState;
use timmy_forge::PullFilter;
use timmy_forge::PullRequest;
use timmy_forge::PullState;
use timmy_forge::StateFilter;

use super::forge::MAIN;
use super::forge::branch_ref;
use super::host::Host;
use super::project::Nature;
use super::run::fingerprint;
use super::watch::Invariant;
use super::world::BOT;
use super::world::World;
use crate::night::ClaimState;
use crate::selection;

/// An outage and the wait after it can keep a list from arriving for so long.
const UNSEEN: Duration = Duration::from_secs(2_400);

/// How the hosts stood when the night's time was over.
pub(crate) struct Closing {
    /// Issues that no attempt had been made at and that some host could have started.
    neglected: BTreeSet<IssueNumber>,
    /// Issues that waited, by the reason that the core gave for it.
    reasons: BTreeMap<IssueNumber, String>,
    /// Whether some host knew the issues at all.
    awake: bool,
}

/// Looks at the hosts before they are told to stop.
pub(crate) fn close(world: &World) -> Closing {
    let mut closing = Closing {
        neglected: BTreeSet::new(),
        reasons: BTreeMap::new(),
        awake: false,
    };
    let slots = usize::try_from(world.plan.settings.slots).unwrap_or(usize::MAX);
    for host in world.hosts.borrow().iter() {
        let Some(process) = host.process.borrow().clone() else {
            continue;
        };
        let night = process.night.borrow();
        let state = night.state();
        let spare = state.running() < slots && state.snapshot().pauses.is_empty();
        for key in state.issues() {
            closing.awake = true;
            let standing = state.standing(key);
            let next = spare && state.claim_state(key) == ClaimState::Unclaimed;
            if next && standing == "it is next" {
                closing.neglected.insert(key.number);
            }
            closing.reasons.insert(key.number, standing);
        }
    }
    closing
}

/// Judges a night that is over.
pub(crate) fn judge(world: &World, closing: &Closing) {
    for (key, actor) in world.watch.borrow().acting().map(owned).collect::<Vec<_>>() {
        let detail = format!("run {} still acts", actor.1);
        world.violated(Invariant::NoLeakedSlot, Some(actor.0), Some(key), detail);
    }
    for host in world.hosts.borrow().iter() {
        ends(world, host);
        comments(world, host);
    }
    let issues = world.forge.borrow().issues(&world.repo, StateFilter::All);
    let pulls = pulls_by_issue(world);
    for issue in issues.unwrap_or_default() {
        let own = pulls.get(&issue.number).map(Vec::as_slice);
        place(world, closing, &issue, own.unwrap_or_default());
    }
    starving(world, closing);
}

fn owned(
    (key, actor): (&timmy_core::IssueName, &super::watch::Actor),
) -> (IssueNumber, (u32, String)) {
    (key.number, (actor.host, actor.run.to_string()))
}

fn ends(world: &World, host: &Rc<Host>) {
    let leaked = |issue, detail: String| {
        world.violated(Invariant::NoLeakedSlot, Some(host.index), issue, detail);
    };
    match host.process.borrow().as_ref() {
        None => leaked(None, "its process is down".to_owned()),
        Some(process) => {
            let running = process.night.borrow().state().running();
            if running > 0 {
                leaked(None, format!("{running} attempts run for ever"));
            }
        }
    }
    for (run, told) in host.log.borrow().runs() {
        if told.outcome.is_none() {
            leaked(Some(told.key.number), format!("run {run} has no end"));
        }
    }
}

/// Exactly one comment for a run with a pull request, at most one for any other.
fn comments(world: &World, host: &Rc<Host>) {
    let forge = world.forge.borrow();
    for (run, told) in host.log.borrow().runs() {
        let all = forge
            .comments(&world.repo, told.key.number)
            .unwrap_or_default();
        let name = format!("run {run}.");
        let own = all
            .iter()
            .filter(|one| one.author == BOT && one.body.contains(&name));
        let count = own.count();
        let (least, most) = match told.outcome {
            Some(Outcome::PullRequest { .. } | Outcome::Draft { .. }) => (1, 1),
            _ => (0, 1),
        };
        if !(least..=most).contains(&count) {
            let (issue, index) = (Some(told.key.number), Some(host.index));
            let detail = format!("{count} comments of run {run}");
            world.violated(Invariant::OneComment, index, issue, detail);
        }
    }
}

fn pulls_by_issue(world: &World) -> BTreeMap<IssueNumber, Vec<PullRequest>> {
    let all = PullFilter {
        state: StateFilter::All,
        head: None,
    };
    let pulls = world
        .forge
        .borrow()
        .pulls(&world.repo, &all)
        .unwrap_or_default();
    let mut by_issue: BTreeMap<IssueNumber, Vec<PullRequest>> = BTreeMap::new();
    for pull in pulls {
        let issue = pull.head_branch.strip_prefix("timmy/").and_then(|rest| {
            let (issue, _) = rest.split_once('-')?;
            issue.parse().ok()
        });
        if let Some(issue) = issue {
            by_issue.entry(issue).or_default().push(pull);
        }
    }
    by_issue
}

/// Where an issue is in the end; a violation when no rule says why.
fn place(world: &World, closing: &Closing, issue: &Issue, pulls: &[PullRequest]) {
    let word = match standing(world, closing, issue, pulls) {
        Some(word) => word,
        None => {
            let reason = closing.reasons.get(&issue.number);
            let detail = format!("nothing says why; the core said: {reason:?}");
            world.violated(Invariant::Justified, None, Some(issue.number), detail);
            "unexplained"
        }
    };
    let mut watch = world.watch.borrow_mut();
    *watch.tally.issues.entry(word).or_default() += 1;
}

fn standing(
    world: &World,
    closing: &Closing,
    issue: &Issue,
    pulls: &[PullRequest],
) -> Option<&'static str> {
    let any = |state| pulls.iter().any(|pull| pull.state == state);
    if any(PullState::Merged) {
        return Some("merged");
    }
    if any(PullState::Open) {
        return Some("pull request");
    }
    if any(PullState::Closed) {
        return Some("refused");
    }
    if issue.state == IssueState::Closed {
        return Some("closed");
    }
    let rules = &world.plan.settings.selection;
    let answers = selection::judge_subject(issue.into(), rules, BOT);
    if selection::failure(&answers).is_some() {
        return Some("excluded");
    }
    let blockers = world
        .forge
        .borrow()
        .blockers(&world.repo, issue.number)
        .ok()?;
    if blockers
        .iter()
        .any(|blocker| blocker.state == IssueState::Open)
    {
        return Some("blocked");
    }
    let base = world
        .forge
        .borrow()
        .reference(&world.repo, &branch_ref(MAIN))
        .ok()??;
    let (key, from) = (world.key(issue.number), fingerprint(issue, &base));
    let hosts = world.hosts.borrow();
    let failed = hosts
        .iter()
        .map(|host| host.log.borrow().failed_attempts(&key, &from));
    if failed.max().unwrap_or(0) >= rules.attempts {
        return Some("quarantined");
    }
    if hosts
        .iter()
        .any(|host| host.log.borrow().runs_on(&key).next().is_some())
    {
        return Some("to be tried again");
    }
    // Nobody tried it: only a fleet that was down or without room, or a rule of the core, excuses that.
    if !closing.awake {
        return Some("waiting");
    }
    let age = world.time().duration_since(issue.created);
    let unseen = SignedDuration::try_from(super::GRACE + UNSEEN).unwrap_or_default();
    if !closing.reasons.contains_key(&issue.number) && age < unseen {
        return Some("not seen yet");
    }
    let reason = closing.reasons.get(&issue.number)?;
    (!closing.neglected.contains(&issue.number) && !reason.is_empty()).then_some("waiting")
}

/// Where there was room for an attempt at every issue, none still waits for its first one.
fn starving(world: &World, closing: &Closing) {
    let mut hopeless = 0;
    let truths = world.truths.borrow();
    for host in world.hosts.borrow().iter() {
        for (_, run) in host.log.borrow().runs() {
            let nature = truths.get(&run.key.number).map(|truth| truth.nature);
            hopeless += u64::from(nature.is_some_and(|nature| nature != Nature::Sound));
        }
    }
    let watch = world.watch.borrow();
    let (attempts, crashes) = (watch.tally.attempts, watch.tally.crashes);
    let waiting = closing.reasons.iter().filter(|(number, reason)| {
        let sound = truths
            .get(number)
            .is_some_and(|truth| truth.nature == Nature::Sound);
        sound && *reason == "every slot is taken" && !watch.was_attempted(&world.key(**number))
    });
    let (waiting, tried) = (waiting.count(), watch.attempted());
    drop(watch);
    // Room for every issue, and for as many second attempts.
    let enough = (tried + waiting) * 2;
    // A new process does not know how often an issue failed from other beginnings, so a fleet that is
    // killed more than once an hour begins with the same old issues again and again.
    let host_hours = world.plan.length.as_secs() / 3_600 * u64::from(world.plan.hosts);
    let remembers = crashes <= host_hours;
    if remembers && waiting > 0 && attempts > u64::try_from(enough).unwrap_or(u64::MAX) {
        let detail = format!("{hopeless} of {attempts} attempts were hopeless, {waiting} wait");
        world.violated(Invariant::NobodyStarves, None, None, detail);
    }
}
