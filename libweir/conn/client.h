/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_CONN_CLIENT_H
#define WR_CONN_CLIENT_H

/*
 * A framed client: keeps one connection to a target, and when it is lost connects again, if asked to,
 * after a back-off that doubles up to a bound, with jitter, so that a thousand clients of a restarted
 * server do not come back in the same millisecond.
 *
 *    CONNECTING --> UP --(closed)--> WAITING --(back-off)--> CONNECTING
 *         `--(failed: on_fail)-------^           reconnect == false: ENDED instead of WAITING
 *
 * 1. The connection is a wr_conn: same callbacks, same guarantees.
 * 2. The back-off starts over once a connection has lived for backoff_max_ms.
 * 3. The scope's end closes the client; its memory goes at the end of the turn and the pointer is dead
 *    then. wr_client_close before that is the orderly way.
 *
 * A call with a time limit is a client in a scope with a deadline: on_close of a live connection comes with
 * WR_E_DEADLINE; of one that was still connecting only the scope's `done` tells.
 *
 * The library owns the client. Loop thread only.
 */

#include "libweir/conn/conn.h"
#include "libweir/io/connect.h"

struct wr_client; /* opaque */

struct wr_client_options {
    struct wr_conn_options conn;
    const char *target; /* "host:port" or an address; copied */
    struct wr_connect_options connect;
    struct wr_resolver *resolver; /* NULL: the target is an address */
    bool reconnect;
    uint32_t backoff_ms;     /* 0: 100 */
    uint32_t backoff_max_ms; /* 0: 10 s */
    uint64_t seed;           /* of the jitter; 0: from the loop's clock */
    /* An attempt failed; retry_ms until the next one, 0 when there is none. May be NULL. */
    void (*on_fail)(struct wr_client *client, int err, enum wr_connect_stage stage,
                    uint32_t retry_ms);
};

WR_MUST int wr_client_connect(struct wr_scope *scope, struct wr_loop *loop,
                              const struct wr_client_options *options,
                              struct wr_client **out_client);
/* Takes NULL and empties the pointer. on_close of a live connection still comes, this turn. */
void wr_client_close(struct wr_client **client);

/* The live connection, or NULL. */
struct wr_conn *wr_client_conn(const struct wr_client *client);
void *wr_client_arg(const struct wr_client *client); /* conn.arg */

struct wr_client_stats {
    uint64_t attempts, failures, connected;
    struct wr_link_stats links;
};
struct wr_client_stats wr_client_stats(const struct wr_client *client);

#endif
