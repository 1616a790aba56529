//! Running a program that says how things stand.

use std::ffi::OsStr;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::Command;

/// How long a program may take.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// How much is read of it, in bytes.
pub const LONGEST_OUTPUT: u64 = 4 << 20;

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
    let mut command = Command::new(program);
    command.args(arguments);
    run_command(command).await
}

/// The same with a command that was made already.
pub(crate) async fn run_command(mut command: Command) -> Ran {
    let spawned = command
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ran::Missing,
        Err(error) => return Ran::Failed(error.to_string()),
    };
    let told = async {
        let mut told = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            let mut stdout = stdout.take(LONGEST_OUTPUT + 1);
            stdout.read_to_end(&mut told).await?;
        }
        if told.len() as u64 > LONGEST_OUTPUT {
            return Ok(Ran::Failed(format!(
                "it says more than {LONGEST_OUTPUT} bytes"
            )));
        }
        let well = child.wait().await?.success();
        let text = String::from_utf8_lossy(&told).into_owned();
        Ok::<_, std::io::Error>(Ran::Ended { well, text })
    };
    match tokio::time::timeout(PATIENCE, told).await {
        Ok(Ok(ran)) => ran,
        Ok(Err(error)) => Ran::Failed(error.to_string()),
        Err(_) => Ran::Failed(format!("it takes longer than {} s", PATIENCE.as_secs())),
    }
}

/// A program's file on the PATH. Looked for here so that nothing is started for one that is missing.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path: OsString = std::env::var_os("PATH")?;
    let mut places = std::env::split_paths(&path).map(|place| place.join(name));
    places.find(|file| file.is_file())
}
