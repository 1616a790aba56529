//! Attempts on the network and on sockets of the host.

use std::net::TcpListener;
use std::net::UdpSocket;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::os::unix::net::UnixListener;

use timmy_sandbox::SandboxLevel;

use crate::place::at_level;
use crate::place::everywhere;

#[test]
fn attempt_09_reach_a_listener_of_the_host_or_the_world() {
    for place in everywhere() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        tcp.set_nonblocking(true).unwrap();
        udp.set_nonblocking(true).unwrap();
        let (tcp_address, udp_address) = (tcp.local_addr().unwrap(), udp.local_addr().unwrap());
        for address in [tcp_address.to_string().as_str(), "169.254.169.254:80"] {
            let ended = place.attempt(&["tcp", address]);
            assert!(ended.stdout.contains("denied"), "{ended:?}");
        }
        place
            .attempt(&["udp", &udp_address.to_string()])
            .expect_success();
        let resolved = place.sh("getent hosts example.org; echo $?");
        assert_ne!("0", resolved.stdout.trim(), "{resolved:?}");
        assert!(
            tcp.accept().is_err(),
            "{:?} {:?}",
            place.level,
            place.caller
        );
        assert!(
            udp.recv(&mut [0; 9]).is_err(),
            "{:?} {:?}",
            place.level,
            place.caller
        );
    }
}

#[test]
fn attempt_10_reach_a_socket_file_of_the_host() {
    for place in everywhere() {
        let stream_path = place.home.join("docker.sock");
        let datagram_path = place.home.join("notify.sock");
        let stream = UnixListener::bind(&stream_path).unwrap();
        let datagram = UnixDatagram::bind(&datagram_path).unwrap();
        for path in [&stream_path, &datagram_path] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
            let ended = place.attempt(&["unix", &path.display().to_string()]);
            assert!(!ended.stdout.contains("escaped"), "{ended:?}");
            assert_eq!(3, ended.stdout.matches("denied").count(), "{ended:?}");
        }
        stream.set_nonblocking(true).unwrap();
        datagram.set_nonblocking(true).unwrap();
        assert!(stream.accept().is_err());
        assert!(datagram.recv(&mut [0; 9]).is_err());
        let name = format!("timmy-test-{}", place.base().display());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let hidden = UnixListener::bind_addr(&address).unwrap();
        let ended = place.attempt(&["abstract", &name]);
        assert!(ended.stdout.contains("denied"), "{ended:?}");
        hidden.set_nonblocking(true).unwrap();
        assert!(hidden.accept().is_err());
    }
}

/// No socket file of the host that happens to lie in the workspace: an agent may make its own.
#[test]
fn at_l3_a_projects_own_servers_work() {
    for place in at_level(SandboxLevel::L3) {
        let ended = place.attempt(&["loopback"]);
        assert_eq!("loopback escaped", ended.stdout.trim(), "{ended:?}");
    }
}
