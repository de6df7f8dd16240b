/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/master/master_private.h"

#include "libweir/base/err.h"
#include "libweir/base/heap.h"
#include "libweir/io/board.h"
#include "libweir/io/log.h"
#include "libweir/os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>

/* ---- going into the background ---------------------------------------------------------------------------- */

/* Standard streams become /dev/null at once, so that no child keeps a terminal or pipe open; what has to be said
 * until the server serves goes to the saved standard error. */
static int leave_terminal(struct master *m)
{
    int null = wr_os_open("/dev/null", O_RDWR, 0);
    if (null < 0)
        return null;
    m->terminal = wr_os_dup(2);
    int err = wr_os_setsid();
    for (int fd = 0; fd < 3 && err >= 0; fd++)
        err = wr_os_dup_to(null, fd);
    if (null > 2) /* it is one of the three when that one was closed before */
        (void)wr_os_close(null);
    return err < 0 ? err : 0;
}

/* ---- the process --------------------------------------------------------------------------------------------- */

static void find_exe(struct master *m)
{
    ssize_t n = wr_os_readlink("/proc/self/exe", m->exe, sizeof m->exe - 1);
    m->exe[n > 0 ? n : 0] = 0;
}

static int set_up(struct master *m, struct web_config *config)
{
    struct settings s;
    int err = settings_read(config, &s, master_said, m);
    if (!err)
        err = wr_loop_new(&(struct wr_loop_options){0}, &m->loop);
    if (!err)
        err = family_open(m, s.workers);
    if (!err)
        err = family_register_logs(m, config);
    if (!err)
        err = family_log_open(m);
    return err ? err : control_open(m);
}

static void tear_down(struct master *m)
{
    struct crew *list[64];
    look_close(m);
    watch_stop(m);
    wr_signal_close(&m->signals);
    upgrade_close(m);
    unsigned n = m->loop ? master_crews(m, list, WR_ARRAY_LEN(list)) : 0;
    m->crew = m->incoming = NULL;
    for (unsigned i = 0; i < n; i++)
        crew_free(&list[i]);
    if (m->loop) {
        (void)wr_loop_turn(m->loop, 0);
        (void)wr_loop_turn(m->loop, 0);
        family_close(m);
    }
    if (!upgrade_shared(m))
        listeners_unlink(&m->listeners);
    listeners_deinit(&m->listeners);
    pidfile_remove(m);
    if (m->loop)
        wr_loop_free(&m->loop);
}

/* The master proper, in the background or not. Takes the configuration. */
static int run(struct master *m, struct web_config *config)
{
    find_exe(m);
    upgrade_inherit(m);
    int err = set_up(m, config);
    if (!err) {
        err = control_first(m, &config);
    } else {
        master_say(m, WR_LOG_CRIT, "cannot start: %s%s", wr_err_text(err), remedy_text(err));
        web_config_free(&config);
    }
    if (!err) {
        look_open(m);
        err = wr_loop_run(m->loop);
    }
    if (err)
        m->result = 1;
    tear_down(m);
    return m->result;
}

struct background {
    struct master *m;
    struct web_config *config;
};

static int run_in_background(void *arg)
{
    struct background *b = arg;
    b->m->daemonized = true;
    int err = leave_terminal(b->m);
    if (err < 0) {
        master_say(b->m, WR_LOG_CRIT, "cannot go into the background: %s%s", wr_err_text(err),
                   remedy_text(err));
        return 1;
    }
    return run(b->m, b->config);
}

/* Returns in the foreground, when the server serves or has failed. */
static int daemonize(struct master *m, struct web_config *config)
{
    struct background b = {m, config};
    int pipe[2];
    char byte;
    int err = wr_os_pipe(pipe, 0);
    m->foreground = err < 0 ? -1 : pipe[1];
    pid_t pid = err < 0 ? err : wr_os_spawn(run_in_background, &b, NULL);
    m->foreground = -1;
    web_config_free(&config);
    if (err >= 0)
        (void)wr_os_close(pipe[1]);
    if (pid < 0) {
        master_say(m, WR_LOG_CRIT, "cannot go into the background: %s%s", wr_err_text(pid),
                   remedy_text(pid));
        if (err >= 0)
            (void)wr_os_close(pipe[0]);
        return 1;
    }
    (void)wr_os_set_nonblocking(pipe[0], false);
    ssize_t n = wr_os_read(pipe[0], &byte, 1);
    (void)wr_os_close(pipe[0]);
    return n == 1 ? 0 : 1;
}

/* Started by a predecessor: that one's parent is not waiting. */
static bool has_predecessor(void)
{
    for (char **e = wr_os_environ(); e && *e; e++)
        if (strncmp(*e, "WEIR=", 5) == 0 || strncmp(*e, "NGINX=", 6) == 0)
            return true;
    return false;
}

int master_run(const struct master_options *o)
{
    struct master m = {.o = o,
                       .heap = wr_os_heap(),
                       .log_level = WR_LOG_ERROR,
                       .wake_fd = -1,
                       .foreground = -1,
                       .terminal = -1,
                       .watch = {.fd = -1}};
    struct web_config *config = NULL;
    struct settings s;
    sigset_t too_large = wr_signal_set(SIGXFSZ, 0);
    (void)wr_os_sigmask(SIG_BLOCK, &too_large, NULL); /* an error code, not a sudden end */
    wr_list_init(&m.leaving);
    listeners_init(&m.listeners, m.heap);
    if (web_load(m.heap, o->source, NULL, &config) < 0)
        return 1;
    if (settings_read(config, &s, master_say_text, &m) < 0) {
        web_config_free(&config);
        return 1;
    }
    if (s.daemon && !has_predecessor())
        return daemonize(&m, config);
    return run(&m, config);
}
