/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/outq.h"

#include "libweir/base/assert.h"
#include "libweir/base/err.h"
#include "libweir/base/heap.h"
#include "libweir/io/iov.h"
#include "libweir/os/os.h"

#include <errno.h>

#define PIECES_MAX 64
#define COPY_BYTES (64u << 10)

struct wr_outq_range {
    struct wr_outq_range *next;
    uint64_t before;          /* bytes in the chain between the range in front and this one */
    struct wr_outq_file file; /* what is left of it */
};

void wr_outq_init(struct wr_outq *q, struct wr_block_pool *blocks, struct wr_budget *budget,
                  const struct wr_heap *heap, uint64_t hard_limit)
{
    *q = (struct wr_outq){.heap = heap, .hard_limit = hard_limit};
    wr_chain_init(&q->bytes, blocks, budget);
}

static void drop_first(struct wr_outq *q)
{
    struct wr_outq_range *r = q->first;
    q->first = r->next;
    if (!q->first) {
        q->last = NULL;
        q->behind += r->before;
    } else {
        q->first->before += r->before;
    }
    q->queued -= r->file.len;
    if (r->file.release)
        r->file.release(r->file.arg, r->file.fd);
    wr_heap_free(q->heap, r, sizeof *r);
}

void wr_outq_deinit(struct wr_outq *q)
{
    while (q->first)
        drop_first(q);
    wr_chain_deinit(&q->bytes);
    q->queued = q->behind = 0;
}

/* ---- putting ----------------------------------------------------------------------------------------- */

static bool over(const struct wr_outq *q, uint64_t n)
{
    return n > q->hard_limit || q->queued > q->hard_limit - n;
}

static void account(struct wr_outq *q, uint64_t n)
{
    q->queued += n;
    q->behind += n;
}

int wr_outq_put_copy(struct wr_outq *q, const void *p, size_t n)
{
    if (over(q, n))
        return WR_E_HARD_LIMIT;
    int err = n ? wr_chain_append_copy(&q->bytes, p, n) : 0;
    if (!err)
        account(q, n);
    return err;
}

int wr_outq_put_bytes(struct wr_outq *q, struct wr_bytes *take_bytes)
{
    size_t n = take_bytes->n;
    if (over(q, n))
        return WR_E_HARD_LIMIT;
    if (n == 0) {
        wr_bytes_drop(take_bytes);
        return 0;
    }
    int err = wr_chain_append(&q->bytes, take_bytes);
    if (!err)
        account(q, n);
    return err;
}

int wr_outq_put_chain(struct wr_outq *q, struct wr_chain *take_chain)
{
    size_t n = wr_chain_len(take_chain);
    if (over(q, n))
        return WR_E_HARD_LIMIT;
    int err = wr_chain_move(&q->bytes, take_chain, n);
    account(q, n - wr_chain_len(take_chain));
    return err;
}

int wr_outq_put_file(struct wr_outq *q, const struct wr_outq_file *file)
{
    if (over(q, file->len))
        return WR_E_HARD_LIMIT;
    if (file->len == 0) {
        if (file->release)
            file->release(file->arg, file->fd);
        return 0;
    }
    struct wr_outq_range *r = wr_heap_alloc(q->heap, sizeof *r);
    if (!r)
        return -ENOMEM;
    *r = (struct wr_outq_range){.before = q->behind, .file = *file};
    if (q->last)
        q->last->next = r;
    else
        q->first = r;
    q->last = r;
    q->behind = 0;
    q->queued += file->len;
    return 0;
}

/* ---- writing ----------------------------------------------------------------------------------------- */

/* Cuts the pieces to max bytes; returns how many are left. */
static int clip(struct wr_iov *iov, int n, uint64_t max)
{
    for (int i = 0; i < n; i++) {
        if (iov[i].len >= max) {
            iov[i].len = (size_t)max;
            return i + 1;
        }
        max -= iov[i].len;
    }
    return n;
}

static ssize_t write_bytes(struct wr_outq *q, struct wr_stream *s, size_t budget)
{
    struct wr_iov iov[PIECES_MAX];
    uint64_t *left = q->first ? &q->first->before : &q->behind;
    uint64_t max = *left < budget ? *left : budget;
    int n = clip(iov, wr_chain_iov(&q->bytes, iov, PIECES_MAX), max);
    ssize_t put = wr_stream_writev(s, wr_iov_os(iov), n, q->first != NULL);
    if (put > 0) {
        wr_chain_consume(&q->bytes, (size_t)put);
        *left -= (uint64_t)put;
        q->queued -= (uint64_t)put;
    }
    return put;
}

/* As much as there is of n bytes; an error behind the first read comes again with the next call. */
static ssize_t read_file(const struct wr_outq_file *f, char *to, size_t n)
{
    size_t sum = 0;
    while (sum < n) {
        size_t left = n - sum;
        size_t want = f->read_bytes && f->read_bytes < left ? f->read_bytes : left;
        ssize_t got = wr_os_pread(f->fd, to + sum, want, (off_t)(f->offset + sum));
        if (got <= 0)
            return sum ? (ssize_t)sum : got;
        sum += (size_t)got;
        if ((size_t)got < want)
            break;
    }
    return (ssize_t)sum;
}

/* For streams without sendfile and files without pages. What the stream does not take is read again
 * next time: the queue keeps no half-sent copy. */
static ssize_t copy_file(struct wr_outq *q, struct wr_stream *s, size_t n)
{
    const struct wr_outq_file *f = &q->first->file;
    struct wr_block *b = NULL;
    size_t most = f->copy_bytes ? f->copy_bytes : COPY_BYTES;
    int err = wr_block_take(q->bytes.pool, q->bytes.budget, n < most ? n : most, &b);
    if (err)
        return err;
    ssize_t got = read_file(f, b->data, n < b->size ? n : b->size);
    if (got > 0)
        got = wr_stream_write(s, b->data, (size_t)got);
    else if (got == -ESPIPE || got == -EAGAIN)
        got = -EIO; /* not a file with offsets: EAGAIN here would wait for the wrong side */
    wr_block_drop(&b);
    return got;
}

static ssize_t write_file(struct wr_outq *q, struct wr_stream *s, size_t budget)
{
    struct wr_outq_file *f = &q->first->file;
    size_t n = f->len < budget ? (size_t)f->len : budget;
    ssize_t put = f->copied ? -EOPNOTSUPP : wr_stream_sendfile(s, f->fd, f->offset, n);
    if (put == -EOPNOTSUPP)
        put = copy_file(q, s, n);
    if (put == 0)
        return -EIO; /* the file became shorter than what was promised */
    if (put > 0) {
        f->offset += (uint64_t)put;
        f->len -= (uint64_t)put;
        q->queued -= (uint64_t)put;
        if (f->len == 0)
            drop_first(q);
    }
    return put;
}

int wr_outq_flush(struct wr_outq *q, struct wr_stream *s, size_t budget, uint64_t *out_sent)
{
    uint64_t sent = 0;
    int state = WR_OUTQ_DONE;
    while (q->queued) {
        bool file = q->first && q->first->before == 0;
        if (!s->writable) {
            state = WR_OUTQ_FULL;
            break;
        }
        if (sent >= budget) {
            state = WR_OUTQ_AGAIN;
            break;
        }
        ssize_t put = file ? write_file(q, s, budget - (size_t)sent)
                           : write_bytes(q, s, budget - (size_t)sent);
        if (put < 0) {
            state = put == -EAGAIN ? (int)WR_OUTQ_FULL : (int)put;
            break;
        }
        sent += (uint64_t)put;
    }
    if (out_sent)
        *out_sent = sent;
    return state;
}

void wr_outq_validate(const struct wr_outq *q)
{
    uint64_t chain = q->behind, files = 0;
    const struct wr_outq_range *last = NULL;
    for (const struct wr_outq_range *r = q->first; r; r = r->next) {
        WR_ASSERT(r->file.len > 0);
        chain += r->before;
        files += r->file.len;
        last = r;
    }
    WR_ASSERT(last == q->last);
    WR_ASSERT(chain == wr_chain_len(&q->bytes));
    WR_ASSERT(chain + files == q->queued);
    WR_ASSERT(q->queued <= q->hard_limit);
    wr_chain_validate(&q->bytes);
}
