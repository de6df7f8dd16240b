/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/http/body.h"

#include "libweir/http/parse.h"
#include "tests/tap.h"

struct outcome {
    enum wr_body_event last;
    struct wr_refusal refusal;
    char data[256];
    size_t n, left; /* left: input behind the body */
    char trailers[64];
    size_t trailers_n;
};

/* Feeds `step` bytes a call. */
static void read_body(struct wr_body *b, struct wr_span text, size_t step, struct outcome *o)
{
    o->n = 0;
    o->last = WR_BODY_MORE;
    size_t at = 0;
    while (at < text.n && o->last == WR_BODY_MORE) {
        struct wr_span in = wr_span_sub(text, at, step), data;
        at += in.n;
        while ((o->last = wr_body_next(b, &in, &data)) == WR_BODY_DATA) {
            memcpy(o->data + o->n, data.p, data.n);
            o->n += data.n;
        }
        at -= in.n;
    }
    o->left = text.n - at;
    o->refusal = b->refusal;
    o->trailers_n = wr_body_trailers(b).n;
    if (o->trailers_n)
        memcpy(o->trailers, wr_body_trailers(b).p, o->trailers_n);
}

static void read_chunked(struct wr_span text, const struct wr_http_limits *limits, size_t step,
                         struct outcome *o)
{
    static char keep[64];
    struct wr_body b;
    wr_body_init(&b, WR_BODY_CHUNKED, 0, limits);
    wr_body_keep_trailers(&b, keep, sizeof keep);
    read_body(&b, text, step, o);
}

static bool same(const struct outcome *a, const struct outcome *b)
{
    return a->last == b->last && a->refusal.reason == b->refusal.reason &&
           a->refusal.at == b->refusal.at && a->n == b->n &&
           memcmp(a->data, b->data, a->n) == 0 &&
           (a->last != WR_BODY_DONE || a->left == b->left) && a->trailers_n == b->trailers_n &&
           memcmp(a->trailers, b->trailers, a->trailers_n) == 0;
}

static bool all_ways(struct wr_span text, const struct wr_http_limits *limits,
                     struct outcome *o)
{
    static struct outcome other;
    bool good = true;
    read_chunked(text, limits, text.n, o);
    for (size_t step = 1; step <= 7; step++) {
        read_chunked(text, limits, step, &other);
        good &= same(o, &other);
    }
    return good;
}

static void printable(struct wr_span s, char *out, size_t cap)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n && n + 5 < cap; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c >= 0x20 && c < 0x7f && c != '#')
            out[n++] = (char)c;
        else
            n += (size_t)snprintf(out + n, 5, "\\x%02x", c);
    }
    out[n] = 0;
}

/* ---- refused ---- */

struct refuse_case {
    const char *text;
    size_t n;
    enum wr_reason reason;
    uint64_t at;
};
#define R(text, reason, at)                         \
    {                                               \
        text, sizeof(text) - 1, WR_BAD_##reason, at \
    }
#define Z "0\r\n"

static const struct refuse_case refused[] = {
    /* clang-format off */
    R("\r\n", CHUNK_SIZE_EMPTY, 0),
    R("\n", BARE_LF, 0),
    R(";a\r\n", CHUNK_SIZE_EMPTY, 0),
    R(" 5\r\nhello\r\n", CHUNK_SIZE_BYTE, 0),
    R("\t5\r\nhello\r\n", CHUNK_SIZE_BYTE, 0),
    R("+5\r\nhello\r\n", CHUNK_SIZE_BYTE, 0),
    R("-5\r\nhello\r\n", CHUNK_SIZE_BYTE, 0),
    R("0x5\r\nhello\r\n", CHUNK_SIZE_BYTE, 1),
    R("5 \r\nhello\r\n", CHUNK_SIZE_BYTE, 1),
    R("5\t\r\nhello\r\n", CHUNK_SIZE_BYTE, 1),
    R("5 ;a\r\nhello\r\n", CHUNK_SIZE_BYTE, 1),
    R("5h\r\nhello\r\n", CHUNK_SIZE_BYTE, 1),
    R("5,\r\nhello\r\n", CHUNK_SIZE_BYTE, 1),
    R("5.0\r\nhello\r\n", CHUNK_SIZE_BYTE, 1),
    R("5_0\r\nhello\r\n", CHUNK_SIZE_BYTE, 1),
    R("\"5\"\r\nhello\r\n", CHUNK_SIZE_BYTE, 0),
    R("g\r\n", CHUNK_SIZE_BYTE, 0),
    R("\0\r\n", CHUNK_SIZE_BYTE, 0),
    R("5\0\r\nhello\r\n", CHUNK_SIZE_BYTE, 1),
    R("\xd9\xa5\r\n", CHUNK_SIZE_BYTE, 0),
    R("00000000000000005\r\nhello\r\n", CHUNK_SIZE_LONG, 16),
    R("00000000000000000\r\n\r\n", CHUNK_SIZE_LONG, 16),
    R("10000000000000005\r\nhello\r\n", CHUNK_SIZE_LONG, 16),
    R("8000000000000000\r\n", CHUNK_SIZE_OVERFLOW, 15),
    R("ffffffffffffffff\r\n", CHUNK_SIZE_OVERFLOW, 15),
    R("FFFFFFFFFFFFFFFF\r\n", CHUNK_SIZE_OVERFLOW, 15),
    R("1\r\na\r\n7fffffffffffffff\r\n", CHUNK_SIZE_OVERFLOW, 23),
    R("5\nhello\r\n", BARE_LF, 1),
    R("5\rhello\r\n", BARE_CR, 2),
    R("5\r\r\nhello\r\n", BARE_CR, 2),
    R("5\r\nhello5\r\n", CHUNK_END, 8),
    R("5\r\nhello\n", CHUNK_END, 8),
    R("5\r\nhello\r5", CHUNK_END, 9),
    R("5\r\nhello\rX", CHUNK_END, 9),
    R("5\r\nhello \r\n", CHUNK_END, 8),
    R("4\r\nhello\r\n", CHUNK_END, 7),
    R("5\r\nhello\r\n\r\n", CHUNK_SIZE_EMPTY, 10),
    R("5\r\nhello\r\n x", CHUNK_SIZE_BYTE, 10),
    /* Extensions. */
    R("5;\r\nhello\r\n", CHUNK_EXT_BAD, 2),
    R("5;\nhello\r\n", BARE_LF, 2),
    R("5; a\r\nhello\r\n", CHUNK_EXT_BAD, 2),
    R("5;a \r\nhello\r\n", CHUNK_EXT_BAD, 3),
    R("5;a =b\r\nhello\r\n", CHUNK_EXT_BAD, 3),
    R("5;a= b\r\nhello\r\n", CHUNK_EXT_BAD, 4),
    R("5;=b\r\nhello\r\n", CHUNK_EXT_BAD, 2),
    R("5;a=\r\nhello\r\n", CHUNK_EXT_BAD, 4),
    R("5;a=b=c\r\nhello\r\n", CHUNK_EXT_BAD, 5),
    R("5;a=;b\r\nhello\r\n", CHUNK_EXT_BAD, 4),
    R("5;;a\r\nhello\r\n", CHUNK_EXT_BAD, 2),
    R("5;a\nhello\r\n", BARE_LF, 3),
    R("5;a\rX", BARE_CR, 4),
    R("5;a\0b\r\n", CHUNK_EXT_BAD, 3),
    R("5;a=\"b\r\nhello\r\n", CHUNK_EXT_BAD, 6),
    R("5;a=\"b\n\"\r\nhello\r\n", BARE_LF, 6),
    R("5;a=\"b\\\r\n\"\r\n", CHUNK_EXT_BAD, 7),
    R("5;a=\"b\\\n\"\r\n", BARE_LF, 7),
    R("5;a=\"b\"c\r\nhello\r\n", CHUNK_EXT_BAD, 7),
    R("5;a=\"b\"\nhello\r\n", BARE_LF, 7),
    R("5;a=\"\0\"\r\n", CHUNK_EXT_BAD, 5),
    R("5;\"a\"\r\nhello\r\n", CHUNK_EXT_BAD, 2),
    R("5;a,b\r\nhello\r\n", CHUNK_EXT_BAD, 3),
    R("5;a=(b)\r\nhello\r\n", CHUNK_EXT_BAD, 4),
    R("0;\r\n\r\n", CHUNK_EXT_BAD, 2),
    /* The end and trailers. */
    R("0\n\r\n", BARE_LF, 1),
    R("0\r\r\n", BARE_CR, 2),
    R(Z "\n", BARE_LF, 3),
    R(Z "\rX", BARE_CR, 4),
    R(Z "\r\r\n", BARE_CR, 4),
    R(Z " a: b\r\n\r\n", OBS_FOLD, 3),
    R(Z "a: b\r\n c\r\n\r\n", OBS_FOLD, 9),
    R(Z "a : b\r\n\r\n", SPACE_BEFORE_COLON, 4),
    R(Z "a\t: b\r\n\r\n", SPACE_BEFORE_COLON, 4),
    R(Z ": b\r\n\r\n", NAME_EMPTY, 3),
    R(Z "a\r\n\r\n", NO_COLON, 4),
    R(Z "a\n", BARE_LF, 4),
    R(Z "a\0: b\r\n\r\n", NAME_BYTE, 4),
    R(Z "(a: b\r\n\r\n", NAME_BYTE, 3),
    R(Z "a: b\n\r\n", BARE_LF, 7),
    R(Z "a: b\rc", BARE_CR, 8),
    R(Z "a: b\0\r\n\r\n", VALUE_NUL, 7),
    R(Z "a: b\x0b\r\n\r\n", VALUE_CONTROL, 7),
    R(Z "Content-Length: 5\r\n\r\n", TRAILER_FORBIDDEN, 17),
    R(Z "content-length: 5\r\n\r\n", TRAILER_FORBIDDEN, 17),
    R(Z "Transfer-Encoding: chunked\r\n\r\n", TRAILER_FORBIDDEN, 20),
    R(Z "Host: b\r\n\r\n", TRAILER_FORBIDDEN, 7),
    R(Z "Connection: close\r\n\r\n", TRAILER_FORBIDDEN, 13),
    R(Z "Authorization: b\r\n\r\n", TRAILER_FORBIDDEN, 16),
    R(Z "If-Unmodified-Since: b\r\n\r\n", TRAILER_FORBIDDEN, 22),
    R(Z "Set-Cookie: b\r\n\r\n", TRAILER_FORBIDDEN, 13),
    R(Z "a: 0123456789012345678901234567890123456789012345678901234567890123\r\n\r\n", TRAILER_LONG, 67),
    /* clang-format on */
};

static void test_refused(void)
{
    struct outcome o;
    for (size_t i = 0; i < WR_ARRAY_LEN(refused); i++) {
        const struct refuse_case *rc = &refused[i];
        char text[120];
        printable(wr_span(rc->text, rc->n), text, sizeof text);
        bool agree = all_ways(wr_span(rc->text, rc->n), NULL, &o);
        bool good =
            o.last == WR_BODY_BAD && o.refusal.reason == rc->reason && o.refusal.at == rc->at;
        ok(agree && good, "refused %s: %s", wr_reason_name(rc->reason), text);
        if (!good)
            printf("#   got %d %s at %d, want at %d\n", o.last,
                   wr_reason_name(o.refusal.reason), (int)o.refusal.at, (int)rc->at);
    }
}

/* ---- accepted ---- */

static void accepted(const char *text, const char *data, size_t left, const char *trailers)
{
    struct outcome o;
    char shown[120];
    printable(wr_span_str(text), shown, sizeof shown);
    bool agree = all_ways(wr_span_str(text), NULL, &o);
    bool good = o.last == WR_BODY_DONE && o.left == left &&
                wr_span_eq(wr_span(o.data, o.n), wr_span_str(data)) &&
                wr_span_eq(wr_span(o.trailers, o.trailers_n), wr_span_str(trailers));
    ok(agree && good, "accepted %s", shown);
    if (!good)
        printf("#   %d %s at %d, left %zu\n", o.last, wr_reason_name(o.refusal.reason),
               (int)o.refusal.at, o.left);
}

static void test_accepted(void)
{
    accepted("0\r\n\r\n", "", 0, "");
    accepted("0\r\n\r\nGET /", "", 5, "");
    accepted("5\r\nhello\r\n0\r\n\r\n", "hello", 0, "");
    accepted("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world", 0, "");
    accepted("A\r\n0123456789\r\na\r\n0123456789\r\n00\r\n\r\n", "01234567890123456789", 0, "");
    accepted("0000000000000005\r\nhello\r\n0000\r\n\r\n", "hello", 0, "");
    accepted("2\r\n\r\n\r\n0\r\n\r\n", "\r\n", 0, "");
    accepted("5;a\r\nhello\r\n0;b=c\r\n\r\n", "hello", 0, "");
    accepted("5;a=\"b \t;\\\"\x80\";c=d;e\r\nhello\r\n0\r\n\r\n", "hello", 0, "");
    accepted("0\r\nA: b\r\n\r\nx", "", 1, "A: b\r\n");
    accepted("0\r\nA:\r\nB:  \tc\r\n\r\n", "", 0, "A:\r\nB:  \tc\r\n");
    accepted("0\r\nA-Rather-Long-Name-Of-A-Field: b\r\n\r\n", "", 0,
             "A-Rather-Long-Name-Of-A-Field: b\r\n");
}

static void test_trailer_fields(void)
{
    char keep[64];
    struct wr_body b;
    struct wr_span in = WR_LIT("0\r\nA: b\r\nETag: \"x\"\r\n\r\n"), data;
    struct wr_field fields[4];
    struct wr_head head;
    struct wr_refusal refusal;
    wr_body_init(&b, WR_BODY_CHUNKED, 0, NULL);
    wr_body_keep_trailers(&b, keep, sizeof keep);
    is_int(wr_body_next(&b, &in, &data), WR_BODY_DONE, "done");
    wr_head_init(&head, fields, 4);
    is_int(wr_parse_fields(wr_body_trailers(&b), &head, &refusal), WR_PARSED_DONE, "split");
    ok(wr_span_eq(wr_head_get(&head, WR_H_ETAG), WR_LIT("\"x\"")), "and found");
}

/* ---- limits ---- */

static void limited(const char *text, struct wr_http_limits limits, enum wr_reason reason)
{
    struct outcome o;
    bool agree = all_ways(wr_span_str(text), &limits, &o);
    ok(agree && o.refusal.reason == reason, "limit: %s", wr_reason_name(reason));
}

static void test_limits(void)
{
    struct wr_http_limits l = WR_HTTP_LIMITS_DEFAULT;
    l.max_chunk_ext = 6;
    limited("1;ab=c\r\na\r\n1;a\r\na\r\n0\r\n\r\n", l, WR_BAD_CHUNK_EXT_LONG);
    limited("1;ab=c\r\na\r\n1\r\na\r\n0\r\n\r\n", l, WR_BAD_NONE);
    l.max_trailer = 6;
    limited("0\r\nA:b\r\n\r\n", l, WR_BAD_NONE);
    limited("0\r\nA: bc\r\n\r\n", l, WR_BAD_TRAILER_LONG);
    l.max_trailer = 100;
    l.max_fields = 1;
    limited("0\r\nA:b\r\nC:d\r\n\r\n", l, WR_BAD_TRAILER_MANY);
}

/* ---- the other framings ---- */

static void test_length(void)
{
    struct wr_body b;
    struct outcome o;
    for (size_t step = 1; step < 9; step++) {
        wr_body_init(&b, WR_BODY_LENGTH, 5, NULL);
        read_body(&b, WR_LIT("hello GET"), step, &o);
        ok(o.last == WR_BODY_DONE && o.n == 5 && o.left == 4, "5 bytes by %zu", step);
    }
    wr_body_init(&b, WR_BODY_LENGTH, 5, NULL);
    is_int(wr_body_left(&b), 5, "left before");
    read_body(&b, WR_LIT("hel"), 3, &o);
    is_int(wr_body_left(&b), 2, "left");
    is_int(wr_body_eof(&b), WR_BODY_BAD, "the stream ended early");
    ok(b.refusal.reason == WR_BAD_TRUNCATED && b.refusal.at == 3, "truncated at 3");
    wr_body_init(&b, WR_BODY_LENGTH, 0, NULL);
    ok(wr_body_is_done(&b), "length 0 is done at once");
    wr_body_init(&b, WR_BODY_NONE, 0, NULL);
    struct wr_span in = WR_LIT("GET"), data;
    ok(wr_body_next(&b, &in, &data) == WR_BODY_DONE && in.n == 3, "no body eats nothing");
}

static void test_until_close(void)
{
    struct wr_body b;
    struct outcome o;
    wr_body_init(&b, WR_BODY_UNTIL_CLOSE, 0, NULL);
    read_body(&b, WR_LIT("hello"), 2, &o);
    ok(o.last == WR_BODY_MORE && o.n == 5 && wr_body_left(&b) == UINT64_MAX, "all is data");
    is_int(wr_body_eof(&b), WR_BODY_DONE, "the close ends it");
    wr_body_init(&b, WR_BODY_CHUNKED, 0, NULL);
    read_body(&b, WR_LIT("5\r\nhello\r\n"), 3, &o);
    is_int(wr_body_eof(&b), WR_BODY_BAD, "chunks without their last one are truncated");
}

int main(void)
{
    test_refused();
    test_accepted();
    test_trailer_fields();
    test_limits();
    test_length();
    test_until_close();
    return tap_done();
}
