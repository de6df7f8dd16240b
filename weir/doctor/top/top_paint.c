/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/top/top_screen.h"

#include "weir/stats/text.h"

#define GAP \
    5 /* fewer unchanged columns than this are cheaper to write again than to jump over */

static const char *const coloured[TOP_STYLES] = {
    [TOP_PLAIN] = "0",    [TOP_DIM] = "0;2",   [TOP_STRONG] = "0;1",
    [TOP_GOOD] = "0;32",  [TOP_NOTE] = "0;36", [TOP_WARN] = "0;1;33",
    [TOP_BAD] = "0;1;31", [TOP_BAR] = "0;7",   [TOP_ALARM] = "0;1;41;37",
};
static const char *const uncoloured[TOP_STYLES] = {
    [TOP_PLAIN] = "0", [TOP_DIM] = "0",   [TOP_STRONG] = "0;1",
    [TOP_GOOD] = "0",  [TOP_NOTE] = "0",  [TOP_WARN] = "0;1",
    [TOP_BAD] = "0;1", [TOP_BAR] = "0;7", [TOP_ALARM] = "0;1;7",
};

struct painter {
    struct stats_text *out;
    const struct top_screen *before, *now;
    const char *const *styles;
    int style; /* that the terminal has; -1: not known */
};

static const struct top_cell *cell(const struct top_screen *s, unsigned row, unsigned column)
{
    return &s->cell[(size_t)row * s->columns + column];
}

static bool same(const struct painter *p, unsigned row, unsigned column)
{
    static const struct top_cell blank = {.text = " ", .n = 1, .style = TOP_PLAIN};
    const struct top_cell *b = p->before ? cell(p->before, row, column) : &blank;
    const struct top_cell *n = cell(p->now, row, column);
    return b->n == n->n && b->style == n->style && memcmp(b->text, n->text, n->n) == 0;
}

/* Behind the run of columns that are written together, from the first that differs. */
static unsigned run_end(const struct painter *p, unsigned row, unsigned from)
{
    unsigned end = from + 1, equal = 0;
    for (unsigned c = from + 1; c < p->now->columns && equal < GAP; c++) {
        bool differs = !same(p, row, c);
        equal = differs ? 0 : equal + 1;
        end = differs ? c + 1 : end;
    }
    return end;
}

static void write_run(struct painter *p, unsigned row, unsigned from, unsigned end)
{
    stats_printf(p->out, "\033[%u;%uH", row + 1, from + 1);
    for (unsigned c = from; c < end; c++) {
        const struct top_cell *x = cell(p->now, row, c);
        if (x->n && x->style != p->style)
            stats_printf(p->out, "\033[%sm", p->styles[x->style]);
        if (x->n)
            p->style = x->style;
        stats_put(p->out, wr_span(x->text, x->n));
    }
}

/* A run never begins with a right half: where it differs, its left half does. */
static void paint_row(struct painter *p, unsigned row)
{
    for (unsigned c = 0; c < p->now->columns;) {
        if (same(p, row, c)) {
            c++;
            continue;
        }
        unsigned end = run_end(p, row, c);
        write_run(p, row, c, end);
        c = end;
    }
}

void top_paint(struct stats_text *out, const struct top_screen *before,
               const struct top_screen *now, bool colour)
{
    if (before && (before->rows != now->rows || before->columns != now->columns))
        before = NULL;
    struct painter p = {.out = out,
                        .before = before,
                        .now = now,
                        .styles = colour ? coloured : uncoloured,
                        .style = -1};
    if (!before)
        stats_put(out, WR_LIT("\033[0m\033[H\033[2J"));
    for (unsigned r = 0; r < now->rows; r++)
        paint_row(&p, r);
    if (p.style != -1)
        stats_put(out, WR_LIT("\033[0m"));
}
