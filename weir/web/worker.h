/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WEB_WORKER_H
#define WEB_WORKER_H

/*
 * A worker: what serves a generation in one process and loop.
 *
 *     w.loop = loop; w.log = log; ...           the process's
 *     web_worker_start(&w, generation, fds, n)  modules' `start`, then an HTTP server per socket
 *     wr_loop_run(loop)
 *     web_worker_stop(&w, grace_ms, stopped)    graceful; web_worker_close: now
 *
 * 1. One worker serves one generation. A process that reloads in place starts a second worker and stops the
 *    first; both may live on one loop.
 * 2. The generation outlives the worker; the worker outlives its last connection.
 *
 * The caller owns the struct and what the public fields point to.
 */

#include "libweir/conn/http_crowd.h"
#include "libweir/conn/http_server.h"
#include "weir/web/web.h"

struct wr_log;
struct wr_seat;
struct wr_resolver;
struct wr_recorder;

/* A listening socket for an address of the generation. fd -1: open one here. */
struct web_worker_fd {
    const struct web_listen *listen;
    int fd;
};

/* Connections: accepted so far, open now, and what those do. */
struct web_totals {
    uint64_t accepted, requests, active, reading, writing, waiting;
};

/* Over the soft mark of the loop's budget no request is begun and idle connections may be closed; at the hard one
 * who asks for more is closed. Lasts until memory is under the soft mark again. */
struct web_shortage {
    uint64_t since_ms, soft_said_ms, hard_said_ms; /* since 0: there is none */
    uint64_t turned_away, idle_closed; /* in it: requests answered 503, connections */
    uint64_t unlogged;                 /* in it: requests that no access log has */
    uint64_t hungry_before;            /* closed for want of memory before it */
};

struct web_worker {
    /* The process's; all but the loop may be NULL. */
    struct wr_loop *loop;
    struct wr_log *log;
    struct wr_seat *seat;
    struct wr_recorder *recorder;
    struct wr_resolver *resolver;
    uint32_t number;
    uint64_t *serials; /* of connections, shared by workers: $connection */
    void *owner;
    /* A connection has come or gone; for boards of open connections. May be NULL. */
    void (*on_conn)(struct web_worker *w, struct wr_http_conn *conn, bool open);
    /* A request begins (done false) or is over. May be NULL. */
    void (*on_request)(struct web_worker *w, struct web_req *r, bool done);
    /* Takes what web_error has to say, at any level, in place of the log. May be NULL. */
    void (*on_error)(struct web_worker *w, struct web_req *r, int level, const char *text);
    /* Fills in the sums over this worker and its siblings. May be NULL: it is alone. */
    void (*on_totals)(struct web_worker *w, struct web_totals *out);
    /* private */
    struct web_generation *generation;
    struct web_door *doors;
    uint32_t ndoors, open, door_room;
    struct wr_http_crowd crowd; /* of all doors: worker_connections */
    uint64_t own_serials;
    uint64_t full_said_ms, reuse_said_ms;
    struct web_shortage shortage;
    uint64_t turned_away, unlogged; /* ever */
    uint64_t shake_pauses, shakes_said_ms;
    bool direct_said; /* that a file system refuses O_DIRECT */
    struct wr_pool requests;
    struct wr_arena_source arenas;
    struct wr_date_cache date;
    char date_line[48];
    int64_t date_s;
    void (*stopped)(struct web_worker *w);
    bool started;
};

/* The server of one socket. */
struct web_door {
    struct web_worker *worker;
    struct web_listen *listen;
    struct wr_http_server *http;
    struct wr_http_conn_limits
        limits; /* until a location is chosen: that one judges the body */
};

/* A request that is none, for what a handshake needs of variables: those of the connection have values, those of a
 * request are empty. Nothing may wait in it. NULL: no memory. */
struct web_req *web_handshake_begin(struct web_door *door, struct wr_http_conn *conn);
void web_handshake_end(struct web_req *r);

/* Takes the descriptors, in any case. Failed: nothing is open; at the end of the loop's turn web_worker_free. */
WR_MUST int web_worker_start(struct web_worker *w, struct web_generation *g,
                             const struct web_worker_fd *fds, uint32_t nfds);
/* No new connections; those that are open end within grace_ms. */
void web_worker_stop(struct web_worker *w, uint64_t grace_ms,
                     void (*stopped)(struct web_worker *w));
/* Now. Connections end at once; memory goes at the end of the loop's turn, then web_worker_free. */
void web_worker_close(struct web_worker *w);
void web_worker_free(struct web_worker *w);
/* Counters of all its doors together. */
struct wr_http_stats web_worker_stats(const struct web_worker *w);
struct web_totals web_worker_totals(struct web_worker *w);
/* shortage.c: memory is over its soft mark now; and what was done for that. */
bool web_worker_short(const struct web_worker *w);
void web_worker_turned_away(struct web_worker *w); /* a request: answered 503 */
void web_worker_closed_idle(struct web_worker *w); /* a connection, to make room */
void web_worker_closed_hungry(struct web_worker *w, struct wr_http_conn *conn); /* hard mark */
void web_worker_unlogged(struct web_worker *w); /* a request: not even a line for it */
/* Now and then: says that a shortage has begun, or is over. */
void web_worker_watch_memory(struct web_worker *w);
/* early.c: connections that end before their first request, and handshakes that are too many. */
void web_early_closed(const struct web_door *door, const struct wr_http_conn *conn,
                      enum wr_close why, int err);
void web_early_shake_failed(struct wr_http_conn *conn, const char *why, void *door);
void web_early_watch(struct web_worker *w); /* now and then */
/* The wall clock in seconds, and the Date field with its CRLF, formed once a second. */
struct wr_span web_worker_date(struct web_worker *w);

/* In place of a master: loop, sockets, signals; TERM, INT and QUIT end it. For `master_process off`. 0 or negative. */
int web_worker_run_alone(struct web_generation *g, struct wr_log *log);

#endif
