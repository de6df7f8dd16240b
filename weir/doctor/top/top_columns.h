/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DOCTOR_TOP_COLUMNS_H
#define DOCTOR_TOP_COLUMNS_H

/*
 * What a table of `weir top` is made of: its columns, the text of a cell, a number by which a column sorts (the
 * largest first), and how a row is drawn. One column of each takes what the others leave.
 *
 * Private to top_table.c, which draws, and top_rows*.c, which have one table each for one list of the model.
 */

#include "weir/doctor/top/top_model.h"
#include "weir/doctor/top/top_screen.h"

#define TOP_CELL 200
#define TOP_BEST \
    UINT32_MAX /* in place of a column: the order that the table itself finds best */

struct top_column {
    const char *title[LANG_COUNT];
    uint8_t width; /* 0: what is left */
    bool left;
};

struct top_rows {
    const char *name[LANG_COUNT];
    const struct top_column *column;
    unsigned columns;
    uint32_t (*rows)(const struct top_model *m);
    void (*cell)(const struct top_model *m, uint32_t row, uint32_t column,
                 enum doctor_lang lang, char out[TOP_CELL]);
    uint64_t (*key)(const struct top_model *m, uint32_t row, uint32_t column);
    enum top_style (*style)(const struct top_model *m, uint32_t row);
};

extern const struct top_rows top_rows_of_programs;
extern const struct top_rows top_rows_of_workers;
extern const struct top_rows top_rows_of_peers;
extern const struct top_rows top_rows_of_listeners;
extern const struct top_rows top_rows_of_families;
extern const struct top_rows top_rows_of_counters;
extern const struct top_rows top_rows_of_changes;

#define TOP_ROWS(name, one)                                                              \
    {                                                                                    \
        WORDS(name), one##_columns, WR_ARRAY_LEN(one##_columns), one##_rows, one##_cell, \
            one##_key, one##_style                                                       \
    }

/* ---- what cells and keys are made of: top_cell.c -------------------------------------------------- */
void top_cell_text(char out[TOP_CELL], const char *s);
void top_cell_count(char out[TOP_CELL], uint64_t n);
void top_cell_some(char out[TOP_CELL], uint64_t n); /* "-" for 0 */
void top_cell_percent(char out[TOP_CELL], uint64_t permille);
void top_cell_age(char out[TOP_CELL], enum doctor_lang lang, uint64_t ms);
void top_cell_oldest(char out[TOP_CELL], enum doctor_lang lang, const struct top_oldest *o);

uint64_t top_key_known(uint64_t n); /* what is not known comes last */
uint64_t top_key_oldest(const struct top_oldest *o);
uint64_t top_key_upwards(uint64_t n);      /* small numbers first */
uint64_t top_key_alphabet(const char s[]); /* as far as eight bytes tell */

#endif
