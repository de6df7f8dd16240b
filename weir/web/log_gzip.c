/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gzip for the logger: what a buffer holds becomes one complete member, so a log can be read while it grows.
 */
#include "libweir/base/heap.h"
#include "weir/web/logs.h"

#include <errno.h>
#include <zlib.h>

#define GZIP_WINDOW 31 /* 32 KiB, with gzip's head and tail */
#define GZIP_FRAME  32

struct cell { /* zlib frees without saying how much */
    size_t n;
    max_align_t data[];
};

static void *cell_alloc(void *heap, unsigned items, unsigned size)
{
    size_t n = sizeof(struct cell) + (size_t)items * size;
    struct cell *c = wr_heap_alloc(heap, n);
    if (!c)
        return NULL;
    c->n = n;
    return c->data;
}

static void cell_free(void *heap, void *p)
{
    struct cell *c = wr_container_of((max_align_t(*)[])p, struct cell, data);
    wr_heap_free(heap, c, c->n);
}

static size_t bound(size_t n)
{
    return compressBound(n) + GZIP_FRAME;
}

static int pack(const struct wr_heap *heap, int level, struct wr_span in, char *out,
                size_t room, size_t *out_n)
{
    struct wr_heap h = *heap;
    z_stream z = {.zalloc = cell_alloc, .zfree = cell_free, .opaque = &h};
    if (deflateInit2(&z, level, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return -ENOMEM;
    z.next_in = (Bytef *)(uintptr_t)in.p; /* zlib reads it only */
    z.avail_in = (uInt)in.n;
    z.next_out = (Bytef *)out;
    z.avail_out = (uInt)room;
    int r = deflate(&z, Z_FINISH);
    *out_n = z.total_out;
    (void)deflateEnd(&z);
    return r == Z_STREAM_END ? 0 : -EIO;
}

const struct wr_logger_packer web_logs_packer = {bound, pack};
