//! What a workflow file means on this machine, when an operator named it.

use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

use secrecy::SecretString;
use serde_yaml_ng::Value;
use timmy_core::RepoName;
use timmy_forge::ForgeKind;
use url::Url;

use super::error::WorkflowError;
use super::settings::Provider;
use super::settings::TrackerSection;

/// The environment of a workflow file that an operator named. There is none for a file from a
/// repository: it could have any variable of this host sent to any address.
pub struct Surroundings<'a> {
    /// A variable of the environment.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// The home directory, for `~`.
    pub home: Option<&'a Path>,
    /// The directory that holds the file, for relative paths. Absolute.
    pub directory: &'a Path,
    /// Where workspaces lie when the file does not say: below timmy's private root.
    pub workspaces: &'a Path,
}

/// What the adapter of a tracker is made from.
#[derive(Debug, Clone)]
pub struct Adapter {
    /// Which forge.
    pub kind: ForgeKind,
    /// Its address. The embedded forge has none of its own to name.
    pub url: Option<Url>,
    /// The repositories whose issues are read.
    pub repositories: Vec<RepoName>,
    /// The login that the token belongs to.
    pub user: Option<String>,
    /// The token.
    pub token: Option<SecretString>,
}

impl Surroundings<'_> {
    /// The directory that workspaces lie in, absolute and without `.` and `..`.
    ///
    /// # Errors
    /// When the value names a variable that is not set, or `~` and there is no home directory.
    pub fn workspace_root(&self, written: Option<&str>) -> Result<PathBuf, WorkflowError> {
        match written {
            Some(written) => self.path("workspace.root", written),
            None => Ok(self.workspaces.to_owned()),
        }
    }

    /// A path: `$NAME` as a whole, `~` at its start, relative to the file.
    fn path(&self, key: &str, written: &str) -> Result<PathBuf, WorkflowError> {
        let wrong = |expected| WorkflowError::Value {
            key: key.to_owned(),
            expected,
            found: format!("`{}`", timmy_core::text::clean_line(written)),
        };
        let text = match reference(written) {
            None => written.to_owned(),
            Some(name) => (self.variable)(name)
                .filter(|value| !value.is_empty())
                .ok_or_else(|| wrong("a variable that is set"))?,
        };
        let path = match text.strip_prefix('~') {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => {
                let home = self
                    .home
                    .ok_or_else(|| wrong("a path on a host with a home"))?;
                home.join(rest.trim_start_matches('/'))
            }
            _ => PathBuf::from(&text),
        };
        if text.trim().is_empty() || text.contains('\0') {
            return Err(wrong("a path"));
        }
        Ok(plain(&self.directory.join(path)))
    }

    /// What the tracker's adapter is made from.
    ///
    /// # Errors
    /// When the kind is absent or not one of timmy's, a key is missing or cannot be read, or a
    /// variable that should hold the token is not set or empty.
    pub fn adapter(&self, tracker: &TrackerSection) -> Result<Adapter, WorkflowError> {
        let kind = tracker.supported_kind()?;
        let provider = &tracker.provider;
        let url = match (kind, self.setting(provider, "url")?) {
            (_, Some(url)) => Some(address(&url)?),
            (ForgeKind::Embedded, None) => None,
            (ForgeKind::Gitea | ForgeKind::Forgejo, None) => return Err(missing("url")),
        };
        let repositories = self.repositories(provider)?;
        let token = self.setting(provider, "token")?.map(SecretString::from);
        let user = self.setting(provider, "user")?;
        if kind != ForgeKind::Embedded {
            if user.is_none() {
                return Err(missing("user"));
            }
            if token.is_none() {
                return Err(missing("token"));
            }
        }
        Ok(Adapter {
            kind,
            url,
            repositories,
            user,
            token,
        })
    }

    fn repositories(&self, provider: &Provider) -> Result<Vec<RepoName>, WorkflowError> {
        let name = |text: &str| {
            text.trim()
                .parse()
                .map_err(|_| WorkflowError::TrackerSettings {
                    key: "repository",
                    reason: "is not written owner/name".to_owned(),
                })
        };
        let many = match provider.get("repositories") {
            None => Vec::new(),
            Some(Value::Sequence(names)) => names.clone(),
            Some(_) => {
                return Err(WorkflowError::TrackerSettings {
                    key: "repositories",
                    reason: "is not a list".to_owned(),
                });
            }
        };
        let mut repositories = Vec::new();
        if let Some(one) = self.setting(provider, "repository")? {
            repositories.push(name(&one)?);
        }
        for one in many {
            repositories.push(name(one.as_str().unwrap_or(""))?);
        }
        repositories.dedup();
        if repositories.is_empty() {
            return Err(missing("repository"));
        }
        Ok(repositories)
    }

    /// A text of the provider, with `$NAME` resolved.
    fn setting(
        &self,
        provider: &Provider,
        key: &'static str,
    ) -> Result<Option<String>, WorkflowError> {
        let Some(value) = provider.get(key) else {
            return Ok(None);
        };
        let Some(written) = value.as_str() else {
            return Err(WorkflowError::TrackerSettings {
                key,
                reason: "is not a text".to_owned(),
            });
        };
        let Some(name) = reference(written) else {
            return Ok(Some(written.trim().to_owned()).filter(|text| !text.is_empty()));
        };
        let set = (self.variable)(name).map(|value| value.trim().to_owned());
        match set.filter(|value| !value.is_empty()) {
            Some(value) => Ok(Some(value)),
            None => Err(WorkflowError::MissingSecret {
                key,
                variable: name.to_owned(),
            }),
        }
    }
}

impl TrackerSection {
    /// The forge that `tracker.kind` names.
    ///
    /// # Errors
    /// When it is absent or not one of timmy's.
    pub fn supported_kind(&self) -> Result<ForgeKind, WorkflowError> {
        match self.kind.as_deref() {
            Some("gitea") => Ok(ForgeKind::Gitea),
            Some("forgejo") => Ok(ForgeKind::Forgejo),
            Some("embedded") => Ok(ForgeKind::Embedded),
            other => Err(WorkflowError::UnsupportedTracker {
                kind: other.map(timmy_core::text::clean_line),
            }),
        }
    }
}

/// The name in `$NAME`, when the whole value is that.
fn reference(written: &str) -> Option<&str> {
    let name = written.trim().strip_prefix('$')?;
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    (starts_well && name.chars().all(word)).then_some(name)
}

fn address(text: &str) -> Result<Url, WorkflowError> {
    let wrong = |reason: &str| WorkflowError::TrackerSettings {
        key: "url",
        reason: reason.to_owned(),
    };
    let url: Url = text.parse().map_err(|_| wrong("is not an address"))?;
    if !["http", "https"].contains(&url.scheme()) {
        return Err(wrong("does not begin with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("holds credentials; they belong in `token`"));
    }
    Ok(url)
}

fn missing(key: &'static str) -> WorkflowError {
    WorkflowError::TrackerSettings {
        key,
        reason: "is not set".to_owned(),
    }
}

/// A path without `.` and `..`. Asks no file system.
pub(super) fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            Component::RootDir | Component::Prefix(_) | Component::Normal(_) => {
                plain.push(component);
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret;
    use timmy_core::Coded;

    use super::*;
    use crate::workflow::Workflow;

    fn variable(name: &str) -> Option<String> {
        match name {
            "FORGE_TOKEN" => Some("t0ken-value".to_owned()),
            "EMPTY" => Some(String::new()),
            "WORKSPACES" => Some("/srv/spaces".to_owned()),
            _ => None,
        }
    }

    fn surroundings() -> Surroundings<'static> {
        Surroundings {
            variable: &variable,
            home: Some(Path::new("/home/operator")),
            directory: Path::new("/srv/project"),
            workspaces: Path::new("/private/workspaces"),
        }
    }

    fn adapter(front: &str) -> Result<Adapter, WorkflowError> {
        let workflow = Workflow::parse(&format!("---\n{front}\n---\n")).unwrap();
        surroundings().adapter(&workflow.tracker)
    }

    fn root(written: &str) -> Result<String, WorkflowError> {
        let path = surroundings().workspace_root(Some(written))?;
        Ok(path.display().to_string())
    }

    #[test]
    fn a_home_directory_is_filled_in_for_a_tilde() {
        assert_eq!("/home/operator/spaces", root("~/spaces").unwrap());
        assert_eq!("/home/operator", root("~").unwrap());
        assert_eq!("/srv/project/~other/x", root("~other/x").unwrap());
        let homeless = Surroundings {
            home: None,
            ..surroundings()
        };
        assert!(homeless.workspace_root(Some("~/x")).is_err());
    }

    #[test]
    fn relative_roots_start_at_the_file_and_come_out_absolute() {
        assert_eq!("/srv/project/spaces", root("spaces").unwrap());
        assert_eq!("/srv/spaces", root("../x/./../spaces").unwrap());
        assert_eq!("/spaces", root("/../spaces").unwrap());
        let default = surroundings().workspace_root(None).unwrap();
        assert_eq!(Path::new("/private/workspaces"), default);
    }

    #[test]
    fn variables_are_resolved_where_they_are_the_whole_value() {
        assert_eq!("/srv/spaces", root("$WORKSPACES").unwrap());
        assert_eq!("/srv/project/$WORKSPACES/x", root("$WORKSPACES/x").unwrap());
        assert_eq!("/srv/project/x$WORKSPACES", root("x$WORKSPACES").unwrap());
        assert_eq!(
            "workflow_parse_error",
            root("$NOT_SET").unwrap_err().class()
        );
        let gitea = adapter(
            "tracker:\n  kind: gitea\n  provider:\n    url: https://forge.example.org\n    repository: a/b\n\
             \x20   user: bot\n    token: $FORGE_TOKEN\n    query: kept",
        )
        .unwrap();
        assert_eq!("t0ken-value", gitea.token.as_ref().unwrap().expose_secret());
        assert!(!format!("{gitea:?}").contains("t0ken-value"));
    }

    #[test]
    fn a_secret_that_is_empty_is_missing() {
        for name in ["EMPTY", "NOT_SET"] {
            let error = adapter(&format!(
                "tracker:\n  kind: forgejo\n  provider:\n    url: https://f.example\n    repository: a/b\n\
                 \x20   user: bot\n    token: ${name}"
            ))
            .unwrap_err();
            assert_eq!("missing_tracker_secret", error.class());
            assert!(error.to_string().contains(name));
        }
    }

    #[test]
    fn only_trackers_that_timmy_reads_are_taken() {
        let told: Vec<_> = [
            "polling: {}",
            "tracker:\n  kind: linear",
            "tracker:\n  kind: Gitea",
        ]
        .into_iter()
        .map(|front| {
            let error = adapter(front).unwrap_err();
            assert_eq!("unsupported_tracker_kind", error.class());
            error.problem().to_string()
        })
        .collect();
        insta::assert_snapshot!(told.join("\n"));
    }

    #[test]
    fn the_adapter_judges_its_own_keys_and_leaves_others() {
        let embedded = adapter(
            "tracker:\n  kind: embedded\n  provider:\n    repositories: [a/b, a/c]\n    board: 7",
        )
        .unwrap();
        assert_eq!(2, embedded.repositories.len());
        for provider in [
            "{}",
            "{repository: a/b}",
            "{repository: a/b, url: 'ftp://x', user: b, token: t}",
            "{repository: a/b, url: 'https://u:p@x', user: b, token: t}",
            "{repository: nothing, url: 'https://x', user: b, token: t}",
            "{repositories: a/b, url: 'https://x', user: b, token: t}",
            "{repository: a/b, url: 'https://x', token: t}",
            "{repository: a/b, url: 'https://x', user: b}",
            "{repository: a/b, url: [1], user: b, token: t}",
        ] {
            let error = adapter(&format!("tracker:\n  kind: gitea\n  provider: {provider}"));
            assert_eq!(
                "invalid_tracker_config",
                error.unwrap_err().class(),
                "{provider}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_root_is_absolute_or_refused(written in "(~|\\$|\\.\\.|/|[a-z])(/|\\.|[a-z]){0,12}") {
            if let Ok(path) = surroundings().workspace_root(Some(&written)) {
                prop_assert!(path.is_absolute());
                prop_assert_eq!(plain(&path), path);
            }
        }
    }
}
