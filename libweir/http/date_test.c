/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/http/date.h"

#include "libweir/base/err.h"
#include "tests/tap.h"

#define NOW INT64_C(1790000000) /* September 2026 */

static void reads(const char *text, int64_t want)
{
    int64_t s = -1;
    int err = wr_date_parse(wr_span_str(text), NOW, &s);
    ok(err == 0 && s == want, "%s is %lld (%lld)", text, (long long)want, (long long)s);
}

static void test_parse(void)
{
    reads("Sun, 06 Nov 1994 08:49:37 GMT", 784111777);
    reads("Sunday, 06-Nov-94 08:49:37 GMT", 784111777);
    reads("Sun Nov  6 08:49:37 1994", 784111777);
    reads("Sun Nov 16 08:49:37 1994", 784975777);
    reads("Thu, 01 Jan 1970 00:00:00 GMT", 0);
    reads("Wed, 31 Dec 1969 23:59:59 GMT", -1);
    reads("Mon, 01 Jan 1601 00:00:00 GMT", INT64_C(-11644473600));
    reads("Fri, 31 Dec 9999 23:59:59 GMT", INT64_C(253402300799));
    reads("Tue, 29 Feb 2000 00:00:00 GMT", 951782400);
    reads("Sat, 31 Dec 2016 23:59:60 GMT", 1483228799);
    reads("Friday, 01-Jan-76 00:00:00 GMT", INT64_C(3345062400));  /* 50 years ahead */
    reads("Saturday, 01-Jan-77 00:00:00 GMT", INT64_C(220924800)); /* 51: the last century */
}

static void test_refused(void)
{
    static const char *const bad[] = {"",
                                      "Sun",
                                      "Sun, 6 Nov 1994 08:49:37 GMT",
                                      "Sun, 06 Nov 1994 08:49:37",
                                      "Sun, 06 Nov 1994 08:49:37 UTC",
                                      "Sun, 06 Nov 1994 08:49:37 GMT ",
                                      " Sun, 06 Nov 1994 08:49:37 GMT",
                                      "sun, 06 Nov 1994 08:49:37 GMT",
                                      "Xxx, 06 Nov 1994 08:49:37 GMT",
                                      "Sun, 06 nov 1994 08:49:37 GMT",
                                      "Sun, 00 Nov 1994 08:49:37 GMT",
                                      "Sun, 31 Nov 1994 08:49:37 GMT",
                                      "Sun, 29 Feb 1900 08:49:37 GMT",
                                      "Sun, 29 Feb 2001 08:49:37 GMT",
                                      "Sun, 06 Nov 1994 24:00:00 GMT",
                                      "Sun, 06 Nov 1994 08:60:00 GMT",
                                      "Sun, 06 Nov 1994 08:49:61 GMT",
                                      "Sun, 06 Nov 1600 08:49:37 GMT",
                                      "Sun, 06 Nov -994 08:49:37 GMT",
                                      "Sun, 06 Nov 1994 08-49-37 GMT",
                                      "Sunday, 06-Nov-1994 08:49:37 GMT",
                                      "Sun, 06-Nov-94 08:49:37 GMT",
                                      "Sunday, 6-Nov-94 08:49:37 GMT",
                                      "Sunday, 06-Nov-94 08:49:37",
                                      "Sun Nov 6 08:49:37 1994",
                                      "Sun Nov    6 08:49:37 1994",
                                      "Sun Nov  6 08:49:37 94",
                                      "Sun Nov  0 08:49:37 1994",
                                      "Sun Nov  6 08:49:37 1994 GMT",
                                      "784111777"};
    for (size_t i = 0; i < WR_ARRAY_LEN(bad); i++) {
        int64_t s = 42;
        int err = wr_date_parse(wr_span_str(bad[i]), NOW, &s);
        ok(err == WR_E_SYNTAX && s == 42, "refused: \"%s\"", bad[i]);
    }
}

/* Each day of the four centuries in which all of the calendar repeats, at a wandering time of day. */
static void test_round_trip(void)
{
    unsigned wrong = 0;
    for (int64_t day = -150000; day < 150000; day++) {
        int64_t s = day * 86400 + (day * 7919) % 43200, back;
        char text[WR_DATE_LEN];
        if (s < INT64_C(-11644473600))
            continue;
        wr_date_format(s, text);
        wrong += wr_date_parse(wr_span(text, sizeof text), NOW, &back) != 0 || back != s;
    }
    is_int(wrong, 0, "format and parse agree on each day");
}

static void test_format(void)
{
    char text[WR_DATE_LEN];
    wr_date_format(784111777, text);
    ok(memcmp(text, "Sun, 06 Nov 1994 08:49:37 GMT", sizeof text) == 0, "format");
    wr_date_format(INT64_MAX, text);
    ok(memcmp(text, "Fri, 31 Dec 9999 23:59:59 GMT", sizeof text) == 0, "clamped above");
    wr_date_format(INT64_MIN, text);
    ok(memcmp(text, "Mon, 01 Jan 1601 00:00:00 GMT", sizeof text) == 0, "clamped below");
    struct wr_date_cache cache = {0};
    ok(wr_span_eq(wr_date_cached(&cache, 0), WR_LIT("Thu, 01 Jan 1970 00:00:00 GMT")),
       "cached");
    cache.text[0] = 'X';
    ok(wr_date_cached(&cache, 0).p[0] == 'X', "the same second is not formed again");
    ok(wr_date_cached(&cache, 1).p[0] == 'T', "the next one is");
}

int main(void)
{
    test_parse();
    test_refused();
    test_round_trip();
    test_format();
    return tap_done();
}
