//! Running a program that says how things stand.

use std::ffi::OsStr;
use std::time::Duration;

use tokio::process::Command;

use crate::program;
use crate::program::NotEnded;
use crate::program::Terms;

pub(crate) use crate::program::find;

/// How long a program may take.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// How much is read of it, in bytes.
pub const LONGEST_OUTPUT: usize = 4 << 20;

/// What came of running a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ran {
    /// It is not on the PATH.
    Missing,
    /// It could not be run to its end, for this reason.
    Failed(String),
    /// It ended.
    Ended {
        /// Whether with success.
        well: bool,
        /// Its standard output.
        text: String,
    },
}

/// Runs a program with arguments and nothing else. What it says on standard error is not heard.
pub async fn run<S: AsRef<OsStr>>(name: &str, arguments: &[S]) -> Ran {
    let Some(program) = find(name) else {
        return Ran::Missing;
    };
    let mut command = program::command(program);
    command.args(arguments);
    run_command(command).await
}

/// The same with a command that was made already.
pub(crate) async fn run_command(mut command: Command) -> Ran {
    let terms = Terms {
        input: &[],
        patience: PATIENCE,
        output: LONGEST_OUTPUT,
        complaint: 0,
    };
    command.env("LC_ALL", "C.UTF-8");
    match program::run(command, terms).await {
        Ok(ended) if ended.cut => Ran::Failed(format!("it says more than {LONGEST_OUTPUT} bytes")),
        Ok(ended) => Ran::Ended {
            well: ended.status.success(),
            text: String::from_utf8_lossy(&ended.output).into_owned(),
        },
        Err(NotEnded::Missing) => Ran::Missing,
        Err(error @ (NotEnded::Failed(_) | NotEnded::TooLong(_))) => Ran::Failed(error.to_string()),
    }
}
