/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WEIR_MASTER_DROUGHT_H
#define WEIR_MASTER_DROUGHT_H

/*
 * A worker whose n-th allocation is refused: a switch for tests, in builds with debug_asserts only.
 *
 *     WEIR_REFUSE=FIRST,STEP weir -c FILE     generation g of workers is refused allocation FIRST + g * STEP
 *
 * The count begins when the worker is ready; each reload brings workers that are refused another one. At its end the
 * worker says what came of it: `drought: nth=N refused=R objects=O bytes=B`; objects are what was never given back.
 *
 * 1. Without the variable, and in releases, nothing here does anything.
 *
 * The worker owns the struct; it outlives the loop.
 */

#include "libweir/base/heap.h"

struct wr_log;

struct drought {
    struct wr_heap_counting count;
    struct wr_heap_failing failing;
    uint64_t nth;
};

/* The heap of the worker's loop; NULL: as always. */
const struct wr_heap *drought_heap(struct drought *d, uint64_t generation);
void drought_begin(struct drought *d);
/* When all is given back. */
void drought_end(struct drought *d, struct wr_log *log);

#endif
