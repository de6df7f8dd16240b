/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * peer-zero-window: the peer's window was closed from look to look while bytes waited for it: its program does not read.
 * A client that pauses is its own affair and a note; many at once, or a destination that does not take what we send,
 * are a warning.
 */
#include "weir/doctor/rules/judge.h"

struct tally {
    uint64_t stuck, waiting, percent;
    uint32_t process, worst;
    uint64_t worst_waiting;
};

static bool shut(const struct judge *j, uint32_t place, struct judge_flow *out)
{
    const struct facts_socket *s = &j->facts->b.sockets.v[place];
    uint32_t before = j->map->conn[place].before;
    return before != FACTS_NONE && s->timer == FACTS_TIMER_PERSIST && s->wqueue > 0 &&
           j->facts->a.sockets.v[before].timer == FACTS_TIMER_PERSIST &&
           judge_flow(j, place, out) &&
           judge_percent(out->rwnd_us, out->elapsed_us) >=
               judge_limit(j, THRESHOLD_zero_window_percent);
}

static void count(const struct judge *j, const struct judge_peer *p, struct tally *io)
{
    uint64_t here = 0;
    for (uint32_t i = 0; i < p->n; i++) {
        uint32_t place = j->map->by_peer[p->first + i];
        struct judge_flow flow;
        if (!j->map->conn[place].mine || !shut(j, place, &flow))
            continue;
        io->stuck++;
        io->process = j->map->conn[place].process;
        uint64_t percent = judge_percent(flow.rwnd_us, flow.elapsed_us);
        io->percent = percent > 100 ? 100 : percent;
        here += j->facts->b.sockets.v[place].wqueue;
    }
    io->waiting += here;
    if (here > io->worst_waiting) {
        io->worst_waiting = here;
        io->worst = (uint32_t)(p - j->map->peer);
    }
}

static struct finding *add(const struct judge *j, const struct tally *t)
{
    struct finding *f =
        judge_peer_finding(j, RULE_ZERO_WINDOW, &j->map->peer[t->worst], t->process);
    f->victims = t->stuck;
    finding_value(f, EVIDENCE_STUCK, t->stuck, t->stuck);
    finding_value(f, EVIDENCE_NOTSENT, t->waiting, t->waiting);
    finding_value(f, EVIDENCE_RWND_LIMITED, t->percent, t->percent);
    finding_over(f, &j->limits, THRESHOLD_zero_window_percent);
    return f;
}

void rule_zero_window(const struct judge *j)
{
    unsigned left = JUDGE_FINDINGS_MAX;
    struct tally clients = {.process = FACTS_NONE};
    for (uint32_t i = 0; i < j->map->peers; i++) {
        const struct judge_peer *p = &j->map->peer[i];
        struct tally one = {.process = FACTS_NONE};
        if (!p->mine)
            continue;
        count(j, p, p->role == JUDGE_OUT ? &one : &clients);
        if (one.stuck == 0 || left == 0)
            continue;
        (void)add(j, &one);
        left--;
    }
    if (clients.stuck == 0)
        return;
    struct finding *f = add(j, &clients);
    if (clients.stuck < judge_limit(j, THRESHOLD_zero_window_min))
        f->severity = SEVERITY_INFO;
}
