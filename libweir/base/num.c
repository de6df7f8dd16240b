/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/num.h"

#include "libweir/base/err.h"

struct unit {
    const char *name;
    uint64_t worth;
};

/* From the largest to the smallest. The printer leaves out those of uneven length. */
static const struct unit durations[] = {
    {"y",  365ULL * 86400000},
    {"M",  30ULL * 86400000 },
    {"w",  7ULL * 86400000  },
    {"d",  86400000         },
    {"h",  3600000          },
    {"m",  60000            },
    {"s",  1000             },
    {"ms", 1                },
};
#define FIRST_PRINTED 3
#define SECONDS       6

static const struct unit sizes[] = {
    {"g", 1ULL << 30},
    {"m", 1ULL << 20},
    {"k", 1ULL << 10}
};

int wr_num_add(uint64_t *io_v, uint64_t b)
{
    return __builtin_add_overflow(*io_v, b, &b) ? WR_E_RANGE : (*io_v = b, 0);
}

int wr_num_mul(uint64_t *io_v, uint64_t b)
{
    return __builtin_mul_overflow(*io_v, b, &b) ? WR_E_RANGE : (*io_v = b, 0);
}

static unsigned digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    c = wr_ascii_lower(c);
    return c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : 16;
}

/* Cuts the leading digits off *s. Too many of them are still cut, so that what is well formed but
 * too large is told from what is no number. */
static int cut_digits(struct wr_span *s, unsigned base, uint64_t *out_v)
{
    uint64_t v = 0;
    size_t n = 0;
    int err = 0;
    for (; n < s->n && digit_of(s->p[n]) < base; n++)
        if (wr_num_mul(&v, base) < 0 || wr_num_add(&v, digit_of(s->p[n])) < 0)
            err = WR_E_RANGE;
    if (n == 0)
        return WR_E_SYNTAX;
    *s = wr_span_sub(*s, n, s->n - n);
    *out_v = v;
    return err;
}

static int parse_whole(struct wr_span s, unsigned base, uint64_t *out_v)
{
    uint64_t v = 0;
    int err = cut_digits(&s, base, &v);
    if (s.n)
        return WR_E_SYNTAX;
    if (err < 0)
        return err;
    *out_v = v;
    return 0;
}

int wr_num_parse_u64(struct wr_span s, uint64_t *out_v)
{
    return parse_whole(s, 10, out_v);
}

int wr_num_parse_hex(struct wr_span s, uint64_t *out_v)
{
    return parse_whole(s, 16, out_v);
}

int wr_num_parse_i64(struct wr_span s, int64_t *out_v)
{
    uint64_t v = 0, minus = s.n && s.p[0] == '-';
    int err = parse_whole(wr_span_sub(s, minus, s.n), 10, &v);
    if (err < 0)
        return err;
    if (v > (uint64_t)INT64_MAX + minus)
        return WR_E_RANGE;
    *out_v = (int64_t)(minus ? -v : v);
    return 0;
}

int wr_num_parse_between(struct wr_span s, uint64_t lo, uint64_t hi, uint64_t *out_v)
{
    uint64_t v = 0;
    int err = parse_whole(s, 10, &v);
    if (err < 0)
        return err;
    if (v < lo || v > hi)
        return WR_E_RANGE;
    *out_v = v;
    return 0;
}

int wr_num_parse_size(struct wr_span s, uint64_t *out_bytes)
{
    uint64_t v = 0;
    int err = cut_digits(&s, 10, &v);
    if (err == WR_E_SYNTAX || s.n > 1)
        return WR_E_SYNTAX;
    for (size_t i = 0; s.n && i < WR_ARRAY_LEN(sizes); i++)
        if (wr_ascii_lower(s.p[0]) == sizes[i].name[0]) {
            if (wr_num_mul(&v, sizes[i].worth) < 0)
                err = WR_E_RANGE;
            s.n = 0;
        }
    if (s.n)
        return WR_E_SYNTAX;
    if (err == 0)
        *out_bytes = v;
    return err;
}

/* Cuts a unit's name off *s and returns its row; -1 when there is none. "m" before "ms" would hide
 * it, so the longest name wins. */
static int cut_unit(struct wr_span *s)
{
    int found = -1;
    size_t longest = 0;
    for (size_t i = 0; i < WR_ARRAY_LEN(durations); i++) {
        struct wr_span name = wr_span_str(durations[i].name);
        if (name.n > longest && wr_span_has_prefix(*s, name))
            found = (int)i, longest = name.n;
    }
    *s = wr_span_sub(*s, longest, s->n);
    return found;
}

int wr_num_parse_duration(struct wr_span s, uint64_t *out_ms)
{
    uint64_t sum = 0;
    int smallest = -1, range = 0;
    do {
        uint64_t v = 0;
        int err = cut_digits(&s, 10, &v);
        if (err == WR_E_SYNTAX)
            return err;
        int unit = s.n ? cut_unit(&s) : SECONDS;
        if (unit <= smallest)
            return WR_E_SYNTAX;
        smallest = unit;
        if (err < 0 || wr_num_mul(&v, durations[unit].worth) < 0 || wr_num_add(&sum, v) < 0)
            range = WR_E_RANGE;
        while (s.n > 1 && s.p[0] == ' ')
            s = wr_span_sub(s, 1, s.n);
    } while (s.n);
    if (range == 0)
        *out_ms = sum;
    return range;
}

static size_t print(char *out, uint64_t v, unsigned base)
{
    char back[WR_NUM_TEXT];
    size_t n = 0;
    do
        back[n++] = "0123456789abcdef"[v % base];
    while (v /= base);
    for (size_t i = 0; i < n; i++)
        out[i] = back[n - 1 - i];
    out[n] = '\0';
    return n;
}

size_t wr_num_print_u64(char out[static WR_NUM_TEXT], uint64_t v)
{
    return print(out, v, 10);
}

size_t wr_num_print_hex(char out[static WR_NUM_TEXT], uint64_t v)
{
    return print(out, v, 16);
}

size_t wr_num_print_i64(char out[static WR_NUM_TEXT], int64_t v)
{
    size_t minus = v < 0;
    out[0] = '-';
    return minus + print(out + minus, minus ? -(uint64_t)v : (uint64_t)v, 10);
}

/* A count and its unit, with the NUL. */
static size_t print_piece(char *out, uint64_t v, const char *unit)
{
    size_t n = print(out, v, 10), more = strlen(unit);
    memcpy(out + n, unit, more + 1);
    return n + more;
}

size_t wr_num_print_size(char out[static WR_NUM_TEXT], uint64_t bytes)
{
    for (size_t i = 0; bytes && i < WR_ARRAY_LEN(sizes); i++)
        if (bytes % sizes[i].worth == 0)
            return print_piece(out, bytes / sizes[i].worth, sizes[i].name);
    return print(out, bytes, 10);
}

size_t wr_num_print_duration(char out[static WR_NUM_TEXT], uint64_t ms)
{
    if (ms == 0)
        return print_piece(out, 0, "s");
    size_t n = 0;
    for (size_t i = FIRST_PRINTED; i < WR_ARRAY_LEN(durations); i++) {
        uint64_t v = ms / durations[i].worth;
        ms %= durations[i].worth;
        if (v)
            n += print_piece(out + n, v, durations[i].name);
    }
    return n;
}
