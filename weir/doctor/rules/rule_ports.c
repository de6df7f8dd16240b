/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ephemeral-ports-exhausted: towards one destination, from one local address, nearly all ports of the range are taken
 * at both looks. Counted per destination, because another one can use the same ports again. The kernel has no counter of
 * EADDRNOTAVAIL, so this stays likely. A TIME_WAIT that connect() may reuse after its first second is no taken port.
 * Who has used all ports may have no connection left, for a minute: then nobody is named, and it is said to everyone
 * in that namespace, whose connects to that destination fail just the same.
 */
#include "weir/doctor/rules/judge.h"

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
    uint64_t taken[1024]; /* a bit for each port */
};

static void take(const struct judge *j, const struct facts_socket *s, const uint8_t *local,
                 struct tally *io)
{
    uint64_t *word = &io->taken[s->local_port / 64], bit = 1ULL << (s->local_port % 64);
    if (memcmp(s->local, local, 16) != 0 || s->local_port < j->map->port_min ||
        s->local_port > j->map->port_max || reusable(j, s) || (*word & bit))
        return;
    *word |= bit;
    io->used++;
    io->time_waits += s->state == FACTS_TIME_WAIT;
}

static struct tally tally_now(const struct judge *j, const struct judge_peer *p,
                              uint32_t *out_process)
{
    struct tally t = {0};
    const uint8_t *local = most_common(j, p);
    for (uint32_t i = 0; i < p->n; i++) {
        uint32_t place = j->map->by_peer[p->first + i];
        take(j, &j->facts->b.sockets.v[place], local, &t);
        if (j->map->conn[place].mine && j->map->conn[place].process != FACTS_NONE)
            *out_process = j->map->conn[place].process;
    }
    return t;
}

static struct tally tally_before(const struct judge *j, const struct judge_peer *p)
{
    struct tally t = {0};
    const struct facts_look *a = &j->facts->a;
    const struct facts_socket *sample = &j->facts->b.sockets.v[p->sample];
    const uint8_t *local = most_common(j, p);
    for (uint32_t i = 0; i < a->sockets.n; i++) {
        if (judge_same_remote(&a->sockets.v[i], sample))
            take(j, &a->sockets.v[i], local, &t);
    }
    return t;
}

static void add(const struct judge *j, const struct judge_peer *p, const struct tally *was,
                const struct tally *now, uint32_t process)
{
    struct finding *f = judge_peer_finding(j, RULE_PORTS, p, process);
    f->victims = now->used;
    finding_of(f, EVIDENCE_PORTS, was->used, now->used,
               j->map->port_max - j->map->port_min + 1);
    finding_over(f, &j->limits, THRESHOLD_ports_percent);
    finding_value(f, EVIDENCE_TIME_WAITS, was->time_waits, now->time_waits);
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
        uint32_t process = FACTS_NONE;
        struct tally now = tally_now(j, p, &process);
        if (now.used < least)
            continue;
        struct tally was = tally_before(j, p);
        if (was.used >= least)
            add(j, p, &was, &now, process);
    }
}
