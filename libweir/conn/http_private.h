/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_CONN_HTTP_PRIVATE_H
#define WR_CONN_HTTP_PRIVATE_H

/*
 * What http_server.c (the server), http_front.c (PROXY and TLS), http_conn.c (bytes to requests), http_req.c
 * (what the handler asks) and http_answer.c (what it says) share. Nobody else includes it.
 */

#include "libweir/base/buf.h"
#include "libweir/base/mem_pool.h"
#include "libweir/conn/http_server.h"
#include "libweir/http/body.h"
#include "libweir/http/parse.h"
#include "libweir/http/proxy_header.h"

/* Of an unwanted body, before the connection is rather closed. */
#define WR_HTTP_SKIPPED_MAX_ (64u << 10)

enum http_phase {
    HTTP_PROXY,  /* the PROXY header has not come whole */
    HTTP_SHAKE,  /* TLS is being agreed upon */
    HTTP_FIRST,  /* nothing has come yet */
    HTTP_IDLE,   /* between requests */
    HTTP_HEAD,   /* part of a head */
    HTTP_BODY,   /* waiting for bytes of a body */
    HTTP_HANDLE, /* waiting for the handler */
    HTTP_SEND,   /* waiting for the client to take what it asked for */
};

/* As in a link, what each request touches comes first, close to the link's; then what waits for an occasion. */
struct wr_http_conn {
    struct wr_link link;
    struct wr_http_server *server;
    struct wr_http_req *req; /* under way, or NULL */
    const struct wr_http_conn_limits *limits;
    const struct wr_http_head_limits *head_limits;
    uint64_t last_ms;                  /* when the phase began or last moved */
    uint64_t moved_ms;                 /* when bytes were read last */
    uint64_t window_bytes;             /* the stream's counter when the rate window began */
    uint32_t requests, phase_requests; /* heads so far; when the phase began */
    uint8_t phase;
    bool eating;  /* in on_ready: whoever answers leaves the rest to it */
    bool closing; /* after the answer under way, or now if there is none */
    bool dirty;   /* the peer may have sent what we shall not read: linger */
    bool eof;
    bool clogged;     /* a flush left output behind */
    bool full;        /* too much output waits for another request to begin */
    bool looked;      /* since the server is stopping: what had come was read */
    bool shaking;     /* counted among those that agree upon TLS */
    bool plain;       /* plain HTTP where TLS was due: to be refused */
    bool delay;       /* Nagle's algorithm is on */
    bool announced;   /* the kernel told of the bytes whose first request is still to come */
    uint32_t slot;    /* the application's */
    struct wr_buf in; /* read and not yet eaten */
    void *data[2];    /* the application's */
    uint64_t serial;
    uint64_t began_ms;
    struct http_proxy *proxy; /* what the PROXY header said; NULL without one */
    uint32_t notsent_lowat;   /* as set on the socket */
    /* The peer, once asked for: a whole wr_addr is more than an idle connection should keep. */
    uint8_t peer_kind;
    uint16_t peer_port;
    uint32_t peer_scope;
    uint8_t peer_ip[16];
};

/* Who the client is, by the word of a balancer. */
struct http_proxy {
    struct wr_proxy_header header;
    size_t tlvs_n;
    char tlvs[];
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
    size_t head_n;       /* how many bytes of it are known; all, unless it is refused */
    const char *refusal; /* why, when the application was asked to refuse it */
    void *data;          /* the application's */
    uint64_t out_mark;   /* what the connection had been given before this answer */
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
    bool refused;   /* on_refuse was called */
    bool head_kept; /* in the arena */
    bool announced; /* with the bytes of the call in which it came */
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
    struct wr_http_conn_limits limits; /* of connections whose requests say nothing else */
    struct wr_http_head_limits head;
    uint32_t fields;              /* in a request's own table; more need a table in its arena */
    uint32_t handshaking, shaken; /* under way; steps of them in this turn */
    uint64_t shaken_turn;
    struct wr_timer shake_tick; /* while there are too many */
    struct wr_loop *loop;
    struct wr_listener *listener;
    struct wr_mem *mem;
    struct wr_pool conns, reqs;
    struct wr_arena_source arenas;
    struct wr_date_cache date;
    struct wr_http_stats stats;
    struct wr_op op; /* in options.scope */
    struct wr_list in_crowd;
    uint64_t serials;
    struct wr_timer grace;
    struct wr_free_later later;
    void (*stopped)(struct wr_http_server *s, void *arg);
    void *stopped_arg;
    uint64_t linger_until_ms; /* after a stop, once only lingering ones are left */
    bool stopping, closing, told_full, too_many_shaking;
    bool eating; /* the scratch holds what one of the connections is eating */
};

/* http_conn.c */
extern const struct wr_link_ops wr_http_conn_ops_;
void wr_http_conn_init_(struct wr_http_conn *c, struct wr_http_server *s);
/* The answer is complete: goes on with the connection, now or (while eating) when the handler returns. */
void wr_http_conn_answered_(struct wr_http_conn *c);
/* The request under way ends here, its answer missing or cut short; so does the connection, behind the
 * answers that were given before. */
WR_COLD void wr_http_conn_abort_(struct wr_http_conn *c, int err);
/* The deadlines have changed. */
void wr_http_conn_settle_(struct wr_http_conn *c);
/* The server is stopping: what has come is answered, and whoever is new may still say a first word. */
void wr_http_conn_stop_(struct wr_http_conn *c);
/* The server refuses the request under way by itself: the application answers, or a plain text does. */
WR_COLD void wr_http_conn_refuse_(struct wr_http_conn *c, int status, const char *reason,
                                  enum wr_http_end end, int err);
/* When its phase is over, if nothing happens. */
uint64_t wr_http_conn_due_(const struct wr_http_conn *c);
/* Calls on_ready soon: the handler wants (more of) the body. */
void wr_http_conn_wake_(struct wr_http_conn *c);

/* http_front.c: what lies between accept and the first byte of HTTP */
/* PROXY header and handshake, as the server wants them. The connection may be closed behind it. */
void wr_http_front_begin_(struct wr_http_conn *c);
void wr_http_front_keep_peer_(struct wr_http_conn *c, const struct wr_addr *peer);
/* Eats a PROXY header. False: it is not there yet, or the connection is closed. */
bool wr_http_front_proxy_(struct wr_http_conn *c);
/* The handshakes that this turn has time for are done: come back in the next one. */
bool wr_http_front_postpone_(struct wr_http_conn *c);
/* Something was read: is the handshake over? */
void wr_http_front_look_(struct wr_http_conn *c, uint64_t wire_before);
void wr_http_front_closed_(struct wr_http_conn *c);
void wr_http_front_close_(struct wr_http_server *s);
void wr_http_conn_use_(struct wr_http_conn *c, const struct wr_http_conn_limits *limits);

/* http_req.c */
void wr_http_req_init_(struct wr_http_req *req, struct wr_http_conn *c);
/* Ends it for good: counts, tells on_done, frees. */
void wr_http_req_free_(struct wr_http_req **req, enum wr_http_end end, int err);
/* All bytes that the connection was ever given for output. */
uint64_t wr_http_out_total_(const struct wr_http_conn *c);
int wr_http_req_put_(struct wr_http_req *req, const void *p, size_t n);
/* Answers by itself: a refusal, 408, 413, 503; the request is gone and its connection ends behind it. */
WR_COLD void wr_http_req_refuse_(struct wr_http_req *req, int status, enum wr_http_end end,
                                 int err);
/* The handler has returned without finishing: what its spans point to moves to the arena. */
WR_MUST int wr_http_req_keep_head_(struct wr_http_req *req);
/* Its bytes are gone: nothing of it is shown any more. */
WR_COLD void wr_http_req_forget_head_(struct wr_http_req *req);
/* Pieces of the body to whoever wants them; false when it cannot go on now. */
bool wr_http_req_feed_(struct wr_http_req *req, struct wr_span *in);

/* http_crowd.c: the limit that several servers share; nothing without one */
void wr_http_crowd_join_(struct wr_http_server *s);
void wr_http_crowd_part_(struct wr_http_server *s);
void wr_http_crowd_came_(struct wr_http_server *s);
void wr_http_crowd_left_(struct wr_http_server *s);

/* http_server.c */
/* Is there room, by its own limit and by the crowd's? Accepting follows. */
void wr_http_server_settle_full_(struct wr_http_server *s);
void wr_http_server_conn_gone_(struct wr_http_server *s, struct wr_http_conn *c);
int64_t wr_http_server_now_s_(struct wr_http_server *s);

static inline struct wr_http_conn *http_conn_of(struct wr_link *l)
{
    return wr_container_of(l, struct wr_http_conn, link);
}

/* A deadline; WR_FOREVER is none. */
static inline uint64_t http_until(uint64_t from_ms, uint32_t limit_ms)
{
    return limit_ms == WR_FOREVER ? UINT64_MAX : from_ms + limit_ms;
}

#endif
