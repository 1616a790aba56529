//! A report as an issue of a forge: one for each window, brought up to date when it is posted again.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use timmy_core::IssueNumber;
use timmy_core::RepoName;
use timmy_forge::Forge;
use timmy_forge::ForgeError;
use timmy_forge::Issue;
use timmy_forge::IssueFilter;
use timmy_forge::IssueUpdate;
use timmy_forge::NewIssue;
use timmy_forge::StateFilter;
use timmy_forge::marker::marker_in;

use super::document::Document;
use super::document::Links;
use super::markdown;
use super::markdown::Images;
use super::markdown::marker;
use super::window::Window;

/// What the title of a posted report begins with. The night works on no issue that is called so.
pub const TITLE_MARK: &str = "[timmy report]";
/// The longest text that is posted, in bytes.
const LONGEST: usize = 60_000;
/// How many rows and entries are kept, the longer the report is the fewer.
const ROWS: [usize; 4] = [usize::MAX, 150, 40, 10];
/// The forge's clock may be so much behind.
const CLOCKS_DIFFER: Duration = Duration::from_hours(24);

/// A report that is on the forge now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Posted {
    /// The repository.
    pub repo: RepoName,
    /// The issue.
    pub number: IssueNumber,
    /// What was done.
    pub how: How,
}

/// What was done to have a report on the forge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// An issue was opened.
    Opened,
    /// The issue of this window got a new text.
    Updated,
    /// The issue of this window says the same already.
    Unchanged,
}

/// Posts a report, as `user`.
///
/// # Errors
/// When the forge cannot be asked, or refuses.
pub async fn post(
    forge: &dyn Forge,
    user: &str,
    repo: &RepoName,
    (document, window): (&Document, &Window),
) -> Result<Posted, ForgeError> {
    let title = format!("{TITLE_MARK} {}", document.stretch);
    let body = body(document);
    let mark = marker(&document.key);
    let posted = |number, how| Posted {
        repo: repo.clone(),
        number,
        how,
    };
    let Some(number) = find(forge, user, repo, &mark, window.since).await? else {
        let new = NewIssue {
            title,
            body,
            labels: Vec::new(),
        };
        let issue = forge.create_issue(repo, &new).await?;
        return Ok(posted(issue.number, How::Opened));
    };
    let there = forge.issue(repo, number).await?;
    if there.title == title && there.body.trim_end() == body.trim_end() {
        return Ok(posted(number, How::Unchanged));
    }
    let update = IssueUpdate {
        title: Some(title),
        body: Some(body),
    };
    forge.edit_issue(repo, number, &update).await?;
    Ok(posted(number, How::Updated))
}

/// The issue of ours with this mark. It was written after the window began.
async fn find(
    forge: &dyn Forge,
    user: &str,
    repo: &RepoName,
    mark: &str,
    since: Option<Timestamp>,
) -> Result<Option<IssueNumber>, ForgeError> {
    let ours = |issue: &Issue| {
        issue.author.eq_ignore_ascii_case(user) && marker_in(&issue.body) == Some(mark)
    };
    let since = since.map(|since| since.checked_sub(CLOCKS_DIFFER).unwrap_or(since));
    let issues = match since {
        Some(since) => forge.changes(repo, Some(since)).await?.issues,
        None => {
            let filter = IssueFilter {
                state: StateFilter::All,
                ..IssueFilter::default()
            };
            forge.issues(repo, &filter).await?
        }
    };
    let found = issues.iter().filter(|issue| ours(issue));
    Ok(found.map(|issue| issue.number).min())
}

/// The report as Markdown, as long as a forge takes.
fn body(document: &Document) -> String {
    let written = |rows: usize| {
        let document = document.shortened(rows);
        markdown::write(&document, &Links::default(), &Images::None)
    };
    let mut bodies = ROWS.into_iter().map(written);
    let first = bodies.next().unwrap_or_default();
    if first.len() <= LONGEST {
        return first;
    }
    let shorter = bodies.find(|body| body.len() <= LONGEST);
    shorter.unwrap_or_else(|| timmy_core::text::bound(&first, LONGEST).into_owned())
}
