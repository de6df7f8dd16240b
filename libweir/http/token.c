/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/http/token.h"

#include "libweir/base/err.h"
#include "libweir/http/scan.h"

#define MAX_EMPTY 32

bool wr_is_token_char(unsigned char c)
{
    return wr_char_class[c] & WR_CHAR_TOKEN;
}

bool wr_is_token(struct wr_span s)
{
    return s.n && wr_scan_token(s.p, s.p + s.n) == s.p + s.n;
}

bool wr_is_field_value(struct wr_span s)
{
    return s.n == 0 || wr_scan_value(s.p, s.p + s.n) == s.p + s.n;
}

int wr_digits(struct wr_span s, uint64_t *out)
{
    uint64_t v = 0;
    bool big = false;
    if (s.n == 0)
        return WR_E_SYNTAX;
    for (size_t i = 0; i < s.n; i++) {
        unsigned d = (unsigned)(unsigned char)s.p[i] - '0';
        if (d > 9)
            return WR_E_SYNTAX;
        big |= v > ((uint64_t)INT64_MAX - d) / 10;
        if (!big)
            v = v * 10 + d;
    }
    if (big)
        return WR_E_RANGE;
    *out = v;
    return 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Length of the quoted string at the front, its quotes included; 0 when it does not end. */
static size_t quoted_len(struct wr_span s)
{
    for (size_t i = 1; i < s.n; i++) {
        if (s.p[i] == '"')
            return i + 1;
        if (s.p[i] == '\\')
            i++;
    }
    return 0;
}

static ptrdiff_t element_len(struct wr_span s)
{
    size_t i = 0;
    while (i < s.n && s.p[i] != ',') {
        size_t n = s.p[i] == '"' ? quoted_len(wr_span_sub(s, i, s.n)) : 1;
        if (n == 0)
            return -1;
        i += n;
    }
    return (ptrdiff_t)i;
}

int wr_list_next(struct wr_span *rest, struct wr_span *out)
{
    for (unsigned empty = 0; empty <= MAX_EMPTY; empty++) {
        if (rest->n == 0)
            return 0;
        ptrdiff_t n = element_len(*rest);
        if (n < 0)
            return WR_E_SYNTAX;
        struct wr_span element = wr_span_trim(wr_span_sub(*rest, 0, (size_t)n));
        *rest = wr_span_sub(*rest, (size_t)n + 1, rest->n);
        if (element.n) {
            *out = element;
            return 1;
        }
    }
    return WR_E_SYNTAX;
}

int wr_token_list_has(struct wr_span list, struct wr_span token)
{
    struct wr_span element = {0};
    int more, found = 0;
    while ((more = wr_list_next(&list, &element)) == 1) {
        if (!wr_is_token(element))
            return WR_E_SYNTAX;
        found |= wr_span_ieq(element, token);
    }
    return more < 0 ? more : found;
}

static void skip(struct wr_span *s, size_t n)
{
    *s = wr_span_sub(*s, n, s->n);
}

static void skip_blanks(struct wr_span *s)
{
    while (s->n && is_blank(s->p[0]))
        skip(s, 1);
}

static size_t token_len(struct wr_span s)
{
    return s.n ? (size_t)(wr_scan_token(s.p, s.p + s.n) - s.p) : 0;
}

static int param_value(struct wr_span *s, struct wr_span *out)
{
    bool quoted = s->n && s->p[0] == '"';
    size_t n = quoted ? quoted_len(*s) : token_len(*s);
    if (n == 0)
        return WR_E_SYNTAX;
    *out = quoted ? wr_span_sub(*s, 1, n - 2) : wr_span_sub(*s, 0, n);
    skip(s, n);
    return 0;
}

int wr_param_next(struct wr_span *rest, struct wr_span *out_name, struct wr_span *out_value)
{
    struct wr_span s = *rest, value = {"", 0};
    skip_blanks(&s);
    if (s.n == 0)
        return 0;
    if (s.p[0] != ';')
        return WR_E_SYNTAX;
    skip(&s, 1);
    skip_blanks(&s);
    size_t n = token_len(s);
    if (n == 0)
        return WR_E_SYNTAX;
    struct wr_span name = wr_span_sub(s, 0, n);
    skip(&s, n);
    if (s.n && s.p[0] == '=') {
        skip(&s, 1);
        if (param_value(&s, &value) != 0)
            return WR_E_SYNTAX;
    }
    *rest = s;
    *out_name = name;
    *out_value = value;
    return 1;
}

/* Length of the entity tag at the front, or 0. Its quotes know no escapes. */
static size_t etag_len(struct wr_span s)
{
    size_t i = wr_span_has_prefix(s, WR_LIT("W/")) ? 2 : 0;
    if (i >= s.n || s.p[i] != '"')
        return 0;
    for (i++; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '"')
            return i + 1;
        if (c <= 0x20 || c == 0x7f)
            return 0;
    }
    return 0;
}

bool wr_is_etag(struct wr_span s)
{
    return s.n && etag_len(s) == s.n;
}

bool wr_etag_eq_strong(struct wr_span a, struct wr_span b)
{
    return a.n && a.p[0] == '"' && wr_span_eq(a, b);
}

static struct wr_span without_weak(struct wr_span s)
{
    return wr_span_has_prefix(s, WR_LIT("W/")) ? wr_span_sub(s, 2, s.n) : s;
}

bool wr_etag_eq_weak(struct wr_span a, struct wr_span b)
{
    return a.n && wr_span_eq(without_weak(a), without_weak(b));
}

/* Elements of a list that hold nothing are no mistake (RFC 9110, 5.6.1). */
static void skip_empty(struct wr_span *s)
{
    while (s->n && (s->p[0] == ',' || s->p[0] == ' ' || s->p[0] == '\t'))
        skip(s, 1);
}

int wr_etag_list_match(struct wr_span list, struct wr_span etag, bool weak)
{
    struct wr_span s = wr_span_trim(list);
    int found = 0, elements = 0;
    if (wr_span_eq(s, WR_LIT("*")))
        return etag.n > 0;
    skip_empty(&s);
    while (s.n) {
        size_t n = etag_len(s);
        if (n == 0)
            return WR_E_SYNTAX;
        struct wr_span one = wr_span_sub(s, 0, n);
        found |= weak ? wr_etag_eq_weak(one, etag) : wr_etag_eq_strong(one, etag);
        elements++;
        skip(&s, n);
        skip_blanks(&s);
        if (s.n && s.p[0] != ',')
            return WR_E_SYNTAX;
        skip_empty(&s);
    }
    return elements ? found : WR_E_SYNTAX;
}
