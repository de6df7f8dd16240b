/* SPDX-License-Identifier: BSD-2-Clause */

/* Clear bytes out of records and into them, and the handshake that comes first. */

#include "libweir/io/tls_private.h"

#include "libweir/io/sock.h"

#include <errno.h>

#define OVERHEAD     128u /* of a record: header, IV, MAC, padding; and a key update before it */
#define READ_AT_ONCE INT32_MAX

/* ---- results --------------------------------------------------------------------------------------- */

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
        return t->state == TLS_BROKEN ? WR_E_PROTO : -EAGAIN;
    }
    const char *text = ERR_reason_error_string(ERR_peek_error());
    ERR_clear_error();
    if (t->eof && t->in_at == t->in_n) {
        t->cut = true;
        return 0;
    }
    t->state = TLS_BROKEN;
    t->error = t->error ? t->error : text ? text : "unknown";
    return WR_E_PROTO;
}

/* ---- the handshake ----------------------------------------------------------------------------------- */

/* 0: it is over; -EAGAIN; else the error, or 1 for a peer that left. */
static int drive(struct tls *t)
{
    struct wr_stream *s = t->stream;
    if (t->state == TLS_BROKEN)
        return WR_E_PROTO;
    tls_clear_errors();
    int rc = SSL_do_handshake(t->ssl);
    if (rc == 1) {
        t->state = TLS_OPEN;
        s->writable = s->out_ready;
        return 0; /* what it wrote last goes with the first answer, or when the owner flushes */
    }
    int err = judge(t, rc);
    if (t->plain)
        return -EAGAIN;
    int pushed = wr_tls_push_(t, false); /* its messages, or the alert that says why not */
    wr_tls_drop_in_(t);
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
    int err;
    tls_clear_errors();
    switch (SSL_read_early_data(t->ssl, p, n, &got)) {
    case SSL_READ_EARLY_DATA_SUCCESS:
        if (got)
            return (ssize_t)got;
        WR_FALLTHROUGH;
    case SSL_READ_EARLY_DATA_FINISH:
        t->state = TLS_HANDSHAKE;
        return -EAGAIN;
    default:
        err = judge(t, -1);
        if (err != -EAGAIN && !t->plain)
            (void)wr_tls_push_(t, false); /* the alert that says why not */
        return err;
    }
}

/* One piece from as many records as are here. */
static ssize_t read_records(struct tls *t, char *p, size_t n)
{
    size_t sum = 0;
    while (sum < n) {
        size_t want = n - sum < READ_AT_ONCE ? n - sum : READ_AT_ONCE;
        tls_clear_errors();
        int got = SSL_read(t->ssl, p + sum, (int)want);
        if (got <= 0) {
            int err = judge(t, got);
            return sum ? (ssize_t)sum : err;
        }
        sum += (size_t)got;
        if (t->state == TLS_BROKEN || is_dry(t))
            break;
    }
    return (ssize_t)sum;
}

static ssize_t tls_read(struct tls *t, char *p, size_t n)
{
    if (t->state == TLS_EARLY) {
        ssize_t got = read_early(t, p, n);
        if (got != -EAGAIN || t->state == TLS_EARLY || t->plain)
            return got;
    }
    if (t->state == TLS_HANDSHAKE) {
        int err = drive(t);
        if (err)
            return err == 1 ? 0 : err;
    }
    if (t->state == TLS_BROKEN)
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
        wr_tls_found_plain_(t);
        return s->ops->readv(s, v, n);
    }
    wr_tls_drop_in_(t);
    /* Without bytes there may be no answer to carry what was written on the way (tickets, key updates). */
    if (sum <= 0 && s->held && t->state != TLS_BROKEN)
        (void)wr_tls_push_(t, false);
    if (t->state != TLS_EARLY && (sum == -EAGAIN || (sum > 0 && is_dry(t))))
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
    tls_clear_errors();
    int rc = WR_LIKELY(t->state == TLS_OPEN) ? SSL_write_ex(t->ssl, p, n, &put)
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
    int err = wr_tls_reserve_out_(t, want < TLS_IN_BLOCK ? want : TLS_IN_BLOCK);
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
    if (t->state == TLS_HANDSHAKE && !wr_tls_in_early_data(s)) {
        int err = drive(t);
        if (t->plain) {
            wr_tls_found_plain_(t);
            return s->ops->writev(s, v, n, more);
        }
        if (err == -EAGAIN)
            s->writable = false; /* its end says when */
        if (err)
            return err == 1 ? -EPIPE : err;
    }
    if (t->state == TLS_BROKEN)
        return WR_E_PROTO;
    if (s->held && (!s->out_ready || t->out_n + total + OVERHEAD > t->out->size)) {
        int err = wr_tls_push_(t, true);
        if (err)
            return err;
    }
    if (total == 0)
        return 0;
    ssize_t put = make_records(t, v, n, total);
    int err = put >= 0 ? wr_tls_push_(t, more && (size_t)put == total) : 0;
    if (err && err != -EAGAIN)
        return err;
    return put;
}

static int tls_flush(struct wr_stream *s)
{
    return wr_tls_push_(tls_of(s), false);
}

/* ---- the end ----------------------------------------------------------------------------------------- */

static void say_closed(struct tls *t)
{
    if (t->said_closed || t->state != TLS_OPEN || t->err)
        return;
    t->said_closed = true;
    tls_clear_errors();
    (void)SSL_shutdown(
        t->ssl); /* 0: ours is written, theirs has not come. Nobody waits for it */
    tls_clear_errors();
}

static void tls_bye(struct wr_stream *s)
{
    struct tls *t = tls_of(s);
    if (s->held)
        return;
    say_closed(t);
    (void)wr_tls_push_(t, false);
}

static int tls_shutdown(struct wr_stream *s)
{
    struct tls *t = tls_of(s);
    say_closed(t);
    int err = wr_tls_push_(t, false);
    return err ? err : wr_sock_shutdown_write(s->fd);
}

const struct wr_stream_ops wr_tls_ops_ = {
    .name = "tls",
    .readv = tls_readv,
    .writev = tls_writev,
    .shutdown = tls_shutdown,
    .flush = tls_flush,
    .bye = tls_bye,
    .deinit = wr_tls_deinit_,
};
