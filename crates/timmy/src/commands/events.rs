//! `timmy events`: the log itself.

use std::time::Duration;

use timmy_core::Code;
use timmy_core::Event;
use timmy_core::ExitStatus;
use timmy_core::Problem;
use timmy_core::RunId;
use timmy_core::text;
use timmy_store::EventLog;
use timmy_store::Query;

use super::Ended;
use super::told;
use crate::cli::EventArguments;
use crate::host::Host;
use crate::output;
use crate::output::Form;

/// How often a follower looks for new events.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// The longest line shown to a person, in bytes.
const LINE_BYTES: usize = 300;

pub(super) async fn run(host: &Host, arguments: &EventArguments) -> Ended {
    let log = host.log().await?;
    let run = match &arguments.run {
        Some(named) => Some(find_run(&log, named).await?),
        None => None,
    };
    let mut query = Query {
        after: arguments.after,
        run,
        ..Query::default()
    };
    loop {
        let events = log.events(&query).await.map_err(told)?;
        for event in &events {
            print(host.form, event)?;
            query.after = event.seq;
        }
        if events.is_empty() {
            if !arguments.follow {
                return Ok(ExitStatus::Success);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

/// The run whose id is or ends with a text.
pub(super) async fn find_run(log: &EventLog, named: &str) -> Result<RunId, Problem> {
    let not_found = |what: String| {
        Problem::new(Code::new(112), ExitStatus::NotFound, what)
            .fix("`timmy runs` lists the runs of this log")
    };
    let named = named.trim();
    let found = log.runs_ending_with(named).await.map_err(told)?;
    match found.as_slice() {
        _ if named.is_empty() => Err(not_found("no run was named".to_owned())),
        [only] => Ok(only.clone()),
        [] => Err(not_found(format!(
            "there is no run {:?}",
            text::clean_line(named)
        ))),
        many => Err(not_found(format!("{} runs end with {named:?}", many.len()))),
    }
}

fn print(form: Form, event: &Event) -> Result<(), Problem> {
    if form == Form::Json {
        return output::json(event);
    }
    let mut fields = serde_json::to_value(&event.kind).unwrap_or_default();
    let name = fields["type"]
        .as_str()
        .unwrap_or_default()
        .replace('_', " ");
    if let Some(object) = fields.as_object_mut() {
        object.remove("type");
    }
    let run = event.run.as_ref().map_or("-", |run| run.short());
    let at = event.at.strftime("%Y-%m-%d %H:%M:%S");
    let details = fields.to_string();
    let details = text::bound(&details, LINE_BYTES).replace('\n', " ");
    output::line(&format!("{:>6} {at} {run} {name} {details}", event.seq))
}
