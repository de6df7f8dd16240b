/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/logger.h"

#include "libweir/base/err.h"
#include "libweir/base/heap.h"
#include "libweir/io/log.h"
#include "libweir/io/log_text.h"
#include "libweir/io/loop.h"
#include "libweir/io/shm.h"
#include "libweir/os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#define LINE_MAX_BYTES (WR_LOG_RECORD_MAX * 4 + 128) /* every byte may become an escape */
#define ROUND_RECORDS  1024 /* per ring and drain: the loop stays alive */
#define SAFETY_MS      1000 /* a writer that died between its record and the bell */

struct sink {
    const char *path;
    int fd; /* -1: could not be opened yet */
    bool own, socket;
    char *buf;
    size_t at, n;  /* buf[at..n) waits to be written */
    uint64_t held; /* records in buf */
    struct wr_log_drops drops;
    int err; /* of the last write; 0: it works */
    uint64_t retry_at_ms;
};

struct ring_reader {
    struct wr_log_ring ring;
    uint64_t pos;
};

struct wr_logger {
    struct wr_loop *loop;
    const struct wr_heap *heap;
    struct wr_logger_stats stats;
    struct wr_io wake;
    struct wr_timer timer;
    struct wr_free_later later;
    struct sink sink[WR_LOGGER_SINKS];
    struct ring_reader *ring;
    unsigned n_sinks, n_rings, period_ms, retry_ms;
    size_t capacity; /* of each sink's buffer */
    char *line, *payload;
};

/* ---- sinks ---------------------------------------------------------------------------------------------- */

static int open_path(const char *path)
{
    return wr_os_open(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK, 0644);
}

/* A descriptor of somebody else's may not become non-blocking: that would hit everyone who shares it.
 * A pipe or terminal is opened anew, a socket is asked not to wait, a file never would. */
static void borrow(struct sink *s, int fd)
{
    struct stat st;
    char path[32];
    s->fd = fd;
    if (fd < 0 || wr_os_fstat(fd, &st) != 0)
        return;
    s->socket = S_ISSOCK(st.st_mode);
    if (!S_ISFIFO(st.st_mode) && !S_ISCHR(st.st_mode))
        return;
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int own = wr_os_open(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY, 0);
    if (own < 0)
        return;
    s->fd = own;
    s->own = true;
}

static ssize_t sink_write(const struct sink *s)
{
    const char *p = s->buf + s->at;
    return s->socket ? wr_os_send(s->fd, p, s->n - s->at, MSG_DONTWAIT)
                     : wr_os_write(s->fd, p, s->n - s->at);
}

static size_t room_in(const struct wr_logger *l, const struct sink *s)
{
    return l->capacity - (s->n - s->at);
}

/* The logger's own words, to channel 0. False: no room, try again later. */
WR_PRINTF(3, 4)
static bool tell(struct wr_logger *l, enum wr_log_level level, const char *fmt, ...);

static void append(struct wr_logger *l, struct sink *s, const char *p, size_t n)
{
    if (s->n + n > l->capacity) {
        memmove(s->buf, s->buf + s->at, s->n - s->at);
        s->n -= s->at;
        s->at = 0;
    }
    memcpy(s->buf + s->n, p, n);
    s->n += n;
}

static bool tell(struct wr_logger *l, enum wr_log_level level, const char *fmt, ...)
{
    char text[512];
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
    n = wr_log_line(l->line, LINE_MAX_BYTES, &r);
    if (n > room_in(l, &l->sink[0]))
        return false;
    append(l, &l->sink[0], l->line, n);
    return true;
}

static void sink_failed(struct wr_logger *l, struct sink *s, int err)
{
    s->retry_at_ms = wr_loop_now_ms(l->loop) + (err == -EAGAIN ? l->period_ms : l->retry_ms);
    if (err != -EAGAIN)
        l->stats.write_errors++;
    if (s->err == 0 && err != -EAGAIN && s != &l->sink[0])
        (void)tell(l, WR_LOG_ERROR, "log sink_failed sink=%d err=%s", (int)(s - l->sink),
                   wr_err_name(err));
    s->err = err;
}

/* Both ends of a gap, and how large: the promise of this module. */
static bool tell_drops(struct wr_logger *l, const struct wr_log_drops *d, const char *where,
                       unsigned index)
{
    char from[WR_LOG_TIME_SIZE], to[WR_LOG_TIME_SIZE];
    wr_log_time(from, d->from_ns);
    wr_log_time(to, d->to_ns);
    return tell(l, WR_LOG_WARN,
                "log log_dropped count=%llu from=%.*s to=%.*s where=%s index=%u",
                (unsigned long long)d->count, WR_LOG_TIME_SIZE, from, WR_LOG_TIME_SIZE, to,
                where, index);
}

static void sink_works(struct wr_logger *l, struct sink *s)
{
    s->err = 0;
    if (s->drops.count && tell_drops(l, &s->drops, "sink", (unsigned)(s - l->sink)))
        s->drops.count = 0;
}

static void flush_sink(struct wr_logger *l, struct sink *s)
{
    if (s->err && wr_loop_now_ms(l->loop) < s->retry_at_ms)
        return;
    if (s->fd < 0 && s->path) {
        int fd = open_path(s->path);
        if (fd < 0) {
            sink_failed(l, s, fd);
            return;
        }
        s->fd = fd;
    }
    while (s->at < s->n) {
        ssize_t r = sink_write(s);
        if (r <= 0) {
            sink_failed(l, s, r < 0 ? (int)r : -EIO);
            return;
        }
        s->at += (size_t)r;
        l->stats.bytes += (uint64_t)r;
    }
    s->at = s->n = 0;
    s->held = 0;
    sink_works(l, s);
}

static void drop_at_sink(struct wr_logger *l, struct sink *s)
{
    uint64_t now_ns = wr_loop_wall_ns(l->loop);
    if (s->drops.count++ == 0)
        s->drops.from_ns = now_ns;
    s->drops.to_ns = now_ns;
    l->stats.sink_drops++;
}

static void take_record(struct wr_logger *l, const struct wr_log_record *r)
{
    struct sink *s = &l->sink[r->channel < l->n_sinks ? r->channel : 0];
    size_t n = wr_log_line(l->line, LINE_MAX_BYTES, r);
    if (n > room_in(l, s)) {
        flush_sink(l, s);
        n = wr_log_line(l->line, LINE_MAX_BYTES,
                        r); /* flushing may have told something there */
    }
    if (n > room_in(l, s)) {
        drop_at_sink(l, s);
        return;
    }
    append(l, s, l->line, n);
    s->held++;
    l->stats.lines++;
}

/* ---- draining ------------------------------------------------------------------------------------------- */

static unsigned drain_ring(struct wr_logger *l, struct ring_reader *r)
{
    struct wr_log_record record;
    unsigned n = 0;
    for (int got; n < ROUND_RECORDS; n++) {
        got = wr_log_ring_get(&r->ring, &r->pos, l->payload, &record);
        if (got == 0)
            break;
        if (got > 0) {
            take_record(l, &record);
            continue;
        }
        l->stats.damaged++;
        (void)tell(l, WR_LOG_ERROR, "log ring_damaged index=%d", (int)(r - l->ring));
    }
    return n;
}

static void report_ring_drops(struct wr_logger *l, struct ring_reader *r)
{
    struct wr_log_drops d;
    if (room_in(l, &l->sink[0]) < 1024 || !wr_log_ring_drops(&r->ring, &d))
        return;
    l->stats.ring_drops += d.count;
    (void)tell_drops(l, &d, "ring", (unsigned)(r - l->ring));
}

/* Freed only now, after the write: a logger killed in between leaves the records to its successor. What
 * a stuck sink holds is noted beside them, so that a successor can at least say how much went down. */
static void release_rings(struct wr_logger *l)
{
    uint64_t held = 0;
    for (unsigned i = 0; i < l->n_sinks; i++)
        held += l->sink[i].held;
    if (l->n_rings)
        wr_log_ring_hold(&l->ring[0].ring, held);
    for (unsigned i = 0; i < l->n_rings; i++)
        wr_log_ring_release(&l->ring[i].ring, l->ring[i].pos);
}

unsigned wr_logger_drain(struct wr_logger *l)
{
    unsigned n = 0;
    for (unsigned i = 0; i < l->n_rings; i++) {
        n += drain_ring(l, &l->ring[i]);
        report_ring_drops(l, &l->ring[i]);
    }
    for (unsigned i = l->n_sinks;
         i-- > 0;) /* channel 0 last: the others' failures are told there */
        flush_sink(l, &l->sink[i]);
    release_rings(l);
    return n;
}

static bool has_backlog(const struct wr_logger *l)
{
    for (unsigned i = 0; i < l->n_sinks; i++)
        if (l->sink[i].at < l->sink[i].n || l->sink[i].drops.count)
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

static void work(struct wr_logger *l)
{
    unsigned n = wr_logger_drain(l);
    bool busy = n > 0 || has_backlog(l) || !all_asleep(l);
    wr_loop_timer_arm(l->loop, &l->timer, busy ? l->period_ms : SAFETY_MS);
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
    for (unsigned i = 0; i < l->n_sinks; i++) {
        struct sink *s = &l->sink[i];
        if (!s->path)
            continue;
        s->retry_at_ms = 0; /* a new file may be on a disk that has room */
        flush_sink(l, s);
        int fd = open_path(s->path);
        if (fd < 0) {
            (void)tell(l, WR_LOG_ERROR, "log reopen_failed sink=%u err=%s", i, wr_err_name(fd));
            continue;
        }
        if (s->fd >= 0)
            (void)wr_os_close(s->fd);
        s->fd = fd;
        s->retry_at_ms = 0;
    }
    (void)tell(l, WR_LOG_NOTICE, "log reopened");
    work(l);
}

struct wr_logger_stats wr_logger_stats(const struct wr_logger *l)
{
    return l->stats;
}

/* ---- life -------------------------------------------------------------------------------------------------- */

static void free_logger(struct wr_logger *l)
{
    for (unsigned i = 0; i < l->n_sinks; i++) {
        struct sink *s = &l->sink[i];
        if (s->own && s->fd >= 0)
            (void)wr_os_close(s->fd);
        wr_heap_free(l->heap, s->buf, l->capacity);
    }
    wr_heap_free(l->heap, l->ring, l->n_rings * sizeof *l->ring);
    wr_heap_free(l->heap, l->line, LINE_MAX_BYTES);
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
    if (l->capacity < LINE_MAX_BYTES)
        l->capacity = LINE_MAX_BYTES;
    l->line = wr_heap_alloc(l->heap, LINE_MAX_BYTES);
    l->payload = wr_heap_alloc(l->heap, WR_LOG_RECORD_MAX);
    if (!l->line || !l->payload)
        return -ENOMEM;
    for (unsigned i = 0; i < o->n_sinks; i++) {
        struct sink *s = &l->sink[l->n_sinks];
        s->buf = wr_heap_alloc(l->heap, l->capacity);
        if (!s->buf)
            return -ENOMEM;
        s->path = o->sink[i].path;
        s->own = s->path != NULL;
        if (s->path)
            s->fd = open_path(s->path);
        else
            borrow(s, o->sink[i].fd);
        l->n_sinks++;
        if (s->fd < 0)
            return s->path ? s->fd : -EBADF;
    }
    return 0;
}

/* What the predecessor had taken from the rings and not yet written is gone with it. */
static void tell_inheritance(struct wr_logger *l)
{
    uint64_t held = wr_log_ring_held(&l->ring[0].ring);
    if (held)
        (void)tell(l, WR_LOG_ERROR, "log log_lost_at_most count=%llu",
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
        l->sink[i].retry_at_ms = 0;
    while (wr_logger_drain(l) > 0)
        ;
    wr_io_close(&l->wake);
    wr_loop_timer_cancel(&l->timer);
    wr_loop_free_later(l->loop, &l->later, free_later);
}
