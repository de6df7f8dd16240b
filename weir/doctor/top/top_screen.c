/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/top/top_screen.h"

#include "libweir/base/heap.h"
#include "weir/doctor/report/plain.h"
#include "weir/stats/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

void top_screen_free(struct top_screen *s)
{
    if (s->cell)
        wr_heap_free(s->heap, s->cell, s->room * sizeof *s->cell);
    *s = (struct top_screen){0};
}

static void blank(struct top_screen *s)
{
    for (size_t i = 0; i < (size_t)s->rows * s->columns; i++)
        s->cell[i] = (struct top_cell){.text = " ", .n = 1, .style = TOP_PLAIN};
}

int top_screen_reset(struct top_screen *s, const struct wr_heap *heap, unsigned rows,
                     unsigned columns, bool utf8)
{
    rows = rows > TOP_ROWS_MOST ? TOP_ROWS_MOST : rows;
    columns = columns > TOP_COLUMNS_MOST ? TOP_COLUMNS_MOST : columns;
    size_t need = (size_t)rows * columns;
    if (need > s->room) {
        struct top_cell *cell = wr_heap_array(heap, need, sizeof *cell);
        if (!cell)
            return -ENOMEM;
        top_screen_free(s);
        s->heap = heap;
        s->cell = cell;
        s->room = need;
    }
    s->rows = rows;
    s->columns = columns;
    s->utf8 = utf8;
    blank(s);
    return 0;
}

struct top_pen top_pen(struct top_screen *s, unsigned row, unsigned column, unsigned end)
{
    if (row >= s->rows)
        return (struct top_pen){.screen = s, .row = row, .cut = true};
    if (end > s->columns)
        end = s->columns;
    return (struct top_pen){
        .screen = s, .row = row, .column = column < end ? column : end, .end = end};
}

static struct top_cell *cell_at(const struct top_screen *s, unsigned row, unsigned column)
{
    return &s->cell[(size_t)row * s->columns + column];
}

static void set(struct top_pen *p, unsigned column, const char *bytes, size_t n)
{
    struct top_cell *c = cell_at(p->screen, p->row, column);
    c->n = (uint8_t)n;
    c->style = (uint8_t)p->style;
    memcpy(c->text, bytes, n);
}

/* The last column says that there was more; if it was half of a character, the other half goes. */
static void mark_cut(struct top_pen *p)
{
    if (p->cut || p->end == 0 || p->row >= p->screen->rows)
        return;
    p->cut = true;
    unsigned last = p->end - 1;
    if (last > 0 && cell_at(p->screen, p->row, last)->n == 0)
        set(p, last - 1, " ", 1);
    if (p->screen->utf8)
        set(p, last, "\xe2\x80\xa6", 3);
    else
        set(p, last, "~", 1);
    p->column = p->end;
}

static void put_char(struct top_pen *p, const char *bytes, size_t n, unsigned width)
{
    if (p->cut)
        return;
    if (width == 0) { /* rides on the character before it */
        struct top_cell *c = p->column ? cell_at(p->screen, p->row, p->column - 1) : NULL;
        if (c && c->n && c->n + n <= sizeof c->text) {
            memcpy(c->text + c->n, bytes, n);
            c->n = (uint8_t)(c->n + n);
        }
        return;
    }
    if (p->column + width > p->end) {
        mark_cut(p);
        return;
    }
    set(p, p->column, bytes, n);
    if (width == 2)
        set(p, p->column + 1, "", 0);
    p->column += width;
}

/* One character, or what stands for it. */
static void put_point(struct top_pen *p, struct wr_span bytes, int32_t point)
{
    if (point == '\\' && !p->escaped) {
        put_char(p, "\\", 1, 1);
        put_char(p, "\\", 1, 1);
        return;
    }
    if (plain_printable(point)) {
        unsigned width = plain_columns(point);
        if (p->screen->utf8 || point < 0x80)
            put_char(p, bytes.p, bytes.n, width);
        else
            for (unsigned i = 0; i < width; i++)
                put_char(p, "?", 1, 1);
        return;
    }
    for (size_t i = 0; i < bytes.n; i++) {
        char text[8];
        (void)snprintf(text, sizeof text, "\\x%02x", (unsigned char)bytes.p[i]);
        for (unsigned k = 0; k < 4; k++)
            put_char(p, text + k, 1, 1);
    }
}

void top_put(struct top_pen *p, struct wr_span text)
{
    for (size_t at = 0; at < text.n && !p->cut;) {
        size_t from = at;
        int32_t point = plain_next(text, &at);
        put_point(p, wr_span(text.p + from, at - from), point);
    }
}

void top_say(struct top_pen *p, const char *text)
{
    top_put(p, wr_span_str(text));
}

void top_printf(struct top_pen *p, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (n > 0)
        top_put(p, wr_span(text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1));
}

void top_styled(struct top_pen *p, enum top_style style, const char *text)
{
    enum top_style own = p->style;
    p->style = style;
    top_say(p, text);
    p->style = own;
}

void top_to(struct top_pen *p, unsigned column)
{
    while (!p->cut && p->column < column && p->column < p->end)
        put_char(p, " ", 1, 1);
}

void top_fill(struct top_pen *p, enum top_style style)
{
    if (p->row >= p->screen->rows)
        return;
    p->style = style;
    top_to(p, p->end);
    for (unsigned i = 0; i < p->end; i++)
        cell_at(p->screen, p->row, i)->style = (uint8_t)style;
}

unsigned top_width(struct wr_span text)
{
    unsigned width = 0;
    for (size_t at = 0; at < text.n;) {
        size_t from = at;
        int32_t point = plain_next(text, &at);
        if (point == '\\')
            width += 2;
        else if (plain_printable(point))
            width += plain_columns(point);
        else
            width += 4 * (unsigned)(at - from);
    }
    return width;
}

void top_screen_text(const struct top_screen *s, struct stats_text *out)
{
    for (unsigned r = 0; r < s->rows; r++) {
        unsigned end = s->columns;
        while (end > 0) {
            const struct top_cell *c = cell_at(s, r, end - 1);
            if (c->n != 1 || c->text[0] != ' ')
                break;
            end--;
        }
        for (unsigned i = 0; i < end; i++)
            stats_put(out, wr_span(cell_at(s, r, i)->text, cell_at(s, r, i)->n));
        stats_put(out, WR_LIT("\n"));
    }
}
