/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/look/record.h"

#include "weir/doctor/look/record_fields.h"

#include <stdarg.h>
#include <stdio.h>

struct writer {
    record_out_fn *fn;
    void *arg;
    const struct facts_look *look;
    int err;
    size_t n;
    char buf[8192];
};

static void flush(struct writer *w)
{
    if (!w->err && w->n) {
        int r = w->fn(w->arg, wr_span(w->buf, w->n));
        w->err = r < 0 ? r : 0;
    }
    w->n = 0;
}

static void put(struct writer *w, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (w->n == sizeof w->buf)
            flush(w);
        w->buf[w->n++] = p[i];
    }
}

WR_PRINTF(2, 3) static void say(struct writer *w, const char *fmt, ...)
{
    char line[256];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if (n > 0)
        put(w, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

static void escaped(struct writer *w, const char *s, size_t max)
{
    size_t n = strnlen(s, max);
    if (n == 0 || (n == 1 && s[0] == '-')) {
        say(w, n ? "%%2d" : "-");
        return;
    }
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c > 0x20 && c < 0x7f && c != '%')
            put(w, s + i, 1);
        else
            say(w, "%%%02x", c);
    }
}

static void unsigned_of(struct writer *w, const char *at, size_t size)
{
    uint64_t v = record_get(at, size);
    if (size >= 4 && v == record_unknown(size))
        say(w, "?");
    else
        say(w, "%llu", (unsigned long long)v);
}

static void field(struct writer *w, const struct record_field *f, const char *row)
{
    const char *at = row + f->at;
    switch (f->kind) {
    case RECORD_U8:
    case RECORD_U16:
    case RECORD_U32:
    case RECORD_U64:
        unsigned_of(w, at, f->size);
        break;
    case RECORD_I32:
        say(w, "%d", (int32_t)record_get(at, 4));
        break;
    case RECORD_IP:
        for (unsigned i = 0; i < 16; i++)
            say(w, "%02x", (unsigned char)at[i]);
        break;
    case RECORD_ARGS:
        for (unsigned i = 0; i < 6; i++)
            say(w, "%s%llx", i ? "," : "", (unsigned long long)record_get(at + i * 8, 8));
        break;
    case RECORD_CHAR:
    case RECORD_NAME:
        escaped(w, at, f->size);
        break;
    case RECORD_TEXT:
        escaped(w, facts_text(w->look, (uint32_t)record_get(at, 4)), SIZE_MAX);
        break;
    }
}

static void rows(struct writer *w, const struct record_row *r, const void *v, uint32_t n)
{
    const char *row = v;
    if (n == 0)
        return;
    say(w, "!%s", r->word);
    for (unsigned i = 0; i < r->fields; i++)
        say(w, " %s", r->field[i].name);
    say(w, "\n");
    for (uint32_t k = 0; k < n && !w->err; k++, row += r->size) {
        say(w, "%s", r->word);
        for (unsigned i = 0; i < r->fields; i++) {
            put(w, " ", 1);
            field(w, &r->field[i], row);
        }
        put(w, "\n", 1);
    }
}

static void look(struct writer *w, const struct facts_look *l, char name)
{
    w->look = l;
    say(w, "look %c %llu %llu %llu %llu %u %u %u\n", name, (unsigned long long)l->at_ns,
        (unsigned long long)l->took_ns, (unsigned long long)l->wall_ms,
        (unsigned long long)l->net, l->looker, l->ticks, l->page);
    for (unsigned i = 0; i < RECORD_ROWS; i++) {
        const struct record_list *list = (const void *)((const char *)l + record_rows[i].list);
        rows(w, &record_rows[i], list->v, list->n);
    }
    for (unsigned i = 0; i < FACTS_COUNTERS; i++)
        if (l->counter[i] != FACTS_UNKNOWN)
            say(w, "counter %s %llu\n", record_counter[i], (unsigned long long)l->counter[i]);
    for (unsigned i = 0; i < FACTS_SYSCTLS; i++) {
        if (l->sysctl[i][0] == FACTS_UNKNOWN)
            continue;
        say(w, "sysctl %s", record_sysctl[i]);
        for (unsigned k = 0; k < 3 && l->sysctl[i][k] != FACTS_UNKNOWN; k++)
            say(w, " %llu", (unsigned long long)l->sysctl[i][k]);
        say(w, "\n");
    }
}

int record_write(const struct facts *f, record_out_fn *fn, void *arg)
{
    struct writer w = {.fn = fn, .arg = arg};
    say(&w, "weir-facts 1\n");
    look(&w, &f->a, 'a');
    look(&w, &f->b, 'b');
    for (uint32_t i = 0; i < f->glances; i++) {
        say(&w, "glance %llu\n", (unsigned long long)f->glance[i].at_ns);
        rows(&w, &record_rows[RECORD_thread], f->glance[i].threads.v, f->glance[i].threads.n);
    }
    say(&w, "end\n");
    flush(&w);
    return w.err;
}
