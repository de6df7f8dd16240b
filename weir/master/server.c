/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/master/master_private.h"

#include "libweir/base/err.h"
#include "libweir/io/board.h"
#include "libweir/io/log.h"
#include "libweir/io/loop.h"
#include "libweir/io/recorder.h"
#include "libweir/io/shm.h"

#include <stdio.h>
#include <string.h>

#define TICK_MS     500
#define WALK        4096 /* connections looked at per tick */
#define PATIENCE_MS 1000 /* who is still there then is named */
#define NAMED       20

static struct server *server_of(struct web_worker *w)
{
    return w->owner;
}

/* Events bear the wall's time; asking for it each time would cost more than the event. */
static uint64_t event_ns(const struct server *s)
{
    return wr_loop_now_ns(s->web.loop) + s->wall_ns;
}

static void set_clock(struct server *s)
{
    s->wall_ns = wr_loop_wall_ns(s->web.loop) - wr_loop_now_ns(s->web.loop);
}

/* ---- events --------------------------------------------------------------------------------------------- */

/* Slots are kept one higher: 0 is a connection that is not listed. */
static uint32_t slot_of(const struct wr_http_conn *conn)
{
    return wr_http_conn_slot(conn) - 1;
}

static void on_conn(struct web_worker *w, struct wr_http_conn *conn, bool open)
{
    struct server *s = server_of(w);
    uint64_t id = wr_http_conn_number(conn), now_ms = wr_loop_now_ms(w->loop);
    if (!open) {
        conns_close(&s->conns, slot_of(conn));
        wr_record(w->recorder, event_ns(s), id, WR_EVENT_CLOSE, 0, 0, 0);
        return;
    }
    int fd = wr_http_conn_fd(conn);
    uint32_t at = conns_open(&s->conns, id, fd, NULL, now_ms, wr_http_conn_due_ms(conn));
    wr_http_conn_set_slot(conn, at + 1);
    wr_record(w->recorder, event_ns(s), id, WR_EVENT_OPEN, 0, (uint64_t)fd, 0);
}

/* Without the query, which may hold secrets. */
static struct wr_span without_query(struct wr_span line)
{
    if (!line.n)
        return line;
    ptrdiff_t n =
        wr_span_find_char(wr_span_sub(line, 0, sizeof((struct conns_entry *)0)->doing), '?');
    return n < 0 ? line : wr_span(line.p, (size_t)n);
}

static void on_request(struct web_worker *w, struct web_req *r, bool done)
{
    struct server *s = server_of(w);
    struct wr_http_conn *conn = r->conn->http;
    uint64_t now_ms = wr_loop_now_ms(w->loop);
    if (!done) {
        conns_request(&s->conns, slot_of(conn), without_query(r->line), now_ms,
                      wr_http_conn_due_ms(conn));
        wr_seat_enter(w->seat, WR_STAGE_HANDLE);
        wr_record(w->recorder, event_ns(s), r->conn->number, WR_EVENT_REQUEST, 0,
                  (uint64_t)r->method, r->uri.n);
        return;
    }
    conns_set(&s->conns, slot_of(conn), CONNS_IDLE, now_ms, UINT64_MAX);
    wr_seat_leave(w->seat, WR_STAGE_HANDLE, r->out.status && r->out.status < 500);
    wr_seat_measure(w->seat, WR_HIST_REQUEST, (now_ms - r->began_ms) * 1000000);
    wr_record(w->recorder, event_ns(s), r->conn->number, WR_EVENT_REPLY, 0,
              (uint64_t)r->out.status, r->body_bytes);
}

/* ---- twice a second ---------------------------------------------------------------------------------------- */

static enum conns_state state_by_name(const char *phase)
{
    static const struct {
        const char *name;
        enum conns_state state;
    } names[] = {
        {"idle",      CONNS_IDLE     },
        {"first",     CONNS_FIRST    },
        {"proxy",     CONNS_FIRST    },
        {"head",      CONNS_HEAD     },
        {"handle",    CONNS_HANDLE   },
        {"send",      CONNS_SEND     },
        {"body",      CONNS_BODY     },
        {"handshake", CONNS_HANDSHAKE},
    };
    for (unsigned i = 0; i < WR_ARRAY_LEN(names); i++)
        if (strcmp(names[i].name, phase) == 0)
            return names[i].state;
    return CONNS_CLOSING;
}

static void refresh(struct server *s, struct wr_http_conn *conn)
{
    uint32_t at = slot_of(conn);
    struct wr_addr peer;
    if (at == CONNS_NONE || !s->conns.entry)
        return;
    struct conns_entry *e = &s->conns.entry[at];
    enum conns_state state = state_by_name(wr_http_conn_phase(conn));
    uint64_t since = e->state == state ? e->changed_ms : wr_loop_now_ms(s->web.loop);
    if (e->family == WR_ADDR_NONE && wr_http_conn_peer(conn, &peer) == 0)
        conns_peer(&s->conns, at, &peer);
    conns_set(&s->conns, at, state, since, wr_http_conn_due_ms(conn));
}

/* Over the soft mark of the worker's memory idle connections go, those that the walk meets first. */
static bool shed(struct server *s, struct wr_http_conn *conn)
{
    if (!s->budget || !wr_budget_over_soft(s->budget) ||
        strcmp(wr_http_conn_phase(conn), "idle") != 0)
        return false;
    web_worker_closed_idle(&s->web);
    s->before.shed++;
    wr_http_conn_abort(conn, false);
    return true;
}

static void walk(struct server *s)
{
    const struct web_worker *w = &s->web;
    for (unsigned n = 0; n < WALK && s->door < w->ndoors; n++) {
        struct wr_http_conn *c = wr_http_server_next_conn(w->doors[s->door].http, &s->cursor);
        if (c) {
            if (!shed(s, c))
                refresh(s, c);
        } else {
            s->door++;
            s->cursor = 0;
        }
    }
    if (s->door >= w->ndoors)
        s->door = s->cursor = 0;
}

static struct server_totals totals_now(const struct web_worker *w,
                                       const struct wr_http_stats *h)
{
    struct server_totals t = {.opened = h->links.opened,
                              .timeouts = h->links.closed[WR_CLOSE_TIMEOUT],
                              .begun = h->begun,
                              .aborted = h->aborted,
                              .in = h->links.bytes_in,
                              .out = h->links.bytes_out,
                              .turned_away = w->turned_away,
                              .no_memory = h->no_memory,
                              .unlogged = w->unlogged,
                              .shakes_failed = h->handshakes_failed,
                              .shakes_shed = h->handshakes_shed,
                              .proxy_bad = h->proxy_bad};
    for (unsigned i = 0; i < WR_CLOSES; i++)
        t.closed += h->links.closed[i];
    memcpy(t.by_class, h->by_class, sizeof t.by_class);
    for (uint32_t i = 0; i < w->ndoors; i++) {
        struct wr_listener *l =
            w->doors[i].http ? wr_http_server_listener(w->doors[i].http) : NULL;
        if (!l)
            continue;
        t.shed += wr_listener_stats(l)->shed;
        t.errors += wr_listener_stats(l)->errors;
        t.shortages += wr_listener_stats(l)->pauses;
    }
    return t;
}

struct row {
    enum wr_counter counter;
    uint64_t *word;
};

#define ROWS 20

/* Which counter of the board is which total. */
static void rows_of(struct server_totals *t, struct row out[static ROWS])
{
    struct row rows[ROWS] = {
        {WR_COUNTER_ACCEPTED,  &t->opened  },
        {WR_COUNTER_CLOSED,    &t->closed  },
        {WR_COUNTER_TIMEOUTS,  &t->timeouts},
        {WR_COUNTER_REQUESTS,  &t->begun   },
        {WR_COUNTER_ABORTED,   &t->aborted },
        {WR_COUNTER_BYTES_IN,  &t->in      },
        {WR_COUNTER_BYTES_OUT, &t->out     },
    };
    rows[7] = (struct row){WR_COUNTER_SHED, &t->shed};
    rows[8] = (struct row){WR_COUNTER_ACCEPT_ERRORS, &t->errors};
    rows[9] = (struct row){WR_COUNTER_ACCEPT_NO_FD, &t->shortages};
    for (unsigned i = 2; i < 6; i++)
        rows[8 + i] = (struct row){WR_COUNTER_RESPONSES_1XX + i - 1, &t->by_class[i]};
    rows[14] = (struct row){WR_COUNTER_REQUESTS_SHED, &t->turned_away};
    rows[15] = (struct row){WR_COUNTER_NO_MEMORY, &t->no_memory};
    rows[16] = (struct row){WR_COUNTER_REQUESTS_UNLOGGED, &t->unlogged};
    rows[17] = (struct row){WR_COUNTER_SHAKES_FAILED, &t->shakes_failed};
    rows[18] = (struct row){WR_COUNTER_SHAKES_SHED, &t->shakes_shed};
    rows[19] = (struct row){WR_COUNTER_PROXY_BAD, &t->proxy_bad};
    memcpy(out, rows, sizeof rows);
}

/* Counters go on from where the seat's former holder left them. */
static void publish(struct server *s)
{
    struct wr_seat *seat = s->web.seat;
    struct row now_rows[ROWS], before_rows[ROWS];
    if (!seat)
        return;
    struct wr_http_stats stats = web_worker_stats(&s->web);
    struct server_totals now = totals_now(&s->web, &stats);
    rows_of(&now, now_rows);
    rows_of(&s->before, before_rows);
    for (unsigned i = 0; i < ROWS; i++)
        wr_word_set(&seat->counter[now_rows[i].counter],
                    *before_rows[i].word + *now_rows[i].word);
    wr_seat_gauge_set(seat, WR_GAUGE_OPEN, stats.open);
    wr_seat_gauge_set(seat, WR_GAUGE_IDLE, stats.waiting);
    wr_seat_gauge_set(seat, WR_GAUGE_READING, stats.reading);
    if (s->budget)
        wr_seat_gauge_set(seat, WR_GAUGE_BUFFER_BYTES, s->budget->used);
}

static void remember(struct server *s)
{
    struct row rows[ROWS];
    if (!s->web.seat)
        return;
    rows_of(&s->before, rows);
    for (unsigned i = 0; i < ROWS; i++)
        *rows[i].word = wr_word_get(&s->web.seat->counter[rows[i].counter]);
}

static uint64_t sum_of(const struct wr_board_view *v, const char *name)
{
    struct wr_board_field f;
    return wr_board_view_find(v, wr_span_str(name), &f) ? wr_board_view_sum(v, &f, 0) : 0;
}

static void on_totals(struct web_worker *w, struct web_totals *out)
{
    struct server *s = wr_container_of(w, struct server, web);
    struct wr_board_view v;
    size_t size;
    const void *part =
        s->shm ? wr_shm_part(s->shm, WR_BOARD_PART, WR_BOARD_VERSION, &size) : NULL;
    *out = (struct web_totals){0};
    if (!part || wr_board_view_init(&v, part, size))
        return;
    publish(s);
    out->accepted = sum_of(&v, "weir_connections_accepted_total");
    out->requests = sum_of(&v, "weir_requests_total");
    out->active = sum_of(&v, "weir_connections_open");
    out->waiting = sum_of(&v, "weir_connections_idle");
    out->reading = sum_of(&v, "weir_connections_reading");
    out->writing = out->active - out->waiting - out->reading;
    if (out->writing > out->active)
        out->writing = 0; /* between two stores of a sibling */
}

static void on_tick(struct wr_timer *t)
{
    struct server *s = wr_container_of(t, struct server, tick);
    set_clock(s);
    walk(s);
    web_worker_watch_memory(&s->web);
    web_early_watch(&s->web);
    publish(s);
    wr_loop_timer_arm(s->web.loop, t, TICK_MS);
}

/* ---- leaving ------------------------------------------------------------------------------------------------ */

static void name_one(struct server *s, struct wr_http_conn *conn, const char *verb)
{
    char peer[WR_ADDR_TEXT_MAX] = "?";
    struct wr_addr a;
    uint64_t now_ms = wr_loop_now_ms(s->web.loop);
    if (wr_http_conn_peer(conn, &a) == 0)
        wr_addr_format(&a, peer);
    process_say(s->web.log, s->web.loop, WR_LOG_NOTICE,
                "%s connection id=%llu peer=%s age_ms=%llu state=%s requests=%u", verb,
                (unsigned long long)wr_http_conn_number(conn), peer,
                (unsigned long long)(now_ms - wr_http_conn_began_ms(conn)),
                wr_http_conn_phase(conn), wr_http_conn_requests(conn));
}

/* verb: "waiting for", "cutting". */
static void name_all(struct server *s, const char *verb)
{
    unsigned n = 0;
    for (uint32_t i = 0; i < s->web.ndoors; i++) {
        uint32_t cursor = 0;
        struct wr_http_conn *c;
        while ((c = wr_http_server_next_conn(s->web.doors[i].http, &cursor)))
            if (n++ < NAMED)
                name_one(s, c, verb);
    }
    if (n > NAMED)
        process_say(s->web.log, s->web.loop, WR_LOG_NOTICE, "%s %u more connections", verb,
                    n - NAMED);
}

/* First who is waited for; then, a moment before the grace is over, who will be cut. */
static void on_patience(struct wr_timer *t)
{
    struct server *s = wr_container_of(t, struct server, patience);
    name_all(s, s->said ? "cutting" : "waiting for");
    if (!s->said && s->grace_ms > PATIENCE_MS + 100)
        wr_loop_timer_arm(s->web.loop, t, s->grace_ms - PATIENCE_MS - 50);
    s->said = true;
}

static void on_stopped(struct web_worker *w)
{
    struct server *s = server_of(w);
    publish(s);
    wr_loop_timer_cancel(&s->tick);
    wr_loop_timer_cancel(&s->patience);
    if (s->stopped)
        s->stopped(s);
}

void server_stop(struct server *s, bool graceful)
{
    bool again = s->leaving;
    s->leaving = true;
    if (graceful && !again) {
        s->patience.fn = on_patience;
        wr_loop_timer_arm(s->web.loop, &s->patience,
                          s->grace_ms > PATIENCE_MS ? PATIENCE_MS : s->grace_ms / 2);
        web_worker_stop(&s->web, s->grace_ms, on_stopped);
    } else if (!graceful) {
        wr_loop_timer_cancel(&s->patience);
        web_worker_stop(&s->web, 0, on_stopped);
    }
}

/* ---- life ----------------------------------------------------------------------------------------------------- */

int server_open(struct server *s, struct web_generation *g, const struct web_worker_fd *fds,
                uint32_t n)
{
    s->web.owner = s;
    s->web.on_conn = on_conn;
    s->web.on_request = on_request;
    s->web.on_totals = s->shm && s->web.seat ? on_totals : NULL;
    s->tick.fn = on_tick;
    if (s->shm && conns_begin(&s->conns, wr_loop_heap(s->web.loop), s->shm, s->seat_index) < 0)
        process_say(s->web.log, s->web.loop, WR_LOG_WARN, "connections are not listed");
    remember(s);
    set_clock(s);
    int err = web_worker_start(&s->web, g, fds, n);
    if (err) {
        conns_end(&s->conns);
        return err;
    }
    s->open = true;
    wr_loop_timer_arm(s->web.loop, &s->tick, TICK_MS);
    return 0;
}

void server_close(struct server *s)
{
    if (!s->open)
        return;
    s->open = false;
    publish(s);
    wr_loop_timer_cancel(&s->tick);
    wr_loop_timer_cancel(&s->patience);
    web_worker_close(&s->web);
}

void server_free(struct server *s)
{
    if (s->web.started)
        web_worker_free(&s->web);
    conns_end(&s->conns);
}
