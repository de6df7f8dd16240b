/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/access/leaky.h"

#define ONE       1000u /* a request */
#define FORGET_MS 60000u

void leaky_init(struct leaky *b, uint64_t now_ms)
{
    *b = (struct leaky){.last_ms = now_ms};
}

static uint64_t since_ms(const struct leaky *b, uint64_t now_ms)
{
    return now_ms > b->last_ms ? now_ms - b->last_ms : 0;
}

/* How much has run out. More than anything could hold is enough to know. */
static uint64_t drained(const struct leaky *b, const struct leaky_rule *rule, uint64_t now_ms)
{
    uint64_t ms = since_ms(b, now_ms);
    return ms > UINT32_MAX ? UINT64_MAX / 2 : ms * rule->rate / 1000;
}

uint32_t leaky_ask(const struct leaky *b, const struct leaky_rule *rule, uint64_t now_ms)
{
    uint64_t full = (uint64_t)b->excess + ONE, out = drained(b, rule, now_ms);
    uint64_t excess = full > out ? full - out : 0;
    return excess < UINT32_MAX ? (uint32_t)excess : UINT32_MAX;
}

void leaky_pour(struct leaky *b, uint32_t excess, uint64_t now_ms)
{
    b->excess = excess;
    if (now_ms > b->last_ms)
        b->last_ms = now_ms;
}

bool leaky_idle(const struct leaky *b, const struct leaky_rule *rule, uint64_t now_ms)
{
    return since_ms(b, now_ms) >= FORGET_MS && drained(b, rule, now_ms) >= b->excess;
}

uint64_t leaky_wait_ms(uint32_t excess, uint32_t delay, uint32_t rate)
{
    return excess > delay ? (uint64_t)(excess - delay) * 1000 / rate : 0;
}
