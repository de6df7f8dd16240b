/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of findings that came and went. */
#include "weir/doctor/report/catalogue.h"
#include "weir/doctor/top/top_columns.h"
#include "weir/doctor/top/top_text.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- findings that came and went ------------------------------------------------------------------- */
static const struct top_column change_columns[] = {
    {{"", ""},               4, true },
    {WORDS(TOP_C_SEVERITY),  8, true },
    {WORDS(TOP_C_CERTAINTY), 9, true },
    {WORDS(TOP_C_CAME),      8, false},
    {WORDS(TOP_C_LASTED),    8, false},
    {WORDS(TOP_C_FINDING),   0, true },
};

static uint32_t change_rows(const struct top_model *m)
{
    return m->changes.n;
}

static void change_finding(const struct top_change *c, enum doctor_lang lang,
                           char out[TOP_CELL])
{
    const char *at = c->subject.listener[0] ? c->subject.listener : c->subject.peer;
    size_t n = (size_t)snprintf(out, TOP_CELL, "%.90s", catalogue_text(c->rule, lang)->title);
    if (at[0])
        n += (size_t)snprintf(out + n, TOP_CELL - n, "  %.63s", at);
    if (c->subject.pid)
        (void)snprintf(out + n, TOP_CELL - n, "  %.20s %" PRId32, c->subject.comm,
                       c->subject.pid);
}

static void change_cell(const struct top_model *m, uint32_t row, uint32_t column,
                        enum doctor_lang lang, char out[TOP_CELL])
{
    const struct top_change *c = &m->changes.v[row];
    switch (column) {
    case 0:
        top_cell_text(out, c->gone ? WORD(lang, TOP_GONE) : WORD(lang, TOP_NOW));
        return;
    case 1:
        top_cell_text(out, word_severity(lang, c->severity));
        return;
    case 2:
        top_cell_text(out, word_certainty(lang, c->certainty));
        return;
    case 3:
        top_cell_age(out, lang, m->wall_ms > c->came_ms ? m->wall_ms - c->came_ms : 0);
        return;
    case 4:
        top_cell_age(out, lang, c->seen_ms > c->came_ms ? c->seen_ms - c->came_ms : 0);
        return;
    default:
        change_finding(c, lang, out);
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
        return top_key_upwards(c->came_ms);
    case 4:
        return c->seen_ms - c->came_ms;
    case 5:
        return top_key_alphabet(catalogue_text(c->rule, LANG_EN)->title);
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

const struct top_rows top_rows_of_changes = TOP_ROWS(TOP_T_HISTORY, change);
