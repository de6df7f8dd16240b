/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WEIR_EXAMPLES_CROWD_H
#define WEIR_EXAMPLES_CROWD_H

/*
 * A crowd of HTTP clients on one loop: each asks, reads its answer, and asks again, on the same connection
 * or on a new one, until the time is over; then those that still wait are given `patience_ms`.
 *
 * 1. asked = answered + lost + outside. Lost is: refused, cut short, or not answered in patience_ms.
 *    Outside: the kernel has not let it in yet, because the queue is always full when it knocks.
 * 2. A kept connection that the server closes between two requests is opened anew, not lost.
 */

#include <stdbool.h>
#include <stdint.h>

#define CROWD_WORKERS 16

struct crowd_plan {
    uint16_t port;
    unsigned clients, run_ms, patience_ms;
    bool keep_alive;
};

struct crowd_result {
    uint64_t asked, answered, lost, outside;
    double seconds; /* until the last answer */
    unsigned workers;
    struct {
        unsigned pid;
        uint64_t answered;
    } worker[CROWD_WORKERS]; /* the answers say who gave them: "worker PID\n" */
};

int crowd_run(const struct crowd_plan *plan, struct crowd_result *out);

#endif
