/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/http/uri.h"

#include "libweir/base/err.h"
#include "tests/tap.h"

static void is_span(struct wr_span got, const char *want, const char *name)
{
    ok(wr_span_eq(got, wr_span_str(want)), "%s: \"%.*s\"", name, WR_SPANF(got));
}

static void test_uri(void)
{
    struct wr_uri u;
    is_int(wr_uri_parse(WR_LIT("/a/b?c=d?e"), WR_METHOD_GET, &u), 0, "origin form");
    is_span(u.path, "/a/b", "path");
    is_span(u.query, "c=d?e", "query");
    is_int(wr_uri_parse(WR_LIT("/a"), WR_METHOD_GET, &u), 0, "without query");
    ok(!u.has_query && u.query.n == 0, "has none");
    is_int(wr_uri_parse(WR_LIT("/a?"), WR_METHOD_GET, &u), 0, "with an empty one");
    ok(u.has_query && u.query.n == 0, "has it");
    is_int(wr_uri_parse(WR_LIT("HTTP://Ex.org:81/a?b"), WR_METHOD_GET, &u), 0, "absolute form");
    is_span(u.scheme, "HTTP", "scheme");
    is_span(u.authority, "Ex.org:81", "authority");
    is_span(u.host.name, "Ex.org", "host");
    is_int(u.host.port, 81, "port");
    is_int(wr_uri_parse(WR_LIT("https://a?b"), WR_METHOD_GET, &u), 0,
           "absolute without a path");
    is_span(u.path, "/", "path is the root");
    is_int(wr_uri_parse(WR_LIT("[::1]:443"), WR_METHOD_CONNECT, &u), 0, "authority form");
    ok(u.host.is_ip6 && u.host.port == 443, "IPv6");
    is_span(u.host.name, "::1", "without brackets");
    is_int(wr_uri_parse(WR_LIT("*"), WR_METHOD_OPTIONS, &u), 0, "asterisk");
    is_int(wr_uri_parse(WR_LIT("*"), WR_METHOD_GET, &u), WR_BAD_TARGET_FORM, "of OPTIONS only");
    is_int(wr_uri_parse(WR_LIT(""), WR_METHOD_GET, &u), WR_BAD_TARGET_EMPTY, "nothing");
    is_int(wr_uri_parse(WR_LIT("/a b"), WR_METHOD_GET, &u), WR_BAD_TARGET_BYTE, "a blank");
}

static void test_hosts(void)
{
    static const char *const good[] = {"a",
                                       "a.b",
                                       "a.b.",
                                       "127.0.0.1",
                                       "a-b_c~d",
                                       "a:1",
                                       "a:65535",
                                       "[::]",
                                       "[::1]:80",
                                       "[1::]",
                                       "[1:2:3:4:5:6:7:8]",
                                       "[::ffff:1.2.3.4]",
                                       "[1:2:3:4:5:6:1.2.3.4]",
                                       "[fe80::1:2]",
                                       "[1:2:3:4:5:6:7::]",
                                       "[::2:3:4:5:6:7:8]"};
    static const char *const bad[] = {"",
                                      ".",
                                      ".a",
                                      "a..b",
                                      "a:",
                                      "a:0",
                                      "a:65536",
                                      "a:1x",
                                      "a b",
                                      "a/b",
                                      "a@b",
                                      "a,b",
                                      "a%41",
                                      "a\\b",
                                      "[",
                                      "[]",
                                      "[:]",
                                      "[:::]",
                                      "[1]",
                                      "[1:2]",
                                      "[::1",
                                      "[::1]]",
                                      "[::1]a",
                                      "[::g]",
                                      "[12345::]",
                                      "[1:2:3:4:5:6:7:8:9]",
                                      "[1::2::3]",
                                      "[::1.2.3]",
                                      "[::1.2.3.256]",
                                      "[::1.2.3.4.5]",
                                      "[::01.2.3.4]",
                                      "[1:2:3:4:5:6:7:8::]",
                                      "[:1:2:3:4:5:6:7]",
                                      "[1:2:3:4:5:6:7:]",
                                      "[::1%1]",
                                      "[v1.a]",
                                      "[1:2:3:4:5:6:7:1.2.3.4]",
                                      "::1",
                                      "*",
                                      "a*b"};
    struct wr_host h;
    for (size_t i = 0; i < WR_ARRAY_LEN(good); i++)
        is_int(wr_host_parse(wr_span_str(good[i]), &h), 0, "host %s", good[i]);
    for (size_t i = 0; i < WR_ARRAY_LEN(bad); i++)
        is_int(wr_host_parse(wr_span_str(bad[i]), &h), WR_E_SYNTAX, "no host: %s", bad[i]);
    char longest[257];
    memset(longest, 'a', sizeof longest);
    is_int(wr_host_parse(wr_span(longest, 255), &h), 0, "255 bytes");
    is_int(wr_host_parse(wr_span(longest, 256), &h), WR_E_SYNTAX, "256 bytes");
}

static void test_host_eq(void)
{
    struct wr_host a = {0}, b = {0};
    ok(wr_host_parse(WR_LIT("A.b"), &a) == 0 && wr_host_parse(WR_LIT("a.B:80"), &b) == 0 &&
           wr_host_eq(a, b, 80),
       "default port and case do not matter");
    ok(!wr_host_eq(a, b, 443), "another default port does");
}

static void path(const char *raw, unsigned flags, const char *want)
{
    char mem[128];
    struct wr_span out = {0};
    int err = wr_path_normalise(wr_span_str(raw), flags, mem, &out);
    ok(err == 0 && wr_span_eq(out, wr_span_str(want)), "%s is as wanted (%d)", raw, err);
}

static void no_path(const char *raw, unsigned flags, int want)
{
    char mem[128];
    struct wr_span out = {0};
    is_int(wr_path_normalise(wr_span_str(raw), flags, mem, &out), want, "refused: %s", raw);
}

static void test_paths(void)
{
    path("/", 0, "/");
    path("/a/b.c", 0, "/a/b.c");
    path("/a%20b", 0, "/a b");
    path("/%41%7a", 0, "/Az");
    path("/%252e%252e/", 0, "/%2e%2e/");
    path("/a//b", 0, "/a//b");
    path("/a//b///", WR_PATH_MERGE_SLASHES, "/a/b/");
    path("//", WR_PATH_MERGE_SLASHES, "/");
    path("/./a/./", 0, "/a/");
    path("/a/.", 0, "/a/");
    path("/a/..", 0, "/");
    path("/a/b/../c", 0, "/a/c");
    path("/a/b/../../c/", 0, "/c/");
    path("/a//../b", 0, "/a/b");
    path("/a//../b", WR_PATH_MERGE_SLASHES, "/b");
    path("/a/%2e%2E/b", 0, "/b");
    path("/a%2f..%2fb", 0, "/b");
    path("/...", 0, "/...");
    path("/.a/..b/c../d.", 0, "/.a/..b/c../d.");
    path("/..;/a", 0, "/..;/a");
    path("/a%5c..%5cb", 0, "/a\\..\\b");
    path("/\xc0\xae\xc0\xae/", 0, "/\xc0\xae\xc0\xae/");
    path("/a%0ab", 0, "/a\nb");
    no_path("", 0, WR_E_SYNTAX);
    no_path("a", 0, WR_E_SYNTAX);
    no_path("*", 0, WR_E_SYNTAX);
    no_path("%2fa", 0, WR_E_SYNTAX);
    no_path("/%", 0, WR_E_SYNTAX);
    no_path("/%4", 0, WR_E_SYNTAX);
    no_path("/%4g", 0, WR_E_SYNTAX);
    no_path("/%g4", 0, WR_E_SYNTAX);
    no_path("/%%41", 0, WR_E_SYNTAX);
    no_path("/%u0041", 0, WR_E_SYNTAX);
    no_path("/%00", 0, WR_E_SYNTAX);
    no_path("/a%00.html", 0, WR_E_SYNTAX);
    no_path("/a%0ab", WR_PATH_REFUSE_CONTROLS, WR_E_SYNTAX);
    no_path("/a%7f", WR_PATH_REFUSE_CONTROLS, WR_E_SYNTAX);
    no_path("/..", 0, WR_E_RANGE);
    no_path("/../", 0, WR_E_RANGE);
    no_path("/../etc/passwd", 0, WR_E_RANGE);
    no_path("/a/../../b", 0, WR_E_RANGE);
    no_path("/%2e%2e/b", 0, WR_E_RANGE);
    no_path("/.%2e/b", 0, WR_E_RANGE);
    no_path("/%2e./b", 0, WR_E_RANGE);
    no_path("/a/%2e%2e/%2e%2e/b", 0, WR_E_RANGE);
    no_path("/..%2fb", 0, WR_E_RANGE);
    no_path("/./../b", 0, WR_E_RANGE);
    struct wr_span raw = WR_LIT("/plain/path"), out;
    char mem[16];
    ok(wr_path_normalise(raw, WR_PATH_MERGE_SLASHES, mem, &out) == 0 && out.p == raw.p,
       "a normal path is not copied");
}

static void test_percent(void)
{
    char mem[64];
    struct wr_span out;
    ok(wr_percent_decode(WR_LIT("a+b%2B%00"), true, mem, &out) == 0 && out.n == 5 &&
           memcmp(out.p, "a b+", 5) == 0,
       "decode with plus");
    ok(wr_percent_decode(WR_LIT("a+b"), false, mem, &out) == 0 &&
           wr_span_eq(out, WR_LIT("a+b")),
       "decode without");
    is_int(wr_percent_decode(WR_LIT("a%2"), true, mem, &out), WR_E_SYNTAX, "cut off");
    is_span(wr_path_encode(WR_LIT("/a b?#%\n\xc3"), mem), "/a%20b%3F%23%25%0A%C3", "encode");
}

static void test_query(void)
{
    struct wr_span rest = WR_LIT("a=1&&b&c=&=d&a=2"), n, v;
    is_span(wr_query_get(rest, WR_LIT("a")), "1", "the first a");
    ok(wr_query_get(rest, WR_LIT("b")).p && !wr_query_get(rest, WR_LIT("x")).p,
       "b is, x is not");
    int count = 0;
    while (wr_query_next(&rest, &n, &v))
        count++;
    is_int(count, 5, "empty pieces are skipped");
}

int main(void)
{
    test_uri();
    test_hosts();
    test_host_eq();
    test_paths();
    test_percent();
    test_query();
    return tap_done();
}
