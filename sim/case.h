/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_SIM_CASE_H
#define WR_SIM_CASE_H

/*
 * One scenario under one seed: a world, the processes under test, crowds, and the invariants.
 *
 * A scenario draws its conditions from the seed, starts its processes, lets crowds in, and calls
 * case_play, which runs the world and watches it (invariants.c) until the crowds are done. Then the
 * machine must come to rest, look as it did before, and the service must end in order.
 */

#include "sim/actors.h"

struct sim_case {
    const struct scenario *scenario;
    uint64_t seed,
        draw; /* draw: state of the generator for conditions, apart from the world's */
    const char *mutant;
    bool trace;
    pid_t pid; /* the service's first process */
    struct crowd *crowds[4];
    unsigned crowd_count;
    /* what may not hold in this case */
    bool
        queue_may_wait; /* descriptors are scarce: the accept queue may stand still for a while */
    bool exit_any;      /* the service need not end with 0 */
    bool orphans;       /* its first process has been killed */
    uint64_t time_limit_ns, queue_patience_ns; /* the latter 0: by queue_may_wait */
    /* before the crowds came */
    int base_fds, base_fds_first; /* of all processes, and of the first */
    unsigned base_files;
    size_t base_heap;
    struct sim_event watch;
    uint64_t requests, answers, simulated_ns;
};

struct scenario {
    const char *name;
    const char *what;
    void (*run)(struct sim_case *c);
};
extern const struct scenario *const scenarios[]; /* NULL ends it */

uint64_t case_draw(struct sim_case *c, uint64_t n); /* 0..n-1, before and after case_open */
bool case_often(struct sim_case *c, unsigned per_thousand); /* the same as a chance */
/* Conditions that a correct program does not notice: splits, short reads, preemption, delays. */
void case_weather(struct sim_case *c, struct sim_options *o);
void case_panicked(const char *message); /* for wr_panic_set_hook: a violation, not an abort */
void case_open(struct sim_case *c, const struct sim_options *o);
void case_start(struct sim_case *c, const char *name, int (*fn)(void *arg), void *arg);
void case_crowd(struct sim_case *c, const struct crowd_options *o);
void case_play(struct sim_case *c);                              /* until the crowds are done */
void case_rest(struct sim_case *c, bool same_heap);              /* nothing may be left over */
void case_stop(struct sim_case *c, int sig, uint64_t within_ns); /* and no byte leaked */

/* Runs it. True: no invariant was broken. The violation's line goes to stdout. */
bool case_run(struct sim_case *c);

#endif
