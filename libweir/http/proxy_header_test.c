/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/http/proxy_header.h"
#include "tests/tap.h"

static struct wr_proxy_header h;

static enum wr_proxy_parsed parse(struct wr_span s)
{
    h = (struct wr_proxy_header){0};
    return wr_proxy_header_parse(s, &h);
}

/* The outcome does not depend on the splits: MORE up to the byte that decides. */
static bool is_monotone(struct wr_span s)
{
    enum wr_proxy_parsed last = WR_PROXY_MORE;
    for (size_t n = 0; n <= s.n; n++) {
        enum wr_proxy_parsed r = parse(wr_span_sub(s, 0, n));
        if (last != WR_PROXY_MORE && r != last)
            return false;
        last = r;
    }
    return true;
}

static void bad(const char *text)
{
    struct wr_span s = wr_span_str(text);
    ok(parse(s) == WR_PROXY_BAD && is_monotone(s), "bad: %.*s", (int)strcspn(text, "\r\n"),
       text);
}

static void test_v1(void)
{
    struct wr_span s =
        WR_LIT("PROXY TCP4 192.168.0.1 10.0.0.254 56324 443\r\nGET / HTTP/1.1\r\n");
    ok(parse(s) == WR_PROXY_DONE && h.size == 45 && h.version == 1, "v1, tcp4");
    ok(h.family == WR_PROXY_V4 && memcmp(h.src, "\xc0\xa8\0\1", 4) == 0 && h.src_port == 56324,
       "its source");
    ok(memcmp(h.dst, "\x0a\0\0\xfe", 4) == 0 && h.dst_port == 443, "its destination");
    ok(is_monotone(s), "however split");
    s = WR_LIT("PROXY TCP6 2001:db8::1 ::ffff:1.2.3.4 1 65535\r\n");
    ok(parse(s) == WR_PROXY_DONE && h.family == WR_PROXY_V6, "v1, tcp6");
    ok(memcmp(h.src, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16) == 0, "its source");
    ok(memcmp(h.dst, "\0\0\0\0\0\0\0\0\0\0\xff\xff\1\2\3\4", 16) == 0, "its destination");
    ok(is_monotone(s), "however split");
    ok(parse(WR_LIT("PROXY TCP6 :: 1:2:3:4:5:6:7:8 0 0\r\n")) == WR_PROXY_DONE &&
           memcmp(h.dst, "\0\1\0\2\0\3\0\4\0\5\0\6\0\7\0\10", 16) == 0,
       "full and empty forms");
    ok(parse(WR_LIT("PROXY UNKNOWN\r\n")) == WR_PROXY_DONE && h.family == WR_PROXY_NONE,
       "unknown");
    ok(parse(WR_LIT("PROXY UNKNOWN ff 1 2 whatever\r\n")) == WR_PROXY_DONE,
       "unknown with more");
    bad("GET / HTTP/1.1\r\n");
    bad("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n");
    bad("PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n");
    bad("PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n");
    bad("PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n");
    bad("PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n");
    bad("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n");
    bad("PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n");
    bad("PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n");
    bad("PROXY TCP6 1::2::3 :: 1 2\r\n");
    bad("PROXY TCP6 1:2:3:4:5:6:7:8:9 :: 1 2\r\n");
    bad("PROXY TCP6 1:2:3:4:5:6:7:8:: :: 1 2\r\n");
    bad("PROXY TCP6 12345:: :: 1 2\r\n");
    bad("PROXY TCP6 1: :: 1 2\r\n");
    bad("PROXY TCP6 : :: 1 2\r\n");
    bad("PROXY TCP4\r\n");
    bad("PROXY \r\n");
    bad("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\rX");
    bad("PROXY UNKNOWN "
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n");
}

#define SIG "\r\n\r\n\0\r\nQUIT\n"

static void test_v2(void)
{
    struct wr_span s = WR_LIT(SIG "\x21\x11\0\x14\1\2\3\4\5\6\7\x8\x1\xbb\0\x50"
                                  "\x02\0\2ab\x05\0\0more");
    ok(parse(s) == WR_PROXY_DONE && h.version == 2 && h.size == 36, "v2, tcp over v4");
    ok(h.family == WR_PROXY_V4 && memcmp(h.src, "\1\2\3\4", 4) == 0 && h.src_port == 443 &&
           h.dst_port == 80,
       "its addresses");
    ok(h.tlvs.n == 8 && wr_span_eq(wr_proxy_tlv(h.tlvs, 2), WR_LIT("ab")), "a TLV");
    ok(wr_proxy_tlv(h.tlvs, 5).p && wr_proxy_tlv(h.tlvs, 5).n == 0, "an empty one");
    ok(!wr_proxy_tlv(h.tlvs, 9).p, "and one that is not there");
    ok(is_monotone(s), "however split");
    s = WR_LIT(SIG "\x20\0\0\0");
    ok(parse(s) == WR_PROXY_DONE && h.local && h.family == WR_PROXY_NONE && is_monotone(s),
       "local");
    ok(parse(WR_LIT(SIG "\x21\0\0\0")) == WR_PROXY_DONE && h.family == WR_PROXY_NONE,
       "unspecified family");
    ok(parse(WR_LIT(SIG "\x11\x11\0\0")) == WR_PROXY_BAD, "another version");
    ok(parse(WR_LIT(SIG "\x22\x11\0\0")) == WR_PROXY_BAD, "another command");
    ok(parse(WR_LIT(SIG "\x21\x41\0\0")) == WR_PROXY_BAD, "another family");
    ok(parse(WR_LIT(SIG "\x21\x11\0\x0b")) == WR_PROXY_BAD, "too short for its addresses");
    ok(parse(WR_LIT(SIG "\x21\x11\xff\xff")) == WR_PROXY_BAD, "too long for us");
    ok(parse(WR_LIT(SIG "\x21\x11\0\x0f\1\2\3\4\5\6\7\x8\x1\xbb\0\x50\1\0\1")) == WR_PROXY_BAD,
       "a TLV that is cut");
    ok(parse(WR_LIT(SIG "\x21\x11\0\x0e\1\2\3\4\5\6\7\x8\x1\xbb\0\x50\1\0")) == WR_PROXY_BAD,
       "half a TLV's head");
    ok(parse(WR_LIT("\r\n\r\nG")) == WR_PROXY_BAD, "not the signature");
}

int main(void)
{
    test_v1();
    test_v2();
    return tap_done();
}
