/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_SIM_SERVE_H
#define WR_SIM_SERVE_H

/*
 * A whole service for scenarios: framed echo in one process or a pool of workers, with conditions drawn from
 * the seed, and the account that it leaves behind.
 *
 * A struct serve lies outside of the processes; each serving process adds its numbers when it stops. The
 * handler echoes at once, or keeps each message and answers later with the bytes that came.
 */

#include "libweir/conn/service.h"
#include "sim/case.h"

#define SERVE_PORT 2007

struct serve {
    struct sim_case *c;
    struct wr_service_options options;
    uint64_t opened, closed, left_open, stops, starts;
    uint64_t by_reason[WR_CLOSES];
    struct sim_event mischief;
    uint64_t mischief_ns;
    unsigned kills;
    bool stops_only;
    pid_t stopped;
    struct sim_event relief;
    uint64_t excused_at;
    struct crowd *crowd;
};

void serve_init(struct serve *s, struct sim_case *c, unsigned workers, bool by_lines);
/* Nothing drawn: echo of frames. */
void serve_plain(struct serve *s, struct sim_case *c, unsigned workers, const char *accept);
struct crowd_options serve_crowd(struct sim_case *c, const struct serve *s, bool by_lines);
int serve_main(void *serve);
/* The service's own account against the clients'. Exact when no process was killed. */
void serve_account(const struct serve *s);

#endif
