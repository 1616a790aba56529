//! Watching one command from its start to the end of its last process.

use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustix::event::poll;

use crate::error::SandboxError;
use crate::host::capture::Capture;
use crate::host::cgroup::Group;
use crate::host::growth::Watch;
use crate::host::isolation::Isolation;
use crate::outcome::End;
use crate::outcome::Finished;
use crate::outcome::Limit;
use crate::plan::Plan;
use crate::plan::Report;
use crate::policy::Command;
use crate::policy::Limits;
use crate::policy::Policy;
use crate::wire::Bytes;
use crate::wire::Travels;
use crate::wire::decode;
use crate::wire::encode;

/// How long the inner process may take to read its plan.
const HAND_OVER: Duration = Duration::from_secs(10);

/// How long the inner process gets to end everything before it is ended itself.
const GRACE: Duration = Duration::from_millis(1500);

/// How long output is still read once every process has ended. What is left is in the pipe.
const DRAIN: Duration = Duration::from_millis(250);

const CHUNK: usize = 64 * 1024;

/// More than any report.
const LONGEST_REPORT: usize = 64 * 1024;

/// A signal that cannot be caught.
const KILLED: i32 = 9;

/// Runs a command, leaves none of its processes, and tells how it ended.
pub(super) fn to_the_end(
    isolation: &Isolation,
    policy: &Policy,
    command: &Command,
    control: UnixStream,
    theirs: UnixStream,
) -> Result<Finished, SandboxError> {
    let started = Instant::now();
    let scratch = isolation.scratch(policy)?;
    let group = isolation.cgroups.group(&policy.limits)?;
    let plan = isolation.plan(policy, command, &group, scratch.as_ref())?;
    let mut child = start(isolation, theirs)?;
    let mut directories = vec![policy.workspace.clone()];
    directories.extend(policy.writable.iter().cloned());
    directories.extend(scratch.as_ref().map(|scratch| scratch.root().to_owned()));
    let mut running = Running::new(&mut child, control, &policy.limits)?;
    running.send(&plan)?;
    let mut watch = Watch::new(&isolation.known, directories, &policy.limits);
    running.follow(&mut watch, &group, started + policy.limits.wall)?;
    running.drain()?;
    let seen = running.into_seen();
    end(&mut child, &group)?;
    let end = seen.judge(&watch, &group)?;
    group.remove()?;
    let (stdout, stdout_cut) = seen.stdout.finish();
    let (stderr, stderr_cut) = seen.stderr.finish();
    Ok(Finished {
        end,
        stdout,
        stderr,
        truncated: stdout_cut || stderr_cut,
        duration: started.elapsed(),
        level: isolation.mechanism.level(),
    })
}

fn start(isolation: &Isolation, control: UnixStream) -> Result<Child, SandboxError> {
    let (program, arguments) = isolation
        .helper
        .argv
        .split_first()
        .ok_or_else(|| SandboxError::setup("the helper has no program"))?;
    std::process::Command::new(program)
        .args(arguments)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(OwnedFd::from(control)))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| SandboxError::setup(format!("start {}: {error}", program.display())))
}

/// Reaps the process that was started. Everything below it is gone, or it would not have hung up.
fn end(child: &mut Child, group: &Group) -> Result<(), SandboxError> {
    let deadline = Instant::now() + GRACE;
    let pid = rustix::process::Pid::from_child(child);
    let watched = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty());
    let watched = watched.map_err(|error| SandboxError::io("watch the inner process", error))?;
    let mut fds = [PollFd::from_borrowed_fd(watched.as_fd(), PollFlags::IN)];
    if wait_for(&mut fds, deadline).is_err() || fds[0].revents().is_empty() {
        group.kill();
        let _ = child.kill();
    }
    child
        .wait()
        .map(drop)
        .map_err(|error| SandboxError::io("wait for the inner process", error))
}

/// What was seen of a command.
struct Seen {
    stdout: Capture,
    stderr: Capture,
    over: Option<Limit>,
    started: bool,
    report: Option<Report>,
}

impl Seen {
    /// What it all means.
    fn judge(&self, watch: &Watch<'_>, group: &Group) -> Result<End, SandboxError> {
        let end = match &self.report {
            Some(Report::Failed(what)) => return Err(SandboxError::setup(what)),
            Some(Report::Unreachable(path)) => {
                return Err(SandboxError::Unreachable { path: path.clone() });
            }
            _ if self.over.is_some() => None,
            Some(Report::Exited(code)) => Some(End::Exited(*code)),
            Some(Report::Signalled(signal)) => Some(End::Signalled(*signal)),
            Some(Report::Started) | None if self.started => Some(End::Signalled(KILLED)),
            Some(Report::Started) | None => return Err(self.never_started()),
        };
        if end == Some(End::Exited(0)) {
            return Ok(watch.look_at_end().map_or(End::Exited(0), End::OverLimit));
        }
        if group.ran_out_of_memory() {
            return Ok(End::OverLimit(Limit::Memory));
        }
        let over = self.over.or_else(|| watch.look_at_end());
        Ok(match (over, end) {
            (Some(limit), _) => End::OverLimit(limit),
            (None, Some(end)) => end,
            (None, None) => End::Signalled(KILLED),
        })
    }

    /// What bubblewrap said, if it said something.
    fn never_started(&self) -> SandboxError {
        let said = self.stderr.head_text();
        if said.is_empty() {
            SandboxError::setup("the inner process ended without a word")
        } else {
            SandboxError::setup(said)
        }
    }
}

struct Running<'a> {
    control: Option<UnixStream>,
    reports: Vec<u8>,
    stdout: Option<File>,
    stderr: Option<File>,
    limits: &'a Limits,
    seen: Seen,
}

impl<'a> Running<'a> {
    fn new(
        child: &mut Child,
        control: UnixStream,
        limits: &'a Limits,
    ) -> Result<Self, SandboxError> {
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(SandboxError::setup("the inner process has no output"));
        };
        Ok(Self {
            control: Some(control),
            reports: Vec::new(),
            stdout: Some(File::from(OwnedFd::from(stdout))),
            stderr: Some(File::from(OwnedFd::from(stderr))),
            limits,
            seen: Seen {
                stdout: Capture::new(limits.output_bytes),
                stderr: Capture::new(limits.output_bytes),
                over: None,
                started: false,
                report: None,
            },
        })
    }

    fn send(&mut self, plan: &Plan) -> Result<(), SandboxError> {
        let Some(control) = &mut self.control else {
            return Ok(());
        };
        let failed = |error| SandboxError::io("hand over the plan", error);
        control.set_write_timeout(Some(HAND_OVER)).map_err(failed)?;
        match control.write_all(&encode(&Bytes(encode(plan)))) {
            // It ended already; what it printed tells why.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other.map_err(failed),
        }
    }

    /// Reads until the inner process hangs up, and makes it do so when a limit is passed.
    fn follow(
        &mut self,
        watch: &mut Watch<'_>,
        group: &Group,
        deadline: Instant,
    ) -> Result<(), SandboxError> {
        while self.control.is_some() {
            self.read_once(deadline.min(watch.next()))?;
            let over = self.over_output().or_else(|| watch.look_if_due());
            let late = (Instant::now() >= deadline).then_some(Limit::Time);
            if let Some(limit) = over.or(late) {
                return self.stop(limit, group);
            }
        }
        Ok(())
    }

    fn over_output(&self) -> Option<Limit> {
        let seen = self.seen.stdout.seen() + self.seen.stderr.seen();
        (seen > self.limits.output_spool_bytes).then_some(Limit::Output)
    }

    /// Hangs up, which makes the inner process end everything, and waits until it has.
    fn stop(&mut self, limit: Limit, group: &Group) -> Result<(), SandboxError> {
        self.seen.over = Some(limit);
        if let Some(control) = &self.control {
            let _ = control.shutdown(Shutdown::Write);
        }
        let deadline = Instant::now() + GRACE;
        while self.control.is_some() && Instant::now() < deadline {
            self.read_once(deadline)?;
        }
        if self.control.is_some() {
            group.kill();
        }
        Ok(())
    }

    /// Reads what the pipes still hold.
    fn drain(&mut self) -> Result<(), SandboxError> {
        let deadline = Instant::now() + DRAIN;
        while (self.stdout.is_some() || self.stderr.is_some()) && Instant::now() < deadline {
            self.read_once(deadline)?;
        }
        Ok(())
    }

    fn into_seen(self) -> Seen {
        self.seen
    }

    /// Waits for something to read until the deadline, and reads a piece of it.
    fn read_once(&mut self, deadline: Instant) -> Result<(), SandboxError> {
        let control = self.control.as_ref().map(AsFd::as_fd);
        let outputs = [self.stdout.as_ref(), self.stderr.as_ref()];
        let outputs = outputs.map(|output| output.map(AsFd::as_fd));
        let open = [outputs[0], outputs[1], control];
        let mut fds: Vec<PollFd<'_>> = open
            .iter()
            .flatten()
            .map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN))
            .collect();
        wait_for(&mut fds, deadline).map_err(|error| SandboxError::io("wait for output", error))?;
        let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
        let ready = open.map(|fd| fd.is_some() && ready.next() == Some(true));
        if ready[0] {
            read_piece(&mut self.stdout, &mut self.seen.stdout);
        }
        if ready[1] {
            read_piece(&mut self.stderr, &mut self.seen.stderr);
        }
        if ready[2] {
            self.read_reports()?;
        }
        Ok(())
    }

    fn read_reports(&mut self) -> Result<(), SandboxError> {
        let mut piece = [0; 4096];
        let count = match &mut self.control {
            Some(control) => control.read(&mut piece).unwrap_or(0),
            None => 0,
        };
        if count == 0 {
            self.control = None;
            return Ok(());
        }
        self.reports.extend_from_slice(&piece[..count]);
        while let Some(report) = next_report(&mut self.reports) {
            let report = decode(&report).map_err(|error| SandboxError::setup(error.to_string()))?;
            match report {
                Report::Started => self.seen.started = true,
                // What failed first is why; what follows from it is not kept.
                other if self.seen.report.is_none() => self.seen.report = Some(other),
                _ => {}
            }
        }
        if self.reports.len() > LONGEST_REPORT {
            return Err(SandboxError::setup("a report is too long"));
        }
        Ok(())
    }
}

/// Takes one whole report from the front of what has been read.
fn next_report(reports: &mut Vec<u8>) -> Option<Vec<u8>> {
    let mut rest = reports.as_slice();
    let Bytes(report) = Bytes::take(&mut rest).ok()?;
    let taken = reports.len() - rest.len();
    reports.drain(..taken);
    Some(report)
}

fn read_piece(output: &mut Option<File>, capture: &mut Capture) {
    let mut piece = [0; CHUNK];
    let count = match output {
        Some(file) => file.read(&mut piece).unwrap_or(0),
        None => 0,
    };
    if count == 0 {
        *output = None;
    }
    capture.take(&piece[..count]);
}

fn wait_for(fds: &mut [PollFd<'_>], deadline: Instant) -> io::Result<()> {
    let left = deadline.saturating_duration_since(Instant::now());
    let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
    match poll(fds, Some(&timeout)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
