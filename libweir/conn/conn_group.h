/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_CONN_CONN_GROUP_H
#define WR_CONN_CONN_GROUP_H

/*
 * What the framed connections of one server or client share. Not installed: servers and clients are
 * the two ways to have a group, the program sees connections.
 *
 * The group holds the options with every default filled in, the typed pool that connections come from,
 * and the block that all of them read into.
 *
 * 1. The shared block is written only while nobody else holds it; when somebody kept bytes of it, the
 *    group takes another.
 * 2. `gone` is called once, after wr_conn_group_close, when the last connection's memory is back.
 *
 * Embedded in its owner. Loop thread only.
 */

#include "libweir/base/mem_pool.h"
#include "libweir/conn/conn.h"

struct wr_conn_group {
    struct wr_link_group links;
    struct wr_conn_options options;
    struct wr_codec codec;
    struct wr_pool pool;
    struct wr_block *shared;
    struct wr_scope *scope; /* parent of the connections' scopes, may be NULL */
    /* A connection has closed: its on_close has run. May be NULL. */
    void (*on_closed)(struct wr_conn_group *g, struct wr_conn *c);
    void (*gone)(struct wr_conn_group *g);
    uint64_t frames_in, frames_out;
    uint32_t live; /* connections whose memory is out */
    bool client, reading, closing, told;
    struct wr_free_later later;
};

/* options are checked and copied. WR_E_RANGE when they make no sense. */
WR_MUST int wr_conn_group_init(struct wr_conn_group *g, struct wr_loop *loop,
                               const struct wr_conn_options *options, uint32_t max,
                               struct wr_scope *scope, bool client);
/* Closes every connection. */
void wr_conn_group_close(struct wr_conn_group *g, enum wr_close why, int err);

/* Opens a connection over fd, calls on_open and reads. fd is taken in any case. */
WR_MUST int wr_conn_new(struct wr_conn_group *g, int fd, struct wr_conn **out_conn);
struct wr_conn *wr_conn_of(struct wr_link *l);
struct wr_link *wr_conn_link(struct wr_conn *c);
/* Flush, FIN, linger, with this reason. */
void wr_conn_finish(struct wr_conn *c, enum wr_close why, int err);

#endif
