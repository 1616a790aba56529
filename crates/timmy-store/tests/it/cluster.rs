//! A PostgreSQL server of a test's own, to be stopped and started.

use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

/// Debian keeps the programs of each version here.
const VERSIONS: &str = "/usr/lib/postgresql";
/// The user a server runs as when the tests run as root.
const SERVER_USER: &str = "postgres";

pub(crate) struct Cluster {
    directory: TempDir,
    programs: PathBuf,
    port: u16,
}

impl Cluster {
    /// A server with an empty database; none when no PostgreSQL is installed.
    pub(crate) fn start_new() -> Option<Self> {
        let programs = programs()?;
        let directory = tempfile::Builder::new()
            .prefix("timmy-test-pg-")
            .tempdir()
            .unwrap();
        if rustix::process::geteuid().is_root() {
            let (user, group) = (number("-u"), number("-g"));
            chown(directory.path(), Some(user), Some(group)).unwrap();
        }
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let cluster = Self {
            directory,
            programs,
            port,
        };
        let data = cluster.data();
        cluster.run(
            "initdb",
            &["-D", &data, "-A", "trust", "-U", "timmy", "--no-sync"],
        );
        cluster.start();
        Some(cluster)
    }

    pub(crate) fn address(&self) -> url::Url {
        let address = format!("postgres://timmy@127.0.0.1:{}/postgres", self.port);
        address.parse().unwrap()
    }

    /// Starts the server and waits until it answers.
    pub(crate) fn start(&self) {
        let place = self.directory.path().display();
        let options = format!("-p {} -k {place} -c listen_addresses=127.0.0.1", self.port);
        let log = format!("{place}/log");
        self.run(
            "pg_ctl",
            &[
                "-D",
                &self.data(),
                "-w",
                "-l",
                &log,
                "-o",
                &options,
                "start",
            ],
        );
    }

    /// Stops the server as a crash would: no connection is told.
    pub(crate) fn crash(&self) {
        self.run(
            "pg_ctl",
            &["-D", &self.data(), "-m", "immediate", "-w", "stop"],
        );
    }

    fn data(&self) -> String {
        self.directory.path().join("data").display().to_string()
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let output = self.command(program).args(arguments).output().unwrap();
        assert!(output.status.success(), "{program}: {output:?}");
    }

    /// PostgreSQL refuses to run as root.
    fn command(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        let mut command = if rustix::process::geteuid().is_root() {
            let mut command = Command::new("setpriv");
            let user = [
                "--reuid",
                SERVER_USER,
                "--regid",
                SERVER_USER,
                "--clear-groups",
                "--",
            ];
            command.args(user).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir(self.directory.path());
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // It may be stopped already.
        let stopping = self
            .command("pg_ctl")
            .args(["-D", &self.data(), "-m", "immediate", "stop"])
            .output();
        drop(stopping);
    }
}

/// The programs of the newest version that is installed.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir(Path::new(VERSIONS)).ok()?;
    let newest = versions
        .filter_map(|entry| {
            let programs = entry.ok()?.path().join("bin");
            let version: u32 = programs.parent()?.file_name()?.to_str()?.parse().ok()?;
            programs
                .join("initdb")
                .exists()
                .then_some((version, programs))
        })
        .max();
    newest.map(|(_, programs)| programs)
}

fn number(option: &str) -> u32 {
    let output = Command::new("id")
        .args([option, SERVER_USER])
        .output()
        .unwrap();
    String::from_utf8(output.stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap()
}
