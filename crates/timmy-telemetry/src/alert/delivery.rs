//! Giving news to the operator's command.

use std::process::Stdio;
use std::time::Duration;

use jiff::Timestamp;
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process_group;
use serde::Serialize;
use timmy_core::ExitStatus;
use timmy_core::Problem;
use timmy_core::text;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::process::Child;
use tokio::process::Command;

use super::AlertSettings;
use super::fold::COMMAND_FAILED;
use super::step::News;

/// How much of what the command says on standard error is heard, in bytes.
const HEARD: u64 = 4_096;
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
    let mut child = start(settings).map_err(|error| failed(error.to_string()))?;
    let group = child
        .id()
        .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let patience = Duration::from_secs(settings.timeout_s.max(1));
    match tokio::time::timeout(patience, hand_over(&mut child, &letter)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(reason)) => Err(failed(reason)),
        Err(_) => {
            // With whatever it started: nothing of it may outlive the next look.
            if let Some(group) = group {
                let _ = kill_process_group(group, Signal::KILL);
            }
            drop(child.wait().await);
            Err(failed(format!(
                "it took longer than {} s",
                patience.as_secs()
            )))
        }
    }
}

fn start(settings: &AlertSettings) -> std::io::Result<Child> {
    let mut words = settings.command.iter();
    let program = words.next().map_or("", String::as_str);
    Command::new(program)
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

async fn hand_over(child: &mut Child, letter: &[u8]) -> Result<(), String> {
    let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // One that does not read is judged by how it ends.
            drop(stdin.write_all(letter).await);
        }
    };
    let read = async {
        let mut said = Vec::new();
        if let Some(stderr) = stderr {
            let mut beginning = stderr.take(HEARD);
            drop(beginning.read_to_end(&mut said).await);
            // Goes on listening, so that a talkative one is not stopped by a closed pipe.
            let mut rest = beginning.into_inner();
            drop(tokio::io::copy(&mut rest, &mut tokio::io::sink()).await);
        }
        said
    };
    let ((), said) = tokio::join!(write, read);
    let status = child.wait().await.map_err(|error| error.to_string())?;
    if status.success() {
        return Ok(());
    }
    let said = text::clean_line(&String::from_utf8_lossy(&said));
    Err(format!("{status}, {}", text::bound(said.trim(), KEPT)))
}
