/* SPDX-License-Identifier: BSD-2-Clause */
/* A record: refused, or what was read is written, read again and written again. */
#include "weir/doctor/look/record.h"

#include "libweir/base/assert.h"

#include <errno.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct paper {
    char *p;
    size_t n;
};

static int keep(void *arg, struct wr_span piece)
{
    struct paper *k = arg;
    k->p = realloc(k->p, k->n + piece.n);
    WR_ASSERT(k->p);
    memcpy(k->p + k->n, piece.p, piece.n);
    k->n += piece.n;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct facts f, g;
    struct paper one = {0}, two = {0};
    unsigned line = 0;
    facts_init(&f, wr_heap_libc());
    facts_init(&g, wr_heap_libc());
    int err = record_read(wr_span(data, size), &f, &line);
    WR_ASSERT(err == 0 || err == -EPROTO || err == -E2BIG);
    if (!err) {
        WR_ASSERT(record_write(&f, keep, &one) == 0);
        WR_ASSERT(record_read(wr_span(one.p, one.n), &g, &line) == 0);
        WR_ASSERT(record_write(&g, keep, &two) == 0);
    }
    facts_deinit(&f);
    facts_deinit(&g);
    free(one.p);
    free(two.p);
    return 0;
}
