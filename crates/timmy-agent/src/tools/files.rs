//! Reading and changing files, without a process and without leaving the workspace.

use std::path::Path;
use std::path::PathBuf;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use timmy_sandbox::EntryKind;

use super::Answer;
use super::Tool;
use super::Workbench;

/// The largest file that is read or edited, in bytes.
const LARGEST_FILE: u64 = 4 << 20;
/// The lines that are shown when nothing else is asked for.
const LINES: usize = 400;
/// The most entries a listing shows.
const ENTRIES: usize = 400;
/// How many levels a listing goes down when nothing else is asked for.
const DEPTH: usize = 3;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReadArguments {
    /// The file, relative to the workspace.
    path: PathBuf,
    /// The first line to show, from 1.
    #[serde(default)]
    from_line: Option<usize>,
    /// How many lines to show.
    #[serde(default)]
    lines: Option<usize>,
}

pub(super) struct ReadFile;

#[async_trait]
impl Tool for ReadFile {
    type Arguments = ReadArguments;
    const NAME: &'static str = "read_file";
    const DESCRIPTION: &'static str = "Shows a text file, or some of its lines.";

    async fn run(bench: &Workbench, arguments: ReadArguments) -> Answer {
        let read = bench.tree.read(&arguments.path, LARGEST_FILE);
        read.map(|bytes| show(&arguments, &bytes)).into()
    }
}

fn show(arguments: &ReadArguments, bytes: &[u8]) -> Answer {
    if bytes.contains(&0) {
        return Answer::error(format!("This is a binary file of {} bytes.", bytes.len()));
    }
    let text = String::from_utf8_lossy(bytes);
    let total = text.lines().count();
    let first = arguments.from_line.unwrap_or(1).max(1);
    let count = arguments.lines.unwrap_or(LINES);
    let shown: Vec<&str> = text.lines().skip(first - 1).take(count).collect();
    if total == 0 {
        return Answer::ok("[empty]");
    }
    if shown.is_empty() {
        return Answer::ok(format!("[no such lines: the file has {total}]"));
    }
    let last = first + shown.len() - 1;
    let mut result = shown.join("\n");
    if first > 1 || last < total {
        result.push_str(&format!("\n[lines {first} to {last} of {total}]"));
    }
    Answer::ok(result)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WriteArguments {
    /// The file, relative to the workspace. Missing directories are made.
    path: PathBuf,
    /// Everything the file is to hold.
    contents: String,
}

pub(super) struct WriteFile;

#[async_trait]
impl Tool for WriteFile {
    type Arguments = WriteArguments;
    const NAME: &'static str = "write_file";
    const DESCRIPTION: &'static str = "Writes a whole file, replacing what was there.";

    async fn run(bench: &Workbench, arguments: WriteArguments) -> Answer {
        let written = write(bench, &arguments.path, arguments.contents.as_bytes());
        written
            .map(|()| Answer::ok(format!("Wrote {} bytes.", arguments.contents.len())))
            .into()
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EditArguments {
    /// The file, relative to the workspace.
    path: PathBuf,
    /// The text to replace, exactly as it stands in the file, white space included.
    old: String,
    /// What takes its place.
    new: String,
    /// Replace every occurrence. Otherwise there must be exactly one.
    #[serde(default)]
    all: bool,
}

pub(super) struct EditFile;

#[async_trait]
impl Tool for EditFile {
    type Arguments = EditArguments;
    const NAME: &'static str = "edit_file";
    const DESCRIPTION: &'static str = "Replaces a text in a file by another.";

    async fn run(bench: &Workbench, arguments: EditArguments) -> Answer {
        edit(bench, &arguments).into()
    }
}

fn edit(bench: &Workbench, arguments: &EditArguments) -> Result<Answer, String> {
    if arguments.old.is_empty() {
        return Err("`old` is empty. Use write_file to make a file.".to_owned());
    }
    let bytes = bench
        .tree
        .read(&arguments.path, LARGEST_FILE)
        .map_err(|e| e.to_string())?;
    let text = String::from_utf8(bytes).map_err(|_| "This is not a UTF-8 text file.".to_owned())?;
    let (old, new) = spelled_as_in(&text, arguments);
    let count = text.matches(&old).count();
    match count {
        0 => {
            return Err(
                "`old` does not stand in the file. Read the file and try again.".to_owned(),
            );
        }
        1 => {}
        _ if arguments.all => {}
        _ => {
            return Err(format!(
                "`old` stands in the file {count} times. Give more of its surroundings, or set `all`."
            ));
        }
    }
    let grown = new.len().saturating_sub(old.len()).saturating_mul(count);
    if text.len().saturating_add(grown) as u64 > LARGEST_FILE {
        return Err(format!(
            "The file would grow beyond {LARGEST_FILE} bytes. Use run_command for that."
        ));
    }
    let edited = text.replace(&old, &new);
    write(bench, &arguments.path, edited.as_bytes())?;
    Ok(Answer::ok(format!("Replaced {count} occurrence(s).")))
}

/// The old and the new text, with the line ends of the file: it was shown without its carriage
/// returns, so the model cannot know of them.
fn spelled_as_in(text: &str, arguments: &EditArguments) -> (String, String) {
    let (old, new) = (arguments.old.clone(), arguments.new.clone());
    if text.contains(&old) || !text.contains("\r\n") {
        return (old, new);
    }
    let with_returns = |text: String| text.replace("\r\n", "\n").replace('\n', "\r\n");
    (with_returns(old), with_returns(new))
}

/// Git's own files are out of reach: what lies there decides what git does.
fn write(bench: &Workbench, path: &Path, contents: &[u8]) -> Result<(), String> {
    let inside_git = |part: &std::ffi::OsStr| part.eq_ignore_ascii_case(".git");
    if path.iter().any(inside_git) {
        return Err("Files inside .git cannot be written. Use the git tools.".to_owned());
    }
    bench
        .tree
        .write(path, contents)
        .map_err(|error| error.to_string())
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListArguments {
    /// The directory, relative to the workspace.
    #[serde(default)]
    path: Option<PathBuf>,
    /// How many levels to go down.
    #[serde(default)]
    depth: Option<usize>,
}

pub(super) struct ListFiles;

#[async_trait]
impl Tool for ListFiles {
    type Arguments = ListArguments;
    const NAME: &'static str = "list_files";
    const DESCRIPTION: &'static str = "Lists files and directories, with sizes in bytes.";

    async fn run(bench: &Workbench, arguments: ListArguments) -> Answer {
        let mut lines = Vec::new();
        let root = arguments.path.unwrap_or_default();
        let depth = arguments.depth.unwrap_or(DEPTH).max(1);
        match list(bench, &root, depth, &mut lines) {
            Err(error) => Answer::error(error),
            Ok(()) if lines.is_empty() => Answer::ok("[empty]"),
            Ok(()) => {
                let cut = lines.len() > ENTRIES;
                lines.truncate(ENTRIES);
                if cut {
                    lines.push(format!("[only the first {ENTRIES} are shown]"));
                }
                Answer::ok(lines.join("\n"))
            }
        }
    }
}

fn list(
    bench: &Workbench,
    directory: &Path,
    depth: usize,
    lines: &mut Vec<String>,
) -> Result<(), String> {
    let entries = bench
        .tree
        .list(directory, ENTRIES + 1)
        .map_err(|error| error.to_string())?;
    for entry in entries {
        if lines.len() > ENTRIES {
            return Ok(());
        }
        let path = Path::new(&entry.path);
        let line = match entry.kind {
            EntryKind::Directory if path.ends_with(".git") => continue,
            EntryKind::Directory => format!("{}/", entry.path),
            EntryKind::File => format!("{} {}", entry.path, entry.bytes),
            EntryKind::Symlink => format!("{} [symbolic link]", entry.path),
            EntryKind::Special => format!("{} [not a file]", entry.path),
        };
        lines.push(line);
        // A directory inside that cannot be listed, for its name or its permissions, hides no other.
        if entry.kind == EntryKind::Directory
            && depth > 1
            && let Err(error) = list(bench, path, depth - 1, lines)
        {
            lines.push(format!("{}/ [{error}]", entry.path));
        }
    }
    Ok(())
}
