//! `timmy health`: is work being done, and if not, why not.

mod answers;
#[cfg(test)]
mod fixes_tests;
mod look;
mod machine;

use std::sync::Arc;

use serde_json::json;
use timmy_core::Coded;
use timmy_core::EventKind;
use timmy_core::ExitStatus;
use timmy_core::Problem;
use timmy_core::event::Severity;
use timmy_forge::claim::Identity;
use timmy_store::Store;
use timmy_telemetry::alert::Alerts;
use timmy_telemetry::alert::Ticked;
use timmy_telemetry::finding::Finding;
use timmy_telemetry::health::Verdict;

use super::Ended;
use super::told;
use crate::cli::HealthArguments;
use crate::connection::Connection;
use crate::host::Host;
use crate::output;
use crate::output::Form;

use look::Looked;
use look::Looker;

/// The width that paragraphs are broken to: a terminal of 80 columns.
const WIDTH: usize = 79;

pub(super) async fn run(host: &Host, arguments: &HealthArguments) -> Ended {
    let store = host.store().await?;
    let bar = output::progress("looking");
    let looked = Looker::new(Arc::new(host.clone()), &store).look().await?;
    bar.finish_and_clear();
    if arguments.alert {
        alert(host, &store, &looked.verdict).await?;
    }
    let least = Severity::from(arguments.severity);
    let mut looked = looked;
    looked
        .verdict
        .findings
        .retain(|finding| finding.severity >= least);
    let healthy = looked.verdict.findings.is_empty();
    match host.form {
        Form::Human => print(&looked)?,
        Form::Json => output::json(&json!({
            "healthy": healthy,
            "host": looked.verdict.host,
            "at": looked.at,
            "findings": looked.verdict.findings,
            "unseen": looked.verdict.unseen,
            "looked_at": looked.at_what,
        }))?,
    }
    Ok(if healthy {
        ExitStatus::Success
    } else {
        ExitStatus::Failure
    })
}

/// Looks and alerts of a loop, turn by turn.
pub(super) struct Rounds<'a> {
    store: &'a Store,
    looker: Looker<'a>,
    alerts: Option<Alerts>,
}

impl<'a> Rounds<'a> {
    pub(super) fn new(host: Arc<Host>, store: &'a Store, connection: &'a Connection) -> Self {
        Self {
            store,
            looker: Looker::new(host, store).through(connection),
            alerts: None,
        }
    }

    /// One look under a configuration, and what follows from it.
    pub(super) async fn turn(&mut self, host: Arc<Host>) -> Result<(), Problem> {
        self.looker.configure(Arc::clone(&host));
        let looked = self.looker.look().await?;
        let mut alerts = match self.alerts.take() {
            Some(alerts) => alerts,
            None => alerts(&host, self.store).await?,
        };
        let settings = &host.loaded.config.alerts;
        let ticked = alerts.tick(&looked.verdict, settings).await;
        self.alerts = Some(alerts);
        ticked.map(drop)
    }
}

/// Alerts of this process.
async fn alerts(host: &Host, store: &Store) -> Result<Alerts, Problem> {
    let clock = Arc::clone(&host.clock);
    let queue = store.queue(Arc::clone(&clock)).await.map_err(told)?;
    let identity = Identity::of_this_process(&host.root).map_err(|error| error.problem())?;
    let log = store.log(Arc::clone(&clock));
    Ok(Alerts::new(log, queue, clock, identity.worker))
}

async fn alert(host: &Host, store: &Store, verdict: &Verdict) -> Result<(), Problem> {
    let settings = &host.loaded.config.alerts;
    let mut alerts = alerts(host, store).await?;
    match alerts.tick(verdict, settings).await? {
        Ticked::Elsewhere => output::talk("another process is at the alerts; nothing was told"),
        Ticked::Done(events) => {
            for kind in &events {
                if let EventKind::Warned { problem } = kind {
                    output::talk(&problem.to_string());
                }
            }
        }
    }
    Ok(())
}

fn print(looked: &Looked) -> Result<(), Problem> {
    let verdict = &looked.verdict;
    for finding in &verdict.findings {
        output::line(&paragraph(finding))?;
    }
    let summary = match verdict.findings.len() {
        0 => "healthy".to_owned(),
        number => output::count(number, "finding", "findings"),
    };
    let looked_at = looked.at_what.join(", ");
    output::line(&filled(&summary, &format!("looked at {looked_at}"), ": "))?;
    for unseen in &verdict.unseen {
        let about = unseen.about.trim_end_matches(['#', ':']);
        let about = if about.is_empty() { "all" } else { about };
        let what = format!(
            "could not look at {} of {about}",
            name(unseen.code.number())
        );
        output::talk(&filled(&what, &unseen.why, ": "));
    }
    Ok(())
}

/// What kind of finding a code stands for, in a word or two.
fn name(code: u16) -> &'static str {
    match code {
        1001 => "claims",
        1002 => "silence",
        1003 => "waiting work",
        1009 => "life",
        1010 => "timers",
        1011 => "models",
        1012 => "logins",
        _ => "everything",
    }
}

fn paragraph(finding: &Finding) -> String {
    let head = format!(
        "{} {}",
        finding.severity.word().to_uppercase(),
        finding.code
    );
    let mut lines = vec![filled(&head, &finding.what, " ")];
    let subject = filled("  about:", &finding.subject, " ");
    lines.push(subject);
    lines.extend(finding.evidence.iter().map(|fact| filled("  -", fact, " ")));
    lines.push(filled("  to do:", &finding.fix, " "));
    lines.push(String::new());
    lines.join("\n")
}

/// A beginning and a text after it, broken between words; what follows is indented. A word that is too
/// long for a line, such as a command or a path, stays whole.
fn filled(beginning: &str, text: &str, between: &str) -> String {
    let indent = "    ";
    let mut lines = vec![format!("{beginning}{}", between.trim_end())];
    for word in text.split_whitespace() {
        let fits = |line: &String| line.chars().count() + 1 + word.chars().count() <= WIDTH;
        match lines.last_mut().filter(|line| fits(line)) {
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(format!("{indent}{word}")),
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use timmy_telemetry::finding::code;

    use super::*;

    #[test]
    fn a_finding_fits_into_eighty_columns() {
        let finding = Finding {
            code: code::STUCK_CLAIM,
            severity: Severity::Warning,
            subject: "me/project#7".to_owned(),
            what: "the claim on me/project#7 is not renewed, and keeps others from it".to_owned(),
            evidence: vec![
                "refs/timmy/claims/7, held by run 019aa3d1-8d4b-7a51-b3a4-2f3f2d7f1f77: no such run \
                 is open in the log"
                    .to_owned(),
                "not renewed for 20 min; it lives 10 min without".to_owned(),
            ],
            fix: "timmy sprint --repo me/project --issue 7".to_owned(),
            since: None,
        };
        insta::assert_snapshot!(paragraph(&finding), @r"
        WARNING TIMMY-1001 the claim on me/project#7 is not renewed, and keeps others
            from it
          about: me/project#7
          - refs/timmy/claims/7, held by run 019aa3d1-8d4b-7a51-b3a4-2f3f2d7f1f77: no
            such run is open in the log
          - not renewed for 20 min; it lives 10 min without
          to do: timmy sprint --repo me/project --issue 7
        ");
    }
}
