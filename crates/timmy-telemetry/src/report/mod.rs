//! The morning report: what was done in a stretch of time, and what needs a person first.
//!
//! It is written from the event log and the forge's own state, never from what an agent said. No
//! model takes part. The same log and the same forge give the same bytes.
//!
//! - [`Moment`] and [`Window`]: which stretch of time;
//! - [`Gathered`] is read from the log, [`ForgeView`] from the forge;
//! - [`Report`] puts the two together: needs, pull requests and where log and forge disagree, causes of
//!   failures, models, hours, facts, and what could not be seen;
//! - [`telling`] makes a [`document::Document`] of it, which [`text`], [`markdown`] and [`html`] write;
//! - [`mod@file`], [`post`] and [`mail`] deliver it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use timmy_core::event::Outcome;
use timmy_core::money::Usage;
use timmy_core::receipt::Provenance;
use timmy_forge::PullState;
use timmy_store::runs::RunSummary;

use crate::merged::MergedPrice;

mod causes;
pub mod document;
mod drawings;
mod error;
mod facts;
pub mod file;
mod forge_view;
mod hours;
pub mod html;
mod loops;
pub mod mail;
pub mod markdown;
mod models;
mod needs;
pub mod post;
mod reading;
mod settings;
mod standing;
pub mod telling;
pub mod text;
mod unseen;
mod window;
mod words;

pub use causes::Cause;
pub use causes::Whose;
pub use error::ReportError;
pub use facts::Fact;
pub use forge_view::ForgeView;
pub use forge_view::Found;
pub use forge_view::Seen;
pub use forge_view::Wanted;
pub use hours::Hours;
pub use hours::Idle;
pub use hours::Pause;
pub use models::ModelRow;
pub use needs::Need;
pub use needs::Pressure;
pub use reading::Gathered;
pub use settings::ReportSettings;
pub use standing::Disagreement;
pub use standing::Pull;
pub use standing::Standing;
pub use standing::wanted;
pub use unseen::Unseen;
pub use window::Moment;
pub use window::Stretch;
pub use window::Window;
pub use words::Zone;
pub(crate) use words::rough;

/// The version of the JSON form.
const VERSION: u16 = 1;

/// What happened in a stretch of time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The version of this form; also what a file with a report begins with.
    pub timmy_report: u16,
    /// The stretch.
    pub window: Window,
    /// What a person has to look at, most pressing first.
    pub needs_a_person: Vec<Need>,
    /// Pull requests by where they stand on the forge.
    pub standings: BTreeMap<Standing, u64>,
    /// The pull requests.
    pub pulls: Vec<Pull>,
    /// Where log and forge do not agree.
    pub disagreements: Vec<Disagreement>,
    /// What a merged pull request took.
    pub price: MergedPrice,
    /// How many runs ended how.
    pub outcomes: BTreeMap<String, u64>,
    /// Failures by their cause.
    pub failures: Vec<Cause>,
    /// What the models did.
    pub models: Vec<ModelRow>,
    /// How the time was spent.
    pub hours: Hours,
    /// What was learnt, three facts at most.
    pub facts: Vec<Fact>,
    /// What could not be seen.
    pub unseen: Vec<Unseen>,
    /// What all model calls used.
    pub usage: Usage,
    /// What was used in each minute in which a call was settled.
    pub minutes: BTreeMap<Timestamp, Usage>,
    /// When pull requests were opened.
    pub opened: Vec<Timestamp>,
    /// When timmy saw that pull requests were merged.
    pub merged: Vec<Timestamp>,
    /// Whether any run played back a recording.
    pub replayed: bool,
    /// The runs, oldest first.
    pub runs: Vec<Line>,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    /// The run, from the log.
    #[serde(flatten)]
    pub run: RunSummary,
    /// Where its pull request stands on the forge now; none when it has none or could not be asked.
    pub pull_state: Option<PullState>,
}

impl Report {
    /// Puts together what the log and the forge say.
    #[must_use]
    pub fn of(window: Window, gathered: Gathered, view: &ForgeView) -> Self {
        let (pulls, disagreements) = standing::reconcile(&gathered, view);
        let failures = causes::group(&gathered.runs);
        let models = models::rows(&gathered);
        let hours = Hours::of(&gathered);
        let mut unseen = view.unseen.clone();
        unseen.extend(unseen::in_the_log(&gathered, &models));
        let mut standings = BTreeMap::new();
        for pull in &pulls {
            *standings.entry(pull.standing).or_default() += 1;
        }
        let mut outcomes = BTreeMap::new();
        for run in &gathered.runs {
            let word = run.outcome.as_ref().map_or("no_end", Outcome::word);
            *outcomes.entry(word.to_owned()).or_default() += 1;
        }
        let replayed = |run: &RunSummary| run.provenance == Provenance::Replayed;
        Self {
            timmy_report: VERSION,
            needs_a_person: needs::needs(&gathered, view, &pulls, &failures, &disagreements),
            price: price(&window, &gathered, &pulls),
            facts: facts::learnt(&gathered, &hours),
            usage: gathered.runs.iter().map(|run| run.usage).sum(),
            replayed: gathered.runs.iter().any(replayed),
            merged: gathered.merged.values().map(|(_, at)| *at).collect(),
            window,
            standings,
            pulls,
            disagreements,
            outcomes,
            failures,
            models,
            hours,
            unseen,
            minutes: gathered.minutes,
            opened: gathered.opened,
            runs: lines(gathered.runs, view),
        }
    }

    /// How many pull requests stand like that.
    #[must_use]
    pub fn standing(&self, standing: Standing) -> u64 {
        self.standings.get(&standing).copied().unwrap_or(0)
    }
}

/// What was done, shared out among the pull requests that were merged: those the forge calls merged
/// and a run of the window worked on, and those the log saw merged in it, unless the forge denies it.
fn price(window: &Window, gathered: &Gathered, pulls: &[Pull]) -> MergedPrice {
    let merged = pulls.iter().filter(|pull| {
        let key = (pull.repo.clone(), pull.number);
        match pull.standing {
            Standing::Merged => !pull.from_before || gathered.merged.contains_key(&key),
            Standing::Unknown => gathered.merged.contains_key(&key),
            _ => false,
        }
    });
    let energy = [gathered.counted_mj, gathered.declared_mj];
    MergedPrice::of(
        window.begin(),
        &gathered.runs,
        merged.count() as u64,
        energy,
    )
}

fn lines(runs: Vec<RunSummary>, view: &ForgeView) -> Vec<Line> {
    let state = |run: &RunSummary| {
        let key = (run.repo.clone(), run.pull_request.as_ref()?.number);
        match view.pulls.get(&key)? {
            Found::Pull(seen) => Some(seen.pull.state),
            Found::Nothing => None,
        }
    };
    let line = |run: RunSummary| Line {
        pull_state: state(&run),
        run,
    };
    runs.into_iter().map(line).collect()
}

#[cfg(test)]
mod lasting_tests;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;
