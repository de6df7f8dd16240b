/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/http/range.h"

#include "libweir/base/err.h"
#include "libweir/http/date.h"
#include "libweir/http/token.h"

#define OVERLAP_MAX 2

/* Any number of digits; what does not fit becomes the largest value, for it is clipped anyway. */
static bool take_number(struct wr_span s, uint64_t *out)
{
    int err = wr_digits(s, out);
    if (err == WR_E_RANGE)
        *out = INT64_MAX;
    return err != WR_E_SYNTAX;
}

/* One "a-b", "a-" or "-n". False: malformed. out->n == 0: outside the representation. */
static bool take_spec(struct wr_span spec, uint64_t size, struct wr_range *out)
{
    struct wr_span first, last = spec;
    uint64_t from, to = UINT64_MAX;
    *out = (struct wr_range){0, 0};
    if (!wr_span_split(&last, '-', &first) || !last.p)
        return false;
    if (first.n == 0) {
        if (!take_number(last, &to))
            return false;
        uint64_t n = to < size ? to : size;
        *out = (struct wr_range){size - n, n};
        return true;
    }
    if (!take_number(first, &from) || (last.n && !take_number(last, &to)) || to < from)
        return false;
    if (from >= size)
        return true;
    uint64_t end = to < size - 1 ? to + 1 : size;
    *out = (struct wr_range){from, end - from};
    return true;
}

/* Coverage grows only where a range begins, so those bytes suffice. */
static bool is_greedy(const struct wr_range *r, size_t n, uint64_t size)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned covering = 0;
        for (size_t k = 0; k < n; k++)
            covering += r[i].from >= r[k].from && r[i].from - r[k].from < r[k].n;
        sum += r[i].n;
        if (covering > OVERLAP_MAX || sum > size)
            return true;
    }
    return false;
}

enum wr_ranges wr_range_parse(struct wr_span value, uint64_t size,
                              struct wr_range out[WR_RANGE_MAX], size_t *out_n)
{
    static const struct wr_span unit = {"bytes=", 6};
    struct wr_span rest = wr_span_sub(value, unit.n, value.n), spec = {0};
    size_t specs = 0, n = 0;
    int more;
    if (!wr_span_ieq(wr_span_sub(value, 0, unit.n), unit))
        return WR_RANGES_WHOLE;
    while ((more = wr_list_next(&rest, &spec)) == 1) {
        struct wr_range r;
        if (++specs > WR_RANGE_MAX || !take_spec(spec, size, &r))
            return WR_RANGES_WHOLE;
        if (r.n)
            out[n++] = r;
    }
    if (more < 0 || specs == 0 || is_greedy(out, n, size))
        return WR_RANGES_WHOLE;
    if (n == 0)
        return WR_RANGES_BAD;
    *out_n = n;
    return WR_RANGES_SOME;
}

bool wr_if_range_holds(struct wr_span value, struct wr_span etag, int64_t modified_s)
{
    int64_t s;
    if (wr_is_etag(value))
        return wr_etag_eq_strong(value, etag);
    return wr_date_parse(value, modified_s, &s) == 0 && s == modified_s;
}

int wr_content_range_parse(struct wr_span value, struct wr_content_range *out)
{
    struct wr_content_range r = {0, 0, UINT64_MAX};
    struct wr_span size, last, first;
    uint64_t to;
    if (!wr_span_ieq(wr_span_sub(value, 0, 6), WR_LIT("bytes ")))
        return WR_E_SYNTAX;
    size = wr_span_sub(value, 6, value.n);
    if (!wr_span_split(&size, '/', &last) || !size.p)
        return WR_E_SYNTAX;
    bool any_size = wr_span_eq(size, WR_LIT("*"));
    if (!any_size && wr_digits(size, &r.size) != 0)
        return WR_E_SYNTAX;
    if (wr_span_eq(last, WR_LIT("*"))) {
        if (any_size)
            return WR_E_SYNTAX;
        *out = r;
        return 0;
    }
    if (!wr_span_split(&last, '-', &first) || !last.p || wr_digits(first, &r.from) != 0 ||
        wr_digits(last, &to) != 0 || to < r.from || to >= r.size)
        return WR_E_SYNTAX;
    r.n = to - r.from + 1;
    *out = r;
    return 0;
}

static char *put_number(char *p, uint64_t v)
{
    char digits[20];
    size_t n = 0;
    do
        digits[n++] = (char)('0' + v % 10);
    while (v /= 10);
    while (n)
        *p++ = digits[--n];
    return p;
}

struct wr_span wr_content_range_format(const struct wr_content_range *r,
                                       char out[WR_CONTENT_RANGE_MAX])
{
    char *p = out;
    memcpy(p, "bytes ", 6);
    p += 6;
    if (r->n) {
        p = put_number(p, r->from);
        *p++ = '-';
        p = put_number(p, r->from + r->n - 1);
    } else {
        *p++ = '*';
    }
    *p++ = '/';
    if (r->size == UINT64_MAX)
        *p++ = '*';
    else
        p = put_number(p, r->size);
    return wr_span(out, (size_t)(p - out));
}
