/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A logger process whose disk sticks or fills up, or which is stopped or killed, under a writer that never
 * waits. Every line carries its number, so the file tells exactly which are missing; what is missing must
 * be what the writer was told (dropped) and what the log itself confesses.
 */

#include "libweir/io/log.h"
#include "libweir/io/log_ring.h"
#include "libweir/io/logger.h"
#include "libweir/io/loop.h"
#include "libweir/io/proc.h"
#include "libweir/io/shm.h"
#include "libweir/io/signal.h"
#include "libweir/os/os.h"
#include "sim/case.h"
#include "sim/scenarios.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINES_MAX 30000u
#define RING      (1u << 14)

/* Kept outside of the process, where its end does not reach. */
struct log_case {
    struct sim_event trouble, relief;
    struct sim_case *c;
    unsigned kind;
    uint64_t hurt_ns;
    bool killed, full;
    uint64_t emitted, dropped, longest_gap_ns, held_at_most;
    unsigned char *accepted; /* per line: the ring took it */
    unsigned period_us, per_tick;
};

struct writer {
    struct log_case *probe;
    struct wr_loop *loop;
    struct wr_shm *shm;
    struct wr_log *log;
    struct wr_procs *procs;
    struct wr_signal signals;
    struct wr_timer tick;
    struct wr_logger_options logger;
    uint64_t last_ns;
    bool stopping;
};

static void on_tick(struct wr_timer *t)
{
    struct writer *w = wr_container_of(t, struct writer, tick);
    struct log_case *p = w->probe;
    uint64_t now = wr_os_now_ns(CLOCK_MONOTONIC);
    if (w->last_ns && now - w->last_ns > p->longest_gap_ns)
        p->longest_gap_ns = now - w->last_ns;
    w->last_ns = now;
    for (unsigned i = 0; i < p->per_tick && p->emitted < LINES_MAX; i++) {
        char line[64];
        int n = snprintf(line, sizeof line, "line %06llu of the writer\n",
                         (unsigned long long)p->emitted);
        bool taken = wr_log_raw(w->log, 0, wr_span(line, (size_t)n));
        p->accepted[p->emitted++] = taken;
        p->dropped += !taken;
    }
    if (!w->stopping)
        wr_loop_timer_arm(w->loop, t, 1 + p->period_us / 1000);
}

static void on_procs(struct wr_procs *procs, enum wr_procs_event event, unsigned index,
                     pid_t pid, int status, void *arg)
{
    struct writer *w = arg;
    (void)procs, (void)index, (void)pid, (void)status;
    if (event == WR_PROCS_STOPPED)
        wr_loop_stop(w->loop);
}

static void on_signal(struct wr_signal *s, const struct signalfd_siginfo *info)
{
    struct writer *w = wr_container_of(s, struct writer, signals);
    (void)info;
    w->stopping = true;
    wr_procs_stop(w->procs, true);
}

static int writer_open(struct writer *w)
{
    struct wr_shm_part part = {WR_LOG_PART, WR_LOG_VERSION, wr_log_ring_size(2, RING)};
    struct wr_log_options log = {0};
    size_t size = 0;
    int r = wr_shm_new(wr_os_heap(), "log", &part, 1, &w->shm);
    if (!r)
        r = wr_log_ring_format(w->shm, 2, RING);
    if (r < 0)
        return r;
    void *rings = wr_shm_part(w->shm, WR_LOG_PART, WR_LOG_VERSION, &size);
    r = wr_log_ring_at(rings, size, 0, &log.ring);
    log.wake_fd = wr_os_eventfd(0, 0);
    if (!r)
        r = wr_log_new(wr_os_heap(), &log, &w->log);
    if (r < 0)
        return r;
    w->logger = (struct wr_logger_options){.shm = w->shm, .wake_fd = log.wake_fd, .n_sinks = 1};
    w->logger.sink[0].path = "/var/log/weir.log";
    struct wr_procs_options procs = {.name = "logger",
                                     .workers = 1,
                                     .main = wr_logger_main,
                                     .arg = &w->logger,
                                     .log_wake_fd = -1,
                                     .on_event = on_procs,
                                     .event_arg = w};
    sigset_t term = wr_signal_set(SIGTERM, 0);
    r = wr_loop_new(&(struct wr_loop_options){0}, &w->loop);
    if (!r)
        r = wr_signal_open(w->loop, &w->signals, &term, on_signal);
    return r ? r : wr_procs_start(w->loop, &procs, &w->procs);
}

static int writer_main(void *arg)
{
    struct writer w = {.probe = arg, .tick.fn = on_tick};
    int r = writer_open(&w);
    if (r < 0)
        return 1;
    wr_loop_timer_arm(w.loop, &w.tick, 10);
    r = wr_loop_run(w.loop);
    wr_loop_timer_cancel(&w.tick);
    wr_signal_close(&w.signals);
    wr_procs_free(&w.procs);
    wr_log_free(&w.log);
    wr_loop_free(&w.loop);
    wr_os_close(w.logger.wake_fd);
    wr_shm_free(&w.shm);
    return r < 0 ? 2 : 0;
}

/* ---- trouble --------------------------------------------------------------------------------------- */
enum {
    NOTHING,
    STUCK_DISK,
    STOPPED,
    KILLED,
    FULL_DISK,
    KINDS
};

static void trouble_ends(struct sim_event *e)
{
    struct log_case *p = wr_container_of(e, struct log_case, relief);
    pid_t logger = sim_child(p->c->pid, 0);
    sim_disk_stuck(false);
    if (p->kind == STOPPED && logger)
        sim_signal(logger, SIGCONT);
    sim_disk_limit(0);
}

static void trouble_begins(struct sim_event *e)
{
    struct log_case *p = wr_container_of(e, struct log_case, trouble);
    pid_t logger = sim_child(p->c->pid, 0);
    if (p->kind == STUCK_DISK)
        sim_disk_stuck(true);
    else if (p->kind == FULL_DISK)
        sim_disk_limit(1);
    else if (p->kind == STOPPED && logger)
        sim_signal(logger, SIGSTOP);
    else if (p->kind == KILLED && logger)
        sim_signal(logger, SIGKILL);
    sim_after(&p->relief, p->hurt_ns);
}

/* ---- the file -------------------------------------------------------------------------------------- */
/* Sums up what the log says of itself under this name. */
static uint64_t confessed(const char *text, size_t n, const char *name)
{
    uint64_t sum = 0;
    const char *end = text + n, *at = text;
    size_t len = strlen(name);
    while ((at = memmem(at, (size_t)(end - at), name, len)) != NULL) {
        const char *nl = memchr(at, '\n', (size_t)(end - at));
        const char *count = memmem(at, (size_t)((nl ? nl : end) - at), "count=", 6);
        if (count)
            sum += strtoull(count + 6, NULL, 10);
        at += len;
    }
    return sum;
}

static void file_check(struct log_case *p)
{
    const char *text = "";
    ssize_t got = sim_file_get("/var/log/weir.log", &text);
    size_t n = got > 0 ? (size_t)got : 0;
    unsigned char *seen = calloc(1, p->emitted + 1);
    uint64_t lines = 0, twice = 0, missing = 0;
    for (size_t at = 0; at + 6 <= n;) {
        const char *nl = memchr(text + at, '\n', n - at);
        if (memcmp(text + at, "line ", 5) == 0) {
            uint64_t k = strtoull(text + at + 5, NULL, 10);
            if (k < p->emitted) {
                twice += seen[k] != 0;
                seen[k] = 1;
                lines++;
            }
        }
        if (!nl)
            break;
        at = (size_t)(nl - text) + 1;
    }
    for (uint64_t k = 0; k < p->emitted; k++)
        missing += !seen[k];
    uint64_t said = confessed(text, n, "log_dropped"),
             lost = confessed(text, n, "log_lost_at_most");
    free(seen);
    sim_trace("file of %zu bytes: %llu lines, %llu missing", n, (unsigned long long)lines,
              (unsigned long long)missing);
    if (missing > said + lost)
        sim_violation(
            "log: %llu of %llu lines are missing (%llu dropped), the log confesses %llu + "
            "%llu",
            (unsigned long long)missing, (unsigned long long)p->emitted,
            (unsigned long long)p->dropped, (unsigned long long)said, (unsigned long long)lost);
    if (p->kind != KILLED && (twice > 0 || missing != said))
        sim_violation("log: %llu lines twice, %llu missing, %llu confessed",
                      (unsigned long long)twice, (unsigned long long)missing,
                      (unsigned long long)said);
}

static void log_run(struct sim_case *c)
{
    struct sim_options o = {0};
    case_weather(c, &o);
    o.faults.pause = 0; /* the writer's own pauses would hide the logger's */
    case_open(c, &o);
    struct log_case p = {.c = c,
                         .kind = (unsigned)case_draw(c, KINDS),
                         .hurt_ns = (1 + case_draw(c, 60)) * SIM_S,
                         .period_us = (unsigned)case_draw(c, 20000),
                         .per_tick = 1 + (unsigned)case_draw(c, 40),
                         .trouble.fn = trouble_begins,
                         .relief.fn = trouble_ends};
    p.accepted = calloc(1, LINES_MAX);
    case_start(c, "writer", writer_main, &p);
    sim_after(&p.trouble, case_draw(c, 3000) * SIM_MS);
    (void)sim_run(sim_now() + 5 * SIM_S + p.hurt_ns + case_draw(c, 5000) * SIM_MS);
    if (!sim_violated() && p.longest_gap_ns > 500 * SIM_MS)
        sim_violation("log: the writer stood still for %llu ms",
                      (unsigned long long)(p.longest_gap_ns / SIM_MS));
    if (!sim_violated()) {
        case_stop(c, SIGTERM, 60 * SIM_S);
        c->answers = p.emitted;
    }
    if (!sim_violated())
        file_check(&p);
    sim_cancel(&p.trouble);
    sim_cancel(&p.relief);
    free(p.accepted);
}

const struct scenario scenario_log = {"log", "a logger that is stuck, stopped, killed or full",
                                      log_run};
