/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ephemeral-ports-exhausted: towards one destination, from one local address, nearly all ports of the range are taken
 * at both looks. Counted per destination, because another one can use the same ports again. The kernel has no counter of
 * EADDRNOTAVAIL, so this stays likely. A TIME_WAIT that connect() may reuse after its first second is no taken port.
 * Who has used all ports may have no connection left, for a minute: then nobody is named, and it is said to everyone
 * in that namespace, whose connects to that destination fail just the same.
 */
#include "weir/doctor/judge.h"

#include <string.h>

#define TIME_WAIT_MS 60000 /* fixed in the kernel */

/* With tcp_tw_reuse 1 everywhere, with 2 (the default) inside the machine. */
static bool reusable(const struct judge *j, const struct facts_socket *s)
{
    uint64_t reuse = j->facts->b.sysctl[FACTS_SYS_TW_REUSE][0];
    bool may = reuse == 1 || (reuse == 2 && judge_is_local(s));
    return s->state == FACTS_TIME_WAIT && may && s->timer_ms + 1000 < TIME_WAIT_MS;
}

/* The local address of most of them. */
static const uint8_t *most_common(const struct judge *j, const struct judge_peer *p)
{
    const struct facts_socket *best = &j->facts->b.sockets.v[p->sample];
    uint32_t lead = 0;
    for (uint32_t i = 0; i < p->n; i++) {
        const struct facts_socket *s = &j->facts->b.sockets.v[j->map->by_peer[p->first + i]];
        if (lead == 0)
            best = s;
        if (memcmp(best->local, s->local, 16) == 0)
            lead++;
        else
            lead--;
    }
    return best->local;
}

struct tally {
    uint64_t used, time_waits;
    uint32_t process; /* FACTS_NONE: nobody has any of them */
    bool others;      /* somebody else than the target has some */
};

static struct tally tally(const struct judge *j, const struct judge_peer *p)
{
    struct tally t = {.process = FACTS_NONE};
    uint64_t taken[1024] = {0};
    const uint8_t *local = most_common(j, p);
    for (uint32_t i = 0; i < p->n; i++) {
        uint32_t place = j->map->by_peer[p->first + i];
        const struct facts_socket *s = &j->facts->b.sockets.v[place];
        uint64_t *word = &taken[s->local_port / 64], bit = 1ULL << (s->local_port % 64);
        if (memcmp(s->local, local, 16) != 0 || s->local_port < j->map->port_min ||
            s->local_port > j->map->port_max || reusable(j, s) || (*word & bit))
            continue;
        *word |= bit;
        t.used++;
        t.time_waits += s->state == FACTS_TIME_WAIT;
        if (j->map->conn[place].mine && j->map->conn[place].process != FACTS_NONE)
            t.process = j->map->conn[place].process;
        t.others |= s->inode != 0 && !j->map->conn[place].mine;
    }
    return t;
}

void rule_ports(const struct judge *j)
{
    uint64_t range = j->map->port_max - j->map->port_min + 1;
    uint64_t least = range * judge_limit(j, THRESHOLD_ports_percent) / 100;
    if (j->facts->b.sysctl[FACTS_SYS_PORT_RANGE][1] == FACTS_UNKNOWN || least == 0)
        return; /* a guessed range proves nothing */
    for (uint32_t i = 0; i < j->map->peers && j->map->peer[i].n >= least; i++) {
        const struct judge_peer *p = &j->map->peer[i];
        if (p->role != JUDGE_OUT || p->n_before < least)
            continue;
        struct tally t = tally(j, p);
        if (t.used < least || (!p->mine && t.others))
            continue;
        char addr[64];
        judge_peer_addr(j, p, addr);
        struct finding *f = finding_add(j->out, RULE_PORTS);
        if (t.process == FACTS_NONE)
            finding_subject(f, 0, 0, WR_LIT("a process of this host"));
        judge_name(j, f, t.process);
        finding_peer(f, wr_span_str(addr));
        f->victims = t.used;
        finding_of(f, EVIDENCE_PORTS, t.used, t.used, range);
        finding_over(f, &j->limits, THRESHOLD_ports_percent);
        finding_value(f, EVIDENCE_TIME_WAITS, t.time_waits, t.time_waits);
    }
}
