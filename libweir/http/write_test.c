/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/http/write.h"

#include "libweir/base/err.h"
#include "libweir/http/body.h"
#include "libweir/http/parse.h"
#include "tests/tap.h"

static char mem[1024];

static void test_response(void)
{
    struct wr_writer w;
    struct wr_date_cache cache = {0};
    size_t n = 0;
    wr_writer_init(&w, mem, sizeof mem);
    wr_write_status(&w, 404, WR_LIT(""));
    wr_write_date(&w, &cache, 0);
    wr_write_field(&w, WR_LIT("X-A"), WR_LIT("b\tc"));
    wr_write_header(&w, WR_H_VARY, WR_LIT(""));
    wr_write_framing(&w, WR_BODY_LENGTH, 2);
    is_int(wr_write_end(&w, WR_LIT("no"), &n), 0, "written");
    ok(wr_span_eq(wr_span(mem, n), WR_LIT("HTTP/1.1 404 Not Found\r\n"
                                          "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\nX-A: b\tc\r\n"
                                          "Vary: \r\nContent-Length: 2\r\n\r\nno")),
       "as it should be");
    wr_writer_init(&w, mem, sizeof mem);
    wr_write_status(&w, 299, WR_LIT("Odd"));
    wr_write_framing(&w, WR_BODY_CHUNKED, 0);
    wr_write_framing(&w, WR_BODY_UNTIL_CLOSE, 0);
    is_int(wr_write_end(&w, (struct wr_span){0}, &n), 0, "own phrase");
    ok(wr_span_eq(wr_span(mem, n),
                  WR_LIT("HTTP/1.1 299 Odd\r\nTransfer-Encoding: chunked\r\n\r\n")),
       "and chunked");
}

/* The answer for each way to put byte c somewhere. */
static int try_byte(int where, char c)
{
    struct wr_writer w;
    char text[3] = {'a', c, 'a'};
    struct wr_span s = wr_span(text, 3);
    size_t n;
    wr_writer_init(&w, mem, sizeof mem);
    if (where == 0)
        wr_write_field(&w, WR_LIT("A"), s);
    else if (where == 1)
        wr_write_field(&w, s, WR_LIT("a"));
    else if (where == 2)
        wr_write_status(&w, 200, s);
    else if (where == 3)
        wr_write_request(&w, WR_LIT("GET"), s);
    else if (where == 4)
        wr_write_request(&w, s, WR_LIT("/"));
    else
        wr_write_header(&w, WR_H_LOCATION, s);
    return wr_write_end(&w, (struct wr_span){0}, &n);
}

static void test_every_byte(void)
{
    for (int where = 0; where < 6; where++) {
        unsigned wrong = 0, good = 0;
        for (int c = 0; c < 256; c++) {
            int err = try_byte(where, (char)c);
            bool control = (c < 0x20 && c != '\t') || c == 0x7f;
            wrong += (control && err != WR_E_SYNTAX) || (err != 0 && err != WR_E_SYNTAX);
            good += err == 0;
        }
        ok(wrong == 0 && good > 70, "no control byte gets out of place %d (%u may)", where,
           good);
    }
}

static void test_refused(void)
{
    struct wr_writer w;
    size_t n = 77;
    wr_writer_init(&w, mem, sizeof mem);
    wr_write_field(&w, WR_LIT(""), WR_LIT("a"));
    wr_write_field(&w, WR_LIT("A"), WR_LIT("a"));
    is_int(wr_write_end(&w, WR_LIT(""), &n), WR_E_SYNTAX, "the first error sticks");
    ok(w.at == mem && n == 77, "and nothing is written");
    wr_writer_init(&w, mem, sizeof mem);
    wr_write_status(&w, 99, WR_LIT("x"));
    is_int(wr_write_end(&w, WR_LIT(""), &n), WR_E_SYNTAX, "status 99");
    wr_writer_init(&w, mem, sizeof mem);
    wr_write_request(&w, WR_LIT("GET"), WR_LIT(""));
    is_int(wr_write_end(&w, WR_LIT(""), &n), WR_E_SYNTAX, "empty target");
    wr_writer_init(&w, mem, sizeof mem);
    wr_write_framing(&w, WR_BODY_LENGTH, 1);
    wr_write_field(&w, WR_LIT("transfer-encoding"), WR_LIT("chunked"));
    is_int(wr_write_end(&w, WR_LIT(""), &n), WR_E_SYNTAX, "framed twice");
}

/* Every size of memory: all or WR_E_TOO_BIG, and never a byte more. */
static void test_room(void)
{
    unsigned wrong = 0;
    size_t whole = 0;
    for (size_t cap = 0; cap < 100; cap++) {
        struct wr_writer w;
        size_t n = 0;
        memset(mem, 'Z', sizeof mem);
        wr_writer_init(&w, mem, cap);
        wr_write_status(&w, 200, WR_LIT(""));
        wr_write_field(&w, WR_LIT("A"), WR_LIT("bcd"));
        int err = wr_write_end(&w, WR_LIT("xy"), &n);
        if (err == 0 && whole == 0)
            whole = cap;
        wrong += err != (cap < 29 ? WR_E_TOO_BIG : 0) || mem[cap] != 'Z';
    }
    ok(wrong == 0 && whole == 29, "fits from 29 bytes on (%zu)", whole);
}

#define TEXT "POST /a?b HTTP/1.1\r\nHost: a:8\r\nX-Y: z\r\nContent-Length: 3\r\n\r\n"

static void test_round_trip(void)
{
    struct wr_field fields[8];
    struct wr_head head;
    struct wr_parse p;
    struct wr_writer w;
    size_t n = 0;
    wr_head_init(&head, fields, 8);
    wr_parse_init_request(&p, &head, NULL);
    is_int(wr_parse_head(&p, WR_LIT(TEXT)), WR_PARSED_DONE, "parsed");
    wr_writer_init(&w, mem, sizeof mem);
    wr_write_head(&w, &head);
    is_int(wr_write_end(&w, (struct wr_span){0}, &n), 0, "written");
    ok(wr_span_eq(wr_span(mem, n), WR_LIT(TEXT)), "the same bytes");
}

static void test_chunks(void)
{
    char scratch[WR_CHUNK_HEAD_MAX];
    struct wr_span out[3];
    wr_chunk_spans(WR_LIT("hello"), scratch, out);
    ok(wr_span_eq(out[0], WR_LIT("5\r\n")) && wr_span_eq(out[1], WR_LIT("hello")) &&
           wr_span_eq(out[2], WR_LIT("\r\n")),
       "a chunk");
    unsigned wrong = 0;
    for (unsigned bit = 0; bit < 63; bit++)
        for (int less = 0; less < 2; less++) {
            uint64_t v = (UINT64_C(1) << bit) - (uint64_t)less;
            if (v == 0)
                continue;
            size_t n = wr_chunk_head(scratch, v);
            struct wr_body b;
            struct wr_span in = wr_span(scratch, n), data;
            char want[20];
            wr_body_init(&b, WR_BODY_CHUNKED, 0, NULL);
            wrong += wr_body_next(&b, &in, &data) != WR_BODY_MORE;
            wrong +=
                (size_t)snprintf(want, sizeof want, "%llx\r\n", (unsigned long long)v) != n ||
                memcmp(want, scratch, n) != 0;
        }
    is_int(wrong, 0, "sizes are read back");
}

static void test_ready(void)
{
    struct wr_ready r;
    struct wr_date_cache cache = {0};
    is_int(wr_ready_form(&r, mem, sizeof mem, 200, WR_LIT("text/plain"), WR_LIT("hi\n"), false),
           0, "formed");
    ok(wr_span_eq(wr_ready_bytes(&r, &cache, 784111777),
                  WR_LIT("HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                         "Content-Type: text/plain\r\nContent-Length: 3\r\n\r\nhi\n")),
       "dated");
    ok(wr_span_find(wr_ready_bytes(&r, &cache, 784111778), WR_LIT("08:49:38")) > 0,
       "a second later");
    ok(wr_span_find(wr_ready_bytes(&r, &cache, 0), WR_LIT("Thu, 01 Jan 1970")) > 0,
       "at the epoch");
    is_int(wr_ready_form(&r, mem, 20, 200, WR_LIT(""), WR_LIT(""), true), WR_E_TOO_BIG,
           "no room");
    is_int(wr_ready_form(&r, mem, sizeof mem, 204, WR_LIT(""), WR_LIT("x"), true), WR_E_SYNTAX,
           "204 has no body");
    is_int(wr_ready_form(&r, mem, sizeof mem, 200, WR_LIT("a\r\nb"), WR_LIT("x"), true),
           WR_E_SYNTAX, "no line ends in the type");
}

int main(void)
{
    test_response();
    test_every_byte();
    test_refused();
    test_room();
    test_round_trip();
    test_chunks();
    test_ready();
    return tap_done();
}
