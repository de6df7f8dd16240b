/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connections that wait in the kernel and are not taken. The master holds every listening socket, so it can ask how
 * long each one's queue is, whatever its workers do: a queue that has not been empty and has not got shorter for
 * five seconds is named, in the log and on the status page. A busy server's queue goes up and down between two looks.
 */
#include "libweir/base/heap.h"
#include "libweir/io/log.h"
#include "libweir/io/sock.h"
#include "weir/master/master_private.h"

#include <string.h>

#define PATIENCE_NS 5000000000U

struct queue {
    uint64_t since_ns; /* it has not got shorter; 0: it is empty */
    uint32_t length;
    bool said;
};

/* By descriptor. */
static struct queue *queue_of(struct master *m, int fd)
{
    unsigned n = (unsigned)fd + 1;
    if (n > m->n_queues) {
        unsigned room = n + 16;
        struct queue *q =
            wr_heap_realloc(m->heap, m->queues, m->n_queues * sizeof *q, room * sizeof *q);
        if (!q)
            return NULL;
        memset(q + m->n_queues, 0, (room - m->n_queues) * sizeof *q);
        m->queues = q;
        m->n_queues = room;
    }
    return &m->queues[fd];
}

static unsigned long long ms(uint64_t ns)
{
    return (unsigned long long)(ns / 1000000);
}

static void say(struct master *m, const struct listener *l, unsigned at, struct queue *q,
                uint64_t now, bool waits)
{
    char text[WR_ADDR_TEXT_MAX];
    wr_addr_format(&l->want.socket.addr, text);
    q->said = waits;
    if (waits)
        master_say(m, WR_LOG_WARN,
                   "%u connections wait on %s (socket %u of %u), for %llu ms already and not "
                   "getting fewer: its workers take none, or too few",
                   q->length, text, at + 1, l->n_fds, ms(now - q->since_ns));
    else
        master_say(m, WR_LOG_NOTICE,
                   "connections on %s (socket %u of %u) are taken again after %llu ms", text,
                   at + 1, l->n_fds, ms(now - q->since_ns));
}

/* Since when its connections wait, if for too long; 0: they do not. */
static uint64_t look_at(struct master *m, const struct listener *l, unsigned at, uint64_t now)
{
    struct wr_sock_info info;
    struct queue *q = queue_of(m, l->fds[at]);
    if (!q || wr_sock_info(l->fds[at], &info) < 0)
        return 0;
    if (info.unacked == 0 || info.unacked < q->length) {
        if (q->said)
            say(m, l, at, q, now, false);
        q->since_ns = info.unacked ? now : 0;
    } else if (!q->since_ns) {
        q->since_ns = now;
    }
    q->length = info.unacked;
    if (!q->since_ns || now - q->since_ns < PATIENCE_NS)
        return 0;
    if (!q->said)
        say(m, l, at, q, now, true);
    return q->since_ns;
}

void queue_look(struct master *m, uint64_t now)
{
    struct state_words *s = m->state;
    for (unsigned i = 0; i < m->listeners.n; i++) {
        const struct listener *l = m->listeners.row[i];
        uint64_t since = 0;
        for (unsigned j = 0; j < l->n_fds; j++) {
            uint64_t one = look_at(m, l, j, now);
            since = !since || (one && one < since) ? one : since;
        }
        if (i < s->n_listeners)
            __atomic_store_n(&s->listener[i].waiting_ms, since ? (uint32_t)ms(now - since) : 0,
                             __ATOMIC_RELAXED);
    }
}

void queue_close(struct master *m)
{
    wr_heap_free(m->heap, m->queues, m->n_queues * sizeof *m->queues);
    m->queues = NULL;
    m->n_queues = 0;
}
