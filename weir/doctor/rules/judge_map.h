/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DOCTOR_JUDGE_MAP_H
#define DOCTOR_JUDGE_MAP_H

/*
 * What the rules about connections share: who has each socket of the second look, what it was at the first, which
 * way it was opened, and which other sockets go to the same place.
 *
 * Made once for an examination, in a few passes: merges of sorted lists, one hash table of peers, two counting
 * sorts. After that no rule searches: it walks a peer's run, a process's run, or all sockets.
 *
 * 1. conn[i] belongs to b.sockets.v[i]; all places are places in those lists, FACTS_NONE where there is none.
 * 2. A connection whose local port somebody listens on came in. Otherwise it went out, unless its local port lies
 *    outside of the range for outgoing ones and the remote port inside: then its listener is gone.
 * 3. Outgoing connections have one peer for each remote address and port, incoming ones for each remote address.
 *    Peers are sorted by their number of sockets, the largest first.
 * 4. Sockets without an owner (TIME_WAIT, not yet accepted) belong to a peer, but to no process.
 *
 * Belongs to judge_all; rules read. Memory comes from the heap of the second look.
 */

#include "weir/doctor/look/facts.h"

struct judge_target;

enum judge_role {
    JUDGE_OTHER, /* UDP, a socket bound or closed */
    JUDGE_LISTENER,
    JUDGE_IN,
    JUDGE_OUT,
};

struct judge_conn {
    uint32_t before;  /* in a.sockets */
    uint32_t process; /* in b.processes: who has it, one of the target's where several do */
    uint32_t peer;    /* in judge_map.peer */
    uint8_t role;     /* enum judge_role */
    bool mine;        /* a process of the target has it */
    bool
        silent; /* it sent nothing since the first look: so it is with most of a large server */
};

struct judge_peer {
    uint32_t sample;   /* one of its sockets, for the address */
    uint32_t first, n; /* by_peer[first .. first + n]: places in b.sockets */
    uint32_t n_before; /* sockets at the first look */
    uint8_t role;
    bool mine; /* the target has a connection to it, at either look */
};

struct judge_map {
    struct judge_conn *conn;
    uint32_t *after; /* a's place -> b's place */
    struct judge_peer *peer;
    uint32_t *by_peer, *by_process;
    uint32_t *process_first; /* by_process[process_first[p] .. process_first[p + 1]] */
    uint32_t conns, peers, processes, conns_before;
    const struct wr_heap *heap;
    /* private */
    uint32_t *slot; /* of the table of peers */
    uint32_t slots, owned;
    uint64_t listens[1024]; /* a bit for each port */
    uint32_t port_min, port_max;
};

WR_MUST int judge_map_init(struct judge_map *m, const struct facts *f,
                           const struct judge_target *t);
void judge_map_deinit(struct judge_map *m);

/* The sockets of one process. */
const uint32_t *judge_map_of(const struct judge_map *m, uint32_t process, uint32_t *out_n);
bool judge_map_listens(const struct judge_map *m, uint16_t port);

/* To the same remote address and port. */
bool judge_same_remote(const struct facts_socket *a, const struct facts_socket *b);
/* The address is this machine's own or is loopback: both ends are here. */
bool judge_is_local(const struct facts_socket *s);

#endif
