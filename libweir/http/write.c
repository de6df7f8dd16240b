/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/http/write.h"

#include "libweir/base/assert.h"
#include "libweir/base/err.h"
#include "libweir/http/scan.h"
#include "libweir/http/status.h"
#include "libweir/http/token.h"

void wr_writer_init(struct wr_writer *w, char *mem, size_t n)
{
    *w = (struct wr_writer){.at = mem, .start = mem, .end = mem + n};
}

static void fail(struct wr_writer *w, int err)
{
    if (!w->err)
        w->err = err;
}

/* Room for n more bytes, or the sticky error. */
static bool has_room(struct wr_writer *w, size_t n)
{
    if (w->err)
        return false;
    if ((size_t)(w->end - w->at) >= n)
        return true;
    fail(w, WR_E_TOO_BIG);
    return false;
}

static void put(struct wr_writer *w, struct wr_span s)
{
    if (s.n)
        memcpy(w->at, s.p, s.n);
    w->at += s.n;
}

static size_t number_text(char out[20], uint64_t v)
{
    char digits[20];
    size_t n = 0;
    do
        digits[n++] = (char)('0' + v % 10);
    while (v /= 10);
    for (size_t i = 0; i < n; i++)
        out[i] = digits[n - 1 - i];
    return n;
}

void wr_write_status(struct wr_writer *w, int status, struct wr_span reason)
{
    struct wr_span line = wr_status_line(status);
    if (line.n && (reason.n == 0 || wr_span_eq(reason, wr_status_text(status)))) {
        if (has_room(w, line.n))
            put(w, line);
        return;
    }
    if (status < 100 || status > 599 || !wr_is_field_value(reason)) {
        fail(w, WR_E_SYNTAX);
        return;
    }
    if (!has_room(w, 13 + reason.n + 2))
        return;
    char digits[20];
    put(w, WR_LIT("HTTP/1.1 "));
    put(w, wr_span(digits, number_text(digits, (uint64_t)status)));
    put(w, WR_LIT(" "));
    put(w, reason);
    put(w, WR_LIT("\r\n"));
}

static bool is_target(struct wr_span s)
{
    return s.n && wr_scan_scalar(s.p, s.p + s.n, WR_CHAR_TARGET_HIGH) == s.p + s.n;
}

void wr_write_request(struct wr_writer *w, struct wr_span method, struct wr_span target)
{
    if (!wr_is_token(method) || !is_target(target)) {
        fail(w, WR_E_SYNTAX);
        return;
    }
    if (!has_room(w, method.n + 1 + target.n + 11))
        return;
    put(w, method);
    put(w, WR_LIT(" "));
    put(w, target);
    put(w, WR_LIT(" HTTP/1.1\r\n"));
}

static void put_field(struct wr_writer *w, struct wr_span name, struct wr_span value)
{
    if (!has_room(w, name.n + 2 + value.n + 2))
        return;
    put(w, name);
    put(w, WR_LIT(": "));
    put(w, value);
    put(w, WR_LIT("\r\n"));
}

/* Two framing fields in one head are what the parser on the other side refuses. */
static bool is_framed_twice(struct wr_writer *w, enum wr_header id)
{
    if (id != WR_H_CONTENT_LENGTH && id != WR_H_TRANSFER_ENCODING)
        return false;
    bool twice = w->framed;
    w->framed = true;
    return twice;
}

void wr_write_field(struct wr_writer *w, struct wr_span name, struct wr_span value)
{
    if (!wr_is_token(name) || !wr_is_field_value(value) ||
        is_framed_twice(w, wr_header_of(name)))
        fail(w, WR_E_SYNTAX);
    else
        put_field(w, name, value);
}

void wr_write_header(struct wr_writer *w, enum wr_header id, struct wr_span value)
{
    WR_ASSERT(id > WR_H_OTHER && id < WR_H_COUNT);
    if (!wr_is_field_value(value) || is_framed_twice(w, id))
        fail(w, WR_E_SYNTAX);
    else
        put_field(w, wr_header_name(id), value);
}

void wr_write_header_num(struct wr_writer *w, enum wr_header id, uint64_t value)
{
    char digits[20];
    wr_write_header(w, id, wr_span(digits, number_text(digits, value)));
}

void wr_write_date(struct wr_writer *w, struct wr_date_cache *cache, int64_t now_s)
{
    put_field(w, WR_LIT("Date"), wr_date_cached(cache, now_s));
}

void wr_write_framing(struct wr_writer *w, enum wr_body_kind kind, uint64_t content_length)
{
    if (kind == WR_BODY_LENGTH)
        wr_write_header_num(w, WR_H_CONTENT_LENGTH, content_length);
    else if (kind == WR_BODY_CHUNKED)
        wr_write_header(w, WR_H_TRANSFER_ENCODING, WR_LIT("chunked"));
}

void wr_write_head(struct wr_writer *w, const struct wr_head *head)
{
    if (head->status)
        wr_write_status(w, head->status, head->reason_text);
    else
        wr_write_request(w, head->method_text, head->target);
    for (uint32_t i = 0; i < head->nfields; i++)
        wr_write_field(w, head->fields[i].name, head->fields[i].value);
}

int wr_write_end(struct wr_writer *w, struct wr_span body, size_t *out_n)
{
    if (has_room(w, 2 + body.n)) {
        put(w, WR_LIT("\r\n"));
        put(w, body);
    }
    if (w->err)
        return w->err;
    *out_n = (size_t)(w->at - w->start);
    return 0;
}

/* ---- chunks ---- */

size_t wr_chunk_head(char out[WR_CHUNK_HEAD_MAX], uint64_t n)
{
    WR_ASSERT(n > 0); /* an empty chunk would end the body */
    size_t digits = (size_t)(64 - __builtin_clzll(n) + 3) / 4;
    for (size_t i = 0; i < digits; i++)
        out[i] = "0123456789abcdef"[n >> (4 * (digits - 1 - i)) & 15];
    out[digits] = '\r';
    out[digits + 1] = '\n';
    return digits + 2;
}

void wr_chunk_spans(struct wr_span data, char scratch[WR_CHUNK_HEAD_MAX], struct wr_span out[3])
{
    out[0] = wr_span(scratch, wr_chunk_head(scratch, data.n));
    out[1] = data;
    out[2] = WR_CHUNK_END;
}

/* ---- ready answers ---- */

int wr_ready_form(struct wr_ready *r, char *mem, size_t n, int status,
                  struct wr_span content_type, struct wr_span body, bool close)
{
    struct wr_writer w;
    struct wr_date_cache cache = {0};
    size_t size;
    wr_writer_init(&w, mem, n);
    wr_write_status(&w, status, (struct wr_span){0});
    wr_write_date(&w, &cache, 0);
    size_t date_at = (size_t)(w.at - w.start) - WR_DATE_LEN - 2;
    if (content_type.n)
        wr_write_header(&w, WR_H_CONTENT_TYPE, content_type);
    if (wr_status_has_body(status))
        wr_write_header_num(&w, WR_H_CONTENT_LENGTH, body.n);
    else if (body.n)
        return WR_E_SYNTAX;
    if (close)
        wr_write_header(&w, WR_H_CONNECTION, WR_LIT("close"));
    int err = wr_write_end(&w, body, &size);
    if (err == 0)
        *r = (struct wr_ready){mem, size, date_at, 0};
    return err;
}

struct wr_span wr_ready_bytes(struct wr_ready *r, struct wr_date_cache *cache, int64_t now_s)
{
    if (r->date_s != now_s) {
        memcpy(r->bytes + r->date_at, wr_date_cached(cache, now_s).p, WR_DATE_LEN);
        r->date_s = now_s;
    }
    return wr_span(r->bytes, r->n);
}
