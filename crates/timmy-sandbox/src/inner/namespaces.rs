//! The step into bubblewrap.

use std::convert::Infallible;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::io::Seek;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::fs::MemfdFlags;
use rustix::io::FdFlags;

use crate::agent::Identity;
use crate::inner::Control;
use crate::inner::Failure;
use crate::plan::Argument;
use crate::plan::Namespaces;
use crate::wire::encode;

/// Becomes bubblewrap. Its options go through a descriptor, so that nothing in them can be taken
/// for another option or be seen in a list of processes.
pub(super) fn become_bubblewrap(
    namespaces: &Namespaces,
    identity: Option<Identity>,
    control: &Control,
) -> Result<Infallible, Failure> {
    let prepared = (|| -> io::Result<(OwnedFd, Vec<OwnedFd>)> {
        let mut data = Vec::new();
        let mut options = Vec::new();
        for argument in &namespaces.arguments {
            options.extend_from_slice(text_of(argument, &mut data)?.as_bytes());
            options.push(0);
        }
        rustix::stdio::dup2_stdin(readable(&encode(&namespaces.plan))?)?;
        rustix::io::fcntl_setfd(control, FdFlags::empty())?;
        Ok((readable(&options)?, data))
    })();
    let (options, _data) = prepared.map_err(|e| Failure::step("hand options to bwrap", e))?;
    if let Some(identity) = identity {
        identity
            .drop_to()
            .map_err(|error| Failure::step("become the agent's user", error))?;
    }
    let error = Command::new(&namespaces.program)
        .arg("--args")
        .arg(options.as_raw_fd().to_string())
        .arg("--")
        .args(&namespaces.inner)
        .env_clear()
        .current_dir("/")
        .exec();
    Err(Failure::step("start bwrap", error))
}

fn text_of(argument: &Argument, data: &mut Vec<OwnedFd>) -> io::Result<OsString> {
    match argument {
        Argument::Text(text) => Ok(text.clone()),
        Argument::Data(contents) => {
            let file = readable(&contents.0)?;
            let number = file.as_raw_fd().to_string();
            data.push(file);
            Ok(number.into())
        }
    }
}

/// A descriptor that survives execution and from which these bytes can be read.
pub(super) fn readable(contents: &[u8]) -> io::Result<OwnedFd> {
    let mut file = File::from(rustix::fs::memfd_create("timmy", MemfdFlags::empty())?);
    file.write_all(contents)?;
    file.rewind()?;
    Ok(file.into())
}
