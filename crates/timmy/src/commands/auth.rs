//! `timmy auth`: logins whose tokens expire.

use timmy_core::ExitStatus;
use timmy_core::Problem;
use timmy_model::hermes::homes::Homes;
use timmy_telemetry::auth;
use timmy_telemetry::auth::LoginStanding;
use timmy_telemetry::auth::Surroundings;
use timmy_telemetry::finding::LoginState;

use super::Ended;
use crate::cli::AuthCommand;
use crate::host::Host;
use crate::output;
use crate::output::Form;

pub(super) async fn run(host: &Host, command: &AuthCommand) -> Ended {
    match command {
        AuthCommand::Status => status(host),
        AuthCommand::Refresh { .. } => status(host),
    }
}

fn status(host: &Host) -> Ended {
    let homes = Homes::find(&host.loaded.config.hermes);
    let memory = host.root.join("telemetry/logins");
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
