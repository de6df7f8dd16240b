/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A hostile writer: any words and any bytes in the ring. The reader ends, stays inside, and yields
 * nothing longer than a record.
 */
#include "libweir/io/log_ring.c"

#include "libweir/base/assert.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(const struct wr_log_ring *r)
{
    static char buf[WR_LOG_RECORD_MAX];
    struct wr_log_record rec;
    struct wr_log_drops drops;
    uint64_t pos = wr_log_ring_tail(r);
    for (unsigned n = 0;; n++) {
        int got = wr_log_ring_get(r, &pos, buf, &rec);
        if (got == 0)
            break;
        WR_ASSERT(n <= r->capacity / sizeof(struct record_head));
        WR_ASSERT(got < 0 || rec.text.n <= WR_LOG_RECORD_MAX);
    }
    wr_log_ring_release(r, pos);
    WR_ASSERT(!wr_log_ring_drops(r, &drops) || drops.count > 0);
    WR_ASSERT(!wr_log_ring_drops(r, &drops));
}

/* As a writer that got a hostile ring from its predecessor. */
static void write_some(const struct wr_log_ring *r)
{
    struct wr_log_record rec = {.text = WR_LIT("some text")};
    bool wake;
    for (int i = 0; i < 3; i++)
        (void)wr_log_ring_put(r, &rec, &wake);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t n = wr_log_ring_size(1, WR_LOG_RING_MIN);
    struct wr_log_ring ring;
    char *part = aligned_alloc(64, (n + 63) & ~(size_t)63);
    WR_ASSERT(part);
    memset(part, 0, n);
    struct log_head h = {.magic = LOG_MAGIC, .rings = 1, .bytes_each = WR_LOG_RING_MIN};
    memcpy(part, &h, sizeof h);
    /* The input covers the ring's words and data from the start, and the head too when it is odd. */
    size_t from = size % 2 ? 0 : sizeof h;
    memcpy(part + from, data, size < n - from ? size : n - from);
    if (wr_log_ring_at(part, n, 0, &ring) == 0) {
        read_all(&ring);
        write_some(&ring);
        read_all(&ring);
    }
    WR_ASSERT(wr_log_ring_count(part, n) < n);
    free(part);
    return 0;
}
