//! Why tokens were not exchanged.

use std::path::PathBuf;

use jiff::Timestamp;
use timmy_core::Code;
use timmy_core::Coded;
use timmy_core::ExitStatus;
use timmy_core::Problem;

/// Tokens that were not exchanged. None of these texts holds a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Another program is at it. It passes.
    #[error("somebody else holds the login {login}")]
    Held {
        /// The login.
        login: String,
        /// The lock.
        lock: PathBuf,
    },
    /// There is no such login. The caller names another.
    #[error("there is no login {0}")]
    Unknown(String),
    /// Only a person can mend it, by logging in again.
    #[error("the login {login} needs a person: {reason}")]
    Dead {
        /// The login.
        login: String,
        /// Why.
        reason: String,
        /// What a person does.
        fix: String,
    },
    /// The portal was asked and nobody knows what it answered. It is not asked again while the key lives.
    #[error("whether the tokens of {login} were exchanged is not known: {reason}")]
    Uncertain {
        /// The login.
        login: String,
        /// What happened.
        reason: String,
        /// When it will be tried again, because then nothing is left to lose.
        again: Option<Timestamp>,
    },
    /// The portal said that the login is over. A person logs in again.
    #[error("the portal ended the login {login}: {reason}")]
    Ended {
        /// The login.
        login: String,
        /// What it said.
        reason: String,
        /// Copies of the files as they were.
        copies: Vec<PathBuf>,
    },
    /// The file names a portal that tokens are not sent to. The operator looks who wrote that.
    #[error("the tokens of {login} are not sent to {portal}")]
    Foreign {
        /// The login.
        login: String,
        /// The portal.
        portal: String,
    },
    /// The file is another user's, or not to be written by a program. Nobody was asked.
    #[error("the file of {login} is not written: {reason}")]
    NotWritten {
        /// The login.
        login: String,
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The portal answered, and a file could not be changed accordingly. A person does what `fix` says.
    #[error("what the portal answered for {login} is not in its file: {reason}")]
    NotKept {
        /// The login.
        login: String,
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
        /// What a person does, with the place of new tokens.
        fix: String,
    },
    /// The new tokens are there and could not be kept anywhere. A person logs in again.
    #[error("the new tokens of {login} could not be kept: {reason}")]
    Lost {
        /// The login.
        login: String,
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The portal was not reached, or did not take the request. Nothing is spent; it is tried again.
    #[error("the portal of {login} does not help: {reason}")]
    Away {
        /// The login.
        login: String,
        /// What happened.
        reason: String,
    },
}

impl Coded for AuthError {
    fn problem(&self) -> Problem {
        let problem = |code, exit| Problem::new(code, exit, self.to_string());
        match self {
            Self::Held { lock, .. } => problem(Code::new(1040), ExitStatus::Later)
                .at(lock.display().to_string())
                .fix("try again; `fuser` tells which process holds the lock"),
            Self::Unknown(_) => problem(Code::new(1041), ExitStatus::NotFound)
                .fix("`timmy auth status` lists the logins there are"),
            Self::Dead { fix, .. } => {
                problem(Code::new(1042), ExitStatus::Permission).fix(fix.clone())
            }
            Self::Uncertain { again, .. } => problem(Code::new(1043), ExitStatus::Later)
                .fix("let the program that owns the login use it; if it asks for a login, log in")
                .until(*again),
            Self::Ended { copies, .. } => {
                let kept = copies.iter().map(|copy| copy.display().to_string());
                problem(Code::new(1044), ExitStatus::Permission)
                    .at(kept.collect::<Vec<_>>().join(", "))
                    .fix("log in again (`hermes auth add nous`); the copies are the files as they were")
            }
            Self::Foreign { .. } => problem(Code::new(1045), ExitStatus::Refused).fix(
                "look who changed the file; log in again, or name the host in [[auth.provider]]",
            ),
            Self::NotWritten { path, .. } => problem(Code::new(1046), ExitStatus::Refused)
                .at(path.display().to_string())
                .fix("run timmy as the user whose file it is, and look whether the disk is full"),
            Self::NotKept { path, fix, .. } => problem(Code::new(1049), ExitStatus::Internal)
                .at(path.display().to_string())
                .fix(fix.clone()),
            Self::Lost { path, .. } => problem(Code::new(1047), ExitStatus::Internal)
                .at(path.display().to_string())
                .fix("mend the disk, then log in again"),
            Self::Away { .. } => problem(Code::new(1048), ExitStatus::Unavailable)
                .fix("see that the portal can be reached, and try again"),
        }
    }
}
