//! Databases of a test's own on the cluster that script/test started.

use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::ToSocketAddrs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::AtomicU16;
use std::sync::atomic::Ordering;

use tempfile::TempDir;
use timmy_core::RunId;
use tokio::process::Command;
use url::Url;

use crate::home::Home;
use crate::home::entries;

/// A database that is dropped with this value.
pub(crate) struct Database {
    cluster: Url,
    name: String,
}

impl Database {
    /// A fresh one.
    pub(crate) async fn create() -> Self {
        let cluster = std::env::var("TIMMY_TEST_POSTGRES")
            .expect("TIMMY_TEST_POSTGRES is not set: run the tests through script/test");
        Self::on(cluster.parse().unwrap()).await
    }

    /// A fresh one on a given cluster.
    pub(crate) async fn on(cluster: Url) -> Self {
        let name = format!("timmy_{}", RunId::generate().as_str().replace('-', "_"));
        ask(&cluster, &format!("CREATE DATABASE {name}")).await;
        Self { cluster, name }
    }

    /// Where the cluster listens.
    pub(crate) fn server(&self) -> SocketAddr {
        let host = self.cluster.host_str().unwrap();
        let port = self.cluster.port().unwrap_or(5432);
        (host, port).to_socket_addrs().unwrap().next().unwrap()
    }

    /// Its address, reached directly.
    pub(crate) fn url(&self) -> Url {
        self.url_through(self.server())
    }

    /// Its address, reached through something that listens there and needs to read along.
    pub(crate) fn url_through(&self, address: SocketAddr) -> Url {
        let mut url = self.cluster.clone();
        url.set_ip_host(address.ip()).unwrap();
        url.set_port(Some(address.port())).unwrap();
        url.set_path(&self.name);
        url.set_query(Some("sslmode=disable"));
        url
    }

    /// What the database answers to a query with one column, line by line.
    pub(crate) async fn ask(&self, query: &str) -> Vec<String> {
        ask(&self.url(), query).await
    }

    /// Reservations that nobody settled: what they set aside is missing until the end of the day.
    pub(crate) async fn open_reservations(&self) -> usize {
        let open = "SELECT reservation FROM spending GROUP BY reservation HAVING COUNT(*) = 1";
        self.ask(open).await.len()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let mut command = std::process::Command::new("psql");
        // The cluster may be gone already; then so is the database.
        let _ = command.args([self.cluster.as_str(), "-qc", &drop]).output();
    }
}

async fn ask(database: &Url, query: &str) -> Vec<String> {
    let mut command = Command::new("psql");
    let output = command.args([database.as_str(), "-v", "ON_ERROR_STOP=1", "-qAtc", query]);
    let output = output.output().await.unwrap();
    assert!(output.status.success(), "{query}: {output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// A cluster of a test's own, which can be stopped and started.
pub(crate) struct Cluster {
    binaries: PathBuf,
    directory: TempDir,
    port: u16,
}

/// A free port that nobody is given who asks for any: a cluster that is stopped has to get it again.
fn port_of_its_own() -> std::net::TcpListener {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + u16::try_from(std::process::id() % 1_000).unwrap() * 10;
    let mut ports = std::iter::repeat_with(|| first + NEXT.fetch_add(1, Ordering::Relaxed));
    ports
        .find_map(|port| std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok())
        .unwrap()
}

impl Cluster {
    /// Makes one and starts it.
    pub(crate) async fn start() -> Self {
        let mut versions = entries(Path::new("/usr/lib/postgresql"));
        versions.sort();
        let newest = versions.pop().expect("PostgreSQL is not installed");
        let directory = tempfile::tempdir().unwrap();
        let port = port_of_its_own();
        let cluster = Self {
            binaries: newest.join("bin"),
            directory,
            port: port.local_addr().unwrap().port(),
        };
        if rustix::process::geteuid().is_root() {
            let owned = Command::new("chown")
                .arg("postgres")
                .arg(cluster.directory.path())
                .status();
            assert!(owned.await.unwrap().success());
        }
        cluster
            .run("initdb", &["-A", "trust", "-U", "timmy", "--no-sync"])
            .await;
        drop(port);
        cluster.start_again().await;
        cluster
    }

    pub(crate) async fn start_again(&self) {
        let options = format!(
            "-p {} -k {} -c listen_addresses=127.0.0.1 -c fsync=off",
            self.port,
            self.directory.path().display()
        );
        let log = self.directory.path().join("log");
        let log = log.to_string_lossy();
        self.run("pg_ctl", &["start", "-w", "-l", &log, "-o", &options])
            .await;
    }

    /// As if the machine had lost its power.
    pub(crate) async fn stop(&self) {
        self.run("pg_ctl", &["stop", "-w", "-m", "immediate"]).await;
    }

    pub(crate) fn url(&self) -> Url {
        let url = format!("postgres://timmy@127.0.0.1:{}/postgres", self.port);
        url.parse().unwrap()
    }

    async fn run(&self, program: &str, arguments: &[&str]) {
        let mut command = self.as_postgres(program);
        let ran = command.args(arguments).stdout(Stdio::null()).status();
        assert!(ran.await.unwrap().success(), "{program} {arguments:?}");
    }

    /// PostgreSQL refuses to run as root.
    fn as_postgres(&self, program: &str) -> Command {
        let program = self.binaries.join(program);
        let mut command = if rustix::process::geteuid().is_root() {
            let mut command = Command::new("setpriv");
            command.args([
                "--reuid",
                "postgres",
                "--regid",
                "postgres",
                "--clear-groups",
            ]);
            command.arg(program);
            command
        } else {
            Command::new(program)
        };
        command.env("PGDATA", self.directory.path().join("data"));
        command.current_dir("/");
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let mut command = self.as_postgres("pg_ctl");
        // It may be stopped already.
        let command = command.args(["stop", "-m", "immediate"]).as_std_mut();
        let _ = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

/// Settings for a log in PostgreSQL.
pub(crate) fn log_at(home: &Home, database: &Url) -> String {
    let file = home.beside("database");
    std::fs::write(&file, database.as_str()).unwrap();
    format!("[store]\npostgres = {{ file = \"{}\" }}\n", file.display())
}
