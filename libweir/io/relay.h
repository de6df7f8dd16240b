/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_IO_RELAY_H
#define WR_IO_RELAY_H

/*
 * Two connections, each one's bytes to the other, until both have ended.
 *
 * Between two plain streams the bytes go through a pipe with splice and are never seen by us; otherwise
 * through a block. A direction reads only when what it read before has left: the faster side is paused
 * by not being read, and TCP carries the pause to its peer. A FIN is carried over when the last
 * byte before it has left; the other direction goes on.
 *
 * 1. A direction owns a pipe (or a block) only while bytes are in flight.
 * 2. Bytes arrive in order, all of them, or the relay ends with an error; the counters say how many.
 * 3. fn is called exactly once, when both directions have ended, with 0, the error, WR_E_IDLE or why
 *    the scope ended; both descriptors are closed behind it.
 * 4. A turn moves at most 256 KiB per direction.
 * 5. An error of either side ends both.
 *
 * Both streams and their descriptors belong to the relay from a successful call on. They must not be
 * registered with a loop. Owner loop of the scope.
 */

#include "libweir/base/compiler.h"
#include "libweir/base/span.h"
#include "libweir/io/stream.h"

struct wr_relay; /* opaque */
struct wr_scope;

struct wr_relay_options {
    unsigned idle_timeout_ms; /* no byte in either direction; 0: 60 s */
    unsigned half_close_ms;   /* no byte after one side's FIN; 0: as idle_timeout_ms */
    bool no_splice;
    struct wr_span first_to_a, first_to_b; /* bytes read before; copied */
};

struct wr_relay_stats {
    uint64_t a_to_b, b_to_a; /* bytes delivered */
    uint64_t splices, copies;
    bool a_fin, b_fin;
};

typedef void wr_relay_fn(void *arg, int err, const struct wr_relay_stats *stats);

/* The streams are moved: on success both are empty (fd -1). */
WR_MUST int wr_relay_start(struct wr_scope *scope, struct wr_stream *a, struct wr_stream *b,
                           const struct wr_relay_options *options, wr_relay_fn *fn, void *arg,
                           struct wr_relay **out);

const struct wr_relay_stats *wr_relay_stats(const struct wr_relay *r);

#endif
