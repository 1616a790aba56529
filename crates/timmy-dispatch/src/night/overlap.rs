//! Which issues would change the same files.
//!
//! A prediction from what an issue's text names: paths (`src/parser.rs`), file names (`parser.rs`) and
//! directories (`src/parser/`). Two issues collide when one names a file that the other names too,
//! by its whole path or by the end of it, or a directory it is in. An issue that names nothing
//! collides with nothing.

use std::collections::BTreeSet;

/// The most files one issue is taken to name.
const MOST_FILES: usize = 32;
/// The longest path that is looked at, in bytes.
const LONGEST_PATH: usize = 200;
/// The longest ending of a file name, in bytes.
const LONGEST_ENDING: usize = 6;
/// Files that nearly every change touches; they say nothing about a collision.
const COMMON: [&str; 8] = [
    "readme.md",
    "changelog.md",
    "cargo.lock",
    "cargo.toml",
    "package.json",
    "package-lock.json",
    "go.mod",
    "go.sum",
];
/// What looks like a file name and is none.
const NO_FILES: [&str; 6] = ["e.g", "i.e", "etc.", "a.k.a", "vs.", "no."];

/// The paths and file names in a text, in lower case.
#[must_use]
pub fn mentions(text: &str) -> BTreeSet<String> {
    let separates = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/'));
    let mut found = BTreeSet::new();
    for word in text.split(separates) {
        if found.len() == MOST_FILES {
            break;
        }
        let word = word.trim_matches(['.', '-']).trim_start_matches('/');
        // Most words are none; a hundred thousand issues have very many.
        let could_be = word.bytes().any(|byte| matches!(byte, b'.' | b'/'));
        if could_be && word.len() > 2 && word.len() <= LONGEST_PATH && is_path(word) {
            found.insert(word.to_ascii_lowercase());
        }
    }
    found.retain(|path| {
        let name = path.rsplit('/').next().unwrap_or(path);
        !COMMON.contains(&name) && !NO_FILES.contains(&path.as_str())
    });
    found
}

/// Whether a word is a file name with an ending, or a path of at least two plain parts.
fn is_path(word: &str) -> bool {
    let name = word.trim_end_matches('/').rsplit('/').next().unwrap_or("");
    let ending = name.rsplit_once('.');
    let is_file = ending.is_some_and(|(stem, ending)| {
        let letters = ending.chars().any(|c| c.is_ascii_alphabetic());
        let plain = ending.chars().all(|c| c.is_ascii_alphanumeric());
        stem.chars().any(|c| c.is_ascii_alphabetic())
            && letters
            && plain
            && ending.len() <= LONGEST_ENDING
    });
    // A word such as `and/or` is no directory; one that ends with a slash says so itself.
    let is_directory = word.ends_with('/') && word.len() > 3;
    let is_deep = word.matches('/').count() >= 2 && !word.contains("//");
    is_file || is_directory || is_deep
}

/// A file that both sets name, if there is one.
#[must_use]
pub fn collision<'a>(one: &'a BTreeSet<String>, other: &BTreeSet<String>) -> Option<&'a str> {
    one.iter()
        .find(|path| other.iter().any(|second| is_same(path, second)))
        .map(String::as_str)
}

/// Whether two paths are, or may be, the same file, or one is a directory that holds the other.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    one == other || ends(one, other) || ends(other, one) || holds(one, other) || holds(other, one)
}

/// `src/parser.rs` ends with `parser.rs`.
fn ends(path: &str, name: &str) -> bool {
    path.strip_suffix(name)
        .is_some_and(|before| before.ends_with('/'))
}

/// `src/parser/` holds `src/parser/tokens.rs`.
fn holds(directory: &str, path: &str) -> bool {
    directory.ends_with('/') && path.starts_with(directory)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_found_in_prose() {
        let text = "The sum in `src/Amounts.rs` (see lib.rs, e.g. line 3) is wrong and/or slow.\n\
             Also docs/ and a/b/c. Version 1.2.3, README.md and https://example.org are not.";
        let found: Vec<String> = mentions(text).into_iter().collect();
        assert_eq!(
            vec!["a/b/c", "docs/", "example.org", "lib.rs", "src/amounts.rs"],
            found
        );
    }

    #[test]
    fn files_collide_by_path_name_and_directory() {
        let set = |text: &str| mentions(text);
        for (one, other) in [
            ("src/lib.rs", "src/lib.rs"),
            ("src/lib.rs", "lib.rs"),
            ("src/parser/", "src/parser/tokens.rs"),
        ] {
            assert!(collision(&set(one), &set(other)).is_some(), "{one} {other}");
            assert!(collision(&set(other), &set(one)).is_some(), "{other} {one}");
        }
        for (one, other) in [
            ("src/lib.rs", "src/main.rs"),
            ("ab.rs", "b.rs"),
            ("", "a.rs"),
        ] {
            assert_eq!(None, collision(&set(one), &set(other)), "{one} {other}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in ".{0,400}") {
            prop_assert!(mentions(&text).len() <= MOST_FILES);
        }

        #[test]
        fn collisions_are_mutual(one in "[a-c./]{0,30}", other in "[a-c./]{0,30}") {
            let (one, other) = (mentions(&one), mentions(&other));
            prop_assert_eq!(collision(&one, &other).is_some(), collision(&other, &one).is_some());
        }
    }
}
