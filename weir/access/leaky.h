/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ACCESS_LEAKY_H
#define ACCESS_LEAKY_H

/*
 * The leaky bucket of limit_req: what is in it runs out at `rate`, each request pours one in.
 *
 * All numbers are thousandths of a request, times are milliseconds of a clock that all workers share.
 * Asking does not pour; a request that several buckets must let through asks all of them first.
 *
 * 1. excess never exceeds burst by more than what one request pours.
 * 2. A clock that goes back, as seen from another processor, lets nothing run out and takes nothing back.
 *
 * Pure; the caller holds the lock.
 */

#include "libweir/base/compiler.h"

#include <stdbool.h>

struct leaky {
    uint64_t last_ms;
    uint32_t excess;
};

struct leaky_rule {
    uint32_t rate;  /* thousandths of a request per second */
    uint32_t burst; /* thousandths of a request; more is refused */
};

/* A bucket for its first request, which always fits. */
void leaky_init(struct leaky *b, uint64_t now_ms);
/* What would be in it with one more request. */
uint32_t leaky_ask(const struct leaky *b, const struct leaky_rule *rule, uint64_t now_ms);
/* Pours: the bucket has this excess now. */
void leaky_pour(struct leaky *b, uint32_t excess, uint64_t now_ms);
/* Has it been empty for a while? Then it can as well be forgotten. */
bool leaky_idle(const struct leaky *b, const struct leaky_rule *rule, uint64_t now_ms);
/* How long a request with this excess waits that may pass at once up to `delay`. */
uint64_t leaky_wait_ms(uint32_t excess, uint32_t delay, uint32_t rate);

#endif
