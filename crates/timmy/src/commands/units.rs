//! `timmy units`: systemd units that start the night.

use std::path::Path;

use serde_json::json;
use timmy_core::Code;
use timmy_core::ExitStatus;
use timmy_core::Problem;

use super::Ended;
use crate::cli::UnitsArguments;
use crate::host::Host;
use crate::host::program;
use crate::output;
use crate::output::Form;

/// The units as they are shipped, for a timmy that `cargo install` put into its place.
const LOOP: [Unit; 1] = [Unit {
    name: "timmy.service",
    text: include_str!("../../../../contrib/systemd/timmy.service"),
}];
const TIMER: [Unit; 2] = [
    Unit {
        name: "timmy-sprint.service",
        text: include_str!("../../../../contrib/systemd/timmy-sprint.service"),
    },
    Unit {
        name: "timmy-sprint.timer",
        text: include_str!("../../../../contrib/systemd/timmy-sprint.timer"),
    },
];
const COLLECT: [Unit; 2] = [
    Unit {
        name: "timmy-collect.service",
        text: include_str!("../../../../contrib/systemd/timmy-collect.service"),
    },
    Unit {
        name: "timmy-collect.timer",
        text: include_str!("../../../../contrib/systemd/timmy-collect.timer"),
    },
];

/// What the shipped units say about places, and this installation's words replace.
const PROGRAM: &str = "%h/.cargo/bin/timmy";
const CONFIG: &str = "%h/.config/timmy/timmy.toml";
const HOME: &str = "TIMMY_HOME=%h/.local/share/timmy";

/// One file.
struct Unit {
    name: &'static str,
    text: &'static str,
}

pub(super) fn run(host: &Host, arguments: &UnitsArguments) -> Ended {
    let units: &[Unit] = match (arguments.timer, arguments.collect) {
        (true, _) => &TIMER,
        (false, true) => &COLLECT,
        (false, false) => &LOOP,
    };
    let config = std::path::absolute(&host.loaded.path);
    let config = config.unwrap_or_else(|_| host.loaded.path.clone());
    let (program, config) = (word(&program()?)?, word(&config)?);
    let home = format!("TIMMY_HOME={}", plain(&host.root)?);
    let filled = |unit: &Unit| {
        let text = unit.text.replace(HOME, &quoted(&home));
        let text = text.replace(PROGRAM, &program).replace(CONFIG, &config);
        (unit.name, text)
    };
    let filled: Vec<(&str, String)> = units.iter().map(filled).collect();
    if let Some(directory) = &arguments.write {
        return write(directory, &filled);
    }
    if host.form == Form::Json {
        let units = filled.iter();
        let units = units.map(|(name, text)| json!({ "name": name, "text": text }));
        output::json(&units.collect::<Vec<_>>())?;
        return Ok(ExitStatus::Success);
    }
    for (name, text) in &filled {
        output::line(&format!("# {name}\n{text}"))?;
    }
    Ok(ExitStatus::Success)
}

fn write(directory: &Path, units: &[(&str, String)]) -> Ended {
    for (name, text) in units {
        let path = directory.join(name);
        let written = std::fs::create_dir_all(directory);
        written
            .and_then(|()| std::fs::write(&path, text))
            .map_err(|error| {
                Problem::new(
                    Code::new(120),
                    ExitStatus::Refused,
                    "a unit cannot be written",
                )
                .at(format!("{}: {error}", path.display()))
                .fix("give a directory you may write, such as ~/.config/systemd/user")
            })?;
        output::line(&path.display().to_string())?;
    }
    Ok(ExitStatus::Success)
}

/// A path as one word of a command line: `$` would begin a variable there.
fn word(path: &Path) -> Result<String, Problem> {
    Ok(quoted(&plain(path)?.replace('$', "$$")))
}

/// A path that a unit can name.
fn plain(path: &Path) -> Result<String, Problem> {
    let text = path
        .to_str()
        .filter(|text| !text.contains(char::is_control));
    text.map(str::to_owned).ok_or_else(|| {
        Problem::new(
            Code::new(121),
            ExitStatus::Refused,
            "a systemd unit cannot name this path",
        )
        .at(path.display().to_string())
        .fix("use a path of UTF-8 text without control characters")
    })
}

/// Text in quotes as systemd.syntax(7) and systemd.unit(5) read it.
fn quoted(text: &str) -> String {
    let text = text.replace('\\', r"\\").replace('"', r#"\""#);
    format!("\"{}\"", text.replace('%', "%%"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_quoted_for_systemd() {
        assert_eq!("\"/a b/timmy\"", word(Path::new("/a b/timmy")).unwrap());
        assert_eq!(
            r#""/50%%/$$HOME/\"q\"/b\\s""#,
            word(Path::new(r#"/50%/$HOME/"q"/b\s"#)).unwrap()
        );
        assert!(word(Path::new("/a\nExecStartPre=/b")).is_err());
    }

    #[test]
    fn every_place_is_in_the_shipped_units() {
        for unit in [&LOOP[0], &TIMER[0], &COLLECT[0]] {
            for place in [PROGRAM, CONFIG, HOME] {
                assert_eq!(
                    1,
                    unit.text.matches(place).count(),
                    "{place} in {}",
                    unit.name
                );
            }
        }
    }
}
