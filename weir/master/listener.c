/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/master/listener.h"

#include "libweir/base/err.h"
#include "libweir/base/heap.h"
#include "libweir/io/log.h"
#include "libweir/io/sock.h"
#include "libweir/os/os.h"

#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define RETRY_NS 500000000U

WR_PRINTF(3, 4)
static void say(const struct listener_say *s, int level, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (s && s->fn)
        s->fn(s->ctx, level, text);
}

static const char *os_text(int err)
{
    return wr_err_text(err);
}

/* ---- rows ------------------------------------------------------------------------------------------- */

void listeners_init(struct listeners *t, const struct wr_heap *heap)
{
    *t = (struct listeners){.heap = heap};
}

static int grow(const struct wr_heap *heap, void **list, unsigned *room, unsigned n,
                size_t size)
{
    if (n < *room)
        return 0;
    unsigned more = *room ? *room * 2 : 8;
    void *p = wr_heap_realloc(heap, *list, *room * size, more * size);
    if (!p)
        return -ENOMEM;
    *list = p;
    *room = more;
    return 0;
}

static void free_row(const struct wr_heap *heap, struct listener *l)
{
    for (unsigned i = 0; i < l->n_fds; i++)
        (void)wr_os_close(l->fds[i]);
    wr_heap_free(heap, l->fds, l->room * sizeof *l->fds);
    wr_heap_free(heap, l, sizeof *l);
}

static void drop_inherited(struct listeners *t)
{
    for (unsigned i = 0; i < t->n_inherited; i++)
        (void)wr_os_close(t->inherited[i]);
    t->n_inherited = 0;
}

void listeners_deinit(struct listeners *t)
{
    for (unsigned i = 0; i < t->n; i++)
        free_row(t->heap, t->row[i]);
    wr_heap_free(t->heap, t->row, t->room * sizeof *t->row);
    drop_inherited(t);
    wr_heap_free(t->heap, t->inherited, t->inherited_room * sizeof *t->inherited);
    *t = (struct listeners){.heap = t->heap};
}

struct listener *listeners_find(const struct listeners *t, const struct wr_addr *addr)
{
    for (unsigned i = 0; i < t->n; i++)
        if (wr_addr_eq(&t->row[i]->next.socket.addr, addr))
            return t->row[i];
    return NULL;
}

static struct listener *new_row(struct listeners *t, const struct wr_addr *addr)
{
    if (grow(t->heap, (void **)&t->row, &t->room, t->n, sizeof *t->row))
        return NULL;
    struct listener *l = wr_heap_zalloc(t->heap, sizeof *l);
    if (!l)
        return NULL;
    l->fresh = true;
    l->next.socket.addr = l->want.socket.addr = *addr;
    t->row[t->n++] = l;
    return l;
}

static int add_fd(const struct wr_heap *heap, struct listener *l, int fd)
{
    int rc = grow(heap, (void **)&l->fds, &l->room, l->n_fds, sizeof *l->fds);
    if (rc == 0)
        l->fds[l->n_fds++] = fd;
    return rc;
}

/* ---- what is handed over ------------------------------------------------------------------------------ */

static void inherit(struct listeners *t, int fd, const struct listener_say *s)
{
    int value = 0;
    socklen_t n = sizeof value;
    if (wr_os_getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &n) != 0 || !value) {
        say(s, WR_LOG_WARN, "inherited descriptor %d is no listening socket: ignored", fd);
        return;
    }
    if (grow(t->heap, (void **)&t->inherited, &t->inherited_room, t->n_inherited,
             sizeof *t->inherited))
        return;
    if (wr_os_set_cloexec(fd, true) < 0 || wr_os_set_nonblocking(fd, true) < 0)
        return;
    t->inherited[t->n_inherited++] = fd;
}

void listeners_inherit(struct listeners *t, const char *list, const struct listener_say *s)
{
    for (int fd = 0; list && *list; list++) {
        if (*list >= '0' && *list <= '9' && fd < 1 << 20) {
            fd = fd * 10 + (*list - '0');
        } else if (*list == ';' || *list == ':') {
            inherit(t, fd, s);
            fd = 0;
        } else {
            say(s, WR_LOG_ERROR, "invalid socket number \"%s\" in the environment", list);
            return;
        }
    }
}

void listeners_inherit_systemd(struct listeners *t, const char *pid, const char *fds,
                               int own_pid)
{
    int meant = 0, n = 0;
    if (!pid || !fds || sscanf(pid, "%d", &meant) != 1 || sscanf(fds, "%d", &n) != 1 ||
        meant != own_pid)
        return;
    for (int fd = 3; fd < 3 + n && n < 1024; fd++)
        inherit(t, fd, NULL);
}

/* Gives a fresh row the sockets that a predecessor had at this address. */
static int take_inherited(struct listeners *t, struct listener *l)
{
    unsigned left = 0;
    int rc = 0;
    for (unsigned i = 0; i < t->n_inherited; i++) {
        struct wr_addr at;
        int fd = t->inherited[i];
        if (rc == 0 && wr_addr_of_socket(fd, &at) == 0 && wr_addr_eq(&at, &l->next.socket.addr))
            rc = add_fd(t->heap, l, fd);
        else
            t->inherited[left++] = fd;
    }
    t->n_inherited = left;
    return rc;
}

/* ---- opening ------------------------------------------------------------------------------------------ */

/* What wr_listen_socket does not know of; also for sockets that live already. */
static void set_more(const struct listener *l, int fd, const struct listener_say *s)
{
    const struct listener_want *w = &l->next;
    int rc = 0;
    if (w->socket.addr.kind == WR_ADDR_UNIX)
        return;
    if (w->keepalive >= 0)
        rc = wr_sock_set(fd, WR_LIT("keepalive"), w->keepalive);
    if (rc == 0 && w->keepidle_s)
        rc = wr_sock_set(fd, WR_LIT("keepidle_s"), w->keepidle_s);
    if (rc == 0 && w->keepintvl_s)
        rc = wr_sock_set(fd, WR_LIT("keepintvl_s"), w->keepintvl_s);
    if (rc == 0 && w->keepcnt)
        rc = wr_sock_set(fd, WR_LIT("keepcnt"), w->keepcnt);
    if (rc == 0 && w->fastopen)
        rc = wr_os_setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN, &w->fastopen, sizeof w->fastopen);
    if (rc)
        say(s, WR_LOG_WARN, "setsockopt() of a listening socket failed (%d: %s), ignored", -rc,
            os_text(rc));
}

static unsigned backlog_of(const struct listener_want *w)
{
    return w->socket.backlog ? w->socket.backlog : 4096;
}

static void warn_backlog(const struct listener *l, const struct listener_say *s)
{
    char text[WR_ADDR_TEXT_MAX];
    unsigned wanted = backlog_of(&l->next);
    if (l->backlog >= wanted)
        return;
    wr_addr_format(&l->next.socket.addr, text);
    say(s, WR_LOG_WARN,
        "backlog of %s is %u, not %u: the kernel clips it to net.core.somaxconn "
        "(sysctl -w net.core.somaxconn=%u)",
        text, l->backlog, wanted, wanted);
}

static int open_one(struct listeners *t, struct listener *l, unsigned *retries,
                    const struct listener_say *s)
{
    char text[WR_ADDR_TEXT_MAX];
    int fd, rc, told = 0;
    wr_addr_format(&l->next.socket.addr, text);
    while ((rc = wr_listen_socket(&l->next.socket, &fd, &l->backlog)) < 0) {
        if (rc != told)
            say(s, WR_LOG_CRIT, "%s to %s failed (%d: %s)",
                rc == -EADDRINUSE || rc == -EACCES || rc == -EADDRNOTAVAIL ? "bind()"
                                                                           : "listen()",
                text, -rc, os_text(rc));
        told = rc;
        if (rc != -EADDRINUSE || *retries == 0)
            return rc;
        --*retries;
        (void)wr_os_sleep_ns(RETRY_NS);
    }
    set_more(l, fd, s);
    rc = add_fd(t->heap, l, fd);
    if (rc)
        (void)wr_os_close(fd);
    return rc;
}

/* With reuseport the kernel queues connections on a socket as soon as it listens. Until the new ones have readers, and
 * may still go again, it chooses among those that were there: the first ones of the group. Where it cannot be told so,
 * it chooses among all. */
static void hold_back(const struct listener *l)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_RANDOM)),
        BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, l->n_old),
        BPF_STMT(BPF_RET | BPF_A, 0),
    };
    struct sock_fprog choice = {WR_ARRAY_LEN(code), code};
    if (l->n_old)
        (void)!wr_os_setsockopt(l->fds[0], SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &choice,
                                sizeof choice);
}

static void let_go(const struct listener *l)
{
    int none = 0;
    if (l->n_old)
        (void)!wr_os_setsockopt(l->fds[0], SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &none,
                                sizeof none);
}

static int complete_row(struct listeners *t, struct listener *l, unsigned workers,
                        unsigned *retries, const struct listener_say *s)
{
    unsigned wanted = l->next.socket.reuseport ? workers : 1;
    int rc = 0;
    if (l->n_fds && wanted > 1 && !l->want.socket.reuseport) /* or the second could not bind */
        for (unsigned i = 0; i < l->n_fds; i++)
            (void)wr_sock_set(l->fds[i], WR_LIT("reuseport"), 1);
    bool opened = l->n_fds < wanted;
    while (rc == 0 && l->n_fds < wanted) {
        hold_back(l);
        rc = open_one(t, l, retries, s);
    }
    if (opened) /* what was without reuseport has become a group by the second one */
        hold_back(l);
    if (rc == 0 && opened)
        warn_backlog(l, s);
    return rc;
}

static int want_one(struct listeners *t, const struct listener_want *want, unsigned workers,
                    unsigned *retries, const struct listener_say *s)
{
    struct listener *l = listeners_find(t, &want->socket.addr);
    bool found = l != NULL;
    if (!found)
        l = new_row(t, &want->socket.addr);
    if (!l)
        return -ENOMEM;
    if (want->socket.congestion.n >= sizeof l->next_congestion)
        return WR_E_TOO_BIG;
    l->wanted = true;
    l->n_old = l->n_fds;
    l->next = *want;
    memset(l->next_congestion, 0, sizeof l->next_congestion);
    if (want->socket.congestion.n)
        memcpy(l->next_congestion, want->socket.congestion.p, want->socket.congestion.n);
    l->next.socket.congestion = wr_span(l->next_congestion, want->socket.congestion.n);
    int rc = found ? 0 : take_inherited(t, l);
    if (!found)
        l->n_old = l->n_fds;
    return rc ? rc : complete_row(t, l, workers, retries, s);
}

int listeners_prepare(struct listeners *t, const struct listener_want *wants, unsigned n,
                      unsigned workers, unsigned retries, const struct listener_say *s)
{
    int rc = 0;
    for (unsigned i = 0; i < t->n; i++)
        t->row[i]->wanted = false;
    for (unsigned i = 0; i < n && rc == 0; i++)
        rc = want_one(t, &wants[i], workers, &retries, s);
    if (rc)
        listeners_rollback(t);
    return rc;
}

static void remove_row(struct listeners *t, unsigned i)
{
    free_row(t->heap, t->row[i]);
    t->row[i] = t->row[--t->n];
}

void listeners_rollback(struct listeners *t)
{
    for (unsigned i = 0; i < t->n;) {
        struct listener *l = t->row[i];
        bool more = l->wanted && l->n_fds > l->n_old;
        while (more && l->n_fds > l->n_old)
            (void)wr_os_close(l->fds[--l->n_fds]);
        if (more)
            let_go(l);
        if (l->fresh) {
            remove_row(t, i);
            continue;
        }
        l->next = l->want;
        i++;
    }
}

/* The length of an inherited socket's queue is its maker's, unless the configuration names one. */
static void refresh_backlog(struct listener *l, const struct listener_say *s)
{
    bool differs =
        l->fresh ? l->next.socket.backlog != 0 : backlog_of(&l->next) != backlog_of(&l->want);
    if (!l->fresh && !differs)
        return;
    for (unsigned i = 0; i < l->n_old; i++) {
        struct wr_listen_options o = {
            .backlog = differs ? backlog_of(&l->next) : 0,
            .addr = {.kind = WR_ADDR_FD, .fd = l->fds[i]},
            .delay = true
        };
        int same;
        (void)!wr_listen_socket(&o, &same, &l->backlog);
    }
    if (l->n_old && differs)
        warn_backlog(l, s);
}

/* The queue's length and the options that a living socket takes. */
static void refresh(struct listener *l, const struct listener_say *s)
{
    const struct wr_listen_options *o = &l->next.socket;
    refresh_backlog(l, s);
    for (unsigned i = 0; i < l->n_old; i++) {
        int fd = l->fds[i];
        if (o->addr.kind != WR_ADDR_UNIX &&
            (l->fresh || o->defer_accept_s != l->want.socket.defer_accept_s))
            (void)wr_sock_set(fd, WR_LIT("defer_accept_s"), (int)o->defer_accept_s);
        if (o->rcvbuf)
            (void)wr_sock_set(fd, WR_LIT("rcvbuf"), o->rcvbuf);
        if (o->sndbuf)
            (void)wr_sock_set(fd, WR_LIT("sndbuf"), o->sndbuf);
        if (o->congestion.n)
            (void)wr_sock_set_congestion(fd, o->congestion);
        set_more(l, fd, s);
    }
}

void listeners_commit(struct listeners *t, const struct listener_say *s)
{
    for (unsigned i = 0; i < t->n;) {
        struct listener *l = t->row[i];
        if (!l->wanted) {
            remove_row(t, i);
            continue;
        }
        refresh(l, s);
        if (l->n_fds > l->n_old)
            let_go(l);
        l->fresh = false;
        l->n_old = l->n_fds;
        l->want = l->next;
        memcpy(l->congestion, l->next_congestion, sizeof l->congestion);
        l->want.socket.congestion.p = l->congestion;
        i++;
    }
    drop_inherited(t); /* addresses that the new configuration does not name */
}

/* ---- for workers and successors ---------------------------------------------------------------------- */

unsigned listener_fds(const struct listener *l, bool own, unsigned index, unsigned workers,
                      int *out_fds, unsigned max)
{
    unsigned n = 0;
    for (unsigned i = own ? index : 0; i < l->n_fds && n < max; i += own ? workers : 1)
        out_fds[n++] = l->fds[i];
    return n;
}

int listeners_format(const struct listeners *t, char *out, size_t n)
{
    size_t at = 0;
    out[0] = 0;
    for (unsigned i = 0; i < t->n; i++)
        for (unsigned j = 0; j < t->row[i]->n_fds; j++) {
            int w = snprintf(out + at, n - at, "%d;", t->row[i]->fds[j]);
            if (w < 0 || (size_t)w >= n - at)
                return WR_E_TOO_BIG;
            at += (size_t)w;
        }
    return 0;
}

void listeners_set_cloexec(const struct listeners *t, bool on)
{
    for (unsigned i = 0; i < t->n; i++)
        for (unsigned j = 0; j < t->row[i]->n_fds; j++)
            (void)!wr_os_set_cloexec(t->row[i]->fds[j], on);
}

void listeners_unlink(const struct listeners *t)
{
    for (unsigned i = 0; i < t->n; i++) {
        const struct wr_addr *a = &t->row[i]->want.socket.addr;
        char path[WR_ADDR_NAME_MAX + 1] = "";
        if (a->kind != WR_ADDR_UNIX || !a->name[0])
            continue;
        memcpy(path, a->name, a->name_len);
        (void)wr_os_unlink(path);
    }
}
