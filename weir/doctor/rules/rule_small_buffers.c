/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * small-buffers: our own buffer is what limits a connection, not the path and not the other side. Inside the machine a
 * buffer is never large enough and nobody waits for it: those are left out.
 *
 * Sending, the kernel keeps the account: the part of the busy time in which the send buffer was full.
 *
 * Receiving, it keeps none, but the numbers tell: a buffer smaller than any that the kernel gives by itself was set by
 * the program (SO_RCVBUF), which also switches off its growth; the program reads what comes; and in each round trip
 * comes as much as the small window lets in, so the sender waits for the window.
 */
#include "weir/doctor/rules/judge.h"

struct tally {
    uint64_t conns, buffer;
    uint64_t limited, whole; /* their ratio is how much the buffer limits */
    uint32_t process;
};

/* One connection: true if it is one of these, and is counted in *io. */
typedef bool limited_fn(const struct judge *j, uint32_t place, const struct judge_flow *flow,
                        struct tally *io);

static struct tally tally(const struct judge *j, const struct judge_peer *p, limited_fn *fn)
{
    struct tally t = {.process = FACTS_NONE};
    for (uint32_t i = 0; i < p->n; i++) {
        uint32_t place = j->map->by_peer[p->first + i];
        struct judge_flow flow;
        if (!j->map->conn[place].mine ||
            j->facts->b.sockets.v[place].state != FACTS_ESTABLISHED ||
            !judge_flow(j, place, &flow) || !fn(j, place, &flow, &t))
            continue;
        t.conns++;
        t.process = j->map->conn[place].process;
    }
    return t;
}

/* ---- sending ---------------------------------------------------------------------------------------- */
static bool sends(const struct judge *j, uint32_t place, const struct judge_flow *flow,
                  struct tally *io)
{
    const struct facts_socket *s = &j->facts->b.sockets.v[place];
    if (j->map->conn[place].silent ||
        judge_percent(flow->busy_us, flow->elapsed_us) < judge_limit(j, THRESHOLD_busy_percent))
        return false;
    io->whole += flow->busy_us;
    io->limited += flow->sndbuf_us;
    if (s->sndbuf != FACTS_NONE)
        io->buffer = s->sndbuf;
    return true;
}

/* ---- receiving -------------------------------------------------------------------------------------- */
#define WINDOWS 16 /* so many came between the looks: it goes on */

/* Smaller than a program gets that does not ask, and the same at both looks. */
static bool is_fixed(const struct judge *j, uint32_t place)
{
    const struct facts_look *a = &j->facts->a, *b = &j->facts->b;
    uint32_t before = j->map->conn[place].before;
    uint64_t usual = b->sysctl[FACTS_SYS_TCP_RMEM][1];
    return before != FACTS_NONE && usual != FACTS_UNKNOWN &&
           b->sockets.v[place].rcvbuf < usual &&
           a->sockets.v[before].rcvbuf == b->sockets.v[place].rcvbuf;
}

static bool receives(const struct judge *j, uint32_t place, const struct judge_flow *flow,
                     struct tally *io)
{
    const struct facts_socket *s = &j->facts->b.sockets.v[place];
    const struct facts_tcp *t = facts_tcp(&j->facts->b, s);
    uint32_t before = j->map->conn[place].before;
    if (!is_fixed(j, place) || !t || t->rcv_rtt_us == 0 || t->rcv_rtt_us == FACTS_NONE ||
        t->rcv_ssthresh == 0)
        return false;
    uint64_t window = t->rcv_ssthresh < s->rcvbuf ? t->rcv_ssthresh : s->rcvbuf;
    if (flow->elapsed_us == 0 || flow->received < WINDOWS * window)
        return false;
    if (s->rqueue >= window && j->facts->a.sockets.v[before].rqueue >= window)
        return false; /* the program does not read it */
    uint64_t each = flow->received * t->rcv_rtt_us / flow->elapsed_us;
    io->limited += each < window ? each : window;
    io->whole += window;
    io->buffer = s->rcvbuf;
    return true;
}

/* ---- both ------------------------------------------------------------------------------------------- */
struct direction {
    limited_fn *fn;
    enum threshold_name least;
    enum evidence_name percent, buffer;
};

static bool judge_direction(const struct judge *j, const struct judge_peer *p,
                            const struct direction *d)
{
    struct tally t = tally(j, p, d->fn);
    uint64_t percent = judge_percent(t.limited, t.whole);
    if (t.conns == 0 || percent < judge_limit(j, d->least))
        return false;
    struct finding *f = judge_peer_finding(j, RULE_SMALL_BUFFERS, p, t.process);
    f->victims = t.conns;
    finding_value(f, d->percent, percent, percent);
    finding_over(f, &j->limits, d->least);
    finding_value(f, EVIDENCE_CONCERNED, t.conns, t.conns);
    finding_value(f, d->buffer, t.buffer, t.buffer);
    return true;
}

void rule_small_buffers(const struct judge *j)
{
    static const struct direction sending = {sends, THRESHOLD_sndbuf_limited_percent,
                                             EVIDENCE_SNDBUF_LIMITED, EVIDENCE_SNDBUF};
    static const struct direction receiving = {receives, THRESHOLD_window_filled_percent,
                                               EVIDENCE_WINDOW_FILLED, EVIDENCE_RCVBUF};
    unsigned left = JUDGE_FINDINGS_MAX;
    for (uint32_t i = 0; i < j->map->peers && left; i++) {
        const struct judge_peer *p = &j->map->peer[i];
        if (p->mine && !judge_is_local(&j->facts->b.sockets.v[p->sample]))
            left -= judge_direction(j, p, &sending) || judge_direction(j, p, &receiving);
    }
}
