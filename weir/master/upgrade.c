/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The next program (USR2), and the pid file, which says whose turn it is.
 *
 *   USR2: pid -> pid.oldbin, then exec with WEIR=fd;fd; in the environment
 *   the new master serves: the operator ends the old one with QUIT
 *   the new master ends: pid.oldbin -> pid, the old one goes on (and takes its crew back)
 */
#include "libweir/base/err.h"
#include "libweir/base/heap.h"
#include "libweir/io/log.h"
#include "libweir/os/os.h"
#include "weir/master/master_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define INHERIT_VAR  "WEIR"
#define INHERIT_ALSO "NGINX"
#define ARGS_MAX     1024
#define ENV_MAX      1024

/* ---- the pid file ---------------------------------------------------------------------------------------- */

/* *out_regular: a file that is the master's to remove; `pid /dev/null` as root is not. */
static int write_pid(struct master *m, const char *path, bool *out_regular)
{
    struct stat st;
    char text[16];
    int n = snprintf(text, sizeof text, "%d\n", (int)wr_os_getpid());
    /* Not blocking: a pipe without a reader would keep the master waiting for one. */
    int fd = wr_os_open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK, 0644);
    if (fd < 0) {
        master_say(m, WR_LOG_CRIT, "open() \"%s\" failed (%d: %s)%s", path, -fd,
                   wr_err_text(fd), remedy_text(fd));
        return fd;
    }
    ssize_t r = wr_os_write(fd, text, (size_t)n);
    if (r != n)
        master_say(m, WR_LOG_CRIT, "write() to \"%s\" failed (%d: %s)%s", path,
                   r < 0 ? (int)-r : EIO, wr_err_text(r < 0 ? (int)r : -EIO),
                   remedy_text((int)r));
    *out_regular = wr_os_fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    (void)wr_os_close(fd);
    return r == n ? 0 : -EIO;
}

int pidfile_write(struct master *m)
{
    const char *path = m->crew->settings.pid;
    if (!path || strlen(path) >= sizeof m->pid_path ||
        (m->pid_written && strcmp(path, m->pid_path) == 0))
        return 0;
    bool regular = false;
    int err = write_pid(m, path, &regular);
    if (err)
        return err;
    if (m->pid_written) /* the configuration names another one now */
        (void)wr_os_unlink(m->pid_path);
    state_text(m->pid_path, sizeof m->pid_path, path);
    m->pid_written = regular;
    return 0;
}

static int old_name(const struct master *m, char *out, size_t n)
{
    int len = snprintf(out, n, "%s.oldbin", m->pid_path);
    return len > 0 && (size_t)len < n ? 0 : -ENAMETOOLONG;
}

void pidfile_remove(struct master *m)
{
    char old[TEXT_MAX + 16];
    if (m->pid_written && old_name(m, old, sizeof old) == 0)
        (void)wr_os_unlink(m->oldbin ? old : m->pid_path);
    m->pid_written = false;
}

static int rename_pid(struct master *m, bool to_old)
{
    char old[TEXT_MAX + 16];
    int err = old_name(m, old, sizeof old);
    if (err || !m->pid_written)
        return err;
    err = to_old ? wr_os_rename(m->pid_path, old) : wr_os_rename(old, m->pid_path);
    if (err)
        master_say(m, WR_LOG_CRIT, "rename() of the pid file \"%s\" failed (%d: %s)",
                   m->pid_path, -err, wr_err_text(err));
    else
        m->oldbin = to_old;
    return err;
}

/* ---- what is handed over ----------------------------------------------------------------------------------- */

static const char *env_of(const char *name)
{
    size_t n = strlen(name);
    for (char **e = wr_os_environ(); e && *e; e++)
        if (strncmp(*e, name, n) == 0 && (*e)[n] == '=')
            return *e + n + 1;
    return NULL;
}

void upgrade_inherit(struct master *m)
{
    struct listener_say say = family_say(m);
    const char *list = env_of(INHERIT_VAR);
    if (!list)
        list = env_of(INHERIT_ALSO);
    m->inherited = list != NULL;
    m->predecessor = list ? wr_os_getppid() : 0;
    if (list)
        master_say(m, WR_LOG_NOTICE, "using inherited sockets from \"%s\"", list);
    listeners_inherit(&m->listeners, list, &say);
    listeners_inherit_systemd(&m->listeners, env_of("LISTEN_PID"), env_of("LISTEN_FDS"),
                              wr_os_getpid());
}

/* The socket files are another master's too: of the next one, or of the one before, which goes on when we give up. */
bool upgrade_shared(const struct master *m)
{
    return m->next_pid || (m->predecessor && wr_os_getppid() == m->predecessor);
}

struct next { /* what exec wants; in the child's copy of the stack */
    const char *path;
    char *argv[ARGS_MAX + 1], *env[ENV_MAX + 2];
    char args[256 << 10], sockets[8192];
    struct master *m;
};

/* All of it, or an error: half a command line is another one. */
static ssize_t read_whole(const char *path, char *out, size_t room)
{
    size_t n = 0;
    ssize_t r;
    int fd = wr_os_open(path, O_RDONLY, 0);
    if (fd < 0)
        return fd;
    while ((r = wr_os_read(fd, out + n, room - n)) > 0)
        n += (size_t)r;
    (void)wr_os_close(fd);
    return r < 0 ? r : n == room ? -E2BIG : (ssize_t)n;
}

/* The same words as ours. */
static int read_args(struct next *n)
{
    ssize_t len = read_whole("/proc/self/cmdline", n->args, sizeof n->args - 1);
    if (len <= 0)
        return len < 0 ? (int)len : -EIO;
    n->args[len] = 0;
    unsigned argc = 0;
    for (char *p = n->args; p < n->args + len; p += strlen(p) + 1) {
        if (argc == ARGS_MAX)
            return -E2BIG;
        n->argv[argc++] = p;
    }
    n->argv[argc] = NULL;
    return 0;
}

static int make_env(struct next *n)
{
    static const char *const drop[] = {INHERIT_VAR "=", INHERIT_ALSO "=",
                                       "LISTEN_PID=", "LISTEN_FDS=", "LISTEN_FDNAMES="};
    unsigned out = 0;
    for (char **e = wr_os_environ(); e && *e; e++) {
        bool keep = true;
        for (unsigned i = 0; i < WR_ARRAY_LEN(drop); i++)
            keep &= strncmp(*e, drop[i], strlen(drop[i])) != 0;
        if (keep && out == ENV_MAX)
            return -E2BIG;
        if (keep)
            n->env[out++] = *e;
    }
    memcpy(n->sockets, INHERIT_VAR "=", sizeof INHERIT_VAR "=");
    int err = listeners_format(&n->m->listeners, n->sockets + strlen(n->sockets),
                               sizeof n->sockets - strlen(n->sockets));
    n->env[out++] = n->sockets;
    n->env[out] = NULL;
    return err;
}

static int run_next(void *arg)
{
    struct next *n = arg;
    sigset_t none;
    (void)sigemptyset(&none);
    listeners_set_cloexec(&n->m->listeners, false);
    (void)wr_os_sigmask(SIG_SETMASK, &none, NULL);
    return wr_os_exec(n->path, n->argv, n->env) ? 127 : 0;
}

/* ---- starting it, and its end ---------------------------------------------------------------------------- */

static void next_ended(struct master *m, int status)
{
    char text[64];
    master_say(m, status ? WR_LOG_CRIT : WR_LOG_NOTICE, "new binary process %d ended: %s",
               (int)m->next_pid, wr_exit_text(status, text, sizeof text));
    wr_io_close(&m->next_program);
    m->next_pid = 0;
    if (m->oldbin && !m->over)
        (void)rename_pid(m, false);
    if (m->stopping)
        return;
    if (m->crew) { /* the other one had its watch at our place */
        watch_stop(m);
        watch_follow(m, &m->crew->settings);
    } else if (m->resting) {
        control_reload(m);
    }
}

static void on_next(struct wr_io *io, uint32_t events)
{
    struct master *m = wr_container_of(io, struct master, next_program);
    int status;
    (void)events;
    if (wr_os_reap(m->next_pid, &status) == 1)
        next_ended(m, status);
}

void upgrade_start(struct master *m)
{
    int pidfd = -1;
    if (m->next_pid || m->stopping) {
        master_say(m, WR_LOG_WARN, "no new binary: %s",
                   m->stopping ? "this one is stopping" : "one is running already");
        return;
    }
    struct next *n = wr_heap_zalloc(m->heap, sizeof *n);
    int err = n ? 0 : -ENOMEM;
    if (!err) {
        n->m = m;
        n->path = m->exe;
        err = read_args(n);
    }
    if (!err)
        err = make_env(n);
    if (!err)
        err = rename_pid(m, true);
    pid_t pid = err ? 0 : wr_os_spawn(run_next, n, &pidfd);
    if (pid > 0) {
        m->next_pid = pid;
        master_say(m, WR_LOG_NOTICE, "start new binary process %d", (int)pid);
        if (wr_io_open(m->loop, &m->next_program, pidfd, WR_IO_READ, on_next) < 0)
            wr_os_close(pidfd);
    } else {
        master_say(m, WR_LOG_CRIT, "new binary could not be started: %s",
                   wr_err_text(err ? err : (int)pid));
        if (m->oldbin)
            (void)rename_pid(m, false);
    }
    wr_heap_free(m->heap, n, sizeof *n);
}

void upgrade_close(struct master *m)
{
    wr_io_close(&m->next_program);
}
