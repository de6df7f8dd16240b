/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_IO_LOGGER_PRIVATE_H
#define WR_IO_LOGGER_PRIVATE_H

/*
 * What the halves of the logger share: logger.c drains rings, logger_sink.c owns files and sockets.
 *
 * A sink takes one record at a time (wr_sink_take) and is flushed after every round (wr_sink_flush). It
 * keeps at most the logger's capacity of bytes that could not or shall not be written yet; what does
 * not fit is dropped, counted, and told when it works again.
 *
 *   FILE, STDERR   take -> buf -- flush: [pack ->] write
 *   PATHS          take -> buf of the current path -- another path, or flush: write
 *   SYSLOG         take -> one datagram
 */

#include "libweir/io/log_ring.h"
#include "libweir/io/log_sinks.h"
#include "libweir/io/logger.h"
#include "libweir/io/loop.h"

#define WR_SINK_LINE_MAX (WR_LOG_RECORD_MAX * 4 + 128) /* every byte may become an escape */

struct wr_sink_path { /* an open file of a PATHS sink */
    char *name;
    int fd;
    uint64_t used_ms, checked_ms, first_ms, inode;
    uint32_t uses;
};

struct wr_sink {
    struct wr_log_sink_def def;
    const char *path; /* FILE; NULL: fd is somebody's */
    unsigned channel;
    int fd; /* -1: not open */
    bool own, socket;
    char *buf, *packed;
    size_t at, n; /* buf[at..n) waits */
    size_t whole; /* where the line begins that `at` is in: half of it may be written */
    size_t packed_at, packed_n, packed_room;
    uint64_t held;     /* records in buf and packed */
    uint64_t since_ms; /* age of the oldest of them */
    uint64_t used_ms;
    struct wr_log_drops drops;
    int err; /* of the last write; 0: it works */
    uint64_t retry_at_ms;
    struct wr_sink_path *paths; /* PATHS */
    unsigned n_paths, max_paths;
    char *current; /* PATHS: whose lines lie in buf */
};

struct wr_logger_ring {
    struct wr_log_ring ring;
    uint64_t pos;
};

struct wr_logger {
    struct wr_loop *loop;
    const struct wr_heap *heap;
    struct wr_logger_options options;
    struct wr_logger_stats stats;
    struct wr_io wake;
    struct wr_timer timer;
    struct wr_free_later later;
    struct wr_sink **sink; /* by channel; NULL: not used yet */
    struct wr_logger_ring *ring;
    unsigned n_sinks, n_rings, period_ms, retry_ms;
    size_t capacity; /* of each sink's buffer */
    char *line, *payload;
    char host[65];
};

/* The logger's own words, to the main sink. False: no room, try again later. */
WR_PRINTF(3, 4)
bool wr_logger_tell_(struct wr_logger *l, unsigned level, const char *fmt, ...);
/* Both ends of a gap, and how large: the promise of this module. */
bool wr_logger_tell_drops_(struct wr_logger *l, const struct wr_log_drops *d, const char *where,
                           unsigned index);

/* Opens a FILE at once: 0 or why not. */
WR_MUST int wr_sink_new(struct wr_logger *l, const struct wr_log_sink_def *def,
                        const struct wr_logger_sink *given, unsigned channel,
                        struct wr_sink **out);
void wr_sink_free(struct wr_logger *l, struct wr_sink **s);
void wr_sink_take(struct wr_logger *l, struct wr_sink *s, const struct wr_log_record *r);
/* all: also what is held back on purpose. */
void wr_sink_flush(struct wr_logger *l, struct wr_sink *s, bool all);
void wr_sink_reopen(struct wr_logger *l, struct wr_sink *s);
size_t wr_sink_room(const struct wr_logger *l, const struct wr_sink *s);
/* Bytes of a finished line; there is room. False: no memory. */
WR_MUST bool wr_sink_append(struct wr_logger *l, struct wr_sink *s, const char *p, size_t n);
/* Is there anything that the next round should try again? */
bool wr_sink_backlog(const struct wr_sink *s);
/* Closes what was not used for long. */
void wr_sink_rest(struct wr_logger *l, struct wr_sink *s, bool live);

#endif
