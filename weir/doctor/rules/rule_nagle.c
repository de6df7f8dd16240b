/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nagle-delayed-ack: every exchange takes the 40 ms of a delayed acknowledgement although the path takes less than one,
 * because a message goes out in several small writes and the second waits for the acknowledgement of the first. A slow
 * server shows the same 40 ms: so at a look a small rest has to be held back while the window is open, or the socket
 * says that Nagle is on, and each message is more than one segment. One that says TCP_NODELAY is never meant.
 */
#include "weir/doctor/rules/judge.h"

struct tally {
    uint64_t conns, busy_us, requests, segments;
    uint32_t process, min_rtt_us;
};

/* Less than a segment waits although the peer has room and the path has: only Nagle holds it. */
static bool held(const struct facts_look *l, const struct facts_socket *s)
{
    const struct facts_tcp *t = facts_tcp(l, s);
    return t && t->notsent_bytes > 0 && t->notsent_bytes < t->snd_mss && t->unacked > 0 &&
           t->unacked < t->snd_cwnd && s->wqueue < t->snd_wnd;
}

enum nodelay {
    NODELAY_UNKNOWN,
    NODELAY_OFF,
    NODELAY_ON
};

static enum nodelay nodelay(const struct judge *j, const struct facts_socket *s)
{
    const struct facts_look *b = &j->facts->b;
    const struct facts_fd *fd = facts_owner(b, s->inode, 0);
    const struct facts_peek *k = fd ? facts_peek(b, fd->pid, fd->fd) : NULL;
    if (!k || k->inode != s->inode || k->nodelay > 1)
        return NODELAY_UNKNOWN;
    return k->nodelay ? NODELAY_ON : NODELAY_OFF;
}

static bool is_nagle(const struct judge *j, uint32_t place, const struct judge_flow *flow)
{
    const struct facts_look *a = &j->facts->a, *b = &j->facts->b;
    const struct facts_socket *s = &b->sockets.v[place];
    switch (nodelay(j, s)) {
    case NODELAY_ON:
        return false;
    case NODELAY_OFF:
        return flow->segs_out * 2 >= flow->segs_in * 3;
    case NODELAY_UNKNOWN:
        break;
    }
    return held(b, s) || held(a, &a->sockets.v[j->map->conn[place].before]);
}

static bool waits(const struct judge *j, uint32_t place, struct judge_flow *out)
{
    const struct facts_look *b = &j->facts->b;
    const struct facts_tcp *t = facts_tcp(b, &b->sockets.v[place]);
    if (!t || j->map->conn[place].before == FACTS_NONE || t->min_rtt_us == 0 ||
        t->min_rtt_us >= judge_limit(j, THRESHOLD_nagle_rtt_us))
        return false;
    return judge_flow(j, place, out) && out->retrans == 0 && out->rwnd_us == 0 &&
           out->segs_in > 0 && out->segs_in >= judge_limit(j, THRESHOLD_nagle_requests_min) &&
           out->busy_us / out->segs_in >= judge_limit(j, THRESHOLD_nagle_request_ms) * 1000 &&
           out->sent < out->segs_out * t->snd_mss / 2 && is_nagle(j, place, out);
}

static struct tally tally(const struct judge *j, const struct judge_peer *p)
{
    struct tally t = {.process = FACTS_NONE, .min_rtt_us = FACTS_NONE};
    for (uint32_t i = 0; i < p->n; i++) {
        uint32_t place = j->map->by_peer[p->first + i];
        struct judge_flow flow;
        if (!j->map->conn[place].mine || j->map->conn[place].silent || !waits(j, place, &flow))
            continue;
        const struct facts_tcp *tcp = facts_tcp(&j->facts->b, &j->facts->b.sockets.v[place]);
        t.conns++;
        t.busy_us += flow.busy_us;
        t.requests += flow.segs_in;
        t.segments += flow.segs_out;
        t.process = j->map->conn[place].process;
        t.min_rtt_us = tcp->min_rtt_us < t.min_rtt_us ? tcp->min_rtt_us : t.min_rtt_us;
    }
    return t;
}

void rule_nagle(const struct judge *j)
{
    unsigned left = JUDGE_FINDINGS_MAX;
    for (uint32_t i = 0; i < j->map->peers && left; i++) {
        const struct judge_peer *p = &j->map->peer[i];
        struct tally t = p->mine ? tally(j, p) : (struct tally){0};
        if (t.conns == 0)
            continue;
        struct finding *f = judge_peer_finding(j, RULE_NAGLE, p, t.process);
        uint64_t each_ms = t.busy_us / t.requests / 1000;
        f->victims = t.conns;
        finding_value(f, EVIDENCE_REQUEST_MS, each_ms, each_ms);
        finding_over(f, &j->limits, THRESHOLD_nagle_request_ms);
        finding_value(f, EVIDENCE_MIN_RTT_US, t.min_rtt_us, t.min_rtt_us);
        finding_over(f, &j->limits, THRESHOLD_nagle_rtt_us);
        finding_value(f, EVIDENCE_REQUESTS, t.requests, t.requests);
        finding_value(f, EVIDENCE_SEGMENTS, t.segments, t.segments);
        finding_value(f, EVIDENCE_CONCERNED, t.conns, t.conns);
        left--;
    }
}
