/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/filter/charset_table.h"

#include "libweir/base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ONE_MAX 16 /* bytes that one character may become: "&#1114111;" */

static bool is_utf8(struct wr_span name)
{
    return wr_span_ieq(name, WR_LIT("utf-8"));
}

struct charset_table *charset_table_new(struct wr_arena *arena, struct wr_span from,
                                        struct wr_span to)
{
    struct charset_table *t = wr_arena_zalloc(arena, sizeof *t);
    if (!t)
        return NULL;
    t->from = from;
    t->to = to;
    t->from_utf8 = is_utf8(from);
    t->to_utf8 = is_utf8(to);
    t->changes_length = t->from_utf8 || t->to_utf8;
    for (unsigned c = 0; c < 256; c++)
        if (c < 128 || t->to_utf8)
            t->byte[c] = (struct charset_row){1, {(char)c}};
    return t;
}

/* How many bytes a UTF-8 sequence has by its first; 0: none begins so. */
static unsigned sequence_length(unsigned char c)
{
    return c < 0x80 ? 1 : c < 0xC2 ? 0 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : c < 0xF5 ? 4 : 0;
}

/* The code point of a whole sequence, or -1. */
static int32_t code_point(const unsigned char *p, unsigned n)
{
    static const unsigned char lead[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    static const int32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    int32_t c = p[0] & lead[n];
    for (unsigned i = 1; i < n; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return -1;
        c = c << 6 | (p[i] & 0x3f);
    }
    return c < least[n] || (c >= 0xD800 && c < 0xE000) || c > 0x10FFFF ? -1 : c;
}

static int hex_bytes(struct wr_span text, unsigned char out[4], unsigned *out_n)
{
    if (text.n == 0 || text.n % 2 || text.n > 8)
        return WR_E_SYNTAX;
    for (size_t i = 0; i < text.n; i++) {
        char c = wr_ascii_lower(text.p[i]);
        int v = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (v < 0)
            return WR_E_SYNTAX;
        out[i / 2] = (unsigned char)(i % 2 ? out[i / 2] | v : v << 4);
    }
    *out_n = (unsigned)(text.n / 2);
    return 0;
}

int charset_table_add(struct wr_arena *arena, struct charset_table *t, struct wr_span from,
                      struct wr_span to)
{
    unsigned char f[4], b[4];
    unsigned nf = 0, nb = 0;
    if (hex_bytes(from, f, &nf) || hex_bytes(to, b, &nb) || (!t->to_utf8 && nb != 1))
        return WR_E_SYNTAX;
    if (!t->from_utf8) {
        if (nf != 1)
            return WR_E_SYNTAX;
        t->byte[f[0]].n = (uint8_t)nb;
        memcpy(t->byte[f[0]].bytes, b, nb);
        return 0;
    }
    int32_t c = sequence_length(f[0]) == nf ? code_point(f, nf) : -1;
    if (c < 0 || c > 0xFFFF)
        return WR_E_SYNTAX;
    if (!t->page[c >> 8] && !(t->page[c >> 8] = wr_arena_zalloc(arena, 256)))
        return -ENOMEM;
    (*t->page[c >> 8])[c & 255] = b[0];
    return 0;
}

/* ---- the coder ---------------------------------------------------------------------------------------- */

struct charset_state {
    const struct charset_table *table;
    unsigned char part[4]; /* of a sequence that was cut */
    unsigned nparts;
};

int charset_open(struct wr_arena *arena, const struct charset_table *t, void **out_state)
{
    struct charset_state *s = wr_arena_zalloc(arena, sizeof *s);
    if (!s)
        return -ENOMEM;
    s->table = t;
    *out_state = s;
    return 0;
}

void charset_close(void *state)
{
    (void)state; /* the request's arena has it */
}

static size_t put_row(const struct charset_row *row, char *out)
{
    if (row->n == 0) {
        *out = '?';
        return 1;
    }
    memcpy(out, row->bytes, row->n);
    return row->n;
}

static size_t put_code_point(const struct charset_table *t, int32_t c, char *out)
{
    if (c >= 0 && c < 128) {
        *out = (char)c;
        return 1;
    }
    if (c < 0) {
        *out = '?';
        return 1;
    }
    uint8_t b = c <= 0xFFFF && t->page[c >> 8] ? (*t->page[c >> 8])[c & 255] : 0;
    if (b) {
        *out = (char)b;
        return 1;
    }
    return (size_t)snprintf(out, ONE_MAX, "&#%d;", (int)c);
}

/* One character of UTF-8 from what was cut and what is there; 0: it is not complete. */
static size_t one_utf8(struct charset_state *s, struct wr_span *in, bool final, char *out)
{
    while (s->nparts == 0 || s->nparts < sequence_length(s->part[0])) {
        if (in->n == 0) {
            if (!final || s->nparts == 0)
                return 0;
            s->nparts = 0;
            *out = '?';
            return 1;
        }
        unsigned char c = (unsigned char)*in->p;
        if (s->nparts && (c & 0xC0) != 0x80)
            break; /* the sequence ends early: this byte begins another */
        s->part[s->nparts++] = c;
        *in = wr_span_sub(*in, 1, SIZE_MAX);
        if (s->nparts == 1 && sequence_length(c) == 0)
            break;
    }
    unsigned n = s->nparts, want = sequence_length(s->part[0]);
    s->nparts = 0;
    return put_code_point(s->table, want == n ? code_point(s->part, n) : -1, out);
}

int charset_convert(void *state, struct wr_span *in, enum recode_op op, char *out, size_t cap,
                    size_t *out_n, bool *out_done)
{
    struct charset_state *s = state;
    char one[ONE_MAX];
    while (cap - *out_n >= ONE_MAX) {
        size_t n;
        if (s->table->from_utf8) {
            n = one_utf8(s, in, op == RECODE_FINISH, one);
        } else if (in->n) {
            n = put_row(&s->table->byte[(unsigned char)*in->p], one);
            *in = wr_span_sub(*in, 1, SIZE_MAX);
        } else {
            n = 0;
        }
        if (n == 0) {
            *out_done = true;
            return 0;
        }
        memcpy(out + *out_n, one, n);
        *out_n += n;
    }
    return 0;
}
