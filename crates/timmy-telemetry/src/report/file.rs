//! Reports in files: written whole or not at all, and never over something else.

use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use super::error::ReportError;
use super::telling::TITLE;

/// What reports, and the drawings beside them, begin with.
const BEGINNINGS: [&str; 4] = [
    "<!-- timmy:report/",
    "<!doctype html>\n<!-- timmy:report/",
    "{\"timmy_report\":",
    "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" ",
];
/// The longest of them, in bytes, and more.
const HEAD: u64 = 64;

/// What may be written over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// Reports, and files with nothing in them.
    Reports,
    /// Any file.
    Anything,
}

/// A file to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Where.
    pub path: PathBuf,
    /// What.
    pub text: String,
}

/// Writes files, all of which are looked at before the first is written.
///
/// # Errors
/// [`ReportError::Foreign`] when something else lies at one of the places, [`ReportError::Write`] when
/// one cannot be written.
pub fn write(files: &[Output], over: Over) -> Result<(), ReportError> {
    for Output { path, .. } in files {
        let unwritable = |error: io::Error| unwritable(path, &error);
        match std::fs::metadata(path) {
            Ok(there) if !there.is_file() => return Err(foreign(path)),
            Ok(_) if over == Over::Anything => {}
            Ok(_) if is_report(path).map_err(unwritable)? => {}
            Ok(_) => return Err(foreign(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(unwritable(error)),
        }
    }
    for Output { path, text } in files {
        replace(path, text).map_err(|error| unwritable(path, &error))?;
    }
    Ok(())
}

fn foreign(path: &Path) -> ReportError {
    ReportError::Foreign {
        path: path.to_owned(),
    }
}

fn unwritable(path: &Path, error: &io::Error) -> ReportError {
    ReportError::Write {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}

fn is_report(path: &Path) -> io::Result<bool> {
    let mut head = Vec::new();
    File::open(path)?.take(HEAD).read_to_end(&mut head)?;
    let title = format!("{TITLE}: ");
    let mut beginnings = BEGINNINGS.into_iter().chain([title.as_str()]);
    Ok(head.is_empty() || beginnings.any(|beginning| head.starts_with(beginning.as_bytes())))
}

/// Puts a file in the place of another one at once: nobody ever reads a half.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    // A link stays one.
    let path = match path.canonicalize() {
        Ok(real) => real,
        Err(_) => path.to_owned(),
    };
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(&path).map_err(|error| error.error)?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use timmy_core::Coded;

    use super::*;

    fn output(path: &Path, text: &str) -> Vec<Output> {
        vec![Output {
            path: path.to_owned(),
            text: text.to_owned(),
        }]
    }

    #[test]
    fn only_reports_are_written_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report.txt");
        write(&output(&path, "Morning report: one\n"), Over::Reports).unwrap();
        write(&output(&path, "{\"timmy_report\":1}"), Over::Reports).unwrap();
        write(&output(&path, "a letter"), Over::Reports).unwrap();
        let refused = write(&output(&path, "Morning report: two"), Over::Reports).unwrap_err();
        assert_eq!("TIMMY-1062", refused.problem().code.to_string());
        assert_eq!("a letter", std::fs::read_to_string(&path).unwrap());
        write(&output(&path, "Morning report: two"), Over::Anything).unwrap();
        assert_eq!(
            "Morning report: two",
            std::fs::read_to_string(&path).unwrap()
        );
        for (place, code) in [("", "TIMMY-1062"), ("missing/report.txt", "TIMMY-1063")] {
            let place = directory.path().join(place);
            let refused = write(&output(&place, "x"), Over::Anything).unwrap_err();
            assert_eq!(
                code,
                refused.problem().code.to_string(),
                "{}",
                place.display()
            );
        }
        assert_eq!(1, std::fs::read_dir(directory.path()).unwrap().count());
    }

    #[test]
    fn nothing_is_written_when_one_of_several_places_is_taken() {
        let directory = tempfile::tempdir().unwrap();
        let (one, other) = (
            directory.path().join("one.md"),
            directory.path().join("one-x.svg"),
        );
        std::fs::write(&other, "a picture of somebody").unwrap();
        let files = [output(&one, "a"), output(&other, "b")].concat();
        write(&files, Over::Reports).unwrap_err();
        assert!(!one.exists());
    }
}
