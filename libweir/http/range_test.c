/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/http/range.h"

#include "libweir/base/err.h"
#include "tests/tap.h"

static void ranges(const char *value, uint64_t size, enum wr_ranges want, const char *want_text)
{
    struct wr_range r[WR_RANGE_MAX];
    size_t n = 0, at = 0;
    char text[256] = "";
    enum wr_ranges got = wr_range_parse(wr_span_str(value), size, r, &n);
    for (size_t i = 0; i < n; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%llu+%llu", i ? " " : "",
                               (unsigned long long)r[i].from, (unsigned long long)r[i].n);
    ok(got == want && strcmp(text, want_text) == 0, "%s of %llu: %d %s", value,
       (unsigned long long)size, got, text);
}

static void test_some(void)
{
    ranges("bytes=0-0", 10, WR_RANGES_SOME, "0+1");
    ranges("Bytes=0-", 10, WR_RANGES_SOME, "0+10");
    ranges("bytes=3-5", 10, WR_RANGES_SOME, "3+3");
    ranges("bytes=3-99", 10, WR_RANGES_SOME, "3+7");
    ranges("bytes=9-", 10, WR_RANGES_SOME, "9+1");
    ranges("bytes=-3", 10, WR_RANGES_SOME, "7+3");
    ranges("bytes=-99", 10, WR_RANGES_SOME, "0+10");
    ranges("bytes=0-99999999999999999999999", 10, WR_RANGES_SOME, "0+10");
    ranges("bytes=5-6 , 0-1", 10, WR_RANGES_SOME, "5+2 0+2");
    ranges("bytes=0-1,20-30,,4-5", 10, WR_RANGES_SOME, "0+2 4+2");
    ranges("bytes=0-3,2-4", 10, WR_RANGES_SOME, "0+4 2+3");
    ranges("bytes=0-0,1-1,2-2,3-3,4-4,5-5,6-6,7-7,8-8,9-9,10-10,11-11,12-12,13-13,14-14,15-15",
           16, WR_RANGES_SOME,
           "0+1 1+1 2+1 3+1 4+1 5+1 6+1 7+1 8+1 9+1 10+1 11+1 12+1 13+1 14+1 15+1");
}

static void test_bad(void)
{
    ranges("bytes=10-", 10, WR_RANGES_BAD, "");
    ranges("bytes=10-12,99-", 10, WR_RANGES_BAD, "");
    ranges("bytes=-0", 10, WR_RANGES_BAD, "");
    ranges("bytes=0-", 0, WR_RANGES_BAD, "");
    ranges("bytes=99999999999999999999999-", 10, WR_RANGES_BAD, "");
}

static void test_whole(void)
{
    static const char *const whole[] = {
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes= ",
        "items=0-1",
        "bytes:0-1",
        "bytes =0-1",
        "bytes=5-3",
        "bytes=a-b",
        "bytes=0",
        "bytes=-",
        "bytes=--1",
        "bytes=0--1",
        "bytes=0-1-2",
        "bytes=0x1-2",
        "bytes=+0-1",
        "bytes=0 - 1",
        "bytes=0-1;2-3",
        "bytes=0-1,x",
        "bytes=0-1 2-3",
        "bytes=0-4,0-4,0-4",
        "bytes=0-9,0-9",
        "bytes=0-,0-",
        "bytes=-9,-9",
        "bytes=0-0,0-0,0-0",
        "bytes=0-0,1-1,2-2,3-3,4-4,5-5,6-6,7-7,8-8,9-9,0-0,1-1,2-2,3-3,4-4,5-5,6-6"};
    for (size_t i = 0; i < WR_ARRAY_LEN(whole); i++)
        ranges(whole[i], 10, WR_RANGES_WHOLE, "");
}

static void test_if_range(void)
{
    struct wr_span tag = WR_LIT("\"a\"");
    ok(wr_if_range_holds(tag, tag, 0), "the same tag");
    ok(!wr_if_range_holds(WR_LIT("\"b\""), tag, 0), "another");
    ok(!wr_if_range_holds(WR_LIT("W/\"a\""), WR_LIT("W/\"a\""), 0), "a weak one never");
    ok(wr_if_range_holds(WR_LIT("Sun, 06 Nov 1994 08:49:37 GMT"), tag, 784111777),
       "the same date");
    ok(!wr_if_range_holds(WR_LIT("Sun, 06 Nov 1994 08:49:37 GMT"), tag, 784111776), "older");
    ok(!wr_if_range_holds(WR_LIT("x"), tag, 0), "neither");
}

static void test_content_range(void)
{
    static const char *const good[] = {"bytes 0-0/1", "bytes 3-5/10", "bytes */10",
                                       "bytes 3-5/*",
                                       "bytes 0-9223372036854775806/9223372036854775807"};
    static const char *const bad[] = {"",
                                      "bytes",
                                      "bytes ",
                                      "bytes 0-1",
                                      "bytes 1-0/2",
                                      "bytes 0-2/2",
                                      "bytes */*",
                                      "bytes=0-1/2",
                                      "items 0-1/2",
                                      "bytes 0-1/x",
                                      "bytes -1/2",
                                      "bytes 0-/2",
                                      "bytes 0-1/2/3",
                                      "bytes 0-99999999999999999999/*",
                                      "bytes  0-1/2"};
    struct wr_content_range r;
    char text[WR_CONTENT_RANGE_MAX];
    for (size_t i = 0; i < WR_ARRAY_LEN(good); i++)
        ok(wr_content_range_parse(wr_span_str(good[i]), &r) == 0 &&
               wr_span_eq(wr_content_range_format(&r, text), wr_span_str(good[i])),
           "there and back: %s", good[i]);
    for (size_t i = 0; i < WR_ARRAY_LEN(bad); i++)
        is_int(wr_content_range_parse(wr_span_str(bad[i]), &r), WR_E_SYNTAX, "refused: %s",
               bad[i]);
    r = (struct wr_content_range){INT64_MAX, INT64_MAX, UINT64_MAX - 1};
    ok(wr_content_range_format(&r, text).n <= sizeof text, "the longest fits");
}

int main(void)
{
    test_some();
    test_bad();
    test_whole();
    test_if_range();
    test_content_range();
    return tap_done();
}
