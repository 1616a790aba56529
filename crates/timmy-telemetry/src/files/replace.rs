//! A file that is replaced as a whole.

use std::fs::File;
use std::io;
use std::io::Write;
use std::path::Path;

use serde::Serialize;

/// Replaces a file by a line of JSON: whoever reads sees the old one or the new one, also after the
/// machine lost its power. It is its owner's alone.
pub(crate) fn replace(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let mut draft = tempfile::Builder::new()
        .prefix(&format!(".{name}-"))
        .tempfile_in(directory)?;
    serde_json::to_writer(&mut draft, value)?;
    draft.write_all(b"\n")?;
    draft.as_file().sync_all()?;
    draft.persist(path).map_err(|error| error.error)?;
    File::open(directory)?.sync_all()
}
