/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rx-drop: packets that had reached this machine were dropped before a program could read them. Each counter says where.
 * A handful happens on every busy machine: they count from a number and a share of the traffic on. What an interface
 * calls dropped may be frames that nobody asked for: only its full ring counts.
 */
#include "weir/doctor/rules/judge.h"

#include <string.h>

static uint64_t rise(const struct judge *j, enum facts_counter c)
{
    uint64_t n = facts_rise(j->facts, c);
    return n == FACTS_UNKNOWN ? 0 : n;
}

static uint64_t rings(const struct judge *j)
{
    const struct facts_look *a = &j->facts->a, *b = &j->facts->b;
    uint64_t n = 0;
    for (uint32_t i = 0; i < b->nics.n; i++) {
        const struct facts_nic *was = NULL, *nic = &b->nics.v[i];
        for (uint32_t k = 0; k < a->nics.n && !was; k++) {
            if (strcmp(facts_text(a, a->nics.v[k].name), facts_text(b, nic->name)) == 0)
                was = &a->nics.v[k];
        }
        if (was && was->rx_fifo != FACTS_UNKNOWN && nic->rx_fifo != FACTS_UNKNOWN &&
            nic->rx_fifo > was->rx_fifo)
            n += nic->rx_fifo - was->rx_fifo;
    }
    return n;
}

static uint64_t permille(uint64_t drops, uint64_t packets)
{
    return drops * 1000 / (packets + drops + 1);
}

void rule_rx_drop(const struct judge *j)
{
    uint64_t softnet = rise(j, FACTS_SOFTNET_DROPPED), backlog = rise(j, FACTS_BACKLOG_DROP);
    uint64_t udp = rise(j, FACTS_UDP_RCVBUF_ERRORS), ring = rings(j);
    uint64_t machine = softnet + ring, sockets = backlog + udp;
    /* The machine's queues carry the packets of all its namespaces, the sockets only those of this one. */
    uint64_t share = permille(machine, rise(j, FACTS_SOFTNET_PACKETS));
    uint64_t own = permille(sockets, rise(j, FACTS_IN_SEGS));
    share = own > share ? own : share;
    if (machine + sockets < judge_limit(j, THRESHOLD_rx_drops_min) || share == 0)
        return;
    struct finding *f = finding_add(j->out, RULE_RX_DROP);
    if (share < judge_limit(j, THRESHOLD_rx_drops_permille))
        f->severity = SEVERITY_INFO;
    finding_value(f, EVIDENCE_DROPS, machine + sockets, machine + sockets);
    finding_over(f, &j->limits, THRESHOLD_rx_drops_min);
    finding_value(f, EVIDENCE_DROP_SHARE, share, share);
    finding_over(f, &j->limits, THRESHOLD_rx_drops_permille);
    finding_value(f, EVIDENCE_RING_DROPS, ring, ring);
    finding_value(f, EVIDENCE_SOFTNET_DROPS, softnet, softnet);
    finding_value(f, EVIDENCE_BACKLOG_DROPS, backlog, backlog);
    finding_value(f, EVIDENCE_UDP_DROPS, udp, udp);
}
