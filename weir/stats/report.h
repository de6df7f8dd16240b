/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef STATS_REPORT_H
#define STATS_REPORT_H

/*
 * The family's numbers as pages: Prometheus text, JSON, and a small HTML page that reads the JSON.
 *
 *   shared memory (board, conns, state) + the kernel's answer (diag) --report_--> stats_text
 *
 * 1. Only reads, and only shared memory: no process is asked, so none can keep it waiting.
 * 2. Metric names stay as they are; see docs/metrics.md.
 */

#include "weir/stats/diag.h"
#include "weir/stats/state.h"
#include "weir/stats/text.h"

struct wr_board;
struct wr_shm;

struct report {
    const struct wr_shm *shm;
    const struct wr_board *board;
    struct state_words state; /* a copy */
    struct diag_listener listener[STATE_LISTENERS];
    struct diag_host host;
    uint64_t now_ns, wall_ns;
    bool has_diag;
};

/* Copies the master's words and asks the kernel. */
void report_look(struct report *r, const struct wr_shm *shm, const struct wr_board *board,
                 uint64_t now_ns, uint64_t wall_ns);
/* Serves: a configuration has come to serve, a worker is ready and moves, and the master is not stopping. *out, if
 * not NULL, is a line about it: "ready", "ready: 1 of 2 workers ...", "not ready: ...". */
bool report_ready(const struct report *r, struct stats_text *out);

void report_metrics(const struct report *r, struct stats_text *out);
/* max_conns: how many connections are listed at most. */
void report_status(const struct report *r, struct stats_text *out, unsigned max_conns);
extern const char report_page[]; /* HTML */

#endif
