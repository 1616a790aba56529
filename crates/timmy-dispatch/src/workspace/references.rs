//! What the forge still says about runs: open pull requests and living claims. Asked once a sweep,
//! and only when there is something to judge.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use timmy_core::Coded;
use timmy_core::RepoName;
use timmy_core::RunId;
use timmy_forge::PullFilter;
use timmy_forge::PullRequest;
use timmy_forge::claim::ClaimError;
use timmy_forge::claim::Claims;
use timmy_forge::claim::RefSpace;
use timmy_store::runs::RunSummary;

use super::error::WorkspaceError;
use super::facts::Named;
use crate::sprint::Desk;

/// What one repository's forge says. Nothing when it could not be asked.
struct Said {
    open: Option<Vec<PullRequest>>,
    claimed: Option<BTreeSet<RunId>>,
}

pub(super) struct References<'a> {
    desks: &'a [&'a Desk],
    said: BTreeMap<RepoName, Said>,
}

impl<'a> References<'a> {
    pub(super) fn of(desks: &'a [&'a Desk]) -> Self {
        Self {
            desks,
            said: BTreeMap::new(),
        }
    }

    /// Whether the forge refers to a run. Of a run that the log does not know every repository is
    /// asked.
    pub(super) async fn to(&mut self, run: &RunId, summary: Option<&RunSummary>) -> Named {
        let desks = self.desks;
        let of_run = |desk: &&&Desk| summary.is_none_or(|known| known.repo == desk.repo);
        let mut asked = desks.iter().filter(of_run).peekable();
        if asked.peek().is_none() {
            return Named::Unknown;
        }
        let mut named = Named::Nowhere;
        for desk in asked {
            match self.said(desk).await.about(run, summary) {
                Named::Nowhere => {}
                Named::Unknown if named == Named::Nowhere => named = Named::Unknown,
                Named::Unknown => {}
                certain @ (Named::Claim | Named::OpenPull) => named = certain,
            }
        }
        named
    }

    async fn said(&mut self, desk: &Desk) -> &Said {
        if !self.said.contains_key(&desk.repo) {
            let said = Said {
                open: desk
                    .forge
                    .pulls(&desk.repo, &PullFilter::default())
                    .await
                    .ok(),
                claimed: claimed(desk).await.ok(),
            };
            self.said.insert(desk.repo.clone(), said);
        }
        &self.said[&desk.repo]
    }
}

/// The runs that a living claim names.
async fn claimed(desk: &Desk) -> Result<BTreeSet<RunId>, WorkspaceError> {
    let told = |error: ClaimError| WorkspaceError::Part(error.problem());
    let mut runs = BTreeSet::new();
    // A server that takes nothing but branches has them there.
    for space in [RefSpace::Hidden, RefSpace::Branches] {
        let claims: Claims = desk.claims().await?.within(space);
        for (issue, _) in claims.list().await.map_err(told)? {
            let holder = claims.observe(issue).await.map_err(told)?;
            let living = holder.filter(|holder| !holder.lapses_in.is_zero());
            runs.extend(living.and_then(|holder| holder.message).map(|m| m.run_id));
        }
    }
    Ok(runs)
}

impl Said {
    fn about(&self, run: &RunId, summary: Option<&RunSummary>) -> Named {
        let (Some(open), Some(claimed)) = (&self.open, &self.claimed) else {
            return Named::Unknown;
        };
        if claimed.contains(run) {
            return Named::Claim;
        }
        let of_run = |pull: &PullRequest| {
            summary.is_some_and(|known| {
                let number = known.pull_request.as_ref().map(|link| link.number);
                number == Some(pull.number) || known.branch.as_deref() == Some(&pull.head_branch)
            })
        };
        if open.iter().any(of_run) {
            Named::OpenPull
        } else {
            Named::Nowhere
        }
    }
}
