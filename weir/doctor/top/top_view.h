/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DOCTOR_TOP_VIEW_H
#define DOCTOR_TOP_VIEW_H

/*
 * The screen of `weir top`: a model and what the person chose, drawn into a grid; and what the keys do.
 *
 *   row 0      who, how often, own cost
 *   rows 1-6   the head: what waits longest, the fullest accept queue, debts, states, ports and limits, the host
 *   row 7      the tables by key
 *   rows 8-    a table with its columns, or a page of text (help, explanation, remedy)
 *   last 3     how many rows do not fit; verdict; keys or a message
 *
 * 1. Pure: the same model, findings and choice give the same screen.
 * 2. Below TOP_LEAST_ROWS x TOP_LEAST_COLUMNS only the needed size is said.
 * 3. Rows that do not fit are counted. Scrolling never passes the last row.
 * 4. What a key asks for that is not drawing (quit, record) is returned to the loop.
 */

#include "weir/doctor/top/top_keys.h"
#include "weir/doctor/top/top_model.h"
#include "weir/doctor/top/top_screen.h"

#define TOP_LEAST_ROWS      16
#define TOP_LEAST_COLUMNS   80
#define TOP_INTERVAL_MIN_MS 100
#define TOP_INTERVAL_MAX_MS 60000

enum top_table {
    TOP_PROGRAMS, /* key 0 */
    TOP_WORKERS,
    TOP_PEERS,
    TOP_LISTENERS,
    TOP_FAMILIES,
    TOP_COUNTERS,
    TOP_CHANGES,
    TOP_TABLES
};

enum top_page {
    TOP_PAGE_NONE,
    TOP_PAGE_HELP,
    TOP_PAGE_EXPLAIN,
    TOP_PAGE_TREAT
};

struct top_ui {
    enum top_table table;
    enum top_page page;
    uint32_t scroll, page_scroll;
    uint8_t sort[TOP_TABLES]; /* 1 + column; 0: as the table itself finds best */
    enum doctor_lang lang;
    bool paused;
    uint32_t interval_ms;
    /* what the loop tells */
    bool recording;    /* the facts come from a file */
    uint32_t every_ms; /* between whole looks, as they are */
    uint32_t cost;     /* permille of one processor */
    char message[120]; /* for the last row, "": the keys */
    /* written by the view */
    uint32_t fit, lines; /* rows that fit, rows there are */
};

enum top_act {
    TOP_ACT_NONE,
    TOP_ACT_QUIT,
    TOP_ACT_RECORD,
    TOP_ACT_REDRAW,
    TOP_ACT_LOOK /* at once: the pause ended, or the interval is another */
};

enum top_act top_ui_key(struct top_ui *ui, int key);

/* -ENOMEM: the screen is half drawn. heap: for what is needed while drawing. */
WR_MUST int top_view(struct top_screen *s, const struct top_model *m,
                     const struct findings *found, struct top_ui *ui,
                     const struct wr_heap *heap);

/* ---- between the files of the view ------------------------------------------------------------- */
unsigned top_table_columns(enum top_table t);
const char *top_table_name(enum top_table t, enum doctor_lang lang);
WR_MUST int top_table_draw(struct top_screen *s, const struct top_model *m, struct top_ui *ui,
                           unsigned from, unsigned end, const struct wr_heap *heap);
WR_MUST int top_page_draw(struct top_screen *s, const struct findings *found, struct top_ui *ui,
                          unsigned from, unsigned end, const struct wr_heap *heap);
void top_head_draw(struct top_screen *s, const struct top_model *m, const struct top_ui *ui);

#define TOP_HEAD_ROWS 7

#endif
