/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ACCESS_TRUSTED_H
#define ACCESS_TRUSTED_H

/*
 * Whom a proxy speaks for: networks that are believed, and the client's address out of what they forward.
 *
 * X-Forwarded-For grows at its end with every proxy. Its last address was written by the proxy that we know; when that
 * address is itself a trusted proxy and `recursive` is asked for, the one before it counts, and so on.
 *
 * 1. An address that an untrusted peer forwards is never believed.
 * 2. Text that is no address ends the walk; what was found up to there stands.
 *
 * Lists lie in the configuration's arena. Any thread.
 */

#include "libweir/base/mem_arena.h"
#include "libweir/io/addr.h"
#include "libweir/io/net.h"

struct trusted {
    struct wr_net *nets;
    uint32_t n, room;
    bool unix_sockets; /* "unix:" */
};

/* A network, an address, or "unix:". WR_E_SYNTAX, -ENOMEM; 1: bits behind the prefix were set. */
WR_MUST int trusted_add(struct trusted *t, struct wr_arena *arena, struct wr_span text);
WR_MUST int trusted_add_addr(struct trusted *t, struct wr_arena *arena,
                             const struct wr_addr *addr);
bool trusted_has(const struct trusted *t, const struct wr_addr *addr);

/* Goes on with one field's value; fields are given from the last to the first, as long as the walk is not over.
 * *io begins as the peer. */
enum trusted_walk {
    TRUSTED_STAYED, /* *io is what it was; the walk is over */
    TRUSTED_ENDED,  /* *io is another address; the walk is over */
    TRUSTED_MOVED,  /* *io is another address; the field before may go on */
};
enum trusted_walk trusted_walk(const struct trusted *t, struct wr_span value, bool recursive,
                               struct wr_addr *io);

/* "1.2.3.4", "1.2.3.4:80", "::1", "[::1]:80", "unix:..."; port 0 without one. */
WR_MUST int trusted_parse(struct wr_span text, struct wr_addr *out);

#endif
