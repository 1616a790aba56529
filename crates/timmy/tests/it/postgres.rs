//! Databases of a test's own on the cluster that script/test started.

use std::net::SocketAddr;
use std::net::ToSocketAddrs;

use timmy_core::RunId;
use tokio::process::Command;
use url::Url;

use crate::home::Home;

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

/// Settings for a log in PostgreSQL.
pub(crate) fn log_at(home: &Home, database: &Url) -> String {
    let file = home.beside("database");
    std::fs::write(&file, database.as_str()).unwrap();
    format!("[store]\npostgres = {{ file = \"{}\" }}\n", file.display())
}
