/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/http/parse.h"

#include "tests/tap.h"

#include <stdlib.h>

#define CAP 128
#define H   "Host: a\r\n"

typedef enum wr_parsed parse_fn(struct wr_parse *p, struct wr_span bytes);

struct outcome {
    enum wr_parsed result;
    struct wr_refusal refusal;
    struct wr_head head;
    struct wr_field fields[CAP];
};

/* How a case is told to the parser. */
struct asking {
    bool is_response;
    enum wr_method method;
    const struct wr_http_limits *limits;
};

static void begin(struct wr_parse *p, struct outcome *o, const struct asking *how)
{
    wr_head_init(&o->head, o->fields, CAP);
    if (how->is_response)
        wr_parse_init_response(p, &o->head, how->method, how->limits);
    else
        wr_parse_init_request(p, &o->head, how->limits);
}

static void finish(const struct wr_parse *p, struct outcome *o)
{
    o->refusal = p->refusal;
}

static void parse_whole(struct wr_span text, const struct asking *how, parse_fn *fn,
                        struct outcome *o)
{
    struct wr_parse p;
    begin(&p, o, how);
    o->result = fn(&p, text);
    finish(&p, o);
}

/* A byte more at each call, each time in other memory of exactly that size. */
static void parse_bytewise(struct wr_span text, const struct asking *how, parse_fn *fn,
                           struct outcome *o)
{
    struct wr_parse p;
    char *old = NULL;
    begin(&p, o, how);
    o->result = WR_PARSED_MORE;
    for (size_t n = 1; n <= text.n && o->result == WR_PARSED_MORE; n++) {
        char *copy = malloc(n);
        if (!copy)
            abort();
        memcpy(copy, text.p, n);
        o->result = fn(&p, wr_span(copy, n));
        if (o->result == WR_PARSED_DONE)
            wr_head_rebase(&o->head, copy, n, text.p);
        free(old);
        old = copy;
    }
    free(old);
    finish(&p, o);
}

static bool same_span(struct wr_span a, struct wr_span b)
{
    return a.n == b.n && (a.n == 0 || a.p == b.p);
}

static bool same(const struct outcome *a, const struct outcome *b)
{
    if (a->result != b->result || a->refusal.reason != b->refusal.reason ||
        a->refusal.at != b->refusal.at)
        return false;
    if (a->result != WR_PARSED_DONE)
        return true;
    const struct wr_head *x = &a->head, *y = &b->head;
    bool good = x->size == y->size && x->nfields == y->nfields && x->body == y->body &&
                x->content_length == y->content_length && x->keep_alive == y->keep_alive &&
                x->status == y->status && x->method == y->method && x->form == y->form &&
                x->minor == y->minor && x->expect_continue == y->expect_continue &&
                same_span(x->target, y->target) && same_span(x->method_text, y->method_text) &&
                same_span(x->authority, y->authority) &&
                same_span(x->reason_text, y->reason_text);
    for (uint32_t i = 0; good && i < x->nfields; i++)
        good = same_span(x->fields[i].name, y->fields[i].name) &&
               same_span(x->fields[i].value, y->fields[i].value) &&
               x->fields[i].id == y->fields[i].id;
    return good && wr_head_validate(x) && wr_head_validate(y);
}

/* All ways to read it agree; *o is the whole one. */
static bool parse_all_ways(struct wr_span text, const struct asking *how, struct outcome *o)
{
    static struct outcome other;
    bool good = true;
    parse_whole(text, how, wr_parse_head, o);
    parse_whole(text, how, wr_parse_head_scalar, &other);
    good &= same(o, &other);
    parse_bytewise(text, how, wr_parse_head, &other);
    good &= same(o, &other);
    parse_bytewise(text, how, wr_parse_head_scalar, &other);
    return good && same(o, &other);
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

struct refuse_case {
    const char *text;
    size_t n;
    enum wr_reason reason;
    int at; /* -1: not checked */
};
#define R(text, reason, at)                         \
    {                                               \
        text, sizeof(text) - 1, WR_BAD_##reason, at \
    }

static const struct refuse_case bad_requests[] = {
/* clang-format off */
#include "libweir/http/parse_refused.inc"
    /* clang-format on */
};

static const struct refuse_case bad_responses[] = {
/* clang-format off */
#define S "HTTP/1.1 200 OK\r\n"
    R("http/1.1 200 OK\r\n\r\n", VERSION_BAD, 0),
    R("\r\nHTTP/1.1 200 OK\r\n\r\n", VERSION_BAD, 0),
    R("HTTP/1.1  200 OK\r\n\r\n", STATUS_BAD, 9),
    R("HTTP/1.1\t200 OK\r\n\r\n", VERSION_BAD, 8),
    R("HTTP/1.1\r\n\r\n", VERSION_BAD, 8),
    R("HTTP/1.1\n", BARE_LF, 8),
    R("HTTP/2.0 200 OK\r\n\r\n", VERSION_UNSUPPORTED, 0),
    R("HTTP/1.2 200 OK\r\n\r\n", VERSION_UNSUPPORTED, 0),
    R("ICY 200 OK\r\n\r\n", VERSION_BAD, 0),
    R("HTTP/1.1 20 OK\r\n\r\n", STATUS_BAD, 11),
    R("HTTP/1.1 2000 OK\r\n\r\n", STATUS_BAD, 12),
    R("HTTP/1.1 099 OK\r\n\r\n", STATUS_BAD, 9),
    R("HTTP/1.1 600 OK\r\n\r\n", STATUS_BAD, 9),
    R("HTTP/1.1 -12 OK\r\n\r\n", STATUS_BAD, 9),
    R("HTTP/1.1 +20 OK\r\n\r\n", STATUS_BAD, 9),
    R("HTTP/1.1 2x0 OK\r\n\r\n", STATUS_BAD, 10),
    R("HTTP/1.1 200\tOK\r\n\r\n", STATUS_BAD, 12),
    R("HTTP/1.1 200\n\r\n", BARE_LF, 12),
    R("HTTP/1.1 200 OK\n\r\n", BARE_LF, 15),
    R("HTTP/1.1 200 OK\rX\r\n", BARE_CR, 15),
    R("HTTP/1.1 200 O\0K\r\n\r\n", STATUS_TEXT, 14),
    R("HTTP/1.1 200 O\x1bK\r\n\r\n", STATUS_TEXT, 14),
    R(S "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", LENGTH_TWICE, 36),
    R(S "Content-Length: 1, 1\r\n\r\n", LENGTH_BAD, 33),
    R(S "Content-Length: +1\r\n\r\n", LENGTH_BAD, 33),
    R(S "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", LENGTH_AND_CODING, 33),
    R(S "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", LENGTH_AND_CODING, 61),
    R(S "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", CODING_TWICE, 45),
    R(S "Transfer-Encoding: identity\r\n\r\n", CODING_BAD, 36),
    R(S "Transfer-Encoding: gzip, chunked\r\n\r\n", CODING_UNSUPPORTED, 36),
    R("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", CODING_VERSION, 36),
    R("HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n", BODY_FORBIDDEN, 36),
    R("HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", BODY_FORBIDDEN, 33),
    R("HTTP/1.1 100 Go\r\nContent-Length: 5\r\n\r\n", BODY_FORBIDDEN, 33),
    R("HTTP/1.1 103 Go\r\nTransfer-Encoding: chunked\r\n\r\n", BODY_FORBIDDEN, 36),
    R(S "A : b\r\n\r\n", SPACE_BEFORE_COLON, 18),
    R(S " A: b\r\n\r\n", OBS_FOLD, 17),
    R(S "A: b\r\n c\r\n\r\n", OBS_FOLD, 23),
    R(S "A: b\n\r\n", BARE_LF, 21),
    R(S "A: b\rc\r\n\r\n", BARE_CR, 21),
    R(S "A: b\0c\r\n\r\n", VALUE_NUL, 21),
    R(S "A\r\n\r\n", NO_COLON, 18),
    R(S ": b\r\n\r\n", NAME_EMPTY, 17),
    R(S "A\xc3: b\r\n\r\n", NAME_BYTE, 18),
    R(S "Content_Length: 1\r\n\r\n", NAME_LOOKALIKE, 17),
    R(S "\rX", BARE_CR, 17),
    R(S "\n", BARE_LF, 17),
    R(S "Connection: a b\r\n\r\n", CONNECTION_BAD, 29),
#undef S
    /* clang-format on */
};

static void check_refused(const struct refuse_case *cases, size_t n, const struct asking *how)
{
    static struct outcome o;
    for (size_t i = 0; i < n; i++) {
        const struct refuse_case *rc = &cases[i];
        char text[200];
        printable(wr_span(rc->text, rc->n), text, sizeof text);
        bool agree = parse_all_ways(wr_span(rc->text, rc->n), how, &o);
        bool good = o.result == WR_PARSED_BAD && o.refusal.reason == rc->reason &&
                    (rc->at < 0 || o.refusal.at == (uint64_t)rc->at);
        ok(agree && good, "refused %s: %s", wr_reason_name(rc->reason), text);
        if (!good)
            printf("#   got %d %s at %d, want at %d\n", o.result,
                   wr_reason_name(o.refusal.reason), (int)o.refusal.at, rc->at);
    }
}

static struct outcome *accepted(const char *text, const struct asking *how)
{
    static struct outcome o;
    char shown[200];
    printable(wr_span_str(text), shown, sizeof shown);
    bool agree = parse_all_ways(wr_span_str(text), how, &o);
    ok(agree && o.result == WR_PARSED_DONE, "accepted %s", shown);
    if (o.result != WR_PARSED_DONE)
        printf("#   %s at %d\n", wr_reason_name(o.refusal.reason), (int)o.refusal.at);
    return &o;
}

static const struct wr_head *request(const char *text)
{
    static const struct asking how = {0};
    return &accepted(text, &how)->head;
}

static const struct wr_head *response(const char *text, enum wr_method asked)
{
    struct asking how = {.is_response = true, .method = asked};
    return &accepted(text, &how)->head;
}

static void is_span(struct wr_span got, const char *want, const char *name)
{
    ok(wr_span_eq(got, wr_span_str(want)), "%s is \"%s\"", name, want);
}

static void test_request_parts(void)
{
    const struct wr_head *h =
        request("GET /a?b HTTP/1.1\r\nHost: ex.org:80\r\nX-A:  v w \t\r\nx-a:\r\n"
                "Content-Length: 12\r\n\r\nrest");
    is_span(h->method_text, "GET", "method");
    is_span(h->target, "/a?b", "target");
    is_span(h->authority, "ex.org:80", "authority");
    is_int(h->method, WR_METHOD_GET, "method id");
    is_int(h->form, WR_TARGET_ORIGIN, "form");
    is_int(h->minor, 1, "version");
    is_int(h->nfields, 4, "fields");
    is_span(h->fields[1].value, "v w", "a value without its blanks");
    is_span(h->fields[2].value, "", "an empty value");
    is_int(h->body, WR_BODY_LENGTH, "framing");
    is_int(h->content_length, 12, "length");
    is_int(h->size,
           strlen("GET /a?b HTTP/1.1\r\nHost: ex.org:80\r\nX-A:  v w \t\r\nx-a:\r\n"
                  "Content-Length: 12\r\n\r\n"),
           "the head ends at the blank line");
    ok(h->keep_alive, "kept alive by version");
    uint32_t at = 0;
    ok(wr_head_find(h, WR_LIT("X-a"), &at) == &h->fields[1], "find by name");
    ok(wr_head_find(h, WR_LIT("X-a"), &at) == &h->fields[2], "find the next");
    ok(!wr_head_find(h, WR_LIT("X-a"), &at), "and no more");
    is_span(wr_head_get(h, WR_H_HOST), "ex.org:80", "get by id");
    ok(!wr_head_get(h, WR_H_COOKIE).p, "get nothing");
}

static void test_request_forms(void)
{
    is_int(request("\r\nGET / HTTP/1.1\r\n" H "\r\n")->size, 29, "one empty line before");
    is_int(request("GET / HTTP/1.0\r\n\r\n")->keep_alive, false, "1.0 closes");
    is_int(request("GET / HTTP/1.0\r\nConnection: x, Keep-Alive\r\n\r\n")->keep_alive, true,
           "1.0 may ask");
    is_int(request("GET / HTTP/1.1\r\n" H "Connection: close\r\n\r\n")->keep_alive, false,
           "close");
    is_int(
        request("GET / HTTP/1.1\r\n" H "Connection: keep-alive\r\nConnection: x, Close\r\n\r\n")
            ->keep_alive,
        false, "close wins, in any field");
    is_int(request("OPTIONS * HTTP/1.1\r\n" H "\r\n")->form, WR_TARGET_ASTERISK, "asterisk");
    const struct wr_head *h = request("CONNECT a.b:443 HTTP/1.1\r\nHost: a.b:443\r\n\r\n");
    is_int(h->form, WR_TARGET_AUTHORITY, "authority form");
    is_span(h->authority, "a.b:443", "authority");
    h = request("GET http://A.b/x HTTP/1.1\r\nHost: a.B:80\r\n\r\n");
    is_int(h->form, WR_TARGET_ABSOLUTE, "absolute form, Host differs in spelling only");
    is_span(h->authority, "A.b", "the target's authority counts");
    request("GET https://a:443 HTTP/1.1\r\n" H "\r\n");
    request("GET https://a?x HTTP/1.1\r\nHost: a:443\r\n\r\n");
    h = request("PURGE /x HTTP/1.1\r\n" H "\r\n");
    is_int(h->method, WR_METHOD_OTHER, "unknown methods pass");
    request("GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n");
    request("GET /%zz|{}\\^\"<>` HTTP/1.1\r\n" H "\r\n");
    request("GET / HTTP/1.1\r\n" H "!#$%&'*+-.^_`|~09az: \x80\xff\tx\r\n\r\n");
}

static void test_request_framing(void)
{
    const struct wr_head *h =
        request("POST / HTTP/1.1\r\n" H "Transfer-Encoding: Chunked\r\n\r\n");
    is_int(h->body, WR_BODY_CHUNKED, "chunked");
    h = request("POST / HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n");
    ok(h->body == WR_BODY_NONE && h->has_content_length, "length 0 is no body");
    h = request("POST / HTTP/1.1\r\n" H "Content-Length: 9223372036854775807\r\n\r\n");
    ok(h->content_length == INT64_MAX, "the largest length");
    is_int(request("POST / HTTP/1.1\r\n" H "\r\n")->body, WR_BODY_NONE, "no framing, no body");
    h = request("PUT / HTTP/1.1\r\n" H "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n");
    ok(h->expect_continue, "expectation");
    h = request("PUT / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n");
    ok(!h->expect_continue, "1.0 cannot expect");
}

static void test_responses(void)
{
    const struct wr_head *h =
        response("HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nabc", WR_METHOD_GET);
    is_int(h->status, 404, "status");
    is_span(h->reason_text, "Not Found", "phrase");
    is_int(h->body, WR_BODY_LENGTH, "length");
    ok(h->keep_alive, "keep-alive");
    h = response("HTTP/1.1 200\r\n\r\n", WR_METHOD_GET);
    is_int(h->body, WR_BODY_UNTIL_CLOSE, "until close");
    ok(!h->keep_alive, "which ends the connection");
    is_int(response("HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n", WR_METHOD_GET)->body,
           WR_BODY_CHUNKED, "chunked");
    is_int(
        response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", WR_METHOD_HEAD)->body,
        WR_BODY_NONE, "HEAD: none");
    h = response("HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", WR_METHOD_GET);
    ok(h->body == WR_BODY_NONE && h->content_length == 3, "304: none, length told");
    is_int(response("HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n", WR_METHOD_GET)->body,
           WR_BODY_NONE, "204: none");
    is_int(response("HTTP/1.1 100 Continue\r\n\r\n", WR_METHOD_PUT)->body, WR_BODY_NONE,
           "1xx: none");
    is_int(response("HTTP/1.1 101 Up\r\nUpgrade: x\r\n\r\n", WR_METHOD_GET)->body,
           WR_BODY_TUNNEL, "101: tunnel");
    is_int(response("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", WR_METHOD_CONNECT)->body,
           WR_BODY_TUNNEL, "2xx to CONNECT: tunnel");
    is_int(response("HTTP/1.0 200 OK\r\nContent-Length: 0\r\nDate: a\r\nDate: b\r\n\r\n",
                    WR_METHOD_GET)
               ->nfields,
           3, "harmless repetition in a response");
}

/* ---- limits ---- */

static void check_limit(const char *text, struct wr_http_limits limits, enum wr_reason reason,
                        int at)
{
    struct refuse_case rc = {text, strlen(text), reason, at};
    struct asking how = {.limits = &limits};
    check_refused(&rc, 1, &how);
}

static void test_limits(void)
{
    const struct wr_http_limits all = WR_HTTP_LIMITS_DEFAULT;
    struct wr_http_limits l = all;
    l.max_line = 16;
    check_limit("GET /1234 HTTP/1.1\r\n" H "\r\n", l, WR_BAD_LINE_LONG, 16);
    check_limit("GET /12345678901234567890", l, WR_BAD_LINE_LONG, 16);
    check_limit("GET /12 HTTP/1.1\r\n", l, WR_BAD_LINE_LONG, 16);
    check_limit("GET /1\001", l, WR_BAD_TARGET_BYTE, 6);
    struct asking how = {.limits = &l};
    accepted("GET / HTTP/1.1\r\n" H "\r\n", &how);
    accepted("\r\nGET / HTTP/1.1\r\n" H "\r\n", &how);
    l = all;
    l.max_field = 12;
    check_limit("GET / HTTP/1.1\r\n" H "A: 1234567890\r\n\r\n", l, WR_BAD_FIELD_LONG, 37);
    check_limit("GET / HTTP/1.1\r\nabcdefghijklmnop", l, WR_BAD_FIELD_LONG, 28);
    check_limit("GET / HTTP/1.1\r\nA:             ", l, WR_BAD_FIELD_LONG, 28);
    how.limits = &l;
    accepted("GET / HTTP/1.1\r\n" H "A: 1234567\r\n\r\n", &how);
    l = all;
    l.max_head = 27;
    how.limits = &l;
    accepted("GET / HTTP/1.1\r\n" H "\r\n", &how);
    l.max_head = 26;
    check_limit("GET / HTTP/1.1\r\n" H "\r\n", l, WR_BAD_HEAD_LONG, 26);
    l.max_head = 25;
    check_limit("GET / HTTP/1.1\r\n" H "\r\n", l, WR_BAD_HEAD_LONG, 25);
    l.max_head = 5;
    check_limit("GET / HTTP/1.1\r\n", l, WR_BAD_HEAD_LONG, 5);
    l = all;
    l.max_fields = 2;
    check_limit("GET / HTTP/1.1\r\n" H "A: b\r\nC: d\r\n\r\n", l, WR_BAD_FIELDS_MANY, 31);
    how.limits = &l;
    accepted("GET / HTTP/1.1\r\n" H "A: b\r\n\r\n", &how);
    l = all;
    l.allow_high_target = true;
    how.limits = &l;
    accepted("GET /\xc3\xa9 HTTP/1.1\r\n" H "\r\n", &how);
    check_limit("GET /\xc3\xa9#x HTTP/1.1\r\n", l, WR_BAD_TARGET_BYTE, 7);
}

/* A field that never ends costs its limit, not more, and is cut there. */
static void test_endless(void)
{
    static char big[64 * 1024];
    static struct outcome o;
    static const struct asking how = {0};
    size_t n = (size_t)snprintf(big, sizeof big, "GET / HTTP/1.1\r\nX: ");
    memset(big + n, 'x', sizeof big - n);
    parse_whole(wr_span(big, sizeof big), &how, wr_parse_head, &o);
    ok(o.refusal.reason == WR_BAD_FIELD_LONG && o.refusal.at == 16 + 16384, "endless field");
    memset(big, 'x', sizeof big);
    memcpy(big, "GET /", 5);
    parse_whole(wr_span(big, sizeof big), &how, wr_parse_head, &o);
    ok(o.refusal.reason == WR_BAD_LINE_LONG && o.refusal.at == 8192, "endless target");
}

static const char *const usual[] = {
    "GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nAbc-Def: xyz w\r\n\r\n",
    "HEAD / HTTP/1.0\r\nConnection: close\r\nHost: 127.0.0.1\r\n\r\n",
    "PUT /x?y HTTP/1.1\r\nhost: www.example.org:80\r\nTransfer-Encoding: chunked\r\n\r\nGET",
    "GET / HTTP/1.1\r\nHost: b.c\r\nExpect: 100-continue\r\nX-Long-Name-Of-A-Field: v\r\n\r\n",
};

/* Every byte value in every place of a head: the same verdict in every way of reading. */
static void test_every_byte(const char *text)
{
    static const struct asking how = {0};
    static struct outcome o;
    size_t n = strlen(text);
    unsigned wrong = 0, done = 0;
    for (size_t at = 0; at < n; at++)
        for (int c = 0; c < 256; c++) {
            char changed[128];
            memcpy(changed, text, n);
            changed[at] = (char)c;
            wrong += !parse_all_ways(wr_span(changed, n), &how, &o);
            done += o.result == WR_PARSED_DONE;
            bool control = c < 0x20 && c != '\t' && c != text[at] && at < o.head.size;
            wrong += control && o.result == WR_PARSED_DONE;
        }
    is_int(wrong, 0, "no byte is read in two ways, no control byte passes");
    ok(done > 1000, "and many pass (%u)", done);
}

/* The same with pieces of it gone or doubled, and with each limit of a line and of the head. */
static void test_every_piece(const char *text)
{
    static const struct asking plain = {0};
    static struct outcome o;
    size_t n = strlen(text);
    unsigned wrong = 0;
    for (size_t from = 0; from < n; from++)
        for (size_t to = from; to <= n; to++) {
            char changed[256];
            memcpy(changed, text, from);
            memcpy(changed + from, text + to, n - to);
            wrong += !parse_all_ways(wr_span(changed, n - (to - from)), &plain, &o);
            memcpy(changed, text, to);
            memcpy(changed + to, text + from, n - from);
            wrong += !parse_all_ways(wr_span(changed, n + (to - from)), &plain, &o);
        }
    for (uint32_t max = 1; max <= n; max++) {
        struct wr_http_limits few = WR_HTTP_LIMITS_DEFAULT, line = few, head = few;
        few.max_fields = max;
        line.max_line = line.max_field = max;
        head.max_head = max;
        const struct wr_http_limits *all[] = {&few, &line, &head};
        for (int i = 0; i < 3; i++)
            wrong += !parse_all_ways(wr_span(text, n), &(struct asking){.limits = all[i]}, &o);
    }
    is_int(wrong, 0, "no piece of it is read in two ways");
}

static void test_idle(void)
{
    struct wr_head head;
    struct wr_field fields[4];
    struct wr_parse p;
    wr_head_init(&head, fields, 4);
    wr_parse_init_request(&p, &head, NULL);
    ok(wr_parse_is_idle(&p), "idle before the first byte");
    ok(wr_parse_head(&p, WR_LIT("\r\n")) == WR_PARSED_MORE && wr_parse_is_idle(&p),
       "an empty line is no request");
    ok(wr_parse_head(&p, WR_LIT("\r\nG")) == WR_PARSED_MORE && !wr_parse_is_idle(&p),
       "one byte of a method is");
    is_int(wr_parse_head(&p, WR_LIT("\r\nG\n")), WR_PARSED_BAD, "refused");
    is_int(wr_parse_head(&p, WR_LIT("\r\nG\nx")), WR_PARSED_BAD, "and stays so");
}

static void test_fields(void)
{
    struct wr_head head;
    struct wr_field fields[2];
    struct wr_refusal refusal;
    wr_head_init(&head, fields, 2);
    is_int(wr_parse_fields(WR_LIT("A: 1\r\nB: 2\r\n"), &head, &refusal), WR_PARSED_DONE,
           "two lines");
    ok(head.nfields == 2 && wr_span_eq(head.fields[1].value, WR_LIT("2")), "are two fields");
    wr_head_init(&head, fields, 2);
    is_int(wr_parse_fields((struct wr_span){0}, &head, &refusal), WR_PARSED_DONE, "no lines");
    is_int(wr_parse_fields(WR_LIT("A: 1\r\nB"), &head, &refusal), WR_PARSED_BAD, "half a line");
    is_int(refusal.reason, WR_BAD_TRUNCATED, "is truncated");
    wr_head_init(&head, fields, 1);
    is_int(wr_parse_fields(WR_LIT("A: 1\r\nB: 2\r\n"), &head, &refusal), WR_PARSED_BAD,
           "no room");
    is_int(refusal.reason, WR_BAD_FIELDS_MANY, "in the table");
}

int main(void)
{
    static const struct asking req = {0}, resp = {.is_response = true, .method = WR_METHOD_GET};
    check_refused(bad_requests, WR_ARRAY_LEN(bad_requests), &req);
    check_refused(bad_responses, WR_ARRAY_LEN(bad_responses), &resp);
    test_request_parts();
    test_request_forms();
    test_request_framing();
    test_responses();
    test_limits();
    test_endless();
    for (size_t i = 0; i < WR_ARRAY_LEN(usual); i++) {
        test_every_byte(usual[i]);
        test_every_piece(usual[i]);
    }
    test_every_piece("CONNECT /a:1 HTTP/1.1\r\nHost: a:1\r\nX-Y: z\r\n\r\n");
    test_idle();
    test_fields();
    return tap_done();
}
