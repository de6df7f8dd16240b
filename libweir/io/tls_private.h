/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_IO_TLS_PRIVATE_H
#define WR_IO_TLS_PRIVATE_H

/*
 * Shared by the three files of a TLS stream: tls_wire.c (blocks, the socket, and what OpenSSL sees of them),
 * tls_bytes.c (the handshake, reading, writing, the end) and tls.c (how a stream begins, what may be asked of it,
 * and one that is found to be plain).
 *
 * 1. Only tls_wire.c touches the socket and the blocks' positions, but for records that are made in place.
 * 2. `state` changes in tls_bytes.c, and to TLS_BROKEN also when the peer updates its keys or renegotiates too often.
 * 3. Once `plain` is set there is no record to come; wr_tls_found_plain_ then changes the table of functions.
 */

#include "libweir/base/block.h"
#include "libweir/base/err.h"
#include "libweir/base/heap.h"
#include "libweir/io/loop.h"
#include "libweir/io/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#define TLS_IN_BLOCK ((size_t)64 << 10)

/*
 *   state       reads                          writes
 *   EARLY       early data, then HANDSHAKE     as far as OpenSSL allows it there
 *   HANDSHAKE   drive it                       drive it
 *   OPEN        records                        records
 *   BROKEN      WR_E_PROTO                     WR_E_PROTO
 *
 * A stream that is found to be plain leaves this table for another table of functions.
 */
enum tls_state {
    TLS_EARLY,
    TLS_HANDSHAKE,
    TLS_OPEN,
    TLS_BROKEN,
};

struct tls {
    SSL *ssl;
    struct wr_stream *stream;
    struct wr_loop *loop;
    struct wr_block *in, *out; /* of the wire; NULL while empty */
    uint32_t in_at, in_n, out_at, out_n;
    uint64_t wire_in, wire_out;
    uint64_t minute_ms; /* when the counting of key updates began */
    uint32_t record_max;
    const char *error;
    void *owner;
    uint8_t state, key_updates;
    bool detect, plain, server;
    bool eof;         /* of the wire */
    bool cut;         /* without close_notify */
    bool closed;      /* with it */
    bool said_closed; /* we sent it */
    int err;          /* of the socket */
};

/* tls_bytes.c, tls.c */
extern const struct wr_stream_ops wr_tls_ops_, wr_tls_plain_ops_;

static inline struct tls *tls_of(const struct wr_stream *s)
{
    return s->impl;
}

static inline void tls_clear_errors(void)
{
    if (WR_UNLIKELY(ERR_peek_error() != 0))
        ERR_clear_error();
}

/* ---- tls_wire.c ---- */
/* Gives the block of input back when it is empty. */
void wr_tls_drop_in_(struct tls *t);
/* What the kernel takes of `out`; the rest is held. 0, -EAGAIN, or the error. */
int wr_tls_push_(struct tls *t, bool more);
/* Room for n more bytes behind what is held. */
WR_MUST int wr_tls_reserve_out_(struct tls *t, size_t n);
/* The SSL object's view of the wire; NULL without memory. */
BIO *wr_tls_bio_(struct tls *t);

/* ---- tls.c ---- */
/* The bytes are no TLS: from here on s is a plain stream, whose first bytes lie in `in`. */
void wr_tls_found_plain_(struct tls *t);
void wr_tls_deinit_(struct wr_stream *s);

#endif
