/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef FILTER_RECODE_H
#define FILTER_RECODE_H

/*
 * What gzip, brotli, zstd and gunzip have in common: a body filter that runs all bytes through a coder.
 *
 *   pieces --> held queue --> coder --> one output buffer --> next filter
 *
 * Input is taken as it comes; file ranges are read a buffer at a time. When the next filter is clogged
 * the coder rests and what has not been eaten is held, so neither side grows; so it is when its share of the turn
 * is eaten.
 *
 * 1. At most one buffer of output exists; it is given on when it is full, at a flush, and at the end.
 * 2. `last` is passed on exactly once, with the coder's last byte.
 * 3. It eats WR_IO_TURN_BYTES, and what was read with them, in a turn of the loop; the rest has its turn behind
 *    others, however little becomes of it and however fast the client is.
 * 4. The coder is closed with the request, whatever became of it.
 *
 * Memory: the request's arena; the coder's is its library's own.
 */

#include "libweir/io/loop.h"
#include "weir/web/web.h"

#define RECODE_ROOM 64

enum recode_op {
    RECODE_RUN,
    RECODE_FLUSH,
    RECODE_FINISH
};

struct recode_coder {
    const char *name; /* for the log */
    /* Eats from *in, writes up to cap bytes (at least RECODE_ROOM) at out. *out_done: there is nothing more to come for this
     * op until there is new input. Negative: the data or the library are broken. */
    int (*run)(void *state, struct wr_span *in, enum recode_op op, char *out, size_t cap,
               size_t *out_n, bool *out_done);
    void (*close)(void *state);
};

struct recode_held;

struct recode {
    struct web_filter filter; /* first */
    uint64_t bytes_in, bytes_out;
    /* private */
    const struct recode_coder *coder;
    void *state;
    struct web_req *r;
    struct wr_task task;      /* goes on in the next turn */
    uint64_t turn, turn_from; /* bytes_in when this turn began */
    struct recode_held *first, **tail, *spare;
    struct wr_span data; /* of the first held piece: what was read and not yet eaten */
    char *out, *in_buf;
    size_t out_cap, out_n, in_size;
    uint8_t op;
    bool clogged, finished;
};

/* In r's arena; takes over state (closed with the request, also on failure). Push c->filter then. */
WR_MUST int recode_new(struct web_req *r, const struct recode_coder *coder, void *state,
                       size_t out_cap, struct recode **out);

#endif
