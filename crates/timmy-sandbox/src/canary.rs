//! A command that tries to get out. A level is believed when it fails to.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use timmy_core::text::clean_line;

use crate::Sandbox;
use crate::error::SandboxError;
use crate::host::Isolation;
use crate::host::Mechanism;
use crate::outcome::End;
use crate::outcome::Finished;
use crate::policy::Command;
use crate::policy::Policy;
use crate::tree::Tree;

/// Arguments: a file and a directory outside, a process outside (or nothing), a port on loopback,
/// whether no-new-privileges and seccomp are expected, and what to write as proof.
const SCRIPT: &str = include_str!("canary.sh");

const PROOF: &str = "proof";

const WALL: Duration = Duration::from_secs(20);

static NUMBER: AtomicU64 = AtomicU64::new(0);

/// What came of it.
pub(crate) enum Verdict {
    Proven,
    /// It ran, and something got through or broke; in a sentence.
    Failed(String),
}

/// Runs the canary under an isolation.
pub(crate) async fn sing(isolation: &Isolation) -> Result<Verdict, SandboxError> {
    let cage = Cage::build().map_err(|error| SandboxError::io("prepare the canary", error))?;
    let workspace = cage.root.join("workspace");
    isolation.hand_over(&workspace)?;
    let listener = TcpListener::bind("127.0.0.1:0").and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    let listener = listener.map_err(|error| SandboxError::io("listen on loopback", error))?;
    let port = listener.local_addr().map_or(0, |address| address.port());
    let mut policy = Policy::new(&workspace);
    policy.limits.wall = WALL;
    let command = command(&isolation.mechanism, &cage, port);
    let finished = isolation.run(&policy, &command).await?;
    if matches!(isolation.mechanism, Mechanism::Nothing) {
        return Ok(judge(&finished));
    }
    if listener.accept().is_ok() {
        return Ok(Verdict::Failed("a command can reach the network".into()));
    }
    let outside = fs::read(cage.secret()).unwrap_or_default();
    if outside != cage.proof.as_bytes() || cage.planted().exists() {
        return Ok(Verdict::Failed(
            "a command can write outside its workspace".into(),
        ));
    }
    match judge(&finished) {
        Verdict::Proven => Ok(read_proof(&workspace, &cage.proof)),
        failed @ Verdict::Failed(_) => Ok(failed),
    }
}

fn judge(finished: &Finished) -> Verdict {
    if finished.success() {
        return Verdict::Proven;
    }
    let mut said = finished.stdout.clone();
    said.extend_from_slice(&finished.stderr);
    let said = clean_line(&String::from_utf8_lossy(&said));
    Verdict::Failed(match finished.end {
        End::Exited(_) if !said.is_empty() => said.chars().take(300).collect(),
        end => format!("the canary ended with {end:?}"),
    })
}

/// A command that did nothing must not pass for one that was stopped.
fn read_proof(workspace: &std::path::Path, proof: &str) -> Verdict {
    let tree = Tree::open(workspace);
    let written = tree.and_then(|tree| tree.read(PROOF.as_ref(), 1024));
    match written {
        Ok(written) if written.trim_ascii() == proof.as_bytes() => Verdict::Proven,
        Ok(_) | Err(_) => Verdict::Failed("a command cannot write in its workspace".into()),
    }
}

fn command(mechanism: &Mechanism, cage: &Cage, port: u16) -> Command {
    let own = std::process::id().to_string();
    // Numbers of processes mean something else in a namespace of their own.
    let (process, filtered) = match mechanism {
        Mechanism::Bubblewrap(_) => (String::new(), "yes"),
        Mechanism::Landlock => (own, "yes"),
        Mechanism::Runner(_) => (String::new(), "no"),
        Mechanism::Nothing => return Command::new(["true"]),
    };
    let secret = cage.secret().display().to_string();
    let planted = cage.planted().display().to_string();
    let port = port.to_string();
    let words = [
        "sh",
        "-c",
        SCRIPT,
        "canary",
        &secret,
        &planted,
        &process,
        &port,
        filtered,
        &cage.proof,
    ];
    Command::new(words)
}

/// A directory of its own, open to everybody, so that permissions alone protect nothing in it.
struct Cage {
    root: PathBuf,
    proof: String,
}

impl Cage {
    fn build() -> io::Result<Self> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("timmy-canary-{}-{number}", std::process::id());
        let root = std::env::temp_dir().join(&name);
        fs::create_dir(&root)?;
        let cage = Self { root, proof: name };
        open(&cage.root, 0o755)?;
        for directory in ["workspace", "outside"] {
            fs::create_dir(cage.root.join(directory))?;
        }
        open(&cage.root.join("outside"), 0o777)?;
        fs::write(cage.secret(), &cage.proof)?;
        open(&cage.secret(), 0o666)?;
        Ok(cage)
    }

    fn secret(&self) -> PathBuf {
        self.root.join("outside/secret")
    }

    fn planted(&self) -> PathBuf {
        self.root.join("outside/planted")
    }
}

fn open(path: &std::path::Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

impl Drop for Cage {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.root) {
            tracing::warn!(path = %self.root.display(), %error, "the canary's directory stays behind");
        }
    }
}
