//! `timmy panes`, and the panes of `timmy loop --tmux`.

use serde_json::json;
use timmy_core::ExitStatus;
use timmy_core::Problem;

use super::Ended;
use crate::cli::PanesArguments;
use crate::host::Host;
use crate::host::program;
use crate::output;
use crate::output::Form;
use crate::tmux::Session;
use crate::tmux::Tmux;
use crate::tmux::Views;

pub(super) async fn run(host: &Host, arguments: &PanesArguments) -> Ended {
    let tmux = Tmux::find().await?;
    // A view that cannot read the log would only show that in every pane.
    drop(host.log().await?);
    let session = open(host, &tmux, arguments.number).await?;
    match host.form {
        Form::Human => output::line(&format!(
            "{}\nto end it: {}",
            session.attach(),
            session.end()
        ))?,
        Form::Json => output::json(&json!({
            "session": session.name(),
            "socket": session.socket(),
            "attach": session.attach(),
        }))?,
    }
    Ok(ExitStatus::Success)
}

/// Opens a session with a pane for each of the first slots.
pub(super) async fn open(host: &Host, tmux: &Tmux, number: u32) -> Result<Session, Problem> {
    let config = &host.loaded.path;
    let views = Views {
        program: program()?,
        root: host.root.clone(),
        config: std::path::absolute(config).unwrap_or_else(|_| config.clone()),
    };
    tmux.open(&views, number).await
}
