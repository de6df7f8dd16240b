/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/logger.h"

#include "libweir/base/err.h"
#include "libweir/base/heap.h"
#include "libweir/io/log.h"
#include "libweir/io/log_text.h"
#include "libweir/io/logger_private.h"
#include "libweir/io/shm.h"
#include "libweir/os/os.h"

#include <errno.h>
#include <stdio.h>

#define ROUND_RECORDS 1024 /* per ring and drain: the loop stays alive */
#define SAFETY_MS     1000 /* a writer that died between its record and the bell */

/* ---- sinks by channel ----------------------------------------------------------------------------------- */

/* The table has grown: room for its channels. */
static bool reach(struct wr_logger *l, unsigned channel)
{
    if (channel < l->n_sinks)
        return true;
    unsigned n = wr_log_sinks_count(l->options.sinks);
    if (channel >= n)
        return false;
    struct wr_sink **sink =
        wr_heap_realloc(l->heap, l->sink, l->n_sinks * sizeof(void *), n * sizeof(void *));
    if (!sink)
        return false;
    memset(sink + l->n_sinks, 0, (n - l->n_sinks) * sizeof(void *));
    l->sink = sink;
    l->n_sinks = n;
    return true;
}

static struct wr_sink *open_listed(struct wr_logger *l, unsigned channel)
{
    struct wr_log_sink_def def;
    if (!l->options.sinks || !reach(l, channel))
        return NULL;
    if (l->sink[channel] || !wr_log_sinks_get(l->options.sinks, channel, &def))
        return l->sink[channel];
    /* A file that cannot be opened now is opened, and complained about, by its first flush. */
    (void)!wr_sink_new(l, &def, NULL, channel, &l->sink[channel]);
    return l->sink[channel];
}

static struct wr_sink *main_sink(struct wr_logger *l)
{
    unsigned main = l->options.sinks ? wr_log_sinks_main(l->options.sinks) : 0;
    struct wr_sink *s = main ? open_listed(l, main) : NULL;
    return s ? s : l->sink[0];
}

static struct wr_sink *sink_of(struct wr_logger *l, unsigned channel)
{
    struct wr_sink *s = NULL;
    if (channel > 0)
        s = channel < l->n_sinks && l->sink[channel] ? l->sink[channel]
                                                     : open_listed(l, channel);
    return s ? s : main_sink(l);
}

/* ---- its own words -------------------------------------------------------------------------------------- */

bool wr_logger_tell_(struct wr_logger *l, unsigned level, const char *fmt, ...)
{
    char text[WR_LOG_PATH_MAX + 512];
    char line[4 * sizeof text];
    va_list ap;
    va_start(ap, fmt);
    size_t n = wr_log_vformat(text, sizeof text, fmt, ap);
    va_end(ap);
    struct wr_log_record r = {
        .time_ns = wr_loop_wall_ns(l->loop),
        .pid = (uint32_t)wr_os_getpid(),
        .level = (uint8_t)level,
        .text = wr_span(text, n),
    };
    struct wr_sink *s = main_sink(l);
    if (s->def.kind == WR_LOG_TO_SYSLOG) {
        if (!s->err)
            wr_sink_take(l, s, &r);
        return !s->err;
    }
    n = l->options.line ? l->options.line(line, sizeof line, &r)
                        : wr_log_line(line, sizeof line, &r);
    return n <= wr_sink_room(l, s) && wr_sink_append(l, s, line, n);
}

bool wr_logger_tell_drops_(struct wr_logger *l, const struct wr_log_drops *d, const char *where,
                           unsigned index)
{
    char from[WR_LOG_TIME_SIZE], to[WR_LOG_TIME_SIZE];
    wr_log_time(from, d->from_ns);
    wr_log_time(to, d->to_ns);
    return wr_logger_tell_(l, WR_LOG_WARN,
                           "log log_dropped count=%llu from=%.*s to=%.*s where=%s index=%u",
                           (unsigned long long)d->count, WR_LOG_TIME_SIZE, from,
                           WR_LOG_TIME_SIZE, to, where, index);
}

/* ---- draining ------------------------------------------------------------------------------------------- */

static unsigned drain_ring(struct wr_logger *l, struct wr_logger_ring *r)
{
    struct wr_log_record record;
    unsigned n = 0;
    for (int got; n < ROUND_RECORDS; n++) {
        got = wr_log_ring_get(&r->ring, &r->pos, l->payload, &record);
        if (got == 0)
            break;
        if (got > 0) {
            wr_sink_take(l, sink_of(l, record.channel), &record);
            continue;
        }
        l->stats.damaged++;
        (void)wr_logger_tell_(l, WR_LOG_ERROR, "log ring_damaged index=%d", (int)(r - l->ring));
    }
    return n;
}

static void report_ring_drops(struct wr_logger *l, struct wr_logger_ring *r)
{
    struct wr_log_drops d;
    if (wr_sink_room(l, main_sink(l)) < 1024 || !wr_log_ring_drops(&r->ring, &d))
        return;
    l->stats.ring_drops += d.count;
    (void)wr_logger_tell_drops_(l, &d, "ring", (unsigned)(r - l->ring));
}

/* Freed only now, after the write: a logger killed in between leaves the records to its successor. What
 * a stuck sink holds is noted beside them, so that a successor can at least say how much went down. */
static void release_rings(struct wr_logger *l)
{
    uint64_t held = 0;
    for (unsigned i = 0; i < l->n_sinks; i++)
        held += l->sink[i] ? l->sink[i]->held : 0;
    if (l->n_rings)
        wr_log_ring_hold(&l->ring[0].ring, held);
    for (unsigned i = 0; i < l->n_rings; i++)
        wr_log_ring_release(&l->ring[i].ring, l->ring[i].pos);
}

/* The main one last: the others' failures are told there. */
static void flush_all(struct wr_logger *l, bool all)
{
    struct wr_sink *last = main_sink(l);
    for (unsigned i = 0; i < l->n_sinks; i++)
        if (l->sink[i] && l->sink[i] != last)
            wr_sink_flush(l, l->sink[i], all);
    wr_sink_flush(l, last, all);
}

static unsigned drain(struct wr_logger *l, bool all)
{
    unsigned n = 0;
    for (unsigned i = 0; i < l->n_rings; i++) {
        n += drain_ring(l, &l->ring[i]);
        report_ring_drops(l, &l->ring[i]);
    }
    flush_all(l, all);
    release_rings(l);
    return n;
}

unsigned wr_logger_drain(struct wr_logger *l)
{
    return drain(l, true);
}

static bool has_backlog(const struct wr_logger *l)
{
    for (unsigned i = 0; i < l->n_sinks; i++)
        if (l->sink[i] && wr_sink_backlog(l->sink[i]))
            return true;
    return false;
}

/* True when every ring is empty and its writer will ring the bell. */
static bool all_asleep(struct wr_logger *l)
{
    bool asleep = true;
    for (unsigned i = 0; i < l->n_rings; i++)
        asleep &= wr_log_ring_sleep(&l->ring[i].ring);
    return asleep;
}

/* The age at which something that is held back becomes due, or the safety net. */
static uint64_t rest_ms(const struct wr_logger *l)
{
    uint64_t least = SAFETY_MS;
    for (unsigned i = 0; i < l->n_sinks; i++) {
        const struct wr_sink *s = l->sink[i];
        if (s && s->at < s->n && s->def.flush_ms && s->def.flush_ms < least)
            least = s->def.flush_ms;
    }
    return least;
}

static void work(struct wr_logger *l)
{
    unsigned n = drain(l, false);
    bool busy = n > 0 || has_backlog(l) || !all_asleep(l);
    for (unsigned i = 0; i < l->n_sinks; i++)
        if (l->sink[i])
            wr_sink_rest(l, l->sink[i],
                         i < WR_LOGGER_SINKS || wr_log_sinks_live(l->options.sinks, i));
    wr_loop_timer_arm(l->loop, &l->timer, busy ? l->period_ms : rest_ms(l));
}

static void on_timer(struct wr_timer *t)
{
    work(wr_container_of(t, struct wr_logger, timer));
}

static void on_wake(struct wr_io *io, uint32_t events)
{
    struct wr_logger *l = wr_container_of(io, struct wr_logger, wake);
    uint64_t n;
    (void)events;
    if (wr_os_eventfd_take(wr_io_fd(io), &n) == 0)
        work(l);
}

void wr_logger_reopen(struct wr_logger *l)
{
    for (unsigned i = 0; i < l->n_sinks; i++)
        if (l->sink[i])
            wr_sink_reopen(l, l->sink[i]);
    (void)wr_logger_tell_(l, WR_LOG_NOTICE, "log reopened");
    work(l);
}

struct wr_logger_stats wr_logger_stats(const struct wr_logger *l)
{
    return l->stats;
}

/* ---- life -------------------------------------------------------------------------------------------------- */

static void free_logger(struct wr_logger *l)
{
    for (unsigned i = 0; i < l->n_sinks; i++)
        wr_sink_free(l, &l->sink[i]);
    wr_heap_free(l->heap, l->sink, l->n_sinks * sizeof *l->sink);
    wr_heap_free(l->heap, l->ring, l->n_rings * sizeof *l->ring);
    wr_heap_free(l->heap, l->line, WR_SINK_LINE_MAX);
    wr_heap_free(l->heap, l->payload, WR_LOG_RECORD_MAX);
    wr_heap_free(l->heap, l, sizeof *l);
}

static void free_later(struct wr_free_later *f)
{
    free_logger(wr_container_of(f, struct wr_logger, later));
}

static int open_rings(struct wr_logger *l, const struct wr_shm *shm)
{
    size_t size;
    void *part = wr_shm_part(shm, WR_LOG_PART, WR_LOG_VERSION, &size);
    unsigned n = part ? wr_log_ring_count(part, size) : 0;
    if (n == 0)
        return -EINVAL;
    l->ring = wr_heap_array(l->heap, n, sizeof *l->ring);
    if (!l->ring)
        return -ENOMEM;
    l->n_rings = n;
    for (unsigned i = 0; i < n; i++) {
        int r = wr_log_ring_at(part, size, i, &l->ring[i].ring);
        if (r < 0)
            return r;
        l->ring[i].pos = wr_log_ring_tail(&l->ring[i].ring);
    }
    return 0;
}

static int open_sinks(struct wr_logger *l, const struct wr_logger_options *o)
{
    l->capacity = o->buffer_bytes ? o->buffer_bytes : 256u << 10;
    if (l->capacity < WR_SINK_LINE_MAX)
        l->capacity = WR_SINK_LINE_MAX;
    l->line = wr_heap_alloc(l->heap, WR_SINK_LINE_MAX);
    l->payload = wr_heap_alloc(l->heap, WR_LOG_RECORD_MAX);
    l->sink = wr_heap_array(l->heap, WR_LOGGER_SINKS, sizeof *l->sink);
    l->n_sinks = l->sink ? WR_LOGGER_SINKS : 0;
    if (!l->line || !l->payload || !l->sink)
        return -ENOMEM;
    for (unsigned i = 0; i < o->n_sinks; i++) {
        int r = wr_sink_new(l, NULL, &o->sink[i], i, &l->sink[i]);
        if (r < 0)
            return r;
    }
    return 0;
}

/* What the predecessor had taken from the rings and not yet written is gone with it. */
static void tell_inheritance(struct wr_logger *l)
{
    uint64_t held = wr_log_ring_held(&l->ring[0].ring);
    if (held)
        (void)wr_logger_tell_(l, WR_LOG_ERROR, "log log_lost_at_most count=%llu",
                              (unsigned long long)held);
    wr_log_ring_hold(&l->ring[0].ring, 0);
}

int wr_logger_open(struct wr_loop *loop, const struct wr_logger_options *o,
                   struct wr_logger **out)
{
    if (o->n_sinks == 0 || o->n_sinks > WR_LOGGER_SINKS)
        return -EINVAL;
    const struct wr_heap *heap = wr_loop_heap(loop);
    struct wr_logger *l = wr_heap_zalloc(heap, sizeof *l);
    if (!l)
        return -ENOMEM;
    l->loop = loop;
    l->heap = heap;
    l->period_ms = o->period_ms ? o->period_ms : 20;
    l->retry_ms = o->retry_ms ? o->retry_ms : 1000;
    l->timer.fn = on_timer;
    l->options = *o;
    if (wr_os_hostname(l->host, sizeof l->host) < 0)
        (void)snprintf(l->host, sizeof l->host, "-");
    int fd = -1, r = open_rings(l, o->shm);
    if (!r)
        r = open_sinks(l, o);
    if (!r)
        r = fd = wr_os_dup(o->wake_fd);
    if (r >= 0)
        r = wr_io_open(loop, &l->wake, fd, WR_IO_READ, on_wake);
    if (r < 0)
        goto fail;
    tell_inheritance(l);
    work(l);
    *out = l;
    return 0;
fail:
    if (fd >= 0)
        (void)wr_os_close(fd);
    free_logger(l);
    return r;
}

void wr_logger_free(struct wr_logger **at)
{
    struct wr_logger *l = *at;
    if (!l)
        return;
    *at = NULL;
    for (unsigned i = 0; i < l->n_sinks; i++)
        if (l->sink[i])
            l->sink[i]->retry_at_ms = 0;
    while (wr_logger_drain(l) > 0)
        ;
    wr_io_close(&l->wake);
    wr_loop_timer_cancel(&l->timer);
    wr_loop_free_later(l->loop, &l->later, free_later);
}
