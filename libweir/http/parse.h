/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_HTTP_PARSE_H
#define WR_HTTP_PARSE_H

/*
 * Strict parser of HTTP/1.x heads: bytes in, a judged struct wr_head or one reason out.
 *
 * The caller shows all bytes of the head that it has, again and again as more arrive; the parser goes
 * on where it stopped and never looks at a byte twice. It runs through the lines once, interning known
 * names, and at the blank line judges framing, host and connection. Whatever two readers could
 * understand differently is refused, not repaired.
 *
 *              blank? CRLF          method SP       target SP       version CRLF
 *   REQUEST:  BLANK ---------> METHOD ----> TARGET ----> VERSION -------------+
 *   RESPONSE: VERSION SP ----> STATUS ----> TEXT -----------------------------+--> LINE
 *             LINE -> NAME ':' -> PAD -> VALUE CR -> VALUE_LF -> LINE ...;  LINE CR -> END LF: DONE
 *
 * 1. The outcome (DONE with the same head, or BAD with the same reason and position) does not depend
 *    on how the bytes were split.
 * 2. The bytes may lie elsewhere at each call, but those shown before must be the same.
 * 3. A byte that no head can have there is refused when it is seen, a line's meaning when the line is
 *    whole, the head's when it is whole. MORE cannot go on for ever: BAD at a limit's byte.
 * 4. Bytes behind the head are neither read for meaning nor consumed: head->size says where it ends.
 * 5. No allocation, no clock, no state outside struct wr_parse.
 *
 * Owner: the caller owns parser, head and bytes. Any thread, one at a time.
 */

#include "libweir/http/message.h"
#include "libweir/http/reason.h"

enum wr_parsed {
    WR_PARSED_MORE,
    WR_PARSED_DONE, /* head is judged and complete */
    WR_PARSED_BAD,  /* refused: see wr_parse.refusal; answer its status and close */
};

struct wr_parse {
    struct wr_refusal refusal;
    /* Private. Offsets count from the first byte shown. */
    struct wr_head *head;
    struct wr_http_limits limits;
    const char *base;
    uint32_t state, at, line, token, name_n;
    enum wr_method request_method;
    bool is_response;
};

/* limits may be NULL: the defaults. They are copied. */
void wr_parse_init_request(struct wr_parse *p, struct wr_head *head,
                           const struct wr_http_limits *limits);

/* A response needs the method it answers: HEAD has no body, CONNECT opens a tunnel. */
void wr_parse_init_response(struct wr_parse *p, struct wr_head *head,
                            enum wr_method request_method, const struct wr_http_limits *limits);

/* `bytes` begins with the head's first byte. Call again with more after MORE only. */
WR_MUST enum wr_parsed wr_parse_head(struct wr_parse *p, struct wr_span bytes);

/* The same without SIMD: the reference that tests compare with. */
WR_MUST enum wr_parsed wr_parse_head_scalar(struct wr_parse *p, struct wr_span bytes);

/* True when no byte but a leading CRLF was seen: a connection closed now was merely idle. */
bool wr_parse_is_idle(const struct wr_parse *p);

/* Splits whole field lines (each with its CRLF, no blank line), as a kept trailer section is. */
WR_MUST enum wr_parsed wr_parse_fields(struct wr_span lines, struct wr_head *out,
                                       struct wr_refusal *out_refusal);

#endif
