/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * loss-on-path: of the bytes sent between the looks a good part had to be sent again. What the other side reported as
 * received twice was sent again without need and is taken off. One client's bad line is its own; clients are judged
 * together, destinations one by one.
 */
#include "weir/doctor/rules/judge.h"

struct tally {
    uint64_t sent, retrans, conns;
    uint32_t process, peers, worst;
    uint64_t worst_retrans;
};

static void count(const struct judge *j, const struct judge_peer *p, struct tally *io)
{
    uint64_t here = 0;
    for (uint32_t i = 0; i < p->n; i++) {
        uint32_t place = j->map->by_peer[p->first + i];
        const struct judge_conn *c = &j->map->conn[place];
        struct judge_flow flow;
        if (!c->mine || c->silent || !judge_flow(j, place, &flow))
            continue;
        const struct facts_tcp *t = facts_tcp(&j->facts->b, &j->facts->b.sockets.v[place]);
        uint64_t twice = flow.dsacks * (t->snd_mss == FACTS_NONE ? 0 : t->snd_mss);
        uint64_t lost = flow.retrans > twice ? flow.retrans - twice : 0;
        io->sent += flow.sent;
        io->retrans += lost;
        io->conns += lost > 0;
        here += lost;
        if (lost > 0)
            io->process = c->process;
    }
    io->peers += here > 0;
    if (here > io->worst_retrans) {
        io->worst_retrans = here;
        io->worst = (uint32_t)(p - j->map->peer);
    }
}

static bool lossy(const struct judge *j, const struct tally *t)
{
    return t->retrans > 0 && t->sent > 0 &&
           t->sent >= judge_limit(j, THRESHOLD_loss_bytes_min) &&
           t->retrans * 1000 / t->sent >= judge_limit(j, THRESHOLD_loss_permille);
}

static void add(const struct judge *j, const struct tally *t)
{
    uint64_t permille = t->retrans * 1000 / t->sent;
    struct finding *f = judge_peer_finding(j, RULE_LOSS, &j->map->peer[t->worst], t->process);
    f->victims = t->conns;
    finding_of(f, EVIDENCE_RETRANS, t->retrans, t->retrans, t->sent);
    finding_value(f, EVIDENCE_LOST, permille, permille);
    finding_over(f, &j->limits, THRESHOLD_loss_permille);
    finding_value(f, EVIDENCE_CONCERNED, t->conns, t->conns);
    finding_value(f, EVIDENCE_PEERS, t->peers, t->peers);
}

void rule_loss(const struct judge *j)
{
    unsigned left = JUDGE_FINDINGS_MAX;
    struct tally clients = {.process = FACTS_NONE};
    for (uint32_t i = 0; i < j->map->peers; i++) {
        const struct judge_peer *p = &j->map->peer[i];
        struct tally one = {.process = FACTS_NONE};
        if (!p->mine)
            continue;
        count(j, p, p->role == JUDGE_OUT ? &one : &clients);
        if (p->role != JUDGE_OUT || left == 0 || !lossy(j, &one))
            continue;
        add(j, &one);
        left--;
    }
    if (lossy(j, &clients))
        add(j, &clients);
}
