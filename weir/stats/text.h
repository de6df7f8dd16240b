/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef STATS_TEXT_H
#define STATS_TEXT_H

/*
 * A text that grows: pages of metrics and status are formed in one. After a refusal of memory it takes
 * nothing more and says so at the end, so that callers ask once.
 */

#include "libweir/base/compiler.h"
#include "libweir/base/span.h"

#include <stdbool.h>

struct wr_heap;

struct stats_text {
    const struct wr_heap *heap;
    char *p;
    size_t n, room;
    bool failed;
};

void stats_text_free(struct stats_text *t);
void stats_put(struct stats_text *t, struct wr_span s);
WR_PRINTF(2, 3) void stats_printf(struct stats_text *t, const char *fmt, ...);
/* In quotes, with JSON's escapes; bytes that are not ASCII become \u00XX. */
void stats_json(struct stats_text *t, struct wr_span s);

#endif
