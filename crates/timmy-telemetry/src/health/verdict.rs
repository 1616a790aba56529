//! Findings, and what could not be looked at.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;
use timmy_core::Code;
use timmy_core::RepoName;
use timmy_core::event::AlertKey;

use super::Evidence;
use super::HealthSettings;
use super::evidence::ForgeSeen;
use super::find;
use super::rules::something_runs;
use crate::finding::Finding;
use crate::finding::code;
use crate::run_lock::Lease;

/// Findings about one machine alone: their subjects begin with its name.
const OF_ONE_MACHINE: [Code; 6] = [
    code::FORGE_FAILS,
    code::DISK,
    code::LATE_TIMER,
    code::MODEL_DRIFT,
    code::LOGIN,
    code::NO_TELEMETRY,
];

/// Findings that only a host can make which looks at the repository: their subjects begin with its name.
const OF_A_REPOSITORY: [Code; 2] = [code::STUCK_CLAIM, code::IDLE_WITH_WORK];

/// Everything one look concluded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The machine that looked.
    pub host: String,
    /// What is not as it should be, the most pressing first.
    pub findings: Vec<Finding>,
    /// What nobody could tell.
    pub unseen: Vec<Unseen>,
    /// The repositories that were judged, by the kind of finding. Hosts with one log need not look at
    /// the same ones.
    pub judged: BTreeMap<Code, BTreeSet<RepoName>>,
}

/// Something that could not be looked at: findings of this kind about it may exist.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Unseen {
    /// The kind of finding.
    pub code: Code,
    /// What the subjects begin with. Empty for all.
    pub about: String,
    /// Why not.
    pub why: String,
}

impl Verdict {
    /// Whether a finding of this key would have been found, if it were so: only then does its absence
    /// mean that the cause is gone.
    #[must_use]
    pub fn sees(&self, key: &AlertKey) -> bool {
        let own = format!("{}:", self.host);
        let elsewhere = OF_ONE_MACHINE.contains(&key.code) && !key.subject.starts_with(&own);
        let mut unseen = self.unseen.iter();
        let hidden =
            |unseen: &Unseen| unseen.code == key.code && key.subject.starts_with(&unseen.about);
        !elsewhere && self.judges(key) && !unseen.any(hidden)
    }

    fn judges(&self, key: &AlertKey) -> bool {
        if !OF_A_REPOSITORY.contains(&key.code) {
            return true;
        }
        let repo = key.subject.split('#').next().unwrap_or_default();
        let judged = self.judged.get(&key.code).into_iter().flatten();
        judged.map(RepoName::to_string).any(|judged| judged == repo)
    }
}

/// Concludes from evidence.
#[must_use]
pub fn judge(evidence: &Evidence, settings: &HealthSettings, now: Timestamp) -> Verdict {
    let findings = find(evidence, settings, now);
    let mut unseen = unseen(evidence);
    unseen.retain(|unseen| !is_answered(unseen, &findings));
    unseen.sort();
    unseen.dedup();
    Verdict {
        host: evidence.host.clone(),
        findings,
        unseen,
        judged: judged(evidence, settings, now),
    }
}

fn judged(
    evidence: &Evidence,
    settings: &HealthSettings,
    now: Timestamp,
) -> BTreeMap<Code, BTreeSet<RepoName>> {
    let looked_at = evidence.claims.iter();
    let claims = looked_at.filter(|(_, claims)| claims.is_ok());
    let claims = claims.map(|(repo, _)| repo.clone()).collect();
    // Nobody has to ask what a sprint would take where work goes on, or where no loop is to work.
    let explained = something_runs(evidence, settings, now);
    let ours = evidence.claims.keys();
    let work = ours.filter(|repo| match evidence.work.get(*repo) {
        Some(work) => work.is_ok(),
        None => explained || !evidence.night.repositories.contains(repo),
    });
    let work = work.cloned().collect();
    BTreeMap::from([(code::STUCK_CLAIM, claims), (code::IDLE_WITH_WORK, work)])
}

/// A finding says more than that nobody could tell.
fn is_answered(unseen: &Unseen, findings: &[Finding]) -> bool {
    let exactly =
        |finding: &Finding| finding.code == unseen.code && finding.subject == unseen.about;
    findings.iter().any(exactly)
}

fn unseen(evidence: &Evidence) -> Vec<Unseen> {
    let mut unseen = evidence.unseen.clone();
    let mut note = |code, about: &str, why: &str| {
        unseen.push(Unseen {
            code,
            about: about.to_owned(),
            why: why.to_owned(),
        });
    };
    for (repo, claims) in &evidence.claims {
        if let Err(why) = claims {
            note(code::STUCK_CLAIM, &format!("{repo}#"), why);
        }
    }
    for (repo, work) in &evidence.work {
        if let Err(why) = work {
            note(code::IDLE_WITH_WORK, repo.to_string().as_str(), why);
        }
    }
    for run in &evidence.runs {
        let why = match run.lease {
            Lease::Held | Lease::Free => continue,
            Lease::Elsewhere => "it works on another machine, or its directory is gone",
            Lease::Unknown => "its lock cannot be looked at",
        };
        note(code::SILENT_RUN, run.run.as_str(), why);
        note(code::DEAD_WORKER, run.run.as_str(), why);
    }
    if let ForgeSeen::Fails { what, .. } = &evidence.forge {
        for code in [code::STUCK_CLAIM, code::IDLE_WITH_WORK] {
            note(code, "", &format!("the forge does not answer: {what}"));
        }
    }
    unseen
}
