/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_IO_TLS_H
#define WR_IO_TLS_H

/*
 * A stream (io/stream.h) whose bytes are TLS, by OpenSSL, both ends.
 *
 * The program makes the SSL_CTX, with certificates, callbacks and sessions, and includes OpenSSL for that;
 * here a descriptor gets an SSL object and a table of functions. The handshake is driven from inside reads
 * and writes: until it is over they are -EAGAIN. OpenSSL never touches the socket: what one recv brought lies
 * in a block from which it is fed, and the records that it makes of one writev are collected in a block and
 * go out in one send.
 *
 *   HANDSHAKE --done--> OPEN --close_notify or FIN--> reads are 0
 *       | first byte is no record's: PLAIN (wr_tls_is_plain), the bytes are the reader's
 *       | refused, alert, too many key updates: WR_E_PROTO, for ever
 *
 * 1. One recv and one send for a request and its answer; none fails for want of bytes when the kernel had
 *    announced nothing more.
 * 2. A stream that waits between requests holds no block: both are given back when they are empty, and OpenSSL
 *    gives back its own (SSL_MODE_RELEASE_BUFFERS).
 * 3. What writev took and the kernel did not yet is `held`: it counts as sent, wr_stream_flush moves it, and
 *    nothing new is taken before.
 * 4. Renegotiation is refused. More than WR_TLS_KEY_UPDATES_MAX key updates of the peer, or attempts at a
 *    renegotiation, in a minute end the stream.
 * 5. A FIN without close_notify reads as 0; wr_tls_was_cut tells the difference.
 *
 * The stream owns the SSL object and its blocks; wr_stream_deinit frees them. Owner loop only.
 */

#include "libweir/base/span.h"
#include "libweir/io/stream.h"

struct ssl_st;     /* SSL */
struct ssl_ctx_st; /* SSL_CTX */
struct wr_loop;

#define WR_TLS_KEY_UPDATES_MAX 32

struct wr_tls_options {
    bool client;       /* connects; else accepts */
    bool detect_plain; /* a first byte that no TLS record has makes the stream a plain one */
    bool
        early_data; /* server: read it (the context allows it with SSL_CTX_set_max_early_data) */
    uint32_t
        record_max; /* bytes of plaintext in a record (ssl_buffer_size), at most and by default 16384 */
    const char *host; /* client: SNI; may be NULL */
    void *owner;      /* for wr_tls_owner */
};

/* In place of wr_stream_init. `seen` are bytes that somebody else has read from fd already (behind a PROXY
 * header); they are copied. 0, -ENOMEM, WR_E_BUDGET; on failure s is not initialised. options may be NULL. */
WR_MUST int wr_tls_stream_init(struct wr_stream *s, int fd, struct ssl_ctx_st *ctx,
                               struct wr_loop *loop, const struct wr_tls_options *options,
                               struct wr_span seen);

/* The rest may be asked of any stream; a plain one answers NULL or false. */
bool wr_stream_is_tls(const struct wr_stream *s);
struct ssl_st *wr_tls_ssl(const struct wr_stream *s);
bool wr_tls_handshaking(const struct wr_stream *s);
bool wr_tls_is_plain(const struct wr_stream *s);      /* detect_plain found that it is */
bool wr_tls_in_early_data(const struct wr_stream *s); /* what was read may be a replay */
bool wr_tls_was_cut(const struct wr_stream *s);       /* FIN came without close_notify */
uint64_t wr_tls_wire_in(
    const struct wr_stream *s); /* bytes on the wire, records and handshake included */
uint64_t wr_tls_wire_out(const struct wr_stream *s);
/* Text of the first error of OpenSSL on this stream ("no shared cipher"), or NULL. */
const char *wr_tls_error(const struct wr_stream *s);
/* From inside a callback of OpenSSL: the owner given in the options; and another record_max, when the name is known. */
void *wr_tls_owner(const struct ssl_st *ssl);
void wr_tls_set_record_max(const struct ssl_st *ssl, uint32_t bytes);

#endif
