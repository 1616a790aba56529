//! seccomp: the system calls a command has no business with fail with `EPERM`.

use std::collections::BTreeMap;

use seccompiler::BpfProgram;
use seccompiler::SeccompAction;
use seccompiler::SeccompCmpArgLen;
use seccompiler::SeccompCmpOp;
use seccompiler::SeccompCondition;
use seccompiler::SeccompFilter;
use seccompiler::SeccompRule;
use seccompiler::TargetArch;
use seccompiler::sock_filter;

use crate::inner::Failure;
use crate::plan::Network;

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: TargetArch = TargetArch::aarch64;

/// Never allowed.
const DENIED: &[i64] = &[
    // other processes
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // a second way to every other call
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // mounts and namespaces
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_unshare,
    // the kernel's own machinery
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_acct,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_mknodat,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_syslog,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_vhangup,
    libc::SYS_lookup_dcookie,
    libc::SYS_fanotify_init,
];

/// Calls of the older architecture that the newer one never had.
#[cfg(target_arch = "x86_64")]
const DENIED_HERE: &[i64] = &[
    libc::SYS_mknod,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_uselib,
    libc::SYS__sysctl,
];
#[cfg(target_arch = "aarch64")]
const DENIED_HERE: &[i64] = &[];

/// Flags of clone(2) that make namespaces.
const NAMESPACES: [i32; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// Put characters into a terminal's input, or change what interprets them.
const TERMINAL_REQUESTS: [u64; 3] = [libc::TIOCSTI, libc::TIOCLINUX, libc::TIOCSETD];

/// Socket families a command may use in its own network namespace.
const FAMILIES: [i32; 4] = [
    libc::AF_UNIX,
    libc::AF_INET,
    libc::AF_INET6,
    libc::AF_NETLINK,
];

const SOCKET_TYPE_MASK: u64 = 0xf;

/// Set in the number of every call of the x32 ABI.
const X32_BIT: u32 = 0x4000_0000;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

pub(super) struct Filter(BpfProgram);

impl Filter {
    pub(super) fn new(network: Network) -> Result<Self, Failure> {
        program(network)
            .map(Self)
            .map_err(|error| Failure::step("build the seccomp filter", error))
    }

    /// Applies it to the current thread, for good.
    pub(super) fn apply(&self) -> Result<(), Failure> {
        seccompiler::apply_filter(&self.0).map_err(|error| Failure::step("apply seccomp", error))
    }
}

fn program(network: Network) -> Result<BpfProgram, seccompiler::BackendError> {
    let filter = SeccompFilter::new(
        rules(network)?,
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EPERM as u32),
        ARCHITECTURE,
    )?;
    let mut program = before_everything();
    program.extend(BpfProgram::try_from(filter)?);
    Ok(program)
}

/// The call's number is looked at before its architecture: x32 has numbers of its own on the same
/// architecture, and clone3 takes its flags from memory, where no filter can see them. `ENOSYS`
/// makes the C library fall back to clone.
fn before_everything() -> BpfProgram {
    let load_number = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    let at_least = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
    let equal = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    let answer = (libc::BPF_RET | libc::BPF_K) as u16;
    let instruction = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    vec![
        instruction(load_number, 0, 0, 0),
        instruction(at_least, 0, 1, X32_BIT),
        instruction(answer, 0, 0, libc::SECCOMP_RET_KILL_PROCESS),
        instruction(equal, 0, 1, libc::SYS_clone3 as u32),
        instruction(answer, 0, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32),
    ]
}

fn rules(network: Network) -> Result<Rules, seccompiler::BackendError> {
    let always = |call: &i64| (*call, Vec::new());
    let mut rules: Rules = DENIED.iter().chain(DENIED_HERE).map(always).collect();
    let mut clone = Vec::new();
    for flag in NAMESPACES {
        let flag = flag as u32;
        clone.push(when([argument(
            0,
            SeccompCmpOp::MaskedEq(flag.into()),
            flag.into(),
        )])?);
    }
    rules.insert(libc::SYS_clone, clone);
    let mut ioctl = Vec::new();
    for request in TERMINAL_REQUESTS {
        ioctl.push(when([argument(1, SeccompCmpOp::Eq, request)])?);
    }
    rules.insert(libc::SYS_ioctl, ioctl);
    match network {
        Network::Loopback => {
            let other = FAMILIES.map(|family| argument(0, SeccompCmpOp::Ne, family as u64));
            rules.insert(libc::SYS_socket, vec![when(other)?]);
        }
        Network::Denied => deny_sockets(&mut rules)?,
    }
    Ok(rules)
}

/// No socket but a pair connected to itself. Not one of datagrams: its ends could still be sent
/// elsewhere, to the socket file of a daemon.
fn deny_sockets(rules: &mut Rules) -> Result<(), seccompiler::BackendError> {
    for call in [
        libc::SYS_socket,
        libc::SYS_connect,
        libc::SYS_bind,
        libc::SYS_listen,
        libc::SYS_accept,
        libc::SYS_accept4,
    ] {
        rules.insert(call, Vec::new());
    }
    let datagram = libc::SOCK_DGRAM as u64;
    let pair = vec![
        when([argument(0, SeccompCmpOp::Ne, libc::AF_UNIX as u64)])?,
        when([argument(
            1,
            SeccompCmpOp::MaskedEq(SOCKET_TYPE_MASK),
            datagram,
        )])?,
    ];
    rules.insert(libc::SYS_socketpair, pair);
    Ok(())
}

type Condition = Result<SeccompCondition, seccompiler::BackendError>;

fn argument(index: u8, operator: SeccompCmpOp, value: u64) -> Condition {
    SeccompCondition::new(index, SeccompCmpArgLen::Dword, operator, value)
}

fn when<const N: usize>(
    conditions: [Condition; N],
) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(conditions.into_iter().collect::<Result<_, _>>()?)
}
