/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_BASE_HEAP_H
#define WR_BASE_HEAP_H

/*
 * Where memory comes from, as an argument: three functions and a context.
 *
 * Everything in the library that allocates is given a heap (or an owner that has one), so that a test
 * can refuse the n-th allocation and count what is left, and the simulator can run dry on purpose.
 * The free side is told the size: a heap that counts needs no headers of its own.
 *
 * 1. alloc returns at least n bytes aligned to 16, uninitialised; n == 0 is treated as 1. NULL when refused.
 * 2. realloc keeps the first min(old, n) bytes; refused, the old memory stands untouched.
 * 3. free accepts NULL. The size it is given is the size asked for last.
 * 4. Nothing here aborts for want of memory.
 *
 * The heap belongs to whoever made it and outlives all that was taken from it. One thread at a time,
 * except wr_heap_libc, which any thread may use.
 */

#include "libweir/base/compiler.h"

#include <stdbool.h>

struct wr_heap {
    void *(*alloc)(void *ctx, size_t n);
    void *(*realloc)(void *ctx, void *p, size_t old, size_t n);
    void (*free)(void *ctx, void *p, size_t n);
    void *ctx;
};

WR_MUST void *wr_heap_alloc(const struct wr_heap *h, size_t n);
WR_MUST void *wr_heap_zalloc(const struct wr_heap *h, size_t n); /* zeroed */
WR_MUST void *wr_heap_array(const struct wr_heap *h, size_t count,
                            size_t size); /* zeroed, overflow-safe */
WR_MUST void *wr_heap_realloc(const struct wr_heap *h, void *p, size_t old, size_t n);
WR_MUST char *wr_heap_strndup(const struct wr_heap *h, const char *s,
                              size_t n); /* takes n + 1 bytes */
void wr_heap_free(const struct wr_heap *h, void *p, size_t n);

/* malloc, realloc, free of the C library. */
const struct wr_heap *wr_heap_libc(void);

/* Counts what passes through: use .heap; at the end bytes and objects are what leaked. */
struct wr_heap_counting {
    struct wr_heap heap;
    const struct wr_heap *under;
    size_t objects, bytes, peak_bytes;
    uint64_t allocs, frees;
};
void wr_heap_counting_init(struct wr_heap_counting *c, const struct wr_heap *under);

/* The decision to refuse, separate from what is refused: one gate can guard a heap and a page source. */
struct wr_fault {
    uint64_t nth;    /* refuse exactly the n-th request (1 is the first); 0: none */
    uint64_t one_in; /* refuse one request in this many, at random; 0: none */
    uint64_t seed;   /* state of the generator; never 0 once initialised */
    uint64_t seen, refused;
};
void wr_fault_init(struct wr_fault *f, uint64_t nth, uint64_t one_in, uint64_t seed);
bool wr_fault_hits(struct wr_fault *f); /* counts one request; true: refuse it */

/* Refuses as its gate says; a realloc that does not grow is never refused. */
struct wr_heap_failing {
    struct wr_heap heap;
    const struct wr_heap *under;
    struct wr_fault fault;
};
void wr_heap_failing_init(struct wr_heap_failing *f, const struct wr_heap *under, uint64_t nth,
                          uint64_t one_in, uint64_t seed);

#endif
