//! The inner process for the tests of this crate, and a small program that uses the crate as timmy
//! does:
//!
//! - `choose SETTINGS` prints the level that was chosen, or the problem;
//! - `survey SETTINGS` prints what every level says, as JSON;
//! - `run` reads a job from standard input and prints how it ended, as JSON;
//! - `attempt NAME ...` tries one way out, for commands inside.

mod attempts;

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use serde::Deserialize;
use timmy_core::Coded;
use timmy_core::Problem;
use timmy_sandbox::Command;
use timmy_sandbox::Helper;
use timmy_sandbox::Policy;
use timmy_sandbox::Sandbox;
use timmy_sandbox::SandboxError;
use timmy_sandbox::Settings;
use timmy_sandbox::Unsandboxed;

/// Exit code of a command line that means nothing.
const USAGE: u8 = 2;

/// One command to run.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Job {
    settings: Settings,
    unsandboxed: bool,
    policy: Policy,
    argv: Vec<String>,
    directory: String,
    input: String,
    /// Prepared for whoever runs commands, then handed over.
    hand_over: bool,
}

fn main() -> ExitCode {
    timmy_sandbox::run_inner_helper_if_asked();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["attempt", name, rest @ ..] = words.as_slice() {
        return attempts::attempt(name, rest);
    }
    let Ok(runtime) = tokio::runtime::Runtime::new() else {
        return ExitCode::FAILURE;
    };
    let answer = match words.as_slice() {
        ["choose", settings] => runtime.block_on(choose(settings)),
        ["survey", settings] => runtime.block_on(survey(settings)),
        ["run"] => runtime.block_on(run()),
        _ => return ExitCode::from(USAGE),
    };
    match answer {
        Ok(text) => {
            let _ = writeln!(std::io::stdout(), "{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let problem: Problem = error.problem();
            let _ = writeln!(std::io::stderr(), "{problem}");
            ExitCode::from(problem.exit as u8)
        }
    }
}

fn io(error: impl Into<std::io::Error>) -> SandboxError {
    SandboxError::Io {
        what: "understand the job".into(),
        source: error.into(),
    }
}

fn helper() -> Result<Helper, SandboxError> {
    Helper::this_program().map_err(io)
}

async fn choose(settings: &str) -> Result<String, SandboxError> {
    let settings: Settings = serde_json::from_str(settings).map_err(io)?;
    let sandbox = timmy_sandbox::choose(&settings, &helper()?, Unsandboxed::Forbidden).await?;
    Ok(sandbox.level().word().to_owned())
}

async fn survey(settings: &str) -> Result<String, SandboxError> {
    let settings: Settings = serde_json::from_str(settings).map_err(io)?;
    let reports = timmy_sandbox::survey(&settings, &helper()?).await;
    serde_json::to_string(&reports).map_err(io)
}

async fn run() -> Result<String, SandboxError> {
    let job: Job = serde_json::from_reader(std::io::stdin()).map_err(io)?;
    let leave = match job.unsandboxed {
        true => Unsandboxed::Allowed,
        false => Unsandboxed::Forbidden,
    };
    let sandbox: Arc<dyn Sandbox> = timmy_sandbox::choose(&job.settings, &helper()?, leave).await?;
    if job.hand_over {
        sandbox.hand_over(&job.policy.workspace)?;
    }
    let command = Command::new(job.argv)
        .within(job.directory)
        .with_input(job.input);
    let finished = sandbox.run(&job.policy, &command).await?;
    let answer = serde_json::json!({
        "end": finished.end,
        "stdout": String::from_utf8_lossy(&finished.stdout),
        "stderr": String::from_utf8_lossy(&finished.stderr),
        "truncated": finished.truncated,
        "milliseconds": finished.duration.as_millis() as u64,
        "level": finished.level,
    });
    Ok(answer.to_string())
}
