/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_CONN_SERVER_H
#define WR_CONN_SERVER_H

/*
 * A framed TCP (or unix) server: a listener and its connections.
 *
 *     static int on_frame(struct wr_conn *c, struct wr_view v) { return wr_conn_send_view(c, v); }
 *     static const struct wr_proto echo = {.on_frame = on_frame};
 *     wr_server_open(loop, &(struct wr_server_options){.addr = ":2007", .conn = {.proto = &echo}}, &s);
 *
 * A new connection is read at once and registered with epoll when it first has to wait. At max_conns the
 * listener pauses; the kernel's queue holds whoever comes, and the next close lets one in.
 *
 * 1. accepted = open + closed, by reason.
 * 2. wr_server_stop: accepting ends at once, every connection is finished (flush, FIN, linger); what is
 *    left after grace_ms is cut; then `stopped` is called, once.
 * 3. wr_server_close closes everything now; every on_close still comes, at the end of the turn, and the
 *    memory goes when the last one has. Turn the loop once more before freeing it.
 *
 * Loop thread only, except wr_server_send_to.
 */

#include "libweir/conn/conn.h"
#include "libweir/io/listen.h"

struct wr_server; /* opaque */

struct wr_server_options {
    const char *addr; /* as wr_addr_parse; NULL: as listen.addr says */
    struct wr_listen_options
        listen; /* with addr WR_ADDR_NONE and no addr: no listener, adopt */
    struct wr_conn_options conn;
    uint32_t max_conns;     /* 0: 100,000 */
    struct wr_scope *scope; /* the server is closed when it ends; may be NULL */
    /* For connections that come by wr_server_adopt: max_conns is reached; there is room again. */
    void (*on_full)(struct wr_server *s, bool full, void *arg);
    /* In place of listen.on_notice. */
    void (*on_notice)(struct wr_server *s, const struct wr_listen_notice *n, void *arg);
    /* A connection has ended, behind its on_close. */
    void (*on_conn_closed)(struct wr_server *s, enum wr_close why, void *arg);
    void *arg;
};

WR_MUST int wr_server_open(struct wr_loop *loop, const struct wr_server_options *options,
                           struct wr_server **out_server);
/* Takes NULL and empties the pointer. */
void wr_server_close(struct wr_server **server);
void wr_server_stop(struct wr_server *s, uint64_t grace_ms,
                    void (*stopped)(struct wr_server *s, void *arg), void *arg);

/* A connected descriptor that came by another way: SCM_RIGHTS, socketpair. Taken in any case. */
int wr_server_adopt(struct wr_server *s, int fd);

struct wr_conn *wr_server_find(const struct wr_server *s, uint64_t id);
/* A walk over the open connections: *cursor starts at 0, NULL ends it. Closing meanwhile is allowed. */
struct wr_conn *wr_server_next(const struct wr_server *s, uint32_t *cursor);

/* Any thread; *take_message is taken in any case. 0: it will be sent if the connection still is there when the
 * loop looks, else counted in send_to_gone. WR_E_QUEUE_FULL, WR_E_STOPPED, -ENOMEM. The server must
 * not be closed meanwhile. The loop's heap has to be one that any thread may use, as the default is. */
int wr_server_send_to(struct wr_server *s, uint64_t id, struct wr_bytes *take_message);

struct wr_server_stats {
    struct wr_link_stats links;
    uint64_t frames_in, frames_out, send_to_gone,
        refused; /* refused: no memory for a connection */
    uint32_t open;
};
struct wr_server_stats wr_server_stats(const struct wr_server *s);
struct wr_listener *wr_server_listener(struct wr_server *s); /* NULL without one */

#endif
