/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/net.h"

#include "libweir/base/err.h"
#include "libweir/io/addr.h"
#include "tests/tap.h"

static bool has(const char *net_text, const char *addr_text)
{
    struct wr_net net;
    struct wr_addr addr;
    int r = wr_net_parse(wr_span_str(net_text), &net);
    int a = wr_addr_parse_ip(wr_span_str(addr_text), &addr);
    return r >= 0 && a == 0 && wr_net_has(&net, &addr);
}

static int parse(const char *text)
{
    struct wr_net net;
    return wr_net_parse(wr_span_str(text), &net);
}

static void test_membership(void)
{
    ok(has("10.1.0.0/16", "10.1.255.3"), "inside");
    ok(!has("10.1.0.0/16", "10.2.0.0"), "outside");
    ok(has("10.1.2.3", "10.1.2.3") && !has("10.1.2.3", "10.1.2.2"), "an address is a /32");
    ok(has("0.0.0.0/0", "255.1.1.1") && !has("0.0.0.0/0", "::1"), "all, of one family");
    ok(has("10.128.0.0/9", "10.129.1.1") && !has("10.128.0.0/9", "10.127.1.1"), "odd prefix");
    ok(has("2001:db8::/32", "2001:db8:7::1") && !has("2001:db8::/32", "2001:db9::1"), "v6");
    ok(has("2001:db8::/33", "2001:db8:7fff::") && !has("2001:db8::/33", "2001:db8:8000::"),
       "v6, odd prefix");
    ok(has("::ffff:10.0.0.0/104", "10.9.9.9"), "a mapped network is an IPv4 one");
    ok(has("10.0.0.0/8", "::ffff:10.9.9.9"), "a mapped address is an IPv4 one");
}

static void test_syntax(void)
{
    ok(parse("10.1.0.1/16") == 1, "bits behind the prefix are told");
    ok(has("10.1.0.1/16", "10.1.7.7"), "and ignored");
    ok(parse("10.1.0.0/16") == 0, "none");
    const char *bad[] = {"",        "10.1.0.0/33", "10.1.0.0/", "10.1.0/8",  "::/129",
                         "::1/ 12", "/8",          "all",       "1.2.3.4/-1"};
    for (unsigned i = 0; i < WR_ARRAY_LEN(bad); i++)
        ok(parse(bad[i]) == WR_E_SYNTAX, "refused: \"%s\"", bad[i]);
}

int main(void)
{
    test_membership();
    test_syntax();
    return tap_done();
}
