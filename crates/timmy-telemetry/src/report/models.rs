//! What the models did.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde::Serialize;
use timmy_core::RunId;
use timmy_core::money::Usage;
use timmy_core::receipt::Provenance;
use timmy_store::runs::RunSummary;

use super::reading::Gathered;
use super::words::short;

/// One model of one provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelRow {
    /// The provider.
    pub provider: String,
    /// The model, as the provider named it; none for failed calls that no model answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Runs in which it answered.
    pub runs: u64,
    /// Of those, runs that played back a recording: no model was asked in them.
    pub replayed: u64,
    /// Calls it answered.
    pub calls: u64,
    /// Calls that failed.
    pub failed_calls: u64,
    /// Calls whose usage is an estimate, because the provider told none.
    pub estimated: u64,
    /// What the calls used.
    pub usage: Usage,
    /// How long they took together, in milliseconds.
    pub duration_ms: u64,
    /// Checks that ran on the work of runs in which it answered most.
    pub checks: u64,
    /// Of those, checks that passed.
    pub passed: u64,
}

/// The models of a window, by provider and name.
#[must_use]
pub(super) fn rows(gathered: &Gathered) -> Vec<ModelRow> {
    let replayed: BTreeSet<&RunId> = gathered
        .runs
        .iter()
        .filter(|run| run.provenance == Provenance::Replayed)
        .map(|run| &run.run)
        .collect();
    let checks = checks(gathered);
    let mut failed = gathered.failed_calls.clone();
    let mut rows = Vec::new();
    for ((provider, model), calls) in &gathered.calls {
        let (ran, passed) = checks
            .get(&(provider.as_str(), model.as_str()))
            .copied()
            .unwrap_or_default();
        let models = gathered.calls.keys().filter(|(of, _)| of == provider);
        // Which of several models was asked in vain is not in the log.
        let only = models.count() == 1;
        let failed_calls = only.then(|| failed.remove(provider)).flatten();
        let of_recordings = calls.runs.keys().filter(|run| replayed.contains(run));
        rows.push(ModelRow {
            provider: short(provider),
            model: Some(short(model)),
            runs: calls.runs.len() as u64,
            replayed: of_recordings.count() as u64,
            calls: calls.settled,
            failed_calls: failed_calls.unwrap_or(0),
            estimated: calls.estimated,
            usage: calls.usage,
            duration_ms: calls.duration_ms,
            checks: ran,
            passed,
        });
    }
    rows.extend(failed.into_iter().map(|(provider, failed_calls)| ModelRow {
        provider: short(&provider),
        model: None,
        runs: 0,
        replayed: 0,
        calls: 0,
        failed_calls,
        estimated: 0,
        usage: Usage::default(),
        duration_ms: 0,
        checks: 0,
        passed: 0,
    }));
    rows.sort_by(|one, other| (&one.provider, &one.model).cmp(&(&other.provider, &other.model)));
    rows
}

/// Checks and passed ones, by the provider and model that answered most in the run.
#[must_use]
pub(super) fn checks(gathered: &Gathered) -> BTreeMap<(&str, &str), (u64, u64)> {
    let mut most: BTreeMap<&RunId, (u32, (&str, &str))> = BTreeMap::new();
    for ((provider, model), calls) in &gathered.calls {
        for (run, answers) in &calls.runs {
            let best = most.entry(run).or_default();
            if *answers > best.0 {
                *best = (*answers, (provider, model));
            }
        }
    }
    let mut checks: BTreeMap<(&str, &str), (u64, u64)> = BTreeMap::new();
    for run in &gathered.runs {
        if let (Some(passed), Some((_, model))) = (passed(run), most.get(&run.run)) {
            let of_model = checks.entry(*model).or_default();
            of_model.0 += 1;
            of_model.1 += u64::from(passed);
        }
    }
    checks
}

/// Whether the check of a run passed, if it ran.
#[must_use]
pub(super) fn passed(run: &RunSummary) -> Option<bool> {
    Some(run.receipt.as_ref()?.passed())
}
