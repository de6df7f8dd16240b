/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_CONN_CONN_H
#define WR_CONN_CONN_H

/*
 * A framed connection: bytes come in, whole messages go to the program; the program sends messages, the
 * library writes them once per turn. The same on the accepting side (server.h) and the connecting one
 * (client.h).
 *
 * Reads go into a block that all connections of a group share; only an unfinished message gets a block
 * of its own. A message is lent as a view for the length of on_frame; who wants it longer keeps it
 * (wr_view_keep) or sends it (wr_conn_send_view). Silence is noticed by stamps and one lazy timer: a
 * busy connection costs one store per message.
 *
 * 1. on_open first (once), on_close last, exactly once for every connection whose on_open was called, and
 *    never from inside another call. Nothing is called in between after wr_conn_abort.
 * 2. Every timeout is finite unless set to WR_FOREVER.
 * 3. handshake_ms: from open to the first whole frame. idle_ms: between frames; a frame for which
 *    on_frame returned WR_FRAME_QUIET (a pong) does not count. heartbeat_ms: between bytes; each
 *    interval of silence calls on_idle with how many there were, and after heartbeat_miss of them the
 *    connection is closed.
 * 4. Output over `high` is advice (send returns 1, on_high), below `low` again on_drain; over `hard` the
 *    connection is closed, whoever is to blame.
 * 5. At most frames_per_turn frames, and WR_IO_TURN_BYTES bytes, are taken before others have their turn.
 * 6. An idle connection owns no buffer and takes at most WR_CONN_BYTES of memory besides user_size and two
 *    entries in tables of the loop and the group.
 *
 * The library owns the connection; what the program may keep is its id. Loop thread only, except
 * wr_server_send_to.
 */

#include "libweir/base/bytes.h"
#include "libweir/conn/codec.h"
#include "libweir/conn/link.h"

struct wr_addr;
struct wr_conn; /* opaque */

#define WR_CONN_BYTES  288
#define WR_FRAME_QUIET 2 /* result of on_frame: a sign of life, not activity */

/* Each may be NULL. */
struct wr_proto {
    int (*on_open)(struct wr_conn *c); /* < 0: closed with this error */
    /* One whole message. < 0: closed with this error, WR_E_PROTO being the usual one. 0 and 1 are
     * good, so that what wr_conn_send answers may be passed on; or WR_FRAME_QUIET. */
    int (*on_frame)(struct wr_conn *c, struct wr_view frame);
    void (*on_idle)(struct wr_conn *c, unsigned missed); /* send a ping */
    void (*on_high)(struct wr_conn *c, uint64_t queued);
    void (*on_drain)(struct wr_conn *c);
    void (*on_close)(struct wr_conn *c, enum wr_close why, int err);
};

/* Zero is a default, named at the right. */
struct wr_conn_options {
    const struct wr_proto *proto;
    const struct wr_codec *codec; /* NULL: raw */
    void *arg;                    /* wr_conn_arg */
    size_t user_size;             /* zeroed bytes inside the connection: wr_conn_user */
    uint32_t handshake_ms;        /* 10 s; a client does not wait for a first frame */
    uint32_t idle_ms;             /* 60 s; a client: 10 min */
    uint32_t heartbeat_ms;        /* 10 s if there is an on_idle, else none */
    uint32_t heartbeat_miss;      /* 3 */
    uint32_t write_stall_ms;      /* 30 s */
    uint32_t drain_ms;            /* 60 s */
    uint32_t linger_ms;           /* 5 s */
    uint32_t frames_per_turn;     /* 256 */
    uint64_t high, low, hard;     /* 1 MiB, high / 4, 8 MiB (at least 2 * high) */
};

void *wr_conn_user(struct wr_conn *c);
void *wr_conn_arg(const struct wr_conn *c);
uint64_t wr_conn_id(const struct wr_conn *c);
struct wr_loop *wr_conn_loop(const struct wr_conn *c);
WR_MUST int wr_conn_peer(const struct wr_conn *c, struct wr_addr *out_addr);
uint64_t wr_conn_queued(const struct wr_conn *c);

/* Operations begun on behalf of this connection; cancelled with WR_E_CLOSED when it closes. Made at
 * the first call; NULL when memory is refused or the connection is closed. */
struct wr_scope *wr_conn_scope(struct wr_conn *c);

/* The codec's framing is laid around each message. 0; 1 above the high-water mark; WR_E_TOO_BIG or
 * WR_E_PROTO: not a legal message, nothing was sent; WR_E_HARD_LIMIT, WR_E_BUDGET, -ENOMEM: the
 * connection has been closed; WR_E_CLOSED. */
int wr_conn_send(struct wr_conn *c, struct wr_span message);
int wr_conn_send_view(struct wr_conn *c,
                      struct wr_view message); /* keeps or copies by itself */
int wr_conn_send_bytes(struct wr_conn *c,
                       struct wr_bytes *take_message); /* taken in any case */

void wr_conn_pause_reading(struct wr_conn *c, bool pause);
void wr_conn_shutdown(struct wr_conn *c); /* flush, FIN, linger, close */
void wr_conn_abort(struct wr_conn *c);    /* now; queued output is lost */

#endif
