/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/conf/conf.h"

#include <stdio.h>

static bool is_name(const struct conf_row *row, struct wr_span name)
{
    return strncmp(row->name, name.p, name.n) == 0 && row->name[name.n] == '\0';
}

const struct conf_row *conf_row_find(const struct conf_load *load, struct wr_span name,
                                     uint32_t context, uint32_t *out_module)
{
    for (uint32_t m = 0; m < load->nmodules; m++) {
        const struct conf_row *row = load->modules[m]->rows;
        for (; row && row->name; row++) {
            if (!(row->contexts & context) || !is_name(row, name))
                continue;
            if (out_module)
                *out_module = m;
            return row;
        }
    }
    return NULL;
}

/* ---- the nearest word --------------------------------------------------------------------------------------- */

#define NAME_MAX_LEN 48

/* Edits (one more, one less, another, two swapped) from a to b. Three rows of the usual table. */
static unsigned distance(struct wr_span a, struct wr_span b)
{
    unsigned rows[3][NAME_MAX_LEN + 1];
    unsigned *before = rows[0], *last = rows[1], *now = rows[2];
    for (unsigned j = 0; j <= b.n; j++)
        before[j] = last[j] = j;
    for (unsigned i = 1; i <= a.n; i++) {
        now[0] = i;
        for (unsigned j = 1; j <= b.n; j++) {
            unsigned best = last[j - 1] + (a.p[i - 1] != b.p[j - 1]);
            if (last[j] + 1 < best)
                best = last[j] + 1;
            if (now[j - 1] + 1 < best)
                best = now[j - 1] + 1;
            if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1] &&
                before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            now[j] = best;
        }
        unsigned *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[b.n];
}

static const char *nearest(const struct conf_load *load, struct wr_span name, uint32_t contexts)
{
    size_t best = name.n < 4 ? 1 : name.n < 10 ? 2 : 3;
    const char *found = NULL;
    for (uint32_t m = 0; m < load->nmodules; m++) {
        const struct conf_row *row = load->modules[m]->rows;
        for (; row && row->name; row++) {
            struct wr_span known = wr_span_str(row->name);
            size_t apart = known.n > name.n ? known.n - name.n : name.n - known.n;
            if (!(row->contexts & contexts) || known.n > NAME_MAX_LEN || apart > best)
                continue;
            unsigned d = distance(name, known);
            if (d < best || (d == best && !found)) {
                best = d;
                found = row->name;
            }
        }
    }
    return found;
}

const char *conf_nearest(const struct conf_load *load, struct wr_span name, uint32_t context)
{
    if (name.n > NAME_MAX_LEN)
        return NULL;
    const char *found = nearest(load, name, context);
    return found ? found : nearest(load, name, UINT32_MAX);
}

/* ---- what comes later ---------------------------------------------------------------------------------------- */

static const struct {
    const char *name, *what;
    bool prefix;
} known[] = {
#define KNOWN(name, what)  {name, what, false},
#define FAMILY(name, what) {name, what, true},
#include "weir/conf/known.def"
#undef KNOWN
#undef FAMILY
};

const char *conf_known(struct wr_span name)
{
    for (size_t i = 0; i < WR_ARRAY_LEN(known); i++) {
        struct wr_span k = wr_span_str(known[i].name);
        if (known[i].prefix ? wr_span_has_prefix(name, k) : wr_span_eq(name, k))
            return known[i].what;
    }
    return NULL;
}

/* ---- contexts in words ----------------------------------------------------------------------------------------- */

void conf_contexts_text(uint32_t contexts, char *out, size_t n)
{
    static const char *const names[] = {
        "main",         "events",         "http",         "server",   "location",
        "if in server", "if in location", "limit_except", "upstream", "stream",
    };
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < WR_ARRAY_LEN(names); i++) {
        if (!(contexts & (1U << i)) || used >= n)
            continue;
        int more = snprintf(out + used, n - used, "%s%s", used ? ", " : "", names[i]);
        used += more > 0 ? (size_t)more : 0;
    }
}
