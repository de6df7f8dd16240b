/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_HTTP_MESSAGE_H
#define WR_HTTP_MESSAGE_H

/*
 * An HTTP/1.x message head: spans over the bytes it came in, plus what a server or a proxy must know
 * before it touches the body.
 *
 * http/parse fills it in one pass; the field table lies in memory that the caller lends. Fields keep
 * their order and their spelling; known names also carry an id, so that looking one up is one load.
 * A head that http/parse called DONE has been judged: framing, host and connection are unambiguous.
 *
 * 1. Every span points into the caller's head bytes (or is empty); they must not change while it lives.
 *    When the bytes move, wr_head_rebase moves the spans.
 * 2. nfields <= fields_cap; a name is a non-empty token; a value has no surrounding blanks and no
 *    control byte but HTAB.
 * 3. body, content_length, keep_alive, expect_continue and authority are set by the parser alone.
 * 4. Nothing here allocates.
 *
 * Owner: the caller owns the struct, the field table and the bytes. Any code may call.
 */

#include "libweir/base/span.h"
#include "libweir/http/header.h"

#define WR_METHODS(X) \
    X(GET) X(HEAD) X(POST) X(PUT) X(DELETE) X(CONNECT) X(OPTIONS) X(TRACE) X(PATCH)

enum wr_method {
    WR_METHOD_OTHER, /* a token that is none of the below: see head->method_text */
#define WR_METHOD_ROW_(name) WR_METHOD_##name,
    WR_METHODS(WR_METHOD_ROW_)
#undef WR_METHOD_ROW_
};

enum wr_target_form {
    WR_TARGET_ORIGIN,    /* /path?query */
    WR_TARGET_ABSOLUTE,  /* http://host/path?query */
    WR_TARGET_AUTHORITY, /* host:port, of CONNECT */
    WR_TARGET_ASTERISK,  /* *, of OPTIONS */
};

/* How the end of the body is known. */
enum wr_body_kind {
    WR_BODY_NONE,
    WR_BODY_LENGTH, /* exactly content_length bytes, at least 1 */
    WR_BODY_CHUNKED,
    WR_BODY_UNTIL_CLOSE, /* responses only */
    WR_BODY_TUNNEL,      /* 101 and 2xx to CONNECT: what follows is not HTTP */
};

struct wr_field {
    struct wr_span name, value;
    enum wr_header id; /* WR_H_OTHER when header.def does not know the name */
};

struct wr_http_limits {
    uint32_t max_line;      /* request or status line with its CRLF */
    uint32_t max_field;     /* one field line with its CRLF */
    uint32_t max_head;      /* the whole head with its blank line */
    uint32_t max_fields;    /* fields in a head; the lent table limits it too */
    uint32_t max_chunk_ext; /* bytes of chunk extensions in one message */
    uint32_t max_trailer;   /* bytes of the trailer section */
    bool allow_high_target; /* bytes >= 0x80 in the request target */
};
#define WR_HTTP_LIMITS_DEFAULT                      \
    {                                               \
        8192, 16384, 32768, 100, 16384, 8192, false \
    }
extern const struct wr_http_limits wr_http_limits_default;

struct wr_head {
    /* Of a request. */
    struct wr_span method_text, target;
    struct wr_span
        authority; /* host[:port] that counts: the target's own, else Host; may be empty */
    enum wr_method method;
    enum wr_target_form form;
    bool expect_continue; /* HTTP/1.1 with Expect: 100-continue */
    /* Of a response. */
    uint16_t status;
    struct wr_span reason_text;
    /* Of both. */
    uint8_t minor;   /* HTTP/1.minor: 0 or 1 */
    bool keep_alive; /* the sender is willing, by version and Connection */
    enum wr_body_kind body;
    uint64_t content_length; /* the field's value; 0 without one */
    bool has_content_length; /* also where there is no body: HEAD, 304 */
    size_t size;             /* bytes of the head, blank line and leading CRLF included */
    uint32_t nfields, fields_cap;
    struct wr_field *fields;
    /* Private: which known names were seen, and where first. */
    uint64_t seen[2];
    uint16_t first[WR_H_COUNT];
};

/* fields[cap] stays the caller's and must outlive the head. */
void wr_head_init(struct wr_head *head, struct wr_field *fields, uint32_t cap);

/* The head's bytes moved from `from` to `to`: moves every span that lies in [from, from + n). */
void wr_head_rebase(struct wr_head *head, const char *from, size_t n, const char *to);

static inline bool wr_head_has(const struct wr_head *head, enum wr_header id)
{
    return head->seen[id >> 6] >> (id & 63) & 1;
}

/* The value of the first field of that name; an empty span with p == NULL when there is none. */
static inline struct wr_span wr_head_get(const struct wr_head *head, enum wr_header id)
{
    return wr_head_has(head, id) ? head->fields[head->first[id]].value : (struct wr_span){0};
}

/* By name, for what header.def does not know. `*at` is where to look from, starting with 0, and is
 * moved behind the hit; NULL when there is none (left). */
const struct wr_field *wr_head_find(const struct wr_head *head, struct wr_span name,
                                    uint32_t *at);

/* As above by id. */
const struct wr_field *wr_head_next(const struct wr_head *head, enum wr_header id,
                                    uint32_t *at);

/* Adds a field; for the parser and for tests. False when the table is full. */
WR_MUST static inline bool wr_head_add(struct wr_head *head, enum wr_header id,
                                       struct wr_span name, struct wr_span value)
{
    if (head->nfields >= head->fields_cap)
        return false;
    if (id != WR_H_OTHER && !wr_head_has(head, id)) {
        head->seen[id >> 6] |= UINT64_C(1) << (id & 63);
        head->first[id] = (uint16_t)head->nfields;
    }
    head->fields[head->nfields++] = (struct wr_field){name, value, id};
    return true;
}

enum wr_method wr_method_of(struct wr_span text); /* methods are case-sensitive */
struct wr_span wr_method_text(enum wr_method m);  /* empty for OTHER */
bool wr_method_is_safe(enum wr_method m);         /* GET HEAD OPTIONS TRACE */
bool wr_method_is_idempotent(enum wr_method m);   /* safe ones, PUT, DELETE */

/* Table invariants; for tests. */
bool wr_head_validate(const struct wr_head *head);

#endif
