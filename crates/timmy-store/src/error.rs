//! What can go wrong with the store.

use std::path::PathBuf;

use timmy_core::Code;
use timmy_core::Coded;
use timmy_core::ExitStatus;
use timmy_core::Problem;

/// The store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database file or server cannot be opened. The operator mends the path, the rights or
    /// the address.
    #[error("the database cannot be opened")]
    Open {
        /// The file, or the server without its password.
        place: String,
        /// What the driver or the system said.
        source: sqlx::Error,
    },
    /// The private root cannot be made or is open to others. The operator mends its rights.
    #[error("the private root cannot be used: {reason}")]
    Root {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The database was written by a newer timmy. The operator updates the program.
    #[error(
        "the database was written by a newer timmy (schema {found}, this program knows {known})"
    )]
    Newer {
        /// The newest migration in the database.
        found: i64,
        /// The newest migration this program has.
        known: i64,
    },
    /// A migration failed and was rolled back. A defect, or a database changed by hand.
    #[error("the database could not be brought up to date")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    /// A statement failed: a full disk, a lost server. The caller stops; nothing was half-written.
    #[error("the database refused a statement")]
    Statement(#[from] sqlx::Error),
    /// A stored row does not have the form this program expects. A defect, or a changed database.
    #[error("row {row} of {table} cannot be read: {reason}")]
    Unreadable {
        /// The table.
        table: &'static str,
        /// The row's key.
        row: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Coded for StoreError {
    fn problem(&self) -> Problem {
        let what = self.to_string();
        match self {
            Self::Open { place, source } => {
                Problem::new(Code::new(201), ExitStatus::Unavailable, what)
                    .at(format!("{place}: {source}"))
                    .fix(
                        "check that the directory exists, is yours and has room, or set TIMMY_HOME",
                    )
            }
            Self::Root { path, .. } => Problem::new(Code::new(202), ExitStatus::Refused, what)
                .at(path.display().to_string())
                .fix("chmod 700 it if it is yours, or set TIMMY_HOME to a directory nobody else can enter"),
            Self::Newer { .. } => Problem::new(Code::new(203), ExitStatus::Refused, what)
                .fix("update timmy, or point TIMMY_HOME at another directory"),
            Self::Migrate(source) => Problem::new(Code::new(204), ExitStatus::Internal, what)
                .at(source.to_string())
                .fix("restore the database from a copy; nothing was changed"),
            Self::Statement(source) => Problem::new(Code::new(205), ExitStatus::Internal, what)
                .at(source.to_string())
                .fix("check free disk space and that the database server answers, then try again"),
            Self::Unreadable { .. } => Problem::new(Code::new(206), ExitStatus::Data, what)
                .fix("the database was changed by another program; restore it from a copy"),
        }
    }
}
