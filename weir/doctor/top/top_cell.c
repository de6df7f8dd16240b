/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/top/top_columns.h"
#include "weir/doctor/top/top_text.h"

#include <stdio.h>

void top_cell_text(char out[TOP_CELL], const char *s)
{
    (void)snprintf(out, TOP_CELL, "%.190s", s);
}

void top_cell_count(char out[TOP_CELL], uint64_t n)
{
    top_cell_text(out, top_count(&(struct top_text){0}, n));
}

void top_cell_some(char out[TOP_CELL], uint64_t n)
{
    if (n == 0)
        top_cell_text(out, "-");
    else
        top_cell_count(out, n);
}

void top_cell_percent(char out[TOP_CELL], uint64_t permille)
{
    top_cell_text(out, top_percent(&(struct top_text){0}, permille));
}

void top_cell_age(char out[TOP_CELL], enum doctor_lang lang, uint64_t ms)
{
    top_cell_text(out, top_age(&(struct top_text){0}, lang, ms));
}

void top_cell_oldest(char out[TOP_CELL], enum doctor_lang lang, const struct top_oldest *o)
{
    if (o->n)
        top_cell_age(out, lang, o->ms);
    else
        top_cell_text(out, "-");
}

uint64_t top_key_known(uint64_t n)
{
    return n == FACTS_UNKNOWN ? 0 : n + 1;
}

uint64_t top_key_oldest(const struct top_oldest *o)
{
    return o->n ? top_key_known(o->ms) + 1 : 0;
}

/* Small numbers first. */
uint64_t top_key_upwards(uint64_t n)
{
    return UINT64_MAX - n;
}

/* In the order of the alphabet, as far as eight bytes tell. */
uint64_t top_key_alphabet(const char *s)
{
    uint64_t v = 0;
    bool ended = false;
    for (unsigned i = 0; i < 8; i++) {
        ended = ended || s[i] == '\0';
        v = v << 8 | (ended ? 0 : (unsigned char)s[i]);
    }
    return top_key_upwards(v);
}
