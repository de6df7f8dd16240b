/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_BASE_BUF_H
#define WR_BASE_BUF_H

/*
 * A growing buffer: contiguous bytes under construction, with one owner, until frozen into wr_bytes.
 *
 * It lives in one block and moves to the next step when full; nobody else can hold that block, so
 * writing is always allowed. For streams without an upper size use a chain: it never copies.
 *
 * 1. A failed put leaves the buffer as it was.
 * 2. At most WR_BLOCK_MAX bytes; beyond: WR_E_TOO_BIG.
 * 3. Empty, and with nothing reserved, it owns nothing.
 */

#include "libweir/base/block.h"
#include "libweir/base/bytes.h"
#include "libweir/base/compiler.h"

#include <stdarg.h>

struct wr_buf {
    /* private */
    struct wr_block *block;
    size_t len;
    struct wr_block_pool *pool;
    struct wr_budget *budget;
};

void wr_buf_init(struct wr_buf *b, struct wr_block_pool *pool, struct wr_budget *budget);
/* Also a reset: it may be used again. */
static inline void wr_buf_deinit(struct wr_buf *b)
{
    if (b->block)
        wr_block_drop(&b->block);
    b->len = 0;
}

WR_MUST int wr_buf_put(struct wr_buf *b, const void *p, size_t n);
WR_MUST int wr_buf_put_span(struct wr_buf *b, struct wr_span s);
WR_MUST int wr_buf_put_char(struct wr_buf *b, char c);
WR_MUST int wr_buf_printf(struct wr_buf *b, const char *fmt, ...) WR_PRINTF(2, 3);
WR_MUST int wr_buf_vprintf(struct wr_buf *b, const char *fmt, va_list ap) WR_PRINTF(2, 0);

/* Room for n bytes behind the end; *out is valid until the next call. Then say how many you wrote. */
WR_MUST int wr_buf_reserve(struct wr_buf *b, size_t n, char **out);
void wr_buf_commit(struct wr_buf *b, size_t n);
void wr_buf_truncate(struct wr_buf *b, size_t n); /* keeps the first n bytes */

/* Until the next change. */
static inline struct wr_span wr_buf_span(const struct wr_buf *b)
{
    return wr_span(b->block ? b->block->data : "", b->len);
}
char *wr_buf_data(struct wr_buf *b); /* the same, for writing in place; NULL when empty */
/* The bytes change type and owner, the buffer is empty again. Fewer than 256 bytes are copied into a
 * small block if one is to be had. Cannot fail. */
struct wr_bytes wr_buf_freeze(struct wr_buf *b);

#endif
