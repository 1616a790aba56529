//! A tmux session whose panes are views of the log.
//!
//! Each session has a tmux server of its own, on a socket below the private root: nobody's tmux, and
//! no configuration of anybody's, is touched. Panes inherit this program's environment through that
//! server, so no secret is ever in an argument. Nothing here is state: a pane, the session or the
//! whole server may be killed at any time.

use std::ffi::OsStr;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Output;
use std::process::Stdio;

use timmy_core::Code;
use timmy_core::ExitStatus;
use timmy_core::Problem;
use timmy_core::text;
use tokio::process::Command;

use crate::host::make_directory;

/// Sessions of one private root, at most.
const MOST_SESSIONS: u32 = 99;
/// The longest path of a socket on Linux, without the byte that ends it.
const LONGEST_SOCKET: usize = 107;
/// Columns and lines of a pane before somebody attaches: tmux refuses panes that have no room.
const COLUMNS: u32 = 160;
const LINES: u32 = 16;
/// How tmux names a pane for as long as it exists.
const PANE: &str = "#{pane_id}";
/// How the panes look.
const LOOKS: [(&str, &str); 3] = [
    ("pane-border-status", "top"),
    ("pane-border-format", " #{pane_title} "),
    ("mouse", "on"),
];
/// The part of tmux's own words that is repeated, in bytes.
const WORDS: usize = 500;

/// The tmux program, found and asked for its version.
#[derive(Debug)]
pub(crate) struct Tmux(());

/// What every pane runs: this program with the same configuration.
#[derive(Debug)]
pub(crate) struct Views {
    /// The program.
    pub(crate) program: PathBuf,
    /// The private root.
    pub(crate) root: PathBuf,
    /// The configuration file.
    pub(crate) config: PathBuf,
}

/// An open session.
#[derive(Debug)]
pub(crate) struct Session {
    name: String,
    socket: PathBuf,
}

impl Tmux {
    /// Looks for the program.
    pub(crate) async fn find() -> Result<Self, Problem> {
        let missing = |reason: String| {
            Problem::new(
                Code::new(118),
                ExitStatus::Unavailable,
                "tmux does not work, and panes need it",
            )
            .at(reason)
            .fix(
                "install tmux (on Debian: apt install tmux), or leave --tmux out and use \
                  `timmy watch` in terminals of your own",
            )
        };
        let asked = Command::new("tmux").arg("-V").stdin(Stdio::null()).output();
        match asked.await {
            Ok(output) if output.status.success() => Ok(Self(())),
            Ok(output) => Err(missing(told(&output.stderr))),
            Err(error) => Err(missing(format!("tmux -V: {error}"))),
        }
    }

    /// Opens a session with panes for the slots from 1 to `number`.
    pub(crate) async fn open(&self, views: &Views, number: u32) -> Result<Session, Problem> {
        let directory = views.root.join("tmux");
        make_directory(&directory)?;
        for place in 1..=MOST_SESSIONS {
            let name = match place {
                1 => "timmy".to_owned(),
                more => format!("timmy-{more}"),
            };
            let socket = directory.join(&name);
            let session = Session { name, socket };
            session.fits()?;
            if session.is_open().await {
                continue;
            }
            let Some(first) = session.begin(views, number).await? else {
                continue;
            };
            return match session.fill(views, number, first).await {
                Ok(()) => Ok(session),
                Err(problem) => {
                    session.close().await;
                    Err(problem)
                }
            };
        }
        Err(refused("every name is taken".to_owned(), &directory)
            .fix("end old sessions: `tmux -S SOCKET kill-server` for the sockets there"))
    }
}

impl Session {
    /// How a person attaches to it.
    pub(crate) fn attach(&self) -> String {
        format!("tmux -S {} attach", quoted(&self.socket))
    }

    /// How a person ends it.
    pub(crate) fn end(&self) -> String {
        format!("tmux -S {} kill-server", quoted(&self.socket))
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Where its server listens.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Ends it. One that is gone already needs no end.
    pub(crate) async fn close(&self) {
        drop(self.tmux(&["kill-server"]).await);
        drop(std::fs::remove_file(&self.socket));
    }

    fn fits(&self) -> Result<(), Problem> {
        let length = self.socket.as_os_str().as_bytes().len();
        if length <= LONGEST_SOCKET {
            return Ok(());
        }
        let what = format!("its socket's path has {length} bytes; Linux takes {LONGEST_SOCKET}");
        Err(refused(what, &self.socket).fix("set TIMMY_HOME to a shorter path"))
    }

    async fn is_open(&self) -> bool {
        let asked = self.tmux(&["has-session"]).await;
        asked.is_ok_and(|output| output.status.success())
    }

    /// Starts the server with the first pane, and gives that; none when somebody else took the name
    /// meanwhile.
    async fn begin(&self, views: &Views, number: u32) -> Result<Option<String>, Problem> {
        let (columns, lines) = (COLUMNS.to_string(), (LINES * number).to_string());
        let mut arguments = words_of(&["new-session", "-d", "-s", &self.name, "-P", "-F", PANE]);
        arguments.extend(words_of(&["-x", &columns, "-y", &lines]));
        arguments.extend(views.command(1));
        let output = self.tmux(&arguments).await?;
        if output.status.success() {
            return Ok(Some(told(&output.stdout)));
        }
        let said = told(&output.stderr);
        if said.contains("duplicate session") {
            return Ok(None);
        }
        Err(self.refused(said))
    }

    /// The other panes, and how all of them look.
    async fn fill(&self, views: &Views, number: u32, first: String) -> Result<(), Problem> {
        self.done(&["set-option", "-g", "remain-on-exit", "on"])
            .await?;
        let mut pane = first;
        for slot in 1..=number {
            if slot > 1 {
                let mut arguments =
                    words_of(&["split-window", "-d", "-t", &pane, "-P", "-F", PANE]);
                arguments.extend(views.command(slot));
                pane = self.done(&arguments).await?;
                self.done(&["select-layout", "tiled"]).await?;
            }
            let title = format!("slot {slot}");
            self.done(&["select-pane", "-t", &pane, "-T", &title])
                .await?;
        }
        self.done(&["select-pane", "-t", "{top-left}"]).await?;
        for (option, value) in LOOKS {
            self.done(&["set-option", "-g", option, value]).await?;
        }
        Ok(())
    }

    /// Runs a tmux command that has to work.
    async fn done<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<String, Problem> {
        let output = self.tmux(arguments).await?;
        if !output.status.success() {
            return Err(self.refused(told(&output.stderr)));
        }
        Ok(told(&output.stdout))
    }

    async fn tmux<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<Output, Problem> {
        let mut command = Command::new("tmux");
        command
            .args(["-f", "/dev/null", "-u", "-S"])
            .arg(&self.socket)
            .args(arguments)
            // Inside a tmux of the operator's, tmux would take that one for its own.
            .env_remove("TMUX")
            .env_remove("TMUX_PANE")
            .stdin(Stdio::null());
        let output = command.output().await;
        output.map_err(|error| self.refused(error.to_string()))
    }

    fn refused(&self, said: String) -> Problem {
        refused(said, &self.socket).fix("try the tmux command by hand on that socket")
    }
}

impl Views {
    /// The command line of the view of a slot. tmux runs it without a shell.
    fn command(&self, slot: u32) -> Vec<OsString> {
        let mut home = OsString::from("TIMMY_HOME=");
        home.push(&self.root);
        vec![
            "env".into(),
            home,
            self.program.clone().into(),
            "--config".into(),
            self.config.clone().into(),
            "watch".into(),
            slot.to_string().into(),
        ]
    }
}

fn refused(said: String, place: &Path) -> Problem {
    let what = format!("tmux could not open the panes: {said}");
    Problem::new(Code::new(119), ExitStatus::Unavailable, what).at(place.display().to_string())
}

fn words_of(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

fn told(bytes: &[u8]) -> String {
    let said = String::from_utf8_lossy(bytes);
    text::bound(&text::clean_line(said.trim()), WORDS).into_owned()
}

/// A path as a shell reads it.
fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@".contains(c);
    if path.chars().all(plain) {
        return path;
    }
    format!("'{}'", path.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_quoted_for_a_shell() {
        assert_eq!("/a/b-1.c", quoted(Path::new("/a/b-1.c")));
        assert_eq!(r"'/it'\''s here/$x'", quoted(Path::new("/it's here/$x")));
    }
}
