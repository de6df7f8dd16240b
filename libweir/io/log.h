/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_IO_LOG_H
#define WR_IO_LOG_H

/*
 * Log, writer's side: one line, one event: `area event key=value ...`.
 *
 * The line is formed in the caller's process and put into that process's ring (log_ring.h); the logger
 * (logger.h) adds time, level and pid and writes the file. Values are escaped so that whatever a
 * peer sends stays one line of printable ASCII. A call site that fires too often is silenced for the
 * rest of its window and its next line says how many were suppressed.
 *
 * 1. Logging never waits and never fails towards its caller: no room means dropped and counted.
 * 2. Area, event and the format text are constants; only %-arguments come from outside, and each is
 *    escaped: a value with a space, quote, '=', control or non-ASCII byte is quoted, such bytes as \xHH.
 * 3. suppressed + dropped + written - notes = calls at or above the level, exactly.
 * 4. A NULL log is allowed everywhere and swallows everything.
 *
 * One log per process (it is not thread-safe: threads post to their loop). Formats: log_text.h; the compiler
 * checks them as printf's.
 */

#include "libweir/base/compiler.h"
#include "libweir/io/log_ring.h"

enum wr_log_level {
    WR_LOG_DEBUG,
    WR_LOG_INFO,
    WR_LOG_NOTICE,
    WR_LOG_WARN,
    WR_LOG_ERROR,
    WR_LOG_CRIT,
    WR_LOG_LEVELS
};

struct wr_log;
struct wr_heap;
struct wr_seat;

struct wr_log_options {
    struct wr_log_ring ring; /* this process's */
    int wake_fd;             /* the logger's eventfd; -1: nobody to wake */
    struct wr_seat *seat;    /* counts records and drops there; may be NULL */
    enum wr_log_level level; /* the lowest that is written */
    unsigned burst;          /* lines per call site and window; 0: 10 */
    unsigned window_ms;      /* 0: 1000 */
};

int wr_log_new(const struct wr_heap *heap, const struct wr_log_options *options,
               struct wr_log **out) WR_MUST;
void wr_log_free(struct wr_log **log); /* reports what is still suppressed */
void wr_log_set_level(struct wr_log *log, enum wr_log_level level);
enum wr_log_level wr_log_level_of(const struct wr_log *log); /* WR_LOG_LEVELS for NULL */
const char *wr_log_level_name(enum wr_log_level level);

/* WR_LOG(log, WARN, "accept", "fd_limit", "fd=%d peer=%s", fd, peer). The format may be left out. */
#define WR_LOG(log, level, area, event, ...)                                          \
    do {                                                                              \
        if (WR_LOG_##level >= wr_log_level_of(log))                                   \
            wr_log_put((log), WR_HERE, WR_LOG_##level, area, event, " " __VA_ARGS__); \
    } while (0)

WR_PRINTF(6, 7)
void wr_log_put(struct wr_log *log, const struct wr_site *site, enum wr_log_level level,
                const char *area, const char *event, const char *fmt, ...);

/* A whole line (access log) for a channel of the logger; '\n' is added when missing. Escaping is the
 * caller's: log_text.h. False: dropped (counted). */
bool wr_log_raw(struct wr_log *log, unsigned channel, struct wr_span line);
/* The same with a level (syslog's severity), which is not compared with the log's. */
bool wr_log_raw_at(struct wr_log *log, unsigned channel, enum wr_log_level level,
                   struct wr_span line);

/* The rate limit for lines that are formed elsewhere: may one more of this kind, which key (the address of
 * a constant) and name stand for, be written now? *out_suppressed: how many were not, since the last. */
bool wr_log_allow(struct wr_log *log, const void *key, enum wr_log_level level,
                  const char *area, const char *name, unsigned burst, uint64_t *out_suppressed);

/* Writes the suppressed counts of windows that are over. The owner calls it about once a second. */
void wr_log_tick(struct wr_log *log);

struct wr_log_stats {
    uint64_t written, dropped, suppressed;
    uint64_t notes; /* lines of our own about suppression, within written + dropped */
};
struct wr_log_stats wr_log_stats(const struct wr_log *log);

#endif
