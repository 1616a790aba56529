//! Users and the tokens they act with.

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::error::StoreError;
use crate::forge::ForgeTables;
use crate::forge::next;

/// Somebody who can own repositories and act on others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The row's key.
    pub id: i64,
    /// The login.
    pub name: String,
    /// Milliseconds since the Unix epoch.
    pub created_at: i64,
}

/// Whom a token belongs to and what it allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenOwner {
    /// The user.
    pub user: User,
    /// Scopes separated by commas, as they were given.
    pub scopes: String,
}

pub(super) fn user(row: &AnyRow) -> Result<User, sqlx::Error> {
    Ok(User {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        created_at: row.try_get("created_at")?,
    })
}

impl ForgeTables {
    /// Adds a user, or answers `None` when the name is taken (in any case).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn add_user(&self, name: &str) -> Result<Option<User>, StoreError> {
        let mut write = self.store.write().await?;
        let id = next(&mut write, "user").await?;
        let added = sqlx::query(
            "INSERT INTO forge_users (id, name, lower_name, created_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (lower_name) DO NOTHING RETURNING id, name, created_at",
        )
        .bind(id)
        .bind(name)
        .bind(name.to_lowercase())
        .bind(self.now())
        .fetch_optional(&mut *write)
        .await?;
        let Some(row) = added else {
            return Ok(None);
        };
        let added = user(&row)?;
        write.commit().await?;
        Ok(Some(added))
    }

    /// A user by name, in any case.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn user(&self, name: &str) -> Result<Option<User>, StoreError> {
        let found =
            sqlx::query("SELECT id, name, created_at FROM forge_users WHERE lower_name = $1")
                .bind(name.to_lowercase())
                .fetch_optional(&self.store.pool)
                .await?;
        Ok(found.as_ref().map(user).transpose()?)
    }

    /// Keeps the SHA-256 (hexadecimal) of a token; the token itself is not stored.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn add_token(
        &self,
        user: i64,
        label: &str,
        sha256: &str,
        scopes: &str,
    ) -> Result<(), StoreError> {
        let mut write = self.store.write().await?;
        let id = next(&mut write, "token").await?;
        sqlx::query(
            "INSERT INTO forge_tokens (id, user_id, label, sha256, scopes, created_at)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(id)
        .bind(user)
        .bind(label)
        .bind(sha256)
        .bind(scopes)
        .bind(self.now())
        .execute(&mut *write)
        .await?;
        Ok(write.commit().await?)
    }

    /// Who a token belongs to, by its SHA-256.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn token_owner(&self, sha256: &str) -> Result<Option<TokenOwner>, StoreError> {
        let found = sqlx::query(
            "SELECT u.id AS id, u.name AS name, u.created_at AS created_at, t.scopes AS scopes
             FROM forge_tokens t JOIN forge_users u ON u.id = t.user_id WHERE t.sha256 = $1",
        )
        .bind(sha256)
        .fetch_optional(&self.store.pool)
        .await?;
        let Some(row) = found else {
            return Ok(None);
        };
        Ok(Some(TokenOwner {
            user: user(&row)?,
            scopes: row.try_get("scopes")?,
        }))
    }
}
