//! The agent's part of a run, scripted: model calls that are paid for, and what comes of them.

use std::rc::Rc;
use std::time::Duration;

use timmy_core::Code;
use timmy_core::EventKind;
use timmy_core::ExitStatus;
use timmy_core::IssueName;
use timmy_core::Problem;
use timmy_core::RunId;
use timmy_core::event::Outcome;
use timmy_core::money::MicroUsd;
use timmy_core::money::Usage;

use super::forge::MAIN;
use super::forge::Maker;
use super::host::Process;
use super::plan::Sabotage;
use super::project::Nature;
use super::run::Ground;
use super::steps::Stop;
use super::steps::heard;
use super::watch::Invariant;
use super::weather::Lack;

/// A provider's quota is used up.
pub(crate) const QUOTA: Code = Code::new(603);
/// What is set aside before a model call.
const RESERVED: MicroUsd = MicroUsd(30_000);
/// Longer than any night.
const FOR_EVER: Duration = Duration::from_secs(30 * 3_600);

/// Makes the workspace, lets the agent work, takes over what it left. An outcome when that ends the
/// run.
pub(crate) async fn work(
    process: &Rc<Process>,
    run: &RunId,
    key: &IssueName,
    ground: &Ground,
) -> Result<Option<Outcome>, Stop> {
    let world = &process.world;
    if world.sky.lacks(process.host.index, Lack::Disk, world.now()) {
        let what = "no space left for the run's directory";
        return Err(Problem::new(Code::new(915), ExitStatus::Internal, what).into());
    }
    let (cloning, calls) = {
        let mut random = process.random.borrow_mut();
        let cloning = random.between(Duration::from_secs(1), Duration::from_secs(8));
        (cloning, 3 + random.below(8))
    };
    world.schedule.sleep(cloning).await;
    let ready = EventKind::WorkspaceReady {
        base_branch: MAIN.to_owned(),
        base: ground.base.clone(),
        work_branch: Some(ground.branch.clone()),
    };
    process.append(Some(run), ready).await?;
    let nature = world
        .truths
        .borrow()
        .get(&key.number)
        .map(|truth| truth.nature);
    let nature = nature.unwrap_or(Nature::Sound);
    for call in 1..=calls {
        heard(process, key, world.plan.settings.stall);
        ask(process, run, u32::try_from(call).unwrap_or(u32::MAX)).await?;
        if nature == Nature::Deadly && call == 3 {
            process.crash().await;
        }
    }
    let (outcome, changes) = {
        let mut random = process.random.borrow_mut();
        end(nature, random.below(100))
    };
    let finished = EventKind::AgentFinished {
        reason: "finished".to_owned(),
        summary: String::new(),
        steps: 0,
        usage: Usage::default(),
    };
    process.append(Some(run), finished).await?;
    if outcome.is_some() {
        return Ok(outcome);
    }
    let commit = changes.then(|| change(process, key, ground));
    let collected = EventKind::WorkCollected {
        commit,
        title: None,
        description: None,
        comment: None,
    };
    process.append(Some(run), collected).await?;
    Ok(None)
}

/// How an agent ends, and whether it changed anything. Of a hundred attempts at a sound issue some
/// come to nothing.
fn end(nature: Nature, percent: u64) -> (Option<Outcome>, bool) {
    let stopped = Outcome::Stopped {
        code: Code::new(701),
    };
    match (nature, percent) {
        (Nature::Sound | Nature::Deadly, 0..90) => (None, true),
        (Nature::Sound | Nature::Deadly, 90..95) | (Nature::Unsolvable, 0..50) => (None, false),
        (Nature::Sound | Nature::Deadly | Nature::Unsolvable, _) => (Some(stopped), false),
    }
}

fn change(process: &Process, key: &IssueName, ground: &Ground) -> timmy_core::ObjectName {
    let truths = process.world.truths.borrow();
    let files = truths.get(&key.number).map(|truth| truth.files.clone());
    let content = process.random.borrow_mut().next();
    let changes: Vec<_> = files
        .unwrap_or_default()
        .into_iter()
        .map(|path| (path, content))
        .collect();
    let mut forge = process.world.forge.borrow_mut();
    forge.objects.change(&ground.base, &changes, Maker::Timmy)
}

/// One model call: set aside, asked, settled.
async fn ask(process: &Rc<Process>, run: &RunId, call: u32) -> Result<(), Stop> {
    let world = &process.world;
    let reservation = reserve(process)?;
    let reserved = EventKind::ModelCallReserved {
        call,
        provider: "simulated".to_owned(),
        reserved: Usage {
            cost: RESERVED,
            ..Usage::default()
        },
    };
    process.append(Some(run), reserved).await?;
    let (time, silent, used) = {
        let mut random = process.random.borrow_mut();
        let time = random.between(Duration::from_secs(3), Duration::from_secs(45));
        let silent = world.sky.goes_silent(world.now(), &mut random);
        // Some providers report more than they were allowed.
        let most = if random.chance(0.02) {
            RESERVED.0 * 11 / 10
        } else {
            RESERVED.0
        };
        (time, silent, MicroUsd(random.below(most + 1)))
    };
    asked(process, run);
    if world
        .sky
        .lacks(process.host.index, Lack::Quota, world.now())
    {
        settle(process, reservation, MicroUsd(0));
        let what = "the provider's quota is used up";
        let failed = EventKind::ModelCallFailed {
            call,
            provider: "simulated".to_owned(),
            code: QUOTA,
            what: what.to_owned(),
            answer: "the end of the run".to_owned(),
        };
        process.append(Some(run), failed).await?;
        return Err(Problem::new(QUOTA, ExitStatus::Later, what).into());
    }
    world
        .schedule
        .sleep(if silent { FOR_EVER } else { time })
        .await;
    settle(process, reservation, used);
    let settled = EventKind::ModelCallSettled {
        call,
        provider: "simulated".to_owned(),
        model: "scripted".to_owned(),
        usage: Usage {
            cost: used,
            ..Usage::default()
        },
        measured: true,
        duration_ms: 0,
    };
    Ok(process.append(Some(run), settled).await?)
}

fn reserve(process: &Process) -> Result<Option<u64>, Stop> {
    if process.world.plan.sabotage == Sabotage::SpendingWithoutReserving {
        return Ok(None);
    }
    let cap = process.world.plan.budget;
    let reserved = process.host.books.borrow_mut().reserve(RESERVED, cap);
    reserved.map(Some).ok_or_else(|| {
        let what = "the next model call could pass the day's limit";
        let problem = Problem::new(Code::new(210), ExitStatus::Later, what);
        problem.at("budget.per_day").into()
    })
}

fn settle(process: &Process, reservation: Option<u64>, used: MicroUsd) {
    let mut books = process.host.books.borrow_mut();
    match reservation {
        Some(reservation) => books.settle(reservation, used),
        None => books.spend(used),
    }
    let host = process.host.index;
    let happening = process.world.happening(Some(host), None, "settled");
    let mut watch = process.world.watch.borrow_mut();
    watch.tally.cost = watch.tally.cost + used;
    watch.spent(happening, books.used(), RESERVED);
}

/// A model is asked only for a run that the core knows of.
fn asked(process: &Process, run: &RunId) {
    process.world.watch.borrow_mut().tally.model_calls += 1;
    let known = {
        let log = process.host.log.borrow();
        log.run(run).is_some_and(|run| run.outcome.is_none())
    };
    if !known || process.night.borrow().state().running() == 0 {
        let detail = "a model was asked while nothing ran".to_owned();
        process.violated(Invariant::IdleIsIdle, None, detail);
    }
}
