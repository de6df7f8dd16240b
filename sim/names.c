/* SPDX-License-Identifier: BSD-2-Clause */

#include "sim/names.h"

#include "libweir/base/assert.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TYPE_A     1
#define TYPE_AAAA  28
#define NEGATIVE_S 5
#define REPLY_MAX  1024

struct names {
    uint32_t host;
    const struct names_mood *mood;
    names_meaning_fn *meaning;
    struct names_stats stats;
    struct sim_peer *listener;
    struct caller *callers;
};

/* A TCP connection: one question, two bytes of length in front of each message. */
struct caller {
    struct names *of;
    struct caller *next;
    struct sim_peer *peer;
    struct sim_event answer;
    uint8_t in[REPLY_MAX];
    uint8_t out[REPLY_MAX];
    size_t in_n, out_n, out_at;
};

struct reply {
    uint8_t p[REPLY_MAX];
    size_t n;
};

static void put(struct reply *r, const void *p, size_t n)
{
    WR_ASSERT(r->n + n <= sizeof r->p);
    memcpy(r->p + r->n, p, n);
    r->n += n;
}

static void put_record(struct reply *r, uint8_t type, uint32_t ttl_s, const void *data,
                       uint8_t n)
{
    const uint8_t head[12] = {0xc0, 12, 0, type, 0, 1, 0, 0, 0, (uint8_t)ttl_s, 0, n};
    put(r, head, sizeof head);
    put(r, data, n);
}

/* The question's name as text; returns where the question ends, 0 when it is none. */
static size_t question_read(const uint8_t *q, size_t n, char name[256])
{
    size_t at = 12, to = 0;
    while (at < n && q[at] && to + q[at] + 1u < 256 && at + q[at] < n) {
        if (to)
            name[to++] = '.';
        for (unsigned i = 1; i <= q[at]; i++)
            name[to++] =
                (char)(q[at + i] >= 'A' && q[at + i] <= 'Z' ? q[at + i] | 0x20 : q[at + i]);
        at += q[at] + 1u;
    }
    name[to] = 0;
    return at + 5 <= n && q[at] == 0 ? at + 5 : 0;
}

static void put_soa(struct reply *r)
{
    static const uint8_t soa[33] = {0, 0, 6,          0, 1,  0,
                                    0, 0, NEGATIVE_S, 0, 22, [32] = NEGATIVE_S};
    put(r, soa, sizeof soa);
}

/* The true answer, or (cut) one that says that it is not whole. False: not a question. */
static bool reply_write(struct names *s, const uint8_t *q, size_t n, bool cut, struct reply *r)
{
    char name[256];
    struct names_meaning m = {0};
    size_t end = n > 16 ? question_read(q, n, name) : 0;
    if (!end)
        return false;
    s->meaning(name, &m);
    uint8_t type = q[end - 3], count = 0;
    r->n = 0;
    put(r, q, end);
    for (unsigned i = 0; type == TYPE_A && !cut && i < m.v4_count; i++, count++)
        put_record(r, type, (uint32_t)sim_rand(s->mood->ttl_max_s + 1), m.v4[i], 4);
    for (unsigned i = 0; type == TYPE_AAAA && !cut && i < m.v6_count; i++, count++)
        put_record(r, type, (uint32_t)sim_rand(s->mood->ttl_max_s + 1), m.v6[i], 16);
    bool negative = !cut && count == 0;
    if (negative)
        put_soa(r);
    const uint8_t flags[10] = {(uint8_t)(0x81 | (cut ? 2 : 0)),
                               (uint8_t)(0x80 | (m.exists ? 0 : 3)),
                               0,
                               1,
                               0,
                               count,
                               0,
                               negative,
                               0,
                               0};
    memcpy(r->p + 2, flags, sizeof flags);
    return true;
}

/* ---- UDP ---------------------------------------------------------------------------------------------- */
static void udp_send(const struct names *s, const struct sim_inet *to, const struct reply *r)
{
    sim_datagram_send(s->host, NAMES_PORT, to, r->p, r->n, sim_rand(s->mood->delay_ns + 1));
}

/* What a liar, or an answer to an older question, looks like: it names another address. */
static void udp_lie(struct names *s, const struct sim_inet *to, const struct reply *truth)
{
    struct reply lie = *truth;
    lie.p[lie.n - 1] ^= 0x55;
    if (sim_chance(s->mood->wrong_id)) {
        lie.p[sim_rand(2)] ^= (uint8_t)(1 + sim_rand(255));
        s->stats.lies++;
        udp_send(s, to, &lie);
    }
    memcpy(lie.p, truth->p, 2);
    if (sim_chance(s->mood->wrong_question)) {
        lie.p[13] = lie.p[13] == 'q' ? 'x' : 'q';
        s->stats.lies++;
        udp_send(s, to, &lie);
    }
    if (sim_chance(s->mood->garbage)) { /* of another id, or it would be an answer: a bad one */
        for (size_t i = 2; i < lie.n; i++)
            lie.p[i] = (uint8_t)sim_rand(256);
        lie.p[0] ^= 1;
        lie.n = 1 + sim_rand(lie.n);
        udp_send(s, to, &lie);
    }
}

static void udp_question(void *arg, const struct sim_inet *from, const void *bytes, size_t n)
{
    struct names *s = arg;
    struct reply r;
    bool cut = sim_chance(s->mood->cut);
    s->stats.questions++;
    if (sim_chance(s->mood->lost) || !reply_write(s, bytes, n, cut, &r)) {
        s->stats.lost++;
        return;
    }
    udp_lie(s, from, &r);
    if (sim_chance(s->mood->fail))
        r.p[3] = (uint8_t)((r.p[3] & 0xf0) | 2);
    s->stats.cut += cut;
    s->stats.answers++;
    udp_send(s, from, &r);
}

/* ---- TCP ---------------------------------------------------------------------------------------------- */
static void caller_flush(struct caller *c)
{
    while (c->peer && c->out_at < c->out_n) {
        size_t n = 1 + sim_rand(c->out_n - c->out_at);
        ssize_t r = sim_send(c->peer, c->out + c->out_at, n);
        if (r <= 0)
            return;
        c->out_at += (size_t)r;
        if (c->out_at < c->out_n) {
            sim_after(&c->answer, sim_rand(20 * SIM_MS));
            return;
        }
    }
}

static void caller_due(struct sim_event *e)
{
    struct caller *c = wr_container_of(e, struct caller, answer);
    struct names *s = c->of;
    struct reply r;
    if (c->out_n == 0) {
        if (!c->peer || sim_chance(s->mood->tcp_mute))
            return;
        if (sim_chance(s->mood->tcp_hang_up) ||
            !reply_write(s, c->in + 2, c->in_n - 2, false, &r)) {
            sim_hang_up(&c->peer, sim_rand(2) == 0);
            return;
        }
        c->out[0] = (uint8_t)(r.n >> 8);
        c->out[1] = (uint8_t)r.n;
        memcpy(c->out + 2, r.p, r.n);
        c->out_n = r.n + 2;
        s->stats.answers++;
    }
    caller_flush(c);
}

static void caller_readable(struct sim_peer *peer, void *arg)
{
    struct caller *c = arg;
    for (;;) {
        ssize_t r = sim_recv(peer, c->in + c->in_n, sizeof c->in - c->in_n);
        if (r == -EAGAIN)
            return;
        if (r <= 0) {
            sim_cancel(&c->answer);
            sim_hang_up(&c->peer, false);
            return;
        }
        c->in_n += (size_t)r;
        if (c->in_n > 2 && c->in_n == 2u + (c->in[0] << 8 | c->in[1])) {
            c->of->stats.questions++;
            c->of->stats.tcp++;
            sim_after(&c->answer, sim_rand(c->of->mood->delay_ns + 1));
        }
    }
}

static void incoming(struct sim_peer *listener, void *arg)
{
    static const struct sim_peer_ops ops = {.readable = caller_readable};
    struct names *s = arg;
    for (;;) {
        struct caller *c = calloc(1, sizeof *c);
        WR_ASSERT(c);
        c->of = s;
        c->answer.fn = caller_due;
        c->peer = sim_take(listener, &ops, c);
        if (!c->peer) {
            free(c);
            return;
        }
        c->next = s->callers;
        s->callers = c;
    }
}

struct names *names_serve(uint32_t host, const struct names_mood *mood,
                          names_meaning_fn *meaning)
{
    static const struct sim_peer_ops ops = {.incoming = incoming};
    struct names *s = calloc(1, sizeof *s);
    WR_ASSERT(s);
    s->host = host;
    s->mood = mood;
    s->meaning = meaning;
    sim_datagram_serve(host, NAMES_PORT, udp_question, s);
    s->listener = sim_serve(host, NAMES_PORT, 16, &ops, s);
    return s;
}

const struct names_stats *names_stats(const struct names *s)
{
    return &s->stats;
}

/* Datagrams that are still under way may reach it: only when the world stands still for good. */
void names_free(struct names **ps)
{
    struct names *s = *ps;
    *ps = NULL;
    sim_hang_up(&s->listener, false);
    while (s->callers) {
        struct caller *c = s->callers;
        s->callers = c->next;
        sim_cancel(&c->answer);
        sim_hang_up(&c->peer, true);
        free(c);
    }
    free(s);
}
