/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/stats/text.h"

#include "libweir/base/heap.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define FIRST 4096

void stats_text_free(struct stats_text *t)
{
    wr_heap_free(t->heap, t->p, t->room);
    *t = (struct stats_text){.heap = t->heap};
}

static bool make_room(struct stats_text *t, size_t n)
{
    if (t->failed)
        return false;
    if (t->room - t->n >= n)
        return true;
    size_t room = t->room ? t->room : FIRST;
    while (room - t->n < n)
        room *= 2;
    char *p = wr_heap_realloc(t->heap, t->p, t->room, room);
    t->failed = p == NULL;
    if (p) {
        t->p = p;
        t->room = room;
    }
    return p != NULL;
}

void stats_put(struct stats_text *t, struct wr_span s)
{
    if (s.n == 0 || !make_room(t, s.n))
        return;
    memcpy(t->p + t->n, s.p, s.n);
    t->n += s.n;
}

void stats_printf(struct stats_text *t, const char *fmt, ...)
{
    char line[1024];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof line)
        t->failed = true; /* callers give short lines */
    else
        stats_put(t, wr_span(line, (size_t)n));
}

void stats_json(struct stats_text *t, struct wr_span s)
{
    stats_put(t, WR_LIT("\""));
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '"' || c == '\\')
            stats_printf(t, "\\%c", c);
        else if (c < 0x20 || c >= 0x7f)
            stats_printf(t, "\\u%04x", c);
        else
            stats_put(t, wr_span(&s.p[i], 1));
    }
    stats_put(t, WR_LIT("\""));
}
