/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/tls.h"

#include "libweir/base/assert.h"
#include "libweir/base/block.h"
#include "libweir/base/err.h"
#include "libweir/base/heap.h"
#include "libweir/io/loop.h"
#include "libweir/io/sock.h"
#include "libweir/os/os.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#define RECORD_MAX   16384u
#define OVERHEAD     128u /* of a record: header, IV, MAC, padding; and a key update before it */
#define IN_BLOCK     ((size_t)64 << 10)
#define MINUTE_MS    60000u
#define READ_AT_ONCE INT32_MAX

/*
 *   state       reads                          writes
 *   EARLY       early data, then HANDSHAKE     as far as OpenSSL allows it there
 *   HANDSHAKE   drive it                       drive it
 *   OPEN        records                        records
 *   BROKEN      WR_E_PROTO                     WR_E_PROTO
 *
 * A stream that is found to be plain leaves this table for another table of functions.
 */
enum state {
    EARLY,
    HANDSHAKE,
    OPEN,
    BROKEN,
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

static const struct wr_stream_ops tls_ops, found_plain_ops;

static struct tls *tls_of(const struct wr_stream *s)
{
    return s->impl;
}

/* ---- the wire: blocks and the socket ---------------------------------------------------------------- */

static void drop_in(struct tls *t)
{
    if (t->in && t->in_at == t->in_n) {
        wr_block_drop(&t->in);
        t->in_at = t->in_n = 0;
    }
}

/* One recv into an empty block. > 0, 0 at the end, -EAGAIN, or the error. */
static ssize_t fill(struct tls *t)
{
    struct wr_stream *s = t->stream;
    if (t->eof)
        return 0;
    if (!s->in_ready)
        return -EAGAIN;
    if (!t->in) {
        int err = wr_block_take(wr_loop_blocks(t->loop), NULL, IN_BLOCK, &t->in);
        if (err)
            return err;
    }
    t->in_at = t->in_n = 0;
    ssize_t got = wr_os_recv(s->fd, t->in->data, t->in->size, 0);
    if (got == -EAGAIN || (got > 0 && !s->hang_up && (size_t)got < t->in->size))
        s->in_ready = false;
    if (got == 0)
        t->eof = true;
    if (got <= 0)
        return got;
    t->in_n = (uint32_t)got;
    t->wire_in += (uint64_t)got;
    return got;
}

/* What the kernel takes of `out`; the rest is held. 0, -EAGAIN, or the error. */
static int push(struct tls *t, bool more)
{
    struct wr_stream *s = t->stream;
    ssize_t put = 0;
    if (t->out && s->out_ready)
        put = wr_os_send(s->fd, t->out->data + t->out_at, t->out_n - t->out_at,
                         more ? MSG_MORE : 0);
    if (put > 0) {
        t->out_at += (uint32_t)put;
        t->wire_out += (uint64_t)put;
    }
    if (t->out && t->out_at == t->out_n) {
        wr_block_drop(&t->out);
        t->out_at = t->out_n = 0;
    }
    s->held = t->out_n - t->out_at;
    if (put < 0 && put != -EAGAIN) {
        t->err = (int)put;
        return t->err;
    }
    if (s->held)
        s->out_ready = s->writable = false;
    return s->held ? -EAGAIN : 0;
}

/* Room for n more bytes behind what is held. */
static int reserve_out(struct tls *t, size_t n)
{
    struct wr_block *b = NULL;
    if (t->out && t->out->size - t->out_n >= n)
        return 0;
    uint32_t held = t->out_n - t->out_at;
    int err = wr_block_take(wr_loop_blocks(t->loop), NULL, held + n, &b);
    if (err)
        return err;
    if (held)
        memcpy(b->data, t->out->data + t->out_at, held);
    wr_block_drop(&t->out);
    t->out = b;
    t->out_at = 0;
    t->out_n = held;
    return 0;
}

/* ---- what OpenSSL sees of it ---------------------------------------------------------------------- */

/* A record of TLS begins with its type, 22 for a handshake; SSL 2 hellos set the high bit. */
static bool looks_plain(struct tls *t)
{
    unsigned char first = (unsigned char)t->in->data[t->in_at];
    t->detect = false;
    return first != 0x16 && !(first & 0x80);
}

static int bio_read(BIO *bio, char *p, int n)
{
    struct tls *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (t->in_at == t->in_n) {
        ssize_t got = fill(t);
        if (got == -EAGAIN)
            BIO_set_retry_read(bio);
        else if (got < 0)
            t->err = (int)got;
        if (got <= 0)
            return got == 0 ? 0 : -1;
    }
    if (t->detect && looks_plain(t)) {
        t->plain = true;
        return -1;
    }
    uint32_t have = t->in_n - t->in_at, take = have < (uint32_t)n ? have : (uint32_t)n;
    memcpy(p, t->in->data + t->in_at, take);
    t->in_at += take;
    return (int)take;
}

static int bio_write(BIO *bio, const char *p, int n)
{
    struct tls *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    int err = reserve_out(t, (size_t)n);
    if (err) {
        t->err = err;
        return -1;
    }
    memcpy(t->out->data + t->out_n, p, (size_t)n);
    t->out_n += (uint32_t)n;
    t->stream->held = t->out_n - t->out_at;
    return n;
}

static long bio_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
    const struct tls *t = BIO_get_data(bio);
    (void)num;
    (void)ptr;
    if (cmd == BIO_CTRL_EOF)
        return t && t->eof && t->in_at == t->in_n;
    return cmd == BIO_CTRL_FLUSH || cmd == BIO_CTRL_DUP;
}

static int bio_new(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

static BIO_METHOD *bio_method;
static CRYPTO_ONCE bio_method_once = CRYPTO_ONCE_STATIC_INIT;

static void make_bio_method(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK | BIO_get_new_index(), "weir stream");
    if (m && BIO_meth_set_read(m, bio_read) && BIO_meth_set_write(m, bio_write) &&
        BIO_meth_set_ctrl(m, bio_ctrl) && BIO_meth_set_create(m, bio_new))
        bio_method = m;
}

/* Key updates cost us more than the peer; a few in a minute are honest. */
static void on_message(int writing, int version, int type, const void *p, size_t n, SSL *ssl,
                       void *arg)
{
    struct tls *t = arg;
    (void)version;
    (void)ssl;
    if (writing || type != SSL3_RT_HANDSHAKE || n < 1 ||
        *(const unsigned char *)p != SSL3_MT_KEY_UPDATE)
        return;
    uint64_t now = wr_loop_now_ms(t->loop);
    if (now - t->minute_ms >= MINUTE_MS) {
        t->minute_ms = now;
        t->key_updates = 0;
    }
    if (t->key_updates++ >= WR_TLS_KEY_UPDATES_MAX) {
        t->state = BROKEN;
        t->error = "too many key updates";
    }
}

/* ---- results --------------------------------------------------------------------------------------- */

static void clear_errors(void)
{
    if (WR_UNLIKELY(ERR_peek_error() != 0))
        ERR_clear_error();
}

/* What a call of OpenSSL that did not succeed means for the owner; 0 is the end. */
static int judge(struct tls *t, int rc)
{
    struct wr_stream *s = t->stream;
    if (t->plain)
        return -EAGAIN;
    int why = SSL_get_error(t->ssl, rc);
    if (t->err) /* of the socket or of memory: more telling */
        why = SSL_ERROR_NONE;
    switch (why) {
    case SSL_ERROR_NONE:
        return t->err ? t->err : -EAGAIN;
    case SSL_ERROR_ZERO_RETURN: /* also for a FIN alone: see IGNORE_UNEXPECTED_EOF */
        t->closed = true;
        t->cut = t->eof;
        return 0;
    case SSL_ERROR_SSL:
    case SSL_ERROR_SYSCALL:
        break;
    default: /* wants bytes, or something that the program's callbacks wait for */
        if (!s->in_ready)
            s->readable = false;
        return t->state == BROKEN ? WR_E_PROTO : -EAGAIN;
    }
    const char *text = ERR_reason_error_string(ERR_peek_error());
    ERR_clear_error();
    if (t->eof && t->in_at == t->in_n) {
        t->cut = true;
        return 0;
    }
    t->state = BROKEN;
    t->error = t->error ? t->error : text ? text : "unknown";
    return WR_E_PROTO;
}

/* ---- the handshake ----------------------------------------------------------------------------------- */

static void found_plain(struct tls *t)
{
    struct wr_stream *s = t->stream;
    SSL_free(t->ssl);
    t->ssl = NULL;
    wr_block_drop(&t->out);
    s->held = 0;
    s->ops = &found_plain_ops;
    s->readable = true;
}

/* 0: it is over; -EAGAIN; else the error, or 1 for a peer that left. */
static int drive(struct tls *t)
{
    struct wr_stream *s = t->stream;
    if (t->state == BROKEN)
        return WR_E_PROTO;
    clear_errors();
    int rc = SSL_do_handshake(t->ssl);
    if (rc == 1) {
        t->state = OPEN;
        s->writable = s->out_ready;
        return 0; /* what it wrote last goes with the first answer, or when the owner flushes */
    }
    int err = judge(t, rc);
    if (t->plain)
        return -EAGAIN;
    int pushed = push(t, false); /* its messages, or the alert that says why not */
    drop_in(t);
    if (err == -EAGAIN && pushed < 0 && pushed != -EAGAIN)
        return pushed;
    return err == 0 ? 1 : err;
}

/* ---- reading ------------------------------------------------------------------------------------------ */

/* Nothing more can come out without another recv, and a recv would find nothing. */
static bool is_dry(const struct tls *t)
{
    return t->in_at == t->in_n && !t->stream->in_ready && !SSL_has_pending(t->ssl);
}

static ssize_t read_early(struct tls *t, void *p, size_t n)
{
    size_t got = 0;
    clear_errors();
    switch (SSL_read_early_data(t->ssl, p, n, &got)) {
    case SSL_READ_EARLY_DATA_SUCCESS:
        if (got)
            return (ssize_t)got;
        WR_FALLTHROUGH;
    case SSL_READ_EARLY_DATA_FINISH:
        t->state = HANDSHAKE;
        return -EAGAIN;
    default:
        return judge(t, -1);
    }
}

/* One piece from as many records as are here. */
static ssize_t read_records(struct tls *t, char *p, size_t n)
{
    size_t sum = 0;
    while (sum < n) {
        size_t want = n - sum < READ_AT_ONCE ? n - sum : READ_AT_ONCE;
        clear_errors();
        int got = SSL_read(t->ssl, p + sum, (int)want);
        if (got <= 0) {
            int err = judge(t, got);
            return sum ? (ssize_t)sum : err;
        }
        sum += (size_t)got;
        if (t->state == BROKEN || is_dry(t))
            break;
    }
    return (ssize_t)sum;
}

static ssize_t tls_read(struct tls *t, char *p, size_t n)
{
    if (t->state == EARLY) {
        ssize_t got = read_early(t, p, n);
        if (got != -EAGAIN || t->state == EARLY || t->plain)
            return got;
    }
    if (t->state == HANDSHAKE) {
        int err = drive(t);
        if (err)
            return err == 1 ? 0 : err;
    }
    if (t->state == BROKEN)
        return WR_E_PROTO;
    if (t->closed || t->cut)
        return 0;
    return read_records(t, p, n);
}

static ssize_t tls_readv(struct wr_stream *s, const struct iovec *v, int n)
{
    struct tls *t = tls_of(s);
    ssize_t sum = 0;
    for (int i = 0; i < n; i++) {
        ssize_t got = tls_read(t, v[i].iov_base, v[i].iov_len);
        if (got <= 0 && sum == 0)
            sum = got;
        if (got <= 0)
            break;
        sum += got;
        if ((size_t)got < v[i].iov_len)
            break;
    }
    if (t->plain) {
        found_plain(t);
        return s->ops->readv(s, v, n);
    }
    drop_in(t);
    /* Without bytes there may be no answer to carry what was written on the way (tickets, key updates). */
    if (sum <= 0 && s->held && t->state != BROKEN)
        (void)push(t, false);
    if (t->state != EARLY && (sum == -EAGAIN || (sum > 0 && is_dry(t))))
        s->readable = s->in_ready;
    return sum;
}

/* ---- writing ------------------------------------------------------------------------------------------ */

static size_t bytes_in(const struct iovec *v, int n)
{
    size_t sum = 0;
    for (int i = 0; i < n; i++)
        sum += v[i].iov_len;
    return sum;
}

/* Bytes taken, more than none, or an error. */
static int write_record(struct tls *t, const char *p, size_t n)
{
    size_t put = 0;
    clear_errors();
    int rc = WR_LIKELY(t->state == OPEN) ? SSL_write_ex(t->ssl, p, n, &put)
                                         : SSL_write_early_data(t->ssl, p, n, &put);
    if (rc == 1 && put)
        return (int)put;
    int err = judge(t, rc);
    return err ? err : -EPIPE;
}

struct cursor {
    const struct iovec *v;
    size_t at; /* in *v */
};

static void skip(struct cursor *c, size_t n)
{
    for (size_t left; n > (left = c->v->iov_len - c->at); c->v++, c->at = 0)
        n -= left;
    c->at += n;
}

/* The next n bytes, contiguous: where they lie if they do, else copied together. */
static const char *contiguous(struct cursor *c, size_t n, char *mem)
{
    while (c->at == c->v->iov_len) {
        c->v++;
        c->at = 0;
    }
    const char *p = (const char *)c->v->iov_base + c->at;
    if (c->v->iov_len - c->at >= n) {
        c->at += n;
        return p;
    }
    for (size_t done = 0; done < n; c->v++, c->at = 0) {
        size_t left = c->v->iov_len - c->at, take = left < n - done ? left : n - done;
        if (take)
            memcpy(mem + done, (const char *)c->v->iov_base + c->at, take);
        done += take;
        if (take < left || done == n) {
            c->at += take;
            break;
        }
    }
    return mem;
}

/* Makes records of up to `total` bytes as far as one block of output holds them. The block's end serves to
 * gather pieces that are shorter than a record. */
static ssize_t make_records(struct tls *t, const struct iovec *v, int n, size_t total)
{
    struct cursor c = {.v = v};
    size_t sum = 0, gather = n == 1 ? 0 : total < t->record_max ? total : t->record_max;
    size_t records = total / t->record_max + 1;
    size_t want = total + records * OVERHEAD + gather;
    int err = reserve_out(t, want < IN_BLOCK ? want : IN_BLOCK);
    if (err)
        return err;
    while (sum < total) {
        size_t room = t->out->size - gather - t->out_n;
        if (room <= OVERHEAD)
            break;
        size_t take = total - sum < t->record_max ? total - sum : t->record_max;
        if (take > room - OVERHEAD)
            take = room - OVERHEAD;
        char *mem = t->out->data + t->out->size - gather;
        struct cursor end = c;
        int put = write_record(t, contiguous(&end, take, mem), take);
        if (put < 0)
            return sum ? (ssize_t)sum : put;
        if ((size_t)put == take)
            c = end;
        else
            skip(&c, (size_t)put); /* the peer asked for shorter records */
        sum += (size_t)put;
    }
    return (ssize_t)sum;
}

static ssize_t tls_writev(struct wr_stream *s, const struct iovec *v, int n, bool more)
{
    struct tls *t = tls_of(s);
    size_t total = bytes_in(v, n);
    if (t->state == HANDSHAKE && !wr_tls_in_early_data(s)) {
        int err = drive(t);
        if (t->plain) {
            found_plain(t);
            return s->ops->writev(s, v, n, more);
        }
        if (err == -EAGAIN)
            s->writable = false; /* its end says when */
        if (err)
            return err == 1 ? -EPIPE : err;
    }
    if (t->state == BROKEN)
        return WR_E_PROTO;
    if (s->held && (!s->out_ready || t->out_n + total + OVERHEAD > t->out->size)) {
        int err = push(t, true);
        if (err)
            return err;
    }
    if (total == 0)
        return 0;
    ssize_t put = make_records(t, v, n, total);
    int err = put >= 0 ? push(t, more && (size_t)put == total) : 0;
    if (err && err != -EAGAIN)
        return err;
    return put;
}

static int tls_flush(struct wr_stream *s)
{
    return push(tls_of(s), false);
}

/* ---- the end ----------------------------------------------------------------------------------------- */

static void say_closed(struct tls *t)
{
    if (t->said_closed || t->state != OPEN || t->err)
        return;
    t->said_closed = true;
    clear_errors();
    (void)SSL_shutdown(
        t->ssl); /* 0: ours is written, theirs has not come. Nobody waits for it */
    clear_errors();
}

static void tls_bye(struct wr_stream *s)
{
    struct tls *t = tls_of(s);
    if (s->held)
        return;
    say_closed(t);
    (void)push(t, false);
}

static int tls_shutdown(struct wr_stream *s)
{
    struct tls *t = tls_of(s);
    say_closed(t);
    int err = push(t, false);
    return err ? err : wr_sock_shutdown_write(s->fd);
}

static void tls_deinit(struct wr_stream *s)
{
    struct tls *t = tls_of(s);
    if (t->ssl && t->state == OPEN) /* else OpenSSL takes the session for a broken one */
        SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(t->ssl);
    wr_block_drop(&t->in);
    wr_block_drop(&t->out);
    wr_heap_free(wr_loop_heap(t->loop), t, sizeof *t);
}

static const struct wr_stream_ops tls_ops = {
    .name = "tls",
    .readv = tls_readv,
    .writev = tls_writev,
    .shutdown = tls_shutdown,
    .flush = tls_flush,
    .bye = tls_bye,
    .deinit = tls_deinit,
};

/* ---- plain after all ----------------------------------------------------------------------------------- */

static ssize_t found_plain_readv(struct wr_stream *s, const struct iovec *v, int n)
{
    struct tls *t = tls_of(s);
    uint32_t have = t->in_n - t->in_at;
    if (!have)
        return wr_stream_plain_ops_.readv(s, v, n);
    uint32_t take = have < v->iov_len ? have : (uint32_t)v->iov_len;
    memcpy(v->iov_base, t->in->data + t->in_at, take);
    t->in_at += take;
    drop_in(t);
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

/* OpenSSL's macro for it casts the const away. */
static bool name_server(SSL *ssl, const char *host)
{
    return SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                    (void *)(uintptr_t)host) == 1;
}

static const struct wr_stream_ops found_plain_ops = {
    .name = "plain",
    .readv = found_plain_readv,
    .writev = found_plain_writev,
    .sendfile = found_plain_sendfile,
    .shutdown = found_plain_shutdown,
    .deinit = tls_deinit,
};

/* ---- the beginning -------------------------------------------------------------------------------------- */

static int make_ssl(struct tls *t, SSL_CTX *ctx, const struct wr_tls_options *o)
{
    CRYPTO_THREAD_run_once(&bio_method_once, make_bio_method);
    SSL *ssl = bio_method ? SSL_new(ctx) : NULL;
    BIO *bio = ssl ? BIO_new(bio_method) : NULL;
    if (!bio) {
        SSL_free(ssl);
        ERR_clear_error();
        return -ENOMEM;
    }
    BIO_set_data(bio, t);
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
    t->record_max = o.record_max && o.record_max < RECORD_MAX ? o.record_max : RECORD_MAX;
    t->state = o.early_data && !o.client ? EARLY : HANDSHAKE;
    int err = keep_seen(t, seen);
    if (!err)
        err = make_ssl(t, ctx, &o);
    if (err) {
        wr_block_drop(&t->in);
        wr_heap_free(wr_loop_heap(loop), t, sizeof *t);
        return err;
    }
    wr_stream_init(s, fd);
    s->ops = &tls_ops;
    s->impl = t;
    return 0;
}

/* ---- questions --------------------------------------------------------------------------------------- */

bool wr_stream_is_tls(const struct wr_stream *s)
{
    return s->ops == &tls_ops;
}

SSL *wr_tls_ssl(const struct wr_stream *s)
{
    return wr_stream_is_tls(s) ? tls_of(s)->ssl : NULL;
}

bool wr_tls_handshaking(const struct wr_stream *s)
{
    return wr_stream_is_tls(s) && tls_of(s)->state < OPEN;
}

bool wr_tls_is_plain(const struct wr_stream *s)
{
    return s->ops == &found_plain_ops;
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

void *wr_tls_owner(const SSL *ssl)
{
    BIO *bio = SSL_get_rbio(ssl);
    const struct tls *t = bio ? BIO_get_data(bio) : NULL;
    return t ? t->owner : NULL;
}
