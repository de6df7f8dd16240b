/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `weir --selftest sandbox`: what a worker that strangers have taken over would try next.
 *
 * Each act runs in a process of its own, inside the sandbox; it is refused when the kernel kills the process
 * or the call fails for want of permission. The act of reading a file in the root has to succeed: a sandbox
 * that refuses everything proves nothing.
 */
#include "libweir/base/err.h"
#include "libweir/io/log.h"
#include "libweir/os/os.h"
#include "weir/master/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum {
    PASSED = 1,
    REFUSED = 0,
    UNCLEAR = 2
};

static char root_dir[] =
    "/tmp/weir-selftest"; /* the root of the test: readable, not writable */
static char root_file[64], own_path[32] = "/proc/self/exe";

static long call(long nr, long a, long b, long c, long d)
{
    return wr_os_syscall(nr, a, b, c, d, 0, 0);
}

/* ---- acts that need more than one call -------------------------------------------------------------- */

static long connect_to(uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = wr_os_socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0)
        return fd == -EPERM ? -EIO : fd; /* the socket itself is allowed */
    int r = wr_os_connect(fd, (struct sockaddr *)&to, sizeof to);
    return r == -EINPROGRESS ? 0 : r;
}

static long bind_and_listen(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    int fd = wr_os_socket(AF_INET, SOCK_STREAM, 0);
    int r = wr_os_bind(fd, (struct sockaddr *)&at, sizeof at);
    return r < 0 ? r : wr_os_listen(fd, 1);
}

static long map_code(void)
{
    return wr_os_syscall(SYS_mmap, 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
                         -1, 0);
}

static long make_code(void)
{
    void *p = wr_os_map(4096);
    return p ? wr_os_mprotect(p, 4096, PROT_READ | PROT_EXEC) : -EIO;
}

static long run_program(void)
{
    char *argv[] = {own_path, NULL}, *envp[] = {NULL};
    return wr_os_exec("/bin/true", argv, envp);
}

#define P(s) ((long)(intptr_t)(s))

struct act {
    const char *name;
    long (*fn)(void); /* or: */
    long nr, a, b, c, d;
};

static long connect_ssh(void)
{
    return connect_to(22);
}

static const struct act acts[] = {
    {"execve a program",               run_program,     0,                           0,               0,                           0,                      0   },
    {"execveat a descriptor",          NULL,            SYS_execveat,                0,               P(""),                       0,                      0   },
    {"fork",                           NULL,            SYS_clone,                   SIGCHLD,         0,                           0,                      0   },
    {"clone3 a process",               NULL,            SYS_clone3,                  0,               0,                           0,                      0   },
    {"unshare a namespace",            NULL,            SYS_unshare,                 CLONE_NEWUSER,   0,                           0,                      0   },
    {"enter a namespace",              NULL,            SYS_setns,                   0,               0,                           0,                      0   },
    {"ptrace the parent",              NULL,            SYS_ptrace,                  16,              -1,                          0,                      0   },
    {"read another process's memory",  NULL,            SYS_process_vm_readv,        -1,              0,                           0,                      0   },
    {"write another process's memory", NULL,            SYS_process_vm_writev,       -1,              0,                           0,                      0   },
    {"kill the parent",                NULL,            SYS_kill,                    -1,              SIGURG,                      0,                      0   },
    {"kill everybody",                 NULL,            SYS_kill,                    -2,              SIGURG,                      0,                      0   },
    {"signal a thread elsewhere",      NULL,            SYS_tgkill,                  -1,              -1,                          0,                      0   },
    {"open a pidfd",                   NULL,            SYS_pidfd_open,              -1,              0,                           0,                      0   },
    {"read /etc/passwd",               NULL,            SYS_openat,                  AT_FDCWD,        P("/etc/passwd"),            O_RDONLY,               0   },
    {"read the parent directory",      NULL,            SYS_openat,                  AT_FDCWD,        P("/tmp"),                   O_RDONLY | O_DIRECTORY,
     0                                                                                                                                                         },
    {"read the parent's environment",  NULL,            SYS_openat,                  AT_FDCWD,        P("/proc/1/environ"),
     O_RDONLY,                                                                                                                                             0   },
    {"read its own memory by file",    NULL,            SYS_openat,                  AT_FDCWD,        P("/proc/self/mem"),         O_RDONLY,
     0                                                                                                                                                         },
    {"write a file in the root",       NULL,            SYS_openat,                  AT_FDCWD,        P(root_file),                O_WRONLY,               0   },
    {"make a file in the root",        NULL,            SYS_openat,                  AT_FDCWD,        P("/tmp/weir-selftest/new"),
     O_WRONLY | O_CREAT,                                                                                                                                   0600},
    {"make a file in /tmp",            NULL,            SYS_openat,                  AT_FDCWD,        P("/tmp/weir-selftest-new"),
     O_WRONLY | O_CREAT,                                                                                                                                   0600},
    {"remove a file of the root",      NULL,            SYS_unlinkat,                AT_FDCWD,        P(root_file),                0,                      0   },
    {"rename a file of the root",      NULL,            SYS_renameat2,               AT_FDCWD,        P(root_file),                AT_FDCWD,
     P("/tmp/weir-selftest/b")                                                                                                                                 },
    {"make a directory",               NULL,            SYS_mkdirat,                 AT_FDCWD,        P("/tmp/weir-selftest/d"),   0700,                   0   },
    {"make a symbolic link",           NULL,            SYS_symlinkat,               P("/etc"),       AT_FDCWD,
     P("/tmp/weir-selftest/s"),                                                                                                                            0   },
    {"make a hard link",               NULL,            SYS_linkat,                  AT_FDCWD,        P(root_file),                AT_FDCWD,
     P("/tmp/weir-selftest/l")                                                                                                                                 },
    {"make a device",                  NULL,            SYS_mknodat,                 AT_FDCWD,        P("/tmp/weir-selftest/dev"), S_IFIFO | 0600,
     0                                                                                                                                                         },
    {"change a file's mode",           NULL,            SYS_fchmodat,                AT_FDCWD,        P(root_file),                0777,                   0   },
    {"change a file's owner",          NULL,            SYS_fchownat,                AT_FDCWD,        P(root_file),                1,                      1   },
    {"netlink socket",                 NULL,            SYS_socket,                  AF_NETLINK,      SOCK_DGRAM,                  0,                      0   },
    {"packet socket",                  NULL,            SYS_socket,                  AF_PACKET,       SOCK_DGRAM,                  0,                      0   },
    {"raw socket",                     NULL,            SYS_socket,                  AF_INET,         SOCK_RAW,                    1,                      0   },
    {"vsock socket",                   NULL,            SYS_socket,                  AF_VSOCK,        SOCK_STREAM,                 0,                      0   },
    {"kernel crypto socket",           NULL,            SYS_socket,                  AF_ALG,          SOCK_SEQPACKET,              0,                      0   },
    {"connect to port 22",             connect_ssh,     0,                           0,               0,                           0,                      0   },
    {"bind and listen",                bind_and_listen, 0,                           0,               0,                           0,                      0   },
    {"mount",                          NULL,            SYS_mount,                   P("none"),       P("/tmp"),                   P("tmpfs"),             0   },
    {"unmount",                        NULL,            SYS_umount2,                 P("/tmp"),       0,                           0,                      0   },
    {"chroot",                         NULL,            SYS_chroot,                  P("/tmp"),       0,                           0,                      0   },
    {"change directory",               NULL,            SYS_chdir,                   P("/"),          0,                           0,                      0   },
    {"setuid(0)",                      NULL,            SYS_setuid,                  0,               0,                           0,                      0   },
    {"setgid(0)",                      NULL,            SYS_setgid,                  0,               0,                           0,                      0   },
    {"setgroups",                      NULL,            SYS_setgroups,               0,               0,                           0,                      0   },
    {"capset",                         NULL,            SYS_capset,                  0,               0,                           0,                      0   },
    {"become dumpable",                NULL,            SYS_prctl,                   PR_SET_DUMPABLE, 1,                           0,                      0   },
    {"raise a limit",                  NULL,            SYS_prlimit64,               0,               RLIMIT_NOFILE,               P(root_dir),            0   },
    {"map memory as code",             map_code,        0,                           0,               0,                           0,                      0   },
    {"make memory code",               make_code,       0,                           0,               0,                           0,                      0   },
    {"bpf",                            NULL,            SYS_bpf,                     0,               0,                           0,                      0   },
    {"io_uring_setup",                 NULL,            SYS_io_uring_setup,          1,               P(own_path),                 0,                      0   },
    {"userfaultfd",                    NULL,            SYS_userfaultfd,             0,               0,                           0,                      0   },
    {"perf_event_open",                NULL,            SYS_perf_event_open,         0,               0,                           0,                      0   },
    {"memfd_create",                   NULL,            SYS_memfd_create,            P("x"),          0,                           0,                      0   },
    {"keyctl",                         NULL,            SYS_keyctl,                  0,               -3,                          0,                      0   },
    {"load a kernel module",           NULL,            SYS_init_module,             0,               0,                           0,                      0   },
    {"kexec",                          NULL,            SYS_kexec_load,              0,               0,                           0,                      0   },
    {"reboot",                         NULL,            SYS_reboot,                  0,               0,                           0,                      0   },
    {"set the clock",                  NULL,            SYS_clock_settime,           CLOCK_REALTIME,  0,                           0,                      0   },
    {"set the host's name",            NULL,            SYS_sethostname,             P("x"),          1,                           0,                      0   },
    {"change its personality",         NULL,            SYS_personality,             0x0040000,       0,                           0,                      0   },
    {"open a file by its handle",      NULL,            SYS_open_by_handle_at,       0,               0,                           0,                      0   },
    {"shared memory of System V",      NULL,            SYS_shmget,                  0,               4096,                        01600,                  0   },
    {"loosen its Landlock",            NULL,            SYS_landlock_create_ruleset, 0,               0,                           1,                      0   },
    {"install another filter",         NULL,            SYS_seccomp,                 1,               0,                           0,                      0   },
};

/* ---- running one ---------------------------------------------------------------------------------------- */

struct trial {
    const struct act *act; /* NULL: read the root, which must work */
    pid_t parent;
    const char *user;
};

static bool refused_by(long r)
{
    return r == -EPERM || r == -EACCES || r == -ENOSYS;
}

/* -1 in a row stands for the parent's pid, -2 for "everybody". */
static long perform(const struct act *a, pid_t parent)
{
    if (a->fn)
        return a->fn();
    long first = a->nr == SYS_kill && a->a == -2 ? -1 : a->a == -1 ? parent : a->a;
    return call(a->nr, first, a->b == -1 ? parent : a->b, a->c, a->d);
}

static int read_root(void)
{
    char byte;
    int fd = wr_os_open(root_file, O_RDONLY, 0);
    return fd >= 0 && wr_os_read(fd, &byte, 1) == 1 ? PASSED : REFUSED;
}

static int try_it(void *arg)
{
    struct trial *t = arg;
    struct sandbox_path path = {root_dir, false};
    uint16_t dns = 53;
    struct sandbox_plan plan = {
        .mode = SANDBOX_ON, .paths = &path, .n_paths = 1, .ports = &dns, .n_ports = 1};
    uid_t uid;
    gid_t gid;
    if (wr_os_uid() == 0 &&
        (wr_os_find_user(t->user, &uid, &gid) < 0 || wr_os_become(t->user, uid, gid) < 0))
        return UNCLEAR;
    if (sandbox_enter(&plan) < 0)
        return UNCLEAR;
    if (!t->act)
        return read_root();
    return refused_by(perform(t->act, t->parent)) ? REFUSED : PASSED;
}

WR_PRINTF(2, 3)
static void print(int fd, const char *fmt, ...)
{
    char text[160];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    (void)!wr_os_write(fd, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
}

/* PASSED, REFUSED, UNCLEAR; *how says it. */
static int outcome(struct trial *t, const char **how)
{
    int status = 0;
    pid_t pid = wr_os_spawn(try_it, t, NULL);
    if (pid < 0)
        return UNCLEAR;
    while (wr_os_reap(pid, &status) == 0)
        (void)wr_os_sleep_ns(200000);
    *how = WIFSIGNALED(status) ? "killed by the kernel" : "the call failed";
    if (WIFSIGNALED(status))
        return WTERMSIG(status) == SIGSYS ? REFUSED : UNCLEAR;
    return WEXITSTATUS(status);
}

static int make_root(void)
{
    (void)snprintf(root_file, sizeof root_file, "%s/file", root_dir);
    long r = call(SYS_mkdirat, AT_FDCWD, P(root_dir), 0755, 0);
    if (r < 0 && r != -EEXIST)
        return (int)r;
    int fd = wr_os_open(root_file, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return fd;
    r = wr_os_write(fd, "x", 1);
    (void)wr_os_close(fd);
    return r < 0 ? (int)r : 0;
}

int sandbox_selftest(int fd, const char *user)
{
    static const char *const word[] = {"refused", "PASSED", "UNCLEAR"};
    struct trial t = {.parent = wr_os_getpid(), .user = user};
    const char *how = "";
    unsigned bad = 0;
    int r = make_root();
    if (r < 0) {
        print(fd, "%s: %s\n", root_dir, wr_err_text(r));
        return 1;
    }
    if (outcome(&t, &how) != PASSED) {
        print(fd,
              "FAILED   reading a file in the root: a sandbox that refuses that is no use\n");
        bad++;
    }
    for (unsigned i = 0; i < WR_ARRAY_LEN(acts); i++) {
        t.act = &acts[i];
        int got = outcome(&t, &how);
        got = got < PASSED || got > UNCLEAR ? got == REFUSED ? REFUSED : UNCLEAR : got;
        print(fd, "%-8s %-32s %s\n", word[got], acts[i].name, got == REFUSED ? how : "");
        bad += got != REFUSED;
    }
    (void)wr_os_unlink(root_file);
    (void)call(SYS_unlinkat, AT_FDCWD, P(root_dir), AT_REMOVEDIR, 0);
    print(fd, "sandbox: %u acts, %u not refused\n", (unsigned)WR_ARRAY_LEN(acts), bad);
    return bad ? 1 : 0;
}
