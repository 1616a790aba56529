//! Reviews of pull requests.

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::error::StoreError;
use crate::forge::ForgeTables;
use crate::forge::next;

/// A review.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    /// The row's key.
    pub id: i64,
    /// The author's key.
    pub author_id: i64,
    /// The author's name.
    pub author: String,
    /// `APPROVED`, `REQUEST_CHANGES`, `COMMENT` or `PENDING`.
    pub state: String,
    /// What it says as a whole.
    pub body: String,
    /// The commit it is about.
    pub commit: String,
    /// How many remarks on lines it has.
    pub comments: i64,
    /// Milliseconds since the Unix epoch.
    pub created_at: i64,
}

/// A remark as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptReviewComment {
    /// The row's key.
    pub id: i64,
    /// The remark.
    pub comment: ReviewComment,
}

/// A remark on a line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReviewComment {
    /// The file.
    pub path: String,
    /// Its line number in the new version; negative for one of the old version.
    pub line: i64,
    /// What it says.
    pub body: String,
}

/// A review to be made.
#[derive(Debug, Clone)]
pub struct NewReview<'a> {
    /// The pull request's key.
    pub issue: i64,
    /// The author's key.
    pub author: i64,
    /// `APPROVED`, `REQUEST_CHANGES`, `COMMENT` or `PENDING`.
    pub state: &'a str,
    /// What it says as a whole.
    pub body: &'a str,
    /// The commit it is about.
    pub commit: &'a str,
    /// Remarks on lines.
    pub comments: &'a [ReviewComment],
}

fn review(row: &AnyRow) -> Result<Review, sqlx::Error> {
    Ok(Review {
        id: row.try_get("id")?,
        author_id: row.try_get("author_id")?,
        author: row.try_get("author")?,
        state: row.try_get("state")?,
        body: row.try_get("body")?,
        commit: row.try_get("commit_sha")?,
        comments: row.try_get("comments")?,
        created_at: row.try_get("created_at")?,
    })
}

impl ForgeTables {
    /// Adds a review with its remarks and answers its key.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn add_review(&self, new: &NewReview<'_>) -> Result<i64, StoreError> {
        let mut write = self.store.write().await?;
        let id = next(&mut write, "review").await?;
        sqlx::query(
            "INSERT INTO forge_reviews (id, issue_id, author_id, state, body, commit_sha, comments,
                 created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(id)
        .bind(new.issue)
        .bind(new.author)
        .bind(new.state)
        .bind(new.body)
        .bind(new.commit)
        .bind(i64::try_from(new.comments.len()).unwrap_or(i64::MAX))
        .bind(self.now())
        .execute(&mut *write)
        .await?;
        for comment in new.comments {
            let comment_id = next(&mut write, "review comment").await?;
            sqlx::query(
                "INSERT INTO forge_review_comments (id, review_id, path, line, body)
                 VALUES ($1, $2, $3, $4, $5)",
            )
            .bind(comment_id)
            .bind(id)
            .bind(&comment.path)
            .bind(comment.line)
            .bind(&comment.body)
            .execute(&mut *write)
            .await?;
        }
        self.touch(&mut write, new.issue).await?;
        write.commit().await?;
        Ok(id)
    }

    /// The reviews of a pull request, oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn reviews(&self, issue: i64) -> Result<Vec<Review>, StoreError> {
        let found = sqlx::query(
            "SELECT v.id AS id, v.author_id AS author_id, u.name AS author, v.state AS state,
                 v.body AS body, v.commit_sha AS commit_sha, v.comments AS comments,
                 v.created_at AS created_at
             FROM forge_reviews v JOIN forge_users u ON u.id = v.author_id
             WHERE v.issue_id = $1 ORDER BY v.id",
        )
        .bind(issue)
        .fetch_all(&self.store.pool)
        .await?;
        Ok(found.iter().map(review).collect::<Result<_, _>>()?)
    }

    /// The remarks of a review, in the order in which they were made.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn review_comments(&self, review: i64) -> Result<Vec<KeptReviewComment>, StoreError> {
        let found = sqlx::query(
            "SELECT id, path, line, body FROM forge_review_comments WHERE review_id = $1 ORDER BY id",
        )
        .bind(review)
        .fetch_all(&self.store.pool)
        .await?;
        Ok(found.iter().map(kept_comment).collect::<Result<_, _>>()?)
    }
}

fn kept_comment(row: &AnyRow) -> Result<KeptReviewComment, sqlx::Error> {
    Ok(KeptReviewComment {
        id: row.try_get("id")?,
        comment: ReviewComment {
            path: row.try_get("path")?,
            line: row.try_get("line")?,
            body: row.try_get("body")?,
        },
    })
}
