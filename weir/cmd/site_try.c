/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/cmd/cmd.h"
#include "weir/cmd/out.h"
#include "weir/cmd/site.h"

#include "libweir/base/err.h"
#include "libweir/os/os.h"
#include "weir/web/core.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* What -t tries of a configuration that could be read: can the pid file be written, can the addresses be bound.
 * Nothing is left behind; an address in use is taken to be the running server's. */

static int complain(const char *call, const char *what, int err)
{
    out_print(2, "weir: [emerg] %s() %s failed (%d: %s)\n", call, what, -err, wr_err_text(err));
    return err;
}

static int try_pid(const struct web_config *config)
{
    const struct core_main *core = web_generation_core(config->generation, WEB_core);
    struct wr_span path;
    struct stat st;
    char quoted[CMD_PATH];
    if (core->pid.n == 0 || wr_span_eq(core->pid, WR_LIT("off")))
        return 0;
    int err = site_path(&config->load, core->pid, &path);
    if (err)
        return err;
    int fd = wr_os_open(path.p, O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0);
    if (fd >= 0)
        return wr_os_close(fd);
    if (fd == -ENOENT) { /* it can be made when its directory is there */
        size_t n = path.n;
        while (n > 1 && path.p[n - 1] != '/')
            n--;
        char *dir = wr_arena_strndup(config->load.arena, path.p, n);
        if (!dir || (wr_os_stat(dir, &st) == 0 && S_ISDIR(st.st_mode)))
            return 0;
    }
    (void)snprintf(quoted, sizeof(quoted), "\"%s\"", path.p);
    (void)complain("open", quoted, fd);
    if (fd == -ENOENT)
        out_print(2, "weir: make the directory of the pid file first\n");
    return fd;
}

static int try_bind(const struct web_listen *l)
{
    struct sockaddr_storage sa;
    socklen_t n = sizeof(sa);
    int on = 1;
    char what[WR_ADDR_TEXT_MAX + 8];
    if (l->options.addr.kind == WR_ADDR_UNIX || wr_addr_to_sockaddr(&l->options.addr, &sa, &n))
        return 0;
    int fd = wr_os_socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        (void)snprintf(what, sizeof(what), "%.*s", WR_SPANF(l->text));
        return complain("socket", what, fd);
    }
    (void)wr_os_setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (sa.ss_family == AF_INET6)
        (void)wr_os_setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    int err = wr_os_bind(fd, (const struct sockaddr *)&sa, n);
    wr_os_close(fd);
    if (!err || err == -EADDRINUSE)
        return 0;
    (void)snprintf(what, sizeof(what), "to %.*s", WR_SPANF(l->text));
    return complain("bind", what, err);
}

int cmd_site_try(const struct web_config *config)
{
    const struct web_generation *g = config->generation;
    int err = try_pid(config);
    for (uint32_t i = 0; i < g->nlistens && !err; i++)
        if (g->listens[i]->bind)
            err = try_bind(g->listens[i]);
    return err;
}
