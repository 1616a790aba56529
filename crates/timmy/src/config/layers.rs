//! Defaults, then the file, then the environment: later layers win, and every value knows its layer.

use std::io;
use std::path::Path;
use std::path::PathBuf;

use serde::Serialize;
use timmy_core::text;
use toml::Table;
use toml::Value;

use super::Config;
use super::ConfigError;

/// Variables that set a value: `TIMMY__FORGE__URL` sets `forge.url`.
const PREFIX: &str = "TIMMY__";

/// A configuration and where its values came from.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    /// The typed values.
    pub(crate) config: Config,
    /// The file, whether it exists or not.
    pub(crate) path: PathBuf,
    /// Whether the file exists.
    pub(crate) exists: bool,
    file: Table,
    environment: Vec<(Vec<String>, Value, String)>,
}

/// One value with its source.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Explained {
    /// The setting, with dots.
    pub(crate) setting: String,
    /// Its value, as TOML.
    pub(crate) value: String,
    /// `default`, the file, or the environment variable.
    pub(crate) source: String,
}

/// Loads a configuration. A file that does not exist counts as an empty one.
pub(crate) fn load(path: &Path) -> Result<Loaded, ConfigError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(source) => {
            return Err(ConfigError::Unreadable {
                path: path.to_owned(),
                source,
            });
        }
    };
    let exists = text.is_some();
    let text = text.unwrap_or_default();
    let place = |line: Option<usize>| match line {
        Some(line) => format!("{}:{line}", path.display()),
        None => path.display().to_string(),
    };
    let line_of = |error: &toml::de::Error| {
        error
            .span()
            .map(|span| 1 + text[..span.start.min(text.len())].matches('\n').count())
    };
    // The file alone first: only then do errors know their line.
    toml::from_str::<Config>(&text)
        .map_err(|error| refine(error.message(), place(line_of(&error))))?;
    let file: Table =
        toml::from_str(&text).map_err(|error| refine(error.message(), place(line_of(&error))))?;
    let environment = environment(std::env::vars());
    let mut merged = file.clone();
    for (keys, value, variable) in &environment {
        set(&mut merged, keys, value.clone());
        Config::try_from_table(merged.clone()).map_err(|error| refine(&error, variable.clone()))?;
    }
    let config = Config::try_from_table(merged).map_err(|error| refine(&error, place(None)))?;
    Ok(Loaded {
        config,
        path: path.to_owned(),
        exists,
        file,
        environment,
    })
}

impl Config {
    fn try_from_table(table: Table) -> Result<Self, String> {
        Value::Table(table)
            .try_into()
            .map_err(|error: toml::de::Error| error.message().to_owned())
    }
}

impl Loaded {
    /// Defaults in the place of a file that nobody has read yet.
    pub(crate) fn unread(path: &Path) -> Self {
        Self {
            config: Config::default(),
            path: path.to_owned(),
            exists: path.exists(),
            file: Table::new(),
            environment: Vec::new(),
        }
    }

    /// The configuration, when there is a file or the environment says something.
    pub(crate) fn require(&self) -> Result<&Config, ConfigError> {
        if self.exists || !self.environment.is_empty() {
            return Ok(&self.config);
        }
        Err(ConfigError::Missing {
            path: self.path.clone(),
        })
    }

    /// Every value with its source, by name.
    pub(crate) fn explain(&self) -> Vec<Explained> {
        let mut explained = Vec::new();
        if let Ok(Value::Table(table)) = Value::try_from(&self.config) {
            self.walk(&table, &mut Vec::new(), &mut explained);
        }
        explained
    }

    fn walk(&self, table: &Table, at: &mut Vec<String>, explained: &mut Vec<Explained>) {
        for (key, value) in table {
            at.push(key.clone());
            match value {
                Value::Table(inner) if !inner.is_empty() => self.walk(inner, at, explained),
                other => explained.push(Explained {
                    setting: at.join("."),
                    value: other.to_string(),
                    source: self.source(at),
                }),
            }
            at.pop();
        }
    }

    fn source(&self, keys: &[String]) -> String {
        let set_here = |set: &[String]| keys.starts_with(set);
        if let Some((_, _, variable)) = self
            .environment
            .iter()
            .rev()
            .find(|(set, ..)| set_here(set))
        {
            return variable.clone();
        }
        let file = self.path.display().to_string();
        let mut table = &self.file;
        for key in keys {
            match table.get(key) {
                None => return "default".to_owned(),
                Some(Value::Table(inner)) => table = inner,
                Some(_) => return file,
            }
        }
        file
    }
}

fn environment(
    variables: impl Iterator<Item = (String, String)>,
) -> Vec<(Vec<String>, Value, String)> {
    let mut found: Vec<_> = variables
        .filter_map(|(name, text)| {
            let keys: Vec<String> = name
                .strip_prefix(PREFIX)?
                .split("__")
                .map(str::to_lowercase)
                .collect();
            Some((keys, value(&text), name))
        })
        .collect();
    found.sort_by(|(.., one), (.., other)| one.cmp(other));
    found
}

/// A variable's text as TOML where it is some, else as a string.
fn value(text: &str) -> Value {
    let parsed = toml::from_str::<Table>(&format!("value = {text}"));
    let parsed = parsed.ok().and_then(|mut table| table.remove("value"));
    parsed.unwrap_or_else(|| Value::String(text.to_owned()))
}

fn set(table: &mut Table, keys: &[String], value: Value) {
    let Some((last, parents)) = keys.split_last() else {
        return;
    };
    let mut at = table;
    for key in parents {
        let entry = at
            .entry(key.clone())
            .or_insert_with(|| Value::Table(Table::new()));
        if !entry.is_table() {
            *entry = Value::Table(Table::new());
        }
        match entry {
            Value::Table(inner) => at = inner,
            _ => return,
        }
    }
    at.insert(last.clone(), value);
}

/// Turns serde's "unknown field `x`, expected one of `a`, `b`" into an error that names the nearest.
fn refine(message: &str, place: String) -> ConfigError {
    let mut quoted = message.split('`').skip(1).step_by(2);
    if message.starts_with("unknown field")
        && let Some(key) = quoted.next()
    {
        let nearest = nearest(key, quoted);
        return ConfigError::UnknownKey {
            place,
            key: key.to_owned(),
            nearest,
        };
    }
    ConfigError::Wrong {
        place,
        reason: text::clean_line(message),
    }
}

/// The candidate that takes the fewest edits, if it is not farther than half of the word.
fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .min()
        .filter(|(edits, candidate)| *edits * 2 <= candidate.len().max(word.len()))
        .map(|(_, candidate)| candidate.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(text: &str) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::TempDir::new().unwrap();
        let path = directory.path().join("timmy.toml");
        std::fs::write(&path, text).unwrap();
        (directory, path)
    }

    #[test]
    fn a_misspelt_key_names_its_line_and_the_nearest_one() {
        let (_directory, path) = write("[forge]\nkind = \"gitea\"\n\n[agent]\nstep = 3\n");
        let Err(ConfigError::UnknownKey {
            place,
            key,
            nearest,
        }) = load(&path)
        else {
            panic!("the key was accepted");
        };
        assert!(place.ends_with("timmy.toml:5"), "{place}");
        assert_eq!(("step", Some("steps")), (key.as_str(), nearest.as_deref()));
    }

    #[test]
    fn a_wrong_value_names_its_line() {
        let (_directory, path) = write("[agent]\nsteps = \"many\"\n");
        let Err(ConfigError::Wrong { place, .. }) = load(&path) else {
            panic!("the value was accepted");
        };
        assert!(place.ends_with("timmy.toml:2"), "{place}");
    }

    #[test]
    fn durations_are_whole_seconds() {
        let (_directory, path) = write("[sandbox.limits]\nwall_s = 30\n");
        let loaded = load(&path).unwrap();
        assert_eq!(30, loaded.config.sandbox.limits.wall.as_secs());
        let explained = loaded.explain();
        let wall = explained
            .iter()
            .find(|value| value.setting == "sandbox.limits.wall_s");
        assert_eq!("30", wall.unwrap().value);
    }

    #[test]
    fn every_value_knows_its_source() {
        let (_directory, path) = write("[agent]\nsteps = 3\n");
        let explained = load(&path).unwrap().explain();
        let source = |setting: &str| {
            explained
                .iter()
                .find(|value| value.setting == setting)
                .unwrap()
                .source
                .clone()
        };
        assert_eq!(path.display().to_string(), source("agent.steps"));
        assert_eq!("default", source("agent.seconds"));
    }

    #[test]
    fn variables_are_read_as_toml_or_as_text() {
        let variables = [
            ("TIMMY__AGENT__STEPS", "7"),
            ("TIMMY__FORGE__USER", "robot"),
            ("TIMMY", "x"),
        ];
        let variables = variables.map(|(name, text)| (name.to_owned(), text.to_owned()));
        let found = environment(variables.into_iter());
        let values: Vec<_> = found
            .iter()
            .map(|(keys, value, _)| (keys.join("."), value))
            .collect();
        assert_eq!(
            vec![
                ("agent.steps".to_owned(), &Value::Integer(7)),
                ("forge.user".to_owned(), &Value::String("robot".to_owned()))
            ],
            values
        );
    }
}
