/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/conn/codec.h"

#include "libweir/base/assert.h"
#include "libweir/base/err.h"

#define VARINT_MAX 10U

uint32_t wr_codec_max(const struct wr_codec *c)
{
    return c->max ? c->max : WR_CODEC_MAX_DEFAULT;
}

static size_t header_fixed(const struct wr_codec *c)
{
    size_t least = (size_t)c->offset + c->width;
    return c->header_bytes > least ? c->header_bytes : least;
}

int wr_codec_check(const struct wr_codec *c)
{
    if (c->kind != WR_CODEC_LENGTH)
        return c->kind == WR_CODEC_RAW || c->kind == WR_CODEC_LINE ? 0 : WR_E_RANGE;
    if (c->width != 0 && c->width != 1 && c->width != 2 && c->width != 4 && c->width != 8)
        return WR_E_RANGE;
    if (c->header_bytes != 0 && c->header_bytes < (size_t)c->offset + c->width)
        return WR_E_RANGE;
    if (header_fixed(c) + (c->width ? 0 : VARINT_MAX) > WR_CODEC_HEAD_MAX)
        return WR_E_RANGE;
    return c->whole && c->width == 0 ? WR_E_RANGE : 0;
}

/* ---- decoding ----------------------------------------------------------------------------------- */

static enum wr_codec_step more(struct wr_frame *out, size_t total)
{
    *out = (struct wr_frame){.total = total};
    return WR_CODEC_MORE;
}

static enum wr_codec_step bad(struct wr_frame *out, int err)
{
    *out = (struct wr_frame){.err = err};
    return WR_CODEC_BAD;
}

static enum wr_codec_step next_line(const struct wr_codec *c, struct wr_codec_scan *scan,
                                    struct wr_span in, struct wr_frame *out)
{
    size_t max = wr_codec_max(c);
    /* The longest legal line ends with "\r\n": no line end may come later than index max + 1. */
    size_t window = in.n < max + 2 ? in.n : max + 2;
    const char *lf = window > scan->seen
                         ? memchr(in.p + scan->seen, '\n', window - (size_t)scan->seen)
                         : NULL;
    size_t end = lf ? (size_t)(lf - in.p) : window;
    if (end > max && in.p[max] != '\r')
        return bad(out, WR_E_TOO_BIG);
    if (!lf) {
        if (window == max + 2)
            return bad(out, WR_E_TOO_BIG);
        scan->seen = window;
        return more(out, in.n + 1);
    }
    scan->seen = 0;
    *out = (struct wr_frame){.total = end + 1, .n = end};
    if (end > 0 && in.p[end - 1] == '\r')
        out->n--;
    return WR_CODEC_FRAME;
}

static uint64_t load(const uint8_t *p, unsigned width, bool little)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < width; i++)
        v = v << 8 | p[little ? width - 1 - i : i];
    return v;
}

/* The bytes the varint at p takes, 0 when its end is not within n, -1 when it is no 64-bit number. */
static int load_varint(const uint8_t *p, size_t n, uint64_t *out)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < n && i < VARINT_MAX; i++) {
        if (i == VARINT_MAX - 1 && p[i] > 1)
            return -1;
        v |= (uint64_t)(p[i] & 0x7f) << (7 * i);
        if (!(p[i] & 0x80)) {
            *out = v;
            return (int)i + 1;
        }
    }
    return n >= VARINT_MAX ? -1 : 0;
}

static enum wr_codec_step next_length(const struct wr_codec *c, struct wr_span in,
                                      struct wr_frame *out)
{
    const uint8_t *p = (const uint8_t *)in.p;
    size_t header = header_fixed(c), least = c->offset + (c->width ? c->width : 1U);
    uint64_t len;
    if (in.n < least)
        return more(out, header > least ? header : least);
    if (c->width) {
        len = load(p + c->offset, c->width, c->little_endian);
    } else {
        int took = load_varint(p + c->offset, in.n - c->offset, &len);
        if (took < 0)
            return bad(out, WR_E_PROTO);
        if (took == 0)
            return more(out, in.n + 1);
        header += (size_t)took;
    }
    if (c->counts_header) {
        if (len < header)
            return bad(out, WR_E_PROTO);
        len -= header;
    }
    if (len > wr_codec_max(c))
        return bad(out, WR_E_TOO_BIG);
    if (in.n < header + len)
        return more(out, header + (size_t)len);
    *out = (struct wr_frame){.total = header + (size_t)len};
    out->at = c->whole ? 0 : header;
    out->n = out->total - out->at;
    return WR_CODEC_FRAME;
}

enum wr_codec_step wr_codec_next(const struct wr_codec *c, struct wr_codec_scan *scan,
                                 struct wr_span in, struct wr_frame *out)
{
    switch (c->kind) {
    case WR_CODEC_LINE:
        return next_line(c, scan, in, out);
    case WR_CODEC_LENGTH:
        return next_length(c, in, out);
    case WR_CODEC_RAW:
        break;
    }
    if (in.n == 0)
        return more(out, 1);
    *out = (struct wr_frame){.total = in.n, .n = in.n};
    return WR_CODEC_FRAME;
}

/* ---- encoding ----------------------------------------------------------------------------------- */

static size_t varint_size(uint64_t v)
{
    size_t n = 1;
    for (; v >= 0x80; v >>= 7)
        n++;
    return n;
}

static void store_varint(uint8_t *p, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        *p++ = (uint8_t)(v | 0x80);
    *p = (uint8_t)v;
}

static int store(uint8_t *p, unsigned width, bool little, uint64_t v)
{
    if (width < 8 && v >> (8 * width))
        return WR_E_TOO_BIG;
    for (unsigned i = 0; i < width; i++)
        p[little ? i : width - 1 - i] = (uint8_t)(v >> (8 * i));
    return 0;
}

static int wrap_line(const struct wr_codec *c, struct wr_span message, struct wr_wrap *out)
{
    if (message.n > wr_codec_max(c))
        return WR_E_TOO_BIG;
    if (message.n && (memchr(message.p, '\n', message.n) || message.p[message.n - 1] == '\r'))
        return WR_E_PROTO;
    *out = (struct wr_wrap){.tail = "\n", .tail_n = 1};
    return 0;
}

static int wrap_length(const struct wr_codec *c, struct wr_span message, struct wr_wrap *out)
{
    size_t header = header_fixed(c), payload = message.n, var = 0;
    struct wr_wrap w = {0};
    if (c->whole) {
        if (payload < header)
            return WR_E_PROTO;
        payload -= header;
        memcpy(w.head, message.p, header);
        w.skip = header;
    }
    if (payload > wr_codec_max(c))
        return WR_E_TOO_BIG;
    uint64_t len = payload + (c->counts_header ? header : 0);
    if (c->width) {
        int rc = store(w.head + c->offset, c->width, c->little_endian, len);
        if (rc)
            return rc;
    } else {
        var = varint_size(len);
        /* Counting itself can make the number one byte longer, never two. */
        if (c->counts_header)
            len += varint_size(len + var);
        var = varint_size(len);
        store_varint(w.head + c->offset, len);
    }
    w.head_n = header + var;
    *out = w;
    return 0;
}

int wr_codec_wrap(const struct wr_codec *c, struct wr_span message, struct wr_wrap *out)
{
    switch (c->kind) {
    case WR_CODEC_LINE:
        return wrap_line(c, message, out);
    case WR_CODEC_LENGTH:
        return wrap_length(c, message, out);
    case WR_CODEC_RAW:
        break;
    }
    *out = (struct wr_wrap){0};
    return 0;
}
