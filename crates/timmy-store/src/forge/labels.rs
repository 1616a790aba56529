//! Labels of a repository, and which issues carry them.

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::error::StoreError;
use crate::forge::ForgeTables;
use crate::forge::next;

/// A label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The row's key.
    pub id: i64,
    /// Its name, not necessarily unique.
    pub name: String,
    /// Six hexadecimal digits without `#`.
    pub color: String,
    /// One line about it.
    pub description: String,
}

/// A label to be made.
#[derive(Debug, Clone)]
pub struct NewLabel<'a> {
    /// Its name.
    pub name: &'a str,
    /// Six hexadecimal digits without `#`.
    pub color: &'a str,
    /// One line about it.
    pub description: &'a str,
}

/// What to change. `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct LabelEdit {
    /// Its name.
    pub name: Option<String>,
    /// Six hexadecimal digits without `#`.
    pub color: Option<String>,
    /// One line about it.
    pub description: Option<String>,
}

fn label(row: &AnyRow) -> Result<Label, sqlx::Error> {
    Ok(Label {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        color: row.try_get("color")?,
        description: row.try_get("description")?,
    })
}

impl ForgeTables {
    /// Adds a label and answers its key.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn add_label(&self, repository: i64, new: &NewLabel<'_>) -> Result<i64, StoreError> {
        let mut write = self.store.write().await?;
        let id = next(&mut write, "label").await?;
        sqlx::query(
            "INSERT INTO forge_labels (id, repository_id, name, color, description)
             VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(id)
        .bind(repository)
        .bind(new.name)
        .bind(new.color)
        .bind(new.description)
        .execute(&mut *write)
        .await?;
        write.commit().await?;
        Ok(id)
    }

    /// The labels of a repository, by name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn labels(&self, repository: i64) -> Result<Vec<Label>, StoreError> {
        let found = sqlx::query(
            "SELECT id, name, color, description FROM forge_labels WHERE repository_id = $1
             ORDER BY name, id",
        )
        .bind(repository)
        .fetch_all(&self.store.pool)
        .await?;
        Ok(found.iter().map(label).collect::<Result<_, _>>()?)
    }

    /// The labels of an issue, by name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn labels_of(&self, issue: i64) -> Result<Vec<Label>, StoreError> {
        let found = sqlx::query(
            "SELECT l.id AS id, l.name AS name, l.color AS color, l.description AS description
             FROM forge_labels l JOIN forge_issue_labels c ON c.label_id = l.id
             WHERE c.issue_id = $1 ORDER BY l.name, l.id",
        )
        .bind(issue)
        .fetch_all(&self.store.pool)
        .await?;
        Ok(found.iter().map(label).collect::<Result<_, _>>()?)
    }

    /// Changes a label.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn edit_label(&self, id: i64, edit: LabelEdit) -> Result<(), StoreError> {
        let mut write = self.store.write().await?;
        sqlx::query(
            "UPDATE forge_labels SET name = COALESCE($2, name), color = COALESCE($3, color),
                 description = COALESCE($4, description) WHERE id = $1",
        )
        .bind(id)
        .bind(edit.name)
        .bind(edit.color)
        .bind(edit.description)
        .execute(&mut *write)
        .await?;
        Ok(write.commit().await?)
    }

    /// Removes a label from its repository and from every issue.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn remove_label(&self, id: i64) -> Result<(), StoreError> {
        let mut write = self.store.write().await?;
        sqlx::query("DELETE FROM forge_issue_labels WHERE label_id = $1")
            .bind(id)
            .execute(&mut *write)
            .await?;
        sqlx::query("DELETE FROM forge_labels WHERE id = $1")
            .bind(id)
            .execute(&mut *write)
            .await?;
        Ok(write.commit().await?)
    }

    /// Puts labels on an issue. One that is on it already stays.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put_labels(&self, issue: i64, labels: &[i64]) -> Result<(), StoreError> {
        let mut write = self.store.write().await?;
        for label in labels {
            sqlx::query(
                "INSERT INTO forge_issue_labels (issue_id, label_id) VALUES ($1, $2)
                 ON CONFLICT (issue_id, label_id) DO NOTHING",
            )
            .bind(issue)
            .bind(label)
            .execute(&mut *write)
            .await?;
        }
        self.touch(&mut write, issue).await?;
        Ok(write.commit().await?)
    }

    /// Takes a label off an issue; all of them when none is named.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn take_labels(&self, issue: i64, label: Option<i64>) -> Result<(), StoreError> {
        let mut write = self.store.write().await?;
        sqlx::query(
            "DELETE FROM forge_issue_labels
             WHERE issue_id = $1 AND label_id = COALESCE($2, label_id)",
        )
        .bind(issue)
        .bind(label)
        .execute(&mut *write)
        .await?;
        self.touch(&mut write, issue).await?;
        Ok(write.commit().await?)
    }
}
