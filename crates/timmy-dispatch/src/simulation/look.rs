//! Lists of issues, and looks at own pull requests.

use std::rc::Rc;

use timmy_core::Coded;
use timmy_core::EventKind;
use timmy_core::IssueName;
use timmy_core::IssueNumber;
use timmy_core::ObjectName;
use timmy_core::event::Feedback;
use timmy_forge::ForgeError;
use timmy_forge::Issue;
use timmy_forge::IssueState;
use timmy_forge::PullFilter;
use timmy_forge::PullRequest;
use timmy_forge::PullState;
use timmy_forge::StateFilter;

use super::forge::MAIN;
use super::forge::SimForge;
use super::forge::branch_ref;
use super::host::Process;
use super::watch::Invariant;
use super::world::BOT;
use crate::night::Attended;
use crate::night::Brief;
use crate::night::Extent;
use crate::night::Input;
use crate::night::Listing;

/// Lists the issues of the repository and tells the core.
pub(crate) async fn list(process: &Rc<Process>, extent: Extent) {
    let repo = process.world.repo.clone();
    let input = match listing(process, extent).await {
        Ok(listing) => Input::Listed { repo, listing },
        Err(error) => Input::ListFailed {
            repo,
            lasts: match &error {
                ForgeError::RateLimited { retry_after, .. } => *retry_after,
                _ => None,
            },
            problem: error.problem(),
        },
    };
    process.inbox.put(input);
}

/// A list begins: one a tick, and one whenever the forge says that something changed.
pub(crate) fn once_a_tick(process: &Process) {
    let now = process.world.now();
    process.world.watch.borrow_mut().tally.lists += 1;
    let woken = process.woken.replace(false);
    let poll = process.world.plan.settings.poll;
    let last = process.last_list.replace(Some(now));
    let early = last.is_some_and(|last| now.saturating_sub(last) < poll);
    if early && !woken {
        let detail = "issues were listed twice within a tick".to_owned();
        process.violated(Invariant::IdleIsIdle, None, detail);
    }
}

async fn listing(process: &Process, extent: Extent) -> Result<Listing, ForgeError> {
    let repo = &process.world.repo;
    let since = process.listed_to.get();
    if let (Extent::Changes, Some(since)) = (extent, since) {
        let changes = process
            .line
            .read(|forge| forge.changed_since(repo, since))
            .await?;
        process.listed_to.set(changes.newest.max(Some(since)));
        return Ok(Listing {
            extent,
            issues: briefs(&changes.issues),
            pulls_changed: changes.pulls,
            base: None,
            terms: None,
        });
    }
    let ask = |forge: &mut SimForge| {
        let newest = forge.changed_since(repo, forge.clock)?.newest;
        Ok((forge.open_issues(repo)?, newest.unwrap_or(forge.clock)))
    };
    let (issues, newest) = process.line.read(ask).await?;
    process.listed_to.set(Some(newest));
    Ok(Listing {
        extent: Extent::Everything,
        issues: briefs(&issues),
        pulls_changed: false,
        base: base(process).await?,
        terms: None,
    })
}

async fn base(process: &Process) -> Result<Option<ObjectName>, ForgeError> {
    let (repo, main) = (&process.world.repo, branch_ref(MAIN));
    process
        .line
        .read(|forge| forge.reference(repo, &main))
        .await
}

fn briefs(issues: &[Issue]) -> Vec<Brief> {
    issues.iter().map(|issue| Brief::of(issue, None)).collect()
}

/// Looks at own pull requests: what was decided is recorded once, what was said is to be answered.
pub(crate) async fn attend(process: &Rc<Process>) {
    let attended = match look(process).await {
        Ok(attended) => attended,
        Err(problem) => {
            process.note(None, "not attended", || problem.what.clone());
            Attended {
                open: 1,
                ..Attended::default()
            }
        }
    };
    let repo = process.world.repo.clone();
    process.inbox.put(Input::Attended { repo, attended });
}

async fn look(process: &Process) -> Result<Attended, timmy_core::Problem> {
    let repo = &process.world.repo;
    let own: Vec<(IssueName, IssueNumber)> = {
        let log = process.host.log.borrow();
        let pulls = log
            .runs()
            .filter_map(|(_, run)| Some((run.key.clone(), run.pull?)));
        let undecided = pulls.filter(|(_, pull)| !log.is_decided(*pull));
        let mut own: Vec<_> = undecided.collect();
        own.sort_by_key(|(_, pull)| *pull);
        own.dedup_by_key(|(_, pull)| *pull);
        own
    };
    let all = PullFilter {
        state: StateFilter::All,
        head: None,
    };
    let ask = |forge: &mut SimForge| {
        let pulls = forge.pulls(repo, &all)?;
        let mut found = Vec::new();
        for (key, number) in &own {
            let pull = pulls.binary_search_by(|pull| number.cmp(&pull.number));
            let Some(pull) = pull.ok().and_then(|index| pulls.get(index)) else {
                continue;
            };
            let said = forge.feedback(repo, *number, BOT)?;
            found.push((key.clone(), pull.clone(), said));
        }
        Ok(found)
    };
    let found = process.line.read(ask).await;
    let mut attended = Attended::default();
    for (key, pull, said) in found.map_err(|error| error.problem())? {
        note(process, &key, &pull, &said, &mut attended).await?;
    }
    Ok(attended)
}

async fn note(
    process: &Process,
    key: &IssueName,
    pull: &PullRequest,
    said: &[Feedback],
    attended: &mut Attended,
) -> Result<(), timmy_core::Problem> {
    let (repo, issue, number) = (key.repo.clone(), key.number, pull.number);
    match pull.state {
        PullState::Merged => {
            let merged = EventKind::PullRequestMerged {
                repo,
                issue,
                number,
            };
            close(process, key).await?;
            process.append(None, merged).await
        }
        PullState::Closed => {
            let refused = EventKind::PullRequestRefused {
                repo,
                issue,
                number,
            };
            process.append(None, refused).await
        }
        PullState::Open => {
            attended.open += 1;
            let (ours, known, asked) = {
                let log = process.host.log.borrow();
                let new = said.iter().any(|item| !log.took(&item.id));
                (log.pushed(&pull.head), log.is_edited(number), new)
            };
            if !ours && !known {
                let head = pull.head.clone();
                let edited = EventKind::BranchEdited { repo, number, head };
                return process.append(None, edited).await;
            }
            if ours && asked {
                attended.answers.push((issue, number));
            }
            Ok(())
        }
    }
}

/// Merged work closes its issue.
async fn close(process: &Process, key: &IssueName) -> Result<(), timmy_core::Problem> {
    let (repo, number) = (&key.repo, key.number);
    let issue = process.line.read(|forge| forge.issue(repo, number)).await;
    if issue.map_err(|error| error.problem())?.state == IssueState::Closed {
        return Ok(());
    }
    let send = |forge: &mut SimForge| forge.close(repo, number).map(drop);
    let look = |forge: &mut SimForge| {
        let issue = forge.issue(repo, number)?;
        Ok((issue.state == IssueState::Closed).then_some(()))
    };
    match process.line.write(send, look).await {
        Ok(()) => {
            let closed = EventKind::IssueClosed {
                repo: key.repo.clone(),
                issue: number,
            };
            process.append(None, closed).await
        }
        // Another issue stands before it: it stays open, and its merged pull request answers it.
        Err(ForgeError::Blocked(_)) => Ok(()),
        Err(error) => Err(error.problem()),
    }
}
