//! Comments on issues and pull requests.

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::error::StoreError;
use crate::forge::ForgeTables;
use crate::forge::next;

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT c.id AS id, c.issue_id AS issue_id, i.number AS number, i.is_pull AS is_pull,
             i.repository_id AS repository_id, c.author_id AS author_id, u.name AS author,
             c.body AS body, c.created_at AS created_at, c.updated_at AS updated_at
             FROM forge_comments c JOIN forge_users u ON u.id = c.author_id
             JOIN forge_issues i ON i.id = c.issue_id ",
            $tail
        )
    };
}

/// A comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// The row's key.
    pub id: i64,
    /// The number of its issue or pull request.
    pub number: i64,
    /// Whether it stands at a pull request.
    pub on_pull: bool,
    /// The repository's key.
    pub repository_id: i64,
    /// The author's key.
    pub author_id: i64,
    /// The author's name.
    pub author: String,
    /// What was written.
    pub body: String,
    /// Milliseconds since the Unix epoch.
    pub created_at: i64,
    /// Milliseconds since the Unix epoch.
    pub updated_at: i64,
}

fn comment(row: &AnyRow) -> Result<Comment, sqlx::Error> {
    Ok(Comment {
        id: row.try_get("id")?,
        number: row.try_get("number")?,
        on_pull: row.try_get::<i64, _>("is_pull")? != 0,
        repository_id: row.try_get("repository_id")?,
        author_id: row.try_get("author_id")?,
        author: row.try_get("author")?,
        body: row.try_get("body")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
    })
}

impl ForgeTables {
    /// Adds a comment and answers its key.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn add_comment(
        &self,
        issue: i64,
        author: i64,
        body: &str,
    ) -> Result<i64, StoreError> {
        let mut write = self.store.write().await?;
        let id = next(&mut write, "comment").await?;
        sqlx::query(
            "INSERT INTO forge_comments (id, issue_id, author_id, body, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $5)",
        )
        .bind(id)
        .bind(issue)
        .bind(author)
        .bind(body)
        .bind(self.now())
        .execute(&mut *write)
        .await?;
        self.touch(&mut write, issue).await?;
        write.commit().await?;
        Ok(id)
    }

    /// The comments of an issue, oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn comments(&self, issue: i64) -> Result<Vec<Comment>, StoreError> {
        let found = sqlx::query(select!("WHERE c.issue_id = $1 ORDER BY c.id"))
            .bind(issue)
            .fetch_all(&self.store.pool)
            .await?;
        Ok(found.iter().map(comment).collect::<Result<_, _>>()?)
    }

    /// One comment of a repository.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn comment(&self, repository: i64, id: i64) -> Result<Option<Comment>, StoreError> {
        let found = sqlx::query(select!("WHERE i.repository_id = $1 AND c.id = $2"))
            .bind(repository)
            .bind(id)
            .fetch_optional(&self.store.pool)
            .await?;
        Ok(found.as_ref().map(comment).transpose()?)
    }

    /// Replaces what a comment says.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn edit_comment(&self, id: i64, body: &str) -> Result<(), StoreError> {
        let mut write = self.store.write().await?;
        sqlx::query("UPDATE forge_comments SET body = $2, updated_at = $3 WHERE id = $1")
            .bind(id)
            .bind(body)
            .bind(self.now())
            .execute(&mut *write)
            .await?;
        Ok(write.commit().await?)
    }

    /// Removes a comment.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn remove_comment(&self, id: i64) -> Result<(), StoreError> {
        let mut write = self.store.write().await?;
        sqlx::query("DELETE FROM forge_comments WHERE id = $1")
            .bind(id)
            .execute(&mut *write)
            .await?;
        Ok(write.commit().await?)
    }
}
