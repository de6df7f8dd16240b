/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_TESTS_BOTH_KERNELS_H
#define WR_TESTS_BOTH_KERNELS_H

/*
 * One unit test for the real kernel and for the simulated one: `BOTH_KERNELS(all_tests)` is its main.
 * Compiled with -DSIMULATED=1 and linked with os_sim and sim/run_test.c, all_tests runs as a process of
 * a simulated machine.
 */

#include "tests/tap.h"

/* NULL when the simulated kernel was content and the process ended with 0, else what was wrong. */
const char *sim_run_test(int (*all_tests)(void *arg));

#ifdef SIMULATED
#define BOTH_KERNELS(all_tests)                                      \
    int main(void)                                                   \
    {                                                                \
        const char *wrong = sim_run_test(all_tests);                 \
        ok(!wrong, "simulated: %s", wrong ? wrong : "no violation"); \
        return tap_done();                                           \
    }
#else
#define BOTH_KERNELS(all_tests) \
    int main(void)              \
    {                           \
        (void)all_tests(NULL);  \
        return tap_done();      \
    }
#endif

#endif
