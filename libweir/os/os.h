/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_OS_OS_H
#define WR_OS_OS_H

/*
 * The kernel as the library sees it: one thin function per system call, and nothing else in the library
 * calls the kernel (a link check on the symbols of all other objects enforces it).
 *
 * Two bodies, chosen at link time: os_linux (the real kernel) and sim/os_sim (a simulated one, driven by a
 * seed, where a "process" is a coroutine of the test program).
 *
 * 1. Every function returns 0 or a positive result, or -errno. errno itself is not part of the contract.
 * 2. EINTR does not surface: the call is repeated, except wr_os_epoll_wait, which returns 0 events.
 * 3. Every descriptor is born close-on-exec; sockets, pipes and eventfds are non-blocking unless asked.
 * 4. wr_os_close always releases the descriptor; its error (a late write error) is reported, not retried.
 * 5. Processes share no memory but what wr_os_map_shared maps: no static variable may carry state
 *    between them, and none may carry a process's own state (two simulated processes share statics).
 */

#include "libweir/base/compiler.h"

#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

struct signalfd_siginfo;
struct wr_heap; /* base/heap.h */

/* ---- time, randomness, memory ------------------------------------------------------------------ */
uint64_t wr_os_now_ns(
    clockid_t clock); /* CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_THREAD_CPUTIME_ID ... */
int wr_os_sleep_ns(uint64_t ns); /* processes without a loop only; never in a worker */
int wr_os_random(void *out, size_t n);

/* The heap of this process: malloc on Linux; in the simulator a heap of its own that can refuse. */
const struct wr_heap *wr_os_heap(void);

void *wr_os_map(size_t n) WR_MUST; /* anonymous, zeroed, page-aligned; NULL at the limit */
void *wr_os_map_shared(int fd, size_t n, bool writable) WR_MUST;
int wr_os_unmap(void *p, size_t n);
int wr_os_madvise(void *p, size_t n, int advice);
int wr_os_mprotect(void *p, size_t n, int prot);
int wr_os_memfd(const char *name, size_t size) WR_MUST; /* sealed against shrinking */

/* ---- readiness ------------------------------------------------------------------------------------ */
int wr_os_epoll_create(void) WR_MUST;
int wr_os_epoll_ctl(int ep, int op, int fd, struct epoll_event *ev) WR_MUST;
int wr_os_epoll_wait(int ep, struct epoll_event *evs, int max, int timeout_ms) WR_MUST;
int wr_os_eventfd(unsigned value, int flags)
    WR_MUST; /* flags: EFD_SEMAPHORE; blocking only with WR_OS_BLOCKING */
#define WR_OS_BLOCKING 0x40000000
int wr_os_eventfd_add(int fd, uint64_t n); /* -EAGAIN when the counter is full */
int wr_os_eventfd_take(int fd, uint64_t *out) WR_MUST;

/* ---- sockets --------------------------------------------------------------------------------------- */
int wr_os_socket(int family, int type,
                 int protocol) WR_MUST; /* type may carry WR_OS_BLOCKING */
int wr_os_socketpair(int family, int type, int fds[2]) WR_MUST;
int wr_os_bind(int fd, const struct sockaddr *sa, socklen_t n) WR_MUST;
int wr_os_listen(int fd, int backlog) WR_MUST;
int wr_os_accept(int fd, struct sockaddr *sa,
                 socklen_t *n) WR_MUST; /* accept4: non-blocking, cloexec */
int wr_os_connect(int fd, const struct sockaddr *sa, socklen_t n) WR_MUST;
int wr_os_shutdown(int fd, int how);
int wr_os_getsockopt(int fd, int level, int opt, void *val, socklen_t *n) WR_MUST;
int wr_os_setsockopt(int fd, int level, int opt, const void *val, socklen_t n);
int wr_os_getsockname(int fd, struct sockaddr *sa, socklen_t *n) WR_MUST;
int wr_os_getpeername(int fd, struct sockaddr *sa, socklen_t *n) WR_MUST;
ssize_t wr_os_recv(int fd, void *p, size_t n, int flags) WR_MUST;
ssize_t wr_os_send(int fd, const void *p, size_t n,
                   int flags) WR_MUST; /* MSG_NOSIGNAL is added */
ssize_t wr_os_recvmsg(int fd, struct msghdr *m,
                      int flags) WR_MUST; /* MSG_CMSG_CLOEXEC is added */
ssize_t wr_os_sendmsg(int fd, const struct msghdr *m, int flags) WR_MUST;
ssize_t wr_os_sendfile(int out_fd, int in_fd, off_t *offset, size_t n) WR_MUST;
ssize_t wr_os_splice(int in_fd, int out_fd, size_t n,
                     unsigned flags) WR_MUST;      /* SPLICE_F_NONBLOCK is added */
int wr_os_pipe(int fds[2], int size_hint) WR_MUST; /* size_hint 0: the kernel's own */

/* ---- files and descriptors -------------------------------------------------------------------- */
int wr_os_open(const char *path, int flags, mode_t mode) WR_MUST;
int wr_os_close(int fd);
int wr_os_close_except(const int *keep, unsigned n); /* every other one above 2 */
int wr_os_dup(int fd) WR_MUST;                       /* lowest free number, close-on-exec */
int wr_os_set_nonblocking(int fd, bool on);
ssize_t wr_os_read(int fd, void *p, size_t n) WR_MUST;
ssize_t wr_os_write(int fd, const void *p, size_t n) WR_MUST;
ssize_t wr_os_readv(int fd, const struct iovec *v, int n) WR_MUST;
ssize_t wr_os_writev(int fd, const struct iovec *v, int n) WR_MUST;
ssize_t wr_os_pread(int fd, void *p, size_t n, off_t at) WR_MUST;
ssize_t wr_os_pwrite(int fd, const void *p, size_t n, off_t at) WR_MUST;
int wr_os_fstat(int fd, struct stat *out) WR_MUST;
int wr_os_stat(const char *path, struct stat *out) WR_MUST;
int wr_os_ftruncate(int fd, off_t n) WR_MUST;
int wr_os_fsync(int fd);
int wr_os_rename(const char *from, const char *to) WR_MUST;
int wr_os_unlink(const char *path);
int wr_os_mkdir(const char *path, mode_t mode) WR_MUST;
/* resolve: RESOLVE_* of openat2(2), 0 for none. dirfd: AT_FDCWD. -ENOSYS where the kernel lacks it. O_CREAT
 * makes a file 0644. */
int wr_os_openat2(int dirfd, const char *path, int flags, uint64_t resolve) WR_MUST;
int wr_os_statat(int dirfd, const char *path, struct stat *out,
                 int flags) WR_MUST; /* AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH */
/* Records of getdents64(2): their bytes, 0 at the end. */
ssize_t wr_os_getdents(int fd, void *p, size_t n) WR_MUST;
int wr_os_fs_type(int fd, uint64_t *out) WR_MUST; /* a number of statfs(2) */
int wr_os_read_ahead(int fd);                     /* it will be read from front to back */
int wr_os_inotify(void) WR_MUST;                  /* non-blocking */
int wr_os_inotify_add(int fd, const char *path, uint32_t mask) WR_MUST; /* a watch */
int wr_os_inotify_remove(int fd, int watch);

/* ---- processes, signals, threads --------------------------------------------------------------- */
/* Runs fn(arg) in a new process and ends that process with its result. The child has the parent's
 * descriptors and a copy of its memory. The caller must be single-threaded. Returns the pid. */
pid_t wr_os_spawn(int (*fn)(void *arg), void *arg, int *out_pidfd) WR_MUST;
WR_NORETURN void wr_os_exit(int status);
pid_t wr_os_getpid(void);
pid_t wr_os_getppid(void);
int wr_os_hostname(char *out, size_t n) WR_MUST; /* terminated */
/* Seconds since 1970 as a calendar has them: in the machine's time zone, or in UTC. */
void wr_os_calendar(int64_t s, bool utc, struct tm *out);
/* Addresses of a host by the system's resolver, of families that this machine has: waits for the network. How many, 0 to max, or -errno. At start
 * only; a loop asks io/resolve. */
int wr_os_resolve(const char *host, struct sockaddr_storage *out, unsigned max) WR_MUST;
int wr_os_realpath(const char *path, char out[static 4096]) WR_MUST;
int wr_os_thread_count(void); /* threads of this process; -errno when unknown */
/* 1 and *out_status (as waitpid's) when the process has ended, 0 while it runs. Never waits. */
int wr_os_reap(pid_t pid, int *out_status) WR_MUST;
int wr_os_pidfd_signal(int pidfd, int sig) WR_MUST;
int wr_os_kill(pid_t pid, int sig) WR_MUST;
int wr_os_parent_death_signal(int sig);
int wr_os_set_name(const char *name); /* 15 bytes, as ps shows it */
int wr_os_sigmask(int how, const sigset_t *set, sigset_t *old);
int wr_os_signalfd(const sigset_t *set) WR_MUST;
int wr_os_signalfd_read(int fd,
                        struct signalfd_siginfo *out) WR_MUST; /* 1: one taken; -EAGAIN: none */
int wr_os_rlimit_get(int what, struct rlimit *out) WR_MUST;
int wr_os_rlimit_set(int what, const struct rlimit *in) WR_MUST;
int wr_os_set_affinity(unsigned cpu);
int wr_os_cpu_count(void);

/* ---- what a master does for its processes (not in the simulator) ------------------------------- */
int wr_os_setsid(void) WR_MUST;
int wr_os_chdir(const char *path) WR_MUST;
int wr_os_dup_to(int fd, int to) WR_MUST; /* not close-on-exec: for 0, 1, 2 */
int wr_os_set_cloexec(int fd, bool on) WR_MUST;
/* Replaces this process; returns only when it failed. */
int wr_os_exec(const char *path, char *const argv[], char *const envp[]) WR_MUST;
char **wr_os_environ(void);
void wr_os_set_environ(char **env);                                    /* kept, not copied */
ssize_t wr_os_readlink(const char *path, char *out, size_t n) WR_MUST; /* not terminated */
mode_t wr_os_umask(mode_t mask); /* the one before; of all threads */
int wr_os_chown(const char *path, uid_t uid, gid_t gid) WR_MUST;
uid_t wr_os_uid(void); /* effective */
/* By name, from the system's tables; either may be NULL. WR_E_NOT_FOUND. */
int wr_os_find_user(const char *user, uid_t *out_uid, gid_t *out_gid) WR_MUST;
int wr_os_find_group(const char *group, gid_t *out_gid) WR_MUST;
/* Group, the user's further groups, user; for good. */
int wr_os_become(const char *user, uid_t uid, gid_t gid) WR_MUST;
int wr_os_set_priority(int nice) WR_MUST;
/* Of the calling thread and those it starts: with its share of the processor, but waking it never interrupts another. */
int wr_os_set_batch(bool on) WR_MUST;
/* mask: n words of 64 processors. */
int wr_os_set_affinity_mask(const uint64_t *mask, unsigned n) WR_MUST;
int wr_os_set_dumpable(bool on) WR_MUST;

/* ---- what one process may change of another (not in the simulator) ----------------------------- */
int wr_os_pidfd_alive(int pidfd) WR_MUST; /* 1, or 0 when that process has ended */
/* new, old: either may be NULL. Raising the hard limit takes CAP_SYS_RESOURCE. */
int wr_os_prlimit(pid_t pid, int what, const struct rlimit *new_limit,
                  struct rlimit *old) WR_MUST;
int wr_os_file_flags(int fd) WR_MUST;               /* O_NONBLOCK ... of the open file */
int wr_os_set_pipe_size(int fd, int bytes) WR_MUST; /* what it became */
int wr_os_is_terminal(int fd);                      /* 1 or 0 */
/* -ENOTTY where it is none; -ERANGE where it does not tell. */
int wr_os_terminal_size(int fd, unsigned *out_columns, unsigned *out_rows) WR_MUST;
/* How it treats keys and lines; set: after what was written has gone out. */
struct termios;
int wr_os_terminal_get(int fd, struct termios *out) WR_MUST;
int wr_os_terminal_set(int fd, const struct termios *in);
int wr_os_cannot_shrink(int fd); /* 1: a memory file that is sealed so; 0: whatever else */
int wr_os_poll(int fd, short events, int timeout_ms) WR_MUST; /* what happened; 0: nothing */

/* ---- what one process may see of another (not in the simulator) -------------------------------- */
int wr_os_pidfd_open(pid_t pid) WR_MUST;
/* A descriptor of the other process, as one of ours: the same open file, so whoever reads, writes or changes it
 * does so to the other. Asking (getsockopt, FIONREAD) is what it is for. */
int wr_os_pidfd_getfd(int pidfd, int fd) WR_MUST;
/* Bytes of its memory: how many, fewer than n where the mapping ends. It is not stopped. */
ssize_t wr_os_process_read(pid_t pid, uint64_t at, void *out, size_t n) WR_MUST;
/* The calling thread, and it alone, goes into this network namespace. */
int wr_os_join_net(int namespace_fd) WR_MUST;
int wr_os_pipe_fill(int fd, uint32_t *out_held, uint32_t *out_room) WR_MUST; /* bytes */
ssize_t wr_os_getxattr(const char *path, const char *name, void *out, size_t n) WR_MUST;
struct statfs;
int wr_os_statfs(const char *path, struct statfs *out) WR_MUST; /* may wait for a server */
ssize_t wr_os_readlink_at(int dirfd, const char *path, char *out, size_t n) WR_MUST;

/* ---- a process that gives up rights ---------------------------------------------------------------- */
struct sock_filter;
int wr_os_no_new_privs(void) WR_MUST;
int wr_os_drop_capabilities(
    void) WR_MUST;            /* all of them, the bounding set too where that is allowed */
int wr_os_landlock_abi(void); /* 0: the kernel has none */
int wr_os_landlock_new(uint64_t fs_rights, uint64_t net_rights, uint64_t scopes) WR_MUST;
int wr_os_landlock_allow_path(int ruleset, const char *path, uint64_t rights) WR_MUST;
int wr_os_landlock_allow_port(int ruleset, uint16_t port, uint64_t rights) WR_MUST;
int wr_os_landlock_enter(int ruleset) WR_MUST;
int wr_os_seccomp(const struct sock_filter *filter, unsigned short n) WR_MUST;
/* Any system call by its number: for the self-test of the sandbox. */
long wr_os_syscall(long number, long a, long b, long c, long d, long e, long f);

struct wr_os_thread; /* opaque, one word */
int wr_os_thread_start(void (*fn)(void *arg), void *arg, struct wr_os_thread **out) WR_MUST;
int wr_os_thread_join(struct wr_os_thread *t);
uintptr_t wr_os_thread_self(void); /* differs between threads; in the simulator, processes */

#endif
