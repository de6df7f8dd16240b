/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_CONN_HTTP_PRIVATE_H
#define WR_CONN_HTTP_PRIVATE_H

/*
 * What http_server.c (the server), http_conn.c (bytes to requests) and http_req.c (the handler's side)
 * share. Nobody else includes it.
 */

#include "libweir/base/buf.h"
#include "libweir/base/mem_pool.h"
#include "libweir/conn/http_server.h"
#include "libweir/http/body.h"
#include "libweir/http/parse.h"

enum http_phase {
    HTTP_FIRST,  /* nothing has come yet */
    HTTP_IDLE,   /* between requests */
    HTTP_HEAD,   /* part of a head */
    HTTP_BODY,   /* waiting for bytes of a body */
    HTTP_HANDLE, /* waiting for the handler */
    HTTP_SEND,   /* waiting for the client to take what it asked for */
};

struct wr_http_conn {
    struct wr_link link; /* first */
    struct wr_http_server *server;
    struct wr_http_req *req;           /* under way, or NULL */
    struct wr_buf in;                  /* read and not yet eaten */
    uint64_t last_ms;                  /* when the phase began or last moved */
    uint64_t window_bytes;             /* the stream's counter when the rate window began */
    uint32_t requests, phase_requests; /* heads so far; when the phase began */
    uint8_t phase;
    bool eating;  /* in on_ready: whoever answers leaves the rest to it */
    bool closing; /* after the answer under way, or now if there is none */
    bool dirty;   /* the peer may have sent what we shall not read: linger */
    bool eof;
    bool clogged; /* a flush left output behind */
    bool full;    /* too much output waits for another request to begin */
    bool looked;  /* since the server is stopping: what had come was read */
};

enum http_answer {
    ANSWER_NONE,
    ANSWER_BEGUN,
    ANSWER_DONE,
};

struct wr_http_req {
    struct wr_http_conn *conn;
    struct wr_http_server *server;
    uint64_t began_ms;
    const char *head_at; /* where the head's first byte lies */
    uint64_t owed;       /* bytes of the answer's body still to be written */
    uint64_t body_in, body_out;
    uint64_t skipped; /* of a body that nobody wants */
    void (*on_body)(struct wr_http_req *req, struct wr_span piece, bool last, void *arg);
    void (*on_whole)(struct wr_http_req *req, struct wr_span body, int err, void *arg);
    void *body_arg;
    void (*on_drain)(struct wr_http_req *req, void *arg);
    void *drain_arg;
    struct wr_buf whole;
    size_t whole_max;
    int status;
    uint8_t answer; /* enum http_answer */
    bool handled;   /* the head is complete, the handler was called */
    bool body_done, body_paused, keep_alive, chunked, has_scope, above_high;
    struct wr_scope scope;
    struct wr_arena arena;
    struct wr_parse parse;
    struct wr_body body;
    struct wr_head head;
    struct wr_field fields[];
};

struct wr_http_server {
    struct wr_link_group group;
    struct wr_http_options options;
    struct wr_loop *loop;
    struct wr_listener *listener;
    struct wr_mem *mem;
    struct wr_pool conns, reqs;
    struct wr_arena_source arenas;
    struct wr_date_cache date;
    struct wr_http_stats stats;
    struct wr_op op; /* in options.scope */
    struct wr_timer grace;
    struct wr_free_later later;
    void (*stopped)(struct wr_http_server *s, void *arg);
    void *stopped_arg;
    uint64_t linger_until_ms; /* after a stop, once only lingering ones are left */
    bool stopping, closing, told_full;
    bool eating; /* the scratch holds what one of the connections is eating */
};

/* http_conn.c */
extern const struct wr_link_ops wr_http_conn_ops_;
void wr_http_conn_init_(struct wr_http_conn *c, struct wr_http_server *s);
/* The answer is complete: goes on with the connection, now or (while eating) when the handler returns. */
void wr_http_conn_answered_(struct wr_http_conn *c);
/* The request under way ends here, its answer missing or cut short; so does the connection, behind the
 * answers that were given before. */
void wr_http_conn_abort_(struct wr_http_conn *c, int err);
/* The deadlines have changed. */
void wr_http_conn_settle_(struct wr_http_conn *c);
/* The server is stopping: what has come is answered, and whoever is new may still say a first word. */
void wr_http_conn_stop_(struct wr_http_conn *c);
/* Calls on_ready soon: the handler wants (more of) the body. */
void wr_http_conn_wake_(struct wr_http_conn *c);

/* http_req.c */
void wr_http_req_init_(struct wr_http_req *req, struct wr_http_conn *c);
/* Ends it for good: counts, tells on_done, frees. */
void wr_http_req_free_(struct wr_http_req **req, enum wr_http_end end, int err);
/* Answers by itself: a refusal, 408, 413, 503; the request is gone and its connection ends behind it. */
void wr_http_req_refuse_(struct wr_http_req *req, int status, enum wr_http_end end, int err);
/* The handler has returned without finishing: what its spans point to moves to the arena. */
WR_MUST int wr_http_req_keep_head_(struct wr_http_req *req);
/* Its bytes are gone: nothing of it is shown any more. */
void wr_http_req_forget_head_(struct wr_http_req *req);
/* Pieces of the body to whoever wants them; false when it cannot go on now. */
bool wr_http_req_feed_(struct wr_http_req *req, struct wr_span *in);

/* http_server.c */
void wr_http_server_conn_gone_(struct wr_http_server *s, struct wr_http_conn *c);
int64_t wr_http_server_now_s_(struct wr_http_server *s);

#endif
