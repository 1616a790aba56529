//! What lies between two commits.

use std::collections::HashMap;

use timmy_core::ObjectName;

use crate::bare::BareRepository;
use crate::error::GitError;
use crate::program::Invocation;
use crate::stream::Overflow;

/// One path that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// The path in the newer commit (in the older one for a deletion), lossily decoded.
    pub path: String,
    /// The same, byte for byte.
    pub raw_path: Vec<u8>,
    /// What became of it.
    pub kind: ChangeKind,
    /// The mode before, 0 when there was nothing: 0o100644, 0o100755, 0o120000 a symbolic link,
    /// 0o160000 a submodule.
    pub old_mode: u32,
    /// The mode after, 0 when there is nothing.
    pub new_mode: u32,
    /// The size of the newer content; 0 for a deletion or a submodule.
    pub bytes: u64,
}

/// A difference as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// The patch. An added line starts with `>`, which no line of a header does: a line `++ x` of a
    /// file cannot be taken for the name of another file.
    pub text: String,
    /// Whether all of it is here.
    pub complete: bool,
}

/// What became of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// Its content or its mode differs.
    Modified,
    /// It is gone.
    Deleted,
    /// It was called something else, lossily decoded.
    Renamed {
        /// The old path.
        from: String,
    },
    /// It became a file, a link or a submodule and was another of these.
    TypeChanged,
}

impl BareRepository {
    /// Every path that differs between two commits.
    ///
    /// # Errors
    /// [`GitError::Failed`] when a commit is not here.
    pub async fn changes(
        &self,
        base: &ObjectName,
        head: &ObjectName,
    ) -> Result<Vec<FileChange>, GitError> {
        let arguments = [
            "diff-tree",
            "-r",
            "-z",
            "--raw",
            "--no-abbrev",
            "-M",
            "-l2000",
            base.as_str(),
            head.as_str(),
            "--",
        ];
        let output = self.succeed(Invocation::new(arguments)).await?;
        let raw = parse_raw_diff(&output.stdout)?;
        let sizes = self.sizes(&raw).await?;
        let sized = |(mut change, object): (FileChange, String)| {
            change.bytes = sizes.get(&object).copied().unwrap_or(0);
            change
        };
        Ok(raw.into_iter().map(sized).collect())
    }

    async fn sizes(&self, raw: &[(FileChange, String)]) -> Result<HashMap<String, u64>, GitError> {
        let with_content = raw
            .iter()
            .filter(|(change, _)| !matches!(change.new_mode, 0 | SUBMODULE_MODE));
        let input: String = with_content
            .map(|(_, object)| format!("{object}\n"))
            .collect();
        let arguments = ["cat-file", "--batch-check=%(objectname) %(objectsize)"];
        let output = self
            .succeed(Invocation::new(arguments).input(input))
            .await?;
        let text = output.into_text("cat-file")?;
        let parse = |line: &str| {
            let (object, size) = line.split_once(' ')?;
            Some((object.to_owned(), size.parse().ok()?))
        };
        Ok(text.lines().filter_map(parse).collect())
    }

    /// The difference as a patch for reading, cut after `limit` bytes. Lossily decoded; not to be
    /// applied. Every file is text in it, whatever bytes it holds and whatever the attributes in
    /// the repository say.
    ///
    /// # Errors
    /// [`GitError::Failed`] when a commit is not here.
    pub async fn patch(
        &self,
        base: &ObjectName,
        head: &ObjectName,
        limit: usize,
    ) -> Result<Patch, GitError> {
        let arguments = [
            "diff",
            "--text",
            "--output-indicator-new=>",
            "--no-color",
            "--no-ext-diff",
            "--no-textconv",
            "-M",
            "--end-of-options",
            base.as_str(),
            head.as_str(),
            "--",
        ];
        let invocation = Invocation::new(arguments).limit(limit, Overflow::Cut);
        let output = self.succeed(invocation).await?;
        Ok(Patch {
            text: String::from_utf8_lossy(&output.stdout).into_owned(),
            complete: !output.truncated,
        })
    }

    /// The content of a file in a commit; `None` when there is no such file. A symbolic link's
    /// content is its target.
    ///
    /// # Errors
    /// [`GitError::TooLarge`] above `limit` bytes, [`GitError::Failed`] when the commit is not here.
    pub async fn blob(
        &self,
        commit: &ObjectName,
        path: &str,
        limit: u64,
    ) -> Result<Option<Vec<u8>>, GitError> {
        if path.is_empty() || path.ends_with('/') || path.contains('\0') {
            return Ok(None);
        }
        let arguments = [
            "ls-tree",
            "-z",
            "-l",
            "--full-tree",
            "--",
            commit.as_str(),
            path,
        ];
        let output = self.succeed(Invocation::new(arguments)).await?;
        let Some((object, size)) = parse_tree_entry(&output.stdout, path) else {
            return Ok(None);
        };
        if size > limit {
            return Err(GitError::TooLarge {
                what: path.to_owned(),
                limit,
            });
        }
        let capacity = usize::try_from(limit).unwrap_or(usize::MAX);
        let read = Invocation::new(["cat-file", "blob", object.as_str()])
            .limit(capacity, Overflow::Refuse);
        Ok(Some(self.succeed(read).await?.stdout))
    }
}

const SUBMODULE_MODE: u32 = 0o160_000;

/// `mode SP type SP object SP+ size TAB path NUL`.
fn parse_tree_entry(bytes: &[u8], path: &str) -> Option<(ObjectName, u64)> {
    let mut entries = bytes.split(|byte| *byte == 0);
    let entry = std::str::from_utf8(entries.next()?).ok()?;
    let (facts, found) = entry.split_once('\t')?;
    let mut facts = facts.split_ascii_whitespace().skip(1);
    let (kind, object, size) = (facts.next()?, facts.next()?, facts.next()?);
    if found != path || kind != "blob" {
        return None;
    }
    Some((object.parse().ok()?, size.parse().ok()?))
}

/// `:mode mode object object status NUL path NUL [path NUL]`. Gives each change with its new object.
fn parse_raw_diff(bytes: &[u8]) -> Result<Vec<(FileChange, String)>, GitError> {
    let mut fields = bytes.split(|byte| *byte == 0);
    let mut changes = Vec::new();
    while let Some(facts) = fields.next() {
        if facts.is_empty() {
            continue;
        }
        let facts = String::from_utf8_lossy(facts);
        let change = parse_raw_change(&facts, &mut fields);
        let Some(change) = change else {
            let shown = timmy_core::text::clean_line(&facts);
            return Err(GitError::unreadable("diff-tree", shown));
        };
        changes.push(change);
    }
    Ok(changes)
}

fn parse_raw_change<'a>(
    facts: &str,
    paths: &mut impl Iterator<Item = &'a [u8]>,
) -> Option<(FileChange, String)> {
    let mut words = facts.strip_prefix(':')?.split(' ');
    let old_mode = u32::from_str_radix(words.next()?, 8).ok()?;
    let new_mode = u32::from_str_radix(words.next()?, 8).ok()?;
    let new_object = words.nth(1)?.to_owned();
    let status = words.next()?;
    let first = paths.next()?;
    let (kind, raw_path) = match status.chars().next()? {
        'A' => (ChangeKind::Added, first),
        'M' => (ChangeKind::Modified, first),
        'D' => (ChangeKind::Deleted, first),
        'T' => (ChangeKind::TypeChanged, first),
        'R' => {
            let from = String::from_utf8_lossy(first).into_owned();
            (ChangeKind::Renamed { from }, paths.next()?)
        }
        _ => return None,
    };
    let change = FileChange {
        path: String::from_utf8_lossy(raw_path).into_owned(),
        raw_path: raw_path.to_vec(),
        kind,
        old_mode,
        new_mode,
        bytes: 0,
    };
    Some((change, new_object))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_difference_is_read_without_panic(bytes in any::<Vec<u8>>()) {
            let _ = parse_raw_diff(&bytes);
            let _ = parse_tree_entry(&bytes, "x");
        }

        #[test]
        fn odd_paths_are_read_exactly(path in "[^\0]{1,20}") {
            let object = "b".repeat(40);
            let text = format!(":000000 100644 {object} {object} A\0{path}\0");
            let read = parse_raw_diff(text.as_bytes()).unwrap();
            prop_assert_eq!(&read[0].0.path, &path);
        }
    }
}
