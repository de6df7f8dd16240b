/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The n-th allocation of a whole service is refused, for every n: of its master, its logger and its workers,
 * while it starts, serves, and stops. It may say that it could not start; it may cut clients that it has no
 * memory for; but it ends in order, leaks nothing, and when it still stands the next clients are served.
 */

#include "sim/sim.h"

#include "libweir/base/assert.h"
#include "sim/case.h"
#include "sim/serve.h"
#include "tests/tap.h"

#include <signal.h>
#include <sys/wait.h>

#define RUNS_MAX 20000u

static struct crowd_options few_clients(bool strict)
{
    return (struct crowd_options){.host = 1,
                                  .port = SERVE_PORT,
                                  .speech = &speech_frames,
                                  .clients = 10,
                                  .connections = 2,
                                  .requests_max = 4,
                                  .size_max = 9000,
                                  .spread_ns = 20 * SIM_MS,
                                  .think_ns = 5 * SIM_MS,
                                  .patience_ns = 60 * SIM_S,
                                  .tempers = 1u << PLAIN | 1u << PIPELINING,
                                  .ends_allowed = !strict,
                                  .refusal_allowed = !strict};
}

static void visit(struct sim_case *c, bool strict)
{
    struct crowd_options o = few_clients(strict);
    struct crowd *w = crowd_new(&o);
    uint64_t end = sim_now() + 120 * SIM_S;
    while (!sim_violated() && !crowd_done(w) && sim_alive(c->pid) && sim_now() < end)
        (void)sim_run(sim_now() + 20 * SIM_MS);
    if (!sim_violated() && sim_alive(c->pid) && !crowd_done(w))
        sim_violation("the clients are not served");
    crowd_free(w);
}

/* The service ended: in order, and with all that it had. */
static void farewell(struct sim_case *c, bool by_itself)
{
    struct sim_host_view v;
    (void)sim_run(sim_now() + 5 * SIM_S);
    int status = sim_exit_status(c->pid);
    sim_look(&v);
    if (sim_violated())
        return;
    if (sim_alive(c->pid))
        sim_violation("it does not stop");
    else if (!WIFEXITED(status) || WEXITSTATUS(status) > 1 || (!by_itself && status != 0))
        sim_violation("it ended with status 0x%x: %.300s", (unsigned)status, sim_captured());
    else if (sim_heap_live(c->pid) || sim_mapped(c->pid))
        sim_violation("%zu bytes of heap and %llu of pages are left", sim_heap_live(c->pid),
                      (unsigned long long)sim_mapped(c->pid));
    else if (v.processes)
        sim_violation("%u processes are left", v.processes);
}

/* False: something was wrong. *out_calls: allocations of all processes. */
static bool one_run(const char *accept, unsigned workers, uint64_t nth, uint64_t *out_calls)
{
    struct sim_options o = {.seed = 1, .refuse_nth = nth};
    struct sim_case c = {0};
    struct serve s;
    serve_plain(&s, &c, workers, accept);
    sim_open(&o);
    (void)wr_panic_set_hook(case_panicked);
    c.pid = sim_start("serve", serve_main, &s);
    (void)sim_run(sim_now() + SIM_S);
    if (!sim_violated() && sim_alive(c.pid))
        visit(&c, false);
    (void)sim_run(sim_now() + 3 * SIM_S); /* workers are replaced */
    bool by_itself = !sim_alive(c.pid);
    if (!sim_violated() && !by_itself) {
        visit(&c, sim_heap_calls() >= nth);
        sim_signal(c.pid, SIGTERM);
    }
    farewell(&c, by_itself || sim_heap_calls() < nth);
    if (sim_violated())
        printf("# %s, %u workers, allocation %llu refused: %s\n", accept, workers,
               (unsigned long long)nth, sim_violated());
    *out_calls = sim_heap_calls();
    bool clean = !sim_violated();
    sim_close();
    return clean;
}

static void every_nth(const char *accept, unsigned workers)
{
    uint64_t nth = 0, calls = UINT64_MAX;
    bool clean = true;
    while (clean && calls >= nth && nth < RUNS_MAX)
        clean = one_run(accept, workers, ++nth, &calls);
    ok(clean && calls < nth, "%s, %u workers: each of %llu allocations refused once", accept,
       workers, (unsigned long long)nth - 1);
}

int main(void)
{
    every_nth("reuseport", 0);
    every_nth("exclusive", 2);
    every_nth("fdpass", 2);
    return tap_done();
}
