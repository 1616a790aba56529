//! The processes of this machine, as /proc tells them, and which of them run a model.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

/// The longest command line that is looked at, in bytes. A prompt can be long.
const LONGEST_COMMAND: usize = 256 << 10;

/// The processes at one moment.
#[derive(Debug)]
pub(super) struct Processes {
    proc: PathBuf,
    all: BTreeMap<u32, Process>,
}

/// One process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    /// Its number.
    pub(super) pid: u32,
    parent: u32,
    /// Whose it is.
    pub(super) owner: u32,
    /// The device number of its terminal, in the kernel's form; 0 for none.
    pub(super) terminal: u64,
    /// Its command line.
    pub(super) arguments: Vec<String>,
}

/// A program that has to do with a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Program {
    /// Hermes, with what its command line says.
    Hermes {
        /// The model, when it is named.
        model: Option<String>,
        /// The profile, when it is named.
        profile: Option<String>,
    },
    /// Another program with the model that its command line names.
    Serving {
        /// Its name.
        name: &'static str,
        /// The model.
        model: String,
    },
}

impl Processes {
    /// Reads a directory such as /proc. Processes that end meanwhile are left out.
    pub(super) fn read(proc: &Path) -> Self {
        let entries = std::fs::read_dir(proc).into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let all = pids.filter_map(|pid| Some((pid, Process::read(proc, pid)?)));
        Self {
            all: all.collect(),
            proc: proc.to_owned(),
        }
    }

    /// All of them, by number.
    pub(super) fn all(&self) -> impl Iterator<Item = &Process> {
        self.all.values()
    }

    /// A process and everything it started, the nearest first.
    pub(super) fn below(&self, pid: u32) -> Vec<&Process> {
        let mut found = Vec::new();
        let mut waiting = VecDeque::from([pid]);
        while let Some(next) = waiting.pop_front() {
            let Some(process) = self.all.get(&next) else {
                continue;
            };
            found.push(process);
            let children = self.all.values();
            let children = children.filter(|child| child.parent == next && child.pid != next);
            // A parent is older than its child, so there is no way round.
            waiting.extend(children.map(|child| child.pid));
            if found.len() > self.all.len() {
                break;
            }
        }
        found
    }

    /// A variable of the environment a process was started in. An error when that is not ours to read.
    pub(super) fn variable(&self, pid: u32, name: &str) -> std::io::Result<Option<String>> {
        let environment = std::fs::read(self.proc.join(pid.to_string()).join("environ"))?;
        let mut variables = environment.split(|byte| *byte == 0);
        let value = variables.find_map(|variable| {
            let value = variable.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
            Some(String::from_utf8_lossy(value).into_owned())
        });
        Ok(value.filter(|value| !value.is_empty()))
    }
}

impl Process {
    fn read(proc: &Path, pid: u32) -> Option<Self> {
        let directory = proc.join(pid.to_string());
        let owner = std::fs::metadata(&directory).ok()?.uid();
        let stat = std::fs::read_to_string(directory.join("stat")).ok()?;
        // The name in brackets may hold anything, brackets too.
        let (_, fields) = stat.rsplit_once(')')?;
        let mut fields = fields.split_whitespace().skip(1);
        let parent = fields.next()?.parse().ok()?;
        let terminal = fields.nth(2)?.parse::<i64>().ok()?;
        let mut line = std::fs::read(directory.join("cmdline")).ok()?;
        line.truncate(LONGEST_COMMAND);
        let arguments = line.split(|byte| *byte == 0);
        let mut arguments: Vec<String> = arguments
            .map(|argument| String::from_utf8_lossy(argument).into_owned())
            .collect();
        if arguments.last().is_some_and(String::is_empty) {
            arguments.pop();
        }
        Some(Self {
            pid,
            parent,
            owner,
            terminal: u64::try_from(terminal).unwrap_or_default(),
            arguments,
        })
    }

    /// What it runs, as far as that has to do with a model.
    pub(super) fn program(&self) -> Option<Program> {
        let (name, rest) = program(&self.arguments)?;
        match name {
            HERMES => Some(Program::Hermes {
                model: option(rest, &["-m", "--model"]),
                profile: option(rest, &["-p", "--profile"]),
            }),
            OLLAMA => {
                let at = rest.iter().position(|argument| argument == "run")?;
                let mut after = rest[at + 1..].iter();
                let model = after.find(|argument| !argument.starts_with('-'))?;
                Some(Program::Serving {
                    name: OLLAMA,
                    model: model.clone(),
                })
            }
            other => Some(Program::Serving {
                name: other,
                model: option(rest, &["-m", "--model"])?,
            }),
        }
    }
}

const HERMES: &str = "hermes";
const OLLAMA: &str = "ollama";
const LLAMA_SERVER: &str = "llama-server";

/// The name of a known program and its arguments: itself, or run by an interpreter.
fn program(arguments: &[String]) -> Option<(&'static str, &[String])> {
    const KNOWN: [&str; 3] = [HERMES, OLLAMA, LLAMA_SERVER];
    let known = |argument: &String| {
        let name = Path::new(argument).file_name()?.to_str()?;
        KNOWN.into_iter().find(|known| *known == name)
    };
    let first = arguments.first()?;
    if let Some(name) = known(first) {
        return Some((name, &arguments[1..]));
    }
    let interpreter = Path::new(first).file_name()?.to_str()?;
    if !["python", "node", "sh", "bash"]
        .iter()
        .any(|known| interpreter.starts_with(known))
    {
        return None;
    }
    let mut at = 1;
    while arguments.get(at)?.starts_with('-') {
        if arguments[at] == "-m" {
            let module = arguments.get(at + 1)?;
            let of_hermes = module == "hermes_cli" || module.starts_with("hermes_cli.");
            return of_hermes.then(|| (HERMES, &arguments[at + 2..]));
        }
        at += 1;
    }
    let name = known(&arguments[at])?;
    Some((name, &arguments[at + 1..]))
}

/// The value of the first of these options that is there, as `-m X`, `--model X` or `--model=X`.
fn option(arguments: &[String], names: &[&str]) -> Option<String> {
    for (at, argument) in arguments.iter().enumerate() {
        for name in names {
            if argument == name {
                return arguments.get(at + 1).cloned();
            }
            let joined = argument.strip_prefix(name);
            if let Some(value) = joined.and_then(|rest| rest.strip_prefix('=')) {
                return Some(value.to_owned());
            }
        }
    }
    None
}

/// The number of a terminal's device, as the kernel writes it into /proc. None when there is no such
/// device.
pub(super) fn terminal_number(device: &Path) -> Option<u64> {
    let device = std::fs::metadata(device).ok()?.rdev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let (major, minor) = (u64::from(major), u64::from(minor));
    Some((minor & 0xff) | (major << 8) | ((minor & !0xff) << 12))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program_of(line: &str) -> Option<Program> {
        let process = Process {
            pid: 1,
            parent: 0,
            owner: 0,
            terminal: 0,
            arguments: line.split(' ').map(str::to_owned).collect(),
        };
        process.program()
    }

    #[test]
    fn the_model_is_read_from_the_command_line() {
        let hermes = |model: &str, profile: &str| {
            let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
            Some(Program::Hermes {
                model: some(model),
                profile: some(profile),
            })
        };
        let serving = |name, model: &str| {
            let model = model.to_owned();
            Some(Program::Serving { name, model })
        };
        for (line, expected) in [
            ("hermes", hermes("", "")),
            (
                "/venv/bin/python3 /venv/bin/hermes -p coder chat",
                hermes("", "coder"),
            ),
            (
                "python3.11 -u -m hermes_cli.main -z x --model=big",
                hermes("big", ""),
            ),
            (
                "hermes chat -q do -m small --profile=b",
                hermes("small", "b"),
            ),
            (
                "/usr/bin/ollama run --verbose qwen3:8b",
                serving("ollama", "qwen3:8b"),
            ),
            ("ollama serve", None),
            (
                "llama-server --port 1 -m /models/a.gguf",
                serving("llama-server", "/models/a.gguf"),
            ),
            ("llama-server --port 1", None),
            ("vim hermes", None),
            ("python3 -m http.server", None),
            ("python3", None),
            ("hermes-something -m x", None),
        ] {
            assert_eq!(expected, program_of(line), "{line}");
        }
    }

    #[test]
    fn this_test_is_a_process_of_its_parent() {
        let processes = Processes::read(Path::new("/proc"));
        let (own, parent) = (std::process::id(), std::os::unix::process::parent_id());
        let below: Vec<u32> = processes.below(parent).iter().map(|one| one.pid).collect();
        assert_eq!(Some(&parent), below.first());
        assert!(below.contains(&own), "{own}: {below:?}");
        let path = std::env::var("PATH").ok();
        assert_eq!(path, processes.variable(own, "PATH").unwrap());
        assert_eq!(None, processes.variable(own, "PAT").unwrap());
    }
}
