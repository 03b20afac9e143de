/* A library for LD_PRELOAD that makes one call of a program fail: the n-th of those that touch files below
 * given folders. `injection.rs` compiles it, starts the program with it and reads its log.
 *
 *   FAULT_ROOTS    folders, separated by ':'; calls on other files are passed on and not counted
 *   FAULT_CLASSES  which calls count: a sum of the constants below
 *   FAULT_AT       the number of the call that fails, from 1; 0 lists all calls in the log instead
 *   FAULT_ONWARD   1: all calls from there on fail
 *   FAULT_ACTION   an error number, or `short`, `end`, `kill`: see `act`
 *   FAULT_LOG      a file outside of the folders that lines are appended to: "call CLASSES NAME PATH",
 *                  "hit NUMBER NAME PATH", and at the end "total NUMBER"
 *
 * Files are told by the kernel's own table (/proc/self/fd), so descriptors need no bookkeeping here. System
 * calls that a program makes without the C library are not seen. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    OPENS = 1,  /* needs a new descriptor: EMFILE */
    WRITES = 2, /* may need room on disk: ENOSPC, EDQUOT */
    READS = 4,  /* moves bytes out of a file, and could say that there are none left */
    WAITS = 8,  /* a signal may interrupt it: EINTR */
    MOVES = 16, /* a read or write that may move fewer bytes than asked for */
    OTHER = 32,
};
enum action { FAIL, SHORT, END, KILL };

static char *roots;
static long at, onward, classes_counted, error_number;
static enum action action;
static int log_descriptor = -1;
static atomic_long counted;

static void *real(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) {
        fprintf(stderr, "interpose.c: the C library has no %s\n", name);
        abort();
    }
    return found;
}
#define REAL(name) \
    static __typeof__(&name) next; \
    if (!next) next = (__typeof__(&name))real(#name)

/* The C library's own, past the function of this name below. */
static long raw(long number, long a, long b, long c, long d) {
    REAL(syscall);
    return next(number, a, b, c, d);
}

static void say(const char *format, ...) {
    char line[PATH_MAX + 100];
    va_list list;
    va_start(list, format);
    int length = vsnprintf(line, sizeof line, format, list);
    va_end(list);
    if (log_descriptor < 0 || length < 0) return;
    if (length >= (int)sizeof line) length = sizeof line - 1;
    int kept = errno;
    raw(SYS_write, log_descriptor, (long)line, length, 0);
    errno = kept;
}

static long number_in(const char *name) {
    const char *text = getenv(name);
    return text ? strtol(text, NULL, 10) : 0;
}

__attribute__((constructor)) static void begin(void) {
    const char *file = getenv("FAULT_LOG"), *what = getenv("FAULT_ACTION");
    if (!file || !getenv("FAULT_ROOTS")) return;
    log_descriptor =
        raw(SYS_openat, AT_FDCWD, (long)file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (log_descriptor < 0) {
        fprintf(stderr, "interpose.c: cannot write %s\n", file);
        abort();
    }
    at = number_in("FAULT_AT");
    onward = number_in("FAULT_ONWARD");
    classes_counted = number_in("FAULT_CLASSES");
    error_number = number_in("FAULT_ACTION");
    action = !what || error_number ? FAIL : *what == 's' ? SHORT : *what == 'e' ? END : KILL;
    roots = strdup(getenv("FAULT_ROOTS"));
}

__attribute__((destructor)) static void end(void) {
    if (roots) say("total %ld\n", atomic_load(&counted));
}

static int below_a_root(const char *path) {
    for (const char *root = roots; root && *root;) {
        size_t length = strcspn(root, ":");
        if (!strncmp(path, root, length) && (path[length] == '/' || !path[length])) return 1;
        root += length + (root[length] == ':');
    }
    return 0;
}

/* The absolute path of `path` in the folder of `descriptor`; links and ".." stay. */
static const char *resolve(int descriptor, const char *path, char *buffer) {
    if (path && path[0] == '/') return path;
    char link[40];
    if (descriptor == AT_FDCWD) strcpy(link, "/proc/self/cwd");
    else snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    int kept = errno;
    long length = raw(SYS_readlinkat, AT_FDCWD, (long)link, (long)buffer, PATH_MAX);
    errno = kept;
    if (length < 0) length = 0;
    if (path && path[0]) snprintf(buffer + length, PATH_MAX, "/%s", path);
    else buffer[length] = 0;
    return buffer;
}

/* Whether this call is one that something happens to. `path` is NULL where there is only a descriptor. */
static int counts(int classes, const char *name, int descriptor, const char *path) {
    if (!roots || !(classes & classes_counted)) return 0;
    char buffer[2 * PATH_MAX];
    const char *whole = resolve(descriptor, path, buffer);
    if (!below_a_root(whole)) return 0;
    long number = atomic_fetch_add(&counted, 1) + 1;
    if (!at) say("call %d %s %s\n", classes, name, whole);
    if (!at || number < at || (number > at && !onward)) return 0;
    if (number == at) say("hit %ld %s %s\n", number, name, whole);
    if (action == KILL) {
        raw(SYS_kill, getpid(), SIGKILL, 0, 0);
    }
    errno = error_number;
    return 1;
}

/* For a call that fails or does not. */
#define FAILS(classes, name, descriptor, path) (counts((classes) | OTHER, name, descriptor, path))

/* For a call that moves bytes: -1 where it fails, else how many of `count` bytes it is to move. */
static ssize_t act(int classes, const char *name, int descriptor, size_t count) {
    if (!counts(classes | MOVES | OTHER, name, descriptor, NULL)) return count;
    if (action == END) return 0;
    if (action == SHORT) return (count + 1) / 2;
    return -1;
}
#define MOVE(classes, name) \
    ssize_t allowed = act(classes, name, fd, count); \
    if (allowed < 0 || (!allowed && count)) return allowed

#define MODE(last) \
    mode_t mode = 0; \
    if (flags & (O_CREAT | O_TMPFILE)) { \
        va_list list; \
        va_start(list, last); \
        mode = va_arg(list, mode_t); \
        va_end(list); \
    }
#define OPEN_CLASSES (OPENS | WAITS | (flags & O_CREAT ? WRITES : 0))

#define DEFINE_OPEN(name) \
    int name(const char *path, int flags, ...) { \
        REAL(name); \
        MODE(flags) \
        return FAILS(OPEN_CLASSES, #name, AT_FDCWD, path) ? -1 : next(path, flags, mode); \
    }
#define DEFINE_OPENAT(name) \
    int name(int folder, const char *path, int flags, ...) { \
        REAL(name); \
        MODE(flags) \
        return FAILS(OPEN_CLASSES, #name, folder, path) ? -1 : next(folder, path, flags, mode); \
    }
DEFINE_OPEN(open)
DEFINE_OPEN(open64)
DEFINE_OPENAT(openat)
DEFINE_OPENAT(openat64)

#define DEFINE_FOPEN(name) \
    FILE *name(const char *path, const char *mode) { \
        REAL(name); \
        int writes = mode[0] == 'r' ? 0 : WRITES; \
        return FAILS(OPENS | WAITS | writes, #name, AT_FDCWD, path) ? NULL : next(path, mode); \
    }
DEFINE_FOPEN(fopen)
DEFINE_FOPEN(fopen64)

/* Calls on one path: their parameters, and the same as arguments. */
#define ON_PATH(type, name, classes, failed, parameters, arguments) \
    type name parameters { \
        REAL(name); \
        return FAILS(classes, #name, AT_FDCWD, path) ? failed : next arguments; \
    }
#define ON_PATH_AT(type, name, classes, parameters, arguments) \
    type name parameters { \
        REAL(name); \
        return FAILS(classes, #name, folder, path) ? -1 : next arguments; \
    }
#define ON_DESCRIPTOR(type, name, classes, failed, parameters, arguments) \
    type name parameters { \
        REAL(name); \
        return FAILS(classes, #name, fd, NULL) ? failed : next arguments; \
    }

ON_PATH(int, creat, OPENS | WRITES | WAITS, -1, (const char *path, mode_t mode), (path, mode))
ON_PATH(DIR *, opendir, OPENS, NULL, (const char *path), (path))
ON_PATH(int, mkdir, WRITES, -1, (const char *path, mode_t mode), (path, mode))
ON_PATH(int, rmdir, 0, -1, (const char *path), (path))
ON_PATH(int, unlink, 0, -1, (const char *path), (path))
ON_PATH(int, access, 0, -1, (const char *path, int mode), (path, mode))
ON_PATH(int, chmod, 0, -1, (const char *path, mode_t mode), (path, mode))
ON_PATH(int, chown, 0, -1, (const char *path, uid_t user, gid_t group), (path, user, group))
ON_PATH(int, lchown, 0, -1, (const char *path, uid_t user, gid_t group), (path, user, group))
ON_PATH(int, truncate, WRITES, -1, (const char *path, off_t length), (path, length))
ON_PATH(int, truncate64, WRITES, -1, (const char *path, off64_t length), (path, length))
ON_PATH(int, stat, 0, -1, (const char *path, struct stat *about), (path, about))
ON_PATH(int, stat64, 0, -1, (const char *path, struct stat64 *about), (path, about))
ON_PATH(int, lstat, 0, -1, (const char *path, struct stat *about), (path, about))
ON_PATH(int, lstat64, 0, -1, (const char *path, struct stat64 *about), (path, about))
ON_PATH(char *, realpath, 0, NULL, (const char *path, char *out), (path, out))
ON_PATH(ssize_t, readlink, 0, -1, (const char *path, char *out, size_t size), (path, out, size))

ON_PATH_AT(int, mkdirat, WRITES, (int folder, const char *path, mode_t mode), (folder, path, mode))
ON_PATH_AT(int, unlinkat, 0, (int folder, const char *path, int flags), (folder, path, flags))
ON_PATH_AT(int, faccessat, 0, (int folder, const char *path, int mode, int flags), (folder, path, mode, flags))
ON_PATH_AT(int, fchmodat, 0, (int folder, const char *path, mode_t mode, int flags), (folder, path, mode, flags))
ON_PATH_AT(int, fchownat, 0, (int folder, const char *path, uid_t user, gid_t group, int flags),
           (folder, path, user, group, flags))
ON_PATH_AT(int, fstatat, 0, (int folder, const char *path, struct stat *about, int flags),
           (folder, path, about, flags))
ON_PATH_AT(int, fstatat64, 0, (int folder, const char *path, struct stat64 *about, int flags),
           (folder, path, about, flags))
ON_PATH_AT(int, statx, 0, (int folder, const char *path, int flags, unsigned mask, struct statx *about),
           (folder, path, flags, mask, about))
ON_PATH_AT(ssize_t, readlinkat, 0, (int folder, const char *path, char *out, size_t size),
           (folder, path, out, size))

ON_DESCRIPTOR(DIR *, fdopendir, 0, NULL, (int fd), (fd))
ON_DESCRIPTOR(int, fstat, 0, -1, (int fd, struct stat *about), (fd, about))
ON_DESCRIPTOR(int, fstat64, 0, -1, (int fd, struct stat64 *about), (fd, about))
ON_DESCRIPTOR(int, fsync, WRITES | WAITS, -1, (int fd), (fd))
ON_DESCRIPTOR(int, fdatasync, WRITES | WAITS, -1, (int fd), (fd))
ON_DESCRIPTOR(int, syncfs, WRITES, -1, (int fd), (fd))
ON_DESCRIPTOR(int, ftruncate, WRITES | WAITS, -1, (int fd, off_t length), (fd, length))
ON_DESCRIPTOR(int, ftruncate64, WRITES | WAITS, -1, (int fd, off64_t length), (fd, length))
ON_DESCRIPTOR(int, fchmod, 0, -1, (int fd, mode_t mode), (fd, mode))
ON_DESCRIPTOR(int, fchown, 0, -1, (int fd, uid_t user, gid_t group), (fd, user, group))
ON_DESCRIPTOR(int, futimens, 0, -1, (int fd, const struct timespec times[2]), (fd, times))
ON_DESCRIPTOR(int, flock, WAITS, -1, (int fd, int operation), (fd, operation))
ON_DESCRIPTOR(off_t, lseek, 0, -1, (int fd, off_t offset, int whence), (fd, offset, whence))
ON_DESCRIPTOR(off64_t, lseek64, 0, -1, (int fd, off64_t offset, int whence), (fd, offset, whence))
ON_DESCRIPTOR(int, fallocate, WRITES, -1, (int fd, int mode, off_t from, off_t length), (fd, mode, from, length))

/* Calls on two paths count by the first. */
ON_PATH(int, rename, WRITES, -1, (const char *path, const char *to), (path, to))
ON_PATH(int, link, WRITES, -1, (const char *path, const char *to), (path, to))
ON_PATH_AT(int, renameat, WRITES, (int folder, const char *path, int into, const char *to), (folder, path, into, to))
ON_PATH_AT(int, renameat2, WRITES, (int folder, const char *path, int into, const char *to, unsigned flags),
           (folder, path, into, to, flags))
ON_PATH_AT(int, linkat, WRITES, (int folder, const char *path, int into, const char *to, int flags),
           (folder, path, into, to, flags))

int symlink(const char *target, const char *path) {
    REAL(symlink);
    return FAILS(WRITES, "symlink", AT_FDCWD, path) ? -1 : next(target, path);
}

int symlinkat(const char *target, int folder, const char *path) {
    REAL(symlinkat);
    return FAILS(WRITES, "symlinkat", folder, path) ? -1 : next(target, folder, path);
}

#define DEFINE_READDIR(name, entry) \
    entry *name(DIR *folder) { \
        REAL(name); \
        return FAILS(0, #name, dirfd(folder), NULL) ? NULL : next(folder); \
    }
DEFINE_READDIR(readdir, struct dirent)
DEFINE_READDIR(readdir64, struct dirent64)

#define DEFINE_MMAP(name, offset_type) \
    void *name(void *address, size_t length, int protection, int flags, int fd, offset_type offset) { \
        REAL(name); \
        if (fd >= 0 && FAILS(0, #name, fd, NULL)) return MAP_FAILED; \
        return next(address, length, protection, flags, fd, offset); \
    }
DEFINE_MMAP(mmap, off_t)
DEFINE_MMAP(mmap64, off64_t)

/* Locks through fcntl; its other commands cannot fail this way. */
#define DEFINE_FCNTL(name) \
    int name(int fd, int command, ...) { \
        REAL(name); \
        va_list list; \
        va_start(list, command); \
        void *argument = va_arg(list, void *); \
        va_end(list); \
        int locks = command == F_SETLK || command == F_SETLKW || command == F_OFD_SETLK || command == F_OFD_SETLKW; \
        if (locks && FAILS(WAITS, #name, fd, NULL)) return -1; \
        if ((command == F_DUPFD || command == F_DUPFD_CLOEXEC) && FAILS(OPENS, #name, fd, NULL)) return -1; \
        return next(fd, command, argument); \
    }
DEFINE_FCNTL(fcntl)
DEFINE_FCNTL(fcntl64)

#define DEFINE_MOVE(name, classes, parameters, arguments) \
    ssize_t name parameters { \
        REAL(name); \
        MOVE(classes, #name); \
        return next arguments; \
    }
#define IN (READS | WAITS)
#define OUT (WRITES | WAITS)
DEFINE_MOVE(read, IN, (int fd, void *to, size_t count), (fd, to, allowed))
DEFINE_MOVE(write, OUT, (int fd, const void *from, size_t count), (fd, from, allowed))
DEFINE_MOVE(pread, IN, (int fd, void *to, size_t count, off_t offset), (fd, to, allowed, offset))
DEFINE_MOVE(pread64, IN, (int fd, void *to, size_t count, off64_t offset), (fd, to, allowed, offset))
DEFINE_MOVE(pwrite, OUT, (int fd, const void *from, size_t count, off_t offset), (fd, from, allowed, offset))
DEFINE_MOVE(pwrite64, OUT, (int fd, const void *from, size_t count, off64_t offset), (fd, from, allowed, offset))

/* Several buffers in one call; fewer bytes means the first buffer alone. */
#define DEFINE_VECTOR(name, classes) \
    ssize_t name(int fd, const struct iovec *parts, int n) { \
        REAL(name); \
        size_t count = n > 0 ? parts[0].iov_len + (n > 1) : 0; \
        MOVE(classes, #name); \
        return next(fd, parts, (size_t)allowed < count ? 1 : n); \
    }
DEFINE_VECTOR(readv, IN)
DEFINE_VECTOR(writev, OUT)

ssize_t copy_file_range(int from, off64_t *from_at, int fd, off64_t *to_at, size_t count, unsigned flags) {
    REAL(copy_file_range);
    MOVE(OUT, "copy_file_range");
    return next(from, from_at, fd, to_at, allowed, flags);
}

ssize_t sendfile64(int fd, int from, off64_t *offset, size_t count) {
    REAL(sendfile64);
    MOVE(OUT, "sendfile64");
    return next(fd, from, offset, allowed);
}

/* Calls that a program makes by number. */
long syscall(long number, ...) {
    REAL(syscall);
    va_list list;
    va_start(list, number);
    long a = va_arg(list, long), b = va_arg(list, long), c = va_arg(list, long);
    long d = va_arg(list, long), e = va_arg(list, long), f = va_arg(list, long);
    va_end(list);
    int fails = 0;
    switch (number) {
    case SYS_openat: fails = FAILS(OPENS | WAITS | (c & O_CREAT ? WRITES : 0), "syscall_openat", a, (char *)b); break;
    case SYS_statx: fails = FAILS(0, "syscall_statx", a, (char *)b); break;
    case SYS_renameat2: fails = FAILS(WRITES, "syscall_renameat2", a, (char *)b); break;
    case SYS_copy_file_range: fails = FAILS(WRITES, "syscall_copy_file_range", c, NULL); break;
    case SYS_read: fails = FAILS(WAITS, "syscall_read", a, NULL); break;
    case SYS_write: fails = FAILS(OUT, "syscall_write", a, NULL); break;
    }
    return fails ? -1 : next(number, a, b, c, d, e, f);
}
