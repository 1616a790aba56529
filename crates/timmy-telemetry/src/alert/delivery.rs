//! Giving news to the operator's command.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use timmy_core::ExitStatus;
use timmy_core::Problem;
use timmy_core::text;

use super::AlertSettings;
use super::fold::COMMAND_FAILED;
use super::step::News;
use crate::program;
use crate::program::Terms;

/// How much of what the command says on standard error is heard, in bytes.
const HEARD: usize = 4_096;
/// How much of that is kept.
const KEPT: usize = 400;

/// What the command gets on its standard input, as one line of JSON.
#[derive(Debug, Serialize)]
struct Letter<'a> {
    /// The machine that tells it.
    host: &'a str,
    /// When.
    at: Timestamp,
    /// The news.
    news: &'a [News],
}

/// Gives news to the command.
pub(super) async fn deliver(
    settings: &AlertSettings,
    host: &str,
    at: Timestamp,
    news: &[News],
) -> Result<(), Problem> {
    let failed = |reason: String| {
        let what = format!("the command for alerts failed: {reason}");
        Problem::new(COMMAND_FAILED, ExitStatus::Unavailable, what)
            .at("alerts.command")
            .fix("run the command by hand with a line of JSON on its standard input; it is tried again")
    };
    let letter = Letter { host, at, news };
    let mut letter = serde_json::to_vec(&letter).map_err(|error| failed(error.to_string()))?;
    letter.push(b'\n');
    hand_over(settings, &letter).await.map_err(failed)
}

async fn hand_over(settings: &AlertSettings, letter: &[u8]) -> Result<(), String> {
    let mut words = settings.command.iter();
    let mut command = program::command(words.next().map_or("", String::as_str));
    command.args(words);
    let terms = Terms {
        input: letter,
        patience: Duration::from_secs(settings.timeout_s.max(1)),
        output: 0,
        complaint: HEARD,
    };
    let ended = program::run(command, terms).await;
    let ended = ended.map_err(|error| error.to_string())?;
    if ended.status.success() {
        return Ok(());
    }
    let said = text::clean_line(&String::from_utf8_lossy(&ended.complaint));
    let said = text::bound(said.trim(), KEPT);
    Err(format!("{}, {said}", ended.status))
}

#[cfg(test)]
#[path = "delivery_tests.rs"]
mod tests;
