//! Crontabs, as crontab(5) describes them.

use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use jiff::tz::TimeZone;

/// A longer crontab is read up to here, in bytes.
const LONGEST: u64 = 256 << 10;
/// Fields of a schedule.
const FIELDS: usize = 5;

/// Whose a crontab is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A user's own.
    User,
    /// The system's: a user stands before each command.
    System,
}

/// A line that starts something.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    /// Five fields, or a name such as `@daily`.
    pub(super) schedule: String,
    /// Whom it runs as, where the line says it.
    pub(super) user: Option<String>,
    /// The command, without what is fed to it.
    pub(super) command: String,
    /// The time zone its times are in, where the crontab says one.
    pub(super) zone: Option<TimeZone>,
}

impl Entry {
    /// What it is called: its program, and the subcommand where that is timmy. The rest of a line is
    /// its owner's alone: passwords stand there.
    pub(super) fn name(&self) -> String {
        if let Some(subcommand) = self.subcommand() {
            return format!("timmy {subcommand}");
        }
        let mut words = self.command.split_whitespace().peekable();
        while let Some(word) = words.next() {
            let assigns = word.split_once('=').is_some_and(|(name, _)| {
                let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
                !name.is_empty() && name.chars().all(plain)
            });
            if word == "cd" {
                words.next();
                words.next_if(|word| ["&&", ";"].contains(word));
            } else if !assigns {
                let program = Path::new(word).file_name().unwrap_or_default();
                return program.to_string_lossy().into_owned();
            }
        }
        String::new()
    }

    /// The subcommand, if it starts timmy.
    pub(super) fn subcommand(&self) -> Option<&str> {
        let mut words = self.command.split_whitespace();
        words.find(|word| {
            Path::new(word)
                .file_name()
                .is_some_and(|name| name == "timmy")
        })?;
        let mut words = words.peekable();
        while let Some(word) = words.next() {
            match word {
                "--config" => drop(words.next()),
                word if word.starts_with('-') => {}
                word => return Some(word),
            }
        }
        None
    }
}

/// The crontabs at a path: itself, or those in it whose names cron takes, in order.
pub(super) fn files(path: &Path, most: usize) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(path) else {
        return if path.is_file() {
            vec![path.to_owned()]
        } else {
            Vec::new()
        };
    };
    let taken = |name: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        !name.is_empty() && name.chars().all(plain)
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name();
            (taken(name.to_str()?) && entry.path().is_file()).then(|| entry.path())
        })
        .collect();
    files.sort();
    files.truncate(most);
    files
}

/// The text of a crontab.
pub(super) fn text(file: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(file)?.take(LONGEST).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The lines that start something. Everything else is left out.
pub(super) fn parse(text: &str, form: Form) -> Vec<Entry> {
    let mut zone = None;
    let mut entries = Vec::new();
    for line in text.lines() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some((name, value)) = setting(line) {
            if name == "CRON_TZ" {
                zone = TimeZone::get(value).ok();
            }
            continue;
        }
        let entry = entry(line, form);
        entries.extend(entry.map(|entry| Entry {
            zone: zone.clone(),
            ..entry
        }));
    }
    entries
}

/// `NAME = value`
fn setting(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once('=')?;
    let name = name.trim().trim_matches(['"', '\'']);
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    (is_name && name.chars().all(plain)).then(|| (name, value.trim().trim_matches(['"', '\''])))
}

fn entry(line: &str, form: Form) -> Option<Entry> {
    // A hyphen in front keeps some crons from logging it.
    let line = line.strip_prefix('-').unwrap_or(line);
    let fields = if line.starts_with('@') { 1 } else { FIELDS };
    let (schedule, rest) = words(line, fields)?;
    let (user, command) = match form {
        Form::User => (None, rest),
        Form::System => {
            let (user, command) = words(rest, 1)?;
            (Some(user), command)
        }
    };
    let command = before_input(command);
    (!command.is_empty()).then_some(Entry {
        schedule,
        user,
        command,
        zone: None,
    })
}

/// The first words of a line, one space between them, and what follows.
fn words(line: &str, count: usize) -> Option<(String, &str)> {
    let mut rest = line;
    let mut words = Vec::with_capacity(count);
    for _ in 0..count {
        rest = rest.trim_start();
        let end = rest.find(char::is_whitespace)?;
        words.push(&rest[..end]);
        rest = &rest[end..];
    }
    Some((words.join(" "), rest.trim()))
}

/// A command up to the first `%` that is not escaped; what follows is fed to it.
fn before_input(command: &str) -> String {
    let mut plain = String::with_capacity(command.len());
    let mut characters = command.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' if characters.peek() == Some(&'%') => {
                characters.next();
                plain.push('%');
            }
            '%' => break,
            other => plain.push(other),
        }
    }
    plain.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_crontab_is_read_line_by_line() {
        let text = "# comment\nSHELL=/bin/sh\n MAILTO = \"\"\n*/5 * * * *  /usr/bin/backup --all\n\
                    @daily\tdate +\\%F > x%input\n@reboot /start\nnonsense\n* * *\n30 2 * * 1-5 a=b\n";
        let entries = parse(text, Form::User);
        let told: Vec<(&str, &str)> = entries
            .iter()
            .map(|entry| (entry.schedule.as_str(), entry.command.as_str()))
            .collect();
        let expected = vec![
            ("*/5 * * * *", "/usr/bin/backup --all"),
            ("@daily", "date +%F > x"),
            ("@reboot", "/start"),
            ("30 2 * * 1-5", "a=b"),
        ];
        assert_eq!(expected, told);
    }

    #[test]
    fn the_crontab_of_the_system_names_users() {
        let text = "CRON_TZ=Asia/Tokyo\n17 * * * * root cd / && run-parts --report /etc/cron.hourly\n\
                    - 1 2 3 4 5\n";
        let entries = parse(text, Form::System);
        assert_eq!(1, entries.len(), "{entries:?}");
        assert_eq!(Some("root"), entries[0].user.as_deref());
        assert_eq!(
            "cd / && run-parts --report /etc/cron.hourly",
            entries[0].command
        );
        assert_eq!(TimeZone::get("Asia/Tokyo").ok(), entries[0].zone);
    }

    #[test]
    fn timmy_is_known_by_its_subcommand() {
        for (command, subcommand) in [
            ("/opt/timmy --config /a/b sprint --repo a/b", Some("sprint")),
            ("TIMMY_HOME=/x timmy --json report", Some("report")),
            ("timmy", None),
            ("/usr/bin/backup timmy.d", None),
        ] {
            let entry = &parse(&format!("@daily {command}"), Form::User)[0];
            assert_eq!(subcommand, entry.subcommand(), "{command}");
        }
    }

    proptest! {
        #[test]
        fn a_line_comes_back(
            schedule in "[0-9*]{1,3}( [0-9*/]{1,3}){4}",
            gap in "[ \t]{1,3}",
            command in "[a-z/]{1,9}( [a-z]{1,5}){0,3}",
        ) {
            let line = format!("{schedule}{gap}root{gap}{command}");
            let entries = parse(&line, Form::System);
            prop_assert_eq!(1, entries.len());
            prop_assert_eq!(&schedule, &entries[0].schedule);
            prop_assert_eq!(&command, &entries[0].command);
        }

        #[test]
        fn any_text_can_be_read(text in any::<String>()) {
            parse(&text, Form::User);
            parse(&text, Form::System);
        }
    }
}
