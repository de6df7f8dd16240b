/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/log_text.h"

#include "libweir/io/log.h"
#include "tests/tap.h"

#include <errno.h>
#include <stdlib.h>

static const char *value(struct wr_span in)
{
    static char out[200];
    out[wr_log_value(out, sizeof out - 1, in)] = 0;
    return out;
}

static void test_values(void)
{
    is_str(value(WR_LIT("plain-1.2:3/x")), "plain-1.2:3/x", "plain");
    is_str(value(WR_LIT("")), "\"\"", "empty");
    is_str(value(WR_LIT("two words")), "\"two words\"", "a space");
    is_str(value(WR_LIT("a=b")), "\"a=b\"", "an equals sign");
    is_str(value(WR_LIT("\"\\")), "\"\\x22\\x5c\"", "quote and backslash");
    is_str(value(WR_LIT("a\nb\0\x7f\xc3\xa4")), "\"a\\x0ab\\x00\\x7f\\xc3\\xa4\"", "bytes");
}

static void test_every_byte_and_cut(void)
{
    char in[256], text[1100], back[256];
    bool good = true;
    for (int i = 0; i < 256; i++)
        in[i] = (char)i;
    size_t n = wr_log_value(text, sizeof text, wr_span(in, 256));
    is_int(wr_log_unescape(back, sizeof back, wr_span(text, n)), 256, "all bytes come back");
    ok(memcmp(in, back, 256) == 0, "unchanged");
    for (size_t room = 0; room <= n; room++) {
        char *exact = malloc(room + 1);
        size_t made = wr_log_value(exact, room, wr_span(in, 256));
        int r = made ? wr_log_unescape(back, sizeof back, wr_span(exact, made)) : 0;
        good &= made <= room && r >= 0 && memcmp(back, in, (size_t)r) == 0;
        free(exact);
    }
    ok(good, "cut anywhere it is still a value");
    is_int(wr_log_unescape(back, 256, WR_LIT("a\\x0")), -EPROTO, "half an escape");
    is_int(wr_log_unescape(back, 256, WR_LIT("a\\n")), -EPROTO, "not ours");
    is_int(wr_log_unescape(back, 256, WR_LIT("\n")), -EPROTO, "a bare control");
    is_int(wr_log_unescape(back, 2, WR_LIT("abc")), -EMSGSIZE, "no room");
}

#define FORMATTED(want, ...)                                         \
    do {                                                             \
        char text[200], same[200];                                   \
        text[wr_log_format(text, sizeof text - 1, __VA_ARGS__)] = 0; \
        (void)snprintf(same, sizeof same, __VA_ARGS__);              \
        is_str(text, want, "%s", want);                              \
        is_str(text, same, "as printf: %s", want);                   \
    } while (0)

static void test_format(void)
{
    FORMATTED("x=-5 y=7", "x=%d y=%u", -5, 7u);
    FORMATTED("-9223372036854775808", "%lld", (long long)INT64_MIN);
    FORMATTED("18446744073709551615 ff", "%zu %x", SIZE_MAX, 255u);
    FORMATTED("00042|   42|42   |", "%05d|%5d|%-5d|", 42, 42, 42);
    FORMATTED("-0042", "%05d", -42);
    FORMATTED("a%b", "a%%b");
    FORMATTED("abc de", "%s %.2s", "abc", "def");
    FORMATTED("xyz", "%.*s", 3, "xyzw");
    FORMATTED("Q", "%c", 'Q');
    const char *none = tap_count < 0 ? "" : NULL; /* hidden from the compiler */
    char text[100];
    text[wr_log_format(text, 99, "k=%s n=%s", "a b", none)] = 0;
    is_str(text, "k=\"a b\" n=-", "strings are values");
    is_int(wr_log_format(text, 3, "%d", 123456), 3, "cut");
}

static void test_lines(void)
{
    char line[300];
    struct wr_log_record r = {
        1700000000123456789ull, 42, 0, WR_LOG_WARN, 0, WR_LIT("net reset peer=x\nforged\xff")};
    line[wr_log_line(line, sizeof line - 1, &r)] = 0;
    is_str(line, "2023-11-14T22:13:20.123456Z warn 42 net reset peer=x\\x0aforged\\xff\n",
           "time, level, pid, text; a forged line is no line");
    r.flags = WR_LOG_RAW;
    r.text = WR_LIT("raw line\n");
    line[wr_log_line(line, sizeof line - 1, &r)] = 0;
    is_str(line, "raw line\n", "raw, one newline");
    r.text = WR_LIT("raw line");
    line[wr_log_line(line, sizeof line - 1, &r)] = 0;
    is_str(line, "raw line\n", "raw, newline added");
    for (size_t n = 1; n < 20; n++)
        if (wr_log_line(line, n, &r) > n || line[wr_log_line(line, n, &r) - 1] != '\n')
            ok(false, "cut to %zu", n);
    r.level = 99;
    r.flags = 0;
    line[wr_log_line(line, sizeof line - 1, &r)] = 0;
    ok(strstr(line, "Z ? 42") != NULL, "an unknown level");
}

static void test_time(void)
{
    static const struct {
        uint64_t s;
        const char *text;
    } t[] = {
        {0,          "1970-01-01T00:00:00.000000Z"},
        {951782400,  "2000-02-29T00:00:00.000000Z"},
        {4102444799, "2099-12-31T23:59:59.000000Z"},
        {1795245971, "2026-11-21T07:26:11.000000Z"},
    };
    for (size_t i = 0; i < WR_ARRAY_LEN(t); i++) {
        char out[WR_LOG_TIME_SIZE + 1] = "";
        wr_log_time(out, t[i].s * 1000000000);
        is_str(out, t[i].text, "%s", t[i].text);
    }
}

int main(void)
{
    test_values();
    test_every_byte_and_cut();
    test_format();
    test_lines();
    test_time();
    return tap_done();
}
