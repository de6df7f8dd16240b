/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_BASE_SPAN_H
#define WR_BASE_SPAN_H

/*
 * A span is borrowed bytes: a pointer and a length, valid until whoever owns the bytes changes them.
 * It is two words and goes by value. Nothing here allocates or writes.
 */

#include "libweir/base/compiler.h"

#include <stdbool.h>
#include <string.h>

struct wr_span {
    const char *p;
    size_t n;
};

/* WR_LIT("text"): a span over a string literal. WR_SPANF: for printf's "%.*s". */
#define WR_LIT(s)   ((struct wr_span){("" s ""), sizeof(s) - 1})
#define WR_SPANF(s) (int)(s).n, (s).p

static inline struct wr_span wr_span(const void *p, size_t n)
{
    return (struct wr_span){(const char *)p, n};
}

static inline struct wr_span wr_span_str(const char *s)
{
    return (struct wr_span){s, s ? strlen(s) : 0};
}

static inline struct wr_span wr_span_sub(struct wr_span s, size_t from, size_t n)
{
    if (from > s.n)
        from = s.n;
    if (n > s.n - from)
        n = s.n - from;
    return (struct wr_span){from ? s.p + from : s.p, n}; /* of no bytes: also where p is NULL */
}

static inline bool wr_span_eq(struct wr_span a, struct wr_span b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline char wr_ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

bool wr_span_ieq(struct wr_span a, struct wr_span b); /* ASCII case folded */
bool wr_span_has_prefix(struct wr_span s, struct wr_span prefix);
bool wr_span_has_suffix(struct wr_span s, struct wr_span suffix);
int wr_span_cmp(struct wr_span a, struct wr_span b); /* as memcmp, then by length */

/* Index of the first match, or -1. */
ptrdiff_t wr_span_find(struct wr_span s, struct wr_span needle);
ptrdiff_t wr_span_find_char(struct wr_span s, char c);

/* Without spaces and tabs at both ends. */
struct wr_span wr_span_trim(struct wr_span s);

/* Cuts *rest at the first sep: *out is what lies before it, *rest what lies behind. False when *rest
 * was exhausted before the call (p == NULL); the last piece leaves rest->p == NULL. */
bool wr_span_split(struct wr_span *rest, char sep, struct wr_span *out);

#endif
