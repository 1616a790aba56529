//! Several hosts on one machine: network namespaces joined by a bridge that a test can pull plugs of.

use std::fs::File;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

use rustix::thread::LinkNameSpaceType;
use rustix::thread::move_into_link_name_space;
use tokio::net::TcpListener;

use crate::way::Way;

/// Where the host that serves the forge is reached by the others.
const FORGE_HOST: &str = "10.91.0.1";
const FORGE: &str = "forge";
const BRIDGE: &str = "bridge";

/// A forge's host and the hosts of workers, each a network namespace, all plugged into one bridge.
/// They go with this value.
pub(crate) struct Network {
    id: String,
    workers: Vec<&'static str>,
}

impl Network {
    /// Makes it. Where the system does not let us it says why, for the test to be skipped.
    pub(crate) fn of(workers: &[&'static str]) -> Result<Self, String> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let id = format!(
            "timmy-{}-{}",
            std::process::id(),
            MADE.fetch_add(1, Ordering::Relaxed)
        );
        let network = Self {
            id,
            workers: workers.to_vec(),
        };
        network.build()?;
        Ok(network)
    }

    fn build(&self) -> Result<(), String> {
        let forge = self.namespace(FORGE);
        ip(&["netns", "add", &forge])?;
        ip(&["-n", &forge, "link", "set", "lo", "up"])?;
        ip(&["-n", &forge, "link", "add", BRIDGE, "type", "bridge"])?;
        let address = format!("{FORGE_HOST}/24");
        ip(&["-n", &forge, "address", "add", &address, "dev", BRIDGE])?;
        ip(&["-n", &forge, "link", "set", BRIDGE, "up"])?;
        for (number, worker) in self.workers.iter().enumerate() {
            let host = self.namespace(worker);
            ip(&["netns", "add", &host])?;
            ip(&["-n", &host, "link", "set", "lo", "up"])?;
            let far_end = ["type", "veth", "peer", "name", "eth0", "netns", &host];
            ip(&[&["link", "add", worker, "netns", &forge], &far_end[..]].concat())?;
            ip(&["-n", &forge, "link", "set", worker, "up", "master", BRIDGE])?;
            let address = format!("10.91.0.{}/24", number + 2);
            ip(&["-n", &host, "address", "add", &address, "dev", "eth0"])?;
            ip(&["-n", &host, "link", "set", "eth0", "up"])?;
        }
        Ok(())
    }

    fn namespace(&self, host: &str) -> String {
        format!("{}-{host}", self.id)
    }

    /// What a command line begins with to run on a worker's host.
    pub(crate) fn on(&self, worker: &str) -> [String; 2] {
        let namespace = format!("--net=/run/netns/{}", self.namespace(worker));
        ["nsenter".to_owned(), namespace]
    }

    /// Pulls a worker's plug out of the bridge. Its own end sees nothing of it: what it sends is lost.
    pub(crate) fn cut(&self, worker: &str) {
        let forge = self.namespace(FORGE);
        ip(&["-n", &forge, "link", "set", worker, "nomaster"]).unwrap();
    }

    /// Plugs it in again.
    pub(crate) fn heal(&self, worker: &str) {
        let forge = self.namespace(FORGE);
        ip(&["-n", &forge, "link", "set", worker, "master", BRIDGE]).unwrap();
    }

    /// Packets a worker has sent so far, whether or not they arrived anywhere.
    pub(crate) fn sent_by(&self, worker: &str) -> u64 {
        let namespace = self.namespace(FORGE);
        let shown = ip(&["-n", &namespace, "-s", "-j", "link", "show", worker]).unwrap();
        let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
        shown[0]["stats64"]["rx"]["packets"].as_u64().unwrap()
    }

    /// Lets the forge that listens at `target` be reached from all hosts.
    pub(crate) fn serve_forge(&self, target: SocketAddr) -> Way {
        self.way(FORGE, FORGE_HOST, target)
    }

    /// Lets something that listens at `target` be reached on a worker's own loopback interface.
    pub(crate) fn serve_at(&self, worker: &str, target: SocketAddr) -> Way {
        self.way(worker, "127.0.0.1", target)
    }

    /// A socket belongs to the namespace of the thread that made it, whoever uses it later.
    fn way(&self, host: &str, address: &'static str, target: SocketAddr) -> Way {
        let namespace = File::open(format!("/run/netns/{}", self.namespace(host))).unwrap();
        let bind = move || {
            let network = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(namespace.as_fd(), network).unwrap();
            std::net::TcpListener::bind((address, 0)).unwrap()
        };
        let listener = std::thread::spawn(bind).join().unwrap();
        listener.set_nonblocking(true).unwrap();
        Way::from(TcpListener::from_std(listener).unwrap(), target)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for host in self.workers.iter().chain(&[FORGE]) {
            // What was never made cannot be removed.
            let _ = ip(&["netns", "delete", &self.namespace(host)]);
        }
    }
}

fn ip(arguments: &[&str]) -> Result<String, String> {
    let refused = |reason: &str| format!("ip {}: {}", arguments.join(" "), reason.trim());
    let output = Command::new("ip").args(arguments).output();
    let output = output.map_err(|error| refused(&error.to_string()))?;
    if !output.status.success() {
        return Err(refused(&String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
