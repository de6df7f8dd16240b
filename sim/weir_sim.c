/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * weir-sim: the library in the simulated kernel.
 *
 *     weir-sim --seeds 1..2000             every scenario in turn, one per seed
 *     weir-sim --seed 17 --scenario http   one run; with --trace every system call
 *     weir-sim --mutant NAME --seeds A..B  with a planted bug: says at which seed it was found
 */

#include "sim/scenarios.h"

#include "libweir/base/compiler.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#if WR_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

const struct scenario *const scenarios[] = {
    &scenario_bare,    &scenario_http,   &scenario_log,
    &scenario_pool,    &scenario_loop,   &scenario_serve,
    &scenario_workers, &scenario_scarce, NULL};

struct run {
    unsigned long long from, to;
    const char *scenario, *mutant;
    bool trace, find; /* find: success is a violation */
    double seconds;
};

static const char usage[] =
    "usage: weir-sim [--seed N | --seeds A..B] [--scenario NAME] [--trace] [--list]\n"
    "                [--mutant NAME] [--find]   exit 0 when a violation was found, else 1\n"
    "                [--seconds N]              stop after N seconds of real time\n";

static const struct scenario *scenario_find(const char *name)
{
    for (unsigned i = 0; scenarios[i]; i++)
        if (strcmp(scenarios[i]->name, name) == 0)
            return scenarios[i];
    return NULL;
}

static double real_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int arguments(int argc, char **argv, struct run *r)
{
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i], *v = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(a, "--trace") == 0) {
            r->trace = true;
            continue;
        }
        if (strcmp(a, "--find") == 0) {
            r->find = true;
            continue;
        }
        if (strcmp(a, "--list") == 0) {
            for (unsigned k = 0; scenarios[k]; k++)
                printf("%-12s %s\n", scenarios[k]->name, scenarios[k]->what);
            return 1;
        }
        if (!v)
            return -1;
        i++;
        if (strcmp(a, "--seed") == 0)
            r->from = r->to = strtoull(v, NULL, 10);
        else if (strcmp(a, "--seeds") == 0 && sscanf(v, "%llu..%llu", &r->from, &r->to) == 2)
            continue;
        else if (strcmp(a, "--scenario") == 0 && scenario_find(v))
            r->scenario = v;
        else if (strcmp(a, "--mutant") == 0)
            r->mutant = v;
        else if (strcmp(a, "--seconds") == 0)
            r->seconds = strtod(v, NULL);
        else
            return -1;
    }
    return r->to >= r->from ? 0 : -1;
}

#if WR_ASAN
/* A planted bug may run into poisoned memory before an invariant sees it: that is a find as well. */
static void found_by_sanitizer(void)
{
    static const char said[] = "violation: the sanitizer stopped the run\n";
    _exit(write(1, said, sizeof said - 1) < 0 ? 1 : 0);
}
#endif

int main(int argc, char **argv)
{
    struct run r = {.from = 1, .to = 100, .seconds = 1e9};
    int a = arguments(argc, argv, &r);
    if (a != 0) {
        if (a < 0)
            fputs(usage, stderr);
        return a < 0 ? 2 : 0;
    }
#if WR_ASAN
    if (r.find)
        __sanitizer_set_death_callback(found_by_sanitizer);
#endif
    unsigned count = 0;
    while (scenarios[count])
        count++;
    unsigned long long seeds = 0, answers = 0, simulated = 0;
    double began = real_now();
    for (unsigned long long seed = r.from; seed <= r.to; seed++) {
        struct sim_case c = {.scenario = r.scenario ? scenario_find(r.scenario)
                                                    : scenarios[seed % count],
                             .seed = seed,
                             .mutant = r.mutant,
                             .trace = r.trace};
        bool clean = case_run(&c);
        seeds++;
        answers += c.answers;
        simulated += c.simulated_ns / SIM_S;
        if (!clean)
            return r.find ? 0 : 1;
        if (real_now() - began > r.seconds)
            break;
    }
    double took = real_now() - began;
    printf("%llu seeds clean, %llu answers, %llu simulated seconds in %.1f s: %.0f answers/s\n",
           seeds, answers, simulated, took, (double)answers / (took > 0 ? took : 1e-9));
    return r.find ? 1 : 0;
}
