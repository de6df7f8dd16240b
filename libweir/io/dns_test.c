/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/dns.h"

#include "libweir/base/err.h"
#include "tests/tap.h"

static uint8_t msg[2048];
static size_t len;

static void put(const void *p, size_t n)
{
    memcpy(msg + len, p, n);
    len += n;
}
#define PUT(s) put(s, sizeof(s) - 1)

/* An answer to "a.b", type t: header, question, and so many answers and authorities to follow. */
static void begin(uint16_t flags, uint8_t answers, uint8_t authority, uint8_t type)
{
    uint8_t head[] = {0x12,
                      0x34,
                      (uint8_t)(flags >> 8),
                      (uint8_t)flags,
                      0,
                      1,
                      0,
                      answers,
                      0,
                      authority,
                      0,
                      0,
                      1,
                      'a',
                      1,
                      'b',
                      0,
                      0,
                      type,
                      0,
                      1};
    len = 0;
    put(head, sizeof head);
}

#define TO_QUESTION "\xc0\x0c"
#define A_IN        "\0\1\0\1"
#define TTL(s)      "\0\0\0" s

static struct wr_dns_answer got;

static int answer(uint16_t type)
{
    wr_dns_read_answer(wr_span(msg, len), 0x1234, WR_LIT("A.b."), type, &got);
    return got.verdict;
}

static void test_query(void)
{
    uint8_t q[WR_DNS_QUERY_MAX];
    int n = wr_dns_write_query(0xbeef, WR_LIT("www.example.org."), WR_DNS_AAAA, true, q);
    is_int(n, 12 + 17 + 4 + 11, "length");
    ok(memcmp(q, "\xbe\xef\1\0\0\1\0\0\0\0\0\1\3www\7example\3org\0\0\x1c\0\1\0\0\x29\4\xd0",
              38) == 0,
       "bytes");
    is_int(wr_dns_write_query(1, WR_LIT("a..b"), 1, true, q), WR_E_SYNTAX, "empty label");
    is_int(wr_dns_write_query(1, WR_LIT("."), 1, true, q), WR_E_SYNTAX, "the root");
    is_int(wr_dns_write_query(1, WR_LIT(""), 1, true, q), WR_E_SYNTAX, "nothing");
    char longest[256];
    memset(longest, 'x', sizeof longest);
    is_int(wr_dns_write_query(1, wr_span(longest, 64), 1, true, q), WR_E_SYNTAX, "label of 64");
    for (int i = 63; i < 253; i += 64)
        longest[i] = '.';
    is_int(wr_dns_write_query(1, wr_span(longest, 254), 1, true, q), WR_E_SYNTAX,
           "name of 254");
    is_int(wr_dns_write_query(1, wr_span(longest, 253), 1, true, q), 12 + 255 + 4 + 11,
           "name of 253");
}

static void test_addresses(void)
{
    begin(0x8180, 2, 0, 1);
    PUT(TO_QUESTION A_IN TTL("\x3c") "\0\4\1\2\3\4");
    PUT(TO_QUESTION A_IN TTL("\x1e") "\0\4\5\6\7\x08");
    is_int(answer(WR_DNS_A), WR_DNS_OK, "two addresses");
    is_int(got.count, 2, "both");
    is_int(got.ttl_s, 30, "smallest ttl");
    ok(memcmp(got.records[1].ip, "\5\6\7\x08", 4) == 0, "address");
    for (size_t n = len; n-- > 0;) {
        len = n;
        int v = answer(WR_DNS_A);
        if (v != WR_DNS_BAD && v != WR_DNS_NOT_OURS)
            ok(false, "cut to %zu bytes is %d", n, v);
    }
    begin(0x8180, 1, 0, 1);
    PUT("\1x" TO_QUESTION A_IN TTL("\x3c") "\0\4\1\2\3\4");
    is_int(answer(WR_DNS_A), WR_DNS_NODATA, "another name's record is ignored");
    begin(0x8180, 1, 0, 1);
    PUT(TO_QUESTION A_IN TTL("\x3c") "\0\3\1\2\3");
    is_int(answer(WR_DNS_A), WR_DNS_NODATA, "an address of three bytes is ignored");
    begin(0x8180, 1, 0, 1);
    PUT(TO_QUESTION A_IN "\xff\0\0\1\0\4\1\2\3\4");
    is_int(answer(WR_DNS_A), WR_DNS_OK, "huge ttl");
    is_int(got.ttl_s, 0, "is none");
}

static void test_alias(void)
{
    begin(0x8180, 3, 0, 1);
    PUT("\1d\0" A_IN TTL("\x3c") "\0\4\1\2\3\4"); /* order does not matter */
    PUT("\1c\0\0\5\0\1" TTL("\x05") "\0\3\1d\0");
    PUT(TO_QUESTION "\0\5\0\1" TTL("\x09") "\0\3\1C\0");
    is_int(answer(WR_DNS_A), WR_DNS_OK, "two aliases");
    is_int(got.ttl_s, 5, "ttl of the chain");
    begin(0x8180, 2, 0, 1);
    PUT(TO_QUESTION "\0\5\0\1" TTL("\x09") "\0\3\1c\0");
    PUT("\1c\0\0\5\0\1" TTL("\x09") "\0\2" TO_QUESTION);
    is_int(answer(WR_DNS_A), WR_DNS_BAD, "aliases in a ring");
}

static void test_compression(void)
{
    begin(0x8180, 1, 0, 1);
    PUT("\xc0\x15" A_IN TTL("\x3c") "\0\4\1\2\3\4");
    is_int(answer(WR_DNS_A), WR_DNS_BAD, "a pointer to itself");
    begin(0x8180, 1, 0, 1);
    PUT("\xc0\x17" A_IN TTL("\x3c") "\0\4\1\2\3\4");
    is_int(answer(WR_DNS_A), WR_DNS_BAD, "a pointer forwards");
    begin(0x8180, 1, 0, 1);
    PUT("\1x\xc0\x15" A_IN TTL("\x3c") "\0\4\1\2\3\4");
    is_int(answer(WR_DNS_A), WR_DNS_BAD, "a pointer to its own label");
    begin(0x8180, 1, 0, 1);
    PUT("\xc0\x00" A_IN TTL("\x3c") "\0\4\1\2\3\4");
    is_int(answer(WR_DNS_A), WR_DNS_BAD, "a pointer into the header");
    begin(0x8180, 1, 0, 1);
    PUT("\x41x" A_IN TTL("\x3c") "\0\4\1\2\3\4");
    is_int(answer(WR_DNS_A), WR_DNS_BAD, "a label of unknown kind");
}

/* An address whose name is reached over so many pointers, each of which leads to the one before it. */
static int over_pointers(unsigned n)
{
    unsigned to = 12;
    begin(0x8180, 2, 0, 1);
    PUT("\0\0\x63\0\1" TTL("\x3c"));
    put((uint8_t[]){(uint8_t)((n - 1) * 2 >> 8), (uint8_t)((n - 1) * 2)}, 2);
    for (unsigned i = 1; i < n; i++) {
        unsigned at = (unsigned)len;
        put((uint8_t[]){(uint8_t)(0xc0 | to >> 8), (uint8_t)to}, 2);
        to = at;
    }
    put((uint8_t[]){(uint8_t)(0xc0 | to >> 8), (uint8_t)to}, 2);
    PUT(A_IN TTL("\x3c") "\0\4\1\2\3\4");
    return answer(WR_DNS_A);
}

static void test_pointers(void)
{
    is_int(over_pointers(1), WR_DNS_OK, "a pointer");
    is_int(over_pointers(127), WR_DNS_OK, "as many as a name can have labels");
    is_int(over_pointers(128), WR_DNS_BAD, "more are only there to keep us busy");
}

static void test_negative(void)
{
    static const char soa[] = "\1b\0\0\6\0\1\0\0\1\0\0\x16"
                              "\0\0\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0"
                              "\0\0\0\x1e";
    begin(0x8183, 0, 1, 1);
    PUT(soa);
    is_int(answer(WR_DNS_A), WR_DNS_NXDOMAIN, "no such name");
    is_int(got.ttl_s, 30, "ttl from the SOA's minimum");
    begin(0x8180, 0, 1, 28);
    PUT(soa);
    is_int(answer(WR_DNS_AAAA), WR_DNS_NODATA, "no such record");
    is_int(got.ttl_s, 30, "ttl");
    begin(0x8183, 0, 0, 1);
    is_int(answer(WR_DNS_A), WR_DNS_NXDOMAIN, "without SOA");
    is_int(got.ttl_s, 0, "not kept");
    begin(0x8182, 0, 0, 1);
    is_int(answer(WR_DNS_A), WR_DNS_SERVFAIL, "SERVFAIL");
    begin(0x8185, 0, 0, 1);
    is_int(answer(WR_DNS_A), WR_DNS_SERVFAIL, "REFUSED");
    begin(0x8380, 0, 0, 1);
    is_int(answer(WR_DNS_A), WR_DNS_TRUNCATED, "truncated");
}

static void test_not_ours(void)
{
    begin(0x8180, 0, 0, 28);
    is_int(answer(WR_DNS_A), WR_DNS_NOT_OURS, "another type");
    begin(0x0100, 0, 0, 1);
    is_int(answer(WR_DNS_A), WR_DNS_NOT_OURS, "a question");
    begin(0x8180, 0, 0, 1);
    msg[1]++;
    is_int(answer(WR_DNS_A), WR_DNS_NOT_OURS, "another id");
    begin(0x8180, 0, 0, 1);
    msg[13] = 'x';
    is_int(answer(WR_DNS_A), WR_DNS_NOT_OURS, "another name");
    begin(0x8181, 0, 0, 1);
    msg[5] = 0;
    len = 12;
    is_int(answer(WR_DNS_A), WR_DNS_SERVFAIL, "a bare FORMERR");
}

static void test_srv(void)
{
    begin(0x8180, 1, 0, 33);
    PUT(TO_QUESTION "\0\x21\0\1" TTL("\x3c") "\0\x0a\0\1\0\2\x1f\x90\1h" TO_QUESTION);
    is_int(answer(WR_DNS_SRV), WR_DNS_OK, "service");
    is_int(got.records[0].port, 8080, "port");
    is_int(got.records[0].priority, 1, "priority");
    is_int(got.records[0].weight, 2, "weight");
    is_str(got.records[0].target, "h.a.b", "target");
}

int main(void)
{
    test_query();
    test_addresses();
    test_alias();
    test_compression();
    test_pointers();
    test_negative();
    test_not_ours();
    test_srv();
    return tap_done();
}
