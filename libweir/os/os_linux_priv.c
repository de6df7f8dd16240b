/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel as it is: what a master does for its processes, and how a process gives up rights.
 */
#include "libweir/base/err.h"
#include "libweir/os/os.h"
#include "libweir/os/os_linux.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pwd.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- a master's calls ------------------------------------------------------------------------------- */
int wr_os_setsid(void)
{
    return WR_OS_ONCE(setsid());
}

int wr_os_chdir(const char *path)
{
    return WR_OS_ONCE(chdir(path));
}

int wr_os_dup_to(int fd, int to)
{
    if (fd != to)
        return WR_OS_RETRY(dup2(fd, to));
    int err = wr_os_set_cloexec(fd, false); /* dup2 would leave it as it is */
    return err < 0 ? err : to;
}

int wr_os_set_cloexec(int fd, bool on)
{
    int r = WR_OS_ONCE(fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0));
    return r < 0 ? r : 0;
}

int wr_os_exec(const char *path, char *const argv[], char *const envp[])
{
    return WR_OS_ONCE(execve(path, argv, envp));
}

char **wr_os_environ(void)
{
    return environ;
}

void wr_os_set_environ(char **env)
{
    environ = env;
}

ssize_t wr_os_readlink(const char *path, char *out, size_t n)
{
    return WR_OS_ONCE(readlink(path, out, n));
}

mode_t wr_os_umask(mode_t mask)
{
    return umask(mask);
}

int wr_os_chown(const char *path, uid_t uid, gid_t gid)
{
    return WR_OS_ONCE(chown(path, uid, gid));
}

uid_t wr_os_uid(void)
{
    return geteuid();
}

int wr_os_find_user(const char *user, uid_t *out_uid, gid_t *out_gid)
{
    errno = 0;
    const struct passwd *p = getpwnam(user);
    if (!p)
        return errno ? -errno : WR_E_NOT_FOUND;
    *out_uid = p->pw_uid;
    *out_gid = p->pw_gid;
    return 0;
}

int wr_os_find_group(const char *group, gid_t *out_gid)
{
    errno = 0;
    const struct group *g = getgrnam(group);
    if (!g)
        return errno ? -errno : WR_E_NOT_FOUND;
    *out_gid = g->gr_gid;
    return 0;
}

int wr_os_become(const char *user, uid_t uid, gid_t gid)
{
    int r = WR_OS_ONCE(setresgid(gid, gid, gid));
    if (r == 0)
        r = WR_OS_ONCE(initgroups(user, gid));
    if (r == 0)
        r = WR_OS_ONCE(setresuid(uid, uid, uid));
    return r;
}

int wr_os_set_priority(int nice)
{
    return WR_OS_ONCE(setpriority(PRIO_PROCESS, 0, nice));
}

int wr_os_set_batch(bool on)
{
    const struct sched_param p = {0};
    return WR_OS_ONCE(sched_setscheduler(0, on ? SCHED_BATCH : SCHED_OTHER, &p));
}

int wr_os_set_affinity_mask(const uint64_t *mask, unsigned n)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    for (unsigned cpu = 0; cpu < n * 64 && cpu < CPU_SETSIZE; cpu++)
        if (mask[cpu / 64] >> (cpu % 64) & 1)
            CPU_SET(cpu, &set);
    return WR_OS_ONCE(sched_setaffinity(0, sizeof set, &set));
}

int wr_os_set_dumpable(bool on)
{
    return WR_OS_ONCE(prctl(PR_SET_DUMPABLE, on ? 1 : 0));
}

/* ---- giving up rights ------------------------------------------------------------------------------- */
int wr_os_no_new_privs(void)
{
    return WR_OS_ONCE(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

int wr_os_drop_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2];
    memset(none, 0, sizeof none);
    for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
        if (prctl(PR_CAPBSET_DROP, cap) < 0)
            break; /* not root: there is nothing in it for us anyway */
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    return (int)WR_OS_ONCE(syscall(SYS_capset, &header, none));
}

/* As linux/landlock.h has it; the header of the build machine may be older than the kernel. */
struct landlock_ruleset {
    uint64_t fs, net, scoped;
};
struct landlock_path {
    uint64_t rights;
    int32_t fd;
} __attribute__((packed));
struct landlock_port {
    uint64_t rights, port;
};
#define LANDLOCK_VERSION   1
#define LANDLOCK_RULE_PATH 1
#define LANDLOCK_RULE_PORT 2

int wr_os_landlock_abi(void)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION);
    return abi < 0 ? 0 : (int)abi;
}

int wr_os_landlock_new(uint64_t fs_rights, uint64_t net_rights, uint64_t scopes)
{
    struct landlock_ruleset r = {fs_rights, net_rights, scopes};
    /* A kernel takes what it does not know only when it is absent or zero. */
    size_t n = scopes       ? sizeof r
               : net_rights ? offsetof(struct landlock_ruleset, scoped)
                            : offsetof(struct landlock_ruleset, net);
    return (int)WR_OS_ONCE(syscall(SYS_landlock_create_ruleset, &r, n, 0));
}

int wr_os_landlock_allow_path(int ruleset, const char *path, uint64_t rights)
{
    int fd = WR_OS_RETRY(open(path, O_PATH | O_CLOEXEC));
    if (fd < 0)
        return fd;
    struct landlock_path rule = {rights, fd};
    int r =
        (int)WR_OS_ONCE(syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH, &rule, 0));
    (void)close(fd);
    return r;
}

int wr_os_landlock_allow_port(int ruleset, uint16_t port, uint64_t rights)
{
    struct landlock_port rule = {rights, port};
    return (int)WR_OS_ONCE(
        syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PORT, &rule, 0));
}

int wr_os_landlock_enter(int ruleset)
{
    return (int)WR_OS_ONCE(syscall(SYS_landlock_restrict_self, ruleset, 0));
}

int wr_os_seccomp(const struct sock_filter *filter, unsigned short n)
{
    /* The kernel reads it only; its type is older than const. No code of strangers runs here, so the processor
     * may go on speculating. */
    union {
        const struct sock_filter *in;
        struct sock_filter *out;
    } code = {.in = filter};
    struct sock_fprog program = {.len = n, .filter = code.out};
    return (int)WR_OS_ONCE(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                                   SECCOMP_FILTER_FLAG_SPEC_ALLOW, &program));
}

long wr_os_syscall(long number, long a, long b, long c, long d, long e, long f)
{
    return WR_OS_ONCE(syscall(number, a, b, c, d, e, f));
}
