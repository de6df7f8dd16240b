/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/resolvconf.h"

#include "libweir/base/heap.h"
#include "tests/tap.h"

#include <errno.h>

static void test_resolvconf(void)
{
    struct wr_resolvconf c;
    char text[WR_ADDR_TEXT_MAX];
    wr_resolvconf_parse(WR_LIT("# made by hand\n"
                               "nameserver 10.0.0.1 ; first\n"
                               "nameserver\tfe80::1%3\r\n"
                               "nameserver nonsense\n"
                               "domain old.example\n"
                               "search a.example  b.example. bad..name\n"
                               "options ndots:3 timeout:2 attempts:99 rotate unknown:1 use-vc\n"
                               "nameserver 10.0.0.3\nnameserver 10.0.0.4\nnameserver 10.0.0.5"),
                        &c);
    is_int(c.server_count, 4, "four servers, the fifth is over the cap");
    (void)wr_addr_format(&c.servers[0], text);
    is_str(text, "10.0.0.1:53", "first");
    (void)wr_addr_format(&c.servers[1], text);
    is_str(text, "[fe80::1%3]:53", "with a scope");
    is_int(c.search_count, 2, "search replaces domain, bad names are ignored");
    is_str(c.search[1], "b.example", "without the last dot");
    is_int(c.ndots, 3, "ndots");
    is_int(c.timeout_ms, 2000, "timeout");
    is_int(c.attempts, 5, "attempts are capped");
    ok(c.rotate && c.use_tcp, "flags");
    wr_resolvconf_parse(WR_LIT(""), &c);
    is_int(c.server_count, 1, "an empty file means the local server");
    is_int(c.attempts, 2, "defaults");
}

static const char hosts_text[] = "127.0.0.1 localhost loopback # here\n"
                                 "::1\tlocalhost ip6-localhost\n"
                                 "  \n"
                                 "no.address name\n"
                                 "10.0.0.9 Db.Example.\n";

static void test_hosts(void)
{
    struct wr_hosts *h = NULL;
    struct wr_addr a[4];
    is_int(wr_hosts_new(wr_heap_libc(), wr_span_str(hosts_text), &h), 0, "made");
    is_int(wr_hosts_count(h), 5, "pairs");
    is_int(wr_hosts_find(h, WR_LIT("LocalHost"), a, 4), 2, "two families");
    ok(a[0].kind == WR_ADDR_V4 && a[1].kind == WR_ADDR_V6, "in the file's order");
    is_int(wr_hosts_find(h, WR_LIT("localhost"), a, 1), 1, "room for one");
    is_int(wr_hosts_find(h, WR_LIT("db.example."), a, 4), 1, "case and last dot");
    is_int(wr_hosts_find(h, WR_LIT("here"), a, 4), 0, "a comment is none");
    is_int(wr_hosts_find(h, WR_LIT(""), a, 4), 0, "no name");
    wr_hosts_free(&h);
    ok(h == NULL, "freed");
    wr_hosts_free(&h);
}

static void test_refused(void)
{
    struct wr_heap_counting counting;
    struct wr_heap_failing failing;
    struct wr_hosts *h = NULL;
    wr_heap_counting_init(&counting, wr_heap_libc());
    int err = -ENOMEM, n = 0;
    while (err == -ENOMEM && n++ < 20) {
        wr_heap_failing_init(&failing, &counting.heap, (uint64_t)n, 0, 1);
        err = wr_hosts_new(&failing.heap, WR_LIT("1.2.3.4 a b c"), &h);
        if (err == 0)
            wr_hosts_free(&h);
        if (counting.bytes != 0)
            ok(false, "leak at refusal %d", n);
    }
    ok(err == 0 && n > 1, "every allocation refused once: %d", n - 1);
}

int main(void)
{
    test_resolvconf();
    test_hosts();
    test_refused();
    return tap_done();
}
