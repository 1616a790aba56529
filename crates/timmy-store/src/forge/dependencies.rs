//! Which issue waits for which.

use crate::error::StoreError;
use crate::forge::ForgeTables;
use crate::forge::Issue;
use crate::forge::issues::issue;
use crate::forge::issues::select;

impl ForgeTables {
    /// Makes an issue wait for another. False when it already did.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn add_dependency(&self, issue: i64, blocker: i64) -> Result<bool, StoreError> {
        let mut write = self.store.write().await?;
        let added = sqlx::query(
            "INSERT INTO forge_dependencies (issue_id, blocker_id) VALUES ($1, $2)
             ON CONFLICT (issue_id, blocker_id) DO NOTHING",
        )
        .bind(issue)
        .bind(blocker)
        .execute(&mut *write)
        .await?;
        let changed = added.rows_affected() == 1;
        if changed {
            self.touch(&mut write, issue).await?;
            self.touch(&mut write, blocker).await?;
        }
        write.commit().await?;
        Ok(changed)
    }

    /// Ends a wait. False when there was none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn remove_dependency(&self, issue: i64, blocker: i64) -> Result<bool, StoreError> {
        let mut write = self.store.write().await?;
        let removed =
            sqlx::query("DELETE FROM forge_dependencies WHERE issue_id = $1 AND blocker_id = $2")
                .bind(issue)
                .bind(blocker)
                .execute(&mut *write)
                .await?;
        let changed = removed.rows_affected() == 1;
        if changed {
            self.touch(&mut write, issue).await?;
            self.touch(&mut write, blocker).await?;
        }
        write.commit().await?;
        Ok(changed)
    }

    /// What an issue waits for, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn blockers(&self, of: i64) -> Result<Vec<Issue>, StoreError> {
        let found = sqlx::query(select!(
            "JOIN forge_dependencies d ON d.blocker_id = i.id
             WHERE d.issue_id = $1 ORDER BY i.created_at DESC, i.id DESC"
        ))
        .bind(of)
        .fetch_all(&self.store.pool)
        .await?;
        Ok(found.iter().map(issue).collect::<Result<_, _>>()?)
    }

    /// What waits for an issue, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn blocked_by(&self, blocker: i64) -> Result<Vec<Issue>, StoreError> {
        let found = sqlx::query(select!(
            "JOIN forge_dependencies d ON d.issue_id = i.id
             WHERE d.blocker_id = $1 ORDER BY i.created_at DESC, i.id DESC"
        ))
        .bind(blocker)
        .fetch_all(&self.store.pool)
        .await?;
        Ok(found.iter().map(issue).collect::<Result<_, _>>()?)
    }
}
