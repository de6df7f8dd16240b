/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/report/phrase.h"

#include "weir/doctor/report/plain.h"
#include "weir/stats/text.h"

#include <string.h>

#define HOLES 3
#define DEPTH 8 /* a list of parts is a phrase in a phrase */

static const struct phrase {
    const char *en, *zh;
} phrases[] = {
#define X(en, zh) {en, zh},
#include "weir/doctor/report/phrases.def"
#undef X
};

/* Fits the pattern? Each {} takes as little as it can, the last one what is left; none is empty. */
static bool fits(const char *pattern, struct wr_span text, struct wr_span out_holes[HOLES])
{
    for (unsigned hole = 0;; hole++) {
        const char *open = strstr(pattern, "{}");
        size_t head = open ? (size_t)(open - pattern) : strlen(pattern);
        if (text.n < head || memcmp(text.p, pattern, head) != 0)
            return false;
        text = wr_span_sub(text, head, text.n - head);
        if (!open)
            return text.n == 0;
        const char *rest = open + 2, *next = strstr(rest, "{}");
        size_t tail = next ? (size_t)(next - rest) : strlen(rest), n = next ? 1 : text.n - tail;
        if (hole == HOLES || text.n <= tail)
            return false;
        while (next && n + tail <= text.n && memcmp(text.p + n, rest, tail) != 0)
            n++;
        if (n + tail > text.n)
            return false;
        out_holes[hole] = wr_span_sub(text, 0, n);
        text = wr_span_sub(text, n, text.n - n);
        pattern = rest;
    }
}

static const struct phrase *find(struct wr_span text, struct wr_span out_holes[HOLES])
{
    for (size_t i = 0; i < WR_ARRAY_LEN(phrases); i++)
        if (fits(phrases[i].en, text, out_holes))
            return &phrases[i];
    return NULL;
}

static void put(struct stats_text *out, struct wr_span text, unsigned depth)
{
    struct wr_span holes[HOLES];
    const struct phrase *p = depth < DEPTH ? find(text, holes) : NULL;
    if (!p) {
        plain_put(out, text);
        return;
    }
    const char *at = p->zh;
    unsigned hole = 0;
    for (const char *open; (open = strstr(at, "{}")); at = open + 2) {
        stats_put(out, wr_span(at, (size_t)(open - at)));
        put(out, holes[hole++], depth + 1);
    }
    stats_put(out, wr_span_str(at));
}

void phrase_put(struct stats_text *out, enum doctor_lang lang, const char *text)
{
    if (lang == LANG_ZH)
        put(out, wr_span_str(text), 0);
    else
        plain_put(out, wr_span_str(text));
}

bool phrase_known(const char *text)
{
    struct wr_span holes[HOLES];
    return find(wr_span_str(text), holes) != NULL;
}
