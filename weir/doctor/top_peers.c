/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/top_text.h"
#include "weir/doctor/top_work.h"

#include <stdio.h>
#include <stdlib.h>

/*
 * Sockets by who is at the other end: each becomes a small key, the keys are sorted, and a run of equal keys is
 * one row. Clients are one peer per address, servers that we connect to one per address and port.
 */
struct key {
    uint8_t address[16];
    uint16_t port; /* 0: it connected to us */
    uint8_t family, outgoing;
    uint32_t socket;
};

#define KEY_SAME offsetof(struct key, socket)

struct keys {
    FACTS_LIST(struct key) list;
};

static int by_peer(const void *a, const void *b)
{
    return memcmp(a, b, KEY_SAME);
}

/* Ours, or perhaps: what is in TIME_WAIT has no owner, so it counts where its peer has a connection of ours. */
static bool wanted(const struct top_work *w, const struct facts_socket *s)
{
    if (s->proto != FACTS_TCP || s->state == FACTS_LISTEN || s->state == FACTS_CLOSE)
        return false;
    if (s->inode)
        return top_holder(w, s->inode) != NULL;
    bool in = top_port_in(w->listens, s->local_port);
    return !in || top_port_in(w->ours, s->local_port);
}

static int collect(const struct top_work *w, struct keys *out)
{
    const struct facts_look *b = &w->facts->b;
    for (uint32_t i = 0; i < b->sockets.n; i++) {
        const struct facts_socket *s = &b->sockets.v[i];
        if (!wanted(w, s))
            continue;
        struct key k;
        memset(&k, 0, sizeof k);
        memcpy(k.address, s->remote, sizeof k.address);
        k.family = s->family;
        k.outgoing = !top_port_in(w->listens, s->local_port);
        k.port = k.outgoing ? s->remote_port : 0;
        k.socket = i;
        int err = FACTS_ADD(&out->list, w->heap, &k);
        if (err)
            return err;
    }
    if (out->list.n)
        qsort(out->list.v, out->list.n, sizeof *out->list.v, by_peer);
    return 0;
}

struct sums {
    uint64_t sent, resent, rtt, measured, owned;
};

static void owed(struct top_peer *p, const struct facts_socket *s, const struct facts_tcp *t)
{
    uint32_t theirs = t->last_data_recv_ms, our = t->last_data_sent_ms;
    uint32_t since = p->outgoing ? our : theirs, answer = p->outgoing ? theirs : our;
    bool asked = p->outgoing ? t->data_segs_out > 0 : t->bytes_received > 0;
    if (s->state != FACTS_ESTABLISHED || s->rqueue || !asked || since >= answer ||
        answer == FACTS_NONE)
        return;
    p->owed++;
    p->oldest_ms = since > p->oldest_ms ? since : p->oldest_ms;
}

static void add(const struct facts_look *l, const struct facts_socket *s, struct top_peer *p,
                struct sums *sum)
{
    const struct facts_tcp *t = facts_tcp(l, s);
    p->time_wait += s->state == FACTS_TIME_WAIT;
    p->conns += s->state != FACTS_TIME_WAIT;
    sum->owned += s->inode != 0;
    if (!t)
        return;
    owed(p, s, t);
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

static int one_peer(struct top_work *w, const struct key *k, uint32_t n)
{
    const struct facts_look *b = &w->facts->b;
    struct top_peer p = {.outgoing = k->outgoing, .min_rtt_us = FACTS_UNKNOWN};
    struct sums sum = {0};
    for (uint32_t i = 0; i < n; i++)
        add(b, &b->sockets.v[k[i].socket], &p, &sum);
    if (sum.owned == 0 && k->outgoing && !w->model->host)
        return 0; /* somebody else's */
    top_address(&b->sockets.v[k->socket], true, k->outgoing, p.name);
    finish(w, &p, &sum);
    return FACTS_ADD(&w->model->peers, w->heap, &p);
}

int top_peers(struct top_work *w)
{
    struct keys keys = {0};
    int err = collect(w, &keys);
    for (uint32_t i = 0, n; !err && i < keys.list.n; i += n) {
        for (n = 1; i + n < keys.list.n && by_peer(&keys.list.v[i], &keys.list.v[i + n]) == 0;)
            n++;
        err = one_peer(w, &keys.list.v[i], n);
    }
    wr_heap_free(w->heap, keys.list.v, keys.list.room * sizeof *keys.list.v);
    return err;
}
