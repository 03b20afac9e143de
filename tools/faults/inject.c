/* A library for LD_PRELOAD that makes one system call of a program fail: the n-th of those on files below given
 * folders. `injection.rs` compiles it, starts the program with it and reads its log.
 *
 *   FAULT_ROOTS    folders, separated by ':'; calls on other files are passed on and not counted
 *   FAULT_CLASSES  which calls count: a sum of the constants below
 *   FAULT_AT       the number of the call that fails, from 1; 0 lists all calls in the log instead
 *   FAULT_ONWARD   1: all counted calls from there on fail
 *   FAULT_ACTION   an error number, or `short`, `end`, `kill`: see `enum action`
 *   FAULT_LOG      a file outside of the folders that lines are appended to: "call 0 NAME PATH", "hit NUMBER NAME
 *                  PATH", or "unable" and a reason where the system does not allow what is needed
 *
 * A seccomp filter lets the kernel hand each file call to the handler of SIGSYS here, whoever makes it: the
 * program, the C library, or code that makes system calls by itself. The handler makes the call from
 * `call_kernel`, which the filter lets through, or does not make it. Linux on x86-64 and aarch64. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <ucontext.h>

enum {
    OPENS = 1,  /* needs a new descriptor: EMFILE */
    WRITES = 2, /* may need room on disk: ENOSPC, EDQUOT */
    READS = 4,  /* may say that the file ends here */
    WAITS = 8,  /* a signal may interrupt it: EINTR */
    MOVES = 16, /* may read or write fewer bytes than asked for */
    ANY = 32,   /* every call */
};

enum action {
    FAIL,  /* it returns an error */
    SHORT, /* it reads or writes half of the bytes */
    END,   /* it reads nothing, as at the end of a file */
    KILL,  /* the process dies before it */
};

/* Which arguments say what a call is about. */
enum about { FD, PATH, AT_PATH, LINK, LINK_AT, MAP, COPY, SENDFILE, LOCKS };

struct call {
    int number;
    const char *name;
    int classes;
    enum about about;
};
#define CALL(name, classes, about) {SYS_##name, #name, (classes) | ANY, about}
#define READ (READS | WAITS | MOVES)
#define WRITE (WRITES | WAITS | MOVES)
static const struct call calls[] = {
#ifdef SYS_open /* Newer systems have the forms with a folder only. */
    CALL(open, OPENS | WAITS, PATH), CALL(creat, OPENS | WRITES | WAITS, PATH), CALL(stat, 0, PATH),
    CALL(lstat, 0, PATH), CALL(access, 0, PATH), CALL(rename, WRITES, PATH), CALL(link, WRITES, PATH),
    CALL(unlink, 0, PATH), CALL(rmdir, 0, PATH), CALL(mkdir, WRITES, PATH), CALL(readlink, 0, PATH),
    CALL(chmod, 0, PATH), CALL(chown, 0, PATH), CALL(lchown, 0, PATH), CALL(symlink, WRITES, LINK),
    CALL(renameat, WRITES, AT_PATH), CALL(mknod, WRITES, PATH),
#endif
    CALL(openat, OPENS | WAITS, AT_PATH), CALL(openat2, OPENS | WAITS | WRITES, AT_PATH),
    CALL(newfstatat, 0, AT_PATH), CALL(statx, 0, AT_PATH), CALL(faccessat, 0, AT_PATH),
    CALL(faccessat2, 0, AT_PATH), CALL(renameat2, WRITES, AT_PATH), CALL(linkat, WRITES, AT_PATH),
    CALL(unlinkat, 0, AT_PATH), CALL(mkdirat, WRITES, AT_PATH), CALL(readlinkat, 0, AT_PATH),
    CALL(fchmodat, 0, AT_PATH), CALL(fchownat, 0, AT_PATH), CALL(utimensat, 0, AT_PATH),
    CALL(mknodat, WRITES, AT_PATH), CALL(symlinkat, WRITES, LINK_AT), CALL(truncate, WRITES, PATH),
    CALL(statfs, 0, PATH), CALL(getxattr, 0, PATH), CALL(listxattr, 0, PATH),
    CALL(read, READ, FD), CALL(pread64, READ, FD), CALL(readv, READ, FD), CALL(preadv, READ, FD),
    CALL(write, WRITE, FD), CALL(pwrite64, WRITE, FD), CALL(writev, WRITE, FD), CALL(pwritev, WRITE, FD),
    CALL(copy_file_range, WRITES | MOVES, COPY), CALL(sendfile, WRITES | MOVES, SENDFILE),
    CALL(getdents64, 0, FD), CALL(fstat, 0, FD), CALL(fstatfs, 0, FD), CALL(lseek, 0, FD),
    CALL(fsync, WRITES | WAITS, FD), CALL(fdatasync, WRITES | WAITS, FD), CALL(syncfs, WRITES, FD),
    CALL(ftruncate, WRITES | WAITS, FD), CALL(fallocate, WRITES | WAITS, FD), CALL(fchmod, 0, FD),
    CALL(fchown, 0, FD), CALL(fgetxattr, 0, FD), CALL(fsetxattr, WRITES, FD), CALL(flistxattr, 0, FD),
    CALL(flock, WAITS, FD), CALL(fcntl, WAITS, LOCKS), CALL(mmap, 0, MAP),
};
enum { CALLS = sizeof calls / sizeof *calls };

static char roots[PATH_MAX];
static long at, onward, counted_classes, error_number, log_descriptor = -1;
static enum action action;
static atomic_long counted;

/* Like the C library's `syscall`, but the error is the result. The filter knows it by `after_call`. */
long call_kernel(long number, long a, long b, long c, long d, long e, long f);
extern const char after_call[];
#if defined(__x86_64__)
__asm__(".text\n.globl call_kernel\n.hidden call_kernel\n.hidden after_call\ncall_kernel:\n"
        "mov %rdi, %rax\nmov %rsi, %rdi\nmov %rdx, %rsi\nmov %rcx, %rdx\n"
        "mov %r8, %r10\nmov %r9, %r8\nmov 8(%rsp), %r9\nsyscall\n"
        ".globl after_call\nafter_call:\nret\n");
#define ARCHITECTURE 0xC000003E
#define REGISTER(i) context->uc_mcontext.gregs[(const int[]){REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8, REG_R9}[i]]
#define RESULT context->uc_mcontext.gregs[REG_RAX]
#elif defined(__aarch64__)
__asm__(".text\n.globl call_kernel\n.hidden call_kernel\n.hidden after_call\ncall_kernel:\n"
        "mov x8, x0\nmov x0, x1\nmov x1, x2\nmov x2, x3\nmov x3, x4\nmov x4, x5\nmov x5, x6\nsvc 0\n"
        ".globl after_call\nafter_call:\nret\n");
#define ARCHITECTURE 0xC00000B7
#define REGISTER(i) context->uc_mcontext.regs[i]
#define RESULT context->uc_mcontext.regs[0]
#else
#error "this processor's system calls are not known here"
#endif

static void say(const char *format, ...) {
    char line[PATH_MAX + 100];
    va_list list;
    va_start(list, format);
    int length = vsnprintf(line, sizeof line, format, list);
    va_end(list);
    if (length >= (int)sizeof line) length = sizeof line - 1;
    call_kernel(SYS_write, log_descriptor, (long)line, length, 0, 0, 0);
}

static int below_a_root(const char *path) {
    for (const char *root = roots; *root;) {
        size_t length = strcspn(root, ":");
        if (!strncmp(path, root, length) && (path[length] == '/' || !path[length])) return 1;
        root += length + (root[length] == ':');
    }
    return 0;
}

/* The absolute path of `path` in the folder of `fd`, or of `fd` itself; links and ".." stay. */
static void resolve(int fd, const char *path, char *whole) {
    if (path && path[0] == '/') {
        snprintf(whole, PATH_MAX, "%s", path);
        return;
    }
    char link[40];
    if (fd == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
    else snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    long length = call_kernel(SYS_readlinkat, AT_FDCWD, (long)link, (long)whole, PATH_MAX - 1, 0, 0);
    if (length < 0) length = 0;
    whole[length] = 0;
    if (path && path[0]) snprintf(whole + length, PATH_MAX - length, "/%s", path);
}

/* Whether the call counts, its classes, and the path that it is about. */
static int look_at(const struct call *call, const long *a, int *classes, char *whole) {
    *classes = call->classes;
    int creates = (call->number == SYS_openat && (a[2] & O_CREAT));
#ifdef SYS_open
    creates |= call->number == SYS_open && (a[1] & O_CREAT);
#endif
    if (creates) *classes |= WRITES;
    switch (call->about) {
    case FD: resolve(a[0], NULL, whole); break;
    case PATH: resolve(AT_FDCWD, (char *)a[0], whole); break;
    case AT_PATH: resolve(a[0], (char *)a[1], whole); break;
    case LINK: resolve(AT_FDCWD, (char *)a[1], whole); break;
    case LINK_AT: resolve(a[1], (char *)a[2], whole); break;
    case MAP: resolve(a[4], NULL, whole); break;
    case COPY: resolve(a[2], NULL, whole); break;
    case SENDFILE: resolve(a[0], NULL, whole); break;
    case LOCKS: {
        int command = a[1];
        int locks = command == F_SETLK || command == F_SETLKW || command == F_OFD_SETLK || command == F_OFD_SETLKW;
        if (command == F_DUPFD || command == F_DUPFD_CLOEXEC) *classes |= OPENS;
        else if (!locks) return 0;
        resolve(a[0], NULL, whole);
    }
    }
    return (*classes & counted_classes) && below_a_root(whole);
}

/* Makes the call with half of its bytes. */
static long half(const struct call *call, long *a) {
    struct iovec first;
    switch (call->number) {
    case SYS_readv:
    case SYS_writev:
    case SYS_preadv:
    case SYS_pwritev:
        if (a[2] < 1) break;
        first = *(struct iovec *)a[1];
        first.iov_len = (first.iov_len + 1) / 2;
        return call_kernel(call->number, a[0], (long)&first, 1, a[3], a[4], a[5]);
    case SYS_copy_file_range: a[4] = (a[4] + 1) / 2; break;
    case SYS_sendfile: a[3] = (a[3] + 1) / 2; break;
    default: a[2] = (a[2] + 1) / 2;
    }
    return call_kernel(call->number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static long handle(const struct call *call, long *a) {
    char whole[PATH_MAX];
    int classes;
    if (look_at(call, a, &classes, whole)) {
        long number = atomic_fetch_add(&counted, 1) + 1;
        if (!at) say("call 0 %s %s\n", call->name, whole);
        if (at && (number == at || (number > at && onward))) {
            if (number == at) say("hit %ld %s %s\n", number, call->name, whole);
            switch (action) {
            case FAIL: return -error_number;
            case SHORT: return half(call, a);
            case END: return 0;
            case KILL: call_kernel(SYS_kill, call_kernel(SYS_getpid, 0, 0, 0, 0, 0, 0), SIGKILL, 0, 0, 0, 0);
            }
        }
    }
    return call_kernel(call->number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static void on_call(int signal, siginfo_t *about, void *registers) {
    (void)signal;
    ucontext_t *context = registers;
    long a[6];
    for (int i = 0; i < 6; i++) a[i] = REGISTER(i);
    for (int i = 0; i < CALLS; i++) {
        if (calls[i].number == about->si_syscall) RESULT = handle(&calls[i], a);
    }
}

/* Hands the calls above to `on_call`, but for those that it makes itself, and memory that is no file. */
static const char *install(void) {
    struct sigaction handler = {.sa_sigaction = on_call, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_RESTART};
    if (sigaction(SIGSYS, &handler, NULL)) return "sigaction failed";
    uint64_t own = (uintptr_t)after_call;
    struct sock_filter filter[12 + CALLS];
    int n = 0;
#define LOAD(field, part) \
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field) + part)
#define IF_EQUAL(value, yes, no) \
    filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(value), yes, no)
#define RETURN(what) filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, what)
    LOAD(arch, 0);
    IF_EQUAL(ARCHITECTURE, 0, 8 + CALLS);
    LOAD(instruction_pointer, 0);
    IF_EQUAL(own, 0, 2);
    LOAD(instruction_pointer, 4);
    IF_EQUAL(own >> 32, 4 + CALLS, 0);
    LOAD(nr, 0);
    IF_EQUAL(SYS_mmap, 0, 2);
    LOAD(args[4], 0);
    IF_EQUAL(-1, CALLS, CALLS + 1);
    for (int i = 0; i < CALLS; i++) IF_EQUAL(calls[i].number, CALLS - i, 0);
    RETURN(SECCOMP_RET_ALLOW);
    RETURN(SECCOMP_RET_TRAP);
    struct sock_fprog program = {.len = n, .filter = filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return "prctl(PR_SET_NO_NEW_PRIVS) failed";
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0)) return "prctl(PR_SET_SECCOMP) failed";
    return NULL;
}

static long number_in(const char *name) {
    const char *text = getenv(name);
    return text ? strtol(text, NULL, 10) : 0;
}

__attribute__((constructor)) static void begin(void) {
    const char *file = getenv("FAULT_LOG"), *folders = getenv("FAULT_ROOTS"), *what = getenv("FAULT_ACTION");
    if (!file || !folders) return;
    long flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC;
    log_descriptor = call_kernel(SYS_openat, AT_FDCWD, (long)file, flags, 0666, 0, 0);
    snprintf(roots, sizeof roots, "%s", folders);
    at = number_in("FAULT_AT");
    onward = number_in("FAULT_ONWARD");
    counted_classes = number_in("FAULT_CLASSES");
    error_number = number_in("FAULT_ACTION");
    action = !what || error_number ? FAIL : *what == 's' ? SHORT : *what == 'e' ? END : KILL;
    const char *failed = install();
    if (failed) say("unable 0 %s: %d\n", failed, errno);
}
