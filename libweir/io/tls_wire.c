/* SPDX-License-Identifier: BSD-2-Clause */

/* The bytes of a TLS stream below TLS: one recv fills a block, one send empties one; OpenSSL reads and writes the blocks. */

#include "libweir/io/tls_private.h"

#include "libweir/os/os.h"

#include <errno.h>
#include <openssl/bio.h>

/* ---- the wire: blocks and the socket ---------------------------------------------------------------- */

void wr_tls_drop_in_(struct tls *t)
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
        int err = wr_block_take(wr_loop_blocks(t->loop), NULL, TLS_IN_BLOCK, &t->in);
        if (err)
            return err;
    }
    t->in_at = t->in_n = 0;
    ssize_t got = wr_os_recv(s->fd, t->in->data, t->in->size, 0);
    if (got == -EAGAIN || (got > 0 && !s->until_dry && (size_t)got < t->in->size))
        s->in_ready = false;
    if (got == 0)
        t->eof = true;
    if (got <= 0)
        return got;
    t->in_n = (uint32_t)got;
    t->wire_in += (uint64_t)got;
    return got;
}

int wr_tls_push_(struct tls *t, bool more)
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

int wr_tls_reserve_out_(struct tls *t, size_t n)
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
    if (WR_UNLIKELY(t->state == TLS_BROKEN)) /* or a flood is gone through to its end */
        return -1;
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
    int err = wr_tls_reserve_out_(t, (size_t)n);
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

BIO *wr_tls_bio_(struct tls *t)
{
    CRYPTO_THREAD_run_once(&bio_method_once, make_bio_method);
    BIO *bio = bio_method ? BIO_new(bio_method) : NULL;
    if (bio)
        BIO_set_data(bio, t);
    return bio;
}
