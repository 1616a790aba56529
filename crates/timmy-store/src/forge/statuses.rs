//! What checks say about commits.

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::error::StoreError;
use crate::forge::ForgeTables;
use crate::forge::next;

/// What one check said about one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The row's key.
    pub id: i64,
    /// The check.
    pub context: String,
    /// What it said: pending, success, error, failure, warning or whatever was sent.
    pub state: String,
    /// Where more is to be read.
    pub target_url: String,
    /// One line.
    pub description: String,
    /// Who said it.
    pub creator: String,
    /// The key of who said it.
    pub creator_id: i64,
    /// Milliseconds since the Unix epoch.
    pub created_at: i64,
}

/// A status to be kept.
#[derive(Debug, Clone)]
pub struct NewStatus<'a> {
    /// The repository's key.
    pub repository: i64,
    /// The commit.
    pub sha: &'a str,
    /// The check.
    pub context: &'a str,
    /// What it said.
    pub state: &'a str,
    /// Where more is to be read.
    pub target_url: &'a str,
    /// One line.
    pub description: &'a str,
    /// The key of who said it.
    pub creator: i64,
}

fn status(row: &AnyRow) -> Result<Status, sqlx::Error> {
    Ok(Status {
        id: row.try_get("id")?,
        context: row.try_get("context")?,
        state: row.try_get("state")?,
        target_url: row.try_get("target_url")?,
        description: row.try_get("description")?,
        creator: row.try_get("creator")?,
        creator_id: row.try_get("creator_id")?,
        created_at: row.try_get("created_at")?,
    })
}

impl ForgeTables {
    /// Keeps a status and answers its key. Earlier ones of the same context stay on record.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn add_status(&self, new: &NewStatus<'_>) -> Result<i64, StoreError> {
        let mut write = self.store.write().await?;
        let id = next(&mut write, "status").await?;
        sqlx::query(
            "INSERT INTO forge_statuses (id, repository_id, sha, context, state, target_url,
                 description, creator_id, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(id)
        .bind(new.repository)
        .bind(new.sha)
        .bind(new.context)
        .bind(new.state)
        .bind(new.target_url)
        .bind(new.description)
        .bind(new.creator)
        .bind(self.now())
        .execute(&mut *write)
        .await?;
        write.commit().await?;
        Ok(id)
    }

    /// Everything that was said about a commit, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn statuses(&self, repository: i64, sha: &str) -> Result<Vec<Status>, StoreError> {
        let found = sqlx::query(
            "SELECT s.id AS id, s.context AS context, s.state AS state, s.target_url AS target_url,
                 s.description AS description, u.name AS creator, s.creator_id AS creator_id,
                 s.created_at AS created_at
             FROM forge_statuses s JOIN forge_users u ON u.id = s.creator_id
             WHERE s.repository_id = $1 AND s.sha = $2 ORDER BY s.id DESC",
        )
        .bind(repository)
        .bind(sha)
        .fetch_all(&self.store.pool)
        .await?;
        Ok(found.iter().map(status).collect::<Result<_, _>>()?)
    }
}
