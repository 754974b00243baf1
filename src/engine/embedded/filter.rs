//! The system call filter: what namespaces and missing capabilities leave open. It refuses with EPERM or ENOSYS, as
//! Docker's default profile does for nearly all of the same calls, and never pretends that a call succeeded.
//!
//! Why it is needed although the build has no capability:
//! - a new user namespace would give the build capabilities over it, a far larger part of the kernel to attack, and
//!   a world that differs from Docker's, where it is refused (Podman 4.3 allows it);
//! - keys (`keyctl`) belong to a user or session, not to a namespace: a build could read the invoking user's tickets;
//! - sockets to the hypervisor (`AF_VSOCK`) are in no network namespace: "no network" would be wrong in a virtual machine;
//! - `TIOCSTI` and `TIOCLINUX` type into a terminal the sandbox was entered from;
//! - `bpf`, `perf_event_open`, `userfaultfd` and io_uring see or stress the kernel as a whole and no build needs them.
//!
//! i386 programs are let through with the same rules; calls of the x32 kind are unknown (ENOSYS).

/// One instruction of classic BPF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Instruction {
    pub(super) code: u16,
    pub(super) yes: u8,
    pub(super) no: u8,
    pub(super) value: u32,
}

/// Whether there is a filter for this machine's kind.
pub(super) const THERE: bool = cfg!(target_arch = "x86_64");

// linux/bpf_common.h: BPF_LD|BPF_W|BPF_ABS, BPF_JMP|BPF_{JEQ,JGE,JSET}|BPF_K, BPF_RET|BPF_K.
const LOAD: u16 = 0x20;
const EQUAL: u16 = 0x15;
const AT_LEAST: u16 = 0x35;
const ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;

// linux/seccomp.h: the fields of seccomp_data; arguments are read by their low halves (little endian).
const NUMBER: u32 = 0;
const KIND: u32 = 4;
const ARGUMENT_0: u32 = 16;
const ARGUMENT_1: u32 = 24;

const ALLOW: u32 = 0x7fff_0000;
const EPERM: u32 = 0x0005_0000 | 1;
const ENOSYS: u32 = 0x0005_0000 | 38;

// linux/audit.h: AUDIT_ARCH_X86_64 and AUDIT_ARCH_I386.
const X86_64: u32 = 0xc000_003e;
const I386: u32 = 0x4000_0003;
/// Numbers from here on are x32 calls (`__X32_SYSCALL_BIT`).
const X32: u32 = 0x4000_0000;

/// CLONE_NEW{TIME,NS,CGROUP,UTS,IPC,USER,PID,NET}.
const NAMESPACES: u32 =
    0x80 | 0x2_0000 | 0x200_0000 | 0x400_0000 | 0x800_0000 | 0x1000_0000 | 0x2000_0000 | 0x4000_0000;
const AF_VSOCK: u32 = 40;
const TIOCSTI: u32 = 0x5412;
const TIOCLINUX: u32 = 0x541c;
/// SYS_SOCKET of i386's socketcall, whose arguments lie in memory that a filter cannot see.
const SOCKETCALL_SOCKET: u32 = 1;

/// A rule about one system call.
enum Rule {
    Refuse,
    /// As if the kernel were older: glibc then uses `clone`, whose flags a filter can see.
    Unknown,
    RefuseBits(u32, u32),
    RefuseValues(u32, &'static [u32]),
}

/// The calls, with their numbers on x86_64 and i386 (arch/x86/entry/syscalls/syscall_{64,32}.tbl).
#[rustfmt::skip]
const RULES: &[(u32, u32, Rule)] = &[
    (272, 310, Rule::Refuse),                                      // unshare
    (308, 346, Rule::Refuse),                                      // setns
    (56, 120, Rule::RefuseBits(ARGUMENT_0, NAMESPACES)),           // clone
    (435, 435, Rule::Unknown),                                     // clone3
    (165, 21, Rule::Refuse),                                       // mount
    (166, 52, Rule::Refuse),                                       // umount2
    (155, 217, Rule::Refuse),                                      // pivot_root
    (428, 428, Rule::Refuse),                                      // open_tree
    (429, 429, Rule::Refuse),                                      // move_mount
    (430, 430, Rule::Refuse),                                      // fsopen
    (442, 442, Rule::Refuse),                                      // mount_setattr
    (248, 286, Rule::Refuse),                                      // add_key
    (249, 287, Rule::Refuse),                                      // request_key
    (250, 288, Rule::Refuse),                                      // keyctl
    (321, 357, Rule::Refuse),                                      // bpf
    (298, 336, Rule::Refuse),                                      // perf_event_open
    (323, 374, Rule::Refuse),                                      // userfaultfd
    (425, 425, Rule::Refuse),                                      // io_uring_setup
    (304, 342, Rule::Refuse),                                      // open_by_handle_at
    (41, 359, Rule::RefuseValues(ARGUMENT_0, &[AF_VSOCK])),        // socket
    (16, 54, Rule::RefuseValues(ARGUMENT_1, &[TIOCSTI, TIOCLINUX])), // ioctl
];

/// i386's `socketcall`.
const SOCKETCALL: u32 = 102;

/// The whole filter.
pub(super) fn program() -> Vec<Instruction> {
    let native: Vec<_> = RULES.iter().flat_map(|(number, _, rule)| refuse(*number, rule)).collect();
    let mut program = vec![
        load(KIND),
        // The native part is skipped by a jump with 32 bits: conditional jumps reach 255 instructions only.
        jump(EQUAL, X86_64, 1, 0),
        Instruction { code: 0x05, yes: 0, no: 0, value: u32::try_from(native.len() + 4).unwrap_or(u32::MAX) },
        load(NUMBER),
        jump(AT_LEAST, X32, 0, 1),
        give(ENOSYS),
    ];
    program.extend(native);
    program.push(give(ALLOW));
    program.extend([jump(EQUAL, I386, 1, 0), give(ENOSYS), load(NUMBER)]);
    program.extend(RULES.iter().flat_map(|(_, number, rule)| refuse(*number, rule)));
    program.extend(refuse(SOCKETCALL, &Rule::RefuseValues(ARGUMENT_0, &[SOCKETCALL_SOCKET])));
    program.push(give(ALLOW));
    program
}

fn load(field: u32) -> Instruction {
    Instruction { code: LOAD, yes: 0, no: 0, value: field }
}

fn jump(code: u16, value: u32, yes: u8, no: u8) -> Instruction {
    Instruction { code, yes, no, value }
}

fn give(value: u32) -> Instruction {
    Instruction { code: RETURN, yes: 0, no: 0, value }
}

/// What happens to call `number`; any other goes on behind these instructions with its number still loaded.
fn refuse(number: u32, rule: &Rule) -> Vec<Instruction> {
    let body = match rule {
        Rule::Refuse => vec![give(EPERM)],
        Rule::Unknown => vec![give(ENOSYS)],
        Rule::RefuseBits(field, bits) => vec![load(*field), jump(ANY_BIT, *bits, 0, 1), give(EPERM), give(ALLOW)],
        Rule::RefuseValues(field, values) => {
            let mut body = vec![load(*field)];
            body.extend(values.iter().flat_map(|value| [jump(EQUAL, *value, 0, 1), give(EPERM)]));
            body.push(give(ALLOW));
            body
        }
    };
    let over = u8::try_from(body.len()).unwrap_or(u8::MAX);
    let mut all = vec![jump(EQUAL, number, 0, over)];
    all.extend(body);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the filter says, by a machine for the five instructions it uses.
    fn says(kind: u32, number: u32, arguments: [u32; 2]) -> u32 {
        let program = program();
        let (mut at, mut loaded) = (0, 0);
        loop {
            let one = program[at];
            at += 1;
            let yes = match one.code {
                LOAD => {
                    loaded = match one.value {
                        NUMBER => number,
                        KIND => kind,
                        ARGUMENT_0 => arguments[0],
                        ARGUMENT_1 => arguments[1],
                        other => panic!("load of {other}"),
                    };
                    continue;
                }
                0x05 => {
                    at += one.value as usize;
                    continue;
                }
                EQUAL => loaded == one.value,
                AT_LEAST => loaded >= one.value,
                ANY_BIT => loaded & one.value != 0,
                RETURN => return one.value,
                other => panic!("instruction {other}"),
            };
            at += usize::from(if yes { one.yes } else { one.no });
        }
    }

    #[test]
    fn every_rule_holds_for_both_kinds_and_others_pass() {
        for (kind, index) in [(X86_64, 0), (I386, 1)] {
            for (native, compatible, rule) in RULES {
                let number = [*native, *compatible][index];
                match rule {
                    Rule::Refuse => assert_eq!(says(kind, number, [0, 0]), EPERM, "{number}"),
                    Rule::Unknown => assert_eq!(says(kind, number, [0, 0]), ENOSYS, "{number}"),
                    Rule::RefuseBits(..) => {
                        assert_eq!(says(kind, number, [0x1000_0000 | 17, 0]), EPERM);
                        assert_eq!(says(kind, number, [17, 0]), ALLOW, "a plain fork");
                    }
                    Rule::RefuseValues(field, values) => {
                        for value in *values {
                            let arguments = if *field == ARGUMENT_0 { [*value, 0] } else { [0, *value] };
                            assert_eq!(says(kind, number, arguments), EPERM);
                        }
                        assert_eq!(says(kind, number, [1, 1]), ALLOW);
                    }
                }
            }
        }
        assert_eq!([says(X86_64, 0, [0, 0]), says(X86_64, 102, [1, 0]), says(I386, 3, [0, 0])], [ALLOW; 3]);
        assert_eq!([says(I386, 102, [1, 0]), says(I386, 102, [2, 0])], [EPERM, ALLOW]);
    }

    #[test]
    fn what_is_unknown_is_unknown() {
        assert_eq!(says(X86_64, X32 | 1, [0, 0]), ENOSYS);
        assert_eq!(says(0xc000_00b7, 0, [0, 0]), ENOSYS, "another machine's calls");
    }
}
