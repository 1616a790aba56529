//! A pane of tmux: which model the program in it uses, and starting that again.

use std::fmt;
use std::path::Path;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;
use timmy_core::text;
use timmy_model::hermes::homes;
use timmy_model::hermes::homes::Homes;

use super::look::same_model;
use super::person;
use super::processes::Processes;
use super::processes::Program;
use super::processes::terminal_number;
use crate::probe::socket;
use crate::probe::socket::Behind;
use crate::program;
use crate::program::NotEnded;
use crate::program::Terms;

/// How long tmux may take to answer, and the most of its answer that is kept.
const TERMS: Terms<'_> = Terms {
    input: &[],
    patience: Duration::from_secs(5),
    output: 1 << 20,
    complaint: 4 << 10,
};
/// The part of tmux's own words that is repeated, in bytes.
const WORDS: usize = 300;
/// What tmux is asked for each pane. Names of sessions and windows come last: they may hold spaces.
const FORMAT: &str = "#{pane_id} #{pane_pid} #{pane_dead} #{session_attached} \
                      #{session_group_attached} #{window_active_clients} #{pane_tty} \
                      #{window_index} #{pane_index} #{session_name}:#{window_name}";

/// A pane by its place: `SESSION:WINDOW.PANE`. The window is a number or a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PanePlace {
    session: String,
    window: String,
    pane: u32,
}

impl FromStr for PanePlace {
    type Err = String;

    fn from_str(value: &str) -> Result<Self, String> {
        let parts = value.rsplit_once('.').and_then(|(before, pane)| {
            let (session, window) = before.split_once(':')?;
            Some((session, window, pane.parse().ok()?))
        });
        match parts {
            Some((session, window, pane)) if !session.is_empty() && !window.is_empty() => {
                Ok(Self {
                    session: session.to_owned(),
                    window: window.to_owned(),
                    pane,
                })
            }
            _ => Err(format!("{value:?} is not SESSION:WINDOW.PANE")),
        }
    }
}

impl TryFrom<String> for PanePlace {
    type Error = String;

    fn try_from(value: String) -> Result<Self, String> {
        value.parse()
    }
}

impl From<PanePlace> for String {
    fn from(place: PanePlace) -> Self {
        place.to_string()
    }
}

impl fmt::Display for PanePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}.{}", self.session, self.window, self.pane)
    }
}

/// A pane as tmux told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pane {
    /// How tmux names it for as long as it exists.
    pub(super) id: String,
    /// The process it was made with.
    pub(super) pid: u32,
    /// Whether that has ended.
    pub(super) dead: bool,
    /// Whether anybody sees it: a client of its session, of a session that shares its windows, or of
    /// another one that shows its window.
    pub(super) attached: bool,
    /// Its terminal, as a number of the kernel's.
    pub(super) terminal: Option<u64>,
    window: (String, String),
    session: String,
    index: u32,
}

/// What was asked of a tmux.
#[derive(Debug)]
pub(super) enum Listed {
    /// These panes are there.
    Panes(Vec<Pane>),
    /// There is no tmux, or no server of it.
    NotPresent(String),
    /// It did not answer.
    Failed(String),
}

/// What uses a model in a pane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InPane {
    /// The model; none when nothing there uses one.
    pub(super) model: Option<String>,
    /// Where that was read.
    pub(super) evidence: String,
}

/// Asks a tmux for all its panes.
pub(super) async fn list(socket: Option<&Path>) -> Listed {
    let usual = socket::usual();
    match socket::behind(socket.unwrap_or(&usual)).await {
        Behind::Ours => {}
        Behind::Nobody => {
            return Listed::NotPresent(format!("no tmux server on {}", place(socket)));
        }
        Behind::LeftAlone(why) => {
            return Listed::Failed(format!("tmux on {}: {why}", place(socket)));
        }
    }
    let asked = tmux(socket, &["list-panes", "-a", "-F", FORMAT]).await;
    let at = place(socket);
    match asked {
        Ok((true, told)) => Listed::Panes(told.lines().filter_map(Pane::read).collect()),
        Ok((false, told)) => Listed::NotPresent(format!("no tmux server on {at}: {told}")),
        Err(NotEnded::Missing) => Listed::NotPresent("tmux is not installed".to_owned()),
        Err(error @ (NotEnded::Failed(_) | NotEnded::TooLong(_))) => {
            Listed::Failed(format!("tmux on {at}: {error}"))
        }
    }
}

fn place(socket: Option<&Path>) -> String {
    socket.map_or("the usual socket".to_owned(), |socket| {
        socket.display().to_string()
    })
}

/// Starts something in a pane again, in the place of what is there.
pub(super) async fn respawn(
    socket: Option<&Path>,
    pane: &str,
    command: &[String],
) -> Result<(), String> {
    let mut arguments = vec!["respawn-pane", "-k", "-t", pane];
    if !command.is_empty() {
        // tmux gives a command of one word to a shell; behind `env` it is started as it stands.
        arguments.extend(["--", "env"]);
        arguments.extend(command.iter().map(String::as_str));
    }
    let usual = socket::usual();
    match socket::behind(socket.unwrap_or(&usual)).await {
        Behind::Ours => {}
        Behind::Nobody => return Err("the server is gone".to_owned()),
        Behind::LeftAlone(why) => return Err(why),
    }
    match tmux(socket, &arguments).await {
        Ok((true, _)) => Ok(()),
        Ok((false, told)) => Err(told),
        Err(error) => Err(error.to_string()),
    }
}

async fn tmux(socket: Option<&Path>, arguments: &[&str]) -> Result<(bool, String), NotEnded> {
    // Inside a tmux, the environment that is left out here would name that one.
    let mut command = program::command("tmux");
    // By its path in any case: it is the one that was looked at.
    command.args(["-u", "-S"]);
    match socket {
        Some(socket) => command.arg(socket),
        None => command.arg(socket::usual()),
    };
    command.args(arguments);
    let ended = program::run(command, TERMS).await?;
    let told = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
    Ok(match ended.status.success() {
        true => (true, told(&ended.output)),
        false => (false, words(&told(&ended.complaint))),
    })
}

fn words(said: &str) -> String {
    text::bound(&text::clean_line(said), WORDS).into_owned()
}

impl Pane {
    fn read(line: &str) -> Option<Self> {
        let mut fields = line.splitn(10, ' ');
        let mut next = || fields.next();
        let id = next()?.to_owned();
        let pid = next()?.parse().ok()?;
        let dead = next()? == "1";
        let mut attached = false;
        for _ in 0..3 {
            // Older versions of tmux do not know all three and leave a field empty.
            attached |= next()?.parse::<u32>().unwrap_or_default() > 0;
        }
        let terminal = terminal_number(Path::new(next()?));
        let window = next()?.to_owned();
        let index = next()?.parse().ok()?;
        // A session's name holds no colon, a window's may.
        let (session, name) = next()?.split_once(':')?;
        Some(Self {
            id,
            pid,
            dead,
            attached,
            terminal,
            window: (window, name.to_owned()),
            session: session.to_owned(),
            index,
        })
    }

    /// Whether it is the one at a place.
    pub(super) fn is_at(&self, place: &PanePlace) -> bool {
        let window = self.window.0 == place.window || self.window.1 == place.window;
        self.session == place.session && window && self.index == place.pane
    }

    /// Which model is used in it: the first of its processes that names one decides.
    pub(super) fn model(&self, processes: &Processes, homes: Option<&Homes>) -> InPane {
        if self.dead {
            return InPane {
                model: None,
                evidence: "what ran in the pane has ended".to_owned(),
            };
        }
        for process in processes.below(self.pid) {
            let pid = process.pid;
            match process.program() {
                None => {}
                Some(Program::Serving { name, model }) => {
                    return InPane {
                        model: Some(clean(&model)),
                        evidence: format!("the command line of {name}, process {pid}"),
                    };
                }
                Some(Program::Hermes {
                    model: Some(model), ..
                }) => {
                    return InPane {
                        model: Some(clean(&model)),
                        evidence: format!("the command line of hermes, process {pid}"),
                    };
                }
                Some(Program::Hermes { profile, .. }) => {
                    return of_home(pid, profile.as_deref(), processes, homes);
                }
            }
        }
        InPane {
            model: None,
            evidence: "nothing in the pane runs a model".to_owned(),
        }
    }
}

/// A Hermes that names no model uses the one of its home.
fn of_home(
    pid: u32,
    profile: Option<&str>,
    processes: &Processes,
    homes: Option<&Homes>,
) -> InPane {
    let home = homes.and_then(|homes| person::home_named(pid, profile, homes, processes));
    let Some(home) = home else {
        return InPane {
            model: None,
            evidence: format!("whose home hermes uses, process {pid}, cannot be read"),
        };
    };
    let config: PathBuf = home.join("config.yaml");
    match homes::chosen(&home) {
        Ok(chosen) => InPane {
            model: chosen.model.map(|model| clean(&model)),
            evidence: format!("{}, for hermes, process {pid}", config.display()),
        },
        Err(reason) => InPane {
            model: None,
            evidence: words(&reason),
        },
    }
}

fn clean(model: &str) -> String {
    words(model)
}

/// Whether a pane has what is expected in it.
pub(super) fn as_expected(found: &InPane, expected: &str) -> bool {
    found
        .model
        .as_deref()
        .is_some_and(|model| same_model(model, expected))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::io;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_place_is_session_window_and_pane() {
        for place in ["night:0.1", "a b:win.dow.12"] {
            assert_eq!(place, place.parse::<PanePlace>().unwrap().to_string());
        }
        for wrong in ["", "night", "night:0", "night.0", ":0.0", "a:.0", "a:0.x"] {
            assert!(wrong.parse::<PanePlace>().is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn no_tmux_is_started_for_a_socket_that_another_user_could_have_put_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("default");
        let server = UnixListener::bind(&path).unwrap();
        server.set_nonblocking(true).unwrap();
        std::fs::set_permissions(directory.path(), Permissions::from_mode(0o1777)).unwrap();
        let listed = list(Some(&path)).await;
        assert!(matches!(listed, Listed::Failed(_)), "{listed:?}");
        assert!(respawn(Some(&path), "%1", &[]).await.is_err());
        let came = server.accept().map_err(|error| error.kind());
        assert_eq!(Some(io::ErrorKind::WouldBlock), came.err());
    }

    #[test]
    fn a_pane_is_found_by_the_number_or_the_name_of_its_window() {
        let pane = Pane::read("%3 77 0 0  1 /dev/null 2 0 my night:a: window").unwrap();
        assert_eq!(
            ("%3", 77, true),
            (pane.id.as_str(), pane.pid, pane.attached)
        );
        for (place, found) in [
            ("my night:2.0", true),
            ("my night:a: window.0", true),
            ("my night:2.1", false),
            ("night:2.0", false),
            ("my night:3.0", false),
        ] {
            assert_eq!(found, pane.is_at(&place.parse().unwrap()), "{place}");
        }
        assert_eq!(None, Pane::read("%3 77"));
    }
}
