//! Where Hermes keeps its homes: a root, and below it one whole home for each profile.

use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;

use crate::hermes::configuration::Home;
use crate::hermes::import::main_choice;
use crate::hermes::import::main_model;
use crate::hermes::import::text_of;

/// What Hermes calls the home at its root.
pub const DEFAULT_PROFILE: &str = "default";
/// The longest name of a profile, in bytes.
const LONGEST_NAME: usize = 64;

/// `[hermes]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HermesSettings {
    /// The root of Hermes' homes. `$HERMES_HOME`, then `~/.hermes`, when nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub home: Option<PathBuf>,
}

/// The homes of one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Homes {
    root: PathBuf,
    shared: PathBuf,
}

/// What a home's configuration says about the model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chosen {
    /// The model, with variables filled in.
    pub model: Option<String>,
    /// The provider, with variables filled in.
    pub provider: Option<String>,
}

impl Homes {
    /// The homes that the settings name, or else the environment. None when neither says where they
    /// would be.
    #[must_use]
    pub fn find(settings: &HermesSettings) -> Option<Self> {
        let variable = |name| {
            let value = std::env::var_os(name).map(PathBuf::from);
            value.filter(|path| !path.as_os_str().is_empty())
        };
        let usual = variable("HOME").map(|user| user.join(".hermes"));
        let named = settings.home.clone().or_else(|| variable("HERMES_HOME"));
        let homes = match (named, usual) {
            (Some(named), Some(usual)) if named.starts_with(&usual) => Self::at(usual),
            (Some(named), _) => Self::of(&named),
            (None, usual) => Self::at(usual?),
        };
        Some(match variable("HERMES_SHARED_AUTH_DIR") {
            Some(shared) => Self { shared, ..homes },
            None => homes,
        })
    }

    /// The homes that one of them belongs to.
    #[must_use]
    pub fn of(home: &Path) -> Self {
        Self::at(root_of(home).unwrap_or_else(|| home.to_owned()))
    }

    /// The homes below a directory.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        let shared = root.join("shared");
        Self { root, shared }
    }

    /// The directory of the root, which is the home of the default profile too.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the files are that all homes share.
    #[must_use]
    pub fn shared(&self) -> &Path {
        &self.shared
    }

    /// Whether Hermes was ever set up there.
    #[must_use]
    pub fn exist(&self) -> bool {
        self.root.is_dir()
    }

    /// The directory of a profile, whether it exists or not. None for what is no name of one.
    #[must_use]
    pub fn profile(&self, name: &str) -> Option<PathBuf> {
        if name == DEFAULT_PROFILE {
            return Some(self.root.clone());
        }
        is_profile_name(name).then(|| self.root.join("profiles").join(name))
    }

    /// The names of the profiles that exist, without the default one, in order.
    #[must_use]
    pub fn profiles(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.root.join("profiles"));
        let entries = entries.into_iter().flatten().flatten();
        let names = entries.filter(|entry| entry.path().is_dir());
        let names = names.filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<String> = names.filter(|name| is_profile_name(name)).collect();
        names.sort();
        names
    }

    /// The profile that programs use which name none.
    #[must_use]
    pub fn sticky(&self) -> String {
        let named = std::fs::read_to_string(self.root.join("active_profile"));
        let named = named.map(|name| name.trim().to_owned()).unwrap_or_default();
        match is_profile_name(&named) {
            true => named,
            false => DEFAULT_PROFILE.to_owned(),
        }
    }

    /// The profile whose home a directory is.
    #[must_use]
    pub fn name_of(&self, directory: &Path) -> Option<String> {
        if directory == self.root {
            return Some(DEFAULT_PROFILE.to_owned());
        }
        let name = directory.file_name()?.to_str()?;
        let of_us = directory.parent()? == self.root.join("profiles");
        (of_us && is_profile_name(name)).then(|| name.to_owned())
    }
}

/// Reads which model a home's config.yaml names.
///
/// # Errors
/// A sentence, when the file is missing or cannot be read.
pub fn chosen(directory: &Path) -> Result<Chosen, String> {
    let home = Home::configured(directory)?;
    let choice = main_choice(&home.config["model"]);
    Ok(Chosen {
        model: main_model(&choice),
        provider: text_of(&choice, &["provider"]),
    })
}

/// `[a-z0-9][a-z0-9_-]{0,63}`
pub(super) fn is_profile_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= LONGEST_NAME
        && name.starts_with(plain)
        && name.chars().all(|c| plain(c) || matches!(c, '_' | '-'))
}

/// The home that a profile belongs to.
pub(super) fn root_of(directory: &Path) -> Option<PathBuf> {
    let parent = directory.parent()?;
    (parent.file_name()? == "profiles").then(|| parent.parent().map(Path::to_owned))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_a_home_below_the_root() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path();
        for name in ["coder", "Not one", "b-1"] {
            std::fs::create_dir_all(root.join("profiles").join(name)).unwrap();
        }
        let homes = Homes::find(&HermesSettings {
            home: Some(root.join("profiles/coder")),
        });
        let homes = homes.unwrap();
        assert_eq!(Homes::at(root), homes);
        assert_eq!(vec!["b-1", "coder"], homes.profiles());
        assert_eq!(Some(root.to_owned()), homes.profile("default"));
        assert_eq!(Some(root.join("profiles/new")), homes.profile("new"));
        assert_eq!(None, homes.profile("../etc"));
        assert_eq!("default", homes.sticky());
        std::fs::write(root.join("active_profile"), "coder\n").unwrap();
        assert_eq!("coder", homes.sticky());
        let names = ["", "profiles/coder", "profiles/Not one", "elsewhere"];
        let names = names.map(|path| homes.name_of(&root.join(path)));
        let expected = [Some("default"), Some("coder"), None, None];
        assert_eq!(expected.map(|name| name.map(str::to_owned)), names);
    }

    #[test]
    fn the_model_is_a_name_or_a_record() {
        let place = tempfile::tempdir().unwrap();
        let read = |text: &str| {
            std::fs::write(place.path().join("config.yaml"), text).unwrap();
            chosen(place.path())
        };
        let chosen = |model: &str, provider: &str| {
            let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
            Ok(Chosen {
                model: some(model),
                provider: some(provider),
            })
        };
        assert_eq!(chosen("small", ""), read("model: small\n"));
        let text = "model:\n  default: big\n  provider: nous\n";
        assert_eq!(chosen("big", "nous"), read(text));
        assert_eq!(chosen("big", ""), read("model: {model: big}\n"));
        std::fs::write(place.path().join(".env"), "export M='mid'\n").unwrap();
        assert_eq!(chosen("x-mid", ""), read("model: x-${M}\n"));
        assert_eq!(chosen("", ""), read("agent: {}\n"));
        assert!(read("model: [").is_err());
        assert!(super::chosen(&place.path().join("missing")).is_err());
    }
}
