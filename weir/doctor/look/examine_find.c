/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/look/examine.h"

#include "weir/doctor/look/look.h"

#include "libweir/os/os.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/* ---- who holds some of these sockets ---------------------------------------------------------------- */
struct found {
    uint32_t *pids;
    uint32_t n, room;
};

static int on_found(void *arg, const struct facts_fd *held)
{
    struct found *f = arg;
    if (f->n == f->room)
        return -E2BIG;
    f->pids[f->n++] = held->pid;
    return -ECANCELED; /* the next process */
}

static int find(struct look_search *s, uint32_t *out_pids, uint32_t room)
{
    struct found f = {.pids = out_pids, .room = room};
    s->fn = on_found;
    s->arg = &f;
    int err = look_holders(s);
    return err ? err : (int)look_set32(f.pids, f.n);
}

int examine_find(uint16_t port, uint32_t *out_pids, uint32_t room, bool *out_hidden)
{
    static const struct look_ask listeners = {.proto = FACTS_TCP, .states = LOOK_LISTEN_ONLY};
    struct found f = {.pids = out_pids, .room = room};
    struct facts_look l;
    facts_look_init(&l, wr_os_heap());
    int r = look_inet(&l, &listeners);
    for (uint32_t i = 0; i < l.sockets.n; i++)
        if (port != 0 && port != l.sockets.v[i].local_port)
            l.sockets.v[i].inode = 0; /* nobody is searched for it */
    uint32_t gaps = l.gaps.n;
    if (!r)
        r = look_listeners(&l);
    *out_hidden = l.gaps.n > gaps;
    for (uint32_t i = 0; i < l.fds.n && r >= 0; i++) {
        r = on_found(&f, &l.fds.v[i]);
        r = r == -E2BIG ? r : 0;
        f.n = look_set32(f.pids, f.n);
    }
    facts_look_deinit(&l);
    return r < 0 ? r : (int)f.n;
}

/* ---- who is behind a process ------------------------------------------------------------------------ */
struct place {
    uint8_t ip[16]; /* v4 as ::ffff:a.b.c.d: a listener of both families shows it so */
    uint16_t port;
};

struct behind {
    const struct facts_look *look;
    const uint32_t *pids; /* sorted */
    uint32_t n_pids;
    FACTS_LIST(uint16_t) served; /* ports the target listens on */
    FACTS_LIST(struct place) places;
    FACTS_LIST(uint64_t) inodes;
};

static struct place place_of(const struct facts_socket *s, bool remote)
{
    const uint8_t *ip = remote ? s->remote : s->local;
    struct place p = {.port = remote ? s->remote_port : s->local_port};
    if (s->family != AF_INET) {
        memcpy(p.ip, ip, 16);
    } else {
        p.ip[10] = p.ip[11] = 0xff;
        memcpy(p.ip + 12, ip, 4);
    }
    return p;
}

static bool same_ip(const struct place *a, const struct place *b)
{
    return memcmp(a->ip, b->ip, 16) == 0;
}

static bool is_own(const struct behind *b, uint64_t inode)
{
    const struct facts_fd *f;
    for (uint32_t i = 0; (f = facts_owner(b->look, inode, i)) != NULL; i++)
        if (look_has32(b->pids, b->n_pids, f->pid))
            return true;
    return false;
}

static bool is_served(const struct behind *b, uint16_t port)
{
    for (uint32_t i = 0; i < b->served.n; i++)
        if (b->served.v[i] == port)
            return true;
    return false;
}

static bool is_outgoing(const struct behind *b, const struct facts_socket *s)
{
    return s->proto == FACTS_TCP && s->state != FACTS_LISTEN && s->remote_port != 0 &&
           s->inode != 0 && is_own(b, s->inode) && !is_served(b, s->local_port);
}

static int add_place(struct behind *b, struct place p, const struct wr_heap *heap)
{
    for (uint32_t i = 0; i < b->places.n; i++)
        if (b->places.v[i].port == p.port && same_ip(&b->places.v[i], &p))
            return 0;
    return b->places.n < 1024 ? FACTS_ADD(&b->places, heap, &p) : 0;
}

/* Loopback, or an address that one of this machine's connections has as its own. */
static bool is_here(const struct behind *b, const struct place *p)
{
    static const uint8_t loop6[16] = {[15] = 1}, mapped[13] = {[10] = 0xff, 0xff, 127};
    if (memcmp(p->ip, loop6, 16) == 0 || memcmp(p->ip, mapped, 13) == 0)
        return true;
    for (uint32_t i = 0; i < b->look->sockets.n; i++) {
        struct place own = place_of(&b->look->sockets.v[i], false);
        if (same_ip(&own, p))
            return true;
    }
    return false;
}

static bool is_any(const struct place *p)
{
    static const uint8_t any6[16], any4[16] = {[10] = 0xff, 0xff};
    return memcmp(p->ip, any6, 16) == 0 || memcmp(p->ip, any4, 16) == 0;
}

/* Accepted sockets and listeners at the place. */
static int add_inodes(struct behind *b, const struct place *p, const struct wr_heap *heap)
{
    int err = 0;
    for (uint32_t i = 0; !err && i < b->look->sockets.n; i++) {
        const struct facts_socket *s = &b->look->sockets.v[i];
        struct place own = place_of(s, false);
        uint64_t inode = s->inode;
        bool fits = same_ip(&own, p) || (s->state == FACTS_LISTEN && is_any(&own));
        if (s->proto == FACTS_TCP && inode && own.port == p->port && fits)
            err = FACTS_ADD(&b->inodes, heap, &inode);
    }
    return err;
}

static int collect(struct behind *b, const struct wr_heap *heap)
{
    const struct facts_look *l = b->look;
    int err = 0;
    for (uint32_t i = 0; !err && i < l->sockets.n; i++) {
        const struct facts_socket *s = &l->sockets.v[i];
        if (s->state == FACTS_LISTEN && is_own(b, s->inode))
            err = FACTS_ADD(&b->served, heap, &s->local_port);
    }
    for (uint32_t i = 0; !err && i < l->sockets.n; i++)
        if (is_outgoing(b, &l->sockets.v[i]))
            err = add_place(b, place_of(&l->sockets.v[i], true), heap);
    for (uint32_t i = 0; !err && i < b->places.n; i++)
        if (is_here(b, &b->places.v[i]))
            err = add_inodes(b, &b->places.v[i], heap);
    b->inodes.n = look_set64(b->inodes.v, b->inodes.n);
    return err;
}

int examine_upstream(const struct facts *f, const uint32_t *pids, uint32_t n,
                     uint32_t *out_pids, uint32_t room)
{
    const struct wr_heap *heap = f->b.heap;
    struct behind b = {.look = &f->b, .pids = pids, .n_pids = n};
    int r = collect(&b, heap);
    struct look_search s = {
        .inodes = b.inodes.v, .n_inodes = b.inodes.n, .skip = pids, .n_skip = n};
    if (!r)
        r = find(&s, out_pids, room);
    FACTS_DROP(&b.served, heap);
    FACTS_DROP(&b.places, heap);
    FACTS_DROP(&b.inodes, heap);
    return r;
}
