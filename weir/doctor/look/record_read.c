/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/look/record.h"

#include "libweir/base/num.h"
#include "weir/doctor/look/record_fields.h"

#include <errno.h>

struct columns {
    unsigned n;                           /* 0: not named yet */
    uint8_t field[RECORD_FIELDS_MAX * 2]; /* 255: one that is not known here */
};

struct reader {
    struct facts *to;
    struct facts_look *look;     /* whose lines these are; NULL before the first */
    struct facts_glance *glance; /* whose threads these are; NULL: the look's */
    bool begun, ended;
    struct columns columns[RECORD_ROWS];
};

static bool word(struct wr_span *rest, struct wr_span *out)
{
    return wr_span_split(rest, ' ', out) && out->n > 0;
}

static bool number(struct wr_span *rest, uint64_t *out)
{
    struct wr_span w;
    return word(rest, &w) && wr_num_parse_u64(w, out) == 0;
}

/* Undoes %XX into out; the result ends with 0. -EPROTO: malformed, or longer than room. */
static int plain(struct wr_span w, char *out, size_t room, size_t *out_n)
{
    size_t n = 0;
    uint64_t v;
    if (wr_span_eq(w, WR_LIT("-")))
        w.n = 0;
    for (size_t i = 0; i < w.n; i++) {
        if (n + 1 >= room)
            return -EPROTO;
        out[n] = w.p[i];
        if (w.p[i] == '%') {
            if (w.n - i < 3 || wr_num_parse_hex(wr_span(w.p + i + 1, 2), &v) || v == 0)
                return -EPROTO;
            out[n] = (char)v;
            i += 2;
        }
        n++;
    }
    out[n] = 0;
    *out_n = n;
    return 0;
}

static int unsigned_of(struct wr_span w, char *at, size_t size)
{
    uint64_t v = record_unknown(size);
    if ((size < 4 || !wr_span_eq(w, WR_LIT("?"))) &&
        wr_num_parse_between(w, 0, record_unknown(size), &v))
        return -EPROTO;
    record_set(at, size, v);
    return 0;
}

static int ip_of(struct wr_span w, char *at)
{
    uint64_t v;
    if (w.n != 32)
        return -EPROTO;
    for (unsigned i = 0; i < 16; i++) {
        if (wr_num_parse_hex(wr_span(w.p + 2 * i, 2), &v))
            return -EPROTO;
        at[i] = (char)v;
    }
    return 0;
}

static int args_of(struct wr_span w, char *at)
{
    struct wr_span piece;
    uint64_t v;
    for (unsigned i = 0; i < 6; i++) {
        if (!wr_span_split(&w, ',', &piece) || wr_num_parse_hex(piece, &v))
            return -EPROTO;
        record_set(at + i * 8, 8, v);
    }
    return w.p ? -EPROTO : 0;
}

static int text_of(struct reader *r, struct wr_span w, char *at)
{
    char text[4097];
    size_t n = 0;
    uint32_t place = 0;
    int err = plain(w, text, sizeof text, &n);
    if (!err)
        err = facts_text_add(r->look, wr_span(text, n), &place);
    record_set(at, 4, place);
    return err;
}

static int field(struct reader *r, const struct record_field *f, struct wr_span w, char *row)
{
    char *at = row + f->at, text[64];
    size_t n = 0;
    int64_t i;
    int err = -EPROTO;
    switch (f->kind) {
    case RECORD_U8:
    case RECORD_U16:
    case RECORD_U32:
    case RECORD_U64:
        return unsigned_of(w, at, f->size);
    case RECORD_I32:
        if (wr_num_parse_i64(w, &i) || i < INT32_MIN || i > INT32_MAX)
            return -EPROTO;
        record_set(at, 4, (uint64_t)i);
        return 0;
    case RECORD_IP:
        return ip_of(w, at);
    case RECORD_ARGS:
        return args_of(w, at);
    case RECORD_CHAR:
    case RECORD_NAME: /* the last byte of a name is its 0 */
        err = plain(w, text, f->kind == RECORD_CHAR ? 2 : f->size, &n);
        if (!err)
            memcpy(at, text, n);
        return err;
    case RECORD_TEXT:
        return text_of(r, w, at);
    }
    return err;
}

static int name_columns(struct reader *r, struct wr_span kind, struct wr_span rest)
{
    struct wr_span w;
    for (unsigned k = 0; k < RECORD_ROWS; k++) {
        const struct record_row *row = &record_rows[k];
        struct columns *c = &r->columns[k];
        if (!wr_span_eq(kind, wr_span_str(row->word)))
            continue;
        c->n = 0;
        while (word(&rest, &w)) {
            unsigned i = 0;
            if (c->n == WR_ARRAY_LEN(c->field))
                return -EPROTO;
            while (i < row->fields && !wr_span_eq(w, wr_span_str(row->field[i].name)))
                i++;
            c->field[c->n++] = (uint8_t)(i < row->fields ? i : 255);
        }
        return c->n ? 0 : -EPROTO;
    }
    return 0; /* a kind that later versions have */
}

static int one_row(struct reader *r, unsigned kind, struct wr_span rest)
{
    _Alignas(16) char row[RECORD_ROW_MAX] = {0};
    const struct record_row *d = &record_rows[kind];
    const struct columns *c = &r->columns[kind];
    struct record_list *list = (void *)((char *)r->look + d->list);
    struct wr_span w;
    if (c->n == 0)
        return -EPROTO;
    for (unsigned i = 0; i < c->n; i++) {
        if (!word(&rest, &w))
            return -EPROTO;
        int err = c->field[i] == 255 ? 0 : field(r, &d->field[c->field[i]], w, row);
        if (err)
            return err;
    }
    if (rest.p)
        return -EPROTO;
    if (r->glance) {
        if (kind != RECORD_thread)
            return -EPROTO;
        list = (void *)&r->glance->threads;
    }
    int err = facts_grow_(r->look->heap, &list->v, &list->room, list->n, 1, d->size);
    if (!err)
        memcpy((char *)list->v + list->n++ * d->size, row, d->size);
    return err;
}

static int begin_look(struct reader *r, struct wr_span rest)
{
    struct wr_span name;
    uint64_t v[7];
    if (r->glance || !word(&rest, &name) || name.n != 1 || name.p[0] != (r->look ? 'b' : 'a') ||
        r->look == &r->to->b)
        return -EPROTO;
    for (unsigned i = 0; i < WR_ARRAY_LEN(v); i++)
        if (!number(&rest, &v[i]) || (i > 3 && v[i] > UINT32_MAX))
            return -EPROTO;
    r->look = r->look ? &r->to->b : &r->to->a;
    r->look->at_ns = v[0], r->look->took_ns = v[1], r->look->wall_ms = v[2],
    r->look->net = v[3];
    r->look->looker = (uint32_t)v[4], r->look->ticks = (uint32_t)v[5];
    r->look->page = (uint32_t)v[6];
    return 0;
}

static int begin_glance(struct reader *r, struct wr_span rest)
{
    uint64_t at;
    if (r->look != &r->to->b || r->to->glances == FACTS_GLANCES || !number(&rest, &at))
        return -EPROTO;
    r->glance = &r->to->glance[r->to->glances++];
    r->glance->at_ns = at;
    return 0;
}

static int counter(struct reader *r, struct wr_span rest)
{
    struct wr_span name;
    uint64_t v;
    if (!word(&rest, &name) || !number(&rest, &v))
        return -EPROTO;
    for (unsigned i = 0; i < FACTS_COUNTERS; i++)
        if (wr_span_eq(name, wr_span_str(record_counter[i])))
            r->look->counter[i] = v;
    return 0;
}

static int sysctl(struct reader *r, struct wr_span rest)
{
    struct wr_span name;
    uint64_t v[3] = {FACTS_UNKNOWN, FACTS_UNKNOWN, FACTS_UNKNOWN};
    if (!word(&rest, &name))
        return -EPROTO;
    for (unsigned i = 0; i < 3 && rest.p; i++)
        if (!number(&rest, &v[i]))
            return -EPROTO;
    for (unsigned i = 0; i < FACTS_SYSCTLS; i++)
        if (wr_span_eq(name, wr_span_str(record_sysctl[i])))
            memcpy(r->look->sysctl[i], v, sizeof v);
    return 0;
}

static int one_line(struct reader *r, struct wr_span line)
{
    struct wr_span rest = line, w;
    if (!r->begun) {
        r->begun = wr_span_eq(line, WR_LIT("weir-facts 1"));
        return r->begun ? 0 : -EPROTO;
    }
    if (r->ended || !word(&rest, &w))
        return -EPROTO;
    if (wr_span_eq(w, WR_LIT("look")))
        return begin_look(r, rest);
    if (!r->look)
        return -EPROTO;
    if (wr_span_eq(w, WR_LIT("glance")))
        return begin_glance(r, rest);
    if (wr_span_eq(w, WR_LIT("counter")))
        return counter(r, rest);
    if (wr_span_eq(w, WR_LIT("sysctl")))
        return sysctl(r, rest);
    if (wr_span_eq(w, WR_LIT("end"))) {
        r->ended = r->look == &r->to->b;
        return r->ended ? 0 : -EPROTO;
    }
    if (w.p[0] == '!')
        return name_columns(r, wr_span_sub(w, 1, w.n), rest);
    for (unsigned k = 0; k < RECORD_ROWS; k++)
        if (wr_span_eq(w, wr_span_str(record_rows[k].word)))
            return one_row(r, k, rest);
    return 0; /* a line that later versions have */
}

int record_read(struct wr_span text, struct facts *out, unsigned *out_line)
{
    struct reader r = {.to = out};
    struct wr_span line;
    unsigned n = 0;
    int err = text.n ? 0 : -EPROTO;
    if (text.n && text.p[text.n - 1] == '\n')
        text.n--;
    while (!err && wr_span_split(&text, '\n', &line)) {
        n++;
        err = one_line(&r, line);
    }
    if (!err && !r.ended)
        err = -EPROTO;
    if (err == -EPROTO)
        *out_line = n ? n : 1;
    if (!err)
        err = facts_seal(&out->a);
    if (!err)
        err = facts_seal(&out->b);
    for (uint32_t i = 0; i < out->glances; i++)
        facts_glance_seal(&out->glance[i]);
    return err;
}
