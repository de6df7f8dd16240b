/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/top/top_columns.h"
#include "weir/doctor/top/top_view.h"

#include <errno.h>
#include <stdlib.h>

static const struct top_rows *const tables[TOP_TABLES] = {
    [TOP_PROGRAMS] = &top_rows_of_programs, [TOP_WORKERS] = &top_rows_of_workers,
    [TOP_PEERS] = &top_rows_of_peers,       [TOP_LISTENERS] = &top_rows_of_listeners,
    [TOP_FAMILIES] = &top_rows_of_families, [TOP_COUNTERS] = &top_rows_of_counters,
    [TOP_CHANGES] = &top_rows_of_changes,
};

unsigned top_table_columns(enum top_table t)
{
    return tables[t]->columns;
}

const char *top_table_name(enum top_table t, enum doctor_lang lang)
{
    return tables[t]->name[lang];
}

static unsigned column_width(const struct top_rows *t, unsigned column, unsigned all)
{
    unsigned used = t->columns - 1;
    if (t->column[column].width)
        return t->column[column].width;
    for (unsigned i = 0; i < t->columns; i++)
        used += t->column[i].width;
    return all > used ? all - used : 1;
}

static void put_cell(struct top_screen *s, unsigned row, unsigned from, unsigned width,
                     const char *string, bool left, enum top_style style)
{
    struct top_pen p = top_pen(s, row, from, from + width);
    unsigned needs = top_width(wr_span_str(string));
    if (!left && needs < width)
        p = top_pen(s, row, from + width - needs, from + width);
    p.style = style;
    top_say(&p, string);
}

static void draw_titles(struct top_screen *s, const struct top_rows *t, unsigned row,
                        unsigned sort)
{
    unsigned at = 0;
    for (unsigned c = 0; c < t->columns; c++) {
        unsigned width = column_width(t, c, s->columns);
        put_cell(s, row, at, width, t->column[c].title[s->lang], t->column[c].left,
                 sort == c + 1 ? TOP_BAR : TOP_STRONG);
        at += width + 1;
    }
}

static void draw_row(struct top_screen *s, const struct top_rows *t, const struct top_model *m,
                     uint32_t place, unsigned row)
{
    unsigned at = 0;
    enum top_style style = t->style(m, place);
    for (unsigned c = 0; c < t->columns; c++) {
        unsigned width = column_width(t, c, s->columns);
        char cell[TOP_CELL] = "";
        t->cell(m, place, c, s->lang, cell);
        put_cell(s, row, at, width, cell, t->column[c].left, style);
        at += width + 1;
    }
}

struct place {
    uint64_t key;
    uint32_t row;
};

static int by_key(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->key != y->key)
        return x->key > y->key ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

static void draw_rows(struct top_screen *s, const struct top_rows *t, const struct top_model *m,
                      const struct top_ui *ui, unsigned from, struct place *order, uint32_t n)
{
    unsigned sort = ui->sort[ui->table];
    for (uint32_t i = 0; i < n; i++)
        order[i] = (struct place){t->key(m, i, sort ? sort - 1 : TOP_BEST), i};
    qsort(order, n, sizeof *order, by_key);
    for (uint32_t i = 0; i < ui->fit && ui->scroll + i < n; i++)
        draw_row(s, t, m, order[ui->scroll + i].row, from + i);
}

int top_table_draw(struct top_screen *s, const struct top_model *m, struct top_ui *ui,
                   unsigned from, unsigned end, const struct wr_heap *heap)
{
    const struct top_rows *t = tables[ui->table];
    uint32_t n = t->rows(m);
    draw_titles(s, t, from, ui->sort[ui->table]);
    ui->fit = end > from + 1 ? end - from - 1 : 0;
    ui->lines = n;
    if (ui->scroll + ui->fit > n)
        ui->scroll = n > ui->fit ? n - ui->fit : 0;
    if (n == 0)
        return 0;
    struct place *order = wr_heap_array(heap, n, sizeof *order);
    if (!order)
        return -ENOMEM;
    draw_rows(s, t, m, ui, from + 1, order, n);
    wr_heap_free(heap, order, n * sizeof *order);
    return 0;
}
