/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/log.h"

#include "libweir/base/heap.h"
#include "libweir/io/board.h"
#include "libweir/io/log_text.h"
#include "libweir/os/os.h"

#include <errno.h>

#define SITES     64 /* call sites whose rate is remembered at a time */
#define SITE_WAYS 4

struct site_rate {
    const void *key; /* a call site, or a format; NULL: free */
    const struct wr_site *site;
    const char *area, *event;
    uint64_t window_start_ms, suppressed;
    unsigned lines;
    enum wr_log_level level;
};

struct wr_log {
    const struct wr_heap *heap;
    struct wr_log_ring ring;
    struct wr_seat *seat;
    struct wr_log_stats stats;
    int wake_fd;
    uint32_t pid;
    enum wr_log_level level;
    unsigned burst, window_ms;
    struct site_rate rate[SITES];
};

static const char *const level_names[WR_LOG_LEVELS] = {
    [WR_LOG_DEBUG] = "debug", [WR_LOG_INFO] = "info",   [WR_LOG_NOTICE] = "notice",
    [WR_LOG_WARN] = "warn",   [WR_LOG_ERROR] = "error", [WR_LOG_CRIT] = "crit",
};

const char *wr_log_level_name(enum wr_log_level level)
{
    return (unsigned)level < WR_LOG_LEVELS ? level_names[level] : "?";
}

int wr_log_new(const struct wr_heap *heap, const struct wr_log_options *o, struct wr_log **out)
{
    struct wr_log *log = wr_heap_zalloc(heap, sizeof *log);
    if (!log)
        return -ENOMEM;
    log->heap = heap;
    log->ring = o->ring;
    log->seat = o->seat;
    log->wake_fd = o->wake_fd;
    log->pid = (uint32_t)wr_os_getpid();
    log->level = o->level;
    log->burst = o->burst ? o->burst : 10;
    log->window_ms = o->window_ms ? o->window_ms : 1000;
    *out = log;
    return 0;
}

void wr_log_set_level(struct wr_log *log, enum wr_log_level level)
{
    if (log)
        log->level = level;
}

enum wr_log_level wr_log_level_of(const struct wr_log *log)
{
    return log ? log->level : WR_LOG_LEVELS;
}

struct wr_log_stats wr_log_stats(const struct wr_log *log)
{
    return log ? log->stats : (struct wr_log_stats){0};
}

static bool put_record(struct wr_log *log, const struct wr_log_record *record)
{
    bool wake, written = wr_log_ring_put(&log->ring, record, &wake);
    wr_seat_count(log->seat, written ? WR_COUNTER_LOG_RECORDS : WR_COUNTER_LOG_DROPPED, 1);
    if (written)
        log->stats.written++;
    else
        log->stats.dropped++;
    if (wake && log->wake_fd >= 0)
        (void)wr_os_eventfd_add(log->wake_fd, 1);
    return written;
}

static void put_text(struct wr_log *log, enum wr_log_level level, uint64_t now_ns,
                     const char *text, size_t n)
{
    struct wr_log_record record = {
        .time_ns = now_ns,
        .pid = log->pid,
        .level = (uint8_t)level,
        .text = wr_span(text, n),
    };
    (void)put_record(log, &record);
}

/* ---- rate per call site ---------------------------------------------------------------------------- */

static void tell_suppressed(struct wr_log *log, struct site_rate *r, uint64_t now_ns)
{
    char text[256];
    size_t n = wr_log_format(text, sizeof text, "%s %s suppressed=%llu", r->area, r->event,
                             (unsigned long long)r->suppressed);
    if (r->site)
        n +=
            wr_log_format(text + n, sizeof text - n, " at=%s:%d", r->site->file, r->site->line);
    r->suppressed = 0;
    log->stats.notes++;
    put_text(log, r->level, now_ns, text, n);
}

/* A site lives in one of SITE_WAYS places; a new one takes the place whose window is oldest. */
static struct site_rate *find_rate(struct wr_log *log, const void *key, uint64_t now_ns)
{
    uint64_t hash = (uint64_t)(uintptr_t)key * 0x9e3779b97f4a7c15ull;
    struct site_rate *set = &log->rate[(hash >> 58) / SITE_WAYS * SITE_WAYS], *oldest = set;
    for (unsigned i = 0; i < SITE_WAYS; i++) {
        if (set[i].key == key)
            return &set[i];
        if (set[i].window_start_ms < oldest->window_start_ms)
            oldest = &set[i];
    }
    if (oldest->key && oldest->suppressed)
        tell_suppressed(log, oldest, now_ns);
    *oldest = (struct site_rate){.key = key};
    return oldest;
}

static bool window_over(const struct wr_log *log, const struct site_rate *r, uint64_t now_ms)
{
    return now_ms - r->window_start_ms >= log->window_ms; /* also when the clock went back */
}

/* True when this line is one too many. *out_suppressed: what this line has to confess. */
static bool suppress(struct wr_log *log, struct site_rate *r, unsigned burst, uint64_t now_ns,
                     uint64_t *out_suppressed)
{
    uint64_t now_ms = now_ns / 1000000;
    if (window_over(log, r, now_ms)) {
        r->window_start_ms = now_ms;
        r->lines = 0;
    }
    if (r->lines >= burst) {
        r->suppressed++;
        log->stats.suppressed++;
        return true;
    }
    r->lines++;
    *out_suppressed = r->suppressed;
    r->suppressed = 0;
    return false;
}

bool wr_log_allow(struct wr_log *log, const void *key, enum wr_log_level level,
                  const char *area, const char *name, unsigned burst, uint64_t *out_suppressed)
{
    *out_suppressed = 0;
    if (!log)
        return false;
    uint64_t now_ns = wr_os_now_ns(CLOCK_REALTIME);
    struct site_rate *r = find_rate(log, key, now_ns);
    r->area = area;
    r->event = name;
    r->level = level;
    return !suppress(log, r, burst, now_ns, out_suppressed);
}

void wr_log_tick(struct wr_log *log)
{
    if (!log)
        return;
    uint64_t now_ns = wr_os_now_ns(CLOCK_REALTIME);
    for (unsigned i = 0; i < SITES; i++) {
        struct site_rate *r = &log->rate[i];
        if (r->suppressed && window_over(log, r, now_ns / 1000000))
            tell_suppressed(log, r, now_ns);
    }
}

void wr_log_free(struct wr_log **at)
{
    struct wr_log *log = *at;
    if (!log)
        return;
    *at = NULL;
    uint64_t now_ns = wr_os_now_ns(CLOCK_REALTIME);
    for (unsigned i = 0; i < SITES; i++)
        if (log->rate[i].suppressed)
            tell_suppressed(log, &log->rate[i], now_ns);
    wr_heap_free(log->heap, log, sizeof *log);
}

/* ---- lines -------------------------------------------------------------------------------------------- */

void wr_log_put(struct wr_log *log, const struct wr_site *site, enum wr_log_level level,
                const char *area, const char *event, const char *fmt, ...)
{
    char text[WR_LOG_RECORD_MAX];
    uint64_t suppressed = 0;
    if (!log || level < log->level)
        return;
    uint64_t now_ns = wr_os_now_ns(CLOCK_REALTIME);
    if (level < WR_LOG_CRIT) {
        struct site_rate *r = find_rate(log, site, now_ns);
        r->site = site;
        r->area = area;
        r->event = event;
        r->level = level;
        if (suppress(log, r, log->burst, now_ns, &suppressed))
            return;
    }
    size_t n = wr_log_format(text, sizeof text, "%s %s", area, event);
    va_list ap;
    va_start(ap, fmt);
    n += wr_log_vformat(text + n, sizeof text - n, fmt, ap);
    va_end(ap);
    while (n && text[n - 1] == ' ')
        n--;
    if (suppressed)
        n += wr_log_format(text + n, sizeof text - n, " suppressed=%llu",
                           (unsigned long long)suppressed);
    put_text(log, level, now_ns, text, n);
}

bool wr_log_raw(struct wr_log *log, unsigned channel, struct wr_span line)
{
    return wr_log_raw_at(log, channel, WR_LOG_INFO, line);
}

bool wr_log_raw_at(struct wr_log *log, unsigned channel, enum wr_log_level level,
                   struct wr_span line)
{
    if (!log)
        return false;
    struct wr_log_record record = {
        .time_ns = wr_os_now_ns(CLOCK_REALTIME_COARSE), /* only the span of drops uses it */
        .pid = log->pid,
        .level = (uint8_t)level,
        .channel = (uint16_t)channel,
        .flags = WR_LOG_RAW,
        .text = line,
    };
    return put_record(log, &record);
}
