/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef FILTER_CHARSET_TABLE_H
#define FILTER_CHARSET_TABLE_H

/*
 * Tables between two charsets, and the coder (recode.h) that runs bytes through one.
 *
 * An 8-bit charset on the left: 256 rows of up to four bytes. UTF-8 on the left: pages of 256 code points,
 * made where needed; what has no row becomes "&#N;", what is no UTF-8 becomes "?".
 *
 * 1. A byte without a row becomes "?" between 8-bit charsets and stays as it is towards UTF-8; ASCII stays.
 * 2. A code point that is cut by the end of a piece is completed by the next one.
 */

#include "libweir/base/mem_arena.h"
#include "libweir/base/span.h"
#include "weir/filter/recode.h"

struct charset_row {
    uint8_t n; /* 0: no row */
    char bytes[4];
};

struct charset_table {
    struct charset_table *next;
    struct wr_span from, to;
    bool from_utf8, to_utf8, changes_length;
    struct charset_row byte[256]; /* from an 8-bit charset */
    uint8_t (*page[256])[256];    /* from UTF-8: code points below 65536; 0: none */
};

struct charset_table *charset_table_new(struct wr_arena *arena, struct wr_span from,
                                        struct wr_span to);
/* Codes in hexadecimal: "C0", "D18E". 0, WR_E_SYNTAX, -ENOMEM. */
WR_MUST int charset_table_add(struct wr_arena *arena, struct charset_table *t,
                              struct wr_span from, struct wr_span to);

WR_MUST int charset_open(struct wr_arena *arena, const struct charset_table *t,
                         void **out_state);
int charset_convert(void *state, struct wr_span *in, enum recode_op op, char *out, size_t cap,
                    size_t *out_n, bool *out_done);
void charset_close(void *state);

#endif
