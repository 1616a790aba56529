//! The process between timmy and a command: applies the policy, starts the command, reports.
//!
//! It is this program again, started with [`INNER_COMMAND`]. It has one thread and does as little
//! as it can: it runs once for every command.

mod confine;
mod landlock;
mod namespaces;
mod processes;
mod reach;
mod seccomp;
mod supervise;

use std::convert::Infallible;
use std::io;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::FileType;
use rustix::stdio::stdin;

use crate::plan::CONTROL;
use crate::plan::Plan;
use crate::plan::Report;
use crate::plan::Step;
use crate::settings::INNER_COMMAND;
use crate::wire::Bytes;
use crate::wire::Malformed;
use crate::wire::decode;
use crate::wire::encode;

/// The exit code of a process that could not do its part. What went wrong is in its report.
const FAILED: i32 = 70;

const LARGEST_PLAN: u64 = 1 << 30;

/// Does the work of the process inside the sandbox and never returns, when that is what this
/// process was started for. Call it first thing in `main`.
pub fn run_inner_helper_if_asked() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == INNER_COMMAND) && arguments.next().is_none() {
        std::process::exit(run());
    }
}

/// Why the policy could not be applied.
#[derive(Debug)]
enum Failure {
    Step(String),
    Unreachable(PathBuf),
}

impl Failure {
    fn step(what: &str, error: impl std::fmt::Display) -> Self {
        Self::Step(format!("{what}: {error}"))
    }
}

impl From<Malformed> for Failure {
    fn from(error: Malformed) -> Self {
        Self::Step(error.to_string())
    }
}

/// Where reports go.
struct Control(OwnedFd);

impl Control {
    /// Takes the descriptor that the reports of this process go to, and closes every other one it
    /// inherited. The outer process finds it as standard input; the supervisor inside bubblewrap
    /// cannot, and gets it as descriptor 3.
    fn take() -> io::Result<Self> {
        let outer =
            FileType::from_raw_mode(rustix::fs::fstat(stdin())?.st_mode) == FileType::Socket;
        if outer {
            confine::close_from(CONTROL, confine::Closing::Now)?;
            return rustix::io::fcntl_dupfd_cloexec(stdin(), CONTROL)
                .map(Self)
                .map_err(Into::into);
        }
        confine::close_from(CONTROL + 1, confine::Closing::Now)?;
        // SAFETY: it is only borrowed to learn whether it is open.
        let inherited = unsafe { BorrowedFd::borrow_raw(CONTROL) };
        rustix::io::fcntl_setfd(inherited, rustix::io::FdFlags::CLOEXEC)?;
        // SAFETY: it is open, and nothing else in this process owns it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(CONTROL) }))
    }

    /// Sends a report. Whether timmy still listens is noticed elsewhere.
    fn send(&self, report: &Report) {
        let framed = encode(&Bytes(encode(report)));
        let mut rest = framed.as_slice();
        while !rest.is_empty() {
            match rustix::io::write(&self.0, rest) {
                Ok(written) => rest = &rest[written..],
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn run() -> i32 {
    let Ok(control) = Control::take() else {
        return FAILED;
    };
    let Err(failure) = follow_plan(&control);
    control.send(&match failure {
        Failure::Step(what) => Report::Failed(what),
        Failure::Unreachable(path) => Report::Unreachable(path),
    });
    FAILED
}

fn follow_plan(control: &Control) -> Result<Infallible, Failure> {
    let plan: Plan = decode(&read_plan()?)?;
    let Plan {
        cgroups,
        identity,
        reach,
        step,
    } = plan;
    match step {
        Step::Bubblewrap(namespaces) => {
            let _ = rustix::process::setsid();
            confine::join_cgroups(&cgroups).map_err(|e| Failure::step("join the cgroup", e))?;
            reach::prepare(identity, &reach)?;
            namespaces::become_bubblewrap(&namespaces, identity, control)
        }
        Step::Supervise(supervision) => {
            let _ = rustix::process::setsid();
            reach::prepare(identity, &reach)?;
            supervise::supervise(&supervision, &cgroups, identity, control)
        }
    }
}

fn read_plan() -> Result<Vec<u8>, Failure> {
    let mut length = [0_u8; 8];
    read_exactly(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > LARGEST_PLAN {
        return Err(Malformed("it is too long").into());
    }
    let mut plan = vec![0; length as usize];
    read_exactly(&mut plan)?;
    Ok(plan)
}

fn read_exactly(mut buffer: &mut [u8]) -> Result<(), Failure> {
    while !buffer.is_empty() {
        match rustix::io::read(stdin(), &mut *buffer) {
            Ok(0) => return Err(Malformed("it ends early").into()),
            Ok(count) => buffer = &mut buffer[count..],
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Failure::step("read the plan", error)),
        }
    }
    Ok(())
}
