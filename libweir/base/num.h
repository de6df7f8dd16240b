/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_BASE_NUM_H
#define WR_BASE_NUM_H

/*
 * Numbers from text and back: integers, sizes (16k, 1m, 1g) and durations (30s, 1h30m, 500ms).
 *
 * 1. A parser takes the whole span or nothing: no leading or trailing space, no sign except '-' in
 *    wr_num_parse_i64, no base prefix. Leading zeros are digits.
 * 2. WR_E_SYNTAX: not such a number. WR_E_RANGE: well formed, but it does not fit. The result is
 *    untouched then.
 * 3. What a printer writes, the parser of the same kind reads back as the same value.
 */

#include "libweir/base/span.h"

WR_MUST int wr_num_parse_u64(struct wr_span s, uint64_t *out_v);
WR_MUST int wr_num_parse_i64(struct wr_span s, int64_t *out_v);
WR_MUST int wr_num_parse_hex(struct wr_span s, uint64_t *out_v);

/* WR_E_RANGE outside of [lo, hi]. */
WR_MUST int wr_num_parse_between(struct wr_span s, uint64_t lo, uint64_t hi, uint64_t *out_v);

/* Bytes: digits and one of k, m, g (powers of 1024, either case) or nothing. */
WR_MUST int wr_num_parse_size(struct wr_span s, uint64_t *out_bytes);

/* Milliseconds. Pieces from the largest unit to the smallest, each unit once, spaces between pieces
 * allowed: y (365 d), M (30 d), w, d, h, m, s, ms. A last piece without a unit is in seconds. */
WR_MUST int wr_num_parse_duration(struct wr_span s, uint64_t *out_ms);

/* The longest text of any printer, with its NUL. */
#define WR_NUM_TEXT 48

/* Write a NUL-terminated text and return its length. The size and the duration are exact: "16k",
 * "16385", "1h30m", "500ms", "0s". */
size_t wr_num_print_u64(char out[static WR_NUM_TEXT], uint64_t v);
size_t wr_num_print_i64(char out[static WR_NUM_TEXT], int64_t v);
size_t wr_num_print_hex(char out[static WR_NUM_TEXT], uint64_t v);
size_t wr_num_print_size(char out[static WR_NUM_TEXT], uint64_t bytes);
size_t wr_num_print_duration(char out[static WR_NUM_TEXT], uint64_t ms);

/* *io_v becomes *io_v + b or *io_v * b; WR_E_RANGE and untouched when that overflows. */
WR_MUST int wr_num_add(uint64_t *io_v, uint64_t b);
WR_MUST int wr_num_mul(uint64_t *io_v, uint64_t b);

#endif
