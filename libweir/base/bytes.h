/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_BASE_BYTES_H
#define WR_BASE_BYTES_H

/*
 * Borrowed bytes and owned bytes are two types, so that the compiler sees the difference.
 *
 * A wr_view is lent for the length of a callback: whoever lent it ends it (wr_view_end), and from then
 * on it is stale. wr_bytes are owned: counted, immutable, valid until dropped. The only way from one to
 * the other is wr_view_keep, which takes a reference, or copies when there are fewer than 256 bytes.
 *
 *     a reader lends              the callback             later
 *     wr_view_lend --> view --+-- wr_view_span             stale view: panic naming both sites
 *                             +-- wr_view_keep --> bytes -- wr_bytes_span ... wr_bytes_drop
 *
 * Invariants
 * 1. Passing a view where bytes are wanted does not compile.
 * 2. Keeping or reading a stale view panics with the place that lent it and the place that used it, while
 *    the block's header stands (block.h, 3); passed through, a sanitizer finds it instead.
 * 3. The bytes behind a wr_bytes never change: a block with a second holder is closed for writing.
 * 4. With poison, what was lent and not kept is filled with 0xDE when the view ends.
 */

#include "libweir/base/block.h"
#include "libweir/base/compiler.h"
#include "libweir/base/span.h"

struct wr_view {
    struct wr_span s;       /* look at it through wr_view_span */
    struct wr_block *block; /* NULL: static bytes, never stale */
    uint32_t gen;
};

struct wr_bytes {
    const char *p;
    size_t n;
    struct wr_block *block; /* NULL: static bytes or none */
};

/* ---- borrowed ------------------------------------------------------------------------------------ */
#define wr_view_lend(block, p, n) wr_view_lend_at((block), (p), (n), WR_HERE)
struct wr_view wr_view_lend_at(struct wr_block *b, const void *p, size_t n,
                               const struct wr_site *site);
struct wr_view
wr_view_static(struct wr_span s); /* bytes that live for ever, such as a literal */
/* What was lent from this block is over: every view of it is stale. Empties *v. */
void wr_view_end(struct wr_view *v);

#define wr_view_span(v)      wr_view_span_at((v), WR_HERE)
#define wr_view_keep(v, out) wr_view_keep_at((v), WR_HERE, (out))
struct wr_span wr_view_span_at(struct wr_view v, const struct wr_site *site);
/* 0; a copy that is refused becomes a reference. The caller drops *out. */
WR_MUST int wr_view_keep_at(struct wr_view v, const struct wr_site *site, struct wr_bytes *out);
struct wr_view wr_view_sub(struct wr_view v, size_t from, size_t n); /* clipped */

/* ---- owned --------------------------------------------------------------------------------------- */
#define WR_BYTES_LIT(s) ((struct wr_bytes){("" s ""), sizeof(s) - 1, NULL})
WR_MUST int wr_bytes_copy(struct wr_block_pool *bp, struct wr_span s, struct wr_bytes *out);
struct wr_bytes wr_bytes_ref(const struct wr_bytes *b); /* one more holder */
struct wr_bytes wr_bytes_sub(const struct wr_bytes *b, size_t from,
                             size_t n);            /* one more holder, clipped */
struct wr_bytes wr_bytes_take(struct wr_bytes *b); /* ownership moves, *b becomes empty */
void wr_bytes_drop(struct wr_bytes *b);  /* *b becomes empty; dropping twice is harmless */
void wr_bytes_share(struct wr_bytes *b); /* before it goes to another thread */

static inline struct wr_span wr_bytes_span(const struct wr_bytes *b)
{
    return (struct wr_span){b->p, b->n};
}

#endif
