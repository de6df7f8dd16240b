/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/catalogue.h"
#include "weir/doctor/top_text.h"
#include "weir/doctor/top_view.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * The tables: each is a row of the table of tables, with its columns, the text of a cell, and a number by which
 * a column sorts (the largest first). One column of each takes what the others leave.
 */
#define CELL 200
#define BEST UINT32_MAX /* in place of a column: the order that the table itself finds best */

struct column {
    const char *title;
    uint8_t width; /* 0: what is left */
    bool left;
};

struct table {
    const char *name;
    const struct column *column;
    unsigned columns;
    uint32_t (*rows)(const struct top_model *m);
    void (*cell)(const struct top_model *m, uint32_t row, uint32_t column, char out[CELL]);
    uint64_t (*key)(const struct top_model *m, uint32_t row, uint32_t column);
    enum top_style (*style)(const struct top_model *m, uint32_t row);
};

/* ---- helpers of the cells ------------------------------------------------------------------------- */
static void text(char out[CELL], const char *s)
{
    (void)snprintf(out, CELL, "%.190s", s);
}

static void count(char out[CELL], uint64_t n)
{
    text(out, top_count(&(struct top_text){0}, n));
}

static void count_or_blank(char out[CELL], uint64_t n)
{
    if (n == 0)
        text(out, "-");
    else
        count(out, n);
}

static void percent(char out[CELL], uint64_t permille)
{
    text(out, top_percent(&(struct top_text){0}, permille));
}

static void age(char out[CELL], uint64_t ms)
{
    text(out, top_age(&(struct top_text){0}, ms));
}

static void oldest(char out[CELL], const struct top_oldest *o)
{
    if (o->n)
        age(out, o->ms);
    else
        text(out, "-");
}

static uint64_t known(uint64_t n)
{
    return n == FACTS_UNKNOWN ? 0 : n + 1;
}

static uint64_t oldest_key(const struct top_oldest *o)
{
    return o->n ? known(o->ms) + 1 : 0;
}

/* Small numbers first. */
static uint64_t upwards(uint64_t n)
{
    return UINT64_MAX - n;
}

/* In the order of the alphabet, as far as eight bytes tell. */
static uint64_t alphabet(const char *s)
{
    uint64_t v = 0;
    bool ended = false;
    for (unsigned i = 0; i < 8; i++) {
        ended |= s[i] == '\0';
        v = v << 8 | (ended ? 0 : (unsigned char)s[i]);
    }
    return upwards(v);
}

/* ---- programs ---------------------------------------------------------------------------------------- */
static const struct column program_columns[] = {
    {"program",    16, true },
    {"listens at", 0,  true },
    {"conns",      5,  false},
    {"queue",      8,  false},
    {"unaccept",   8,  false},
    {"unread",     7,  false},
    {"owed",       7,  false},
    {"blocked",    7,  false},
    {"cpu",        4,  false},
};

static uint32_t program_rows(const struct top_model *m)
{
    return m->programs.n;
}

static void program_cell(const struct top_model *m, uint32_t row, uint32_t column,
                         char out[CELL])
{
    const struct top_program *p = &m->programs.v[row];
    struct top_text a, b;
    switch (column) {
    case 0:
        (void)snprintf(out, CELL, "%.16s %" PRIu32, p->name, p->pid);
        return;
    case 1:
        text(out, p->listen);
        return;
    case 2:
        count(out, p->conns);
        return;
    case 3:
        (void)snprintf(out, CELL, "%s/%s", top_count(&a, p->queue), top_count(&b, p->backlog));
        return;
    case 4:
        oldest(out, &p->unaccepted);
        return;
    case 5:
        oldest(out, &p->unread);
        return;
    case 6:
        oldest(out, &p->owed);
        return;
    case 7:
        oldest(out, &p->blocked);
        return;
    default:
        percent(out, p->cpu);
    }
}

static uint64_t program_key(const struct top_model *m, uint32_t row, uint32_t column)
{
    const struct top_program *p = &m->programs.v[row];
    switch (column) {
    case 0:
        return alphabet(p->name);
    case 1:
        return alphabet(p->listen);
    case 2:
        return p->conns;
    case 3:
        return p->queue;
    case 4:
        return oldest_key(&p->unaccepted);
    case 5:
        return oldest_key(&p->unread);
    case 6:
        return oldest_key(&p->owed);
    case 7:
        return oldest_key(&p->blocked);
    case 8:
        return known(p->cpu);
    default:
        return p->worst_ms << 20 | (p->conns & 0xfffff);
    }
}

static enum top_style program_style(const struct top_model *m, uint32_t row)
{
    const struct top_program *p = &m->programs.v[row];
    if (p->unaccepted.n && p->unaccepted.ms != FACTS_UNKNOWN && p->unaccepted.ms >= 1000)
        return TOP_BAD;
    return p->worst_ms >= 1000 ? TOP_WARN : TOP_PLAIN;
}

/* ---- workers ----------------------------------------------------------------------------------------- */
static const struct column worker_columns[] = {
    {"tid",              7,  false},
    {"name",             11, true },
    {"what it is doing", 0,  true },
    {"cpu",              5,  false},
    {"conns",            6,  false},
    {"queue",            5,  false},
    {"wake/s",           6,  false},
    {"wait",             5,  false},
};

static uint32_t worker_rows(const struct top_model *m)
{
    return m->workers.n;
}

static bool stands(const struct top_worker *x)
{
    return x->wait == TOP_WAIT_BLOCKED && x->stands_ms;
}

static void worker_cell(const struct top_model *m, uint32_t row, uint32_t column,
                        char out[CELL])
{
    const struct top_worker *x = &m->workers.v[row];
    switch (column) {
    case 0:
        (void)snprintf(out, CELL, "%" PRIu32, x->tid);
        return;
    case 1:
        (void)snprintf(out, CELL, "%.16s", x->comm);
        return;
    case 2:
        if (stands(x))
            (void)snprintf(out, CELL, "%s! %s", top_age(&(struct top_text){0}, x->stands_ms),
                           x->doing);
        else
            text(out, x->doing);
        return;
    case 3:
        percent(out, x->cpu);
        return;
    case 4:
        count(out, x->conns);
        return;
    case 5:
        count(out, x->queue);
        return;
    case 6:
        count(out, x->wakes);
        return;
    default:
        percent(out, x->waited);
    }
}

static uint64_t worker_key(const struct top_model *m, uint32_t row, uint32_t column)
{
    const struct top_worker *x = &m->workers.v[row];
    switch (column) {
    case 0:
        return upwards(x->tid);
    case 1:
        return alphabet(x->comm);
    case 2:
        return stands(x) ? x->stands_ms + 1 : 0;
    case 3:
        return known(x->cpu);
    case 4:
        return known(x->conns);
    case 5:
        return known(x->queue);
    case 6:
        return known(x->wakes);
    case 7:
        return known(x->waited);
    default:
        return stands(x) ? (1ULL << 62) + x->stands_ms
                         : known(x->cpu) << 20 | (x->tid == x->pid);
    }
}

static enum top_style worker_style(const struct top_model *m, uint32_t row)
{
    const struct top_worker *x = &m->workers.v[row];
    if (stands(x))
        return x->stands_ms >= 1000 ? TOP_BAD : TOP_WARN;
    return x->waited != FACTS_UNKNOWN && x->waited >= 200 ? TOP_WARN : TOP_PLAIN;
}

/* ---- peers ---------------------------------------------------------------------------------------------- */
static const struct column peer_columns[] = {
    {"peer",       0,  true },
    {"conns",      6,  false},
    {"owed",       5,  false},
    {"oldest",     8,  false},
    {"rtt/min ms", 12, false},
    {"resent",     6,  false},
    {"T_WAIT",     6,  false},
    {"ports",      5,  false},
};

static uint32_t peer_rows(const struct top_model *m)
{
    return m->peers.n;
}

/* Microseconds as ms with as many digits as say something. */
static const char *rtt(struct top_text *t, uint64_t us)
{
    if (us == FACTS_UNKNOWN)
        (void)snprintf(t->s, sizeof t->s, "-");
    else if (us < 10000)
        (void)snprintf(t->s, sizeof t->s, "%" PRIu64 ".%02" PRIu64, us / 1000, us / 10 % 100);
    else
        (void)snprintf(t->s, sizeof t->s, "%" PRIu64, us / 1000);
    return t->s;
}

static void peer_cell(const struct top_model *m, uint32_t row, uint32_t column, char out[CELL])
{
    const struct top_peer *p = &m->peers.v[row];
    struct top_text a, b;
    switch (column) {
    case 0:
        (void)snprintf(out, CELL, "%s %s", p->outgoing ? "to  " : "from", p->name);
        return;
    case 1:
        count(out, p->conns);
        return;
    case 2:
        count_or_blank(out, p->owed);
        return;
    case 3:
        age(out, p->owed ? p->oldest_ms : FACTS_UNKNOWN);
        return;
    case 4:
        (void)snprintf(out, CELL, "%s/%s", rtt(&a, p->rtt_us), rtt(&b, p->min_rtt_us));
        return;
    case 5:
        percent(out, p->resent);
        return;
    case 6:
        count_or_blank(out, p->time_wait);
        return;
    default:
        percent(out, p->port_share);
    }
}

static uint64_t peer_key(const struct top_model *m, uint32_t row, uint32_t column)
{
    const struct top_peer *p = &m->peers.v[row];
    switch (column) {
    case 0:
        return alphabet(p->name);
    case 1:
        return p->conns;
    case 2:
        return p->owed;
    case 3:
        return p->owed ? p->oldest_ms + 1 : 0;
    case 4:
        return known(p->rtt_us);
    case 5:
        return known(p->resent);
    case 6:
        return p->time_wait;
    case 7:
        return known(p->port_share);
    default:
        return (uint64_t)p->owed << 32 | (p->conns + p->time_wait);
    }
}

static enum top_style peer_style(const struct top_model *m, uint32_t row)
{
    const struct top_peer *p = &m->peers.v[row];
    if (p->port_share != FACTS_UNKNOWN && p->port_share >= 900)
        return TOP_BAD;
    return p->owed && p->oldest_ms >= 1000 ? TOP_WARN : TOP_PLAIN;
}

/* ---- listeners ---------------------------------------------------------------------------------------- */
static const struct column listener_columns[] = {
    {"listens at", 0,  true },
    {"held by",    18, true },
    {"holders",    7,  false},
    {"queue",      6,  false},
    {"backlog",    7,  false},
    {"peak",       6,  false},
    {"oldest",     7,  false},
    {"drops",      6,  false},
};

static uint32_t listener_rows(const struct top_model *m)
{
    return m->lists.n;
}

static void listener_cell(const struct top_model *m, uint32_t row, uint32_t column,
                          char out[CELL])
{
    const struct top_listener *l = &m->lists.v[row];
    switch (column) {
    case 0:
        text(out, l->name);
        return;
    case 1:
        text(out, l->owner);
        return;
    case 2:
        count(out, l->owners);
        return;
    case 3:
        count(out, l->waiting);
        return;
    case 4:
        count(out, l->backlog);
        return;
    case 5:
        count(out, l->peak);
        return;
    case 6:
        age(out, l->oldest_ms ? l->oldest_ms : FACTS_UNKNOWN);
        return;
    default:
        count(out, l->drops);
    }
}

static uint64_t listener_key(const struct top_model *m, uint32_t row, uint32_t column)
{
    const struct top_listener *l = &m->lists.v[row];
    switch (column) {
    case 0:
        return alphabet(l->name);
    case 1:
        return alphabet(l->owner);
    case 2:
        return l->owners;
    case 3:
        return l->waiting;
    case 4:
        return l->backlog;
    case 5:
        return l->peak;
    case 6:
        return l->oldest_ms;
    case 7:
        return known(l->drops);
    default:
        return l->waiting << 32 | (l->peak & 0xffffffff);
    }
}

static enum top_style listener_style(const struct top_model *m, uint32_t row)
{
    const struct top_listener *l = &m->lists.v[row];
    if (l->waiting > l->backlog || (l->drops && l->drops != FACTS_UNKNOWN))
        return TOP_BAD;
    return l->oldest_ms >= 1000 ? TOP_WARN : TOP_PLAIN;
}

/* ---- families of threads -------------------------------------------------------------------------- */
static const struct column family_columns[] = {
    {"pid",                 7,  false},
    {"threads",             16, true },
    {"",                    5,  false},
    {"what they are doing", 0,  true },
    {"blocked",             7,  false},
    {"longest",             8,  false},
    {"cpu",                 5,  false},
};

static uint32_t family_rows(const struct top_model *m)
{
    return m->families.n;
}

static void family_cell(const struct top_model *m, uint32_t row, uint32_t column,
                        char out[CELL])
{
    const struct top_family *f = &m->families.v[row];
    switch (column) {
    case 0:
        (void)snprintf(out, CELL, "%" PRIu32, f->pid);
        return;
    case 1:
        text(out, f->name);
        return;
    case 2:
        (void)snprintf(out, CELL, "x%" PRIu32, f->threads);
        return;
    case 3:
        text(out, f->what);
        return;
    case 4:
        count_or_blank(out, f->blocked);
        return;
    case 5:
        age(out, f->blocked ? f->stands_ms : FACTS_UNKNOWN);
        return;
    default:
        percent(out, f->cpu);
    }
}

static uint64_t family_key(const struct top_model *m, uint32_t row, uint32_t column)
{
    const struct top_family *f = &m->families.v[row];
    switch (column) {
    case 0:
        return upwards(f->pid);
    case 1:
        return alphabet(f->name);
    case 2:
        return f->threads;
    case 3:
        return alphabet(f->what);
    case 4:
        return f->blocked;
    case 5:
        return f->blocked ? f->stands_ms + 1 : 0;
    case 6:
        return known(f->cpu);
    default:
        return (uint64_t)f->blocked << 32 | f->threads;
    }
}

static enum top_style family_style(const struct top_model *m, uint32_t row)
{
    const struct top_family *f = &m->families.v[row];
    return f->blocked && f->stands_ms >= 1000 ? TOP_BAD : TOP_PLAIN;
}

/* ---- counters that moved --------------------------------------------------------------------------- */
static const struct column counter_columns[] = {
    {"counter", 0,  true },
    {"of",      22, true },
    {"rose by", 9,  false},
    {"per s",   9,  false},
    {"now",     9,  false},
};

static uint32_t counter_rows(const struct top_model *m)
{
    return m->counters.n;
}

static void counter_cell(const struct top_model *m, uint32_t row, uint32_t column,
                         char out[CELL])
{
    const struct top_counter *c = &m->counters.v[row];
    switch (column) {
    case 0:
        text(out, c->name);
        return;
    case 1:
        text(out, c->group);
        return;
    case 2:
        count(out, c->rise);
        return;
    case 3:
        count(out, c->per_s);
        return;
    default:
        count(out, c->value);
    }
}

static uint64_t counter_key(const struct top_model *m, uint32_t row, uint32_t column)
{
    const struct top_counter *c = &m->counters.v[row];
    switch (column) {
    case 0:
        return alphabet(c->name);
    case 1:
        return alphabet(c->group);
    case 2:
    case 3:
        return c->rise;
    case 4:
        return c->value;
    default:
        return upwards(row);
    }
}

static enum top_style plain_style(const struct top_model *m, uint32_t row)
{
    (void)m;
    (void)row;
    return TOP_PLAIN;
}

/* ---- findings that came and went ------------------------------------------------------------------- */
static const struct column change_columns[] = {
    {"",          4, true },
    {"severity",  8, true },
    {"certainty", 9, true },
    {"came ago",  8, false},
    {"lasted",    8, false},
    {"finding",   0, true },
};

static uint32_t change_rows(const struct top_model *m)
{
    return m->changes.n;
}

static void change_finding(const struct top_change *c, char out[CELL])
{
    const char *at = c->subject.listener[0] ? c->subject.listener : c->subject.peer;
    size_t n = (size_t)snprintf(out, CELL, "%.90s", catalogue_text(c->rule, LANG_EN)->title);
    if (at[0])
        n += (size_t)snprintf(out + n, CELL - n, "  %.63s", at);
    if (c->subject.pid)
        (void)snprintf(out + n, CELL - n, "  %.20s %" PRId32, c->subject.comm, c->subject.pid);
}

static void change_cell(const struct top_model *m, uint32_t row, uint32_t column,
                        char out[CELL])
{
    static const char *const severities[] = {"info", "warning", "critical"};
    static const char *const certainties[] = {"hint", "likely", "certain"};
    const struct top_change *c = &m->changes.v[row];
    switch (column) {
    case 0:
        text(out, c->gone ? "gone" : "now");
        return;
    case 1:
        text(out, severities[c->severity]);
        return;
    case 2:
        text(out, certainties[c->certainty]);
        return;
    case 3:
        age(out, m->wall_ms > c->came_ms ? m->wall_ms - c->came_ms : 0);
        return;
    case 4:
        age(out, c->seen_ms > c->came_ms ? c->seen_ms - c->came_ms : 0);
        return;
    default:
        change_finding(c, out);
    }
}

static uint64_t change_key(const struct top_model *m, uint32_t row, uint32_t column)
{
    const struct top_change *c = &m->changes.v[row];
    switch (column) {
    case 0:
        return !c->gone;
    case 1:
        return c->severity;
    case 2:
        return c->certainty;
    case 3:
        return upwards(c->came_ms);
    case 4:
        return c->seen_ms - c->came_ms;
    case 5:
        return alphabet(catalogue_text(c->rule, LANG_EN)->title);
    default:
        return (uint64_t)!c->gone << 62 | c->came_ms;
    }
}

static enum top_style change_style(const struct top_model *m, uint32_t row)
{
    const struct top_change *c = &m->changes.v[row];
    if (c->gone)
        return TOP_DIM;
    return c->severity == SEVERITY_CRIT   ? TOP_BAD
           : c->severity == SEVERITY_WARN ? TOP_WARN
                                          : TOP_NOTE;
}

/* ---- the table of tables ---------------------------------------------------------------------------- */
#define TABLE(name, one)                                                                     \
    {                                                                                        \
        name, one##_columns, WR_ARRAY_LEN(one##_columns), one##_rows, one##_cell, one##_key, \
            one##_style                                                                      \
    }

static const struct table tables[TOP_TABLES] = {
    [TOP_PROGRAMS] = TABLE("programs", program),
    [TOP_WORKERS] = TABLE("workers", worker),
    [TOP_PEERS] = TABLE("peers", peer),
    [TOP_LISTENERS] = TABLE("listeners", listener),
    [TOP_FAMILIES] = TABLE("threads", family),
    [TOP_COUNTERS] = {"counters", counter_columns, WR_ARRAY_LEN(counter_columns), counter_rows,
                      counter_cell, counter_key, plain_style},
    [TOP_CHANGES] = TABLE("history", change),
};

unsigned top_table_columns(enum top_table t)
{
    return tables[t].columns;
}

const char *top_table_name(enum top_table t)
{
    return tables[t].name;
}

static unsigned column_width(const struct table *t, unsigned column, unsigned all)
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

static void draw_titles(struct top_screen *s, const struct table *t, unsigned row,
                        unsigned sort)
{
    unsigned at = 0;
    for (unsigned c = 0; c < t->columns; c++) {
        unsigned width = column_width(t, c, s->columns);
        put_cell(s, row, at, width, t->column[c].title, t->column[c].left,
                 sort == c + 1 ? TOP_BAR : TOP_STRONG);
        at += width + 1;
    }
}

static void draw_row(struct top_screen *s, const struct table *t, const struct top_model *m,
                     uint32_t place, unsigned row)
{
    unsigned at = 0;
    enum top_style style = t->style(m, place);
    for (unsigned c = 0; c < t->columns; c++) {
        unsigned width = column_width(t, c, s->columns);
        char cell[CELL] = "";
        t->cell(m, place, c, cell);
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

static void draw_rows(struct top_screen *s, const struct table *t, const struct top_model *m,
                      const struct top_ui *ui, unsigned from, struct place *order, uint32_t n)
{
    unsigned sort = ui->sort[ui->table];
    for (uint32_t i = 0; i < n; i++)
        order[i] = (struct place){t->key(m, i, sort ? sort - 1 : BEST), i};
    qsort(order, n, sizeof *order, by_key);
    for (uint32_t i = 0; i < ui->fit && ui->scroll + i < n; i++)
        draw_row(s, t, m, order[ui->scroll + i].row, from + i);
}

int top_table_draw(struct top_screen *s, const struct top_model *m, struct top_ui *ui,
                   unsigned from, unsigned end, const struct wr_heap *heap)
{
    const struct table *t = &tables[ui->table];
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
