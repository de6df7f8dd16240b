/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_HTTP_WRITE_H
#define WR_HTTP_WRITE_H

/*
 * Writes heads and chunk framing into memory that the caller lends; and keeps small fixed answers
 * ready made.
 *
 * A writer is a cursor with a sticky error: lines are put one after another, wr_write_end closes the
 * head and says whether all of it was good. Nothing but tokens becomes a name, no CR, LF, NUL or other
 * control becomes part of a value, a target or a reason phrase: a head that contains one is refused
 * whole, so an answer cannot be split.
 *
 * 1. After an error no call writes; wr_write_end returns the first one: WR_E_TOO_BIG (memory full) or
 *    WR_E_SYNTAX (a byte that may not be written).
 * 2. At most one of Content-Length and Transfer-Encoding is written: the second is WR_E_SYNTAX.
 * 3. No allocation, no clock.
 *
 * Owner: the caller owns the memory. Any thread, one writer at a time. Into a struct wr_buf:
 *
 *     err = wr_buf_reserve(buf, max, &mem);   then   wr_writer_init(&w, mem, max);
 *     ... and after wr_write_end(&w, body, &n) == 0:  wr_buf_commit(buf, n);
 */

#include "libweir/http/date.h"
#include "libweir/http/message.h"

struct wr_writer {
    char *at; /* the end of what is written */
    /* Private. */
    char *start, *end;
    int err;
    bool framed;
};

void wr_writer_init(struct wr_writer *w, char *mem, size_t n);

/* HTTP/1.1 always: the version says what we speak. An empty reason takes the usual one. */
void wr_write_status(struct wr_writer *w, int status, struct wr_span reason);
void wr_write_request(struct wr_writer *w, struct wr_span method, struct wr_span target);

void wr_write_field(struct wr_writer *w, struct wr_span name, struct wr_span value);
void wr_write_header(struct wr_writer *w, enum wr_header id, struct wr_span value);
void wr_write_header_num(struct wr_writer *w, enum wr_header id, uint64_t value);
void wr_write_date(struct wr_writer *w, struct wr_date_cache *cache, int64_t now_s);

/* Content-Length, Transfer-Encoding: chunked, or nothing (NONE, UNTIL_CLOSE, TUNNEL). A response
 * without a body that must say so takes wr_write_header_num(w, WR_H_CONTENT_LENGTH, 0). */
void wr_write_framing(struct wr_writer *w, enum wr_body_kind kind, uint64_t content_length);

/* Line and fields of a parsed head as they are, framing included. */
void wr_write_head(struct wr_writer *w, const struct wr_head *head);

/* The blank line, then body bytes of a small answer if there are any. */
WR_MUST int wr_write_end(struct wr_writer *w, struct wr_span body, size_t *out_n);

/* Chunk framing around data that stays where it is: three spans to send in order. */
#define WR_CHUNK_HEAD_MAX 18                                   /* 16 digits CRLF */
size_t wr_chunk_head(char out[WR_CHUNK_HEAD_MAX], uint64_t n); /* n > 0 */
void wr_chunk_spans(struct wr_span data, char scratch[WR_CHUNK_HEAD_MAX],
                    struct wr_span out[3]);
#define WR_CHUNK_END  WR_LIT("\r\n")      /* behind each chunk's data */
#define WR_CHUNK_LAST WR_LIT("0\r\n\r\n") /* without trailers */
#define WR_CHUNK_ZERO WR_LIT("0\r\n")     /* before trailers, which a writer puts and ends */

/*
 * A small answer formed once and sent many times: only the 29 bytes of its Date change, once a second.
 * Lies in the caller's memory, one per loop (sending it changes the date in place).
 */
struct wr_ready {
    /* Private. */
    char *bytes;
    size_t n, date_at;
    int64_t date_s;
};

#define WR_READY_HEAD_MAX 512 /* memory for the head of a ready answer, beside its body */

/* content_type may be empty; close adds "Connection: close". */
WR_MUST int wr_ready_form(struct wr_ready *r, char *mem, size_t n, int status,
                          struct wr_span content_type, struct wr_span body, bool close);

/* All bytes of the answer, dated; valid until the next call. */
struct wr_span wr_ready_bytes(struct wr_ready *r, struct wr_date_cache *cache, int64_t now_s);

#endif
