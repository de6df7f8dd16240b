/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/top/top_text.h"
#include "weir/doctor/top/top_work.h"

struct sums {
    uint64_t sent, resent, rtt, measured;
};

static void owed(const struct facts_look *l, const struct facts_socket *s, struct top_peer *p)
{
    uint32_t age = 0;
    if (judge_debt(l, s, p->outgoing ? JUDGE_OUT : JUDGE_IN, &age) == JUDGE_QUIET)
        return;
    p->owed++;
    p->oldest_ms = age > p->oldest_ms ? age : p->oldest_ms;
}

static void add(const struct facts_look *l, const struct facts_socket *s, struct top_peer *p,
                struct sums *sum)
{
    const struct facts_tcp *t = facts_tcp(l, s);
    p->time_wait += s->state == FACTS_TIME_WAIT;
    p->conns += s->state != FACTS_TIME_WAIT;
    if (!t)
        return;
    owed(l, s, p);
    if (t->bytes_sent != FACTS_UNKNOWN && t->bytes_retrans != FACTS_UNKNOWN) {
        sum->sent += t->bytes_sent;
        sum->resent += t->bytes_retrans;
    }
    if (t->rtt_us != FACTS_NONE && t->rtt_us) {
        sum->rtt += t->rtt_us;
        sum->measured++;
    }
    if (t->min_rtt_us != FACTS_NONE && t->min_rtt_us < p->min_rtt_us)
        p->min_rtt_us = t->min_rtt_us;
}

static uint64_t port_range(const struct facts_look *l)
{
    const uint64_t *r = l->sysctl[FACTS_SYS_PORT_RANGE];
    return r[0] == FACTS_UNKNOWN || r[1] == FACTS_UNKNOWN || r[1] < r[0] ? FACTS_UNKNOWN
                                                                         : r[1] - r[0] + 1;
}

static void finish(struct top_work *w, struct top_peer *p, const struct sums *sum)
{
    uint64_t range = port_range(&w->facts->b);
    p->resent = top_permille(sum->resent, sum->sent);
    p->rtt_us = sum->measured ? sum->rtt / sum->measured : FACTS_UNKNOWN;
    p->port_share =
        p->outgoing ? top_permille((uint64_t)p->conns + p->time_wait, range) : FACTS_UNKNOWN;
    uint64_t used = (uint64_t)p->conns + p->time_wait;
    if (p->outgoing && used > w->model->ports.used) {
        w->model->ports = (struct top_port_use){.used = used, .range = range};
        memcpy(w->model->ports.to, p->name, sizeof p->name);
    }
}

static int one_peer(struct top_work *w, const struct judge_peer *peer)
{
    const struct facts_look *b = &w->facts->b;
    struct top_peer p = {.outgoing = peer->role == JUDGE_OUT, .min_rtt_us = FACTS_UNKNOWN};
    struct sums sum = {0};
    for (uint32_t i = 0; i < peer->n; i++)
        add(b, &b->sockets.v[w->map.by_peer[peer->first + i]], &p, &sum);
    judge_addr(&b->sockets.v[peer->sample], true, p.name);
    char *colon = p.outgoing ? NULL : strrchr(p.name, ':');
    if (colon)
        *colon = '\0'; /* clients are one peer for each address */
    finish(w, &p, &sum);
    return FACTS_ADD(&w->model->peers, w->heap, &p);
}

int top_peers(struct top_work *w)
{
    int err = 0;
    for (uint32_t i = 0; !err && i < w->map.peers; i++)
        if (w->map.peer[i].mine || (w->model->host && w->map.peer[i].n))
            err = one_peer(w, &w->map.peer[i]);
    return err;
}
