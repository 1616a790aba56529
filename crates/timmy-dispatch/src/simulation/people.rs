//! People, who merge, close, edit, say things and open issues whenever they like.

use std::rc::Rc;
use std::time::Duration;

use timmy_core::IssueNumber;
use timmy_forge::ForgeError;
use timmy_forge::IssueState;
use timmy_forge::MergeRequest;
use timmy_forge::MergeStyle;
use timmy_forge::NewIssue;
use timmy_forge::PullFilter;
use timmy_forge::PullRequest;
use timmy_forge::PullUpdate;
use timmy_forge::Status;
use timmy_forge::StatusState;
use timmy_git::Expect;
use timmy_git::PushRef;

use super::forge::Maker;
use super::forge::Verdict;
use super::forge::branch_ref;
use super::project::Nature;
use super::project::Truth;
use super::random::Random;
use super::weather::Lack;
use super::world::OUTSIDE;
use super::world::World;
use crate::night::Input;

const ALICE: &str = "alice";

/// Lets people act until the night is over.
pub(crate) fn wake_people(world: &Rc<World>) {
    let own = Rc::clone(world);
    world.schedule.spawn(OUTSIDE, async move {
        let mut random = Random::new(own.seed, "people");
        let mean = Duration::from_secs(3_600).checked_div(own.plan.deeds_per_hour);
        let Some(mean) = mean else {
            return;
        };
        loop {
            let pause = random.between(Duration::ZERO, 2 * mean);
            own.schedule.sleep(pause).await;
            if own.now() >= own.plan.length {
                return;
            }
            act(&own, &mut random);
        }
    });
    for host in 0..world.plan.hosts {
        let own = Rc::clone(world);
        world
            .schedule
            .spawn(OUTSIDE, async move { edit_settings(&own, host).await });
    }
}

/// A configuration that cannot be read leaves the last good one in force; once it can, it counts.
async fn edit_settings(world: &Rc<World>, host: u32) {
    let look = Duration::from_secs(30);
    let mut broken = false;
    while world.now() < world.plan.length {
        world.schedule.sleep(look).await;
        let now_broken = world.sky.lacks(host, Lack::Configuration, world.now());
        if broken && !now_broken {
            configure(world, host);
        }
        broken = now_broken;
    }
}

fn configure(world: &World, host: u32) {
    let hosts = world.hosts.borrow();
    let process = hosts.iter().find(|known| known.index == host);
    let Some(process) = process.and_then(|host| host.process.borrow().clone()) else {
        return;
    };
    let settings = crate::night::Settings {
        repositories: vec![world.repo.clone()],
        login: super::world::BOT.to_owned(),
        ..world.plan.settings.clone()
    };
    world.note(Some(host), None, "configured", String::new);
    process.inbox.put(Input::Configured(Box::new(settings)));
}

/// One thing that somebody does.
fn act(world: &Rc<World>, random: &mut Random) {
    let done = match random.below(100) {
        0..45 => merge(world, random),
        45..52 => close_pull(world, random),
        52..58 => edit_branch(world, random),
        58..66 => say(world, random),
        66..71 => review(world, random),
        71..75 => fail_status(world, random),
        75..80 => close_issue(world, random),
        80..88 => label(world, random),
        88..94 => edit_issue(world, random),
        _ => open_issue(world, random),
    };
    let Ok(Some((issue, what))) = done else {
        return;
    };
    world.watch.borrow_mut().tally.deeds += 1;
    world.note(None, Some(issue), what, String::new);
    deliver(world, random);
}

/// The forge tells every host, or means to.
fn deliver(world: &Rc<World>, random: &mut Random) {
    for host in 0..world.plan.hosts {
        let mut times = 1;
        times += u32::from(world.sky.doubles_webhook(random));
        times -= u32::from(world.sky.loses_webhook(random));
        for _ in 0..times {
            let least = Duration::from_millis(50);
            let delay = random.between(least, Duration::from_secs(5));
            let own = Rc::clone(world);
            world.schedule.spawn(OUTSIDE, async move {
                own.schedule.sleep(delay).await;
                let hosts = own.hosts.borrow();
                let reached = hosts.iter().find(|known| known.index == host);
                if let Some(process) = reached.and_then(|host| host.process.borrow().clone()) {
                    let repo = own.repo.clone();
                    process.inbox.put(Input::Woken { repo });
                }
            });
        }
    }
}

/// What was done, and to which issue or pull request.
type Deed = Result<Option<(IssueNumber, &'static str)>, ForgeError>;

fn some_pull(world: &World, random: &mut Random) -> Option<PullRequest> {
    let open = PullFilter::default();
    let pulls = world
        .forge
        .borrow()
        .pulls(&world.repo, &open)
        .unwrap_or_default();
    random.pick(&pulls).cloned()
}

fn some_issue(world: &World, random: &mut Random) -> Option<IssueNumber> {
    let issues = world.forge.borrow_mut().open_issues(&world.repo).ok()?;
    let index = random.index(issues.len());
    issues.get(index).map(|issue| issue.number)
}

fn touch(world: &World, issue: IssueNumber) {
    if let Some(truth) = world.truths.borrow_mut().get_mut(&issue) {
        truth.touched = true;
    }
}

fn merge(world: &World, random: &mut Random) -> Deed {
    let Some(pull) = some_pull(world, random) else {
        return Ok(None);
    };
    let checked = world
        .forge
        .borrow()
        .checked_pull(&world.repo, pull.number)?;
    if checked.mergeable != Some(true) {
        return Ok(None);
    }
    let request = MergeRequest {
        style: MergeStyle::Squash,
        head: pull.head,
    };
    world.on_forge(|forge| forge.merge_pull(&world.repo, pull.number, &request))?;
    world.watch.borrow_mut().tally.merged += 1;
    Ok(Some((pull.number, "merged by a person")))
}

fn close_pull(world: &World, random: &mut Random) -> Deed {
    let Some(pull) = some_pull(world, random) else {
        return Ok(None);
    };
    let update = PullUpdate {
        state: Some(IssueState::Closed),
        ..PullUpdate::default()
    };
    world.on_forge(|forge| forge.update_pull(&world.repo, pull.number, &update))?;
    world.watch.borrow_mut().tally.refused += 1;
    Ok(Some((pull.number, "closed by a person")))
}

fn edit_branch(world: &World, random: &mut Random) -> Deed {
    let Some(pull) = some_pull(world, random) else {
        return Ok(None);
    };
    let Ok(target) = branch_ref(&pull.head_branch).parse() else {
        return Ok(None);
    };
    let content = random.next();
    world.on_forge(|forge| {
        let commit = forge
            .objects
            .change(&pull.head, &[(1, content)], Maker::Person);
        let push = PushRef {
            source: Some(commit),
            target,
            expect: Expect::At(pull.head.clone()),
        };
        forge.push(&world.repo, &[push])
    })?;
    Ok(Some((pull.number, "branch edited by a person")))
}

fn say(world: &World, random: &mut Random) -> Deed {
    let on_pull = random.chance(0.3);
    let number = match on_pull {
        true => some_pull(world, random).map(|pull| pull.number),
        false => some_issue(world, random),
    };
    let Some(number) = number else {
        return Ok(None);
    };
    let text = "What about the other case?";
    world.on_forge(|forge| forge.comment(&world.repo, number, ALICE, text))?;
    Ok(Some((number, "commented by a person")))
}

fn review(world: &World, random: &mut Random) -> Deed {
    let Some(pull) = some_pull(world, random) else {
        return Ok(None);
    };
    let verdict = match random.chance(0.5) {
        true => Verdict::ChangesRequested,
        false => Verdict::Approved,
    };
    world.on_forge(|forge| forge.review(&world.repo, pull.number, ALICE, verdict, "Hm."))?;
    Ok(Some((pull.number, "reviewed by a person")))
}

fn fail_status(world: &World, random: &mut Random) -> Deed {
    let Some(pull) = some_pull(world, random) else {
        return Ok(None);
    };
    let status = Status {
        context: "ci/test".to_owned(),
        state: StatusState::Failure,
        description: String::new(),
        target_url: String::new(),
    };
    world.on_forge(|forge| forge.set_status(&world.repo, &pull.head, &status))?;
    Ok(Some((pull.number, "failed in CI")))
}

fn close_issue(world: &World, random: &mut Random) -> Deed {
    let Some(number) = some_issue(world, random) else {
        return Ok(None);
    };
    world.on_forge(|forge| forge.close(&world.repo, number))?;
    touch(world, number);
    Ok(Some((number, "issue closed by a person")))
}

fn label(world: &World, random: &mut Random) -> Deed {
    let Some(number) = some_issue(world, random) else {
        return Ok(None);
    };
    let held = random.chance(0.4);
    world.on_forge(|forge| match held {
        true => forge.add_labels(&world.repo, number, &["hold".to_owned()]),
        false => forge.remove_label(&world.repo, number, "hold"),
    })?;
    touch(world, number);
    let what = if held {
        "held by a person"
    } else {
        "let go by a person"
    };
    Ok(Some((number, what)))
}

fn edit_issue(world: &World, random: &mut Random) -> Deed {
    let Some(number) = some_issue(world, random) else {
        return Ok(None);
    };
    let body = format!("The sum in src/f{}.rs is wrong.", random.below(120) + 1);
    world.on_forge(|forge| forge.edit_body(&world.repo, number, &body))?;
    touch(world, number);
    Ok(Some((number, "edited by a person")))
}

fn open_issue(world: &World, random: &mut Random) -> Deed {
    let new = NewIssue {
        title: "A new thing is wrong".to_owned(),
        body: String::new(),
        labels: Vec::new(),
    };
    let issue = world.on_forge(|forge| forge.create_issue(&world.repo, ALICE, &new))?;
    let truth = Truth {
        nature: Nature::Sound,
        files: vec![u32::try_from(random.below(120)).unwrap_or(0) + 1],
        touched: true,
    };
    world.truths.borrow_mut().insert(issue.number, truth);
    Ok(Some((issue.number, "opened by a person")))
}
