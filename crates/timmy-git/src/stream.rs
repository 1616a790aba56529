//! Reading what a program prints, bounded in size and in silence.

use std::io;
use std::time::Duration;

use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;

use crate::error::GitError;

const PIECE: usize = 16 << 10;
/// Enough for every message worth showing; progress meters are far longer.
const ERROR_OUTPUT_KEPT: usize = 64 << 10;

/// What happens to output above the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overflow {
    /// It is an error.
    Refuse,
    /// The rest is not read.
    Cut,
}

#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// The longest silence.
    pub(crate) idle: Duration,
    /// The most bytes of standard output.
    pub(crate) output: usize,
    pub(crate) overflow: Overflow,
}

#[derive(Debug, Default)]
pub(crate) struct Drained {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    pub(crate) truncated: bool,
}

/// Why reading stopped early.
#[derive(Debug)]
pub(crate) enum Stop {
    Idle,
    TooLarge,
    Broken(io::Error),
}

impl Stop {
    pub(crate) fn into_error(self, subcommand: &str, limits: &Limits) -> GitError {
        match self {
            Self::Idle => GitError::Stalled {
                command: subcommand.to_owned(),
                seconds: limits.idle.as_secs(),
            },
            Self::TooLarge => GitError::TooLarge {
                what: format!("the output of git {subcommand}"),
                limit: limits.output as u64,
            },
            Self::Broken(source) => GitError::Io {
                action: "read the output of",
                path: subcommand.into(),
                source,
            },
        }
    }
}

/// Reads both streams to their ends.
pub(crate) async fn drain(
    mut stdout: impl AsyncRead + Unpin,
    mut stderr: impl AsyncRead + Unpin,
    limits: &Limits,
) -> Result<Drained, Stop> {
    let mut drained = Drained::default();
    let (mut out_open, mut error_open) = (true, true);
    let (mut out_piece, mut error_piece) = (vec![0; PIECE], vec![0; PIECE]);
    while out_open || error_open {
        tokio::select! {
            read = stdout.read(&mut out_piece), if out_open => {
                let length = read.map_err(Stop::Broken)?;
                out_open = length > 0;
                drained.stdout.extend_from_slice(&out_piece[..length]);
            }
            read = stderr.read(&mut error_piece), if error_open => {
                let length = read.map_err(Stop::Broken)?;
                error_open = length > 0;
                keep_tail(&mut drained.stderr, &error_piece[..length]);
            }
            () = tokio::time::sleep(limits.idle) => return Err(Stop::Idle),
        }
        if drained.stdout.len() > limits.output {
            return drained.overflown(limits);
        }
    }
    Ok(drained)
}

impl Drained {
    fn overflown(mut self, limits: &Limits) -> Result<Self, Stop> {
        match limits.overflow {
            Overflow::Refuse => Err(Stop::TooLarge),
            Overflow::Cut => {
                self.stdout.truncate(limits.output);
                self.truncated = true;
                Ok(self)
            }
        }
    }
}

fn keep_tail(kept: &mut Vec<u8>, piece: &[u8]) {
    kept.extend_from_slice(piece);
    if kept.len() > 2 * ERROR_OUTPUT_KEPT {
        kept.drain(..kept.len() - ERROR_OUTPUT_KEPT);
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    const IDLE: Duration = Duration::from_secs(120);

    fn limits(overflow: Overflow) -> Limits {
        Limits {
            idle: IDLE,
            output: 1000,
            overflow,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_clone_that_moves_is_not_ended() {
        let (mut progress, stderr) = tokio::io::duplex(64);
        let slow = async move {
            for _ in 0..100 {
                tokio::time::sleep(IDLE - Duration::from_secs(1)).await;
                progress.write_all(b"Receiving objects\r").await.unwrap();
            }
        };
        let limits = limits(Overflow::Refuse);
        let started = tokio::time::Instant::now();
        let (drained, ()) = tokio::join!(drain(tokio::io::empty(), stderr, &limits), slow);
        assert_eq!(1800, drained.unwrap().stderr.len());
        assert!(started.elapsed() > 90 * IDLE);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_it() {
        let (open, stderr) = tokio::io::duplex(64);
        let stopped = drain(tokio::io::empty(), stderr, &limits(Overflow::Refuse)).await;
        assert!(matches!(stopped, Err(Stop::Idle)));
        drop(open);
    }

    #[tokio::test]
    async fn output_is_bounded() {
        let endless = || tokio::io::repeat(b'y');
        let refused = drain(endless(), tokio::io::empty(), &limits(Overflow::Refuse)).await;
        assert!(matches!(refused, Err(Stop::TooLarge)));
        let cut = drain(endless(), tokio::io::empty(), &limits(Overflow::Cut))
            .await
            .unwrap();
        assert_eq!((1000, true), (cut.stdout.len(), cut.truncated));
    }
}
