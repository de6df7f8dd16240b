/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Codec: the first bytes choose a codec, the rest is a stream. The frames found in one piece, byte by
 * byte and in pieces cut by the input itself have to be the same; each frame, wrapped and decoded again,
 * has to come back.
 */
#include "libweir/base/assert.h"
#include "libweir/base/err.h"
#include "libweir/conn/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static uint64_t mix(uint64_t h, const void *p, size_t n)
{
    const uint8_t *b = p;
    for (size_t i = 0; i < n; i++)
        h = (h ^ b[i]) * 0x100000001b3ULL;
    return (h ^ n) * 0x100000001b3ULL;
}

static void round_trip(const struct wr_codec *c, struct wr_span frame)
{
    struct wr_wrap w;
    static char wire[1 << 17];
    int rc = wr_codec_wrap(c, frame, &w);
    if (rc == WR_E_PROTO)
        return;
    WR_ASSERT(rc == 0);
    WR_ASSERT(w.head_n <= WR_CODEC_HEAD_MAX && w.skip <= frame.n);
    size_t body = frame.n - w.skip, total = w.head_n + body + w.tail_n;
    WR_ASSERT(total <= sizeof wire);
    memcpy(wire, w.head, w.head_n);
    if (body)
        memcpy(wire + w.head_n, frame.p + w.skip, body);
    memcpy(wire + w.head_n + body, w.tail, w.tail_n);
    struct wr_codec_scan scan = {0};
    struct wr_frame f;
    if (c->kind == WR_CODEC_RAW && total == 0)
        return;
    WR_ASSERT(wr_codec_next(c, &scan, wr_span(wire, total), &f) == WR_CODEC_FRAME);
    WR_ASSERT(f.total == total);
    WR_ASSERT(wr_span_eq(wr_span(wire + f.at, f.n), frame));
}

/* Decodes the stream, which becomes known in pieces; returns a digest of all that was found. */
static uint64_t decode(const struct wr_codec *c, struct wr_span in, unsigned step, bool check)
{
    struct wr_codec_scan scan = {0};
    struct wr_frame f;
    uint64_t digest = 0xcbf29ce484222325ULL;
    size_t at = 0, known = 0;
    for (;;) {
        enum wr_codec_step s = wr_codec_next(c, &scan, wr_span(in.p + at, known - at), &f);
        if (s == WR_CODEC_FRAME) {
            WR_ASSERT(f.total > 0 && f.total <= known - at && f.at + f.n <= f.total);
            if (check)
                round_trip(c, wr_span(in.p + at + f.at, f.n));
            digest = mix(digest, in.p + at + f.at, f.n);
            at += f.total;
            continue;
        }
        if (s == WR_CODEC_BAD) {
            WR_ASSERT(f.err == WR_E_TOO_BIG || f.err == WR_E_PROTO);
            return mix(digest, &f.err, sizeof f.err);
        }
        WR_ASSERT(f.total > known - at);
        if (known == in.n)
            return mix(digest, &at, sizeof at);
        size_t piece = step ? 1 + (size_t)(uint8_t)in.p[known] % step : in.n;
        known = in.n - known > piece ? known + piece : in.n;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 6)
        return 0;
    struct wr_codec c = {
        .kind = data[0] % 2 ? WR_CODEC_LENGTH : WR_CODEC_LINE,
        .width = data[1] & 0xf,
        .offset = data[2] & 0xf,
        .header_bytes = data[3] & 0x1f,
        .max = data[4] * 4U,
        .little_endian = data[5] & 1,
        .counts_header = data[5] & 2,
        .whole = data[5] & 4,
    };
    if (wr_codec_check(&c))
        return 0;
    if (n > (1 << 16))
        n = 1 << 16;
    struct wr_span in = wr_span(data + 6, n - 6);
    uint64_t all = decode(&c, in, 0, true);
    WR_ASSERT(decode(&c, in, 1, false) == all);
    WR_ASSERT(decode(&c, in, 7, false) == all);
    WR_ASSERT(decode(&c, in, 64, false) == all);
    return 0;
}
