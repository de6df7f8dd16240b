/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/connect.h"

#include "libweir/base/err.h"
#include "libweir/base/heap.h"
#include "libweir/io/loop.h"
#include "libweir/io/ports.h"
#include "libweir/io/resolve.h"
#include "libweir/io/scope.h"
#include "libweir/io/sock.h"
#include "libweir/os/os.h"

#include <errno.h>

#define TIMEOUT_MS   3000
#define STAGGER_MS   250
#define ATTEMPTS     8
#define ATTEMPTS_MAX 16

struct attempt {
    struct wr_io io;
    struct connecting *of;
    struct wr_addr addr;
    bool holds_port;
};

/*
 *   resolving --addresses--> trying --one connected--> over(0)
 *       |                      |  `- none left: over(error of the last)
 *       `-- error, deadline, scope ---------------> over(error)
 */
struct connecting {
    struct wr_loop *loop;
    struct wr_op op;
    struct wr_scope inner; /* of the name's lookup */
    struct wr_task begin;
    struct wr_timer deadline, stagger;
    struct wr_free_later later;
    struct wr_connect_options options;
    struct wr_connected result;
    struct wr_resolver *resolver;
    char name[256];
    size_t name_n;
    uint16_t port;
    unsigned count, next, live;
    int last_err;
    uint64_t begun_ms, tried_ms;
    wr_connect_fn *fn;
    void *arg;
    bool over;
    struct attempt attempts[ATTEMPTS_MAX];
};

const char *wr_connect_stage_name(enum wr_connect_stage stage)
{
    static const char *const names[WR_CONNECT_STAGES] = {"dns", "port", "connect"};
    return names[stage];
}

/* Moves to the next place the first address behind it that is of the other family. */
void wr_connect_interleave(struct wr_addr *addrs, unsigned n)
{
    for (unsigned at = 1; at < n; at++) {
        unsigned from = at;
        while (from < n && addrs[from].kind == addrs[at - 1].kind)
            from++;
        if (from == n)
            return;
        struct wr_addr a = addrs[from];
        memmove(&addrs[at + 1], &addrs[at], (from - at) * sizeof a);
        addrs[at] = a;
    }
}

/* ---- ending ------------------------------------------------------------------------------------------- */

static void give_port(struct attempt *a)
{
    struct connecting *c = a->of;
    if (a->holds_port)
        wr_port_budget_give(c->options.ports, &a->addr, false, wr_loop_now_ms(c->loop));
    a->holds_port = false;
}

static void free_connecting(struct wr_free_later *f)
{
    struct connecting *c = wr_container_of(f, struct connecting, later);
    wr_heap_free(wr_loop_heap(c->loop), c, sizeof *c);
}

/* winner: NULL on error. */
static void finish(struct connecting *c, int err, struct attempt *winner)
{
    uint64_t now = wr_loop_now_ms(c->loop);
    if (c->over)
        return;
    c->over = true;
    wr_task_cancel(&c->begin);
    wr_loop_timer_cancel(&c->deadline);
    wr_loop_timer_cancel(&c->stagger);
    wr_scope_deinit(&c->inner);
    c->result.fd = -1;
    if (winner) {
        c->result.fd = wr_io_detach(&winner->io);
        c->result.peer = winner->addr;
        winner->holds_port = false; /* now its owner's */
    }
    for (unsigned i = 0; i < c->next; i++) {
        wr_io_close(&c->attempts[i].io);
        give_port(&c->attempts[i]);
    }
    if (c->result.stage == WR_CONNECT_DNS)
        c->result.dns_ms = (uint32_t)(now - c->begun_ms);
    else
        c->result.connect_ms = (uint32_t)(now - c->tried_ms);
    (void)wr_op_end(&c->op);
    wr_loop_free_later(c->loop, &c->later, free_connecting);
    c->fn(c->arg, err, &c->result);
}

static void on_cancel(struct wr_op *op, int why)
{
    finish(wr_container_of(op, struct connecting, op), why, NULL);
}

static void on_deadline(struct wr_timer *t)
{
    finish(wr_container_of(t, struct connecting, deadline), WR_E_DEADLINE, NULL);
}

/* ---- trying ------------------------------------------------------------------------------------------- */

static void on_event(struct wr_io *io, uint32_t events);
static void try_next(struct connecting *c);

static int prepare(const struct connecting *c, int fd, const struct wr_addr *to)
{
    const struct wr_connect_options *o = &c->options;
    struct sockaddr_storage sa;
    socklen_t n;
    if (to->kind == WR_ADDR_UNIX)
        return 0;
    if (!o->delay)
        (void)wr_sock_set(fd, WR_LIT("nodelay"), 1);
    int err = o->congestion.n ? wr_sock_set_congestion(fd, o->congestion) : 0;
    if (err || o->local.kind == WR_ADDR_NONE)
        return err;
    /* or bind would take a port for itself alone, whatever the destination */
    if (o->local.port == 0)
        (void)wr_sock_set(fd, WR_LIT("bind_no_port"), 1);
    err = wr_addr_to_sockaddr(&o->local, &sa, &n);
    return err ? err : wr_os_bind(fd, (struct sockaddr *)&sa, n);
}

/* 0: connected, -EINPROGRESS: under way. */
static int open_attempt(struct connecting *c, struct attempt *a, int *out_fd)
{
    struct sockaddr_storage sa;
    socklen_t n;
    c->result.stage = WR_CONNECT_PORT;
    if (c->options.ports) {
        int err = wr_port_budget_take(c->options.ports, &a->addr, wr_loop_now_ms(c->loop));
        if (err)
            return err;
        a->holds_port = true;
    }
    int fd = wr_os_socket(wr_addr_family(&a->addr), SOCK_STREAM, 0);
    int err = fd < 0 ? fd : prepare(c, fd, &a->addr);
    if (!err)
        err = wr_addr_to_sockaddr(&a->addr, &sa, &n);
    if (!err) {
        err = wr_os_connect(fd, (struct sockaddr *)&sa, n);
        if (err == -EADDRNOTAVAIL || (err == -EAGAIN && a->addr.kind != WR_ADDR_UNIX))
            err = WR_E_NOPORTS;
        else
            c->result.stage = WR_CONNECT_CONNECT;
    }
    if (err && err != -EINPROGRESS) {
        if (fd >= 0)
            (void)wr_os_close(fd);
        return err;
    }
    *out_fd = fd;
    return err;
}

/* Returns true when the operation is over. */
static bool try_one(struct connecting *c)
{
    struct attempt *a = &c->attempts[c->next++];
    int fd = -1;
    c->result.attempts++;
    int err = open_attempt(c, a, &fd);
    if (err == 0 || err == -EINPROGRESS) {
        int opened = wr_io_open(c->loop, &a->io, fd, WR_IO_EDGE, on_event);
        if (opened) {
            (void)wr_os_close(fd);
            err = opened;
        }
    }
    if (err == 0) {
        finish(c, 0, a);
        return true;
    }
    if (err == -EINPROGRESS) {
        c->live++;
    } else {
        c->last_err = err;
        give_port(a);
    }
    return false;
}

static void try_next(struct connecting *c)
{
    unsigned live = c->live;
    while (c->next < c->count && c->live == live)
        if (try_one(c))
            return;
    if (c->next < c->count)
        wr_loop_timer_arm(c->loop, &c->stagger,
                          c->options.stagger_ms ? c->options.stagger_ms : STAGGER_MS);
    else if (c->live == 0)
        finish(c, c->last_err, NULL);
}

static void on_stagger(struct wr_timer *t)
{
    try_next(wr_container_of(t, struct connecting, stagger));
}

static void on_event(struct wr_io *io, uint32_t events)
{
    struct attempt *a = wr_container_of(io, struct attempt, io);
    struct connecting *c = a->of;
    struct wr_addr peer;
    if (!(events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
        return;
    int err = wr_sock_take_error(wr_io_fd(io));
    if (!err && (events & EPOLLHUP)) /* connected and left again, or never connected */
        err = wr_addr_of_peer(wr_io_fd(io), &peer);
    if (!err) {
        c->result.stage = WR_CONNECT_CONNECT;
        finish(c, 0, a);
        return;
    }
    wr_io_close(io);
    give_port(a);
    c->live--;
    c->last_err = err == -EADDRNOTAVAIL ? (int)WR_E_NOPORTS : err;
    c->result.stage = c->last_err == WR_E_NOPORTS ? WR_CONNECT_PORT : WR_CONNECT_CONNECT;
    wr_loop_timer_cancel(&c->stagger);
    try_next(c);
}

/* ---- beginning ---------------------------------------------------------------------------------------- */

static void begin_trying(struct connecting *c, const struct wr_addr *addrs, unsigned n)
{
    struct wr_addr order[ATTEMPTS_MAX * 2];
    unsigned max = c->options.max_attempts ? c->options.max_attempts : ATTEMPTS;
    if (max > ATTEMPTS_MAX)
        max = ATTEMPTS_MAX;
    /* both families have a place in the order even when there are many of the first */
    unsigned half = 0, kept = 0;
    for (unsigned i = 0; i < n && kept < WR_ARRAY_LEN(order); i++) {
        if (addrs[i].kind == addrs[0].kind && ++half > ATTEMPTS_MAX)
            continue;
        order[kept++] = addrs[i];
    }
    wr_connect_interleave(order, kept);
    c->count = kept < max ? kept : max;
    for (unsigned i = 0; i < c->count; i++) {
        c->attempts[i].of = c;
        c->attempts[i].addr = order[i];
    }
    c->tried_ms = wr_loop_now_ms(c->loop);
    c->result.dns_ms = (uint32_t)(c->tried_ms - c->begun_ms);
    c->result.stage = WR_CONNECT_CONNECT;
    c->last_err = WR_E_DNS_NONAME;
    try_next(c);
}

static void on_resolved(void *arg, int err, const struct wr_resolved *answer)
{
    struct connecting *c = arg;
    if (c->over)
        return;
    if (err || answer->addr_count == 0)
        finish(c, err ? err : (int)WR_E_DNS_NONAME, NULL);
    else
        begin_trying(c, answer->addrs, answer->addr_count);
}

static void on_begin(struct wr_task *t)
{
    struct connecting *c = wr_container_of(t, struct connecting, begin);
    if (c->attempts[0].addr.kind != WR_ADDR_NONE) {
        struct wr_addr only = c->attempts[0].addr;
        begin_trying(c, &only, 1);
        return;
    }
    int err = !c->resolver ? (int)WR_E_DNS
                           : wr_resolve(c->resolver, &c->inner, wr_span(c->name, c->name_n),
                                        c->port, WR_RESOLVE_ANY, on_resolved, c);
    if (err)
        finish(c, err, NULL);
}

int wr_connect(struct wr_scope *scope, struct wr_resolver *resolver,
               const struct wr_target *target, const struct wr_connect_options *options,
               wr_connect_fn *fn, void *arg)
{
    struct wr_loop *loop = wr_scope_loop(scope);
    if (target->name.n >= sizeof((struct connecting *)0)->name)
        return WR_E_TOO_BIG;
    struct connecting *c = wr_heap_zalloc(wr_loop_heap(loop), sizeof *c);
    if (!c)
        return -ENOMEM;
    c->loop = loop;
    c->resolver = resolver;
    c->fn = fn;
    c->arg = arg;
    if (options)
        c->options = *options;
    int err = wr_op_begin(scope, &c->op, on_cancel);
    if (err) {
        wr_heap_free(wr_loop_heap(loop), c, sizeof *c);
        return err;
    }
    c->name_n = target->name.n;
    memcpy(c->name, target->name.n ? target->name.p : "", target->name.n);
    c->port = target->port;
    c->attempts[0].addr = target->addr;
    c->begun_ms = c->tried_ms = wr_loop_now_ms(loop);
    wr_scope_init(&c->inner, loop, NULL, 0);
    wr_task_init(&c->begin, on_begin);
    c->deadline.fn = on_deadline;
    c->stagger.fn = on_stagger;
    wr_loop_timer_arm(loop, &c->deadline,
                      c->options.timeout_ms ? c->options.timeout_ms : TIMEOUT_MS);
    wr_loop_at_turn_end(loop, &c->begin);
    return 0;
}
