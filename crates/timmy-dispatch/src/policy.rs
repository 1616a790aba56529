//! What may be published.
//!
//! A change that an agent made is looked at on the host, in timmy's own bare repository, before it
//! leaves the house. Every reason to refuse names the path it is about.

use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;
use timmy_core::Redactor;
use timmy_core::redact::find_secrets;
use timmy_core::text;
use timmy_git::ChangeKind;
use timmy_git::FileChange;
use timmy_git::Patch;

/// Paths that decide what runs with secrets elsewhere. A directory protects everything below it.
const PROTECTED: [&str; 20] = [
    ".github/workflows",
    ".github/actions",
    ".gitea",
    ".forgejo",
    ".gitlab-ci.yml",
    ".woodpecker",
    ".gitlab",
    ".woodpecker.yml",
    ".woodpecker.yaml",
    ".drone.yml",
    ".circleci",
    ".buildkite",
    ".travis.yml",
    ".cirrus.yml",
    "azure-pipelines.yml",
    "bitbucket-pipelines.yml",
    "Jenkinsfile",
    ".githooks",
    ".husky",
    ".gitmodules",
];

const SUBMODULE: u32 = 0o160_000;

/// What an operator decides about publishing. Only the host's own configuration is asked: a
/// repository cannot loosen it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PublishSettings {
    /// What happens when the check fails.
    pub on_failed_check: FailedCheck,
    /// Further protected paths.
    pub protect: Vec<String>,
    /// Protected paths that this operator lets agents change.
    pub allow: Vec<String>,
    /// The largest file that may be published, in bytes.
    pub file_bytes: u64,
    /// The most files that one change may touch.
    pub files: usize,
    /// Whether a comment that the agent proposed is posted.
    pub agent_comments: bool,
    /// The most seconds the check may take. It starts from a clean checkout, so it builds cold.
    pub check_seconds: u64,
}

impl Default for PublishSettings {
    fn default() -> Self {
        Self {
            on_failed_check: FailedCheck::Draft,
            protect: Vec::new(),
            allow: Vec::new(),
            file_bytes: 1 << 20,
            files: 200,
            agent_comments: true,
            check_seconds: 1_800,
        }
    }
}

/// What happens when the check fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailedCheck {
    /// A pull request that is marked as a draft and says that the check failed.
    Draft,
    /// Nothing is published.
    Nothing,
}

/// Every reason why a change may not be published. `patch` holds the added text, `links` the
/// targets of the symbolic links among the changes, nothing for one that cannot be read. What cannot
/// be looked at is not published.
#[must_use]
pub fn reasons_against(
    changes: &[FileChange],
    patch: &Patch,
    links: &[(String, Option<String>)],
    settings: &PublishSettings,
    redactor: &Redactor,
) -> Vec<String> {
    let mut reasons = Vec::new();
    if changes.len() > settings.files {
        reasons.push(format!(
            "{} files are changed; at most {} may be (publish.files)",
            changes.len(),
            settings.files
        ));
    }
    for change in changes {
        let path = text::clean_line(&change.path);
        reasons.extend(reason_against(change, settings).map(|reason| format!("{path}: {reason}")));
    }
    for (path, target) in links {
        let reason = match target {
            None => "the symbolic link cannot be read",
            Some(target) if leaves_tree(Path::new(path), Path::new(target)) => {
                "the symbolic link leads out of the repository"
            }
            Some(_) => continue,
        };
        reasons.push(format!("{}: {reason}", text::clean_line(path)));
    }
    if !patch.complete {
        reasons.push("the change is too large to be searched for secrets".to_owned());
    }
    let names = changes.iter().map(|change| change.path.as_str());
    reasons.extend(names.filter_map(|name| secret_in(name, name, redactor)));
    reasons.extend(secrets_in(&patch.text, redactor));
    reasons
        .into_iter()
        .map(|reason| redactor.redact(&reason))
        .collect()
}

fn reason_against(change: &FileChange, settings: &PublishSettings) -> Option<String> {
    if change.new_mode == SUBMODULE || change.old_mode == SUBMODULE {
        return Some("submodules may not be changed".to_owned());
    }
    let both = match &change.kind {
        ChangeKind::Renamed { from } => vec![change.path.as_str(), from.as_str()],
        _ => vec![change.path.as_str()],
    };
    for path in both {
        if path
            .split('/')
            .any(|part| part.eq_ignore_ascii_case(".git"))
        {
            return Some("the name is one git uses itself".to_owned());
        }
        if let Some(rule) = protecting(path, settings) {
            return Some(format!(
                "`{rule}` is protected (publish.allow lets it through)"
            ));
        }
    }
    (change.bytes > settings.file_bytes).then(|| {
        let (bytes, most) = (change.bytes, settings.file_bytes);
        format!("{bytes} bytes are more than {most} (publish.file_bytes)")
    })
}

fn protecting<'a>(path: &str, settings: &'a PublishSettings) -> Option<&'a str> {
    let covers = |rule: &str| {
        let (path, rule) = (
            path.to_ascii_lowercase(),
            rule.trim_matches('/').to_ascii_lowercase(),
        );
        path == rule
            || path
                .strip_prefix(&rule)
                .is_some_and(|rest| rest.starts_with('/'))
    };
    if settings.allow.iter().any(|rule| covers(rule)) {
        return None;
    }
    let own = settings.protect.iter().map(String::as_str);
    PROTECTED.into_iter().chain(own).find(|rule| covers(rule))
}

/// Whether a link at `path` (relative to the repository) points outside of it.
fn leaves_tree(path: &Path, target: &Path) -> bool {
    let mut at: PathBuf = path.parent().map(Path::to_owned).unwrap_or_default();
    for component in target.components() {
        match component {
            Component::RootDir | Component::Prefix(_) => return true,
            Component::ParentDir => {
                if !at.pop() {
                    return true;
                }
            }
            Component::Normal(name) => at.push(name),
            Component::CurDir => {}
        }
    }
    at.components()
        .next()
        .is_some_and(|first| first.as_os_str().eq_ignore_ascii_case(".git"))
}

fn secrets_in(patch: &str, redactor: &Redactor) -> Vec<String> {
    let mut reasons = Vec::new();
    let mut path = String::new();
    let mut added = String::new();
    for line in patch.lines().chain(["+++ "]) {
        if let Some(next) = line.strip_prefix("+++ ") {
            reasons.extend(secret_in(&path, &added, redactor));
            path = text::clean_line(next.strip_prefix("b/").unwrap_or(next));
            added.clear();
        } else if let Some(text) = line.strip_prefix('>') {
            added.push_str(text);
            added.push('\n');
        }
    }
    reasons
}

fn secret_in(path: &str, added: &str, redactor: &Redactor) -> Option<String> {
    if redactor.finds(added) {
        return Some(format!(
            "{path}: a credential of this host is in the change"
        ));
    }
    let kind = find_secrets(added).first()?.kind;
    Some(format!(
        "{path}: something that looks like a secret ({kind}) is in the change"
    ))
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;

    fn change(path: &str) -> FileChange {
        FileChange {
            path: path.to_owned(),
            raw_path: path.as_bytes().to_vec(),
            kind: ChangeKind::Modified,
            old_mode: 0o100_644,
            new_mode: 0o100_644,
            bytes: 10,
        }
    }

    fn reasons(changes: &[FileChange], patch: &str) -> Vec<String> {
        let redactor = Redactor::new([&SecretString::from("the-live-token-value")]);
        let patch = Patch {
            text: patch.to_owned(),
            complete: true,
        };
        let links = [];
        reasons_against(
            changes,
            &patch,
            &links,
            &PublishSettings::default(),
            &redactor,
        )
    }

    #[test]
    fn ordinary_changes_pass() {
        let patch = "+++ b/src/lib.rs\n>let token = config.token();\n";
        assert_eq!(
            Vec::<String>::new(),
            reasons(&[change("src/lib.rs"), change("docs/x.md")], patch)
        );
    }

    #[test]
    fn what_may_not_leave_is_refused_with_its_path() {
        let mut submodule = change("vendor/x");
        submodule.new_mode = SUBMODULE;
        let mut large = change("data.bin");
        large.bytes = 2 << 20;
        let mut renamed = change("ci.yml");
        renamed.kind = ChangeKind::Renamed {
            from: ".github/workflows/ci.yml".to_owned(),
        };
        let changes = [
            change(".Gitea/workflows/x.yml"),
            change(".gitmodules"),
            change("a/.GIT/config"),
            submodule,
            large,
            renamed,
        ];
        let patch = "+++ b/a.env\n>GITEA_TOKEN=0123456789abcdef0123456789abcdef01234567\n\
                     +++ b/b.txt\n>++ x the-live-token-value\n";
        insta::assert_debug_snapshot!(reasons(&changes, patch));
    }

    #[test]
    fn what_cannot_be_looked_at_is_refused() {
        let patch = Patch {
            text: String::new(),
            complete: false,
        };
        let links = [("odd \u{fffd} name".to_owned(), None)];
        let settings = PublishSettings::default();
        let reasons = reasons_against(&[], &patch, &links, &settings, &Redactor::default());
        assert_eq!(2, reasons.len(), "{reasons:?}");
    }

    #[test]
    fn a_secret_in_a_name_is_found_and_not_repeated() {
        let found = reasons(&[change("notes/the-live-token-value.md")], "");
        assert_eq!(1, found.len(), "{found:?}");
        assert!(!found[0].contains("the-live-token-value"), "{found:?}");
    }

    #[test]
    fn links_may_point_around_inside_the_tree_only() {
        for (path, target, leaves) in [
            ("a/b", "../c", false),
            ("a/b", "../../c", true),
            ("a", "/etc/passwd", true),
            ("a/b/c", "../../x/../y", false),
            ("a", ".git/config", true),
        ] {
            assert_eq!(
                leaves,
                leaves_tree(Path::new(path), Path::new(target)),
                "{path} -> {target}"
            );
        }
    }

    #[test]
    fn the_host_can_let_a_protected_path_through_and_protect_more() {
        let settings = PublishSettings {
            allow: vec![".github/workflows/docs.yml".to_owned()],
            protect: vec!["deploy/".to_owned()],
            ..PublishSettings::default()
        };
        assert_eq!(None, protecting(".github/workflows/docs.yml", &settings));
        assert!(protecting(".github/workflows/ci.yml", &settings).is_some());
        assert!(protecting("deploy/prod.sh", &settings).is_some());
        assert_eq!(None, protecting("deployment.md", &settings));
    }
}
