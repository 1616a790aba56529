//! The steps of a run: what [`Attempt::next`](crate::attempt::Attempt::next) asks for, done in
//! simulated time.

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
use timmy_core::Receipt;
use timmy_core::RunId;
use timmy_core::event::Outcome;
use timmy_core::receipt::SandboxLevel;
use timmy_forge::ForgeError;
use timmy_forge::NewPull;
use timmy_forge::Opened;
use timmy_forge::PullFilter;
use timmy_forge::PullState;
use timmy_forge::PullUpdate;
use timmy_forge::StateFilter;
use timmy_forge::marker::mark;
use timmy_git::Expect;

use super::claim::ClaimEnd;
use super::claim::Published;
use super::forge::MAIN;
use super::forge::SimForge;
use super::forge::branch_ref;
use super::hold::Hold;
use super::host::Process;
use super::plan::Sabotage;
use super::run::Ground;
use super::run::PATIENCE;
use super::watch::Invariant;
use super::weather::Lack;
use super::work;
use super::world::BOT;
use crate::attempt::Step;
use crate::night::Input;

/// Why a run goes no further.
#[derive(Debug)]
pub(crate) enum Stop {
    ClaimLost,
    Failed(Problem),
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Self {
        Self::Failed(problem)
    }
}

impl From<ForgeError> for Stop {
    fn from(error: ForgeError) -> Self {
        Self::Failed(error.problem())
    }
}

/// Takes one step after the other. `ground` is there for a run that lives; one whose process died
/// has its own in the log.
pub(crate) async fn walk(
    process: &Rc<Process>,
    run: &RunId,
    hold: &Hold,
    ground: Option<&Ground>,
) -> Result<Outcome, Stop> {
    loop {
        let Some((key, step)) = next(process, run, ground.is_some()) else {
            return Ok(Outcome::Abandoned);
        };
        match (step, ground) {
            (Step::Work, Some(ground)) => {
                if let Some(outcome) = work::work(process, run, &key, ground).await? {
                    return Ok(outcome);
                }
            }
            (Step::Work, None) | (Step::Nothing, _) => return Ok(Outcome::Abandoned),
            (Step::Check { commit }, _) => check(process, run, &key, &commit).await?,
            (Step::Push { commit }, _) => push(process, run, &key, hold, &commit).await?,
            (Step::Offer, _) => {
                if let Some(outcome) = offer(process, run, &key).await? {
                    return Ok(outcome);
                }
            }
            (Step::Tell { number }, _) => tell(process, run, &key, number).await?,
            (Step::End(outcome), _) => return Ok(outcome),
        }
    }
}

/// The next step, as the log says.
pub(crate) fn next(process: &Process, run: &RunId, lives: bool) -> Option<(IssueName, Step)> {
    let log = process.host.log.borrow();
    let told = log.run(run)?;
    let drafts = process.world.plan.on_failed_check;
    let step = match lives {
        true => told.attempt.next(drafts),
        false => told.attempt.next_after_death(drafts),
    };
    Some((told.key.clone(), step))
}

/// Judges the change and runs the project's check on it.
async fn check(
    process: &Process,
    run: &RunId,
    key: &IssueName,
    commit: &ObjectName,
) -> Result<(), Stop> {
    // The check may be silent for as long as it may take.
    heard(process, key, Duration::from_secs(1_800));
    let (time, refused, passes) = {
        let mut random = process.random.borrow_mut();
        let time = random.between(Duration::from_secs(5), Duration::from_secs(150));
        (time, random.chance(0.01), random.chance(0.9))
    };
    if refused {
        let reasons = vec!["src/f1.rs: it is protected".to_owned()];
        let blocked = EventKind::PublicationBlocked { reasons };
        return Ok(process.append(Some(run), blocked).await?);
    }
    process.world.schedule.sleep(time).await;
    let receipt = Receipt {
        command: "true".to_owned(),
        exit_code: Some(i32::from(!passes)),
        tree: commit.clone(),
        commit: commit.clone(),
        duration_ms: 0,
        output_tail: String::new(),
        sandbox: SandboxLevel::L3,
        output_sha256: String::new(),
    };
    let finished = EventKind::CheckFinished { receipt };
    process.append(Some(run), finished).await?;
    heard(process, key, process.world.plan.settings.stall);
    Ok(())
}

/// Moves the branch and renews the claim, both or neither.
async fn push(
    process: &Process,
    run: &RunId,
    key: &IssueName,
    hold: &Hold,
    commit: &ObjectName,
) -> Result<(), Stop> {
    let (branch, expect) = {
        let log = process.host.log.borrow();
        let told = log.run(run);
        let start = told.and_then(|told| told.attempt.start());
        let branch = start.and_then(|start| start.work_branch.clone());
        let answers = told.is_some_and(|told| told.answers.is_some());
        let expect = match start.filter(|_| answers) {
            Some(start) => Expect::At(start.base.clone()),
            None => Expect::Absent,
        };
        (branch.unwrap_or_default(), expect)
    };
    let name = branch_ref(&branch);
    let expect = match process.world.plan.sabotage {
        Sabotage::OverwritesPeople => {
            let found = process.world.forge.borrow().reference(&key.repo, &name);
            found.ok().flatten().map_or(Expect::Absent, Expect::At)
        }
        _ => expect,
    };
    loop {
        match hold.publish(&name, commit, expect.clone()).await {
            Ok(Published::Done) => break,
            Ok(Published::BranchMoved) => {
                let what = format!("{branch} is somebody else's by now");
                let problem = Problem::new(Code::new(918), ExitStatus::Failure, what);
                return Err(problem.into());
            }
            Err(ClaimEnd::Lost(_)) => return Err(Stop::ClaimLost),
            // The same push may be made again, until the claim is fenced.
            Err(ClaimEnd::Unreachable) => process.world.schedule.sleep(PATIENCE).await,
        }
        heard(process, key, process.world.plan.settings.stall);
    }
    let pushed = EventKind::BranchPushed {
        branch,
        commit: commit.clone(),
    };
    Ok(process.append(Some(run), pushed).await?)
}

/// Opens the pull request, or brings the one up to date whose feedback was answered.
async fn offer(process: &Process, run: &RunId, key: &IssueName) -> Result<Option<Outcome>, Stop> {
    heard(process, key, process.world.plan.settings.stall);
    let (branch, draft, answers) = {
        let log = process.host.log.borrow();
        let Some(told) = log.run(run) else {
            return Ok(None);
        };
        let branch = told.attempt.pushed().unwrap_or_default().to_owned();
        let draft = told
            .attempt
            .receipt()
            .is_none_or(|receipt| !receipt.passed());
        (branch, draft, told.answers)
    };
    let body = match draft {
        true => "The check failed.".to_owned(),
        false => format!("Closes #{}", key.number),
    };
    let opened = match answers {
        Some(pull) => match refresh(process, key, pull, &body, draft).await? {
            Some(opened) => opened,
            None => {
                let reason = "its pull request was closed meanwhile".to_owned();
                return Ok(Some(Outcome::Cancelled { reason }));
            }
        },
        None => open(process, key, branch, body, draft).await?,
    };
    let event = EventKind::PullRequestOpened {
        number: opened.pull.number,
        url: String::new(),
        draft,
        adopted: opened.adopted,
    };
    process.append(Some(run), event).await?;
    Ok(None)
}

async fn open(
    process: &Process,
    key: &IssueName,
    branch: String,
    body: String,
    draft: bool,
) -> Result<Opened, Stop> {
    let (repo, world) = (&key.repo, &process.world);
    let new = NewPull {
        title: format!("Resolve #{}", key.number),
        body,
        head: branch,
        base: MAIN.to_owned(),
        draft,
    };
    let create = |forge: &mut SimForge| {
        let opened = forge.create_pull(repo, BOT, &new)?;
        check_pulls(process, forge, key, &opened);
        Ok(opened)
    };
    let look = |forge: &mut SimForge| {
        // Somebody may have decided about it already.
        let filter = PullFilter {
            state: StateFilter::All,
            head: Some(new.head.clone()),
        };
        let found = forge.pulls(repo, &filter)?.into_iter().next();
        Ok(found.map(|pull| Opened {
            pull,
            adopted: false,
        }))
    };
    let opened = process.line.write(create, look).await?;
    if !opened.adopted {
        world.watch.borrow_mut().tally.pull_requests += 1;
    }
    Ok(opened)
}

/// At most one open pull request, and none after a person closed one.
fn check_pulls(process: &Process, forge: &SimForge, key: &IssueName, opened: &Opened) {
    let all = PullFilter {
        state: StateFilter::All,
        head: None,
    };
    let prefix = format!("timmy/{}-", key.number);
    let pulls = forge.pulls(&key.repo, &all).unwrap_or_default();
    let pulls = pulls
        .into_iter()
        .filter(|pull| pull.head_branch.starts_with(&prefix));
    for other in pulls.filter(|pull| pull.number != opened.pull.number) {
        let (mine, theirs) = (opened.pull.number, other.number);
        match other.state {
            PullState::Open => {
                let detail = format!("#{mine} was opened beside #{theirs}");
                process.violated(Invariant::OnePullRequest, Some(key.number), detail);
            }
            PullState::Closed | PullState::Merged => {
                let detail = format!("#{mine} was opened after #{theirs} was decided");
                process.violated(Invariant::PeopleDecide, Some(key.number), detail);
            }
        }
    }
}

/// Brings the pull request up to date whose feedback was answered; none when it is not open.
async fn refresh(
    process: &Process,
    key: &IssueName,
    pull: IssueNumber,
    body: &str,
    draft: bool,
) -> Result<Option<Opened>, Stop> {
    let repo = &key.repo;
    let now = process.line.read(|forge| forge.pull(repo, pull)).await?;
    if now.state != PullState::Open {
        return Ok(None);
    }
    let update = PullUpdate {
        body: Some(body.to_owned()),
        draft: Some(draft),
        ..PullUpdate::default()
    };
    let send = |forge: &mut SimForge| forge.update_pull(repo, pull, &update);
    let look = |forge: &mut SimForge| {
        let found = forge.pull(repo, pull)?;
        Ok((found.body == body && found.draft == draft).then_some(found))
    };
    let pull = process.line.write(send, look).await?;
    Ok(Some(Opened {
        pull,
        adopted: true,
    }))
}

/// Tells the issue, once.
async fn tell(
    process: &Process,
    run: &RunId,
    key: &IssueName,
    number: IssueNumber,
) -> Result<(), Stop> {
    let marker = match process.world.plan.sabotage {
        Sabotage::CommentsWithoutMark => String::new(),
        _ => mark(&format!("run/{run}")),
    };
    let body = format!("Pull request #{number} of run {run}. {marker}");
    let (repo, issue) = (&key.repo, key.number);
    let send = |forge: &mut SimForge| forge.comment(repo, issue, BOT, &body);
    let look = |forge: &mut SimForge| {
        let comments = forge.comments(repo, issue)?;
        let found = comments.into_iter().find(|one| one.body == body);
        Ok(found.filter(|_| !marker.is_empty()))
    };
    // As long as the claim is held there is time.
    while let Err(error) = process.line.write(send, look).await {
        process.note(Some(issue), "not told", || error.to_string());
        process.world.schedule.sleep(PATIENCE).await;
        heard(process, key, process.world.plan.settings.stall);
    }
    let told = EventKind::IssueCommented { issue };
    Ok(process.append(Some(run), told).await?)
}

/// Tells the core that a run lives.
pub(crate) fn heard(process: &Process, key: &IssueName, patience: Duration) {
    process.inbox.put(Input::Heard {
        key: key.clone(),
        patience,
    });
}

/// How long the fault that ended a run lasts, where that is known.
pub(crate) fn lasts(process: &Process, outcome: &Outcome) -> Option<Duration> {
    let Outcome::Failed { problem } = outcome else {
        return None;
    };
    let now = process.world.now();
    let quota = problem.code == work::QUOTA;
    let ends = process.world.sky.ends(process.host.index, Lack::Quota, now);
    ends.filter(|_| quota).map(|end| end.saturating_sub(now))
}
