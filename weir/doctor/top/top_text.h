/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DOCTOR_TOP_TEXT_H
#define DOCTOR_TOP_TEXT_H

/*
 * Numbers as `weir top` writes them: short, of a width that hardly changes, with their unit.
 *
 * 1. What is FACTS_UNKNOWN is written "-", never 0.
 * 2. Each needs at most 7 columns in any language; all but ages are ASCII. The text is in the caller's struct, returned for convenience.
 */

#include "weir/doctor/report/words.h"

#include <stdint.h>

struct top_text {
    char s[24];
};

/* "9,102", from a million on "12.3M". */
const char *top_count(struct top_text *t, uint64_t n);
/* "38 ms", "41.2 s", "12 min", "30 h", "3 d". */
const char *top_age(struct top_text *t, enum doctor_lang lang, uint64_t ms);
/* "512 B", "212 kB", "1.4 GB": powers of 1024. */
const char *top_bytes(struct top_text *t, uint64_t n);
/* Of permille: "0.3%", "31%". */
const char *top_percent(struct top_text *t, uint64_t permille);

/* n of all in permille; FACTS_UNKNOWN where that has no meaning. */
uint64_t top_permille(uint64_t n, uint64_t all);

#endif
