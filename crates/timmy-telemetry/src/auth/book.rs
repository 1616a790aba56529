//! Which logins there are, and where their files and locks lie.

use std::path::Path;
use std::path::PathBuf;

use timmy_model::hermes::homes::DEFAULT_PROFILE;
use timmy_model::hermes::homes::Homes;

use super::document::Document;
use super::settings::AuthProvider;
use super::settings::AuthSettings;
use super::settings::Rule;

/// One login.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// `nous`, `nous@PROFILE`, or the name of a configured provider.
    pub(super) name: String,
    /// Its provider.
    pub(super) provider: AuthProvider,
    /// The file with its tokens.
    pub(super) file: PathBuf,
    /// The file to lock for it, first.
    pub(super) lock: PathBuf,
    /// The file that several logins share, and the lock of that.
    pub(super) shared: Option<Shared>,
}

/// The file that all homes of Hermes share.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    pub(super) file: PathBuf,
    pub(super) lock: PathBuf,
}

/// Every login there is. A home of Hermes without tokens of its own uses those of the root and is no
/// login; a configured file that is missing is one, and dead.
pub(super) fn entries(settings: &AuthSettings, homes: Option<&Homes>) -> Vec<Entry> {
    let mut entries = Vec::new();
    for provider in settings.providers() {
        match provider.rule {
            Some(Rule::HermesNous) => {
                if let Some(homes) = homes.filter(|homes| homes.exist()) {
                    entries.extend(of_hermes(&provider, homes));
                }
            }
            None => entries.push(plain(provider)),
        }
    }
    entries
}

fn plain(provider: AuthProvider) -> Entry {
    let file = at_home(&provider.file);
    let lock = provider.lock.as_deref().map(at_home);
    Entry {
        name: provider.name.as_str().to_owned(),
        lock: lock.unwrap_or_else(|| file.with_extension("lock")),
        file,
        provider,
        shared: None,
    }
}

fn of_hermes(provider: &AuthProvider, homes: &Homes) -> Vec<Entry> {
    let mut names = vec![DEFAULT_PROFILE.to_owned()];
    names.extend(homes.profiles());
    let entry = |profile: String| {
        let home = homes.profile(&profile)?;
        let file = home.join(&provider.file);
        let is_login = match Document::read(&file) {
            Ok(None) => false,
            Ok(Some(document)) => document.record_at(provider).is_some(),
            Err(_) => true,
        };
        let name = match profile.as_str() {
            DEFAULT_PROFILE => provider.name.as_str().to_owned(),
            profile => format!("{}@{profile}", provider.name.as_str()),
        };
        is_login.then(|| Entry {
            name,
            provider: provider.clone(),
            lock: file.with_extension("lock"),
            file,
            shared: Some(Shared {
                file: homes.shared().join("nous_auth.json"),
                lock: homes.shared().join("nous_auth.lock"),
            }),
        })
    };
    names.into_iter().filter_map(entry).collect()
}

fn at_home(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), std::env::var_os("HOME")) {
        (Ok(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => path.to_owned(),
    }
}
