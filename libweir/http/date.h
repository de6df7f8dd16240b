/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_HTTP_DATE_H
#define WR_HTTP_DATE_H

/*
 * HTTP dates: seconds since 1970 to and from text.
 *
 * 1. Formats IMF-fixdate only ("Sun, 06 Nov 1994 08:49:37 GMT", always 29 bytes); parses that, RFC 850
 *    ("Sunday, 06-Nov-94 08:49:37 GMT") and asctime ("Sun Nov  6 08:49:37 1994"), strictly.
 * 2. Years 1601 to 9999, proleptic Gregorian; a leap second :60 is read as :59. The weekday must be a
 *    weekday's name but need not be the right one.
 * 3. The time is an argument; a cache holds the text of one second.
 */

#include "libweir/base/span.h"

#define WR_DATE_LEN 29

struct wr_date_cache {
    /* Private; zeroed is ready (its text is made on first use). */
    int64_t s;
    bool made;
    char text[WR_DATE_LEN];
};

/* Clamped to the years above. Writes 29 bytes, no NUL. */
void wr_date_format(int64_t s, char out[WR_DATE_LEN]);

/* The text of now_s, formed once a second. */
struct wr_span wr_date_cached(struct wr_date_cache *cache, int64_t now_s);

/* now_s decides the century of a two-digit year: at most 50 years ahead. 0 or WR_E_SYNTAX. */
WR_MUST int wr_date_parse(struct wr_span text, int64_t now_s, int64_t *out_s);

#endif
