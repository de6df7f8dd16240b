/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DOCTOR_TOP_SCREEN_H
#define DOCTOR_TOP_SCREEN_H

/*
 * A screen as a grid of cells, a pen that writes into it, and a painter that turns the difference of two screens
 * into bytes for a terminal.
 *
 *   view --pen--> screen --paint, against the last one--> one string of bytes
 *                        \--text--> plain lines (--once, tests)
 *
 * 1. A character that takes two columns has two cells; the right one holds no bytes. Half of one never stands alone.
 * 2. Text of the observed machine passes through the pen only: what is not printable becomes \xNN, as plain_put
 *    does; on a screen that is not UTF-8 everything beyond ASCII becomes '?', one per column.
 * 3. A pen never leaves its row nor passes its end; what was cut is marked in the last column.
 * 4. The painter emits printable text and the sequences CUP, ED and SGR, nothing else.
 *
 * The screen owns its cells, from the heap given to top_screen_init.
 */

#include "libweir/base/compiler.h"
#include "libweir/base/span.h"
#include "weir/doctor/report/words.h"

#include <stdbool.h>
#include <stdint.h>

struct wr_heap;

enum top_style {
    TOP_PLAIN,
    TOP_DIM,
    TOP_STRONG,
    TOP_GOOD,
    TOP_NOTE,
    TOP_WARN,
    TOP_BAD,
    TOP_BAR, /* inverse */
    TOP_ALARM,
    TOP_STYLES
};

struct top_cell {
    char text[8];
    uint8_t n, style; /* n: bytes of text; 0: the right half of its neighbour */
};

#define TOP_ROWS_MOST    500
#define TOP_COLUMNS_MOST 1000

struct top_screen {
    unsigned rows, columns;
    bool utf8;
    enum doctor_lang lang; /* what is drawn on it speaks */
    struct top_cell *cell;
    /* private */
    const struct wr_heap *heap;
    size_t room;
};

/* Zeroed memory is a screen of no size. */
void top_screen_free(struct top_screen *s);
/* Blank, of that size, up to TOP_ROWS_MOST and TOP_COLUMNS_MOST. -ENOMEM: it is as it was. */
WR_MUST int top_screen_reset(struct top_screen *s, const struct wr_heap *heap, unsigned rows,
                             unsigned columns, bool utf8);

struct top_pen {
    struct top_screen *screen;
    unsigned row, column, end; /* end: the first column that is not ours */
    enum top_style style;
    bool cut;
    bool escaped; /* the text was escaped already: a backslash is one backslash */
};

/* On rows that the screen does not have nothing is written. */
struct top_pen top_pen(struct top_screen *s, unsigned row, unsigned column, unsigned end);
void top_put(struct top_pen *p, struct wr_span text);
void top_say(struct top_pen *p, const char *text);
WR_PRINTF(2, 3) void top_printf(struct top_pen *p, const char *fmt, ...);
/* In another style; the pen keeps its own. */
void top_styled(struct top_pen *p, enum top_style style, const char *text);
/* Blanks up to this column. */
void top_to(struct top_pen *p, unsigned column);
/* The whole rest of the row in this style, the text in it too. */
void top_fill(struct top_pen *p, enum top_style style);
/* Columns that the text takes when a pen writes it; a "?" is as wide as what it stands for. */
unsigned top_width(struct wr_span text);

/* Lines without blanks at their ends. */
void top_screen_text(const struct top_screen *s, struct stats_text *out);

/* What turns the terminal's picture of `before` into `now`; before: NULL or of another size: all of it. */
void top_paint(struct stats_text *out, const struct top_screen *before,
               const struct top_screen *now, bool colour);

#endif
