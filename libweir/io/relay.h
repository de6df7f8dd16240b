/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_IO_RELAY_H
#define WR_IO_RELAY_H

/*
 * Two connections, each one's bytes to the other, until both have ended.
 *
 * A direction reads into the loop's scratch and writes at once; only what the other side does not take
 * is kept. When reads come in full and both streams are plain, it goes on with splice through a pipe and
 * does not see the bytes any more. It reads only when what it read before has left: the faster side is
 * paused by not being read, and TCP carries the pause to its peer. A FIN is carried over when the last
 * byte before it has left; the other direction goes on.
 *
 * 1. A direction owns a pipe or a buffer only while bytes are in flight (a pipe: while they flow).
 * 2. Bytes arrive in order, all of them, or the relay ends with an error; the counters say how many.
 * 3. fn is called exactly once, never before wr_relay_start returned: when both directions have ended
 *    (0), at an error of either side, with WR_E_IDLE, or with the reason why the scope ended.
 * 4. A turn moves at most WR_IO_TURN_BYTES per direction and event.
 * 5. Both descriptors are closed before fn.
 *
 * The streams stay in the caller's memory, which must live until fn; on success their descriptors and
 * what lies behind them belong to the relay, which deinits them. They must not be registered with a
 * loop. Owner loop of the scope.
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

/* On failure everything is still the caller's. options may be NULL. */
WR_MUST int wr_relay_start(struct wr_scope *scope, struct wr_stream *a, struct wr_stream *b,
                           const struct wr_relay_options *options, wr_relay_fn *fn, void *arg,
                           struct wr_relay **out);

/* The same for two connected, non-blocking descriptors; the streams lie in the relay. */
WR_MUST int wr_relay_start_fds(struct wr_scope *scope, int a_fd, int b_fd,
                               const struct wr_relay_options *options, wr_relay_fn *fn,
                               void *arg, struct wr_relay **out);

/* Valid until fn returned. */
const struct wr_relay_stats *wr_relay_stats(const struct wr_relay *r);

#endif
