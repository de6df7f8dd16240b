/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/look/examine_look.h"

#include "weir/doctor/look/look.h"

#include "libweir/os/os.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define EVERY_STATE_BUT_LISTEN (LOOK_ALL_STATES & ~LOOK_LISTEN_ONLY)

bool examine_sees(const struct examination *e, unsigned what)
{
    return e->what.see == 0 || (e->what.see & what) != 0;
}

/* Through the kernel's socket query, or, from outside of the namespace, as text. */
static int ask(const struct examination *e, struct facts_look *l, const struct look_ask *what)
{
    return e->outside ? look_inet_text(l, what, e->outside) : look_inet(l, what);
}

/* ---- which processes -------------------------------------------------------------------------------- */
/* Every process that has one of the look's listeners. The rows are taken out again: whoever is a target comes with all
 * its descriptors. */
static int find_targets(struct examination *e, struct facts_look *l)
{
    uint32_t first = l->fds.n;
    int err = look_listeners(l);
    e->targets.n = 0;
    for (uint32_t i = first; !err && i < l->fds.n; i++)
        err = FACTS_ADD(&e->targets, l->heap, &l->fds.v[i].pid);
    l->fds.n = first;
    e->targets.n = look_set32(e->targets.v, e->targets.n);
    return err || e->targets.n <= EXAMINE_PIDS ? err : -E2BIG;
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

/* The look before this one; NULL: this is the first. */
static const struct facts_look *look_before(const struct examination *e,
                                            const struct facts_look *l)
{
    return l == &e->out->b && e->out->a.sealed ? &e->out->a : NULL;
}

static int look_targets(const struct examination *e, struct facts_look *l)
{
    const struct facts_look *before = look_before(e, l);
    unsigned what = LOOK_FDS | (examine_sees(e, SEE_EPOLL) ? LOOK_SETS : 0) |
                    (examine_sees(e, SEE_THREADS | SEE_MEMORY) ? LOOK_THREADS : 0);
    int err = 0;
    what |= before ? 0 : LOOK_FEW_SETS;
    for (uint32_t i = 0; !err && i < e->targets.n; i++)
        err = look_process(l, e->targets.v[i], what, before);
    return err;
}

/* ---- their sockets, and who else has them ----------------------------------------------------------- */
struct others { /* what a look needs to know while its lists are not sorted yet */
    struct examination *e;
    struct facts_look *look;
    FACTS_LIST(uint32_t) own;    /* inodes of the target's sockets */
    FACTS_LIST(uint64_t) wanted; /* inodes whose holders are searched */
    FACTS_LIST(uint64_t) ends;   /* of these, what somebody else should have: no listeners */
    FACTS_LIST(uint64_t) found;  /* and what was found */
    FACTS_LIST(uint32_t) pids;   /* with whom */
    FACTS_LIST(uint32_t) before; /* the processes of the look before */
};

static int add_end(struct others *o, uint64_t inode)
{
    int err = FACTS_ADD(&o->wanted, o->look->heap, &inode);
    return err ? err : FACTS_ADD(&o->ends, o->look->heap, &inode);
}

static int collect_own(struct others *o)
{
    const struct facts_look *l = o->look;
    int err = 0;
    for (uint32_t i = 0; !err && i < l->fds.n; i++) {
        uint32_t inode = (uint32_t)l->fds.v[i].inode;
        if (l->fds.v[i].kind == FACTS_FD_SOCKET)
            err = FACTS_ADD(&o->own, l->heap, &inode);
        else if (l->fds.v[i].kind == FACTS_FD_PIPE)
            err = add_end(o, l->fds.v[i].inode);
    }
    o->own.n = look_set32(o->own.v, o->own.n);
    return err;
}

static int look_sockets(const struct others *o)
{
    const struct examine *what = &o->e->what;
    static const uint32_t nobody;
    struct look_ask tcp = {.proto = FACTS_TCP,
                           .states = EVERY_STATE_BUT_LISTEN,
                           .ports = what->ports,
                           .n_ports = what->n_ports,
                           .detail = o->own.n ? o->own.v : &nobody,
                           .n_detail = o->own.n};
    static const struct look_ask udp = {.proto = FACTS_UDP, .states = LOOK_ALL_STATES};
    int err = examine_sees(o->e, SEE_DIAG) ? ask(o->e, o->look, &tcp) : 0;
    if (!err && examine_sees(o->e, SEE_UDP) && !o->e->outside)
        err = look_inet(o->look, &udp);
    if (!err && examine_sees(o->e, SEE_UNIX) && !o->e->outside)
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
            err = owns(o, (uint32_t)peer) ? FACTS_ADD(&o->wanted, l->heap, &peer)
                                          : add_end(o, peer);
    }
    o->ends.n = look_set64(o->ends.v, o->ends.n);
    o->wanted.n = look_set64(o->wanted.v, o->wanted.n);
    return err;
}

static int on_other(void *arg, const struct facts_fd *held)
{
    struct others *o = arg;
    int err = FACTS_ADD(&o->look->fds, o->look->heap, held);
    if (!err)
        err = FACTS_ADD(&o->found, o->look->heap, &held->inode);
    return err ? err : FACTS_ADD(&o->pids, o->look->heap, &held->pid);
}

/* The far ends that nobody has among the first descriptors are searched among the others. */
static int look_deeper(struct others *o, struct look_search *s, uint32_t n_own)
{
    uint32_t n = 0;
    o->found.n = look_set64(o->found.v, o->found.n);
    for (uint32_t i = 0; i < o->ends.n; i++)
        if (!look_has64(o->found.v, o->found.n, o->ends.v[i]))
            o->ends.v[n++] = o->ends.v[i];
    int err = n ? look_one_sided(o->look, n_own, o->ends.v, &n) : 0;
    s->inodes = o->ends.v;
    s->n_inodes = n;
    s->deep = true;
    return err ? err : look_holders(s);
}

static int take_holders_before(const struct facts_look *before, struct others *o)
{
    int err = 0;
    for (uint32_t i = 0; !err && before && i < before->processes.n; i++)
        err = FACTS_ADD(&o->before, o->look->heap, &before->processes.v[i].pid);
    return err;
}

static int look_others(struct others *o)
{
    const struct facts_look *before = look_before(o->e, o->look);
    int err = take_holders_before(before, o);
    if (err)
        return err;
    struct look_search s = {.inodes = o->wanted.v,
                            .n_inodes = o->wanted.n,
                            .skip = o->e->targets.v,
                            .n_skip = o->e->targets.n,
                            .again = o->before.v,
                            .n_again = o->before.n,
                            .pace = o->look->pace,
                            .is_again = before != NULL,
                            .fn = on_other,
                            .arg = o};
    uint32_t n_own = o->look->fds.n;
    err = look_holders(&s);
    if (s.hidden)
        facts_gap(o->look, "who else has these sockets and pipes", 0, -EACCES);
    if (!err)
        err = look_deeper(o, &s, n_own);
    o->pids.n = look_set32(o->pids.v, o->pids.n);
    for (uint32_t i = 0; !err && i < o->pids.n; i++)
        err = look_process(o->look, o->pids.v[i], 0, NULL);
    return err;
}

/* ---- a look ----------------------------------------------------------------------------------------- */
static int look_all(struct others *o)
{
    static const struct look_ask listeners = {.proto = FACTS_TCP, .states = LOOK_LISTEN_ONLY};
    int err = ask(o->e, o->look, &listeners);
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
    bool whole = examine_sees(e, SEE_DIAG) && e->what.n_ports == 0;
    int err = examine_sees(e, SEE_MEMORY) ? look_futexes(l, e->targets.v, e->targets.n) : 0;
    if (!err)
        err = look_peek(l, e->targets.v, e->targets.n, whole);
    if (!err && examine_sees(e, SEE_FDS))
        err = look_disks(l, e->targets.v, e->targets.n);
    if (!err)
        err = look_weir(l, e->targets.v, e->targets.n);
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
    FACTS_DROP(&o.ends, l->heap);
    FACTS_DROP(&o.found, l->heap);
    FACTS_DROP(&o.pids, l->heap);
    FACTS_DROP(&o.before, l->heap);
    if (!err && examine_sees(e, SEE_COUNTERS | SEE_HOST))
        look_net(l, e->outside);
    if (!err && examine_sees(e, SEE_HOST))
        err = look_cgroups(l, e->targets.v, e->targets.n);
    if (!err && examine_sees(e, SEE_HOST))
        err = look_zombies(l, e->targets.v, e->targets.n);
    if (!err)
        err = facts_seal(l);
    if (!err)
        err = look_closer(e, l);
    look_end(l);
    return err;
}

/* ---- in which namespace ----------------------------------------------------------------------------- */
static uint64_t net_of(const char *path)
{
    struct stat st;
    return wr_os_stat(path, &st) == 0 ? st.st_ino : 0;
}

struct seeker {
    uint64_t net;
    uint32_t pid;
};

static int on_seek(void *arg, int dir, uint32_t pid)
{
    struct seeker *s = arg;
    char path[40];
    (void)dir;
    (void)snprintf(path, sizeof path, "/proc/%u/ns/net", pid);
    if (net_of(path) != s->net)
        return 0;
    s->pid = pid;
    return -ECANCELED;
}

/* A process through which the examination's namespace can be named; 0: it is our own, or nobody is seen in it. */
static uint32_t find_neighbour(const struct examination *e)
{
    char path[40] = "";
    struct seeker s = {.net = e->what.net};
    if (e->what.n_pids)
        (void)snprintf(path, sizeof path, "/proc/%u/ns/net", e->what.pids[0]);
    uint64_t first = net_of(path);
    if (s.net == 0 || s.net == first)
        s.net = first, s.pid = first ? e->what.pids[0] : 0;
    if (s.net == 0 || s.net == net_of("/proc/thread-self/ns/net"))
        return 0;
    if (s.pid == 0)
        (void)!look_numbers("/proc", on_seek, &s);
    return s.pid;
}

struct visitor { /* a thread that goes into the namespace, so that this one need not */
    struct examination *e;
    struct facts_look *look;
    int net, err;
    bool entered;
};

static void visit(void *arg)
{
    struct visitor *v = arg;
    int err = wr_os_join_net(v->net);
    v->entered = err == 0;
    v->err = err ? err : take_look(v->e, v->look);
}

/* The look from inside; *out_entered false: it is not to be entered, and the look is as it was. */
static int look_inside(struct examination *e, struct facts_look *l, uint32_t pid,
                       bool *out_entered)
{
    char path[40];
    struct wr_os_thread *t;
    (void)snprintf(path, sizeof path, "/proc/%u/ns/net", pid);
    struct visitor v = {.e = e, .look = l, .net = wr_os_open(path, 0, 0)};
    *out_entered = false;
    if (v.net < 0)
        return v.net;
    int err = wr_os_thread_start(visit, &v, &t);
    if (!err)
        err = wr_os_thread_join(t);
    (void)wr_os_close(v.net);
    *out_entered = v.entered;
    return err ? err : v.err;
}

static int look_wherever(struct examination *e, struct facts_look *l)
{
    bool entered;
    uint32_t pid = find_neighbour(e);
    e->outside = 0;
    if (pid == 0)
        return take_look(e, l);
    int err = look_inside(e, l, pid, &entered);
    if (entered)
        return err;
    facts_gap(l, "another network namespace: sockets without TCP facts", pid, err);
    e->outside = pid;
    err = take_look(e, l);
    l->net = e->what.net;
    return err;
}

int examine_look(struct examination *e, struct facts_look *l)
{
    look_pace(&e->pace, e->what.aside_ms);
    l->pace = &e->pace;
    int err = look_wherever(e, l);
    l->pace = NULL;
    return err;
}
