//! `timmy config`: what is set, and where.

use timmy_core::ExitStatus;

use super::Ended;
use crate::cli::ConfigCommand;
use crate::host::Host;
use crate::output;
use crate::output::Form;

pub(super) fn run(host: &Host, command: &ConfigCommand) -> Ended {
    match command {
        ConfigCommand::Path => match host.form {
            Form::Human => output::line(&host.loaded.path.display().to_string())?,
            Form::Json => output::json(&serde_json::json!({ "path": host.loaded.path }))?,
        },
        ConfigCommand::Explain => {
            let explained = host.loaded.explain();
            if host.form == Form::Json {
                output::json(&explained)?;
                return Ok(ExitStatus::Success);
            }
            let rows = explained
                .into_iter()
                .map(|e| vec![e.setting, e.value, e.source]);
            output::line(&output::table(
                &["setting", "value", "source"],
                rows.collect(),
            ))?;
        }
    }
    Ok(ExitStatus::Success)
}
