/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_IO_LOG_RING_H
#define WR_IO_LOG_RING_H

/*
 * A bounded ring of log records in shared memory: one writer (a worker), one reader (the logger).
 *
 * A record is copied into the free bytes behind `head` and becomes visible by moving `head`; the reader
 * copies it out and frees it by moving `tail`. When there is no room the record is dropped and counted
 * with the time; nobody waits, ever.
 *
 * 1. head and tail are byte positions that only grow; 0 <= head - tail <= capacity.
 * 2. A writer that dies in the middle of a copy leaves no trace: head did not move. Its successor on
 *    the same seat goes on from there. A reader that dies leaves its records where they were.
 * 3. Each side writes only its own words, and neither trusts the other's: positions and lengths are
 *    checked, and a damaged ring is skipped to its head, counted as damaged.
 * 4. written + dropped = what the writer was asked to put, exactly.
 */

#include "libweir/base/compiler.h"
#include "libweir/base/span.h"

#include <stdbool.h>

#define WR_LOG_PART       "log"
#define WR_LOG_VERSION    2
#define WR_LOG_RECORD_MAX 8192 /* payload bytes; longer ones are cut and marked */
#define WR_LOG_RING_MIN   (1u << 14)

enum wr_log_flags {
    WR_LOG_RAW = 1, /* the payload is a whole line (access log): written as it is */
    WR_LOG_CUT = 2, /* the payload was longer than a record may be */
};

struct wr_log_record {
    uint64_t time_ns; /* CLOCK_REALTIME */
    uint32_t pid;
    uint16_t channel;
    uint8_t level, flags;
    struct wr_span text;
};

struct wr_log_drops { /* an account of what did not fit */
    uint64_t count, from_ns, to_ns;
};

struct wr_log_ring_words;
struct
    wr_log_ring { /* one side's handle: embed it or pass a copy; the words are shared, it is not */
    struct wr_log_ring_words *words;
    uint64_t capacity;
};
struct wr_shm;

size_t wr_log_ring_size(unsigned rings, size_t bytes_each); /* bytes_each: a power of two */
int wr_log_ring_format(struct wr_shm *shm, unsigned rings, size_t bytes_each) WR_MUST;
/* Ring `index` of a part, checked: 0 or -EPROTO. */
int wr_log_ring_at(void *part, size_t size, unsigned index, struct wr_log_ring *out) WR_MUST;
unsigned wr_log_ring_count(const void *part, size_t size);

/* Writer: false when it was dropped. *out_wake: the reader sleeps and wants its eventfd rung. */
bool wr_log_ring_put(const struct wr_log_ring *ring, const struct wr_log_record *record,
                     bool *out_wake);

/* Reader: from *pos (start with wr_log_ring_tail), copies the next payload into buf and moves *pos.
 * 1: one record, its text lies in buf; 0: none; -EPROTO: damaged, *pos now is the head. */
uint64_t wr_log_ring_tail(const struct wr_log_ring *ring);
int wr_log_ring_get(const struct wr_log_ring *ring, uint64_t *pos,
                    char buf[static WR_LOG_RECORD_MAX], struct wr_log_record *out) WR_MUST;
/* Frees everything before pos. */
void wr_log_ring_release(const struct wr_log_ring *ring, uint64_t pos);
/* What was dropped since the last call; false: nothing. */
bool wr_log_ring_drops(const struct wr_log_ring *ring, struct wr_log_drops *out);
/* Before sleeping: asks for a wake-up. False: there is something to read, do not sleep. */
bool wr_log_ring_sleep(const struct wr_log_ring *ring);
/* Reader: how many records it took and has not written yet; read by its successor. */
void wr_log_ring_hold(const struct wr_log_ring *ring, uint64_t records);
uint64_t wr_log_ring_held(const struct wr_log_ring *ring);
uint64_t wr_log_ring_written(const struct wr_log_ring *ring);
uint64_t wr_log_ring_dropped(const struct wr_log_ring *ring);

#endif
