//! Ways out that a shell script cannot try. Each prints one line, `NAME escaped` or
//! `NAME denied ERRNO`.

use std::io;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_millis(300);

pub(crate) fn attempt(name: &str, arguments: &[&str]) -> ExitCode {
    match (name, arguments) {
        ("calls", [pid]) => calls(pid.parse().unwrap_or(1)),
        ("tcp", [address]) => tell("tcp", connect_tcp(address)),
        ("udp", [address]) => tell("udp", send_udp(address)),
        ("unix", [path]) => unix(path),
        ("abstract", [name]) => tell("abstract", connect_abstract(name)),
        ("loopback", []) => tell("loopback", serve_loopback()),
        ("stop", []) => tell(
            "stop",
            call(libc::SYS_kill, [0, libc::SIGSTOP as i64, 0, 0, 0]),
        ),
        _ => return ExitCode::from(2),
    }
    ExitCode::SUCCESS
}

fn tell(name: &str, result: io::Result<()>) {
    let line = match result {
        Ok(()) => format!("{name} escaped"),
        Err(error) => format!("{name} denied {error}"),
    };
    let _ = writeln!(io::stdout(), "{line}");
}

fn call(number: i64, arguments: [i64; 5]) -> io::Result<()> {
    let [a, b, c, d, e] = arguments;
    // SAFETY: every caller passes null, or pointers to things that outlive the call.
    let result = unsafe { libc::syscall(number, a, b, c, d, e) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// System calls that no command has a business with. `pid` is a process outside.
fn calls(pid: i64) {
    let byte = [0_u8; 64];
    let here = byte.as_ptr() as i64;
    let root = c"/".as_ptr() as i64;
    let target = c"/tmp".as_ptr() as i64;
    let node = c"node".as_ptr() as i64;
    let iov = libc::iovec {
        iov_base: here as *mut libc::c_void,
        iov_len: 1,
    };
    let vector = &raw const iov as i64;
    let fork_user = i64::from(libc::CLONE_NEWUSER | libc::SIGCHLD);
    let device = libc::S_IFCHR as i64 | 0o666;
    let tries: [(&str, i64, [i64; 5]); 24] = [
        ("ptrace", libc::SYS_ptrace, [16, pid, 0, 0, 0]),
        (
            "process_vm_readv",
            libc::SYS_process_vm_readv,
            [pid, vector, 1, vector, 1],
        ),
        ("kill", libc::SYS_kill, [pid, 0, 0, 0, 0]),
        ("io_uring", libc::SYS_io_uring_setup, [1, here, 0, 0, 0]),
        ("bpf", libc::SYS_bpf, [0, here, 64, 0, 0]),
        ("keyctl", libc::SYS_keyctl, [0, -3, 0, 0, 0]),
        ("userfaultfd", libc::SYS_userfaultfd, [1, 0, 0, 0, 0]),
        ("perf", libc::SYS_perf_event_open, [here, 0, -1, -1, 0]),
        (
            "open_by_handle_at",
            libc::SYS_open_by_handle_at,
            [-100, here, 0, 0, 0],
        ),
        (
            "unshare",
            libc::SYS_unshare,
            [libc::CLONE_NEWUSER.into(), 0, 0, 0, 0],
        ),
        ("clone", libc::SYS_clone, [fork_user, 0, 0, 0, 0]),
        ("clone3", libc::SYS_clone3, [here, 64, 0, 0, 0]),
        ("setns", libc::SYS_setns, [0, 0, 0, 0, 0]),
        (
            "mount",
            libc::SYS_mount,
            [root, target, 0, libc::MS_BIND as i64, 0],
        ),
        (
            "remount",
            libc::SYS_mount,
            [0, root, 0, libc::MS_REMOUNT as i64, 0],
        ),
        ("open_tree", libc::SYS_open_tree, [-100, root, 1, 0, 0]),
        ("chroot", libc::SYS_chroot, [root, 0, 0, 0, 0]),
        ("mknod", libc::SYS_mknodat, [-100, node, device, 0x103, 0]),
        ("vsock", libc::SYS_socket, [40, 1, 0, 0, 0]),
        ("packet", libc::SYS_socket, [17, 3, 0, 0, 0]),
        ("raw", libc::SYS_socket, [2, 3, 1, 0, 0]),
        ("alg", libc::SYS_socket, [38, 5, 0, 0, 0]),
        (
            "tiocsti",
            libc::SYS_ioctl,
            [0, libc::TIOCSTI as i64, here, 0, 0],
        ),
        ("reboot", libc::SYS_reboot, [0, 0, 0, 0, 0]),
    ];
    for (name, number, arguments) in tries {
        tell(name, call(number, arguments));
    }
}

fn connect_tcp(address: &str) -> io::Result<()> {
    let address = address.parse().map_err(io::Error::other)?;
    TcpStream::connect_timeout(&address, PATIENCE).map(drop)
}

fn send_udp(address: &str) -> io::Result<()> {
    UdpSocket::bind("0.0.0.0:0")?
        .send_to(b"hello", address)
        .map(drop)
}

/// A socket file of the host, by every way there is to it.
fn unix(path: &str) {
    tell("stream", UnixStream::connect(path).map(drop));
    let datagram = UnixDatagram::unbound();
    tell(
        "datagram",
        datagram
            .and_then(|socket| socket.send_to(b"x", path))
            .map(drop),
    );
    let pair = UnixDatagram::pair();
    tell(
        "pair",
        pair.and_then(|(socket, _)| socket.send_to(b"x", path))
            .map(drop),
    );
}

fn connect_abstract(name: &str) -> io::Result<()> {
    let address = SocketAddr::from_abstract_name(name)?;
    UnixStream::connect_addr(&address).map(drop)
}

/// What a project's tests do: a server and a client on loopback.
fn serve_loopback() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let (served, _) = listener.accept()?;
    let _ = served.as_raw_fd();
    client.write_all(b"x")
}
