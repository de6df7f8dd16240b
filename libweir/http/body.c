/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/http/body.h"

#include "libweir/http/scan.h"

#define SIZE_DIGITS 16

enum state {
    PLAIN, /* length or until close */
    SIZE,
    EXT_NAME, /* the first byte of a name is due */
    EXT_NAME_MORE,
    EXT_VALUE, /* the first byte of a value is due */
    EXT_VALUE_MORE,
    EXT_QUOTED,
    EXT_ESCAPED,
    EXT_END, /* behind a quoted value */
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_LINE,
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    END_LF,
    DONE,
    BAD,
};

void wr_body_init(struct wr_body *b, enum wr_body_kind kind, uint64_t content_length,
                  const struct wr_http_limits *limits)
{
    *b = (struct wr_body){.kind = kind, .limits = limits ? *limits : wr_http_limits_default};
    switch (kind) {
    case WR_BODY_NONE:
        b->state = DONE;
        break;
    case WR_BODY_LENGTH:
        b->remaining = content_length;
        b->state = content_length ? PLAIN : DONE;
        break;
    case WR_BODY_CHUNKED:
        b->state = SIZE;
        break;
    case WR_BODY_UNTIL_CLOSE:
    case WR_BODY_TUNNEL:
        b->remaining = UINT64_MAX;
        b->state = PLAIN;
        break;
    }
}

void wr_body_init_head(struct wr_body *b, const struct wr_head *head,
                       const struct wr_http_limits *limits)
{
    wr_body_init(b, head->body, head->content_length, limits);
}

void wr_body_keep_trailers(struct wr_body *b, char *mem, size_t n)
{
    b->keep = mem;
    b->keep_cap = n;
}

static enum wr_reason line_end_or(char c, enum wr_reason otherwise)
{
    return c == '\n' ? WR_BAD_BARE_LF : otherwise;
}

/* ---- chunk sizes ---- */

static enum wr_reason on_size(struct wr_body *b, char c)
{
    if (wr_char_is(c, WR_CHAR_HEX)) {
        if (b->digits == SIZE_DIGITS)
            return WR_BAD_CHUNK_SIZE_LONG;
        if (b->remaining >> 59)
            return WR_BAD_CHUNK_SIZE_OVERFLOW;
        char low = wr_ascii_lower(c);
        b->remaining = b->remaining << 4 | (uint64_t)(low <= '9' ? low - '0' : low - 'a' + 10);
        b->digits++;
        return WR_BAD_NONE;
    }
    if (c != '\r' && c != ';')
        return line_end_or(c, WR_BAD_CHUNK_SIZE_BYTE);
    if (b->digits == 0)
        return WR_BAD_CHUNK_SIZE_EMPTY;
    b->state = c == ';' ? EXT_NAME : SIZE_LF;
    return WR_BAD_NONE;
}

static enum wr_reason on_size_lf(struct wr_body *b, char c)
{
    if (c != '\n')
        return WR_BAD_BARE_CR;
    if (b->remaining > (uint64_t)INT64_MAX - b->total)
        return WR_BAD_CHUNK_SIZE_OVERFLOW;
    b->total += b->remaining;
    b->state = b->remaining ? DATA : TRAILER_LINE;
    return WR_BAD_NONE;
}

static enum wr_reason on_data_end(struct wr_body *b, char c)
{
    bool at_cr = b->state == DATA_CR;
    if (c != (at_cr ? '\r' : '\n'))
        return WR_BAD_CHUNK_END;
    b->state = at_cr ? DATA_LF : SIZE;
    b->digits = 0;
    return WR_BAD_NONE;
}

/* ---- extensions: ;name, ;name=token, ;name="quoted"; no blanks outside quotes ---- */

static enum wr_reason end_ext(struct wr_body *b, char c)
{
    if (c != ';' && c != '\r')
        return line_end_or(c, WR_BAD_CHUNK_EXT_BAD);
    b->state = c == ';' ? EXT_NAME : SIZE_LF;
    return WR_BAD_NONE;
}

static enum wr_reason on_ext_word(struct wr_body *b, char c)
{
    bool first = b->state == EXT_NAME || b->state == EXT_VALUE;
    if (wr_char_is(c, WR_CHAR_TOKEN)) {
        b->state = b->state <= EXT_NAME_MORE ? EXT_NAME_MORE : EXT_VALUE_MORE;
        return WR_BAD_NONE;
    }
    if (b->state == EXT_VALUE && c == '"')
        b->state = EXT_QUOTED;
    else if (b->state == EXT_NAME_MORE && c == '=')
        b->state = EXT_VALUE;
    else if (first)
        return line_end_or(c, WR_BAD_CHUNK_EXT_BAD);
    else
        return end_ext(b, c);
    return WR_BAD_NONE;
}

static enum wr_reason on_ext_quoted(struct wr_body *b, char c)
{
    if (!wr_char_is(c, WR_CHAR_VALUE))
        return line_end_or(c, WR_BAD_CHUNK_EXT_BAD);
    if (b->state == EXT_ESCAPED)
        b->state = EXT_QUOTED;
    else if (c == '"')
        b->state = EXT_END;
    else if (c == '\\')
        b->state = EXT_ESCAPED;
    return WR_BAD_NONE;
}

static enum wr_reason on_ext(struct wr_body *b, char c)
{
    if (++b->ext > b->limits.max_chunk_ext)
        return WR_BAD_CHUNK_EXT_LONG;
    switch (b->state) {
    case EXT_QUOTED:
    case EXT_ESCAPED:
        return on_ext_quoted(b, c);
    case EXT_END:
        return end_ext(b, c);
    default:
        return on_ext_word(b, c);
    }
}

/* ---- trailers ---- */

static enum wr_reason on_trailer_line(struct wr_body *b, char c)
{
    if (c == '\r') {
        b->state = END_LF;
        return WR_BAD_NONE;
    }
    if (c == ' ' || c == '\t')
        return WR_BAD_OBS_FOLD;
    if (!wr_char_is(c, WR_CHAR_TOKEN))
        return line_end_or(c, c == ':' ? WR_BAD_NAME_EMPTY : WR_BAD_NAME_BYTE);
    if (++b->ntrailers > b->limits.max_fields)
        return WR_BAD_TRAILER_MANY;
    b->name[0] = c;
    b->name_n = 1;
    b->state = TRAILER_NAME;
    return WR_BAD_NONE;
}

/* A name that did not fit is longer than every refused one. */
static bool is_forbidden(const struct wr_body *b)
{
    if (b->name_n > sizeof b->name)
        return false;
    return wr_header_flags(wr_header_of(wr_span(b->name, b->name_n))) & WR_HF_NO_TRAILER;
}

static enum wr_reason on_trailer_name(struct wr_body *b, char c)
{
    if (wr_char_is(c, WR_CHAR_TOKEN)) {
        if (b->name_n < sizeof b->name)
            b->name[b->name_n] = c;
        if (b->name_n <= sizeof b->name)
            b->name_n++;
        return WR_BAD_NONE;
    }
    if (c == ' ' || c == '\t')
        return WR_BAD_SPACE_BEFORE_COLON;
    if (c != ':')
        return line_end_or(c, c == '\r' ? WR_BAD_NO_COLON : WR_BAD_NAME_BYTE);
    if (is_forbidden(b))
        return WR_BAD_TRAILER_FORBIDDEN;
    b->state = TRAILER_VALUE;
    return WR_BAD_NONE;
}

static enum wr_reason on_trailer_value(struct wr_body *b, char c)
{
    if (wr_char_is(c, WR_CHAR_VALUE))
        return WR_BAD_NONE;
    if (c != '\r')
        return line_end_or(c, c == 0 ? WR_BAD_VALUE_NUL : WR_BAD_VALUE_CONTROL);
    b->state = TRAILER_LF;
    return WR_BAD_NONE;
}

static enum wr_reason on_trailer_lf(struct wr_body *b, char c)
{
    if (c != '\n')
        return WR_BAD_BARE_CR;
    b->state = b->state == END_LF ? DONE : TRAILER_LINE;
    return WR_BAD_NONE;
}

static enum wr_reason dispatch_trailer(struct wr_body *b, char c)
{
    switch (b->state) {
    case TRAILER_LINE:
        return on_trailer_line(b, c);
    case TRAILER_NAME:
        return on_trailer_name(b, c);
    case TRAILER_VALUE:
        return on_trailer_value(b, c);
    default:
        return on_trailer_lf(b, c);
    }
}

static enum wr_reason on_trailer(struct wr_body *b, char c)
{
    enum wr_reason bad = dispatch_trailer(b, c);
    if (bad || b->state == END_LF || b->state == DONE)
        return bad;
    if (++b->trailer_n > b->limits.max_trailer || (b->keep && b->keep_n == b->keep_cap))
        return WR_BAD_TRAILER_LONG;
    if (b->keep)
        b->keep[b->keep_n++] = c;
    return WR_BAD_NONE;
}

/* ---- the whole ---- */

static enum wr_reason on_byte(struct wr_body *b, char c)
{
    if (b->state == SIZE)
        return on_size(b, c);
    if (b->state < SIZE_LF)
        return on_ext(b, c);
    if (b->state == SIZE_LF)
        return on_size_lf(b, c);
    return b->state <= DATA_LF ? on_data_end(b, c) : on_trailer(b, c);
}

static enum wr_body_event refuse(struct wr_body *b, enum wr_reason reason)
{
    b->refusal = (struct wr_refusal){reason, b->at};
    b->state = BAD;
    return WR_BODY_BAD;
}

static enum wr_body_event yield_data(struct wr_body *b, struct wr_span *in,
                                     struct wr_span *out_data)
{
    size_t n = in->n < b->remaining ? in->n : (size_t)b->remaining;
    *out_data = wr_span_sub(*in, 0, n);
    *in = wr_span_sub(*in, n, in->n);
    b->at += n;
    if (b->remaining != UINT64_MAX)
        b->remaining -= n;
    if (b->remaining == 0)
        b->state = b->state == DATA ? DATA_CR : DONE;
    return WR_BODY_DATA;
}

enum wr_body_event wr_body_next(struct wr_body *b, struct wr_span *in, struct wr_span *out_data)
{
    for (;;) {
        if (b->state == DONE)
            return WR_BODY_DONE;
        if (b->state == BAD)
            return WR_BODY_BAD;
        if (in->n == 0)
            return WR_BODY_MORE;
        if (b->state == PLAIN || b->state == DATA)
            return yield_data(b, in, out_data);
        enum wr_reason bad = on_byte(b, in->p[0]);
        if (bad)
            return refuse(b, bad);
        *in = wr_span_sub(*in, 1, in->n);
        b->at++;
    }
}

enum wr_body_event wr_body_eof(struct wr_body *b)
{
    if (b->kind >= WR_BODY_UNTIL_CLOSE)
        b->state = DONE;
    if (b->state == DONE)
        return WR_BODY_DONE;
    return b->state == BAD ? WR_BODY_BAD : refuse(b, WR_BAD_TRUNCATED);
}

bool wr_body_is_done(const struct wr_body *b)
{
    return b->state == DONE;
}

uint64_t wr_body_left(const struct wr_body *b)
{
    if (b->state == DONE)
        return 0;
    return b->kind == WR_BODY_LENGTH ? b->remaining : UINT64_MAX;
}

struct wr_span wr_body_trailers(const struct wr_body *b)
{
    return b->keep ? wr_span(b->keep, b->keep_n) : (struct wr_span){"", 0};
}
