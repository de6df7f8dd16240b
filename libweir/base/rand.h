/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_BASE_RAND_H
#define WR_BASE_RAND_H

/*
 * A seeded generator (xoshiro256**, seeded through splitmix64) for jitter, sampling and simulations.
 * The same seed gives the same sequence on every machine, for ever. It keeps no secrets: keys
 * and tokens come from the kernel.
 *
 * One owner each; a split makes an independent generator for somebody else, so that what one draws
 * does not change what the other gets.
 */

#include "libweir/base/compiler.h"

#include <stdbool.h>

struct wr_rand {
    /* private */
    uint64_t s[4];
};

void wr_rand_init(struct wr_rand *r, uint64_t seed);
void wr_rand_split(struct wr_rand *r, struct wr_rand *out);

uint64_t wr_rand_u64(struct wr_rand *r);

/* Uniform in [0, n), without bias; 0 when n is 0. */
uint64_t wr_rand_below(struct wr_rand *r, uint64_t n);

/* Uniform in [lo, hi], both included; lo <= hi. */
uint64_t wr_rand_between(struct wr_rand *r, uint64_t lo, uint64_t hi);

/* True once in n on average; never for n = 0. */
bool wr_rand_one_in(struct wr_rand *r, uint64_t n);

void wr_rand_fill(struct wr_rand *r, void *p, size_t n);

/* Every order of the n elements of the given size is equally likely. */
void wr_rand_shuffle(struct wr_rand *r, void *base, size_t n, size_t size);

/* Mixes one step: splitmix64. For deriving seeds from (seed, number). */
uint64_t wr_rand_mix(uint64_t x);

#endif
