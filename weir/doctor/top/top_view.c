/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/top/top_view.h"

#include "weir/doctor/report/catalogue.h"
#include "weir/doctor/top/top_text.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- keys ------------------------------------------------------------------------------------------ */
static void scroll(struct top_ui *ui, int64_t by)
{
    uint32_t *at = ui->page ? &ui->page_scroll : &ui->scroll;
    int64_t to = (int64_t)*at + by, last = (int64_t)ui->lines - ui->fit;
    if (to > last)
        to = last;
    *at = to < 0 ? 0 : (uint32_t)to;
}

static void open_page(struct top_ui *ui, enum top_page page)
{
    ui->page = ui->page == page ? TOP_PAGE_NONE : page;
    ui->page_scroll = 0;
}

static void open_table(struct top_ui *ui, enum top_table table)
{
    ui->page = TOP_PAGE_NONE;
    if (ui->table != table)
        ui->scroll = 0;
    ui->table = table;
}

static void sort_next(struct top_ui *ui)
{
    uint8_t *sort = &ui->sort[ui->table];
    *sort = (uint8_t)((*sort + 1) % (top_table_columns(ui->table) + 1));
    ui->scroll = 0;
}

static enum top_act interval(struct top_ui *ui, bool longer)
{
    static const uint32_t steps[] = {100,  200,   500,   1000,  2000,
                                     5000, 10000, 20000, 30000, 60000};
    uint32_t to = ui->interval_ms;
    for (size_t i = 0; i < WR_ARRAY_LEN(steps); i++) {
        size_t k = longer ? i : WR_ARRAY_LEN(steps) - 1 - i;
        if (longer ? steps[k] > ui->interval_ms : steps[k] < ui->interval_ms) {
            to = steps[k];
            break;
        }
    }
    ui->interval_ms = to;
    (void)snprintf(ui->message, sizeof ui->message, WORD(ui->lang, TOP_M_INTERVAL),
                   top_age(&(struct top_text){0}, ui->lang, to));
    return TOP_ACT_LOOK;
}

static bool moves(struct top_ui *ui, int key)
{
    int64_t page = ui->fit > 1 ? ui->fit - 1 : 1;
    switch (key) {
    case 'j':
    case TOP_KEY_DOWN:
        scroll(ui, 1);
        return true;
    case 'k':
    case TOP_KEY_UP:
        scroll(ui, -1);
        return true;
    case 'f':
    case TOP_KEY_PAGE_DOWN:
        scroll(ui, page);
        return true;
    case 'b':
    case TOP_KEY_PAGE_UP:
        scroll(ui, -page);
        return true;
    case 'g':
    case TOP_KEY_HOME:
        scroll(ui, INT32_MIN);
        return true;
    case 'G':
    case TOP_KEY_END:
        scroll(ui, INT32_MAX);
        return true;
    default:
        return false;
    }
}

static enum top_act pause_or_go(struct top_ui *ui)
{
    ui->paused = !ui->paused;
    return ui->paused ? TOP_ACT_NONE : TOP_ACT_LOOK;
}

enum top_act top_ui_key(struct top_ui *ui, int key)
{
    if (key >= '0' && key < '0' + TOP_TABLES)
        open_table(ui, (enum top_table)(key - '0'));
    if (moves(ui, key))
        return TOP_ACT_NONE;
    switch (key) {
    case 'q':
    case 'Q':
    case TOP_KEY_INTERRUPT:
        return TOP_ACT_QUIT;
    case TOP_KEY_ESCAPE:
        ui->page = TOP_PAGE_NONE;
        break;
    case TOP_KEY_ENTER:
        open_page(ui, TOP_PAGE_EXPLAIN);
        break;
    case 't':
        open_page(ui, TOP_PAGE_TREAT);
        break;
    case 'h':
    case '?':
        open_page(ui, TOP_PAGE_HELP);
        break;
    case 's':
        sort_next(ui);
        break;
    case 'r':
        return TOP_ACT_RECORD;
    case ' ':
        return pause_or_go(ui);
    case '+':
    case '-':
        return interval(ui, key == '+');
    case TOP_KEY_REDRAW:
        return TOP_ACT_REDRAW;
    default:
        break;
    }
    return TOP_ACT_NONE;
}

/* ---- drawing ----------------------------------------------------------------------------------------- */
static void too_small(struct top_screen *s)
{
    struct top_pen p = top_pen(s, 0, 0, s->columns);
    top_printf(&p, WORD(s->lang, TOP_NEEDS), TOP_LEAST_COLUMNS, TOP_LEAST_ROWS);
    p = top_pen(s, 1, 0, s->columns);
    top_printf(&p, WORD(s->lang, TOP_SMALL), s->columns, s->rows);
}

static void tabs(struct top_screen *s, const struct top_ui *ui, unsigned row)
{
    struct top_pen p = top_pen(s, row, 0, s->columns);
    for (unsigned i = 1; i <= TOP_TABLES; i++) {
        unsigned t = i % TOP_TABLES; /* the programs last, as the keys lie */
        char name[32];
        (void)snprintf(name, sizeof name, " %u %s ", t,
                       top_table_name((enum top_table)t, s->lang));
        bool here = ui->page == TOP_PAGE_NONE && ui->table == t;
        top_styled(&p, here ? TOP_BAR : TOP_NOTE, name);
    }
}

static void count_hidden(struct top_screen *s, const struct top_ui *ui, unsigned row)
{
    struct top_pen p = top_pen(s, row, 0, s->columns);
    uint32_t at = ui->page ? ui->page_scroll : ui->scroll;
    uint32_t shown = ui->lines - at < ui->fit ? ui->lines - at : ui->fit;
    uint32_t more = ui->lines - at - shown;
    p.style = TOP_DIM;
    if (at)
        top_printf(&p, WORD(s->lang, TOP_ABOVE), at);
    if (at && more)
        top_say(&p, WORD(s->lang, TOP_COMMA));
    if (more)
        top_printf(&p, WORD(s->lang, TOP_MORE), more);
    if (ui->lines == 0)
        top_say(&p, WORD(s->lang, TOP_NONE));
}

static void put_subject(struct top_pen *p, const struct subject *s)
{
    if (s->pid)
        top_printf(p, "  %.31s %" PRId32, s->comm, s->pid);
    if (s->listener[0] || s->peer[0])
        top_printf(p, "  %s", s->listener[0] ? s->listener : s->peer);
}

static void verdict(struct top_screen *s, const struct top_model *m,
                    const struct findings *found, unsigned row)
{
    static const enum top_style styles[] = {TOP_NOTE, TOP_WARN, TOP_ALARM};
    struct top_pen p = top_pen(s, row, 0, s->columns);
    top_styled(&p, TOP_STRONG, WORD(s->lang, TOP_VERDICT));
    if (!found || m->span_ms == 0) {
        top_styled(&p, TOP_DIM, WORD(s->lang, TOP_SECOND_LOOK));
        return;
    }
    if (found->leading == 0) {
        bool blind = m->unread_files > 0;
        const char *age = top_age(&(struct top_text){0}, s->lang, m->span_ms);
        if (blind) {
            top_say(&p, WORD(s->lang, TOP_BLIND));
            top_printf(&p, WORD(s->lang, TOP_BLIND_LOOKS), age);
        } else {
            top_styled(&p, TOP_GOOD, WORD(s->lang, TOP_OK));
            top_printf(&p, WORD(s->lang, TOP_FOUND_NOTHING), age);
        }
        return;
    }
    const struct finding *f = &found->row[found->order[0]];
    p.style = styles[f->severity];
    top_printf(&p, WORD(s->lang, TOP_FINDING), word_severity_loud(s->lang, f->severity),
               catalogue_text(f->rule, s->lang)->title, word_certainty(s->lang, f->certainty));
    p.style = TOP_PLAIN;
    put_subject(&p, &f->subject);
    if (found->leading > 1)
        top_printf(&p, WORD(s->lang, TOP_AND_MORE), found->leading - 1);
}

static void keys(struct top_screen *s, const struct top_ui *ui, unsigned row)
{
    struct top_pen p = top_pen(s, row, 0, s->columns);
    if (ui->message[0])
        top_styled(&p, TOP_STRONG, ui->message);
    else if (ui->page)
        top_styled(&p, TOP_DIM, WORD(s->lang, TOP_PAGE_KEYS));
    else
        top_styled(&p, TOP_DIM, WORD(s->lang, TOP_KEYS));
}

int top_view(struct top_screen *s, const struct top_model *m, const struct findings *found,
             struct top_ui *ui, const struct wr_heap *heap)
{
    s->lang = ui->lang;
    if (s->rows < TOP_LEAST_ROWS || s->columns < TOP_LEAST_COLUMNS) {
        too_small(s);
        return 0;
    }
    unsigned from = TOP_HEAD_ROWS + 1, end = s->rows - 3;
    top_head_draw(s, m, ui);
    tabs(s, ui, TOP_HEAD_ROWS);
    int err = ui->page ? top_page_draw(s, found, ui, from, end, heap)
                       : top_table_draw(s, m, ui, from, end, heap);
    count_hidden(s, ui, end);
    verdict(s, m, found, end + 1);
    keys(s, ui, end + 2);
    return err;
}
