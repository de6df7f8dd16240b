/* SPDX-License-Identifier: BSD-2-Clause */
#include "sim/sim.h"
#include "tests/both_kernels.h"

const char *sim_run_test(int (*all_tests)(void *arg))
{
    static char wrong[256];
    sim_open(&(struct sim_options){.seed = 1, .faults.preempt = 100});
    pid_t pid = sim_start("test", all_tests, NULL);
    bool violated = sim_run(600 * SIM_S) == SIM_VIOLATED;
    int status = sim_exit_status(pid);
    if (violated)
        (void)snprintf(wrong, sizeof wrong, "%s", sim_violated());
    else if (status != 0)
        (void)snprintf(wrong, sizeof wrong, "the process ended with %d", status);
    sim_close();
    return wrong[0] ? wrong : NULL;
}
