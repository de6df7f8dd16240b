/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * JSON of /status: what a person (and the page) wants to see first, down to single connections.
 */
#include "libweir/io/board.h"
#include "libweir/io/log_text.h"
#include "libweir/io/shm.h"
#include "weir/stats/conns.h"
#include "weir/stats/report.h"

#include <string.h>

#define MS(ns) ((unsigned long long)((ns) / 1000000))

static void text(struct stats_text *t, const char *key, const char *v)
{
    stats_printf(t, "\"%s\":", key);
    stats_json(t, wr_span_str(v));
    stats_put(t, WR_LIT(","));
}

static void number(struct stats_text *t, const char *key, uint64_t v)
{
    stats_printf(t, "\"%s\":%llu,", key, (unsigned long long)v);
}

static void flag(struct stats_text *t, const char *key, bool v)
{
    stats_printf(t, "\"%s\":%s,", key, v ? "true" : "false");
}

static void when(struct stats_text *t, const char *key, uint64_t real_ns)
{
    char iso[WR_LOG_TIME_SIZE];
    wr_log_time(iso, real_ns);
    stats_printf(t, "\"%s\":\"%.*s\",", key, WR_LOG_TIME_SIZE, iso);
}

/* Every list and object is written with a comma behind each item; the last one is taken back. */
static void end(struct stats_text *t, const char *closing)
{
    if (!t->failed && t->n && t->p[t->n - 1] == ',')
        t->n--;
    stats_put(t, wr_span_str(closing));
}

static uint64_t since(uint64_t now, uint64_t then)
{
    return then && now > then ? now - then : 0;
}

/* ---- the family ----------------------------------------------------------------------------------------- */

static void family(struct stats_text *t, const struct report *r)
{
    const struct state_words *s = &r->state;
    uint64_t beat = since(r->now_ns, s->heartbeat_ns);
    text(t, "version", s->version);
    text(t, "configuration", s->conf);
    number(t, "pid", s->master_pid);
    number(t, "generation", s->generation);
    when(t, "started", s->started_ns);
    when(t, "loaded", s->loaded_ns);
    number(t, "uptime_s", since(r->wall_ns, s->started_ns) / 1000000000);
    flag(t, "ready", report_ready(r, NULL));
    flag(t, "stopping", s->stopping);
    flag(t, "master_stuck", beat > 3000000000);
    number(t, "reloads", s->reloads);
    number(t, "reloads_failed", s->reloads_failed);
    text(t, "problem", s->problem);
    number(t, "deaths", s->deaths);
    number(t, "stuck_ended", s->stuck_killed);
}

static void listeners(struct stats_text *t, const struct report *r)
{
    stats_put(t, WR_LIT("\"listeners\":["));
    for (unsigned i = 0; i < r->state.n_listeners; i++) {
        const struct diag_listener *d = &r->listener[i];
        stats_put(t, WR_LIT("{"));
        text(t, "address", r->state.listener[i].text);
        number(t, "sockets", r->state.listener[i].sockets);
        number(t, "backlog", r->state.listener[i].backlog);
        number(t, "waiting_ms", r->state.listener[i].waiting_ms);
        if (r->has_diag && d->sockets) {
            number(t, "queue", d->queue);
            number(t, "limit", d->limit);
            if (!r->state.listener[i].deferred)
                number(t, "drops", d->drops);
        }
        end(t, "},");
    }
    end(t, "],");
    stats_printf(t, "\"host\":{\"listen_overflows\":%llu,\"listen_drops\":%llu},",
                 (unsigned long long)r->host.listen_overflows,
                 (unsigned long long)r->host.listen_drops);
}

/* ---- workers --------------------------------------------------------------------------------------------- */

static void stuck(struct stats_text *t, const struct report *r, const struct state_stuck *k)
{
    stats_put(t, WR_LIT("\"stuck\":{"));
    text(t, "what", k->what);
    text(t, "callback", k->fn);
    text(t, "syscall", k->syscall);
    if (k->fd >= 0)
        number(t, "fd", (uint64_t)k->fd);
    text(t, "path", k->path);
    number(t, "since_ms", MS(since(r->now_ns, k->since_ns)));
    end(t, "},");
}

static void worker(struct stats_text *t, const struct report *r, unsigned at,
                   const struct wr_seat *s)
{
    static const char *const state[] = {"empty", "starting", "ready", "stopping", "dead"};
    uint64_t now_state = wr_word_get(&s->state), pid = wr_word_get(&s->pid);
    uint64_t running = wr_word_get(&s->loop.running_since_ns);
    stats_put(t, WR_LIT("{"));
    number(t, "worker", wr_word_get(&s->role));
    number(t, "pid", pid);
    text(t, "state", now_state < WR_ARRAY_LEN(state) ? state[now_state] : "?");
    number(t, "uptime_s", since(r->wall_ns, wr_word_get(&s->started_ns)) / 1000000000);
    number(t, "connections", wr_word_get(&s->gauge[WR_GAUGE_OPEN]));
    number(t, "busy_permille", wr_word_get(&s->loop.busy_permille));
    number(t, "turns", wr_word_get(&s->loop.turns));
    number(t, "loop_lag_us", wr_word_get(&s->loop.lag_ns) / 1000);
    number(t, "loop_lag_max_us", wr_word_get(&s->loop.lag_max_ns) / 1000);
    number(t, "running_ms", MS(since(r->now_ns, running)));
    stats_printf(t, "\"running_fn\":\"%#llx\",",
                 running ? (unsigned long long)wr_word_get(&s->loop.running_fn) : 0ULL);
    number(t, "heartbeat_ms", MS(since(r->now_ns, wr_word_get(&s->heartbeat_ns))));
    if (at < STATE_SEATS && r->state.stuck[at].pid == pid && pid)
        stuck(t, r, &r->state.stuck[at]);
    end(t, "},");
}

static void workers(struct stats_text *t, const struct report *r)
{
    stats_put(t, WR_LIT("\"workers\":["));
    for (unsigned i = r->state.first_worker_seat; i < wr_board_seats(r->board); i++) {
        const struct wr_seat *s = wr_board_seat(r->board, i);
        uint64_t state = wr_word_get(&s->state);
        if (state == WR_SEAT_STARTING || state == WR_SEAT_READY || state == WR_SEAT_STOPPING)
            worker(t, r, i, s);
    }
    end(t, "],");
}

/* ---- the board's words ------------------------------------------------------------------------------------ */

static void words(struct stats_text *t, const struct wr_board_view *v, enum wr_board_kind kind,
                  const char *key)
{
    struct wr_board_field f;
    stats_printf(t, "\"%s\":{", key);
    for (unsigned i = 0; i < v->fields; i++)
        if (wr_board_view_field(v, i, &f) && f.kind == kind)
            stats_printf(t, "\"%.*s\":%llu,", (int)f.name.n, f.name.p,
                         (unsigned long long)wr_board_view_sum(v, &f, 0));
    end(t, "},");
}

static void stages(struct stats_text *t, const struct wr_board_view *v)
{
    struct wr_board_field f;
    stats_put(t, WR_LIT("\"stages\":["));
    for (unsigned i = 0; i < v->fields; i++) {
        if (!wr_board_view_field(v, i, &f) || f.kind != WR_BOARD_STAGE)
            continue;
        uint64_t entered = wr_board_view_sum(v, &f, 0), ok = wr_board_view_sum(v, &f, 1),
                 failed = wr_board_view_sum(v, &f, 2);
        if (!entered)
            continue;
        stats_printf(t, "{\"stage\":\"%.*s\",\"entered\":%llu,\"ok\":%llu,\"failed\":%llu},",
                     (int)f.name.n, f.name.p, (unsigned long long)entered,
                     (unsigned long long)ok, (unsigned long long)failed);
    }
    end(t, "],");
}

/* ---- connections ------------------------------------------------------------------------------------------ */

struct listing {
    struct stats_text *t;
    uint64_t now_ms, worker;
    unsigned left, more;
};

static void conn(const struct conns_entry *e, void *arg)
{
    struct listing *l = arg;
    struct stats_text *t = l->t;
    char peer[WR_ADDR_TEXT_MAX] = "unix:";
    if (l->left == 0) {
        l->more++;
        return;
    }
    l->left--;
    struct wr_addr a =
        e->family == WR_ADDR_V6 ? wr_addr_v6(e->ip, 0, e->port) : wr_addr_v4(e->ip, e->port);
    if (e->family == WR_ADDR_V4 || e->family == WR_ADDR_V6)
        wr_addr_format(&a, peer);
    stats_put(t, WR_LIT("{"));
    number(t, "worker", l->worker);
    number(t, "id", e->number);
    text(t, "peer", peer);
    text(t, "state", conns_state_name(e->state));
    number(t, "age_ms", since(l->now_ms, e->opened_ms));
    number(t, "in_state_ms", since(l->now_ms, e->changed_ms));
    if (e->due_ms != UINT64_MAX)
        stats_printf(t, "\"due_in_ms\":%lld,", (long long)(e->due_ms - l->now_ms));
    number(t, "requests", e->requests);
    stats_put(t, WR_LIT("\"doing\":"));
    stats_json(t, wr_span(e->doing, e->doing_len));
    end(t, "},");
}

static void conns(struct stats_text *t, const struct report *r, unsigned max)
{
    size_t size;
    const void *part = wr_shm_part(r->shm, CONNS_PART, CONNS_VERSION, &size);
    struct listing l = {.t = t, .now_ms = r->now_ns / 1000000, .left = max};
    stats_put(t, WR_LIT("\"connections\":["));
    for (unsigned i = r->state.first_worker_seat; part && i < wr_board_seats(r->board); i++) {
        const struct wr_seat *s = wr_board_seat(r->board, i);
        uint64_t state = wr_word_get(&s->state);
        if (state != WR_SEAT_READY && state != WR_SEAT_STOPPING)
            continue;
        l.worker = wr_word_get(&s->role);
        (void)conns_walk(part, size, i, conn, &l);
    }
    end(t, "],");
    number(t, "connections_not_listed", l.more);
}

void report_status(const struct report *r, struct stats_text *t, unsigned max_conns)
{
    size_t size;
    struct wr_board_view view;
    const void *part = wr_shm_part(r->shm, WR_BOARD_PART, WR_BOARD_VERSION, &size);
    stats_put(t, WR_LIT("{"));
    family(t, r);
    listeners(t, r);
    workers(t, r);
    if (part && wr_board_view_init(&view, part, size) == 0) {
        words(t, &view, WR_BOARD_COUNTER, "counters");
        words(t, &view, WR_BOARD_GAUGE, "gauges");
        stages(t, &view);
    }
    conns(t, r, max_conns);
    end(t, "}\n");
}

/* ---- looking ------------------------------------------------------------------------------------------------ */

void report_look(struct report *r, const struct wr_shm *shm, const struct wr_board *board,
                 uint64_t now_ns, uint64_t wall_ns)
{
    const struct state_words *words = state_at(shm);
    *r = (struct report){.shm = shm, .board = board, .now_ns = now_ns, .wall_ns = wall_ns};
    if (words)
        (void)state_read(words, &r->state);
    for (unsigned i = 0; i < r->state.n_listeners; i++)
        (void)!wr_addr_parse(wr_span_str(r->state.listener[i].text), &r->listener[i].addr);
    r->has_diag = diag_listeners(r->listener, r->state.n_listeners) == 0;
    (void)!diag_host(&r->host);
}
