/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_IO_BOARD_H
#define WR_IO_BOARD_H

/*
 * The scoreboard: what every process of a family is doing, readable at any time by anybody who holds the
 * memory's descriptor, even when the processes are stuck or dead.
 *
 * It is a row of seats in shared memory; a process sits on one seat while it lives and is the only
 * writer of its counters, gauges, stages and histograms. Increments are a plain load, add and store of
 * an aligned word (no lock prefix), so counting costs what `n++` costs. The names of all words lie in
 * the same memory, so a reader of another version finds what it knows by name.
 *
 * 1. A word of a seat has one writer at a time: the seated process; after its death, the master.
 * 2. Counters only grow, also from one holder of the seat to the next; a sum over seats is the total.
 * 3. entered = ok + failed + in flight, exactly, for every stage. A reader who reads `ok` and `failed`
 *    before `entered` never sees a negative number in flight.
 * 4. When a process dies, wr_board_vacate counts what it had in flight as failed: the books balance.
 * 5. There are more seats than workers, and the seat vacated longest ago is taken first, so that a
 *    dead worker's recorder and last words stay readable for a while.
 *
 * The master makes and frees the board; a worker holds `struct wr_seat *` from wr_board_seat; readers
 * use the wr_board_view functions over any bytes, hostile ones included.
 */

#include "libweir/base/compiler.h"
#include "libweir/base/span.h"
#include "libweir/io/loop.h"

#include <stdbool.h>

#define WR_BOARD_PART    "board"
#define WR_BOARD_VERSION 1

enum wr_counter {
#define WR_COUNTER(name, metric, help) WR_COUNTER_##name,
#include "libweir/io/board.def"
#undef WR_COUNTER
    WR_COUNTER_COUNT
};
enum wr_gauge {
#define WR_GAUGE(name, metric, help) WR_GAUGE_##name,
#include "libweir/io/board.def"
#undef WR_GAUGE
    WR_GAUGE_COUNT
};
enum wr_stage {
#define WR_STAGE(name, side, label) WR_STAGE_##name,
#include "libweir/io/board.def"
#undef WR_STAGE
    WR_STAGE_COUNT
};
enum wr_hist_id {
#define WR_HIST(name, metric, help) WR_HIST_##name,
#include "libweir/io/board.def"
#undef WR_HIST
    WR_HIST_COUNT
};

enum wr_seat_state { /* written by the master */
    WR_SEAT_EMPTY,   /* never used */
    WR_SEAT_STARTING,
    WR_SEAT_READY,
    WR_SEAT_STOPPING,
    WR_SEAT_DEAD, /* its last holder is gone; words and recorder are still its own */
};

/* Log-linear: 8 steps per doubling from 2^10 ns (1 us) to 2^40 ns (18 min); below and above are kept. */
#define WR_BOARD_BUCKETS 256
struct wr_board_hist {
    uint64_t count, sum_ns, max_ns;
    uint64_t bucket[WR_BOARD_BUCKETS];
};

struct wr_stage_words {
    uint64_t entered, ok, failed;
};

struct wr_seat {
    /* the master's words */
    uint64_t state;      /* enum wr_seat_state */
    uint64_t pid;        /* of the present or last holder */
    uint64_t role;       /* index of the worker in its pool */
    uint64_t holders;    /* how many processes have sat here */
    uint64_t started_ns; /* CLOCK_REALTIME */
    uint64_t ended_ns;
    uint64_t exit_status; /* as waitpid gives it */
    uint64_t lost;        /* operations in flight when holders died, all together */
    /* the holder's words (CLOCK_MONOTONIC) */
    WR_CACHE_ALIGNED uint64_t heartbeat_ns;
    uint64_t request_id, request_stage; /* what it worked on last: named in crash reports */
    struct wr_loop_stats loop;          /* given to wr_loop_new: what runs now and since when */
    /* the holder's books */
    WR_CACHE_ALIGNED uint64_t counter[WR_COUNTER_COUNT];
    uint64_t gauge[WR_GAUGE_COUNT];
    struct wr_stage_words stage[WR_STAGE_COUNT];
    struct wr_board_hist hist[WR_HIST_COUNT];
    uint64_t extra[]; /* the program's own words, in the order given to wr_board_format */
};

/* A word of the program's own, beyond board.def. */
struct wr_board_word {
    const char *name; /* at most 55 bytes */
    bool gauge;
};

struct wr_board; /* the master's handle; children inherit it by fork */
struct wr_heap;
struct wr_shm;

struct wr_board_options {
    unsigned seats;
    const struct wr_board_word *extra;
    unsigned n_extra;
};

/* Size of the part for wr_shm_new; then the board in it (lays it out when fresh). */
size_t wr_board_size(const struct wr_board_options *options);
int wr_board_new(const struct wr_heap *heap, struct wr_shm *shm,
                 const struct wr_board_options *options, struct wr_board **out) WR_MUST;
void wr_board_free(struct wr_board **board);

unsigned wr_board_seats(const struct wr_board *board);
struct wr_seat *wr_board_seat(const struct wr_board *board, unsigned index);

/* Master: gives the seat vacated longest ago within [first, first + n), or -EBUSY. */
int wr_board_occupy(struct wr_board *board, unsigned first, unsigned n, unsigned role,
                    uint64_t now_real_ns) WR_MUST;
/* Master, after the holder's death: settles the stages and zeroes the gauges. Returns what was lost. */
uint64_t wr_board_vacate(struct wr_board *board, unsigned index, int exit_status,
                         uint64_t now_real_ns);

/* ---- the holder's side: every function is a few plain stores; seat may be NULL ----------------- */

static inline uint64_t wr_word_get(const uint64_t *w)
{
    return __atomic_load_n(w, __ATOMIC_RELAXED);
}

static inline void wr_word_set(uint64_t *w, uint64_t v)
{
    __atomic_store_n(w, v, __ATOMIC_RELAXED);
}

static inline void wr_word_add(uint64_t *w, uint64_t n)
{
    wr_word_set(w, wr_word_get(w) + n);
}

static inline void wr_seat_count(struct wr_seat *seat, enum wr_counter c, uint64_t n)
{
    if (seat)
        wr_word_add(&seat->counter[c], n);
}

static inline void wr_seat_gauge(struct wr_seat *seat, enum wr_gauge g, int64_t delta)
{
    if (seat)
        wr_word_add(&seat->gauge[g], (uint64_t)delta);
}

static inline void wr_seat_gauge_set(struct wr_seat *seat, enum wr_gauge g, uint64_t value)
{
    if (seat)
        wr_word_set(&seat->gauge[g], value);
}

/* Release order: a reader that sees the leave has also seen the enter. */
static inline void wr_seat_enter(struct wr_seat *seat, enum wr_stage s)
{
    if (seat)
        __atomic_store_n(&seat->stage[s].entered, wr_word_get(&seat->stage[s].entered) + 1,
                         __ATOMIC_RELEASE);
}

static inline void wr_seat_leave(struct wr_seat *seat, enum wr_stage s, bool ok)
{
    if (!seat)
        return;
    uint64_t *w = ok ? &seat->stage[s].ok : &seat->stage[s].failed;
    __atomic_store_n(w, wr_word_get(w) + 1, __ATOMIC_RELEASE);
}

static inline void wr_seat_heartbeat(struct wr_seat *seat, uint64_t now_mono_ns)
{
    if (seat)
        wr_word_set(&seat->heartbeat_ns, now_mono_ns);
}

void wr_seat_measure(struct wr_seat *seat, enum wr_hist_id h, uint64_t ns);

/* The smallest duration that bucket i holds, and the bucket of a duration. */
uint64_t wr_board_bucket_floor(unsigned i);
unsigned wr_board_bucket_of(uint64_t ns);

/* ---- readers: over any bytes --------------------------------------------------------------------- */

enum wr_board_kind {
    WR_BOARD_COUNTER = 1,
    WR_BOARD_GAUGE,
    WR_BOARD_STAGE, /* three words: entered, ok, failed */
    WR_BOARD_HIST,  /* struct wr_board_hist */
    WR_BOARD_INFO,  /* the identity words at the seat's start */
};

struct wr_board_view {
    const char *base;
    size_t size;
    uint32_t seats, fields;
    size_t seats_at, seat_size, fields_at;
};

struct wr_board_field {
    enum wr_board_kind kind;
    struct wr_span name, help;
    size_t offset; /* private: of its words within a seat */
};

/* 0 or -EPROTO. After it no view function reads outside [base, base + size). */
int wr_board_view_init(struct wr_board_view *view, const void *part, size_t size) WR_MUST;
/* False when index is beyond the fields or the field is damaged. */
bool wr_board_view_field(const struct wr_board_view *view, unsigned index,
                         struct wr_board_field *out);
bool wr_board_view_find(const struct wr_board_view *view, struct wr_span name,
                        struct wr_board_field *out);
/* Word `word` of the field on that seat; 0 when it does not exist. */
uint64_t wr_board_view_word(const struct wr_board_view *view,
                            const struct wr_board_field *field, unsigned seat, unsigned word);
/* Its sum over all seats. */
uint64_t wr_board_view_sum(const struct wr_board_view *view, const struct wr_board_field *field,
                           unsigned word);
struct wr_stage_words wr_board_view_stage(const struct wr_board_view *view,
                                          const struct wr_board_field *field, unsigned seat);

#endif
