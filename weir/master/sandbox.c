/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/master/sandbox.h"

#include "libweir/base/assert.h"
#include "libweir/base/err.h"
#include "libweir/io/log.h"
#include "libweir/os/os.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

WR_PRINTF(3, 4)
static void say(const struct sandbox_plan *p, int level, const char *fmt, ...)
{
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (p->say)
        p->say(p->ctx, level, text);
}

/* ---- Landlock ------------------------------------------------------------------------------------------- */

/* linux/landlock.h of the build machine may be older than the kernel. */
enum {
    FS_EXECUTE = 1 << 0,
    FS_WRITE_FILE = 1 << 1,
    FS_READ_FILE = 1 << 2,
    FS_READ_DIR = 1 << 3,
    FS_REMOVE_FILE = 1 << 5,
    FS_MAKE_DIR = 1 << 7,
    FS_MAKE_REG = 1 << 8,
    FS_ABI_1 = (1 << 13) - 1,
    FS_REFER = 1 << 13,    /* since ABI 2 */
    FS_TRUNCATE = 1 << 14, /* 3 */
    FS_IOCTL = 1 << 15,    /* 5 */
    NET_BIND = 1 << 0,     /* 4 */
    NET_CONNECT = 1 << 1,
    SCOPE_ABSTRACT = 1 << 0, /* 6 */
    SCOPE_SIGNAL = 1 << 1,
};

static uint64_t fs_rights(int abi)
{
    uint64_t all = FS_ABI_1;
    if (abi >= 2)
        all |= FS_REFER;
    if (abi >= 3)
        all |= FS_TRUNCATE;
    if (abi >= 5)
        all |= FS_IOCTL;
    return all;
}

static int allow_path(int ruleset, const struct sandbox_plan *p,
                      const struct sandbox_path *path, uint64_t known)
{
    struct stat st;
    uint64_t rights = FS_READ_FILE | FS_READ_DIR;
    if (path->write)
        rights |=
            FS_WRITE_FILE | FS_REMOVE_FILE | FS_MAKE_DIR | FS_MAKE_REG | FS_REFER | FS_TRUNCATE;
    if (wr_os_stat(path->path, &st) < 0)
        return 0; /* what is not there needs no right; a reload gives it one */
    if (!S_ISDIR(st.st_mode))
        rights &= FS_READ_FILE | FS_WRITE_FILE | FS_TRUNCATE;
    int r = wr_os_landlock_allow_path(ruleset, path->path, rights & known);
    if (r == -EACCES || r == -ENOENT)
        return 0; /* this user cannot reach it anyway */
    if (r < 0)
        say(p, WR_LOG_ERROR, "sandbox: \"%s\": landlock (%d: %s)", path->path, -r,
            wr_err_text(r));
    return r;
}

static int enter_landlock(const struct sandbox_plan *p)
{
    int abi = wr_os_landlock_abi(), r = 0;
    if (abi == 0) {
        say(p, WR_LOG_WARN, "sandbox: this kernel has no Landlock: files are not confined");
        return 0;
    }
    uint64_t known = fs_rights(abi);
    int set = wr_os_landlock_new(known,
                                 abi < 4       ? 0
                                 : p->any_port ? NET_BIND
                                               : NET_BIND | NET_CONNECT,
                                 abi >= 6 ? SCOPE_ABSTRACT | SCOPE_SIGNAL : 0);
    if (set < 0)
        return set;
    for (unsigned i = 0; i < p->n_paths && r == 0; i++)
        r = allow_path(set, p, &p->paths[i], known);
    for (unsigned i = 0; i < p->n_ports && r == 0 && abi >= 4 && !p->any_port; i++)
        r = wr_os_landlock_allow_port(set, p->ports[i], NET_CONNECT);
    if (r == 0)
        r = wr_os_landlock_enter(set);
    (void)wr_os_close(set);
    return r;
}

/* ---- seccomp -------------------------------------------------------------------------------------------- */

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#endif

/* Whatever their arguments. Since Linux 5.11 the kernel keeps a bitmap of these, so that they cost no run of
 * the filter. */
static const int always[] = {
    SYS_read,
    SYS_write,
    SYS_readv,
    SYS_writev,
    SYS_pread64,
    SYS_pwrite64,
    SYS_preadv,
    SYS_pwritev,
    SYS_preadv2,
    SYS_pwritev2,
    SYS_close,
    SYS_close_range,
    SYS_fstat,
    SYS_newfstatat,
    SYS_statx,
    SYS_fstatfs,
    SYS_lseek,
    SYS_ftruncate,
    SYS_fsync,
    SYS_fdatasync,
    SYS_openat,
    SYS_openat2,
    SYS_readlinkat,
    SYS_faccessat,
    SYS_faccessat2,
    SYS_getdents64,
    SYS_unlinkat,
    SYS_renameat,
    SYS_renameat2,
    SYS_mkdirat,
    SYS_fchmod,
    SYS_fallocate,
    SYS_fadvise64,
    SYS_readahead,
    SYS_sendfile,
    SYS_splice,
    SYS_tee,
    SYS_copy_file_range,
    SYS_epoll_create1,
    SYS_epoll_ctl,
    SYS_epoll_pwait,
    SYS_epoll_pwait2,
    SYS_ppoll,
    SYS_eventfd2,
    SYS_signalfd4,
    SYS_timerfd_create,
    SYS_timerfd_settime,
    SYS_pipe2,
    SYS_dup,
    SYS_dup3,
    SYS_fcntl,
    SYS_accept,
    SYS_accept4,
    SYS_recvfrom,
    SYS_sendto,
    SYS_recvmsg,
    SYS_sendmsg,
    SYS_recvmmsg,
    SYS_sendmmsg,
    SYS_shutdown,
    SYS_getsockopt,
    SYS_setsockopt,
    SYS_getsockname,
    SYS_getpeername,
    SYS_connect,
    SYS_bind,
    SYS_munmap,
    SYS_mremap,
    SYS_brk,
    SYS_madvise,
    SYS_mincore,
    SYS_futex,
    SYS_set_robust_list,
    SYS_get_robust_list,
    SYS_rseq,
    SYS_sched_yield,
    SYS_sched_getaffinity,
    SYS_gettid,
    SYS_getpid,
    SYS_getppid,
    SYS_set_tid_address,
    SYS_exit,
    SYS_exit_group,
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_rt_sigpending,
    SYS_rt_sigtimedwait,
    SYS_sigaltstack,
    SYS_restart_syscall,
    SYS_clock_gettime,
    SYS_clock_getres,
    SYS_clock_nanosleep,
    SYS_nanosleep,
    SYS_gettimeofday,
    SYS_getrandom,
    SYS_getuid,
    SYS_geteuid,
    SYS_getgid,
    SYS_getegid,
    SYS_uname,
    SYS_sysinfo,
    SYS_getrusage,
    SYS_times,
    SYS_getcpu,
    SYS_membarrier,
    SYS_umask,
    SYS_getcwd,
    SYS_inotify_init1,
    SYS_inotify_add_watch,
    SYS_inotify_rm_watch,
#ifdef SYS_open /* names that newer architectures have no more */
    SYS_open,
    SYS_stat,
    SYS_lstat,
    SYS_readlink,
    SYS_access,
    SYS_unlink,
    SYS_rename,
    SYS_mkdir,
    SYS_epoll_wait,
    SYS_poll,
    SYS_time,
    SYS_dup2,
    SYS_pipe,
#endif
};

/* What a library may try in all innocence and can do without: an error, not the end of the process. */
static const int denied[] = {
    SYS_listen,
    SYS_socketpair,
    SYS_memfd_create,
    SYS_symlinkat,
    SYS_linkat,
    SYS_fchmodat,
    SYS_fchownat,
    SYS_fchown,
    SYS_utimensat,
    SYS_flock,
    SYS_setpriority,
    SYS_getpriority,
    SYS_sched_setaffinity,
    SYS_sched_setscheduler,
    SYS_setrlimit,
    SYS_getrlimit,
    SYS_mlock,
    SYS_munlock,
    SYS_mlockall,
    SYS_chdir,
    SYS_fchdir,
    SYS_setsid,
    SYS_get_mempolicy,
    SYS_statfs,
};

#define FILTER_MAX 320

struct filter {
    struct sock_filter code[FILTER_MAX];
    unsigned short n;
};

static void put(struct filter *f, uint16_t code, uint32_t k, uint8_t yes, uint8_t no)
{
    WR_ASSERT(f->n < FILTER_MAX);
    f->code[f->n++] = (struct sock_filter){code, yes, no, k};
}

static void load(struct filter *f, size_t offset)
{
    put(f, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

#define NUMBER offsetof(struct seccomp_data, nr)
#define ARG_LOW(i) \
    (offsetof(struct seccomp_data, args) + (i) * sizeof(uint64_t)) /* both are little-endian */

static void verdict(struct filter *f, uint32_t v)
{
    put(f, BPF_RET | BPF_K, v, 0, 0);
}

static void refuse(struct filter *f, int number, int err)
{
    put(f, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 1);
    verdict(f, SECCOMP_RET_ERRNO | (uint32_t)err);
}

/* Allowed when the low word of argument i, masked, is one of the values; otherwise as `otherwise` says. */
static void allow_values(struct filter *f, int number, unsigned i, uint32_t mask,
                         const uint32_t *values, unsigned n, uint32_t otherwise)
{
    put(f, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, (uint8_t)(2 * n + 3));
    load(f, ARG_LOW(i));
    put(f, BPF_ALU | BPF_AND | BPF_K, mask, 0, 0);
    for (unsigned v = 0; v < n; v++) {
        put(f, BPF_JMP | BPF_JEQ | BPF_K, values[v], 0, 1);
        verdict(f, SECCOMP_RET_ALLOW);
    }
    verdict(f, otherwise);
}

#define ANY UINT32_MAX
#define VALUES(f, number, arg, mask, otherwise, ...)                    \
    allow_values(f, number, arg, mask, (const uint32_t[]){__VA_ARGS__}, \
                 sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t), otherwise)

/* Families by the first argument, and no raw sockets by the second. */
static void allow_socket(struct filter *f, bool netlink, uint32_t kill)
{
    static const uint32_t family[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};
    unsigned n = netlink ? 4 : 3;
    put(f, BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, (uint8_t)(2 * n + 6));
    load(f, ARG_LOW(1));
    put(f, BPF_ALU | BPF_AND | BPF_K, 0xf, 0, 0);
    put(f, BPF_JMP | BPF_JEQ | BPF_K, SOCK_RAW, 0, 1);
    verdict(f, kill);
    load(f, ARG_LOW(0));
    for (unsigned i = 0; i < n; i++) {
        put(f, BPF_JMP | BPF_JEQ | BPF_K, family[i], 0, 1);
        verdict(f, SECCOMP_RET_ALLOW);
    }
    verdict(f, kill);
}

/* Itself; and signal 0 anybody: a lock in shared memory has to know whether its holder lives. */
static void allow_kill(struct filter *f, uint32_t otherwise)
{
    put(f, BPF_JMP | BPF_JEQ | BPF_K, SYS_kill, 0, 7);
    load(f, ARG_LOW(1));
    put(f, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1);
    verdict(f, SECCOMP_RET_ALLOW);
    load(f, ARG_LOW(0));
    put(f, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)wr_os_getpid(), 0, 1);
    verdict(f, SECCOMP_RET_ALLOW);
    verdict(f, otherwise);
}

static void allow_checked(struct filter *f, const struct sandbox_plan *p, uint32_t kill)
{
    uint32_t eperm = SECCOMP_RET_ERRNO | EPERM;
    allow_socket(f, p->netlink, kill);
    VALUES(f, SYS_clone, 0, CLONE_THREAD, kill, CLONE_THREAD);
    refuse(f, SYS_clone3,
           ENOSYS); /* its flags lie behind a pointer; the C library then takes clone */
    VALUES(f, SYS_mmap, 2, PROT_EXEC, eperm, 0);
    VALUES(f, SYS_mprotect, 2, PROT_EXEC, eperm, 0);
    VALUES(f, SYS_ioctl, 1, ANY, eperm, FIONREAD, FIONBIO, TIOCOUTQ, TCGETS, TIOCGWINSZ);
    VALUES(f, SYS_prctl, 0, ANY, eperm, PR_SET_NAME, PR_GET_NAME, 0x53564d41 /* PR_SET_VMA */);
    allow_kill(f, eperm);
    VALUES(f, SYS_tgkill, 0, ANY, eperm, (uint32_t)wr_os_getpid());
    VALUES(f, SYS_prlimit64, 2, ANY, eperm, 0); /* reading only */
    VALUES(f, SYS_tkill, 0, 0, eperm, 1);       /* never: no value is 1 under an empty mask */
}

static void build(struct filter *f, const struct sandbox_plan *p)
{
    uint32_t kill = p->mode == SANDBOX_LOG ? SECCOMP_RET_LOG : SECCOMP_RET_KILL_PROCESS;
    f->n = 0;
    load(f, offsetof(struct seccomp_data, arch));
    put(f, BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCH, 1, 0);
    verdict(f, SECCOMP_RET_KILL_PROCESS);
    load(f, NUMBER);
    for (unsigned i = 0; i < WR_ARRAY_LEN(always); i++)
        put(f, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)always[i], 0, 0);
    unsigned n = WR_ARRAY_LEN(always), jumps = f->n - n;
    put(f, BPF_JMP | BPF_JA, 1, 0, 0);
    verdict(f, SECCOMP_RET_ALLOW);
    for (unsigned i = jumps; i < jumps + n; i++)
        f->code[i].jt = (uint8_t)(jumps + n - i);
    for (unsigned i = 0; i < WR_ARRAY_LEN(denied); i++)
        refuse(f, denied[i], EPERM);
    allow_checked(f, p, kill);
    verdict(f, kill);
}

#ifdef NATIVE_ARCH
static int enter_seccomp(const struct sandbox_plan *p)
{
    struct filter f;
    build(&f, p);
    int r = wr_os_seccomp(f.code, f.n);
    if (r == -ENOSYS || r == -EINVAL) {
        say(p, WR_LOG_WARN, "sandbox: this kernel has no seccomp filters (%s)", wr_err_text(r));
        return 0;
    }
    return r;
}
#else
static int enter_seccomp(const struct sandbox_plan *p)
{
    say(p, WR_LOG_WARN, "sandbox: no seccomp filter is known for this processor");
    return 0;
}
#endif

/* ---- all of it -------------------------------------------------------------------------------------------- */

static int failed(const struct sandbox_plan *p, const char *step, int err)
{
    if (err < 0)
        say(p, WR_LOG_CRIT, "sandbox: %s failed (%d: %s)", step, -err, wr_err_text(err));
    return err;
}

int sandbox_enter(const struct sandbox_plan *p)
{
    if (p->mode == SANDBOX_OFF)
        return 0;
    int r = failed(p, "no_new_privs", wr_os_no_new_privs());
    if (r == 0)
        r = failed(p, "capset", wr_os_drop_capabilities());
    if (r == 0 && p->mode == SANDBOX_ON)
        r = failed(p, "landlock", enter_landlock(p));
    if (r == 0)
        r = failed(p, "dumpable", wr_os_set_dumpable(false));
    if (r == 0)
        r = failed(p, "seccomp", enter_seccomp(p));
    return r;
}
