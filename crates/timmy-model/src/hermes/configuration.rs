//! The files of a Hermes home, read and never written.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;

use crate::hermes::homes::is_profile_name;
use crate::hermes::homes::root_of;

/// Configurations are short; a longer file is something else.
const LONGEST_FILE: u64 = 4 << 20;

/// What a Hermes home holds.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) directory: PathBuf,
    /// config.yaml, with `${VARIABLES}` filled in.
    pub(super) config: Value,
    /// auth.json of the home, then of its root where the home is a profile.
    pub(super) auth: Vec<Value>,
    environment: BTreeMap<String, String>,
}

impl Home {
    /// Reads a home. A missing auth.json or .env is empty; a missing config.yaml is an error.
    pub(super) fn read(directory: &Path) -> Result<Self, String> {
        let mut home = Self::configured(directory)?;
        for directory in [Some(directory.to_owned()), root_of(directory)]
            .into_iter()
            .flatten()
        {
            let path = directory.join("auth.json");
            if let Some(auth) = text(&path)? {
                let auth = serde_json::from_str(&auth)
                    .map_err(|error| format!("{} is not readable: {error}", path.display()))?;
                home.auth.push(auth);
            }
        }
        Ok(home)
    }

    /// The same without any auth.json.
    pub(super) fn configured(directory: &Path) -> Result<Self, String> {
        let environment = match text(&directory.join(".env"))? {
            Some(text) => environment(&text),
            None => BTreeMap::new(),
        };
        let path = directory.join("config.yaml");
        let Some(config) = text(&path)? else {
            return Err(format!("{} does not exist", path.display()));
        };
        let config: Value = serde_yaml_ng::from_str(&config)
            .map_err(|error| format!("{} is not readable: {error}", path.display()))?;
        let mut home = Self {
            directory: directory.to_owned(),
            config: Value::Null,
            auth: Vec::new(),
            environment,
        };
        home.config = home.filled_in(config);
        Ok(home)
    }

    /// A variable as Hermes sees it: its .env goes before the environment.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        let own = self.environment.get(name).cloned();
        let value = own.or_else(|| std::env::var(name).ok());
        value.filter(|value| !value.trim().is_empty())
    }

    fn filled_in(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.fill_in(&text)),
            Value::Array(items) => items.into_iter().map(|item| self.filled_in(item)).collect(),
            Value::Object(fields) => {
                let fields = fields.into_iter();
                Value::Object(
                    fields
                        .map(|(name, value)| (name, self.filled_in(value)))
                        .collect(),
                )
            }
            other => other,
        }
    }

    /// A variable that is not set stays as it is written.
    fn fill_in(&self, text: &str) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            filled.push_str(before);
            let value = after.split_once('}');
            let value = value.and_then(|(name, after)| Some((self.variable(name)?, after)));
            match value {
                Some((value, after)) => {
                    filled.push_str(&value);
                    rest = after;
                }
                None => {
                    filled.push_str("${");
                    rest = after;
                }
            }
        }
        filled.push_str(rest);
        filled
    }
}

/// The directory of the home that the settings mean: a profile of it, or itself.
pub(super) fn directory(home: Option<&Path>, profile: Option<&str>) -> Result<PathBuf, String> {
    let named = std::env::var_os("HERMES_HOME").map(PathBuf::from);
    let named = named.filter(|path| !path.as_os_str().is_empty());
    let chosen = home.map(Path::to_owned).or(named);
    let (root, sticky) = match chosen {
        Some(root) => (root, None),
        None => {
            let Some(user) = std::env::var_os("HOME") else {
                return Err("neither $HERMES_HOME nor $HOME is set".to_owned());
            };
            let root = PathBuf::from(user).join(".hermes");
            let sticky = text(&root.join("active_profile"))?;
            (root, sticky.map(|name| name.trim().to_owned()))
        }
    };
    let profile = profile.map(str::to_owned).or(sticky);
    match profile.filter(|name| !name.is_empty() && name != "default") {
        None => Ok(root),
        Some(name) if is_profile_name(&name) => {
            let root = root_of(&root).unwrap_or(root);
            Ok(root.join("profiles").join(name))
        }
        Some(name) => Err(format!("{name:?} is no name of a profile")),
    }
}

fn text(path: &Path) -> Result<Option<String>, String> {
    let problem = |error: std::io::Error| format!("{} is not readable: {error}", path.display());
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(problem(error)),
        Ok(data) if !data.is_file() || data.len() > LONGEST_FILE => {
            Err(format!("{} is no file of a sensible size", path.display()))
        }
        Ok(_) => std::fs::read_to_string(path).map(Some).map_err(problem),
    }
}

/// Lines of `NAME=value`, with `export`, quotes and comments.
fn environment(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter_map(|line| {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) = line.split_once('=')?;
        if name.trim().starts_with('#') {
            return None;
        }
        Some((name.trim().to_owned(), unquoted(value.trim()).to_owned()))
    });
    lines.collect()
}

fn unquoted(value: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(rest) = value.strip_prefix(quote) {
            return rest.split(quote).next().unwrap_or(rest);
        }
    }
    value.split(" #").next().unwrap_or(value).trim_end()
}
