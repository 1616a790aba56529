//! An issue in the form that schedulers and templates know, whichever forge it comes from.

use serde::Serialize;
use timmy_core::IssueNumber;
use timmy_core::RepoName;
use timmy_forge::Issue;
use timmy_forge::IssueState;

use crate::selection::SelectionSettings;
use crate::selection::priority_label;

/// An issue in its normalised form. Every text in it was written by somebody else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TrackedIssue {
    /// What it is known by to a scheduler: `owner/name#12`.
    pub id: String,
    /// Repository and number, for tools of the forge.
    pub native_ref: NativeReference,
    /// What people call it: `owner/name#12`.
    pub identifier: String,
    /// Its title. Never empty.
    pub title: String,
    /// Its text, when it has one.
    pub description: Option<String>,
    /// 1 to 4 from the first to the fourth of the priority labels.
    pub priority: Option<u8>,
    /// `open` or `closed`.
    pub state: String,
    /// A branch that the forge ties to it. Gitea and Forgejo tie none that can be relied on.
    pub branch_name: Option<String>,
    /// Where a person reads it.
    pub url: Option<String>,
    /// The login of the first that it is assigned to.
    pub assignee_id: Option<String>,
    /// Lower case, without space around, each once.
    pub labels: Vec<String>,
    /// What must be closed before it, as far as it was looked up.
    pub blocked_by: Vec<BlockerReference>,
    /// Whether the forge's own rules let it be worked on: see [`super::tracker`].
    pub dispatchable: bool,
    /// When it was written, by RFC 3339.
    pub created_at: Option<String>,
    /// When it last changed, by RFC 3339.
    pub updated_at: Option<String>,
}

/// What a forge calls an issue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NativeReference {
    /// `owner/name`.
    pub repository: String,
    /// Its number there.
    pub number: IssueNumber,
}

/// Something that must be closed before an issue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BlockerReference {
    /// As [`TrackedIssue::id`].
    pub id: Option<String>,
    /// As [`TrackedIssue::identifier`].
    pub identifier: Option<String>,
    /// `open` or `closed`.
    pub state: Option<String>,
}

/// Why an issue of a forge cannot be normalised: it has no number or no title.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// Its number, as the forge gave it.
    pub number: IssueNumber,
    /// What is missing.
    pub lacks: &'static str,
}

impl TrackedIssue {
    /// A made-up issue with every field filled, to try a template on.
    #[must_use]
    pub fn example() -> Self {
        let some = |text: &str| Some(text.to_owned());
        Self {
            id: "owner/name#12".to_owned(),
            native_ref: NativeReference {
                repository: "owner/name".to_owned(),
                number: 12,
            },
            identifier: "owner/name#12".to_owned(),
            title: "An example".to_owned(),
            description: some("What is wrong.\n\nWhat would be right."),
            priority: Some(2),
            state: "open".to_owned(),
            branch_name: None,
            url: some("https://forge.example.org/owner/name/issues/12"),
            assignee_id: some("somebody"),
            labels: vec!["bug".to_owned(), "p1".to_owned()],
            blocked_by: vec![BlockerReference {
                id: some("owner/name#7"),
                identifier: some("owner/name#7"),
                state: some("closed"),
            }],
            dispatchable: true,
            created_at: some("2026-01-01T00:00:00Z"),
            updated_at: some("2026-01-02T00:00:00Z"),
        }
    }

    /// Normalises an issue. `blockers` are what was looked up; `dispatchable` was judged before.
    ///
    /// # Errors
    /// When a field is missing that a scheduler needs.
    pub fn normalise(
        repo: &RepoName,
        issue: &Issue,
        blockers: &[Issue],
        dispatchable: bool,
        selection: &SelectionSettings,
    ) -> Result<Self, Malformed> {
        let lacking = |lacks| Malformed {
            number: issue.number,
            lacks,
        };
        if issue.number == 0 {
            return Err(lacking("number"));
        }
        let title = issue.title.trim();
        if title.is_empty() {
            return Err(lacking("title"));
        }
        Ok(Self {
            id: identifier(repo, issue.number),
            native_ref: NativeReference {
                repository: repo.to_string(),
                number: issue.number,
            },
            identifier: identifier(repo, issue.number),
            title: title.to_owned(),
            description: filled(&issue.body),
            priority: priority_label(&issue.labels, selection),
            state: state(issue.state).to_owned(),
            branch_name: None,
            url: filled(&issue.web_url),
            assignee_id: issue.assignees.iter().find_map(|login| filled(login)),
            labels: labels(&issue.labels),
            blocked_by: blockers
                .iter()
                .map(|blocker| reference(repo, blocker))
                .collect(),
            dispatchable,
            created_at: Some(issue.created.to_string()),
            updated_at: Some(issue.updated.to_string()),
        })
    }
}

/// `owner/name#12`.
pub(super) fn identifier(repo: &RepoName, number: IssueNumber) -> String {
    format!("{repo}#{number}")
}

/// The forge's word for a state.
pub(super) fn state(state: IssueState) -> &'static str {
    match state {
        IssueState::Open => "open",
        IssueState::Closed => "closed",
    }
}

fn filled(text: &str) -> Option<String> {
    (!text.trim().is_empty()).then(|| text.to_owned())
}

fn labels(names: &[String]) -> Vec<String> {
    let mut labels = Vec::new();
    for name in names {
        let label = name.trim().to_lowercase();
        if !label.is_empty() && !labels.contains(&label) {
            labels.push(label);
        }
    }
    labels
}

fn reference(repo: &RepoName, blocker: &Issue) -> BlockerReference {
    let known = (blocker.number != 0).then(|| identifier(repo, blocker.number));
    BlockerReference {
        id: known.clone(),
        identifier: known,
        state: Some(state(blocker.state).to_owned()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use jiff::Timestamp;

    use super::*;

    pub(in crate::workflow) fn issue(number: IssueNumber, title: &str, labels: &[&str]) -> Issue {
        Issue {
            number,
            title: title.to_owned(),
            body: String::new(),
            body_bytes: 0,
            state: IssueState::Open,
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            assignees: Vec::new(),
            author: "alice".to_owned(),
            created: Timestamp::UNIX_EPOCH,
            updated: Timestamp::UNIX_EPOCH,
            comment_count: 0,
            web_url: String::new(),
        }
    }

    fn normalise(issue: &Issue, blockers: &[Issue]) -> Result<TrackedIssue, Malformed> {
        let repo = "owner/name".parse().unwrap();
        TrackedIssue::normalise(&repo, issue, blockers, true, &SelectionSettings::default())
    }

    #[test]
    fn an_issue_of_a_forge_is_normalised_like_this() {
        let mut issue = issue(12, " Sum is wrong ", &[" Bug ", "bug", "", "P1"]);
        issue.body = "It gives 2.".to_owned();
        issue.assignees = vec![String::new(), "bob".to_owned()];
        issue.web_url = "https://forge.example/owner/name/issues/12".to_owned();
        let mut blocker = self::issue(7, "First", &[]);
        blocker.state = IssueState::Closed;
        insta::assert_json_snapshot!(normalise(&issue, &[blocker]).unwrap());
    }

    #[test]
    fn labels_are_lower_case_without_blanks_and_doubles() {
        let issue = issue(1, "x", &["Kind/Bug", " kind/bug", "  ", "ÄRGER"]);
        assert_eq!(
            vec!["kind/bug", "ärger"],
            normalise(&issue, &[]).unwrap().labels
        );
    }

    #[test]
    fn what_is_optional_and_unusable_is_absent() {
        let mut issue = issue(1, "x", &["", " "]);
        issue.body = " \n".to_owned();
        issue.assignees = vec![" ".to_owned()];
        let tracked = normalise(&issue, &[self::issue(0, "", &[])]).unwrap();
        let absent = (
            tracked.description,
            tracked.url,
            tracked.assignee_id,
            tracked.priority,
        );
        assert_eq!((None, None, None, None), absent);
        assert!(tracked.labels.is_empty());
        assert_eq!(None, tracked.blocked_by[0].id);
    }

    #[test]
    fn the_forges_own_names_are_kept_beside_the_opaque_one() {
        let tracked = normalise(&issue(12, "x", &[]), &[]).unwrap();
        assert_eq!(12, tracked.native_ref.number);
        assert_eq!("owner/name", tracked.native_ref.repository);
        assert_eq!("owner/name#12", tracked.id);
    }

    #[test]
    fn an_issue_without_number_or_title_is_malformed() {
        let told = |issue| normalise(&issue, &[]).map_err(|malformed| malformed.lacks);
        assert_eq!(Err("number"), told(issue(0, "x", &[])));
        assert_eq!(Err("title"), told(issue(3, " ", &[])));
    }
}
