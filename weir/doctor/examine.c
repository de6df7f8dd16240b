/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/examine.h"

#include "weir/doctor/look.h"

#include "libweir/os/os.h"

#include <errno.h>
#include <string.h>

#define EVERY_STATE_BUT_LISTEN (LOOK_ALL_STATES & ~LOOK_LISTEN_ONLY)

static bool sees(const struct examination *e, unsigned what)
{
    return e->what.see == 0 || (e->what.see & what) != 0;
}

/* ---- which processes -------------------------------------------------------------------------------- */
static int on_listening(void *arg, const struct facts_fd *held)
{
    struct examination *e = arg;
    if (e->targets.n == EXAMINE_PIDS)
        return -E2BIG;
    int err = FACTS_ADD(&e->targets, e->out->a.heap, &held->pid);
    return err ? err : -ECANCELED; /* one listener is enough */
}

/* Every process that has one of the look's listeners. */
static int find_targets(struct examination *e, struct facts_look *l)
{
    FACTS_LIST(uint64_t) inodes = {0};
    struct look_search s = {.fn = on_listening, .arg = e};
    int err = 0;
    e->targets.n = 0;
    for (uint32_t i = 0; !err && i < l->sockets.n; i++) {
        uint64_t inode = l->sockets.v[i].inode;
        err = FACTS_ADD(&inodes, l->heap, &inode);
    }
    s.n_inodes = look_set64(inodes.v, inodes.n);
    s.inodes = inodes.v;
    if (!err)
        err = look_holders(&s);
    if (s.hidden)
        facts_gap(l, "descriptors of other users' processes", 0, -EACCES);
    FACTS_DROP(&inodes, l->heap);
    e->targets.n = look_set32(e->targets.v, e->targets.n);
    return err;
}

static int take_targets(struct examination *e, struct facts_look *l)
{
    int err = 0;
    if (e->what.n_pids == 0)
        return find_targets(e, l);
    if (e->what.n_pids > EXAMINE_PIDS)
        return -E2BIG;
    e->targets.n = 0;
    for (uint32_t i = 0; !err && i < e->what.n_pids; i++)
        err = FACTS_ADD(&e->targets, l->heap, &e->what.pids[i]);
    e->targets.n = look_set32(e->targets.v, e->targets.n);
    return err;
}

static int look_targets(const struct examination *e, struct facts_look *l)
{
    unsigned what = LOOK_FDS | (sees(e, SEE_EPOLL) ? LOOK_SETS : 0) |
                    (sees(e, SEE_THREADS | SEE_MEMORY) ? LOOK_THREADS : 0);
    int err = 0;
    for (uint32_t i = 0; !err && i < e->targets.n; i++)
        err = look_process(l, e->targets.v[i], what);
    return err;
}

/* ---- their sockets, and who else has them ----------------------------------------------------------- */
struct others { /* what a look needs to know while its lists are not sorted yet */
    struct examination *e;
    struct facts_look *look;
    FACTS_LIST(uint32_t) own;    /* inodes of the target's sockets */
    FACTS_LIST(uint64_t) wanted; /* inodes whose holders are searched */
    FACTS_LIST(uint32_t) pids;   /* who was found */
};

static int collect_own(struct others *o)
{
    const struct facts_look *l = o->look;
    int err = 0;
    for (uint32_t i = 0; !err && i < l->fds.n; i++) {
        uint32_t inode = (uint32_t)l->fds.v[i].inode;
        if (l->fds.v[i].kind == FACTS_FD_SOCKET)
            err = FACTS_ADD(&o->own, l->heap, &inode);
        else if (l->fds.v[i].kind == FACTS_FD_PIPE)
            err = FACTS_ADD(&o->wanted, l->heap, &l->fds.v[i].inode);
    }
    o->own.n = look_set32(o->own.v, o->own.n);
    return err;
}

static int look_sockets(const struct others *o)
{
    const struct examine *what = &o->e->what;
    static const uint32_t nobody;
    struct look_ask ask = {.proto = FACTS_TCP,
                           .states = EVERY_STATE_BUT_LISTEN,
                           .ports = what->ports,
                           .n_ports = what->n_ports,
                           .detail = o->own.n ? o->own.v : &nobody,
                           .n_detail = o->own.n};
    int err = sees(o->e, SEE_DIAG) ? look_inet(o->look, &ask) : 0;
    ask = (struct look_ask){.proto = FACTS_UDP, .states = LOOK_ALL_STATES};
    if (!err && sees(o->e, SEE_UDP))
        err = look_inet(o->look, &ask);
    if (!err && sees(o->e, SEE_UNIX))
        err = look_unix(o->look);
    return err;
}

static bool owns(const struct others *o, uint32_t inode)
{
    return look_has32(o->own.v, o->own.n, inode);
}

static int collect_wanted(struct others *o)
{
    const struct facts_look *l = o->look;
    int err = 0;
    for (uint32_t i = 0; !err && i < l->sockets.n; i++) {
        uint64_t inode = l->sockets.v[i].inode;
        if (l->sockets.v[i].state == FACTS_LISTEN && owns(o, (uint32_t)inode))
            err = FACTS_ADD(&o->wanted, l->heap, &inode);
    }
    for (uint32_t i = 0; !err && i < l->unixes.n; i++) {
        uint64_t peer = l->unixes.v[i].peer;
        if (peer != 0 && owns(o, l->unixes.v[i].inode))
            err = FACTS_ADD(&o->wanted, l->heap, &peer);
    }
    o->wanted.n = look_set64(o->wanted.v, o->wanted.n);
    return err;
}

static int on_other(void *arg, const struct facts_fd *held)
{
    struct others *o = arg;
    int err = FACTS_ADD(&o->look->fds, o->look->heap, held);
    return err ? err : FACTS_ADD(&o->pids, o->look->heap, &held->pid);
}

static int look_others(struct others *o)
{
    struct look_search s = {.inodes = o->wanted.v,
                            .n_inodes = o->wanted.n,
                            .skip = o->e->targets.v,
                            .n_skip = o->e->targets.n,
                            .fn = on_other,
                            .arg = o};
    int err = look_holders(&s);
    if (s.hidden)
        facts_gap(o->look, "who else has these sockets and pipes", 0, -EACCES);
    o->pids.n = look_set32(o->pids.v, o->pids.n);
    for (uint32_t i = 0; !err && i < o->pids.n; i++)
        err = look_process(o->look, o->pids.v[i], 0);
    return err;
}

/* ---- a look ----------------------------------------------------------------------------------------- */
static int look_all(struct others *o)
{
    static const struct look_ask listeners = {.proto = FACTS_TCP, .states = LOOK_LISTEN_ONLY};
    int err = look_inet(o->look, &listeners);
    if (!err)
        err = take_targets(o->e, o->look);
    if (!err)
        err = look_targets(o->e, o->look);
    if (!err)
        err = collect_own(o);
    if (!err)
        err = look_sockets(o);
    if (!err)
        err = collect_wanted(o);
    return err ? err : look_others(o);
}

/* What only those who already look suspicious are asked. */
static int look_closer(const struct examination *e, struct facts_look *l)
{
    bool whole = sees(e, SEE_DIAG) && e->what.n_ports == 0;
    int err = sees(e, SEE_MEMORY) ? look_futexes(l, e->targets.v, e->targets.n) : 0;
    if (!err)
        err = look_peek(l, e->targets.v, e->targets.n, whole);
    facts_seal_peeks(l);
    return err;
}

static int take_look(struct examination *e, struct facts_look *l)
{
    struct others o = {.e = e, .look = l};
    look_begin(l);
    int err = look_all(&o);
    FACTS_DROP(&o.own, l->heap);
    FACTS_DROP(&o.wanted, l->heap);
    FACTS_DROP(&o.pids, l->heap);
    if (!err && sees(e, SEE_COUNTERS | SEE_HOST))
        look_net(l);
    if (!err && sees(e, SEE_HOST))
        err = look_cgroups(l, e->targets.v, e->targets.n);
    if (!err && sees(e, SEE_HOST))
        err = look_zombies(l, e->targets.v, e->targets.n);
    if (!err)
        err = facts_seal(l);
    if (!err)
        err = look_closer(e, l);
    look_end(l);
    return err;
}

static uint32_t count_alive(const struct examination *e, const struct facts_look *l)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < e->targets.n; i++)
        n += facts_process(l, e->targets.v[i]) != NULL;
    return n;
}

static bool is_target(const struct examination *e, uint32_t pid)
{
    return look_has32(e->targets.v, e->targets.n, pid);
}

static bool holds(const struct examination *e, const struct facts_look *l, uint64_t inode)
{
    const struct facts_fd *f;
    for (uint32_t i = 0; (f = facts_owner(l, inode, i)) != NULL; i++)
        if (is_target(e, f->pid))
            return true;
    return false;
}

/* A server is who has a TCP or unix listener, or a UDP socket that talks to nobody in particular. */
static bool is_serving(const struct examination *e, const struct facts_look *l)
{
    for (uint32_t i = 0; i < l->sockets.n; i++) {
        const struct facts_socket *s = &l->sockets.v[i];
        bool serves = s->proto == FACTS_TCP ? s->state == FACTS_LISTEN : s->remote_port == 0;
        if (serves && s->inode && holds(e, l, s->inode))
            return true;
    }
    for (uint32_t i = 0; i < l->unixes.n; i++)
        if (l->unixes.v[i].state == FACTS_LISTEN && holds(e, l, l->unixes.v[i].inode))
            return true;
    return false;
}

static bool is_blind(const struct examination *e, const struct facts_look *l)
{
    for (uint32_t i = 0; i < e->targets.n; i++) {
        const struct facts_process *p = facts_process(l, e->targets.v[i]);
        if (p && (p->unread & FACTS_UNREAD_FDS))
            return true;
    }
    return false;
}

/* ---- the steps -------------------------------------------------------------------------------------- */
int examine_begin(struct examination *e, const struct examine *what, struct facts *out)
{
    *e = (struct examination){
        .what = *what, .out = out, .begun_ns = wr_os_now_ns(CLOCK_MONOTONIC)};
    if (what->wait_ms == 0)
        e->what.wait_ms = EXAMINE_WAIT_MS;
    int err = take_look(e, &out->a);
    if (!err && what->n_pids && count_alive(e, &out->a) == 0)
        err = -ESRCH;
    return err;
}

/* The steps divide the time between the looks evenly. */
static uint64_t due_ns(const struct examination *e)
{
    uint64_t wait = e->what.wait_ms * 1000000ULL;
    return e->begun_ns + wait * (e->out->glances + 1) / (FACTS_GLANCES + 1);
}

uint32_t examine_due_ms(const struct examination *e)
{
    uint64_t now = wr_os_now_ns(CLOCK_MONOTONIC), due = due_ns(e);
    return due > now ? (uint32_t)((due - now + 999999) / 1000000) : 0;
}

bool examine_is_last(const struct examination *e)
{
    return e->out->glances == FACTS_GLANCES;
}

int examine_glance(struct examination *e)
{
    struct facts *f = e->out;
    int err = 0;
    if (examine_is_last(e))
        return 0;
    struct facts_glance *g = &f->glance[f->glances++];
    g->at_ns = wr_os_now_ns(CLOCK_MONOTONIC);
    for (uint32_t i = 0; !err && sees(e, SEE_THREADS) && i < e->targets.n; i++)
        err = look_glance(g, f->a.heap, e->targets.v[i]);
    facts_glance_seal(g);
    return err;
}

int examine_end(struct examination *e)
{
    struct facts_look *b = &e->out->b;
    int err = take_look(e, b);
    if (err)
        return err;
    if (e->targets.n && count_alive(e, b) == 0)
        return EXAMINE_ENDED;
    if (is_serving(e, b))
        return EXAMINE_DONE;
    return is_blind(e, b) ? EXAMINE_BLIND : EXAMINE_NO_LISTENER;
}

void examine_again(struct examination *e)
{
    struct facts *f = e->out;
    const struct wr_heap *heap = f->a.heap;
    facts_look_deinit(&f->a);
    f->a = f->b;
    facts_look_init(&f->b, heap);
    for (uint32_t i = 0; i < FACTS_GLANCES; i++)
        facts_glance_deinit(&f->glance[i], heap);
    f->glances = 0;
    e->begun_ns = wr_os_now_ns(CLOCK_MONOTONIC);
}

void examine_drop(struct examination *e)
{
    if (e->out)
        FACTS_DROP(&e->targets, e->out->a.heap);
}

const uint32_t *examine_targets(const struct examination *e, uint32_t *out_n)
{
    *out_n = e->targets.n;
    return e->targets.v;
}

int examine(const struct examine *what, struct facts *out)
{
    struct examination e;
    int r = examine_begin(&e, what, out);
    while (!r && !examine_is_last(&e)) {
        (void)wr_os_sleep_ns(examine_due_ms(&e) * 1000000ULL);
        r = examine_glance(&e);
    }
    if (!r) {
        (void)wr_os_sleep_ns(examine_due_ms(&e) * 1000000ULL);
        r = examine_end(&e);
    }
    examine_drop(&e);
    return r;
}
