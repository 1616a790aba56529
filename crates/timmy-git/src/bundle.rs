//! Taking commits over from a bundle that somebody else wrote.
//!
//! `git fetch` from a bundle ran none of git's object checks when this was measured (git 2.39: a
//! symbolic link called `.gitmodules` was accepted), so the pack inside goes to `git index-pack
//! --strict` instead.

use std::path::Path;

use timmy_core::ObjectName;

use crate::bare::BareRepository;
use crate::error::GitError;
use crate::names::RefName;
use crate::program::Invocation;

const SIGNATURE: &[u8] = b"# v2 git bundle\n";
const LONGEST_HEADER: usize = 64 << 10;

impl BareRepository {
    /// Takes the commit that `source` names in the bundle over, and points `target` at it.
    ///
    /// # Errors
    /// [`GitError::UnsafeObjects`] when an object is broken, unsafe or missing,
    /// [`GitError::NotFound`] when the bundle has no such ref, [`GitError::Io`] for the file.
    pub async fn fetch_bundle(
        &self,
        bundle: &Path,
        source: &RefName,
        target: &RefName,
    ) -> Result<ObjectName, GitError> {
        let bytes = tokio::fs::read(bundle)
            .await
            .map_err(GitError::io("read", bundle))?;
        self.take_bundle(&bytes, source, target).await
    }

    pub(crate) async fn take_bundle(
        &self,
        bytes: &[u8],
        source: &RefName,
        target: &RefName,
    ) -> Result<ObjectName, GitError> {
        let header = parse_header(bytes)
            .ok_or_else(|| GitError::unreadable("bundle", "it is not a version 2 bundle"))?;
        let tip = header
            .refs
            .iter()
            .find(|(name, _)| name == source.as_str())
            .map(|(_, object)| object.clone())
            .ok_or_else(|| GitError::NotFound {
                what: format!("{source} in the bundle"),
            })?;
        let arguments = ["index-pack", "--stdin", "--fix-thin", "--strict"];
        let pack = &bytes[header.pack_start..];
        let indexed = self.run(Invocation::new(arguments).input(pack)).await?;
        if !indexed.success() {
            return Err(unsafe_objects(indexed.stderr));
        }
        self.check_connected(&tip).await?;
        self.set_ref(target, &tip).await?;
        Ok(tip)
    }

    /// Whether everything that a commit leads to is here, as far as no ref vouches for it already.
    async fn check_connected(&self, tip: &ObjectName) -> Result<(), GitError> {
        let arguments = [
            "rev-list",
            "--objects",
            "--quiet",
            tip.as_str(),
            "--not",
            "--all",
            "--",
        ];
        let checked = self.run(Invocation::new(arguments)).await?;
        if checked.success() {
            return Ok(());
        }
        Err(unsafe_objects(checked.stderr))
    }
}

fn unsafe_objects(detail: String) -> GitError {
    GitError::UnsafeObjects { detail }
}

#[derive(Debug, PartialEq, Eq)]
struct Header {
    refs: Vec<(String, ObjectName)>,
    pack_start: usize,
}

/// `-object comment` lines are what the bundle builds on, `object name` lines what it brings, an
/// empty line ends them (gitformat-bundle).
fn parse_header(bytes: &[u8]) -> Option<Header> {
    let rest = bytes.strip_prefix(SIGNATURE)?;
    let window = &rest[..rest.len().min(LONGEST_HEADER)];
    let length = match window.first()? {
        b'\n' => 0,
        _ => window.windows(2).position(|pair| pair == b"\n\n")? + 1,
    };
    let lines = std::str::from_utf8(&window[..length]).ok()?;
    let mut refs = Vec::new();
    for line in lines.lines().filter(|line| !line.starts_with('-')) {
        let (object, name) = line.split_once(' ')?;
        refs.push((name.to_owned(), object.parse().ok()?));
    }
    Some(Header {
        refs,
        pack_start: SIGNATURE.len() + length + 1,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_header_is_read() {
        let (one, two) = ("1".repeat(40), "2".repeat(40));
        let bundle = format!("# v2 git bundle\n-{one} base\n{two} refs/heads/x\n\nPACKdata");
        let header = parse_header(bundle.as_bytes()).unwrap();
        assert_eq!(
            vec![("refs/heads/x".to_owned(), two.parse().unwrap())],
            header.refs
        );
        assert_eq!(b"PACKdata", &bundle.as_bytes()[header.pack_start..]);
    }

    proptest! {
        #[test]
        fn any_bundle_is_read_without_panic(bytes in any::<Vec<u8>>()) {
            let _ = parse_header(&bytes);
            let signed = [SIGNATURE, &bytes].concat();
            if let Some(header) = parse_header(&signed) {
                prop_assert!(header.pack_start <= signed.len());
            }
        }
    }
}
