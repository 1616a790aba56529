//! Repositories and who may do what in them.

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::error::StoreError;
use crate::forge::ForgeTables;
use crate::forge::next;

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT r.id AS id, r.owner_id AS owner_id, u.name AS owner, r.name AS name,
             r.description AS description, r.default_branch AS default_branch,
             r.private AS private, r.archived AS archived, r.created_at AS created_at,
             r.updated_at AS updated_at
             FROM forge_repositories r JOIN forge_users u ON u.id = r.owner_id ",
            $tail
        )
    };
}

/// A repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// The row's key; also names its directory.
    pub id: i64,
    /// The owner's key.
    pub owner_id: i64,
    /// The owner's name.
    pub owner: String,
    /// Its own name.
    pub name: String,
    /// One line about it.
    pub description: String,
    /// The branch that pull requests go to; it need not exist yet.
    pub default_branch: String,
    /// Only its owner and collaborators can see it.
    pub private: bool,
    /// Nobody can write to it.
    pub archived: bool,
    /// Milliseconds since the Unix epoch.
    pub created_at: i64,
    /// Milliseconds since the Unix epoch.
    pub updated_at: i64,
}

/// A repository to be made.
#[derive(Debug, Clone)]
pub struct NewRepository<'a> {
    /// The owner's key.
    pub owner: i64,
    /// Its own name.
    pub name: &'a str,
    /// One line about it.
    pub description: &'a str,
    /// The branch that pull requests go to.
    pub default_branch: &'a str,
    /// Only its owner and collaborators can see it.
    pub private: bool,
}

/// What to change. `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct RepositoryEdit {
    /// One line about it.
    pub description: Option<String>,
    /// The branch that pull requests go to.
    pub default_branch: Option<String>,
    /// Only its owner and collaborators can see it.
    pub private: Option<bool>,
    /// Nobody can write to it.
    pub archived: Option<bool>,
}

/// What somebody may do in a repository; each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    /// Not even see it.
    None,
    /// See, open issues and pull requests, comment.
    Read,
    /// Push, merge, label, close.
    Write,
    /// Change settings and collaborators.
    Admin,
}

impl Permission {
    /// Its name in the database and on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }

    fn stored(name: &str) -> Self {
        match name {
            "admin" => Self::Admin,
            "write" => Self::Write,
            _ => Self::Read,
        }
    }
}

fn repository(row: &AnyRow) -> Result<Repository, sqlx::Error> {
    Ok(Repository {
        id: row.try_get("id")?,
        owner_id: row.try_get("owner_id")?,
        owner: row.try_get("owner")?,
        name: row.try_get("name")?,
        description: row.try_get("description")?,
        default_branch: row.try_get("default_branch")?,
        private: row.try_get::<i64, _>("private")? != 0,
        archived: row.try_get::<i64, _>("archived")? != 0,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
    })
}

impl ForgeTables {
    /// Adds a repository and answers its key, or `None` when the owner has one of that name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn add_repository(&self, new: &NewRepository<'_>) -> Result<Option<i64>, StoreError> {
        let mut write = self.store.write().await?;
        let id = next(&mut write, "repository").await?;
        let added = sqlx::query(
            "INSERT INTO forge_repositories (id, owner_id, name, lower_name, description,
                 default_branch, private, archived, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $8)
             ON CONFLICT (owner_id, lower_name) DO NOTHING",
        )
        .bind(id)
        .bind(new.owner)
        .bind(new.name)
        .bind(new.name.to_lowercase())
        .bind(new.description)
        .bind(new.default_branch)
        .bind(i64::from(new.private))
        .bind(self.now())
        .execute(&mut *write)
        .await?;
        if added.rows_affected() == 0 {
            return Ok(None);
        }
        write.commit().await?;
        Ok(Some(id))
    }

    /// A repository by owner and name, in any case.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn repository(
        &self,
        owner: &str,
        name: &str,
    ) -> Result<Option<Repository>, StoreError> {
        let found = sqlx::query(select!("WHERE u.lower_name = $1 AND r.lower_name = $2"))
            .bind(owner.to_lowercase())
            .bind(name.to_lowercase())
            .fetch_optional(&self.store.pool)
            .await?;
        Ok(found.as_ref().map(repository).transpose()?)
    }

    /// Every repository, by key.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn repositories(&self) -> Result<Vec<Repository>, StoreError> {
        let found = sqlx::query(select!("ORDER BY r.id"))
            .fetch_all(&self.store.pool)
            .await?;
        Ok(found.iter().map(repository).collect::<Result<_, _>>()?)
    }

    /// Changes a repository.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn edit_repository(&self, id: i64, edit: RepositoryEdit) -> Result<(), StoreError> {
        let mut write = self.store.write().await?;
        sqlx::query(
            "UPDATE forge_repositories SET description = COALESCE($2, description),
                 default_branch = COALESCE($3, default_branch), private = COALESCE($4, private),
                 archived = COALESCE($5, archived), updated_at = $6 WHERE id = $1",
        )
        .bind(id)
        .bind(edit.description)
        .bind(edit.default_branch)
        .bind(edit.private.map(i64::from))
        .bind(edit.archived.map(i64::from))
        .bind(self.now())
        .execute(&mut *write)
        .await?;
        Ok(write.commit().await?)
    }

    /// Removes a repository with everything in it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn remove_repository(&self, id: i64) -> Result<(), StoreError> {
        let mut write = self.store.write().await?;
        for statement in REMOVALS {
            sqlx::query(statement).bind(id).execute(&mut *write).await?;
        }
        Ok(write.commit().await?)
    }

    /// What a user may do in a repository by ownership or invitation; not what anybody may.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn permission(
        &self,
        repository: &Repository,
        user: i64,
    ) -> Result<Permission, StoreError> {
        if repository.owner_id == user {
            return Ok(Permission::Admin);
        }
        let found: Option<String> = sqlx::query_scalar(
            "SELECT permission FROM forge_collaborators WHERE repository_id = $1 AND user_id = $2",
        )
        .bind(repository.id)
        .bind(user)
        .fetch_optional(&self.store.pool)
        .await?;
        Ok(found.map_or(Permission::None, |name| Permission::stored(&name)))
    }

    /// Lets a user into a repository, or changes or (with [`Permission::None`]) ends what he may do.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_collaborator(
        &self,
        repository: i64,
        user: i64,
        permission: Permission,
    ) -> Result<(), StoreError> {
        let mut write = self.store.write().await?;
        sqlx::query("DELETE FROM forge_collaborators WHERE repository_id = $1 AND user_id = $2")
            .bind(repository)
            .bind(user)
            .execute(&mut *write)
            .await?;
        if permission != Permission::None {
            sqlx::query(
                "INSERT INTO forge_collaborators (repository_id, user_id, permission)
                 VALUES ($1, $2, $3)",
            )
            .bind(repository)
            .bind(user)
            .bind(permission.as_str())
            .execute(&mut *write)
            .await?;
        }
        Ok(write.commit().await?)
    }
}

/// In an order that keeps every reference whole.
const REMOVALS: [&str; 13] = [
    "DELETE FROM forge_review_comments WHERE review_id IN (SELECT v.id FROM forge_reviews v
         JOIN forge_issues i ON i.id = v.issue_id WHERE i.repository_id = $1)",
    "DELETE FROM forge_reviews WHERE issue_id IN
         (SELECT id FROM forge_issues WHERE repository_id = $1)",
    "DELETE FROM forge_comments WHERE issue_id IN
         (SELECT id FROM forge_issues WHERE repository_id = $1)",
    "DELETE FROM forge_assignees WHERE issue_id IN
         (SELECT id FROM forge_issues WHERE repository_id = $1)",
    "DELETE FROM forge_issue_labels WHERE issue_id IN
         (SELECT id FROM forge_issues WHERE repository_id = $1)",
    "DELETE FROM forge_dependencies WHERE issue_id IN
         (SELECT id FROM forge_issues WHERE repository_id = $1) OR blocker_id IN
         (SELECT id FROM forge_issues WHERE repository_id = $1)",
    "DELETE FROM forge_pulls WHERE issue_id IN
         (SELECT id FROM forge_issues WHERE repository_id = $1)",
    "DELETE FROM forge_issues WHERE repository_id = $1",
    "DELETE FROM forge_labels WHERE repository_id = $1",
    "DELETE FROM forge_statuses WHERE repository_id = $1",
    "DELETE FROM forge_collaborators WHERE repository_id = $1",
    "DELETE FROM forge_sequences WHERE name = 'issue of repository ' || CAST($1 AS TEXT)",
    "DELETE FROM forge_repositories WHERE id = $1",
];
