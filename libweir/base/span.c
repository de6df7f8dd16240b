/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/span.h"

bool wr_span_ieq(struct wr_span a, struct wr_span b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (a.p[i] != b.p[i] && wr_ascii_lower(a.p[i]) != wr_ascii_lower(b.p[i]))
            return false;
    return true;
}

bool wr_span_has_prefix(struct wr_span s, struct wr_span prefix)
{
    return wr_span_eq(wr_span_sub(s, 0, prefix.n), prefix);
}

bool wr_span_has_suffix(struct wr_span s, struct wr_span suffix)
{
    return s.n >= suffix.n && wr_span_eq(wr_span_sub(s, s.n - suffix.n, suffix.n), suffix);
}

int wr_span_cmp(struct wr_span a, struct wr_span b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int d = n ? memcmp(a.p, b.p, n) : 0;
    return d ? d : (a.n > b.n) - (a.n < b.n);
}

ptrdiff_t wr_span_find(struct wr_span s, struct wr_span needle)
{
    if (needle.n == 0)
        return 0;
    const char *at = s.n ? memmem(s.p, s.n, needle.p, needle.n) : NULL;
    return at ? at - s.p : -1;
}

ptrdiff_t wr_span_find_char(struct wr_span s, char c)
{
    const char *at = s.n ? memchr(s.p, c, s.n) : NULL;
    return at ? at - s.p : -1;
}

struct wr_span wr_span_trim(struct wr_span s)
{
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
        s.p++, s.n--;
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

bool wr_span_split(struct wr_span *rest, char sep, struct wr_span *out)
{
    if (!rest->p)
        return false;
    ptrdiff_t at = wr_span_find_char(*rest, sep);
    if (at < 0) {
        *out = *rest;
        *rest = (struct wr_span){NULL, 0};
        return true;
    }
    *out = wr_span_sub(*rest, 0, (size_t)at);
    *rest = wr_span_sub(*rest, (size_t)at + 1, rest->n);
    return true;
}
