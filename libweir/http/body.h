/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_HTTP_BODY_H
#define WR_HTTP_BODY_H

/*
 * Takes the framing off a message body: yields spans of data, then DONE.
 *
 * The caller gives what it read; wr_body_next eats from the front and hands back the pieces of data in
 * place, without copying. Chunk sizes, extensions and trailers may be split anywhere. Extensions are
 * checked, counted against a limit and dropped; trailers are checked, counted, and kept only if the
 * caller lent memory for them.
 *
 *   SIZE -> (EXT..)* -> SIZE_LF -> DATA -> DATA_CR -> DATA_LF -> SIZE ...
 *                          |0: TRAILER_LINE -> NAME -> VALUE -> LF -> TRAILER_LINE ...; CR -> END
 *
 * 1. The concatenated data, the outcome and a refusal's position do not depend on the splits.
 * 2. DONE leaves what lies behind the body in *in (the next pipelined message).
 * 3. Trailers are never merged into the head.
 *
 * Owner: the caller owns everything; data spans live as long as the bytes given.
 *
 *     while ((ev = wr_body_next(&body, &in, &data)) == WR_BODY_DATA)
 *         consume(data);
 */

#include "libweir/http/message.h"
#include "libweir/http/reason.h"

enum wr_body_event {
    WR_BODY_MORE, /* all input eaten, the body goes on */
    WR_BODY_DATA, /* *out_data is the next piece, never empty */
    WR_BODY_DONE,
    WR_BODY_BAD, /* see wr_body.refusal; close */
};

struct wr_body {
    struct wr_refusal refusal;
    /* Private. */
    uint64_t at;        /* bytes eaten since the body's first */
    uint64_t remaining; /* of the body or of the chunk */
    uint64_t total;     /* data bytes promised by the chunks so far */
    struct wr_http_limits limits;
    enum wr_body_kind kind;
    uint8_t state, digits, name_n;
    uint32_t ext, trailer_n, ntrailers;
    char *keep; /* lent memory for trailers */
    size_t keep_cap, keep_n;
    char name[24]; /* of the trailer being read: long enough for every refused name */
};

/* limits may be NULL: the defaults. A tunnel is read as UNTIL_CLOSE. */
void wr_body_init(struct wr_body *b, enum wr_body_kind kind, uint64_t content_length,
                  const struct wr_http_limits *limits);
void wr_body_init_head(struct wr_body *b, const struct wr_head *head,
                       const struct wr_http_limits *limits);

/* Keeps trailers in mem; a section that does not fit is refused (TRAILER_LONG). */
void wr_body_keep_trailers(struct wr_body *b, char *mem, size_t n);

WR_MUST enum wr_body_event wr_body_next(struct wr_body *b, struct wr_span *in,
                                        struct wr_span *out_data);

/* The peer ended the stream: DONE when the body is complete by that, else BAD (TRUNCATED). */
WR_MUST enum wr_body_event wr_body_eof(struct wr_body *b);

bool wr_body_is_done(const struct wr_body *b);

/* Bytes of data still owed, UINT64_MAX when unknown. */
uint64_t wr_body_left(const struct wr_body *b);

/* After DONE: the kept trailer lines (see wr_parse_fields); empty when there were none. */
struct wr_span wr_body_trailers(const struct wr_body *b);

#endif
