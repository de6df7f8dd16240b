/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Prometheus text. Names: OpenTelemetry's for HTTP, weir_ for our own.
 */
#include "libweir/io/board.h"
#include "libweir/io/shm.h"
#include "weir/stats/conns.h"
#include "weir/stats/report.h"

#define SECONDS(ns) ((double)(ns) / 1e9)

static void head(struct stats_text *t, const char *name, const char *type, const char *help)
{
    stats_printf(t, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void value(struct stats_text *t, const char *name, uint64_t v)
{
    stats_printf(t, "%s %llu\n", name, (unsigned long long)v);
}

static void one(struct stats_text *t, const char *name, const char *type, const char *help,
                uint64_t v)
{
    head(t, name, type, help);
    value(t, name, v);
}

/* ---- the board's words, summed over seats -------------------------------------------------------------- */

static void words(struct stats_text *t, const struct wr_board_view *v)
{
    struct wr_board_field f;
    for (unsigned i = 0; i < v->fields; i++) {
        if (!wr_board_view_field(v, i, &f) ||
            (f.kind != WR_BOARD_COUNTER && f.kind != WR_BOARD_GAUGE))
            continue;
        const char *type = f.kind == WR_BOARD_GAUGE ? "gauge" : "counter";
        stats_printf(t, "# HELP %.*s %.*s\n# TYPE %.*s %s\n%.*s %llu\n", (int)f.name.n,
                     f.name.p, (int)f.help.n, f.help.p, (int)f.name.n, f.name.p, type,
                     (int)f.name.n, f.name.p, (unsigned long long)wr_board_view_sum(v, &f, 0));
    }
}

static struct wr_stage_words stage_sum(const struct wr_board_view *v,
                                       const struct wr_board_field *f)
{
    struct wr_stage_words all = {0};
    for (unsigned seat = 0; seat < v->seats; seat++) {
        struct wr_stage_words w = wr_board_view_stage(v, f, seat);
        all.entered += w.entered;
        all.ok += w.ok;
        all.failed += w.failed;
    }
    return all;
}

/* which: 0 entered, 1 left, 2 in flight. */
static void stage(struct stats_text *t, const struct wr_board_field *f, struct wr_stage_words w,
                  unsigned which)
{
    size_t slash = 0;
    while (slash < f->name.n && f->name.p[slash] != '/')
        slash++;
    size_t rest = slash < f->name.n ? slash + 1 : slash;
    int a = (int)slash, b = (int)(f->name.n - rest);
    const char *side = f->name.p, *label = f->name.p + rest;
    if (which == 0)
        stats_printf(t, "weir_stage_entered_total{side=\"%.*s\",stage=\"%.*s\"} %llu\n", a,
                     side, b, label, (unsigned long long)w.entered);
    else if (which == 2)
        stats_printf(t, "weir_stage_inflight{side=\"%.*s\",stage=\"%.*s\"} %llu\n", a, side, b,
                     label, (unsigned long long)(w.entered - w.ok - w.failed));
    else
        stats_printf(t,
                     "weir_stage_left_total{side=\"%.*s\",stage=\"%.*s\",outcome=\"ok\"} %llu\n"
                     "weir_stage_left_total{side=\"%.*s\",stage=\"%.*s\",outcome=\"failed\"} "
                     "%llu\n",
                     a, side, b, label, (unsigned long long)w.ok, a, side, b, label,
                     (unsigned long long)w.failed);
}

static void stages(struct stats_text *t, const struct wr_board_view *v)
{
    static const char *const about[3][3] = {
        {"weir_stage_entered_total", "counter", "operations that entered a stage"   },
        {"weir_stage_left_total",    "counter", "operations that left it"           },
        {"weir_stage_inflight",      "gauge",   "operations that are in a stage now"}
    };
    for (unsigned which = 0; which < 3; which++) {
        struct wr_board_field f;
        head(t, about[which][0], about[which][1], about[which][2]);
        for (unsigned i = 0; i < v->fields; i++)
            if (wr_board_view_field(v, i, &f) && f.kind == WR_BOARD_STAGE)
                stage(t, &f, stage_sum(v, &f), which);
    }
}

/* ---- durations --------------------------------------------------------------------------------------------- */

static void histogram(struct stats_text *t, const struct wr_board *board, enum wr_hist_id id,
                      const char *name, const char *help)
{
    static const double le[] = {.001, .0025, .005, .01, .025, .05, .075, .1,
                                .25,  .5,    .75,  1,   2.5,  5,   7.5,  10};
    uint64_t bucket[WR_BOARD_BUCKETS] = {0}, count = 0, sum = 0, below = 0;
    for (unsigned s = 0; s < wr_board_seats(board); s++) {
        const struct wr_board_hist *h = &wr_board_seat(board, s)->hist[id];
        for (unsigned i = 0; i < WR_BOARD_BUCKETS; i++)
            bucket[i] += wr_word_get(&h->bucket[i]);
        sum += wr_word_get(&h->sum_ns);
    }
    for (unsigned i = 0; i < WR_BOARD_BUCKETS; i++)
        count += bucket[i]; /* of the buckets, so that they agree */
    head(t, name, "histogram", help);
    for (unsigned i = 0, b = 0; i < WR_ARRAY_LEN(le); i++) {
        for (; b + 1 < WR_BOARD_BUCKETS && SECONDS(wr_board_bucket_floor(b + 1)) <= le[i]; b++)
            below += bucket[b];
        stats_printf(t, "%s_bucket{le=\"%g\"} %llu\n", name, le[i], (unsigned long long)below);
    }
    stats_printf(t, "%s_bucket{le=\"+Inf\"} %llu\n%s_sum %.9f\n%s_count %llu\n", name,
                 (unsigned long long)count, name, SECONDS(sum), name,
                 (unsigned long long)count);
}

/* ---- workers and listeners ------------------------------------------------------------------------------- */

static bool lives(const struct wr_seat *s)
{
    uint64_t state = wr_word_get(&s->state);
    return state == WR_SEAT_STARTING || state == WR_SEAT_READY || state == WR_SEAT_STOPPING;
}

static uint64_t word_of(const struct report *r, unsigned seat, unsigned which)
{
    const struct wr_seat *s = wr_board_seat(r->board, seat);
    switch (which) {
    case 0:
        return wr_word_get(&s->loop.busy_ns);
    case 1:
        return wr_word_get(&s->loop.lag_ns);
    case 2:
        return wr_word_get(&s->loop.lag_max_ns);
    case 3:
        return wr_word_get(&s->gauge[WR_GAUGE_OPEN]);
    default:
        return seat < STATE_SEATS && r->state.stuck[seat].pid != 0;
    }
}

static void per_worker(struct stats_text *t, const struct report *r)
{
    static const char *const about[][3] = {
        {"weir_loop_busy_seconds_total", "counter", "time that a worker's loop was at work"       },
        {"weir_loop_lag_seconds",        "gauge",   "how long the latest turn kept others waiting"},
        {"weir_loop_lag_max_seconds",    "gauge",   "the longest turn so far"                     },
        {"weir_worker_connections",      "gauge",   "connections open now"                        },
        {"weir_worker_stuck",            "gauge",   "1: the worker does not move"                 },
    };
    for (unsigned which = 0; which < WR_ARRAY_LEN(about); which++) {
        head(t, about[which][0], about[which][1], about[which][2]);
        for (unsigned s = r->state.first_worker_seat; s < wr_board_seats(r->board); s++) {
            const struct wr_seat *seat = wr_board_seat(r->board, s);
            if (!lives(seat))
                continue;
            uint64_t v = word_of(r, s, which);
            stats_printf(t, "%s{worker=\"%llu\",pid=\"%llu\"} %.9g\n", about[which][0],
                         (unsigned long long)wr_word_get(&seat->role),
                         (unsigned long long)wr_word_get(&seat->pid),
                         which < 3 ? SECONDS(v) : (double)v);
        }
    }
}

static void listeners(struct stats_text *t, const struct report *r)
{
    static const char *const about[][3] = {
        {"weir_accept_queue",       "gauge",   "connections that wait to be accepted"},
        {"weir_accept_queue_limit", "gauge",   "how many may wait"                   },
        {"weir_accept_drops_total", "counter",
         "connections that the kernel dropped at the listener"                       },
    };
    if (!r->has_diag)
        return;
    for (unsigned which = 0; which < WR_ARRAY_LEN(about); which++) {
        head(t, about[which][0], about[which][1], about[which][2]);
        for (unsigned i = 0; i < r->state.n_listeners; i++) {
            const struct diag_listener *d = &r->listener[i];
            if (which == 2 && r->state.listener[i].deferred)
                continue;
            stats_printf(t, "%s{listener=\"%s\"} %llu\n", about[which][0],
                         r->state.listener[i].text,
                         (unsigned long long)(which == 0   ? d->queue
                                              : which == 1 ? d->limit
                                                           : d->drops));
        }
    }
}

static void family(struct stats_text *t, const struct report *r)
{
    const struct state_words *s = &r->state;
    head(t, "weir_build_info", "gauge", "always 1");
    stats_printf(t, "weir_build_info{version=\"%s\"} 1\n", s->version);
    head(t, "process_start_time_seconds", "gauge", "when the master started");
    stats_printf(t, "process_start_time_seconds %.3f\n", SECONDS(s->started_ns));
    one(t, "weir_ready", "gauge", "1: the server serves", report_ready(r, NULL));
    one(t, "weir_generation", "gauge", "number of the configuration in use", s->generation);
    one(t, "weir_reloads_total", "counter", "configurations that were taken", s->reloads);
    one(t, "weir_reloads_failed_total", "counter", "configurations that were refused",
        s->reloads_failed);
    one(t, "weir_worker_deaths_total", "counter", "workers that ended without being asked to",
        s->deaths);
    one(t, "weir_loop_stalls_total", "counter",
        "workers that were ended because they stood still", s->stuck_killed);
    one(t, "weir_accept_overflows_total", "counter",
        "connections dropped by full accept queues, on the whole host",
        r->host.listen_overflows);
}

void report_metrics(const struct report *r, struct stats_text *t)
{
    size_t size;
    struct wr_board_view view;
    const void *part = wr_shm_part(r->shm, WR_BOARD_PART, WR_BOARD_VERSION, &size);
    family(t, r);
    listeners(t, r);
    per_worker(t, r);
    if (!part || wr_board_view_init(&view, part, size) != 0)
        return;
    words(t, &view);
    stages(t, &view);
    histogram(t, r->board, WR_HIST_REQUEST, "http_server_request_duration_seconds",
              "from the first byte of a request to the last of its answer");
    histogram(t, r->board, WR_HIST_UPSTREAM, "http_client_request_duration_seconds",
              "from the upstream request to its answer's first byte");
}
