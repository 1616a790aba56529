//! Starting the command, reaping what it leaves, reporting its end.

use std::convert::Infallible;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustix::event::poll;
use rustix::io::Errno;
use rustix::process::Pid;
use rustix::process::PidfdFlags;
use rustix::process::Resource;
use rustix::process::Signal;
use rustix::process::WaitOptions;
use rustix::process::WaitStatus;

use crate::agent::Identity;
use crate::inner::Control;
use crate::inner::FAILED;
use crate::inner::Failure;
use crate::inner::confine;
use crate::inner::confine::Closing;
use crate::inner::confine::Prepared;
use crate::inner::namespaces::readable;
use crate::inner::processes;
use crate::plan::Reaping;
use crate::plan::Report;
use crate::plan::Supervision;

const NOT_FOUND: i32 = 127;
const NOT_EXECUTABLE: i32 = 126;

/// How often orphans that ended are buried while the command runs. Each one counts as a process.
const BURIAL_INTERVAL: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};

/// The first descriptor that is not a standard stream.
const FIRST_OTHER: i32 = 3;

/// Runs the command to its end or until timmy hangs up, leaves no process, reports, exits.
pub(super) fn supervise(
    supervision: &Supervision,
    cgroups: &[PathBuf],
    identity: Option<Identity>,
    control: &Control,
) -> Result<Infallible, Failure> {
    match supervision.reaping {
        Reaping::Subreaper => rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
            .map_err(|error| Failure::step("become a subreaper", error))?,
        Reaping::Namespace => {}
    }
    let entry = Entry::prepare(supervision, cgroups, identity, control)?;
    let mut command = Command::new(&supervision.argv[0]);
    command
        .args(&supervision.argv[1..])
        .env_clear()
        .envs(
            supervision
                .environment
                .iter()
                .map(|(name, value)| (name, value)),
        )
        .stdin(input(supervision)?);
    // SAFETY: this process has one thread, so what the closure does between fork and exec cannot
    // meet a lock or a heap in the middle of a change.
    unsafe { command.pre_exec(move || entry.enter()) };
    control.send(&Report::Started);
    let end = match command.spawn() {
        Ok(child) => watch(child.id(), control),
        Err(error) => Ok(not_started(supervision, &error)),
    };
    match supervision.reaping {
        Reaping::Namespace => {}
        Reaping::Subreaper => end_everything(),
    }
    if let Some(report) = end? {
        control.send(&report);
    }
    std::process::exit(0)
}

fn input(supervision: &Supervision) -> Result<Stdio, Failure> {
    if supervision.input.0.is_empty() {
        return Ok(Stdio::null());
    }
    readable(&supervision.input.0)
        .map(Stdio::from)
        .map_err(|error| Failure::step("keep the input", error))
}

fn not_started(supervision: &Supervision, error: &io::Error) -> Option<Report> {
    let program = supervision.argv[0].to_string_lossy();
    let (code, reason) = match error.kind() {
        io::ErrorKind::NotFound => (NOT_FOUND, "not found".to_owned()),
        _ => (NOT_EXECUTABLE, error.to_string()),
    };
    let message = format!("{program}: {reason}\n");
    let _ = rustix::io::write(rustix::stdio::stderr(), message.as_bytes());
    Some(Report::Exited(code))
}

/// Everything the command's process does to itself before it becomes the command.
struct Entry {
    cgroups: Vec<PathBuf>,
    identity: Option<Identity>,
    rlimits: Vec<(Resource, u64)>,
    directory: PathBuf,
    prepared: Option<Prepared>,
    control: Control,
}

impl Entry {
    fn prepare(
        supervision: &Supervision,
        cgroups: &[PathBuf],
        identity: Option<Identity>,
        control: &Control,
    ) -> Result<Self, Failure> {
        let uid = identity.map_or_else(|| rustix::process::getuid().as_raw(), |user| user.uid);
        let rlimits = supervision.rlimits.as_ref();
        let control = control
            .0
            .try_clone()
            .map_err(|e| Failure::step("copy a descriptor", e))?;
        Ok(Self {
            cgroups: cgroups.to_vec(),
            identity,
            rlimits: rlimits
                .map(|limits| confine::prepared_rlimits(limits, uid))
                .unwrap_or_default(),
            directory: supervision.directory.clone(),
            prepared: supervision
                .confinement
                .as_ref()
                .map(Prepared::new)
                .transpose()?,
            control: Control(control),
        })
    }

    /// Runs in the process that becomes the command. A step that fails is reported from here and
    /// ends the process: the command is not executed.
    fn enter(&self) -> io::Result<()> {
        let Err(failure) = self.steps() else {
            return Ok(());
        };
        let what = match failure {
            Failure::Step(what) => what,
            Failure::Unreachable(path) => path.display().to_string(),
        };
        self.control.send(&Report::Failed(what));
        exit_now()
    }

    fn steps(&self) -> Result<(), Failure> {
        let step = |what: &'static str| move |error: io::Error| Failure::step(what, error);
        confine::join_cgroups(&self.cgroups).map_err(step("join the cgroup"))?;
        let _ = rustix::process::setsid();
        confine::apply_rlimits(&self.rlimits).map_err(step("set limits"))?;
        if let Some(identity) = self.identity {
            identity
                .drop_to()
                .map_err(step("become the agent's user"))?;
        }
        confine::enter(&self.directory)?;
        rustix::thread::set_no_new_privs(true)
            .map_err(|error| Failure::step("give up new privileges", error))?;
        confine::close_from(FIRST_OTHER, Closing::WhenExecuting).map_err(step("close files"))?;
        match &self.prepared {
            Some(prepared) => prepared.apply(),
            None => Ok(()),
        }
    }
}

/// Waits for the command, burying orphans. `None` when timmy hung up first.
fn watch(child: u32, control: &Control) -> Result<Option<Report>, Failure> {
    let pid =
        Pid::from_raw(child as i32).ok_or(Failure::Step("a process without a number".into()))?;
    let process = rustix::process::pidfd_open(pid, PidfdFlags::empty())
        .map_err(|error| Failure::step("watch the command", error))?;
    loop {
        let mut waited = [
            PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(control.as_fd(), PollFlags::IN),
        ];
        match poll(&mut waited, Some(&BURIAL_INTERVAL)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(Failure::step("wait for the command", error)),
        }
        if !waited[1].revents().is_empty() {
            return Ok(None);
        }
        if let Some(status) = bury(pid) {
            return Ok(Some(report(status)));
        }
    }
}

/// Reaps everything that ended, and tells when the command was among it.
fn bury(command: Pid) -> Option<WaitStatus> {
    let mut found = None;
    while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
        if pid == command {
            found = Some(status);
        }
    }
    found
}

fn report(status: WaitStatus) -> Report {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Report::Exited(code),
        (None, Some(signal)) => Report::Signalled(signal),
        (None, None) => Report::Exited(FAILED),
    }
}

/// Kills what is left until there is nothing: a process that ends gives its children to this one.
fn end_everything() {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some(_)) | Err(Errno::INTR) => continue,
            Ok(None) => {}
            Err(_) => return,
        }
        for child in processes::children_of(own) {
            if let Some(pid) = Pid::from_raw(child) {
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            }
        }
        let _ = rustix::process::wait(WaitOptions::empty());
    }
}

/// Ends the forked process without running anything that belongs to its parent.
fn exit_now() -> ! {
    // SAFETY: takes an integer and does not return.
    unsafe { libc::_exit(FAILED) }
}
