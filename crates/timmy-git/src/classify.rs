//! What a failed conversation with a server means. git tells it only in words.

use crate::error::GitError;
use crate::program::Output;
use crate::remote::Remote;

/// Parts of messages (git 2.30 to 2.47 and curl, in the C locale), each with what it means.
const MEANINGS: [(&str, Meaning); 22] = [
    ("Authentication failed", Meaning::Unauthorized),
    ("could not read Username", Meaning::Unauthorized),
    ("could not read Password", Meaning::Unauthorized),
    ("returned error: 401", Meaning::Unauthorized),
    ("returned error: 403", Meaning::Forbidden),
    ("returned error: 404", Meaning::NotFound),
    ("couldn't find remote ref", Meaning::NotFound),
    ("does not appear to be a git repository", Meaning::NotFound),
    ("not our ref", Meaning::NotFound),
    ("does not exist", Meaning::NotFound),
    ("fsck error", Meaning::Unsafe),
    ("Could not resolve host", Meaning::Unreached),
    ("Failed to connect", Meaning::Unreached),
    ("Couldn't connect", Meaning::Unreached),
    ("Connection refused", Meaning::Unreached),
    ("SSL", Meaning::Unreached),
    (
        "unable to update url base from redirection",
        Meaning::Unreached,
    ),
    ("returned error: 3", Meaning::Unreached),
    ("unable to access", Meaning::Broken),
    ("RPC failed", Meaning::Broken),
    ("hung up", Meaning::Broken),
    ("early EOF", Meaning::Broken),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Unauthorized,
    Forbidden,
    NotFound,
    Unsafe,
    /// Nothing was sent that could change anything.
    Unreached,
    /// It broke somewhere on the way.
    Broken,
}

fn meaning(said: &str) -> Option<Meaning> {
    if said.contains("repository '") && said.contains("' not found") {
        return Some(Meaning::NotFound);
    }
    let found = MEANINGS.iter().find(|(part, _)| said.contains(part));
    found.map(|(_, meaning)| *meaning)
}

/// A fetch or a listing that failed.
pub(crate) fn reading_failure(output: &Output, subcommand: &str, remote: &Remote) -> GitError {
    match meaning(&output.stderr) {
        Some(Meaning::Broken | Meaning::Unreached) => GitError::Network {
            url: remote.url.to_string(),
            detail: output.stderr.clone(),
        },
        Some(meaning) => definite(meaning, output, remote),
        None => output.failure(subcommand),
    }
}

/// A push that failed before the server said a word about any ref.
pub(crate) fn push_failure(output: &Output, remote: &Remote) -> GitError {
    match meaning(&output.stderr) {
        Some(Meaning::Unreached) => GitError::Network {
            url: remote.url.to_string(),
            detail: output.stderr.clone(),
        },
        Some(Meaning::Broken) | None => GitError::UnknownOutcome {
            url: remote.url.to_string(),
            detail: output.stderr.clone(),
        },
        Some(meaning) => definite(meaning, output, remote),
    }
}

fn definite(meaning: Meaning, output: &Output, remote: &Remote) -> GitError {
    let url = remote.url.to_string();
    let detail = output.stderr.clone();
    match meaning {
        Meaning::Unauthorized => GitError::Unauthorized { url },
        Meaning::Forbidden => GitError::Forbidden { url, detail },
        Meaning::NotFound => GitError::NotFound {
            what: format!("{url} or a ref in it"),
        },
        Meaning::Unsafe => GitError::UnsafeObjects { detail },
        Meaning::Unreached | Meaning::Broken => GitError::Network { url, detail },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_git_have_a_meaning() {
        let cases = [
            (
                "fatal: could not read Username for 'http://h': terminal prompts disabled",
                Meaning::Unauthorized,
            ),
            (
                "fatal: unable to access 'http://h/o/r/': The requested URL returned error: 403",
                Meaning::Forbidden,
            ),
            (
                "fatal: repository 'http://h/o/r/' not found",
                Meaning::NotFound,
            ),
            (
                "fatal: unable to access 'http://h/': Failed to connect to h port 1: Connection refused",
                Meaning::Unreached,
            ),
            (
                "error: RPC failed; curl 52 Empty reply from server\nfatal: the remote end hung up",
                Meaning::Broken,
            ),
            (
                "fatal: unable to access 'http://h/o/r/': The requested URL returned error: 503",
                Meaning::Broken,
            ),
        ];
        for (said, expected) in cases {
            assert_eq!(Some(expected), meaning(said), "{said}");
        }
        assert_eq!(None, meaning("fatal: something else"));
    }
}
