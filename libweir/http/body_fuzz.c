/* SPDX-License-Identifier: BSD-2-Clause */
/* Chunked bodies: pieces of every size give the same data, verdict and rest; data is put into chunks
 * and taken out again. */
#include "libweir/http/body.h"

#include "libweir/base/assert.h"
#include "libweir/http/parse.h"
#include "libweir/http/write.h"

#include <stdlib.h>

struct outcome {
    enum wr_body_event last;
    struct wr_refusal refusal;
    uint64_t n, hash;
    size_t left;
    char keep[256];
    size_t keep_n;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take(struct outcome *o, struct wr_span data)
{
    for (size_t i = 0; i < data.n; i++)
        o->hash = (o->hash ^ (unsigned char)data.p[i]) * UINT64_C(1099511628211);
    o->n += data.n;
}

static void read_all(struct wr_span text, size_t step, struct outcome *o)
{
    struct wr_body b;
    size_t at = 0;
    *o = (struct outcome){.last = WR_BODY_MORE};
    wr_body_init(&b, WR_BODY_CHUNKED, 0, NULL);
    wr_body_keep_trailers(&b, o->keep, sizeof o->keep);
    while (at < text.n && o->last == WR_BODY_MORE) {
        struct wr_span in = wr_span_sub(text, at, step), piece;
        at += in.n;
        while ((o->last = wr_body_next(&b, &in, &piece)) == WR_BODY_DATA)
            take(o, piece);
        at -= in.n;
    }
    o->left = text.n - at;
    o->refusal = b.refusal;
    o->keep_n = wr_body_trailers(&b).n;
}

static void check_splits(struct wr_span text)
{
    static const size_t steps[] = {1, 2, 3, 5, 17, 64};
    static struct outcome whole, other;
    read_all(text, text.n, &whole);
    for (size_t i = 0; i < WR_ARRAY_LEN(steps); i++) {
        read_all(text, steps[i], &other);
        WR_ASSERT(whole.last == other.last && whole.n == other.n && whole.hash == other.hash);
        WR_ASSERT(whole.refusal.reason == other.refusal.reason);
        WR_ASSERT(whole.refusal.at == other.refusal.at);
        WR_ASSERT(whole.last != WR_BODY_DONE || whole.left == other.left);
        WR_ASSERT(whole.keep_n == other.keep_n);
        WR_ASSERT(memcmp(whole.keep, other.keep, whole.keep_n) == 0);
    }
    if (whole.last != WR_BODY_DONE)
        return;
    struct wr_field fields[128];
    struct wr_head head;
    struct wr_refusal refusal;
    wr_head_init(&head, fields, 128);
    WR_ASSERT(wr_parse_fields(wr_span(whole.keep, whole.keep_n), &head, &refusal) ==
                  WR_PARSED_DONE ||
              refusal.reason == WR_BAD_NAME_LOOKALIKE);
}

/* The input as the data of chunks of 7 bytes. */
static void check_round_trip(struct wr_span text)
{
    char *mem = malloc(text.n * 2 + WR_CHUNK_HEAD_MAX + 16);
    struct outcome plain = {0}, back;
    size_t n = 0;
    WR_ASSERT(mem);
    take(&plain, text);
    for (size_t at = 0; at < text.n; at += 7) {
        char scratch[WR_CHUNK_HEAD_MAX];
        struct wr_span out[3];
        wr_chunk_spans(wr_span_sub(text, at, 7), scratch, out);
        for (size_t i = 0; i < 3; i++) {
            memcpy(mem + n, out[i].p, out[i].n);
            n += out[i].n;
        }
    }
    memcpy(mem + n, WR_CHUNK_LAST.p, WR_CHUNK_LAST.n);
    n += WR_CHUNK_LAST.n;
    read_all(wr_span(mem, n), n, &back);
    WR_ASSERT(back.last == WR_BODY_DONE && back.left == 0);
    WR_ASSERT(back.n == plain.n && back.hash == plain.hash);
    free(mem);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wr_span text = wr_span(data, size);
    check_splits(text);
    check_round_trip(text);
    return 0;
}
