//! What can go wrong with the store.

use std::path::PathBuf;

use timmy_core::Code;
use timmy_core::Coded;
use timmy_core::Event;
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
    /// A statement failed. A defect, or a damaged database. The caller stops; nothing was
    /// half-written.
    #[error("the database refused a statement")]
    Statement(#[source] sqlx::Error),
    /// The server cannot be reached any more, or does not take work just now. It passes: the same
    /// call may be made again, over a new connection. Nothing was half-written.
    #[error("the database is away")]
    Away(#[source] sqlx::Error),
    /// Another process holds the database longer than anybody waits for it. It passes.
    #[error("the database is busy")]
    Busy(#[source] sqlx::Error),
    /// The disk of the database is full, or the server has run out of something. It passes when the
    /// operator makes room. Nothing was half-written.
    #[error("the database has no room left")]
    Full(#[source] sqlx::Error),
    /// The server went away while it was asked to make a change final, and did not come back in
    /// time: whether the event is in the log is not known. [`crate::EventLog::confirm`] finds out.
    #[error("it is not known whether the last event was kept")]
    Unconfirmed {
        /// The event as it stands in the log, if it does.
        event: Box<Event>,
        /// Why it is not known.
        source: sqlx::Error,
    },
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

impl StoreError {
    /// Whether it goes away without timmy being changed: the same call may be made again later.
    #[must_use]
    pub fn passes(&self) -> bool {
        match self {
            Self::Away(_) | Self::Busy(_) | Self::Full(_) | Self::Unconfirmed { .. } => true,
            Self::Open { .. }
            | Self::Root { .. }
            | Self::Newer { .. }
            | Self::Migrate(_)
            | Self::Statement(_)
            | Self::Unreadable { .. } => false,
        }
    }
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
                .fix("check the database with its own tools; restore it from a copy if it is damaged"),
            Self::Away(source) => Problem::new(Code::new(212), ExitStatus::Unavailable, what)
                .at(source.to_string())
                .fix("see that the server runs and can be reached; timmy goes on when it answers"),
            Self::Busy(source) => Problem::new(Code::new(213), ExitStatus::Unavailable, what)
                .at(source.to_string())
                .fix("end the program that holds the database, such as an open sqlite3 or psql"),
            Self::Full(source) => Problem::new(Code::new(214), ExitStatus::Unavailable, what)
                .at(source.to_string())
                .fix("make room on the disk of the database; timmy goes on by itself then"),
            Self::Unconfirmed { event, source } => {
                Problem::new(Code::new(215), ExitStatus::Unavailable, what)
                    .at(format!("event {}: {source}", event.seq))
                    .fix("see that the server runs; `timmy events` tells whether it was kept")
            }
            Self::Unreadable { .. } => Problem::new(Code::new(206), ExitStatus::Data, what)
                .fix("the database was changed by another program; restore it from a copy"),
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match Kind::of(&error) {
            Kind::Away => Self::Away(error),
            Kind::Busy => Self::Busy(error),
            Kind::Full => Self::Full(error),
            Kind::Other => Self::Statement(error),
        }
    }
}

/// What an error of the driver means for whoever waits.
enum Kind {
    Away,
    Busy,
    Full,
    Other,
}

impl Kind {
    fn of(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Io(error) if error.kind() == std::io::ErrorKind::StorageFull => Self::Full,
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Away,
            sqlx::Error::Database(error) => {
                error.code().map_or(Self::Other, |code| Self::code(&code))
            }
            _ => Self::Other,
        }
    }

    /// A code of `SQLite` (a number, its low byte the primary one, <https://sqlite.org/rescode.html>)
    /// or of PostgreSQL (five characters, its appendix A).
    fn code(code: &str) -> Self {
        const SQLITE_BUSY: u32 = 5;
        const SQLITE_LOCKED: u32 = 6;
        const SQLITE_FULL: u32 = 13;
        if code.len() < 5 || !code.is_ascii() {
            let primary = code.parse::<u32>().ok().map(|code| code & 0xff);
            return match primary {
                Some(SQLITE_BUSY | SQLITE_LOCKED) => Self::Busy,
                Some(SQLITE_FULL) => Self::Full,
                _ => Self::Other,
            };
        }
        match (&code[..2], code) {
            // Serialization failures and deadlocks; a lock that was waited for too long.
            ("40", _) | (_, "55P03") => Self::Busy,
            ("53", "53300") => Self::Away,
            ("53", _) => Self::Full,
            // Connection exceptions; the server shuts down, crashed or starts up.
            ("08", _) | (_, "57P01" | "57P02" | "57P03" | "57P05") => Self::Away,
            _ => Self::Other,
        }
    }
}
