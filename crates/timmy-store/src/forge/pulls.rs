//! What a pull request has beyond an issue.

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::error::StoreError;
use crate::forge::ForgeTables;
use crate::forge::Issue;
use crate::forge::Kind;
use crate::forge::NewIssue;
use crate::forge::issues::issue;

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT i.id AS id, i.repository_id AS repository_id, i.number AS number,
             i.is_pull AS is_pull, i.title AS title, i.body AS body, i.state AS state,
             i.author_id AS author_id, u.name AS author, i.created_at AS created_at,
             i.updated_at AS updated_at, i.closed_at AS closed_at,
             (SELECT COUNT(*) FROM forge_comments c WHERE c.issue_id = i.id) AS comments,
             p.head_branch AS head_branch, p.base_branch AS base_branch, p.head AS head,
             p.merge_base AS merge_base, p.mergeable AS mergeable, p.merge_commit AS merge_commit,
             p.merged_at AS merged_at, m.name AS merged_by
             FROM forge_pulls p JOIN forge_issues i ON i.id = p.issue_id
             JOIN forge_users u ON u.id = i.author_id
             LEFT JOIN forge_users m ON m.id = p.merged_by ",
            $tail
        )
    };
}

/// Whether a pull request can be merged. Found out in the background.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mergeable {
    /// Not known yet.
    Checking,
    /// Without conflicts.
    Yes,
    /// With conflicts, or without a common history.
    No,
}

impl Mergeable {
    fn as_str(self) -> &'static str {
        match self {
            Self::Checking => "checking",
            Self::Yes => "yes",
            Self::No => "no",
        }
    }
}

/// A pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// What it shares with issues.
    pub issue: Issue,
    /// The branch that is offered.
    pub head_branch: String,
    /// The branch that it goes to.
    pub base_branch: String,
    /// The commit that is offered.
    pub head: String,
    /// Where the two part; empty when they have nothing in common.
    pub merge_base: String,
    /// Whether it can be merged.
    pub mergeable: Mergeable,
    /// The commit that merging made, or is about to make.
    pub merge_commit: Option<String>,
    /// Milliseconds since the Unix epoch.
    pub merged_at: Option<i64>,
    /// Who merged it.
    pub merged_by: Option<String>,
}

/// A pull request to be made.
#[derive(Debug, Clone)]
pub struct NewPull<'a> {
    /// What it shares with issues.
    pub issue: NewIssue<'a>,
    /// The branch that is offered.
    pub head_branch: &'a str,
    /// The branch that it goes to.
    pub base_branch: &'a str,
    /// The commit that is offered.
    pub head: &'a str,
    /// Where the two part.
    pub merge_base: &'a str,
}

fn pull(row: &AnyRow) -> Result<Pull, sqlx::Error> {
    let mergeable: String = row.try_get("mergeable")?;
    Ok(Pull {
        issue: issue(row)?,
        head_branch: row.try_get("head_branch")?,
        base_branch: row.try_get("base_branch")?,
        head: row.try_get("head")?,
        merge_base: row.try_get("merge_base")?,
        mergeable: match mergeable.as_str() {
            "yes" => Mergeable::Yes,
            "no" => Mergeable::No,
            _ => Mergeable::Checking,
        },
        merge_commit: row.try_get("merge_commit")?,
        merged_at: row.try_get("merged_at")?,
        merged_by: row.try_get("merged_by")?,
    })
}

impl ForgeTables {
    /// Adds a pull request and answers its number, or the number of the open one that already
    /// offers this branch to that one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn add_pull(&self, new: &NewPull<'_>) -> Result<Result<i64, i64>, StoreError> {
        let mut write = self.store.write().await?;
        let open: Option<i64> = sqlx::query_scalar(
            "SELECT i.number FROM forge_pulls p JOIN forge_issues i ON i.id = p.issue_id
             WHERE i.repository_id = $1 AND i.state = 'open' AND p.head_branch = $2
               AND p.base_branch = $3",
        )
        .bind(new.issue.repository)
        .bind(new.head_branch)
        .bind(new.base_branch)
        .fetch_optional(&mut *write)
        .await?;
        if let Some(number) = open {
            return Ok(Err(number));
        }
        let (id, number) = self
            .insert_issue(&mut write, &new.issue, Kind::Pull)
            .await?;
        sqlx::query(
            "INSERT INTO forge_pulls (issue_id, head_branch, base_branch, head, merge_base,
                 mergeable) VALUES ($1, $2, $3, $4, $5, 'checking')",
        )
        .bind(id)
        .bind(new.head_branch)
        .bind(new.base_branch)
        .bind(new.head)
        .bind(new.merge_base)
        .execute(&mut *write)
        .await?;
        write.commit().await?;
        Ok(Ok(number))
    }

    /// A pull request by number.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn pull(&self, repository: i64, number: i64) -> Result<Option<Pull>, StoreError> {
        let found = sqlx::query(select!("WHERE i.repository_id = $1 AND i.number = $2"))
            .bind(repository)
            .bind(number)
            .fetch_optional(&self.store.pool)
            .await?;
        Ok(found.as_ref().map(pull).transpose()?)
    }

    /// The newest pull request from one branch to another.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn pull_between(
        &self,
        repository: i64,
        base: &str,
        head: &str,
    ) -> Result<Option<Pull>, StoreError> {
        let found = sqlx::query(select!(
            "WHERE i.repository_id = $1 AND p.base_branch = $2 AND p.head_branch = $3
             ORDER BY i.number DESC LIMIT 1"
        ))
        .bind(repository)
        .bind(base)
        .bind(head)
        .fetch_optional(&self.store.pool)
        .await?;
        Ok(found.as_ref().map(pull).transpose()?)
    }

    /// The open pull requests of a repository, oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn open_pulls(&self, repository: i64) -> Result<Vec<Pull>, StoreError> {
        let found = sqlx::query(select!(
            "WHERE i.repository_id = $1 AND i.state = 'open' ORDER BY i.number"
        ))
        .bind(repository)
        .fetch_all(&self.store.pool)
        .await?;
        Ok(found.iter().map(pull).collect::<Result<_, _>>()?)
    }

    /// Another commit is offered, or the base has moved: whether it can be merged is open again.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn move_pull(
        &self,
        id: i64,
        base_branch: &str,
        head: &str,
        merge_base: &str,
    ) -> Result<(), StoreError> {
        let mut write = self.store.write().await?;
        // A base that moved is no change of the pull request, as on Gitea.
        sqlx::query(
            "UPDATE forge_issues SET updated_at = $3 WHERE id = $1
             AND (SELECT p.head FROM forge_pulls p WHERE p.issue_id = $1) <> $2",
        )
        .bind(id)
        .bind(head)
        .bind(self.now())
        .execute(&mut *write)
        .await?;
        sqlx::query(
            "UPDATE forge_pulls SET base_branch = $2, head = $3, merge_base = $4,
                 mergeable = 'checking' WHERE issue_id = $1",
        )
        .bind(id)
        .bind(base_branch)
        .bind(head)
        .bind(merge_base)
        .execute(&mut *write)
        .await?;
        Ok(write.commit().await?)
    }

    /// Keeps what a check found, unless another commit is offered by now.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn keep_mergeable(
        &self,
        id: i64,
        head: &str,
        found: Mergeable,
    ) -> Result<(), StoreError> {
        let mut write = self.store.write().await?;
        sqlx::query("UPDATE forge_pulls SET mergeable = $3 WHERE issue_id = $1 AND head = $2")
            .bind(id)
            .bind(head)
            .bind(found.as_str())
            .execute(&mut *write)
            .await?;
        Ok(write.commit().await?)
    }

    /// Notes which commit a merge is about to put on the base branch, and for whom.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn begin_merge(&self, id: i64, commit: &str, by: i64) -> Result<(), StoreError> {
        let mut write = self.store.write().await?;
        sqlx::query("UPDATE forge_pulls SET merge_commit = $2, merged_by = $3 WHERE issue_id = $1")
            .bind(id)
            .bind(commit)
            .bind(by)
            .execute(&mut *write)
            .await?;
        Ok(write.commit().await?)
    }

    /// The base branch has the commit: the pull request is merged and closed.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn finish_merge(&self, id: i64) -> Result<(), StoreError> {
        let mut write = self.store.write().await?;
        sqlx::query("UPDATE forge_pulls SET merged_at = $2, mergeable = 'no' WHERE issue_id = $1")
            .bind(id)
            .bind(self.now())
            .execute(&mut *write)
            .await?;
        sqlx::query(
            "UPDATE forge_issues SET state = 'closed', closed_at = $2, updated_at = $2
             WHERE id = $1",
        )
        .bind(id)
        .bind(self.now())
        .execute(&mut *write)
        .await?;
        Ok(write.commit().await?)
    }

    /// The base branch does not have the commit: the merge did not happen.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn abandon_merge(&self, id: i64) -> Result<(), StoreError> {
        let mut write = self.store.write().await?;
        sqlx::query(
            "UPDATE forge_pulls SET merge_commit = NULL, merged_by = NULL
             WHERE issue_id = $1 AND merged_at IS NULL",
        )
        .bind(id)
        .execute(&mut *write)
        .await?;
        Ok(write.commit().await?)
    }
}
