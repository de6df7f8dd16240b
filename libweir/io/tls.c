/* SPDX-License-Identifier: BSD-2-Clause */

/* How a TLS stream begins, what may be asked of it, and one that is found to be plain. */

#include "libweir/io/tls_private.h"

#include <errno.h>
#include <openssl/bio.h>

#define RECORD_MAX 16384u
#define MINUTE_MS  60000u

/* ---- plain after all ----------------------------------------------------------------------------------- */

void wr_tls_found_plain_(struct tls *t)
{
    struct wr_stream *s = t->stream;
    SSL_free(t->ssl);
    t->ssl = NULL;
    wr_block_drop(&t->out);
    s->held = 0;
    s->ops = &wr_tls_plain_ops_;
    s->readable = true;
}

static ssize_t found_plain_readv(struct wr_stream *s, const struct iovec *v, int n)
{
    struct tls *t = tls_of(s);
    uint32_t have = t->in_n - t->in_at;
    if (!have)
        return wr_stream_plain_ops_.readv(s, v, n);
    uint32_t take = have < v->iov_len ? have : (uint32_t)v->iov_len;
    memcpy(v->iov_base, t->in->data + t->in_at, take);
    t->in_at += take;
    wr_tls_drop_in_(t);
    s->readable = s->in_ready || t->in;
    return (ssize_t)take;
}

static ssize_t found_plain_writev(struct wr_stream *s, const struct iovec *v, int n, bool more)
{
    return wr_stream_plain_ops_.writev(s, v, n, more);
}

static ssize_t found_plain_sendfile(struct wr_stream *s, int file_fd, uint64_t offset, size_t n)
{
    return wr_stream_plain_ops_.sendfile(s, file_fd, offset, n);
}

static int found_plain_shutdown(struct wr_stream *s)
{
    return wr_stream_plain_ops_.shutdown(s);
}

const struct wr_stream_ops wr_tls_plain_ops_ = {
    .name = "plain",
    .readv = found_plain_readv,
    .writev = found_plain_writev,
    .sendfile = found_plain_sendfile,
    .shutdown = found_plain_shutdown,
    .deinit = wr_tls_deinit_,
};

/* ---- the beginning -------------------------------------------------------------------------------------- */

/* Key updates, and asking for a renegotiation (known by our refusal), cost us more than the peer, and OpenSSL goes
 * through any number of them in one call; a few in a minute are honest. */
static const char *what_floods(bool writing, int type, const unsigned char *p, size_t n)
{
    if (writing)
        return type == SSL3_RT_ALERT && n == 2 && p[1] == SSL_AD_NO_RENEGOTIATION
                   ? "too many renegotiations"
                   : NULL;
    return type == SSL3_RT_HANDSHAKE && n >= 1 && p[0] == SSL3_MT_KEY_UPDATE
               ? "too many key updates"
               : NULL;
}

static void on_message(int writing, int version, int type, const void *p, size_t n, SSL *ssl,
                       void *arg)
{
    struct tls *t = arg;
    (void)version;
    (void)ssl;
    const char *flood = what_floods(writing, type, p, n);
    if (!flood)
        return;
    uint64_t now = wr_loop_now_ms(t->loop);
    if (now - t->minute_ms >= MINUTE_MS) {
        t->minute_ms = now;
        t->key_updates = 0;
    }
    if (t->key_updates++ >= WR_TLS_KEY_UPDATES_MAX) {
        t->state = TLS_BROKEN;
        t->error = flood;
    }
}

/* OpenSSL's macro for it casts the const away. */
static bool name_server(SSL *ssl, const char *host)
{
    return SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                    (void *)(uintptr_t)host) == 1;
}

static int make_ssl(struct tls *t, SSL_CTX *ctx, const struct wr_tls_options *o)
{
    SSL *ssl = SSL_new(ctx);
    BIO *bio = ssl ? wr_tls_bio_(t) : NULL;
    if (!bio) {
        SSL_free(ssl);
        ERR_clear_error();
        return -ENOMEM;
    }
    SSL_set_bio(ssl, bio, bio);
    SSL_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                          SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    /* A FIN without close_notify ends reading; writing goes on, as to any half-closed client. */
    SSL_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_set_msg_callback(ssl, on_message);
    SSL_set_msg_callback_arg(ssl, t);
    if (o->client)
        SSL_set_connect_state(ssl);
    else
        SSL_set_accept_state(ssl);
    if (o->client && o->host && !name_server(ssl, o->host)) {
        SSL_free(ssl);
        ERR_clear_error();
        return -EINVAL;
    }
    t->ssl = ssl;
    return 0;
}

static uint32_t record_max(uint32_t wanted)
{
    return wanted && wanted < RECORD_MAX ? wanted : RECORD_MAX;
}

static int keep_seen(struct tls *t, struct wr_span seen)
{
    if (seen.n == 0)
        return 0;
    int err = wr_block_take(wr_loop_blocks(t->loop), NULL, seen.n, &t->in);
    if (err)
        return err;
    memcpy(t->in->data, seen.p, seen.n);
    t->in_n = (uint32_t)seen.n;
    t->wire_in = seen.n;
    return 0;
}

int wr_tls_stream_init(struct wr_stream *s, int fd, SSL_CTX *ctx, struct wr_loop *loop,
                       const struct wr_tls_options *options, struct wr_span seen)
{
    struct wr_tls_options o = options ? *options : (struct wr_tls_options){0};
    struct tls *t = wr_heap_zalloc(wr_loop_heap(loop), sizeof *t);
    if (!t)
        return -ENOMEM;
    t->loop = loop;
    t->stream = s;
    t->owner = o.owner;
    t->server = !o.client;
    t->detect = o.detect_plain;
    t->record_max = record_max(o.record_max);
    t->state = o.early_data && !o.client ? TLS_EARLY : TLS_HANDSHAKE;
    int err = keep_seen(t, seen);
    if (!err)
        err = make_ssl(t, ctx, &o);
    if (err) {
        wr_block_drop(&t->in);
        wr_heap_free(wr_loop_heap(loop), t, sizeof *t);
        return err;
    }
    wr_stream_init(s, fd);
    s->ops = &wr_tls_ops_;
    s->impl = t;
    return 0;
}

void wr_tls_deinit_(struct wr_stream *s)
{
    struct tls *t = tls_of(s);
    if (t->ssl && t->state == TLS_OPEN) /* else OpenSSL takes the session for a broken one */
        SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(t->ssl);
    wr_block_drop(&t->in);
    wr_block_drop(&t->out);
    wr_heap_free(wr_loop_heap(t->loop), t, sizeof *t);
}

/* ---- questions --------------------------------------------------------------------------------------- */

bool wr_stream_is_tls(const struct wr_stream *s)
{
    return s->ops == &wr_tls_ops_;
}

SSL *wr_tls_ssl(const struct wr_stream *s)
{
    return wr_stream_is_tls(s) ? tls_of(s)->ssl : NULL;
}

bool wr_tls_handshaking(const struct wr_stream *s)
{
    return wr_stream_is_tls(s) && tls_of(s)->state < TLS_OPEN;
}

bool wr_tls_is_plain(const struct wr_stream *s)
{
    return s->ops == &wr_tls_plain_ops_;
}

bool wr_tls_in_early_data(const struct wr_stream *s)
{
    return wr_tls_handshaking(s) &&
           SSL_get_early_data_status(tls_of(s)->ssl) == SSL_EARLY_DATA_ACCEPTED;
}

bool wr_tls_was_cut(const struct wr_stream *s)
{
    return wr_stream_is_tls(s) && tls_of(s)->cut;
}

uint64_t wr_tls_wire_in(const struct wr_stream *s)
{
    return wr_stream_is_tls(s) ? tls_of(s)->wire_in : s->bytes_in;
}

uint64_t wr_tls_wire_out(const struct wr_stream *s)
{
    return wr_stream_is_tls(s) ? tls_of(s)->wire_out : s->bytes_out;
}

const char *wr_tls_error(const struct wr_stream *s)
{
    return wr_stream_is_tls(s) ? tls_of(s)->error : NULL;
}

static struct tls *tls_of_ssl(const SSL *ssl)
{
    BIO *bio = SSL_get_rbio(ssl);
    return bio ? BIO_get_data(bio) : NULL;
}

void *wr_tls_owner(const SSL *ssl)
{
    const struct tls *t = tls_of_ssl(ssl);
    return t ? t->owner : NULL;
}

void wr_tls_set_record_max(const SSL *ssl, uint32_t bytes)
{
    struct tls *t = tls_of_ssl(ssl);
    if (t)
        t->record_max = record_max(bytes);
}
