//! tmux: sessions, panes, and what runs in them.

use std::collections::BTreeSet;
use std::hash::BuildHasher;
use std::hash::Hasher;
use std::hash::RandomState;
use std::path::Path;
use std::path::PathBuf;

use serde::Serialize;
use timmy_core::Redactor;
use timmy_core::text;

use super::Unseen;
use super::name;
use super::program;
use super::program::Ran;
use super::socket;
use super::socket::Behind;
use crate::off_thread;

/// Where timmy's own servers listen, below the private root.
const OWN: &str = "tmux";
/// Panes of one server that are read, at most.
const MOST_PANES: usize = 2_000;
/// What is asked of each pane. What a stranger can choose freely comes last.
const FIELDS: [&str; 8] = [
    "#{session_name}",
    "#{window_index}",
    "#{pane_index}",
    "#{pane_dead}",
    "#{pane_pid}",
    "#{session_attached}",
    "#{pane_id}",
    "#{pane_current_command}",
];

/// A place where a tmux server may listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Socket {
    /// Short, and unlike that of every other socket.
    pub name: String,
    /// The socket.
    pub path: PathBuf,
    /// Whether timmy opened it.
    pub own: bool,
}

/// A pane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pane {
    /// The name of its socket.
    pub socket: String,
    /// Its session, cleaned and bounded.
    pub session: String,
    /// The number of its window.
    pub window: u32,
    /// Its number in the window.
    pub pane: u32,
    /// How tmux names it as long as it exists: `%7`.
    pub id: String,
    /// Whether its program has ended.
    pub dead: bool,
    /// Its first process.
    pub pid: u32,
    /// Clients attached to its session.
    pub attached: u32,
    /// The command that runs in it, cleaned, redacted and bounded.
    pub command: String,
}

impl Pane {
    /// `SOCKET/SESSION:WINDOW.PANE`
    #[must_use]
    pub fn place(&self) -> String {
        let Self {
            socket,
            session,
            window,
            pane,
            ..
        } = self;
        format!("{socket}/{session}:{window}.{pane}")
    }
}

/// What was seen of tmux.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// The panes of every server that answered.
    pub panes: Vec<Pane>,
    /// Servers that are there and did not answer, by the name of their socket.
    pub unseen: Vec<Unseen>,
}

impl Seen {
    /// How many sessions there are.
    #[must_use]
    pub fn sessions(&self) -> usize {
        let sessions = self.panes.iter();
        let sessions: BTreeSet<_> = sessions.map(|pane| (&pane.socket, &pane.session)).collect();
        sessions.len()
    }
}

/// The sockets at which somebody listens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Those of servers of our own.
    pub sockets: Vec<Socket>,
    /// Those that are left alone, by their names: what another user could have put there, and what
    /// does not answer.
    pub unseen: Vec<Unseen>,
}

/// The sockets to look at: timmy's own, the user's default server, and further ones. Those at which
/// nobody listens are left out.
pub async fn sockets(root: &Path, further: &[PathBuf]) -> Found {
    let mut found = Found::default();
    let place = root.join(OWN);
    let own = match off_thread::TMUX.look(move || entries(&place)).await {
        Ok(own) => own,
        Err(unseen) => {
            found.unseen.push(unseen);
            return found;
        }
    };
    let own = own.into_iter().map(|path| (path, true));
    let others = std::iter::once(socket::usual()).chain(further.iter().cloned());
    let others = others.map(|path| (path, false));
    let mut seen = BTreeSet::new();
    for (path, own) in own.chain(others) {
        if !seen.insert(path.clone()) {
            continue;
        }
        let name = found.name_for(&path);
        match socket::behind(&path).await {
            Behind::Nobody => {}
            Behind::LeftAlone(why) => found.unseen.push(Unseen::new(name, &why)),
            Behind::Ours => found.sockets.push(Socket { name, path, own }),
        }
    }
    found
}

impl Found {
    /// The file's name, or its path where that is taken.
    fn name_for(&self, path: &Path) -> String {
        let file = path.file_name().unwrap_or(path.as_os_str());
        let name = text::clean_line(&file.to_string_lossy());
        let sockets = self.sockets.iter().map(|socket| &socket.name);
        let mut taken = sockets.chain(self.unseen.iter().map(|unseen| &unseen.what));
        match taken.any(|taken| *taken == name) {
            true => text::clean_line(&path.to_string_lossy()),
            false => name,
        }
    }
}

/// What is in a directory, in order.
fn entries(place: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(place).into_iter().flatten();
    let mut entries: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    entries.sort();
    entries
}

/// Looks at the panes behind sockets, one after the other. Without tmux there are none.
pub async fn read(found: &Found, redactor: &Redactor) -> Seen {
    let mut seen = Seen {
        panes: Vec::new(),
        unseen: found.unseen.clone(),
    };
    for socket in &found.sockets {
        let mark = Mark::new();
        let format = mark.format();
        let arguments = ["list-panes", "-a", "-F", format.as_str()];
        match tmux(&socket.path, &arguments).await {
            // One that ends meanwhile has no panes.
            Ran::Missing | Ran::Ended { well: false, .. } => {}
            Ran::Failed(why) => seen.unseen.push(Unseen::new(&socket.name, &why)),
            Ran::Ended { well: true, text } => {
                seen.panes.extend(mark.panes(&socket.name, &text, redactor));
            }
        }
    }
    seen
}

/// Runs a tmux command at a socket. It never starts a server, and no configuration is read.
pub(crate) async fn tmux(socket: &Path, arguments: &[&str]) -> Ran {
    let Some(program) = program::find("tmux") else {
        return Ran::Missing;
    };
    // Inside a tmux, the environment that is left out here would name that one.
    let mut command = crate::program::command(program);
    command
        .args(["-f", "/dev/null", "-u", "-S"])
        .arg(socket)
        .args(arguments);
    program::run_command(command).await
}

/// What parts the answers of tmux. It is new each time, so no name of a session or a command can
/// hold it.
struct Mark {
    /// Before each pane.
    pane: String,
    /// After each field.
    field: String,
}

impl Mark {
    fn new() -> Self {
        let random = RandomState::new().build_hasher().finish();
        Self {
            pane: format!("pane{random:016x}"),
            field: format!("field{random:016x}"),
        }
    }

    fn format(&self) -> String {
        let fields = FIELDS.map(|field| format!("{field}{}", self.field));
        format!("{}{}", self.pane, fields.concat())
    }

    /// The panes in an answer. A line that is none is left out.
    fn panes(&self, socket: &str, text: &str, redactor: &Redactor) -> Vec<Pane> {
        let lines = text.split(&self.pane).skip(1).take(MOST_PANES);
        lines
            .filter_map(|line| self.pane(socket, line, redactor))
            .collect()
    }

    fn pane(&self, socket: &str, line: &str, redactor: &Redactor) -> Option<Pane> {
        let fields: Vec<&str> = line.split(&self.field).collect();
        let [
            session,
            window,
            pane,
            dead,
            pid,
            attached,
            id,
            command,
            "\n",
        ] = fields[..]
        else {
            return None;
        };
        let number = id.strip_prefix('%')?;
        number.parse::<u32>().ok()?;
        Some(Pane {
            socket: socket.to_owned(),
            session: name(session, redactor),
            window: window.parse().ok()?,
            pane: pane.parse().ok()?,
            id: id.to_owned(),
            dead: dead == "1",
            pid: pid.parse().unwrap_or(0),
            attached: attached.parse().unwrap_or(0),
            command: name(command, redactor),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(mark: &Mark, panes: &[Pane]) -> String {
        let line = |pane: &Pane| {
            let mut format = mark.format();
            let dead = if pane.dead { "1" } else { "0" };
            let values = [
                pane.session.clone(),
                pane.window.to_string(),
                pane.pane.to_string(),
                dead.to_owned(),
                pane.pid.to_string(),
                pane.attached.to_string(),
                pane.id.clone(),
                pane.command.clone(),
            ];
            for (field, value) in FIELDS.iter().zip(values) {
                format = format.replacen(field, &value, 1);
            }
            format + "\n"
        };
        panes.iter().map(line).collect()
    }

    fn pane() -> impl Strategy<Value = Pane> {
        let numbers = (0_u32..99, 0_u32..99, any::<u32>(), 0_u32..9, any::<u32>());
        ("[a-zé -]{1,9}", "[^#]{0,12}", numbers, any::<bool>()).prop_map(
            |(session, command, (window, pane, pid, attached, id), dead)| Pane {
                socket: "default".to_owned(),
                session,
                window,
                pane,
                id: format!("%{id}"),
                dead,
                pid,
                attached,
                command,
            },
        )
    }

    proptest! {
        #[test]
        fn panes_come_back_whatever_runs_in_them(panes in prop::collection::vec(pane(), 0..8)) {
            let mark = Mark::new();
            let redactor = Redactor::default();
            let cleaned: Vec<Pane> = panes.iter().cloned().map(|pane| Pane {
                session: name(&pane.session, &redactor),
                command: name(&pane.command, &redactor),
                ..pane
            }).collect();
            prop_assert_eq!(cleaned, mark.panes("default", &told(&mark, &panes), &redactor));
        }

        #[test]
        fn any_text_can_be_read(text in any::<String>()) {
            Mark::new().panes("default", &text, &Redactor::default());
        }
    }
}
