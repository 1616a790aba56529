//! What stood in tmux panes at one moment, kept for a person who was asleep.
//!
//! Only panes that timmy opened are captured, and those of servers the operator named: nobody's
//! terminal is read otherwise. Text is cleaned of whatever steers a terminal, and of secrets.

use std::fs::DirBuilder;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use timmy_core::Redactor;
use timmy_core::text;

use crate::error::TelemetryError;
use crate::files::Files;
use crate::files::stamp;
use crate::files::stamped;
use crate::probe::Unseen;
use crate::probe::program;
use crate::probe::program::Ran;
use crate::probe::tmux;
use crate::probe::tmux::Found;
use crate::probe::tmux::Pane;
use crate::probe::tmux::Socket;

/// Where they lie, below the telemetry files.
pub const DIRECTORY: &str = "snapshots";
/// A snapshot that is being made.
const DRAFT: &str = ".new-";
/// The most of one pane that is kept, in bytes: what was written last.
const PANE_BYTES: usize = 256 << 10;
/// The longest part of a file's name, in characters.
const NAME: usize = 60;

/// What is kept of older snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// At most so many.
    pub most: usize,
    /// None that is older.
    pub keep: Duration,
}

/// A snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// When it was made.
    pub at: Timestamp,
    /// Its directory; none when there was no pane.
    pub directory: Option<PathBuf>,
    /// The files in it, one a pane.
    pub panes: Vec<PathBuf>,
    /// Panes and servers that could not be captured.
    pub unseen: Vec<Unseen>,
    /// Older ones that were removed.
    pub removed: Vec<PathBuf>,
}

/// Captures the panes of timmy's own servers and of those named, and removes old snapshots.
///
/// # Errors
/// [`TelemetryError::NoTmux`], and [`TelemetryError::Files`] when what was captured cannot be kept.
pub async fn take(
    files: &Files,
    found: &Found,
    redactor: &Redactor,
    retention: Retention,
    now: Timestamp,
) -> Result<Snapshot, TelemetryError> {
    if program::find("tmux").is_none() {
        let reason = "tmux is not on the PATH".to_owned();
        return Err(TelemetryError::NoTmux { reason });
    }
    let seen = tmux::read(found, redactor).await;
    let mut unseen = seen.unseen;
    let mut captured = Vec::new();
    for pane in &seen.panes {
        match capture(&found.sockets, pane, redactor).await {
            Ok(Some(text)) => captured.push((file_name(pane), text)),
            // It closed meanwhile.
            Ok(None) => {}
            Err(why) => unseen.push(Unseen::new(pane.place(), &why)),
        }
    }
    let place = files.directory().join(DIRECTORY);
    make(&place)?;
    let _writing = files.write()?;
    let mut snapshot = Snapshot {
        at: now,
        directory: None,
        panes: Vec::new(),
        unseen,
        removed: Vec::new(),
    };
    if !captured.is_empty() {
        let directory = write(&place, now, &mut captured)?;
        let file = |(name, _): &(String, String)| directory.join(name);
        snapshot.panes = captured.iter().map(file).collect();
        snapshot.directory = Some(directory);
    }
    snapshot.removed = remove_old(&place, retention, now)?;
    Ok(snapshot)
}

async fn capture(
    sockets: &[Socket],
    pane: &Pane,
    redactor: &Redactor,
) -> Result<Option<String>, String> {
    let mut sockets = sockets.iter();
    let Some(socket) = sockets.find(|socket| socket.name == pane.socket) else {
        return Ok(None);
    };
    let arguments = ["capture-pane", "-p", "-J", "-t", pane.id.as_str()];
    match tmux::tmux(&socket.path, &arguments).await {
        Ran::Missing | Ran::Ended { well: false, .. } => Ok(None),
        Ran::Failed(why) => Err(why),
        Ran::Ended { well: true, text } => {
            let clean = redactor.redact(&text::clean(&text));
            let kept = text::tail(clean.trim_end(), PANE_BYTES);
            Ok(Some(format!("{kept}\n")))
        }
    }
}

/// `SESSION-WINDOW-PANE.txt`, of nothing but plain characters.
fn file_name(pane: &Pane) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let session: String = pane.session.chars().map(plain).take(NAME).collect();
    format!("{session}-{}-{}.txt", pane.window, pane.pane)
}

/// Writes all of it under another name first: a snapshot is there as a whole or not at all.
fn write(
    place: &Path,
    now: Timestamp,
    captured: &mut [(String, String)],
) -> Result<PathBuf, TelemetryError> {
    let draft = place.join(format!("{DRAFT}{}", std::process::id()));
    drop(std::fs::remove_dir_all(&draft));
    make(&draft)?;
    for number in 0..captured.len() {
        let (before, rest) = captured.split_at_mut(number);
        let (name, text) = &mut rest[0];
        // Sessions of two servers, or names that differ in what is not plain.
        let mut times = 1;
        let stem = name.trim_end_matches(".txt").to_owned();
        while before.iter().any(|(taken, _)| taken == name) {
            times += 1;
            *name = format!("{stem}-{times}.txt");
        }
        let path = draft.join(&*name);
        let fail = TelemetryError::files("write a snapshot", &path);
        let mut options = OpenOptions::new();
        let file = options.create_new(true).write(true).mode(0o600).open(&path);
        file.map_err(fail)?
            .write_all(text.as_bytes())
            .map_err(fail)?;
    }
    let mut at = now;
    loop {
        let directory = place.join(stamp(at));
        if !directory.exists() {
            let named = std::fs::rename(&draft, &directory);
            named.map_err(TelemetryError::files("name a snapshot", &directory))?;
            return Ok(directory);
        }
        at += jiff::SignedDuration::from_secs(1);
    }
}

/// Removes what is too old or too much, and nothing that has another name than ours.
fn remove_old(
    place: &Path,
    retention: Retention,
    now: Timestamp,
) -> Result<Vec<PathBuf>, TelemetryError> {
    let fail = TelemetryError::files("read its snapshots", place);
    let mut ours = Vec::new();
    for entry in std::fs::read_dir(place).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.unwrap_or_default();
        if let Some(at) = stamped(name) {
            ours.push((at, path));
        } else if name.starts_with(DRAFT) {
            // Whoever made it was killed: it would hold the lock otherwise.
            drop(std::fs::remove_dir_all(&path));
        }
    }
    ours.sort_by(|one, other| other.cmp(one));
    let old = |at: Timestamp| at < now && now.duration_since(at).unsigned_abs() > retention.keep;
    let mut removed = Vec::new();
    for (number, (at, path)) in ours.into_iter().enumerate() {
        if number < retention.most && !old(at) {
            continue;
        }
        let gone = std::fs::remove_dir_all(&path);
        gone.map_err(TelemetryError::files("remove an old snapshot", &path))?;
        removed.push(path);
    }
    removed.sort();
    Ok(removed)
}

fn make(directory: &Path) -> Result<(), TelemetryError> {
    let made = DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory);
    made.map_err(TelemetryError::files("make its directory", directory))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use proptest::prelude::*;

    use super::*;

    fn pane(session: &str) -> Pane {
        Pane {
            socket: "timmy".to_owned(),
            session: session.to_owned(),
            window: 0,
            pane: 1,
            id: "%1".to_owned(),
            dead: false,
            pid: 1,
            attached: 0,
            command: "sh".to_owned(),
        }
    }

    #[test]
    fn two_panes_of_one_name_are_both_kept_and_old_snapshots_go() {
        let place = tempfile::tempdir().unwrap();
        let at = |second| Timestamp::from_second(second).unwrap();
        let name = file_name(&pane("a/b"));
        assert_eq!("a_b-0-1.txt", name);
        let retention = Retention {
            most: 2,
            keep: Duration::from_secs(3_600),
        };
        std::fs::create_dir(place.path().join("theirs")).unwrap();
        for second in [1_795_000_000, 1_795_000_000, 1_795_000_010] {
            let mut captured = vec![
                (name.clone(), "one".to_owned()),
                (name.clone(), "two".to_owned()),
            ];
            let directory = write(place.path(), at(second), &mut captured).unwrap();
            for (file, text) in [("a_b-0-1.txt", "one"), ("a_b-0-1-2.txt", "two")] {
                let path = directory.join(file);
                assert_eq!(text, std::fs::read_to_string(&path).unwrap());
                let mode = std::fs::metadata(&path).unwrap().permissions().mode();
                assert_eq!(0o600, mode & 0o777);
            }
        }
        let removed = remove_old(place.path(), retention, at(1_795_000_020)).unwrap();
        assert_eq!(vec![place.path().join("20261118T110640Z")], removed);
        let removed = remove_old(place.path(), retention, at(1_795_003_605)).unwrap();
        assert_eq!(vec![place.path().join("20261118T110641Z")], removed);
        assert!(place.path().join("theirs").exists());
    }

    proptest! {
        #[test]
        fn a_file_stays_in_its_directory(session in any::<String>()) {
            let name = file_name(&pane(&session));
            prop_assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c)));
            prop_assert!(!name.starts_with('.'));
        }
    }
}
