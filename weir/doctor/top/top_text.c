/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/top/top_text.h"

#include "weir/doctor/look/facts.h"

#include <inttypes.h>
#include <stdio.h>

static const char *unknown(struct top_text *t)
{
    (void)snprintf(t->s, sizeof t->s, "-");
    return t->s;
}

const char *top_count(struct top_text *t, uint64_t n)
{
    if (n == FACTS_UNKNOWN)
        return unknown(t);
    if (n < 1000)
        (void)snprintf(t->s, sizeof t->s, "%" PRIu64, n);
    else if (n < 1000000)
        (void)snprintf(t->s, sizeof t->s, "%" PRIu64 ",%03" PRIu64, n / 1000, n % 1000);
    else if (n < 1000000000)
        (void)snprintf(t->s, sizeof t->s, "%" PRIu64 ".%" PRIu64 "M", n / 1000000,
                       n / 100000 % 10);
    else if (n < 100000000000000U)
        (void)snprintf(t->s, sizeof t->s, "%" PRIu64 "G", n / 1000000000);
    else
        (void)snprintf(t->s, sizeof t->s, "huge");
    return t->s;
}

const char *top_age(struct top_text *t, enum doctor_lang lang, uint64_t ms)
{
    uint64_t min = ms / 60000;
    if (ms == FACTS_UNKNOWN)
        return unknown(t);
    if (ms < 1000)
        (void)snprintf(t->s, sizeof t->s, WORD(lang, AGE_MS), ms);
    else if (ms < 100000)
        (void)snprintf(t->s, sizeof t->s, WORD(lang, AGE_SECONDS), ms / 1000, ms / 100 % 10);
    else if (min < 100)
        (void)snprintf(t->s, sizeof t->s, WORD(lang, AGE_MINUTES), min);
    else if (min < 6000)
        (void)snprintf(t->s, sizeof t->s, WORD(lang, AGE_HOURS), min / 60);
    else if (min < 144000000)
        (void)snprintf(t->s, sizeof t->s, WORD(lang, AGE_DAYS), min / 1440);
    else
        (void)snprintf(t->s, sizeof t->s, "%s", WORD(lang, AGE_EVER));
    return t->s;
}

const char *top_bytes(struct top_text *t, uint64_t n)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    if (n == FACTS_UNKNOWN)
        return unknown(t);
    unsigned u = 0;
    uint64_t tenths = 0;
    for (; n >= 1024; u++) {
        tenths = n % 1024 * 10 / 1024;
        n /= 1024;
    }
    if (u > 0 && n < 10)
        (void)snprintf(t->s, sizeof t->s, "%" PRIu64 ".%" PRIu64 " %s", n, tenths, units[u]);
    else
        (void)snprintf(t->s, sizeof t->s, "%" PRIu64 " %s", n, units[u]);
    return t->s;
}

const char *top_percent(struct top_text *t, uint64_t permille)
{
    if (permille == FACTS_UNKNOWN)
        return unknown(t);
    if (permille > 9999999)
        permille = 9999999;
    if (permille == 0)
        (void)snprintf(t->s, sizeof t->s, "0%%");
    else if (permille < 100)
        (void)snprintf(t->s, sizeof t->s, "%" PRIu64 ".%" PRIu64 "%%", permille / 10,
                       permille % 10);
    else
        (void)snprintf(t->s, sizeof t->s, "%" PRIu64 "%%", permille / 10);
    return t->s;
}

uint64_t top_permille(uint64_t n, uint64_t all)
{
    if (n == FACTS_UNKNOWN || all == FACTS_UNKNOWN || all == 0)
        return FACTS_UNKNOWN;
    return n < UINT64_MAX / 1000 ? n * 1000 / all : n / all * 1000;
}
