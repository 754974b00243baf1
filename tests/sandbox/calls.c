// System calls that no build may make with success, in 64 and 32 bits; run inside the sandbox, linked statically.
// Prints `ok NAME` or `FAIL NAME: what`; status 1 when anything failed. With the argument `crash` it dies of SIGSEGV.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int failed;

static void is(const char *name, long result, int wanted) {
    int found = result < 0 ? errno : 0;
    if (found == wanted) {
        printf("ok %s\n", name);
    } else {
        printf("FAIL %s: %s, want %s\n", name, strerror(found), strerror(wanted));
        failed = 1;
    }
}

#ifdef __x86_64__
// A call by its number for i386 programs: the kernel takes these from any process.
static long i386(long number, long a, long b, long c) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory", "r8", "r9", "r10", "r11");
    if (result < 0) {
        errno = (int)-result;
        return -1;
    }
    return result;
}
#endif

int main(int count, char **words) {
    if (count > 1 && !strcmp(words[1], "crash")) {
        raise(SIGSEGV); // Process 1 is spared by signals it sends itself, ...
        *(volatile char *)0 = 1; // ... not by real faults.
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    is("keyctl", syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 1), EPERM);
    is("add_key", syscall(SYS_add_key, "user", "x", "y", 1, KEY_SPEC_USER_KEYRING), EPERM);
    is("unshare", unshare(CLONE_NEWUSER), EPERM);
    is("clone", syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0), EPERM);
    is("clone3", syscall(SYS_clone3, NULL, 0), ENOSYS);
    is("vsock", socket(AF_VSOCK, SOCK_STREAM, 0), EPERM);
    is("bpf", syscall(SYS_bpf, 0, NULL, 0), EPERM);
    is("perf", syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0), EPERM);
    is("io_uring", syscall(425, 1, NULL), EPERM);
    is("userfaultfd", syscall(SYS_userfaultfd, 0), EPERM);
    is("typing", ioctl(0, TIOCSTI, "x"), EPERM);
    is("fork", fork() == 0 ? (_exit(0), 0) : wait(NULL), 0);
    is("unix-socket", socket(AF_UNIX, SOCK_STREAM, 0), 0);
    is("inet-socket", socket(AF_INET, SOCK_STREAM, 0), 0);
#ifdef __x86_64__
    long known = i386(20, 0, 0, 0); // getpid
    if (known > 0) {
        is("keyctl-32", i386(288, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 1), EPERM);
        is("unshare-32", i386(310, CLONE_NEWUSER, 0, 0), EPERM);
        is("vsock-32", i386(359, AF_VSOCK, SOCK_STREAM, 0), EPERM);
        is("socketcall-32", i386(102, 1, 0, 0), EPERM);
    } else {
        printf("ok no-32-bit-calls-here\n");
    }
    is("x32", syscall(0x40000000 + SYS_getpid), ENOSYS);
#endif
    return failed;
}
