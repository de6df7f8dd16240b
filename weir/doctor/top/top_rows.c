/* SPDX-License-Identifier: BSD-2-Clause */
/* The tables of the processes: programs, workers, families of threads. */
#include "weir/doctor/top/top_columns.h"
#include "weir/doctor/top/top_text.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- programs ---------------------------------------------------------------------------------------- */
static const struct top_column program_columns[] = {
    {WORDS(TOP_C_PROGRAM),  16, true },
    {WORDS(TOP_C_LISTENS),  0,  true },
    {WORDS(TOP_C_CONNS),    5,  false},
    {WORDS(TOP_C_QUEUE),    8,  false},
    {WORDS(TOP_C_UNACCEPT), 8,  false},
    {WORDS(TOP_C_UNREAD),   7,  false},
    {WORDS(TOP_C_OWED),     7,  false},
    {WORDS(TOP_C_BLOCKED),  7,  false},
    {WORDS(TOP_C_CPU),      4,  false},
};

static uint32_t program_rows(const struct top_model *m)
{
    return m->programs.n;
}

static void program_cell(const struct top_model *m, uint32_t row, uint32_t column,
                         enum doctor_lang lang, char out[TOP_CELL])
{
    const struct top_program *p = &m->programs.v[row];
    struct top_text a, b;
    switch (column) {
    case 0:
        if (p->pid)
            (void)snprintf(out, TOP_CELL, "%.16s %" PRIu32, p->name, p->pid);
        else
            (void)snprintf(out, TOP_CELL, "(%.16s)", p->name);
        return;
    case 1:
        top_cell_text(out, p->listen);
        return;
    case 2:
        top_cell_count(out, p->conns);
        return;
    case 3:
        (void)snprintf(out, TOP_CELL, "%s/%s", top_count(&a, p->queue),
                       top_count(&b, p->backlog));
        return;
    case 4:
        top_cell_oldest(out, lang, &p->unaccepted);
        return;
    case 5:
        top_cell_oldest(out, lang, &p->unread);
        return;
    case 6:
        top_cell_oldest(out, lang, &p->owed);
        return;
    case 7:
        top_cell_oldest(out, lang, &p->blocked);
        return;
    default:
        top_cell_percent(out, p->cpu);
    }
}

static uint64_t program_key(const struct top_model *m, uint32_t row, uint32_t column)
{
    const struct top_program *p = &m->programs.v[row];
    switch (column) {
    case 0:
        return top_key_alphabet(p->name);
    case 1:
        return top_key_alphabet(p->listen);
    case 2:
        return top_key_known(p->conns);
    case 3:
        return p->queue;
    case 4:
        return top_key_oldest(&p->unaccepted);
    case 5:
        return top_key_oldest(&p->unread);
    case 6:
        return top_key_oldest(&p->owed);
    case 7:
        return top_key_oldest(&p->blocked);
    case 8:
        return top_key_known(p->cpu);
    default:
        return p->worst_ms << 20 | (top_key_known(p->conns) & 0xfffff);
    }
}

static enum top_style program_style(const struct top_model *m, uint32_t row)
{
    const struct top_program *p = &m->programs.v[row];
    if (p->unaccepted.n && p->unaccepted.ms != FACTS_UNKNOWN && p->unaccepted.ms >= 1000)
        return TOP_BAD;
    return p->worst_ms >= 1000 ? TOP_WARN : TOP_PLAIN;
}

const struct top_rows top_rows_of_programs = TOP_ROWS(TOP_T_PROGRAMS, program);

/* ---- workers ----------------------------------------------------------------------------------------- */
static const struct top_column worker_columns[] = {
    {WORDS(TOP_C_TID),   7,  false},
    {WORDS(TOP_C_NAME),  11, true },
    {WORDS(TOP_C_DOING), 0,  true },
    {WORDS(TOP_C_CPU),   5,  false},
    {WORDS(TOP_C_CONNS), 6,  false},
    {WORDS(TOP_C_QUEUE), 5,  false},
    {WORDS(TOP_C_WAKES), 6,  false},
    {WORDS(TOP_C_WAIT),  5,  false},
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
                        enum doctor_lang lang, char out[TOP_CELL])
{
    const struct top_worker *x = &m->workers.v[row];
    switch (column) {
    case 0:
        (void)snprintf(out, TOP_CELL, "%" PRIu32, x->tid);
        return;
    case 1:
        (void)snprintf(out, TOP_CELL, "%.16s", x->comm);
        return;
    case 2:
        if (stands(x))
            (void)snprintf(out, TOP_CELL, "%s! %s",
                           top_age(&(struct top_text){0}, lang, x->stands_ms), x->doing);
        else
            top_cell_text(out, x->doing);
        return;
    case 3:
        top_cell_percent(out, x->cpu);
        return;
    case 4:
        top_cell_count(out, x->conns);
        return;
    case 5:
        top_cell_count(out, x->queue);
        return;
    case 6:
        top_cell_count(out, x->wakes);
        return;
    default:
        top_cell_percent(out, x->waited);
    }
}

static uint64_t worker_key(const struct top_model *m, uint32_t row, uint32_t column)
{
    const struct top_worker *x = &m->workers.v[row];
    switch (column) {
    case 0:
        return top_key_upwards(x->tid);
    case 1:
        return top_key_alphabet(x->comm);
    case 2:
        return stands(x) ? x->stands_ms + 1 : 0;
    case 3:
        return top_key_known(x->cpu);
    case 4:
        return top_key_known(x->conns);
    case 5:
        return top_key_known(x->queue);
    case 6:
        return top_key_known(x->wakes);
    case 7:
        return top_key_known(x->waited);
    default:
        return stands(x) ? (1ULL << 62) + x->stands_ms
                         : top_key_known(x->cpu) << 20 | (x->tid == x->pid);
    }
}

static enum top_style worker_style(const struct top_model *m, uint32_t row)
{
    const struct top_worker *x = &m->workers.v[row];
    if (stands(x))
        return x->stands_ms >= 1000 ? TOP_BAD : TOP_WARN;
    return x->waited != FACTS_UNKNOWN && x->waited >= 200 ? TOP_WARN : TOP_PLAIN;
}

const struct top_rows top_rows_of_workers = TOP_ROWS(TOP_T_WORKERS, worker);

/* ---- families of threads -------------------------------------------------------------------------- */
static const struct top_column family_columns[] = {
    {WORDS(TOP_C_PID),     7,  false},
    {WORDS(TOP_C_THREADS), 16, true },
    {{"", ""},             5,  false},
    {WORDS(TOP_C_THEY_DO), 0,  true },
    {WORDS(TOP_C_BLOCKED), 7,  false},
    {WORDS(TOP_C_LONGEST), 8,  false},
    {WORDS(TOP_C_CPU),     5,  false},
};

static uint32_t family_rows(const struct top_model *m)
{
    return m->families.n;
}

static void family_cell(const struct top_model *m, uint32_t row, uint32_t column,
                        enum doctor_lang lang, char out[TOP_CELL])
{
    const struct top_family *f = &m->families.v[row];
    switch (column) {
    case 0:
        (void)snprintf(out, TOP_CELL, "%" PRIu32, f->pid);
        return;
    case 1:
        top_cell_text(out, f->name);
        return;
    case 2:
        (void)snprintf(out, TOP_CELL, "x%" PRIu32, f->threads);
        return;
    case 3:
        top_cell_text(out, f->what);
        return;
    case 4:
        top_cell_some(out, f->blocked);
        return;
    case 5:
        top_cell_age(out, lang, f->blocked ? f->stands_ms : FACTS_UNKNOWN);
        return;
    default:
        top_cell_percent(out, f->cpu);
    }
}

static uint64_t family_key(const struct top_model *m, uint32_t row, uint32_t column)
{
    const struct top_family *f = &m->families.v[row];
    switch (column) {
    case 0:
        return top_key_upwards(f->pid);
    case 1:
        return top_key_alphabet(f->name);
    case 2:
        return f->threads;
    case 3:
        return top_key_alphabet(f->what);
    case 4:
        return f->blocked;
    case 5:
        return f->blocked ? f->stands_ms + 1 : 0;
    case 6:
        return top_key_known(f->cpu);
    default:
        return (uint64_t)f->blocked << 32 | f->threads;
    }
}

static enum top_style family_style(const struct top_model *m, uint32_t row)
{
    const struct top_family *f = &m->families.v[row];
    return f->blocked && f->stands_ms >= 1000 ? TOP_BAD : TOP_PLAIN;
}

const struct top_rows top_rows_of_families = TOP_ROWS(TOP_T_FAMILIES, family);
