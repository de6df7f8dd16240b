/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/rules/judge_map.h"

#include "weir/doctor/rules/judge.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

/* An IPv4 address as it is, also where the socket is of IPv6. */
static bool is_v4(const struct facts_socket *s, const uint8_t ip[16], const uint8_t **out)
{
    *out = ip;
    if (s->family == AF_INET)
        return true;
    *out = ip + 12;
    return memcmp(ip, mapped, 12) == 0;
}

bool judge_is_local(const struct facts_socket *s)
{
    static const uint8_t one[16] = {[15] = 1};
    const uint8_t *ip;
    if (memcmp(s->local, s->remote, 16) == 0)
        return true;
    return is_v4(s, s->remote, &ip) ? ip[0] == 127 : memcmp(s->remote, one, 16) == 0;
}

bool judge_map_listens(const struct judge_map *m, uint16_t port)
{
    return m->listens[port / 64] >> (port % 64) & 1;
}

static void note_listeners(struct judge_map *m, const struct facts_look *l)
{
    for (uint32_t i = 0; i < l->sockets.n; i++) {
        const struct facts_socket *s = &l->sockets.v[i];
        if (s->proto == FACTS_TCP && s->state == FACTS_LISTEN)
            m->listens[s->local_port / 64] |= 1ULL << (s->local_port % 64);
    }
}

static bool outgoing_port(const struct judge_map *m, uint16_t port)
{
    return port >= m->port_min && port <= m->port_max;
}

static enum judge_role role_of(const struct judge_map *m, const struct facts_socket *s)
{
    if (s->proto != FACTS_TCP)
        return JUDGE_OTHER;
    if (s->state == FACTS_LISTEN)
        return JUDGE_LISTENER;
    if (s->remote_port == 0)
        return JUDGE_OTHER;
    if (s->state == FACTS_SYN_SENT)
        return JUDGE_OUT;
    if (judge_map_listens(m, s->local_port))
        return JUDGE_IN;
    return !outgoing_port(m, s->local_port) && outgoing_port(m, s->remote_port) ? JUDGE_IN
                                                                                : JUDGE_OUT;
}

/* ---- who has it ----------------------------------------------------------------------------------- */
struct owning {
    struct judge_map *m;
    const struct facts_look *look;
    const struct judge_target *target;
    uint32_t pid, process; /* the last: descriptors of one process often follow each other */
    bool mine;
};

static void on_owner(void *arg, uint32_t socket, const struct facts_fd *fd)
{
    struct owning *o = arg;
    struct judge_conn *c = &o->m->conn[socket];
    if (fd->pid != o->pid) {
        const struct facts_process *p = facts_process(o->look, fd->pid);
        o->pid = fd->pid;
        o->process = p ? (uint32_t)(p - o->look->processes.v) : FACTS_NONE;
        o->mine = judge_target_has(o->target, fd->pid);
    }
    if (c->process == FACTS_NONE || (o->mine && !c->mine))
        c->process = o->process;
    c->mine |= o->mine;
}

/* Both lists are sorted by cookie. */
static void match_looks(struct judge_map *m, const struct facts *f)
{
    const struct facts_socket *a = f->a.sockets.v, *b = f->b.sockets.v;
    memset(m->after, 0xff, m->conns_before * sizeof *m->after);
    for (uint32_t i = 0, k = 0; i < m->conns; i++) {
        while (k < f->a.sockets.n && a[k].cookie < b[i].cookie)
            k++;
        bool same = k < f->a.sockets.n && a[k].cookie == b[i].cookie;
        m->conn[i].before = same ? k : FACTS_NONE;
        if (same)
            m->after[k] = i;
    }
}

static bool is_silent(const struct facts *f, const struct facts_socket *s)
{
    const struct facts_tcp *t = facts_tcp(&f->b, s);
    uint64_t span_ms = f->b.at_ns > f->a.at_ns ? (f->b.at_ns - f->a.at_ns) / 1000000 : 0;
    return !t || (t->last_data_sent_ms != FACTS_NONE &&
                  t->last_data_sent_ms > span_ms + 50); /* the kernel's clock is coarse */
}

/* ---- peers ------------------------------------------------------------------------------------------ */
static uint64_t hash(uint64_t h, uint64_t v)
{
    h = (h ^ v) * 0x9e3779b97f4a7c15ULL;
    return h ^ (h >> 29);
}

static uint64_t peer_hash(const struct facts_socket *s, enum judge_role role)
{
    uint64_t part[2];
    memcpy(part, s->remote, sizeof part);
    uint64_t port = role == JUDGE_OUT ? s->remote_port : 0;
    return hash(hash(hash(role, part[0]), part[1]), port << 8 | s->family);
}

bool judge_same_remote(const struct facts_socket *a, const struct facts_socket *b)
{
    return a->proto == b->proto && a->family == b->family && a->remote_port == b->remote_port &&
           memcmp(a->remote, b->remote, 16) == 0;
}

static bool same_peer(const struct facts_socket *a, const struct facts_socket *b,
                      enum judge_role role)
{
    return a->family == b->family && memcmp(a->remote, b->remote, 16) == 0 &&
           (role == JUDGE_IN || a->remote_port == b->remote_port);
}

/* The slot where this peer is or would be. */
static uint32_t *peer_slot(struct judge_map *m, const struct facts *f,
                           const struct facts_socket *s, enum judge_role role)
{
    uint32_t at = (uint32_t)(peer_hash(s, role) & (m->slots - 1));
    for (;; at = (at + 1) & (m->slots - 1)) {
        uint32_t p = m->slot[at];
        if (p == FACTS_NONE)
            return &m->slot[at];
        if (m->peer[p].role == role && same_peer(&f->b.sockets.v[m->peer[p].sample], s, role))
            return &m->slot[at];
    }
}

static void count_now(struct judge_map *m, const struct facts *f, uint32_t place)
{
    struct judge_conn *c = &m->conn[place];
    uint32_t *slot = peer_slot(m, f, &f->b.sockets.v[place], c->role);
    if (*slot == FACTS_NONE) {
        *slot = m->peers;
        m->peer[m->peers++] = (struct judge_peer){.sample = place, .role = c->role};
    }
    c->peer = *slot;
    m->peer[*slot].n++;
    m->peer[*slot].mine |= c->mine;
}

static void count_before(struct judge_map *m, const struct facts *f, uint32_t place,
                         const struct judge_target *t)
{
    const struct facts_socket *s = &f->a.sockets.v[place];
    enum judge_role role = role_of(m, s);
    if (role != JUDGE_IN && role != JUDGE_OUT)
        return;
    uint32_t *slot = peer_slot(m, f, s, role);
    if (*slot == FACTS_NONE)
        return; /* all its sockets are gone: nothing to find */
    struct judge_peer *p = &m->peer[*slot];
    p->n_before++;
    if (p->mine || !s->inode)
        return;
    const struct facts_fd *fd = facts_owner(&f->a, s->inode, 0);
    p->mine = fd && judge_target_has(t, fd->pid);
}

static int larger(const void *p, const void *q)
{
    const struct judge_peer *a = p, *b = q;
    return a->n != b->n ? (a->n < b->n ? 1 : -1)
                        : (a->sample > b->sample) - (a->sample < b->sample);
}

/* Sorted by size, then every connection learns its peer's new place and the runs are filled. */
static void sort_peers(struct judge_map *m)
{
    qsort(m->peer, m->peers, sizeof *m->peer, larger);
    uint32_t *place_of = m->slot; /* the table has done its work: old place -> new place */
    uint32_t first = 0;
    for (uint32_t p = 0; p < m->peers; p++) {
        place_of[m->conn[m->peer[p].sample].peer] = p;
        m->peer[p].first = first;
        first += m->peer[p].n;
        m->peer[p].n = 0;
    }
    for (uint32_t i = 0; i < m->conns; i++) {
        if (m->conn[i].peer == FACTS_NONE)
            continue;
        struct judge_peer *p = &m->peer[m->conn[i].peer = place_of[m->conn[i].peer]];
        m->by_peer[p->first + p->n++] = i;
    }
}

static void group_peers(struct judge_map *m, const struct facts *f,
                        const struct judge_target *t)
{
    memset(m->slot, 0xff, m->slots * sizeof *m->slot);
    for (uint32_t i = 0; i < m->conns; i++) {
        m->conn[i].role = (uint8_t)role_of(m, &f->b.sockets.v[i]);
        if (m->conn[i].role == JUDGE_IN || m->conn[i].role == JUDGE_OUT)
            count_now(m, f, i);
    }
    for (uint32_t i = 0; i < f->a.sockets.n; i++)
        count_before(m, f, i, t);
    sort_peers(m);
}

/* ---- processes ------------------------------------------------------------------------------------ */
static void group_processes(struct judge_map *m)
{
    uint32_t *first = m->process_first;
    for (uint32_t i = 0; i < m->conns; i++) {
        if (m->conn[i].process != FACTS_NONE)
            first[m->conn[i].process + 1]++;
    }
    for (uint32_t p = 0; p < m->processes; p++)
        first[p + 1] += first[p];
    for (uint32_t i = m->conns;
         i-- > 0;) { /* from behind: each run ends where the next one begins */
        if (m->conn[i].process != FACTS_NONE)
            m->by_process[--first[m->conn[i].process + 1]] = i;
    }
    for (uint32_t p = 0; p < m->processes; p++)
        first[p] = first[p + 1];
    first[m->processes] = m->owned;
}

const uint32_t *judge_map_of(const struct judge_map *m, uint32_t process, uint32_t *out_n)
{
    *out_n = m->process_first[process + 1] - m->process_first[process];
    return m->by_process + m->process_first[process];
}

/* ---- all ---------------------------------------------------------------------------------------------- */
static int take_memory(struct judge_map *m)
{
    m->conn = wr_heap_array(m->heap, m->conns, sizeof *m->conn);
    m->after = wr_heap_array(m->heap, m->conns_before, sizeof *m->after);
    m->peer = wr_heap_array(m->heap, m->conns, sizeof *m->peer);
    m->by_peer = wr_heap_array(m->heap, m->conns, sizeof *m->by_peer);
    m->by_process = wr_heap_array(m->heap, m->conns, sizeof *m->by_process);
    m->process_first = wr_heap_array(m->heap, m->processes + 1, sizeof *m->process_first);
    m->slot = wr_heap_array(m->heap, m->slots, sizeof *m->slot);
    if (m->conn && m->after && m->peer && m->by_peer && m->by_process && m->process_first &&
        m->slot)
        return 0;
    judge_map_deinit(m);
    return -ENOMEM;
}

static void port_range(struct judge_map *m, const struct facts_look *l)
{
    const uint64_t *range = l->sysctl[FACTS_SYS_PORT_RANGE];
    bool known = range[0] <= range[1] && range[1] <= 65535 && range[1] > 0;
    m->port_min = known ? (uint32_t)range[0] : 32768;
    m->port_max = known ? (uint32_t)range[1] : 60999;
}

int judge_map_init(struct judge_map *m, const struct facts *f, const struct judge_target *t)
{
    *m = (struct judge_map){.heap = f->b.heap,
                            .conns = f->b.sockets.n,
                            .conns_before = f->a.sockets.n,
                            .processes = f->b.processes.n,
                            .slots = 16};
    while (m->slots < 2 * m->conns)
        m->slots *= 2;
    int err = take_memory(m);
    if (err)
        return err;
    port_range(m, &f->b);
    note_listeners(m, &f->a);
    note_listeners(m, &f->b);
    for (uint32_t i = 0; i < m->conns; i++) {
        m->conn[i] = (struct judge_conn){
            .before = FACTS_NONE, .process = FACTS_NONE, .peer = FACTS_NONE};
    }
    match_looks(m, f);
    struct owning o = {.m = m, .look = &f->b, .target = t, .process = FACTS_NONE};
    facts_owners(&f->b, on_owner, &o);
    for (uint32_t i = 0; i < m->conns; i++) {
        m->conn[i].silent = is_silent(f, &f->b.sockets.v[i]);
        m->owned += m->conn[i].process != FACTS_NONE;
        if (m->conn[i].process == FACTS_NONE)
            m->conn[i].mine = judge_target_port(t, &f->b.sockets.v[i]);
    }
    group_peers(m, f, t);
    group_processes(m);
    return 0;
}

void judge_map_deinit(struct judge_map *m)
{
    wr_heap_free(m->heap, m->conn, m->conns * sizeof *m->conn);
    wr_heap_free(m->heap, m->after, m->conns_before * sizeof *m->after);
    wr_heap_free(m->heap, m->peer, m->conns * sizeof *m->peer);
    wr_heap_free(m->heap, m->by_peer, m->conns * sizeof *m->by_peer);
    wr_heap_free(m->heap, m->by_process, m->conns * sizeof *m->by_process);
    wr_heap_free(m->heap, m->process_first, (m->processes + 1) * sizeof *m->process_first);
    wr_heap_free(m->heap, m->slot, m->slots * sizeof *m->slot);
    *m = (struct judge_map){0};
}
