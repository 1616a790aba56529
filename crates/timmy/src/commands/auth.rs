//! `timmy auth`: logins whose tokens expire.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;
use serde_json::json;
use timmy_core::Coded;
use timmy_core::EventKind;
use timmy_core::EventSink;
use timmy_core::ExitStatus;
use timmy_core::Problem;
use timmy_model::hermes::homes::Homes;
use timmy_telemetry::auth;
use timmy_telemetry::auth::LoginStanding;
use timmy_telemetry::auth::Outcome;
use timmy_telemetry::auth::Refresher;
use timmy_telemetry::auth::Surroundings;
use timmy_telemetry::auth::Turn;
use timmy_telemetry::finding::LoginState;
use url::Url;

use super::Ended;
use crate::cli::AuthCommand;
use crate::host::Host;
use crate::host::incomplete;
use crate::host::make_directory;
use crate::output;
use crate::output::Form;

pub(super) async fn run(host: &Host, command: &AuthCommand) -> Ended {
    match command {
        AuthCommand::Status => status(host),
        AuthCommand::Refresh { name } => refresh(host, name.as_deref()).await,
    }
}

fn status(host: &Host) -> Ended {
    let homes = Homes::find(&host.loaded.config.hermes);
    let memory = memory(host);
    let around = Surroundings {
        homes: homes.as_ref(),
        memory: &memory,
        now: host.clock.now(),
    };
    let standings = auth::examine(&host.loaded.config.auth, &around);
    match host.form {
        Form::Json => output::json(&standings)?,
        Form::Human => print(&standings)?,
    }
    let needs = standings
        .iter()
        .any(|standing| !matches!(standing.login.state, LoginState::Good));
    Ok(match needs {
        true => ExitStatus::Failure,
        false => ExitStatus::Success,
    })
}

/// Where timmy keeps what it remembers of logins.
fn memory(host: &Host) -> PathBuf {
    host.root.join("telemetry/logins")
}

async fn refresh(host: &Host, only: Option<&str>) -> Ended {
    let log = host.log().await?;
    make_directory(&host.root.join("telemetry"))?;
    let homes = Homes::find(&host.loaded.config.hermes);
    let memory = memory(host);
    let refresher = Refresher {
        settings: &host.loaded.config.auth,
        homes: homes.as_ref(),
        memory: &memory,
        portal: named_portal()?,
        clock: Arc::clone(&host.clock),
    };
    let turns = refresher.refresh(only).await;
    let mut ended = ExitStatus::Success;
    let mut told = Vec::new();
    for turn in &turns {
        if let Ok(Outcome::Refreshed { expires }) = &turn.outcome {
            let kind = EventKind::LoginRefreshed {
                login: turn.login.clone(),
                expires: expires.map_or("an unknown time".to_owned(), |at| at.to_string()),
            };
            log.append(None, kind).await?;
        }
        if let Err(error) = &turn.outcome {
            ended = error.problem().exit;
        }
        told.push(told_turn(turn));
    }
    if let (
        Some(_),
        [
            Turn {
                outcome: Err(error),
                ..
            },
        ],
    ) = (only, turns.as_slice())
    {
        return Err(error.problem());
    }
    if host.form == Form::Json {
        output::json(&told)?;
        return Ok(ended);
    }
    if turns.is_empty() {
        output::talk("there is no login with tokens that expire");
    }
    turns.iter().try_for_each(tell)?;
    Ok(ended)
}

/// The portal that the operator names for Hermes, too.
fn named_portal() -> Result<Option<Url>, Problem> {
    for name in ["HERMES_PORTAL_BASE_URL", "NOUS_PORTAL_BASE_URL"] {
        let Ok(value) = std::env::var(name) else {
            continue;
        };
        if !value.trim().is_empty() {
            let url = value.trim().parse::<Url>();
            let url = url.map_err(|error| incomplete(name, format!("it is no address: {error}")));
            return url.map(Some);
        }
    }
    Ok(None)
}

fn told_turn(turn: &Turn) -> Value {
    let mut told = match &turn.outcome {
        Ok(outcome) => json!(outcome),
        Err(error) => json!({ "outcome": "failed", "error": error.problem() }),
    };
    told["login"] = json!(turn.login);
    told["notes"] = json!(turn.notes);
    told
}

fn tell(turn: &Turn) -> Result<(), Problem> {
    let login = &turn.login;
    match &turn.outcome {
        Ok(Outcome::NotDue) => output::line(&format!("{login}: its key lives long enough"))?,
        Ok(Outcome::TakenOver) => {
            output::line(&format!(
                "{login}: somebody else refreshed it; its file has that now"
            ))?;
        }
        Ok(Outcome::Refreshed { expires }) => {
            let until = expires.map_or_else(String::new, |at| format!(", good until {at}"));
            output::line(&format!("{login}: refreshed{until}"))?;
        }
        Err(error) => output::talk(&error.problem().to_string()),
    }
    for note in &turn.notes {
        output::talk(&format!("{login}: {note}"));
    }
    Ok(())
}

fn print(standings: &[LoginStanding]) -> Result<(), Problem> {
    if standings.is_empty() {
        output::talk("there is no login with tokens that expire");
        return Ok(());
    }
    let time = |time: Option<jiff::Timestamp>| {
        time.map_or("-".to_owned(), |time| {
            time.strftime("%Y-%m-%d %H:%M:%S").to_string()
        })
    };
    let row = |standing: &LoginStanding| {
        let login = &standing.login;
        let state = match &login.state {
            LoginState::Good => "good".to_owned(),
            LoginState::Stale => "stale".to_owned(),
            LoginState::Ending { within } => {
                let milliseconds = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
                format!("ends in {}", output::duration(milliseconds))
            }
            LoginState::Dead { reason } => format!("DEAD: {reason}"),
        };
        vec![
            login.name.clone(),
            state,
            time(login.key_expires),
            time(login.login_ends),
            login.place.clone(),
        ]
    };
    let header = ["login", "state", "key until", "log in again by", "file"];
    output::line(&output::table(&header, standings.iter().map(row).collect()))?;
    for standing in standings {
        for note in &standing.notes {
            output::talk(&format!("{}: {note}", standing.login.name));
        }
    }
    Ok(())
}
