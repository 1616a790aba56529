//! Issues and what they share with pull requests.

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::database::Write;
use crate::error::StoreError;
use crate::forge::ForgeTables;
use crate::forge::User;
use crate::forge::next;
use crate::forge::users;

/// $1 the repository, $2 a state or '', $3 whether pulls (or -1), $4 and $5 label keys as
/// `,1,2,` and their count, $6 a base branch or '', $7 the earliest change. The keys travel in one
/// text because the two databases have no common way to bind a list.
macro_rules! matching {
    () => {
        "WHERE i.repository_id = $1 AND ($2 = '' OR i.state = $2)
         AND ($3 < 0 OR i.is_pull = $3)
         AND (SELECT COUNT(*) FROM forge_issue_labels c WHERE c.issue_id = i.id
              AND $4 LIKE '%,' || CAST(c.label_id AS TEXT) || ',%') = $5
         AND ($6 = '' OR (SELECT COUNT(*) FROM forge_pulls p
              WHERE p.issue_id = i.id AND p.base_branch = $6) = 1)
         AND i.updated_at >= $7"
    };
}

macro_rules! select {
    ($tail:expr) => {
        concat!(
            "SELECT i.id AS id, i.repository_id AS repository_id, i.number AS number,
             i.is_pull AS is_pull, i.title AS title, i.body AS body, i.state AS state,
             i.author_id AS author_id, u.name AS author, i.created_at AS created_at,
             i.updated_at AS updated_at, i.closed_at AS closed_at,
             (SELECT COUNT(*) FROM forge_comments c WHERE c.issue_id = i.id) AS comments
             FROM forge_issues i JOIN forge_users u ON u.id = i.author_id ",
            $tail
        )
    };
}
pub(super) use select;

const COUNT: &str = concat!("SELECT COUNT(*) FROM forge_issues i ", matching!());
const LIST: &str = select!(concat!(
    matching!(),
    " ORDER BY i.number DESC LIMIT $8 OFFSET $9"
));

/// Whether something is to be worked on still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IssueState {
    /// It is.
    Open,
    /// It is done or given up.
    Closed,
}

impl IssueState {
    /// Its name in the database and on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

/// Issues and pull requests share their numbers, labels and comments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An issue.
    Issue,
    /// A pull request.
    Pull,
}

/// An issue, or the part of a pull request that it shares with issues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// The row's key.
    pub id: i64,
    /// Its repository's key.
    pub repository_id: i64,
    /// Its number in the repository.
    pub number: i64,
    /// Which of the two it is.
    pub kind: Kind,
    /// The title.
    pub title: String,
    /// The body, as written.
    pub body: String,
    /// Whether it is open.
    pub state: IssueState,
    /// The author's key.
    pub author_id: i64,
    /// The author's name.
    pub author: String,
    /// How many comments it has.
    pub comments: i64,
    /// Milliseconds since the Unix epoch.
    pub created_at: i64,
    /// Milliseconds since the Unix epoch.
    pub updated_at: i64,
    /// Milliseconds since the Unix epoch.
    pub closed_at: Option<i64>,
}

/// An issue to be made.
#[derive(Debug, Clone)]
pub struct NewIssue<'a> {
    /// Its repository's key.
    pub repository: i64,
    /// The author's key.
    pub author: i64,
    /// The title.
    pub title: &'a str,
    /// The body.
    pub body: &'a str,
    /// Keys of labels.
    pub labels: &'a [i64],
    /// Keys of users.
    pub assignees: &'a [i64],
}

/// What to change. `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct IssueEdit {
    /// The title.
    pub title: Option<String>,
    /// The body.
    pub body: Option<String>,
    /// Open or closed.
    pub state: Option<IssueState>,
    /// Keys of users: the whole new set.
    pub assignees: Option<Vec<i64>>,
}

/// Which issues to list, newest first.
#[derive(Debug, Clone, Default)]
pub struct IssueQuery {
    /// Only of this state.
    pub state: Option<IssueState>,
    /// Only of this kind.
    pub kind: Option<Kind>,
    /// Only those that carry all of these labels (keys).
    pub labels: Vec<i64>,
    /// Only pull requests to this branch.
    pub base_branch: Option<String>,
    /// Only what changed then or later, in milliseconds since the Unix epoch.
    pub since: Option<i64>,
}

/// A part of a list.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// From 1.
    pub number: i64,
    /// The most rows.
    pub size: i64,
}

impl Page {
    pub(super) fn offset(self) -> i64 {
        (self.number - 1).saturating_mul(self.size)
    }
}

pub(super) fn issue(row: &AnyRow) -> Result<Issue, sqlx::Error> {
    let state: String = row.try_get("state")?;
    let is_pull: i64 = row.try_get("is_pull")?;
    Ok(Issue {
        id: row.try_get("id")?,
        repository_id: row.try_get("repository_id")?,
        number: row.try_get("number")?,
        kind: if is_pull != 0 {
            Kind::Pull
        } else {
            Kind::Issue
        },
        title: row.try_get("title")?,
        body: row.try_get("body")?,
        state: if state == "open" {
            IssueState::Open
        } else {
            IssueState::Closed
        },
        author_id: row.try_get("author_id")?,
        author: row.try_get("author")?,
        comments: row.try_get("comments")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
        closed_at: row.try_get("closed_at")?,
    })
}

impl ForgeTables {
    /// Adds an issue and answers its number.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn add_issue(&self, new: &NewIssue<'_>) -> Result<i64, StoreError> {
        let mut write = self.store.write().await?;
        let (_, number) = self.insert_issue(&mut write, new, Kind::Issue).await?;
        write.commit().await?;
        Ok(number)
    }

    pub(super) async fn insert_issue(
        &self,
        write: &mut Write,
        new: &NewIssue<'_>,
        kind: Kind,
    ) -> Result<(i64, i64), StoreError> {
        let id = next(write, "issue").await?;
        let numbers = format!("issue of repository {}", new.repository);
        let number = next(write, &numbers).await?;
        sqlx::query(
            "INSERT INTO forge_issues (id, repository_id, number, is_pull, title, body, state,
                 author_id, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, 'open', $7, $8, $8)",
        )
        .bind(id)
        .bind(new.repository)
        .bind(number)
        .bind(i64::from(kind == Kind::Pull))
        .bind(new.title)
        .bind(new.body)
        .bind(new.author)
        .bind(self.now())
        .execute(&mut **write)
        .await?;
        for label in new.labels {
            sqlx::query("INSERT INTO forge_issue_labels (issue_id, label_id) VALUES ($1, $2)")
                .bind(id)
                .bind(label)
                .execute(&mut **write)
                .await?;
        }
        assign(write, id, new.assignees).await?;
        Ok((id, number))
    }

    /// An issue or pull request by number.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn issue(&self, repository: i64, number: i64) -> Result<Option<Issue>, StoreError> {
        let found = sqlx::query(select!("WHERE i.repository_id = $1 AND i.number = $2"))
            .bind(repository)
            .bind(number)
            .fetch_optional(&self.store.pool)
            .await?;
        Ok(found.as_ref().map(issue).transpose()?)
    }

    /// One page of the issues that match, newest first, and how many match in all.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn issues(
        &self,
        repository: i64,
        query: &IssueQuery,
        page: Page,
    ) -> Result<(Vec<Issue>, i64), StoreError> {
        let state = query.state.map_or("", IssueState::as_str);
        let is_pull = query.kind.map_or(-1, |kind| i64::from(kind == Kind::Pull));
        let keys: String = query.labels.iter().map(|key| format!("{key},")).collect();
        let keys = format!(",{keys}");
        let wanted = i64::try_from(query.labels.len()).unwrap_or(i64::MAX);
        let branch = query.base_branch.as_deref().unwrap_or_default();
        let since = query.since.unwrap_or(i64::MIN);
        let total = sqlx::query_scalar(COUNT)
            .bind(repository)
            .bind(state)
            .bind(is_pull)
            .bind(&keys)
            .bind(wanted)
            .bind(branch)
            .bind(since)
            .fetch_one(&self.store.pool)
            .await?;
        let found = sqlx::query(LIST)
            .bind(repository)
            .bind(state)
            .bind(is_pull)
            .bind(&keys)
            .bind(wanted)
            .bind(branch)
            .bind(since)
            .bind(page.size)
            .bind(page.offset())
            .fetch_all(&self.store.pool)
            .await?;
        Ok((found.iter().map(issue).collect::<Result<_, _>>()?, total))
    }

    /// Changes an issue or pull request.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn edit_issue(&self, id: i64, edit: IssueEdit) -> Result<(), StoreError> {
        let mut write = self.store.write().await?;
        let state = edit.state.map(IssueState::as_str);
        sqlx::query(
            "UPDATE forge_issues SET title = COALESCE($2, title), body = COALESCE($3, body),
                 closed_at = CASE WHEN $4 = 'open' THEN NULL
                                  WHEN $4 = 'closed' AND state = 'open' THEN $5
                                  ELSE closed_at END,
                 state = COALESCE($4, state), updated_at = $5 WHERE id = $1",
        )
        .bind(id)
        .bind(edit.title)
        .bind(edit.body)
        .bind(state)
        .bind(self.now())
        .execute(&mut *write)
        .await?;
        if let Some(assignees) = edit.assignees {
            sqlx::query("DELETE FROM forge_assignees WHERE issue_id = $1")
                .bind(id)
                .execute(&mut *write)
                .await?;
            assign(&mut write, id, &assignees).await?;
        }
        Ok(write.commit().await?)
    }

    /// Who an issue is assigned to, by name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn assignees(&self, issue: i64) -> Result<Vec<User>, StoreError> {
        let found = sqlx::query(
            "SELECT u.id AS id, u.name AS name, u.created_at AS created_at
             FROM forge_users u JOIN forge_assignees a ON a.user_id = u.id
             WHERE a.issue_id = $1 ORDER BY u.name",
        )
        .bind(issue)
        .fetch_all(&self.store.pool)
        .await?;
        Ok(found.iter().map(users::user).collect::<Result<_, _>>()?)
    }

    pub(super) async fn touch(&self, write: &mut Write, issue: i64) -> Result<(), StoreError> {
        sqlx::query("UPDATE forge_issues SET updated_at = $2 WHERE id = $1")
            .bind(issue)
            .bind(self.now())
            .execute(&mut **write)
            .await?;
        Ok(())
    }
}

async fn assign(write: &mut Write, issue: i64, users: &[i64]) -> Result<(), StoreError> {
    for user in users {
        sqlx::query(
            "INSERT INTO forge_assignees (issue_id, user_id) VALUES ($1, $2)
             ON CONFLICT (issue_id, user_id) DO NOTHING",
        )
        .bind(issue)
        .bind(user)
        .execute(&mut **write)
        .await?;
    }
    Ok(())
}
