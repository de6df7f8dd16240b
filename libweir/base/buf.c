/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/buf.h"

#include "libweir/base/assert.h"
#include "libweir/base/err.h"

#include <stdio.h>
#include <string.h>

void wr_buf_init(struct wr_buf *b, struct wr_block_pool *pool, struct wr_budget *budget)
{
    *b = (struct wr_buf){.pool = pool, .budget = budget};
}

int wr_buf_reserve(struct wr_buf *b, size_t n, char **out)
{
    if (n > WR_BLOCK_MAX - b->len)
        return WR_E_TOO_BIG;
    if (!b->block || b->block->size - b->len < n) {
        struct wr_block *bigger;
        int r = wr_block_take(b->pool, b->budget, b->len + n, &bigger);
        if (r < 0)
            return r;
        if (b->len > 0)
            memcpy(bigger->data, b->block->data, b->len);
        wr_block_drop(&b->block);
        b->block = bigger;
    }
    *out = b->block->data + b->len;
    return 0;
}

void wr_buf_commit(struct wr_buf *b, size_t n)
{
    WR_ASSERT(n == 0 || (b->block && n <= b->block->size - b->len));
    b->len += n;
    if (b->len == 0)
        wr_buf_deinit(b);
}

int wr_buf_put(struct wr_buf *b, const void *p, size_t n)
{
    char *to;
    if (n == 0)
        return 0;
    int r = wr_buf_reserve(b, n, &to);
    if (r < 0)
        return r;
    memcpy(to, p, n);
    b->len += n;
    return 0;
}

int wr_buf_put_span(struct wr_buf *b, struct wr_span s)
{
    return wr_buf_put(b, s.p, s.n);
}

int wr_buf_put_char(struct wr_buf *b, char c)
{
    return wr_buf_put(b, &c, 1);
}

int wr_buf_vprintf(struct wr_buf *b, const char *fmt, va_list ap)
{
    va_list again;
    char *to = NULL;
    size_t room = b->block ? b->block->size - b->len : 0;
    va_copy(again, ap);
    int n = vsnprintf(room ? b->block->data + b->len : NULL, room, fmt, ap);
    int r = n < 0 ? WR_E_SYNTAX : 0;
    if (n > 0 && (size_t)n >= room) {
        r = wr_buf_reserve(b, (size_t)n + 1, &to);
        if (r == 0)
            n = vsnprintf(to, (size_t)n + 1, fmt, again);
    }
    va_end(again);
    if (r == 0)
        b->len += (size_t)n;
    return r;
}

int wr_buf_printf(struct wr_buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int r = wr_buf_vprintf(b, fmt, ap);
    va_end(ap);
    return r;
}

void wr_buf_truncate(struct wr_buf *b, size_t n)
{
    if (n < b->len)
        b->len = n;
    if (b->len == 0)
        wr_buf_deinit(b);
}

char *wr_buf_data(struct wr_buf *b)
{
    return b->block ? wr_block_open(b->block) : NULL;
}

struct wr_bytes wr_buf_freeze(struct wr_buf *b)
{
    struct wr_bytes out = {0};
    if (b->len > 0 &&
        (b->len > WR_BLOCK_SMALL || wr_bytes_copy(b->pool, wr_buf_span(b), &out) < 0)) {
        wr_block_charge_pool(b->block);
        out = (struct wr_bytes){.p = b->block->data, .n = b->len, .block = b->block};
        b->block = NULL;
    }
    wr_buf_deinit(b);
    return out;
}
