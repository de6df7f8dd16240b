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

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#if WR_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

const struct scenario *const scenarios[] = {
    &scenario_bare,    &scenario_http,    &scenario_log,     &scenario_pool,
    &scenario_loop,    &scenario_serve,   &scenario_workers, &scenario_scarce,
    &scenario_resolve, &scenario_connect, &scenario_relay,   &scenario_client,
    &scenario_replace, &scenario_orphans, &scenario_gateway, NULL,
};

struct run {
    unsigned long long from, to;
    const char *scenario, *mutant;
    bool trace, find; /* find: success is a violation */
    double seconds;
    unsigned stuck_seconds;
};

static const char usage[] =
    "usage: weir-sim [--seed N | --seeds A..B] [--scenario NAME] [--trace] [--list]\n"
    "                [--mutant NAME] [--find]   exit 0 when a violation was found, else 1\n"
    "                [--seconds N]              stop after N seconds of real time\n"
    "                [--stuck N]                a run makes no step for N seconds of CPU: "
    "violation\n";

static const struct scenario *scenario_find(const char *name)
{
    for (unsigned i = 0; scenarios[i]; i++)
        if (strcmp(scenarios[i]->name, name) == 0)
            return scenarios[i];
    return NULL;
}

static double clock_now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
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
        else if (strcmp(a, "--stuck") == 0)
            r->stuck_seconds = (unsigned)strtoul(v, NULL, 10);
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

/* ---- simulated code that loops without a system call ------------------------------------------------- */
/* Nothing else could end such a run: simulated time stands still, and so does the count of steps. */
static struct {
    const struct run *run;
    const struct sim_case *now; /* NULL between two runs */
    uint64_t seed, steps;
    unsigned ticks; /* seconds of CPU since the last step */
} watchdog;

static void watchdog_tick(int sig)
{
    (void)sig;
    const struct sim_case *c = watchdog.now;
    if (!c)
        return;
    if (c->seed != watchdog.seed || sim_steps() != watchdog.steps) {
        watchdog.seed = c->seed;
        watchdog.steps = sim_steps();
        watchdog.ticks = 0;
        return;
    }
    if (++watchdog.ticks < watchdog.run->stuck_seconds)
        return;
    char text[256];
    int n =
        snprintf(text, sizeof text,
                 "seed %llu scenario %s step %llu: invariant I9 stuck: %s loops for %u s of "
                 "CPU without a system call\n",
                 (unsigned long long)c->seed, c->scenario->name,
                 (unsigned long long)watchdog.steps, sim_running(), watchdog.ticks);
    _exit(write(1, text, (size_t)n) == n && watchdog.run->find ? 0 : 1);
}

static void watchdog_start(const struct run *r)
{
    static char
        stack[64 << 10]; /* the interrupted one may be a simulated one, and nearly used up */
    struct sigaction a = {.sa_handler = watchdog_tick, .sa_flags = SA_RESTART | SA_ONSTACK};
    struct itimerval each = {.it_interval.tv_sec = 1, .it_value.tv_sec = 1};
    watchdog.run = r;
    if (sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof stack}, NULL) != 0 ||
        sigaction(SIGVTALRM, &a, NULL) != 0 || setitimer(ITIMER_VIRTUAL, &each, NULL) != 0)
        perror("weir-sim: watchdog");
}

int main(int argc, char **argv)
{
    struct run r = {.from = 1, .to = 100, .seconds = 1e9, .stuck_seconds = 10};
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
    watchdog_start(&r);
    unsigned count = 0;
    while (scenarios[count])
        count++;
    unsigned long long seeds = 0, answers = 0, simulated = 0;
    double began = clock_now(CLOCK_MONOTONIC);
    for (unsigned long long seed = r.from; seed <= r.to; seed++) {
        struct sim_case c = {.scenario = r.scenario ? scenario_find(r.scenario)
                                                    : scenarios[seed % count],
                             .seed = seed,
                             .mutant = r.mutant,
                             .trace = r.trace};
        watchdog.now = &c;
        bool clean = case_run(&c);
        watchdog.now = NULL;
        seeds++;
        answers += c.answers;
        simulated += c.simulated_ns / SIM_S;
        if (!clean)
            return r.find ? 0 : 1;
        if (clock_now(CLOCK_MONOTONIC) - began > r.seconds)
            break;
    }
    double took = clock_now(CLOCK_MONOTONIC) - began, cpu = clock_now(CLOCK_PROCESS_CPUTIME_ID);
    printf(
        "%llu seeds clean, %llu answers, %llu simulated seconds in %.1f s: %.0f answers/s of "
        "CPU\n",
        seeds, answers, simulated, took, (double)answers / (cpu > 0 ? cpu : 1e-9));
    return r.find ? 1 : 0;
}
