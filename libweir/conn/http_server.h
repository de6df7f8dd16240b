/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_CONN_HTTP_SERVER_H
#define WR_CONN_HTTP_SERVER_H

/*
 * An HTTP/1.1 server: http/parse and http/body on one side, conn/link on the other, requests between.
 *
 *     static void hello(struct wr_http_req *req, void *arg)
 *     {
 *         wr_http_reply(req, 200, WR_LIT("text/plain"), WR_LIT("hello, world\n"));
 *     }
 *
 * A connection reads into the loop's scratch; a head that came whole is parsed where it lies, the handler
 * answers, and nothing was allocated but a warm request object. Only what is unfinished moves: half a head
 * to a buffer of the connection, the head of a request that is answered later to the request's arena.
 *
 *   accept -> (PROXY header) -> (TLS handshake) -> FIRST
 *   FIRST/IDLE --byte--> HEAD --complete--> handler --reply/end--> IDLE, or close
 *                          |                 |  ^
 *                          | refused         v  | body pieces
 *                          v                BODY
 *                    4xx, FIN, linger
 *
 * 1. Requests of a connection are answered in order, one at a time. What is pipelined behind one waits
 *    unread in the kernel or in the connection's buffer, which is bounded by what one read takes
 *    (WR_LOOP_SCRATCH) or the head's limit, whichever is more.
 * 2. Each request ends exactly once: answered, refused (malformed), or aborted (client gone, deadline,
 *    stop). begun = answered + refused + aborted + under way.
 * 3. After wr_http_reply or wr_http_end the request is gone for its handler. Before that, it lives until
 *    its scope is cancelled: with WR_E_CLOSED when the client has gone, WR_E_DEADLINE when handler_timeout_ms passed
 *    (the client then got a 503), WR_E_STOPPED when the server was closed. A handler that keeps a
 *    request beyond its return begins an operation in wr_http_scope and forgets the request on cancel.
 * 4. A refused or half-read request ends its connection: what follows it cannot be trusted. What the server
 *    refuses by itself is answered by on_refuse, once, or by a plain text; such a request counts as refused.
 * 5. Every phase has a deadline, and bodies and answers a timeout between bytes or a minimum rate, or both;
 *    only who asks for WR_FOREVER has none.
 * 6. An idle connection owns no buffer and no request.
 * 7. What an answer says of its framing is the server's word, or with wr_http_begin_head and
 *    wr_http_reply_bytes the application's. It says whether the connection stays; the server then does it, except
 *    that it may always end.
 * 8. Handshakes are bounded in number, in time and per turn of the loop, and so wait for one another, not
 *    established clients for them.
 * 9. The application's limits, contexts and callbacks outlive the connections that use them.
 *
 * Loop thread only.
 */

#include "libweir/base/mem_arena.h"
#include "libweir/conn/link.h"
#include "libweir/http/message.h"
#include "libweir/http/write.h"
#include "libweir/io/listen.h"

struct wr_http_server; /* opaque */
struct wr_http_conn;   /* opaque */
struct wr_http_req;    /* opaque */
struct ssl_st;         /* SSL */
struct ssl_ctx_st;     /* SSL_CTX */

typedef void wr_http_handler(struct wr_http_req *req, void *arg);

/*
 * What is known when a head has come: it depends on the server and location that were chosen. All values
 * count as they are; start from a copy of wr_http_conn_limits_default.
 */
enum wr_http_linger {
    WR_HTTP_LINGER_OFF, /* close at once, whatever the client still sends */
    WR_HTTP_LINGER_ON,  /* read on after the last answer when the client may still be sending */
    WR_HTTP_LINGER_ALWAYS, /* always */
};

struct wr_http_conn_limits {
    uint32_t idle_timeout_ms; /* between requests; 0: a connection serves one request */
    uint32_t min_idle_ms;     /* a stopping server leaves an idle connection open so long */
    uint32_t max_requests;    /* per connection */
    uint32_t max_life_ms; /* no further request on a connection older than that; WR_FOREVER */
    uint32_t handler_timeout_ms; /* no answer and no piece of one; WR_FOREVER */
    uint32_t body_timeout_ms;    /* between two reads of a body; WR_FOREVER */
    uint32_t send_timeout_ms;    /* between two writes that the client takes; WR_FOREVER */
    uint32_t rate_window_ms;     /* every window moves ... */
    uint32_t min_body_bytes_per_s, min_send_bytes_per_s; /* ... at least so much; 0: off */
    uint64_t max_body;                                   /* UINT64_MAX: any */
    enum wr_http_linger linger;
    uint32_t linger_ms;      /* at most, in all */
    uint32_t linger_idle_ms; /* and at most so long without a byte */
    uint32_t
        turn_bytes; /* of output in a turn of the loop; 0, or more than WR_IO_TURN_BYTES: that */
    uint32_t
        postpone; /* an unfinished answer waits until it has so many bytes; 0: it does not */
    bool reset_on_timeout;  /* a client that was too slow gets a RST, not a FIN */
    bool delay;             /* Nagle's algorithm (tcp_nodelay off) */
    uint32_t notsent_lowat; /* bytes the kernel queues unsent (TCP_NOTSENT_LOWAT); 0: its own */
};
extern const struct wr_http_conn_limits wr_http_conn_limits_default;

/* What counts before the head has come: of the listening address, or of the name that TLS told. */
struct wr_http_head_limits {
    struct wr_http_limits parse; /* http/message.h */
    uint32_t first_timeout_ms;   /* accept (or handshake) to first byte */
    uint32_t head_timeout_ms;    /* first byte to blank line */
};
extern const struct wr_http_head_limits wr_http_head_limits_default;

/* TLS on accept. */
struct wr_http_tls {
    struct ssl_ctx_st
        *ctx; /* of every connection, unless choose says otherwise; NULL: no TLS */
    /* Per connection, behind on_conn_open and the PROXY header; NULL: this one is plain. May be NULL. */
    struct ssl_ctx_st *(*choose)(struct wr_http_conn *conn, void *arg);
    uint32_t handshake_timeout_ms; /* 0: 10 s */
    uint32_t
        max_handshakes;  /* under way at once; 0: 1024. At the limit those that take longer than
                                      a second are ended, then accepting pauses */
    uint32_t record_max; /* bytes of plaintext in a record; 0: 16384 */
    bool early_data;
    bool
        plain_refused; /* plain HTTP is a broken connection; else its head is refused with 497 */
};

enum wr_http_end {
    WR_HTTP_ANSWERED,
    WR_HTTP_REFUSED, /* malformed: see the reason */
    WR_HTTP_ABORTED, /* client gone, deadline, stop: the answer is incomplete or missing */
};

/* What an access log wants to know, when a request ends. Spans live for the call. */
struct wr_http_done {
    enum wr_http_end end;
    int status;          /* as sent; 0 when none was */
    int err;             /* ABORTED: why */
    const char *refusal; /* REFUSED: why, else NULL */
    uint64_t body_in, body_out;
    uint64_t bytes_in; /* of the request: head and body as they came */
    uint64_t
        bytes_out; /* of the answer: head and body, as far as the kernel has or will get them */
    uint64_t took_ms; /* from the first byte of its head */
};

struct wr_http_options {
    const char *addr; /* as wr_addr_parse; NULL: as listen.addr says */
    struct wr_listen_options
        listen;                  /* with addr WR_ADDR_NONE and no addr: no listener, adopt */
    wr_http_handler *on_request; /* must be there */
    void *arg;
    void (*on_done)(struct wr_http_req *req, const struct wr_http_done *done, void *arg);
    /* The server refuses by itself: malformed head (400, 405, 414, 417, 431, 501, 505), too slow (408), too long
     * (413), plain HTTP on a TLS port (497). The head is shown as far as it was understood. Answer by the
     * ordinary functions, now or later; the connection ends behind the answer. NULL: a plain text. */
    void (*on_refuse)(struct wr_http_req *req, int status, const char *reason, void *arg);
    /* A connection came; nothing has been read of it. And it is gone. */
    void (*on_conn_open)(struct wr_http_conn *conn, void *arg);
    void (*on_conn_close)(struct wr_http_conn *conn, enum wr_close why, int err, void *arg);
    /* Its handshake has failed, in OpenSSL's words; on_conn_close follows. May be NULL. */
    void (*on_shake_failed)(struct wr_http_conn *conn, const char *why, void *arg);
    struct wr_http_tls tls;
    bool
        proxy_protocol; /* each connection begins with a PROXY header; without one it is ended */
    /* In place of the single limits and timeouts below; must outlive the server. */
    const struct wr_http_head_limits *head_limits;
    const struct wr_http_conn_limits *conn_limits;
    struct wr_http_limits limits; /* all zero: the defaults of http/message.h */
    uint64_t max_body;            /* 0: 1 MiB; a longer one is answered 413 */
    uint32_t max_conns;           /* 0: 100,000 */
    uint64_t *serials; /* shared with other servers and processes; NULL: numbers of its own */
    struct wr_http_crowd *crowd; /* a further limit, shared (http_crowd.h); may be NULL */
    uint32_t max_requests;       /* per connection; 0: 10,000 */
    uint32_t first_timeout_ms;   /* accept to first byte; 0: 10 s */
    uint32_t head_timeout_ms;    /* first byte to blank line; 0: 10 s */
    uint32_t idle_timeout_ms;    /* between requests; 0: 60 s */
    uint32_t handler_timeout_ms; /* no answer and no piece of one; 0: 60 s */
    uint32_t rate_window_ms;     /* bodies, both ways: every window moves ... 0: 10 s */
    uint32_t min_bytes_per_s;    /* ... at least so much; 0: 500 */
    uint32_t linger_ms;          /* 0: wr_linger's default */
    uint64_t output_high;        /* wr_http_write returns 1 above it; 0: 256 KiB */
    uint64_t output_hard;        /* the connection is closed above it; 0: 8 MiB */
    bool
        done_when_sent; /* a request ends (on_done) when its answer is in the kernel, not when it is given */
    bool
        peer_wanted; /* most requests ask for wr_http_conn_peer: accept tells, for less than a call of its own */
    bool serve_half_closed; /* a FIN before the answer does not mean that the client left */
    struct wr_scope *scope; /* the server is closed when it ends; may be NULL */
    /* For connections that come by wr_http_server_adopt: max_conns is reached; there is room again. */
    void (*on_full)(struct wr_http_server *s, bool full, void *arg);
    /* In place of listen.on_notice. */
    void (*on_notice)(struct wr_http_server *s, const struct wr_listen_notice *n, void *arg);
    void *owner_arg; /* of these two */
};

struct wr_http_stats {
    struct wr_link_stats links;
    uint64_t begun, answered, refused, aborted;
    uint64_t no_memory;   /* connections closed for want of memory, those not begun included */
    uint64_t by_class[6]; /* answers by status / 100 */
    uint64_t handshakes, handshakes_failed; /* done; ended before (shed ones included) */
    uint64_t handshakes_shed,
        handshake_pauses; /* over max_handshakes: ended; accepting paused */
    uint64_t proxy_bad;   /* connections without a good PROXY header */
    uint32_t open, handshaking;
    uint32_t reading, writing,
        waiting; /* open ones: in a head, with a request under way, idle */
};

WR_MUST int wr_http_server_open(struct wr_loop *loop, const struct wr_http_options *options,
                                struct wr_http_server **out_server);
/* Closes everything now; memory goes when the last connection has, at the end of the turn. Takes NULL
 * and empties the pointer. */
void wr_http_server_close(struct wr_http_server **server);
/* Accepting ends, behind what the kernel had let in; what clients have sent is answered with "Connection:
 * close", idle connections are closed, and those that are new have a second for a first request. After
 * grace_ms the rest is cut. Then stopped, once. */
void wr_http_server_stop(struct wr_http_server *s, uint64_t grace_ms,
                         void (*stopped)(struct wr_http_server *s, void *arg), void *arg);
/* A connected descriptor that came by another way. Taken in any case. */
int wr_http_server_adopt(struct wr_http_server *s, int fd);
struct wr_http_stats wr_http_server_stats(const struct wr_http_server *s);
struct wr_listener *wr_http_server_listener(struct wr_http_server *s); /* NULL without one */

/* ---- the connection ------------------------------------------------------------------------------- */
/* Two words of the application's. */
void wr_http_conn_set_data(struct wr_http_conn *conn, void *a, void *b);
void *wr_http_conn_data(const struct wr_http_conn *conn);
void *wr_http_conn_data_b(const struct wr_http_conn *conn);
/* A number of the application's, 0 at first: its place on a board of open connections. */
void wr_http_conn_set_slot(struct wr_http_conn *conn, uint32_t slot);
uint32_t wr_http_conn_slot(const struct wr_http_conn *conn);
struct wr_http_server *wr_http_conn_server(const struct wr_http_conn *conn);
/* From inside a callback of OpenSSL (SNI, ALPN, sessions). */
struct wr_http_conn *wr_http_conn_of_ssl(const struct ssl_st *ssl);
/* Before a head's first byte has been looked at: on_conn_open, a callback of TLS, on_done. Must outlive the connection. */
void wr_http_conn_set_head_limits(struct wr_http_conn *conn,
                                  const struct wr_http_head_limits *limits);
/* For the connection while it has no request; in a request use wr_http_set_limits. */
void wr_http_conn_set_limits(struct wr_http_conn *conn,
                             const struct wr_http_conn_limits *limits);
uint64_t wr_http_conn_number(const struct wr_http_conn *conn); /* its id */
uint64_t wr_http_conn_serial(const struct wr_http_conn *conn); /* 1, 2, 3 ... as they came */
uint32_t
wr_http_conn_requests(const struct wr_http_conn *conn); /* heads so far, this one included */
uint64_t wr_http_conn_began_ms(const struct wr_http_conn *conn); /* wr_loop_now_ms terms */
uint64_t wr_http_conn_bytes_in(const struct wr_http_conn *conn);
uint64_t wr_http_conn_bytes_out(const struct wr_http_conn *conn);
int wr_http_conn_fd(const struct wr_http_conn *conn);
struct ssl_st *wr_http_conn_ssl(const struct wr_http_conn *conn); /* NULL: plain */
int wr_http_conn_peer(const struct wr_http_conn *conn, struct wr_addr *out_addr);
int wr_http_conn_local(const struct wr_http_conn *conn, struct wr_addr *out_addr);
/* Who the PROXY header says that it is; false without one, or when it named nobody. Either may be NULL. */
bool wr_http_conn_proxy_addr(const struct wr_http_conn *conn, struct wr_addr *out_src,
                             struct wr_addr *out_dst);
/* The TLVs of a version 2 header (http/proxy_header.h). */
struct wr_span wr_http_conn_proxy_tlvs(const struct wr_http_conn *conn);
/* What it is doing, for a status page: "handshake" "first" "idle" "head" "body" "handle" "send". */
const char *wr_http_conn_phase(const struct wr_http_conn *conn);
/* The next deadline in wr_loop_now_ms terms, UINT64_MAX for none. */
uint64_t wr_http_conn_due_ms(const struct wr_http_conn *conn);
/* The request under way, or NULL. */
struct wr_http_req *wr_http_conn_req(const struct wr_http_conn *conn);
/* A walk over the open ones: *cursor starts at 0, NULL ends it. */
struct wr_http_conn *wr_http_server_next_conn(const struct wr_http_server *s, uint32_t *cursor);
/* Now; nothing more is called for its requests but on_done. */
void wr_http_conn_abort(struct wr_http_conn *conn, bool reset);

/* ---- the request ---------------------------------------------------------------------------------- */
struct wr_http_conn *wr_http_conn(const struct wr_http_req *req);
struct ssl_st *wr_http_ssl(const struct wr_http_req *req);
bool wr_http_in_early_data(const struct wr_http_req *req); /* it may be a replay */
int wr_http_local(const struct wr_http_req *req, struct wr_addr *out_addr);
bool wr_http_proxy_addr(const struct wr_http_req *req, struct wr_addr *out_src,
                        struct wr_addr *out_dst);
uint64_t
wr_http_began_ms(const struct wr_http_req *req); /* its first byte, wr_loop_now_ms terms */
/* A word of the application's; NULL at first. */
void wr_http_set_data(struct wr_http_req *req, void *data);
void *wr_http_data(const struct wr_http_req *req);
/* The first line as it came, without its end; of a refused head what there is of it. */
struct wr_span wr_http_request_line(const struct wr_http_req *req);
/* Bytes received: the head and what was taken of the body. */
uint64_t wr_http_request_bytes(const struct wr_http_req *req);
/* It was sent before the wait of the loop's turn in which it came returned: what is asked of the kernel in that turn
 * is no older than the request. False: perhaps not (pipelined, the first of a connection, left over). */
bool wr_http_announced(const struct wr_http_req *req);
/* From here on, for the connection too, until set again. Must outlive the connection. WR_E_TOO_BIG: the body that
 * the head announces is longer than max_body; nobody reads it, answer 413. */
WR_MUST int wr_http_set_limits(struct wr_http_req *req,
                               const struct wr_http_conn_limits *limits);
/* The handler is at work: handler_timeout_ms begins again. */
void wr_http_touch(struct wr_http_req *req);
/* Whether the connection stays behind this answer; asked before the head is formed. */
bool wr_http_keep_alive(struct wr_http_req *req);
void wr_http_set_close(struct wr_http_req *req);
const struct wr_head *wr_http_head(const struct wr_http_req *req);
/* The head's bytes move now to where they stay for the request's life, instead of when the handler returns:
 * spans taken from here on are good until the end. 0 or WR_E_BUDGET. */
WR_MUST int wr_http_keep_head(struct wr_http_req *req);
/* The same into the application's memory of wr_http_head_size bytes, which lives until on_done has returned. */
void wr_http_keep_head_in(struct wr_http_req *req, char *mem);
size_t wr_http_head_size(const struct wr_http_req *req);
enum wr_method wr_http_method(const struct wr_http_req *req);
struct wr_span wr_http_path(const struct wr_http_req *req); /* as sent, without the query */
struct wr_span
wr_http_query(const struct wr_http_req *req); /* behind '?'; p == NULL without one */
struct wr_span wr_http_header(const struct wr_http_req *req, enum wr_header id);
struct wr_loop *wr_http_loop(const struct wr_http_req *req);
uint64_t wr_http_conn_id(const struct wr_http_req *req);
int wr_http_peer(const struct wr_http_req *req, struct wr_addr *out_addr);
/* Memory that lives as long as the request. */
struct wr_arena *wr_http_arena(struct wr_http_req *req);
/* Cancelled when the request ends otherwise than by its answer. */
struct wr_scope *wr_http_scope(struct wr_http_req *req);

/* ---- its body: one of these, or neither: then it is skipped ------------------------------------------ */
/* The whole body, contiguous, borrowed for the call. err: 0, or WR_E_TOO_BIG, WR_E_BUDGET ... after which
 * the request still wants an answer (413, 503). A client that goes away is the scope's matter. */
int wr_http_read_body(struct wr_http_req *req, size_t max,
                      void (*fn)(struct wr_http_req *req, struct wr_span body, int err,
                                 void *arg),
                      void *arg);
/* Piece by piece as it comes, each borrowed for the call; last comes once, perhaps with an empty piece. */
void wr_http_stream_body(struct wr_http_req *req,
                         void (*fn)(struct wr_http_req *req, struct wr_span piece, bool last,
                                    void *arg),
                         void *arg);
void wr_http_pause_body(struct wr_http_req *req, bool pause);

/* ---- its answer ------------------------------------------------------------------------------------- */
/* All of it; the bytes are taken before it returns. The result only tells: whatever went wrong has been dealt with
 * (500, or the connection closed). */
int wr_http_reply(struct wr_http_req *req, int status, struct wr_span type,
                  struct wr_span body);
/* The text is formed in the request's arena, as long as memory allows. */
WR_PRINTF(4, 5)
int wr_http_replyf(struct wr_http_req *req, int status, const char *type, const char *fmt, ...);
/* "404 Not Found\n" as text. */
int wr_http_error(struct wr_http_req *req, int status);

/* A small answer formed once per loop and sent many times. */
struct wr_http_ready {
    /* private */
    struct wr_ready keep, close;
    struct wr_span type;
    int status;
    size_t body_n;
};
/* mem holds 2 * (body.n + WR_READY_HEAD_MAX) bytes; it and the type's text outlive the answer. */
WR_MUST int wr_http_ready_form(struct wr_http_ready *r, char *mem, size_t n, int status,
                               struct wr_span type, struct wr_span body);
int wr_http_reply_ready(struct wr_http_req *req, struct wr_http_ready *r);

/* In pieces: begin, any number of writes, end. length: of the body, or WR_HTTP_CHUNKED when it is not
 * known. fields may not hold framing or Connection. 0 or an error: then the request is already gone. */
#define WR_HTTP_CHUNKED UINT64_MAX
struct wr_http_field {
    struct wr_span name, value;
};
WR_MUST int wr_http_begin(struct wr_http_req *req, int status,
                          const struct wr_http_field *fields, size_t nfields, uint64_t length);
/* 0; 1: above output_high, wait for on_drain; negative: the request is gone, except
 * WR_E_TOO_BIG: what goes beyond `length` was cut off, end it. */
WR_MUST int wr_http_write(struct wr_http_req *req, struct wr_span piece);
WR_MUST int wr_http_write_bytes(struct wr_http_req *req, struct wr_bytes *take_bytes);
WR_MUST int wr_http_write_file(struct wr_http_req *req, const struct wr_outq_file *file);
/* Called when the output has fallen below half of output_high. */
void wr_http_on_drain(struct wr_http_req *req, void (*fn)(struct wr_http_req *req, void *arg),
                      void *arg);
/* An answer whose head the application has formed: all its bytes, blank line included, framing and Connection
 * as wr_http_keep_alive and `length` say. length: of the body; WR_HTTP_CHUNKED: chunks are made here, and the head says so
 * (with HTTP/1.0 it is taken as the next); WR_HTTP_UNTIL_CLOSE: the body ends with the connection. Of the answer to HEAD
 * and of 204 and 304 no body is sent, whatever is written. */
#define WR_HTTP_UNTIL_CLOSE (UINT64_MAX - 1)
WR_MUST int wr_http_begin_head(struct wr_http_req *req, int status, struct wr_span head_bytes,
                               uint64_t length);
/* The whole of it at once; body.n is what the head promised. */
int wr_http_reply_bytes(struct wr_http_req *req, int status, struct wr_span head_bytes,
                        struct wr_span body);
/* 100 or 103, complete with its blank line, before the answer. Not for HTTP/1.0: then nothing is sent. */
WR_MUST int wr_http_interim(struct wr_http_req *req, struct wr_span head_bytes);
/* In place of wr_http_end, of a chunked answer: field lines, each with its CRLF. */
int wr_http_end_trailers(struct wr_http_req *req, struct wr_span lines);
bool wr_http_chunked(const struct wr_http_req *req); /* begun, and chunks are made */
uint64_t wr_http_queued(
    const struct wr_http_req *req); /* bytes of the connection not yet in the kernel */
uint64_t
wr_http_sent(const struct wr_http_req *req);       /* of this request's answer, in the kernel */
bool wr_http_begun(const struct wr_http_req *req); /* a head was given */
int wr_http_status(const struct wr_http_req *req); /* of that head; 0 without one */
/* The answer cannot be completed: the connection is ended so that nobody takes it for whole. */
void wr_http_cut(struct wr_http_req *req);
/* An answer shorter than its length ends the connection, so that it is never taken for whole. */
int wr_http_end(struct wr_http_req *req);

#endif
