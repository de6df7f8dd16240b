/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_CONN_CODEC_H
#define WR_CONN_CODEC_H

/*
 * Where one message ends and the next begins on a byte stream: raw, lines, or a length prefix.
 *
 * A codec is a constant description, shared by any number of connections; all that decoding remembers
 * between two calls is one wr_codec_scan of eight bytes. wr_codec_next looks at the unconsumed bytes and
 * says MORE, FRAME or BAD; it neither copies nor allocates. Encoding gives a head and a tail to lay
 * around the caller's bytes.
 *
 * 1. A codec has a maximum from birth; 0 stands for WR_CODEC_MAX_DEFAULT. A longer frame is BAD with
 *    WR_E_TOO_BIG as soon as its length can be known, before its bytes are waited for.
 * 2. The outcome does not depend on how the stream was cut into calls (raw excepted: its frames are the
 *    pieces themselves).
 * 3. What encode accepts, decode gives back byte for byte; what would not survive is refused.
 * 4. After BAD the stream has no next frame; the connection has to be closed.
 *
 * The caller owns codec, scan and bytes. All functions are pure; any thread.
 *
 * With header_bytes == 8, offset == 4, width == 4:
 *
 *     +---------+---------+----------------+
 *     | type, 4 | len, 4  | payload        |     whole == false: a frame is the payload alone
 *     +---------+---------+----------------+     whole == true:  a frame is everything, and the sender
 *     |<-- header_bytes ->|                      hands over everything, the length being filled in
 */

#include "libweir/base/compiler.h"
#include "libweir/base/span.h"

#include <stdbool.h>

enum wr_codec_kind {
    WR_CODEC_RAW,    /* whatever has arrived is a frame */
    WR_CODEC_LINE,   /* up to "\n" or "\r\n", which are not part of the frame */
    WR_CODEC_LENGTH, /* a header with a length in it, then the payload */
};

#define WR_CODEC_MAX_DEFAULT (1U << 20)
#define WR_CODEC_HEAD_MAX    64U

struct wr_codec {
    enum wr_codec_kind kind;
    uint32_t max;   /* payload bytes of the largest frame */
    uint8_t width;  /* of the length: 1, 2, 4, 8; 0: varint of 7-bit groups, least first */
    uint8_t offset; /* bytes of the header in front of the length */
    uint8_t header_bytes; /* the whole header; 0: ends with the length. Not counting a varint */
    bool little_endian;
    bool counts_header; /* the length includes the header */
    bool whole;         /* frames carry their header (not with a varint) */
};

/* The usual ones: static const struct wr_codec c = WR_CODEC_LEN32(1 << 20); */
#define WR_CODEC_LINES(max_)                 \
    {                                        \
        .kind = WR_CODEC_LINE, .max = (max_) \
    }
#define WR_CODEC_LEN16(max_)                               \
    {                                                      \
        .kind = WR_CODEC_LENGTH, .max = (max_), .width = 2 \
    }
#define WR_CODEC_LEN32(max_)                               \
    {                                                      \
        .kind = WR_CODEC_LENGTH, .max = (max_), .width = 4 \
    }
#define WR_CODEC_VARINT(max_)                  \
    {                                          \
        .kind = WR_CODEC_LENGTH, .max = (max_) \
    }

enum wr_codec_step {
    WR_CODEC_MORE,
    WR_CODEC_FRAME,
    WR_CODEC_BAD,
};

/* What decoding remembers of the frame that has begun; all zero at the start of a stream. */
struct wr_codec_scan {
    uint64_t seen; /* bytes known to hold no line end */
};

/* A frame within the bytes looked at: `total` bytes are to be consumed, of which n from `at` on are the
 * frame. For MORE: `total` is how many bytes the frame needs at least, always more than there are. */
struct wr_frame {
    size_t total, at, n;
    int err; /* BAD: WR_E_TOO_BIG or WR_E_PROTO */
};

/* 0, or WR_E_RANGE when the description makes no sense. To be called once, where it is set up. */
int wr_codec_check(const struct wr_codec *c) WR_MUST;
uint32_t wr_codec_max(const struct wr_codec *c);

/* Looks at `in`, which begins at a frame's first byte and is, while the answer is MORE, the same bytes
 * with more behind them. */
enum wr_codec_step wr_codec_next(const struct wr_codec *c, struct wr_codec_scan *scan,
                                 struct wr_span in, struct wr_frame *out) WR_MUST;

/* What to lay around a message on the wire: head, then message from `skip` on, then tail. */
struct wr_wrap {
    size_t head_n, skip, tail_n;
    uint8_t head[WR_CODEC_HEAD_MAX];
    uint8_t tail[2];
};

/* 0; WR_E_TOO_BIG; WR_E_PROTO when the message cannot be sent as it is (a line with "\n" in it). */
int wr_codec_wrap(const struct wr_codec *c, struct wr_span message,
                  struct wr_wrap *out) WR_MUST;

#endif
