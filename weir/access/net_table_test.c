/* SPDX-License-Identifier: BSD-2-Clause */
/* Networks and ranges against a list that is walked whole; host patterns; trusted proxies; buckets. */
#include "weir/access/net_table.h"

#include "libweir/base/err.h"
#include "libweir/base/rand.h"
#include "tests/mem_kit.h"
#include "tests/tap.h"
#include "weir/access/host_table.h"
#include "weir/access/murmur.h"
#include "weir/access/trusted.h"

#include <stdio.h>

static struct mem_kit mem;
static struct wr_arena arena;

#define ENTRIES 200

struct slow {
    struct net_range range;
    const struct wr_span *value;
};

/* The best of all that hold the key: the higher rank, then the later one. */
static const struct wr_span *slow_find(const struct slow *list, int n, net_key key, bool v6)
{
    const struct slow *best = NULL;
    for (int i = 0; i < n; i++) {
        const struct slow *s = &list[i];
        if (!s->value || s->range.v6 != v6 || key < s->range.low || key > s->range.high)
            continue;
        if (!best || s->range.rank >= best->range.rank)
            best = s;
    }
    return best ? best->value : NULL;
}

/* Small numbers, so that entries meet. */
static void random_text(struct wr_rand *r, bool ranges, char *text, size_t n)
{
    unsigned a = (unsigned)wr_rand_below(r, 4), b = (unsigned)wr_rand_below(r, 256);
    if (ranges) {
        unsigned c = (unsigned)wr_rand_below(r, 256);
        (void)snprintf(text, n, "10.0.%u.%u-10.0.%u.%u", a, b < c ? b : c, a, b < c ? c : b);
    } else if (wr_rand_one_in(r, 4)) {
        (void)snprintf(text, n, "2001:db8::%x/%u", b, 112 + (unsigned)wr_rand_below(r, 17));
    } else {
        (void)snprintf(text, n, "10.0.%u.%u/%u", a, b, (unsigned)wr_rand_below(r, 33));
    }
}

static int fill(struct wr_rand *r, bool ranges, struct net_table *t, struct slow *list)
{
    int n = 0;
    for (int i = 0; i < ENTRIES; i++) {
        char text[64];
        const struct wr_span *old;
        struct wr_span *value = wr_arena_alloc(&arena, sizeof(*value));
        struct net_range range;
        random_text(r, ranges, text, sizeof(text));
        if (!value || net_range_parse(wr_span_str(text), ranges, &range) < 0)
            return -1;
        *value = wr_span(text, 0);
        int same = 0;
        while (same < n &&
               (list[same].range.low != range.low || list[same].range.high != range.high ||
                list[same].range.v6 != range.v6))
            same++;
        if (wr_rand_one_in(r, 10)) {
            if (net_table_remove(t, &range) != (same < n && list[same].value))
                return -1;
            if (same < n)
                list[same].value = NULL;
            continue;
        }
        if (net_table_add(t, &range, value, &old) ||
            (old != NULL) != (same < n && list[same].value))
            return -1;
        if (same < n) { /* put at the end: it is the later one now */
            memmove(&list[same], &list[same + 1], (size_t)(n - same - 1) * sizeof(list[0]));
            n--;
        }
        list[n++] = (struct slow){range, value};
    }
    return n;
}

static int compare(struct net_table *t, const struct slow *list, int n)
{
    int wrong = 0;
    for (unsigned i = 0; i < 1024 + 256; i++) {
        struct wr_addr a =
            wr_addr_v4((const uint8_t[4]){10, 0, (uint8_t)(i >> 8), (uint8_t)i}, 0);
        wrong += net_table_find(t, &a) != slow_find(list, n, 10u << 24 | i, false);
    }
    for (unsigned i = 0; i < 512; i++) {
        uint8_t ip[16] = {0x20, 0x01, 0x0d, 0xb8, [14] = (uint8_t)(i >> 8), [15] = (uint8_t)i};
        net_key key = 0;
        for (int j = 0; j < 16; j++)
            key = key << 8 | ip[j];
        struct wr_addr a = wr_addr_v6(ip, 0, 0);
        wrong += net_table_find(t, &a) != slow_find(list, n, key, true);
    }
    return wrong;
}

static void test_against_slow(void)
{
    struct wr_rand r;
    int wrong = 0, bad = 0;
    wr_rand_init(&r, 7);
    for (int round = 0; round < 60; round++) {
        struct slow list[ENTRIES];
        struct net_table t;
        wr_arena_reset(&arena, 0);
        net_table_init(&t, &arena);
        int n = fill(&r, round & 1, &t, list);
        if (n < 0 || net_table_build(&t))
            bad++;
        else
            wrong += compare(&t, list, n);
    }
    is_int(bad, 0, "sixty tables are built");
    is_int(wrong, 0, "and find what a walk over all entries finds");
}

static void test_edges(void)
{
    struct net_table t;
    struct net_range range;
    const struct wr_span a = WR_LIT("a"), b = WR_LIT("b"), *old;
    struct wr_addr addr;
    wr_arena_reset(&arena, 0);
    net_table_init(&t, &arena);
    is_int(net_range_parse(WR_LIT("::/0"), false, &range), 0, "the whole of IPv6");
    is_int(net_table_add(&t, &range, &a, &old), 0, "enters");
    is_int(net_range_parse(WR_LIT("0.0.0.0/0"), false, &range), 0, "the whole of IPv4");
    is_int(net_table_add(&t, &range, &b, &old), 0, "enters");
    is_int(net_table_build(&t), 0, "builds");
    static const char *const v6[] = {"::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "1::2"};
    for (size_t i = 0; i < WR_ARRAY_LEN(v6); i++)
        ok(wr_addr_parse_ip(wr_span_str(v6[i]), &addr) == 0 && net_table_find(&t, &addr) == &a,
           "%s", v6[i]);
    ok(wr_addr_parse_ip(WR_LIT("255.255.255.255"), &addr) == 0 &&
           net_table_find(&t, &addr) == &b,
       "255.255.255.255");
    is_int(net_range_parse(WR_LIT("10.0.0.1/8"), false, &range), 1, "surplus bits are told");
    static const char *const bad[] = {"10.0.0.0/33", "x", "", "1.2.3.4-1.2.3.3", "1.2.3.4-::1"};
    for (size_t i = 0; i < WR_ARRAY_LEN(bad); i++)
        ok(net_range_parse(wr_span_str(bad[i]), i > 2, &range) < 0, "refused: %s", bad[i]);
}

/* A range that is given again and the one behind it: the one behind counts. */
static void test_again(void)
{
    static const char *const texts[] = {"10.0.0.0-10.0.0.9", "10.0.0.0-10.0.0.9",
                                        "10.0.0.5-10.0.0.6"};
    static const struct wr_span values[] = {WR_LIT("a"), WR_LIT("b"), WR_LIT("c")};
    struct net_table t;
    struct net_range range;
    const struct wr_span *old;
    int bad = 0;
    wr_arena_reset(&arena, 0);
    net_table_init(&t, &arena);
    for (size_t i = 0; i < WR_ARRAY_LEN(texts); i++)
        bad += net_range_parse(wr_span_str(texts[i]), true, &range) ||
               net_table_add(&t, &range, &values[i], &old);
    is_int(bad + net_table_build(&t), 0, "a range is given twice, then one inside");
    struct wr_addr in = wr_addr_v4((const uint8_t[4]){10, 0, 0, 5}, 0),
                   out = wr_addr_v4((const uint8_t[4]){10, 0, 0, 4}, 0);
    ok(net_table_find(&t, &in) == &values[2], "the one inside counts: it is the later one");
    ok(net_table_find(&t, &out) == &values[1], "around it, what was given again");
}

static void test_hosts(void)
{
    struct host_table t;
    static int v[6];
    wr_arena_reset(&arena, 0);
    host_table_init(&t, &arena);
    ok(host_table_add(&t, WR_LIT("a.test"), true, &v[0]) == 0 &&
           host_table_add(&t, WR_LIT("*.a.test"), true, &v[1]) == 0 &&
           host_table_add(&t, WR_LIT(".b.test"), true, &v[2]) == 0 &&
           host_table_add(&t, WR_LIT("www.*"), true, &v[3]) == 0 &&
           host_table_add(&t, WR_LIT("www.x.*"), true, &v[4]) == 0 &&
           host_table_add(&t, WR_LIT("*.x.a.test"), true, &v[5]) == 0,
       "patterns enter");
    is_int(host_table_add(&t, WR_LIT("A.test"), true, &v[0]), WR_E_EXISTS, "once");
    static const struct {
        const char *name;
        int want;
    } cases[] = {
        {"a.test",     0 },
        {"b.a.test",   1 },
        {"c.b.a.test", 1 },
        {"y.x.a.test", 5 },
        {"b.test",     2 },
        {"a.b.test",   2 },
        {"www.q",      3 },
        {"www.x.q",    4 },
        {"www.x.y.z",  4 },
        {"www.a.test", 1 },
        {"test",       -1},
        {"xa.test",    -1},
        {"",           -1},
        {".",          -1},
        {"www.",       -1},
        {"ww.x",       -1}
    };
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        const int *got = host_table_find(&t, wr_span_str(cases[i].name));
        is_int(got ? got - v : -1, cases[i].want, "host %s", cases[i].name);
    }
    static const char *const bad[] = {"*", "a*b", "*a", "**.a", "a..b", "*.*", ".a.*"};
    for (size_t i = 0; i < WR_ARRAY_LEN(bad); i++)
        is_int(host_table_add(&t, wr_span_str(bad[i]), true, v), WR_E_SYNTAX, "refused: %s",
               bad[i]);
}

static void walk(const char *peer, const char *value, bool recursive, const char *want)
{
    struct trusted t = {0};
    struct wr_addr a;
    char text[WR_ADDR_TEXT_MAX];
    wr_arena_reset(&arena, 0);
    if (trusted_add(&t, &arena, WR_LIT("10.0.0.0/8")) ||
        trusted_add(&t, &arena, WR_LIT("2001:db8::/32")) ||
        wr_addr_parse_ip(wr_span_str(peer), &a)) {
        ok(false, "set up");
        return;
    }
    (void)trusted_walk(&t, wr_span_str(value), recursive, &a);
    (void)wr_addr_format(&a, text);
    is_str(text, want, "%s forwards \"%s\"%s", peer, value, recursive ? ", recursive" : "");
}

static void test_trusted(void)
{
    walk("10.0.0.1", "1.2.3.4", false, "1.2.3.4:0");
    walk("11.0.0.1", "1.2.3.4", false, "11.0.0.1:0");
    walk("10.0.0.1", "1.2.3.4, 10.0.0.2", false, "10.0.0.2:0");
    walk("10.0.0.1", "1.2.3.4, 10.0.0.2", true, "1.2.3.4:0");
    walk("10.0.0.1", "10.0.0.3,10.0.0.2", true, "10.0.0.3:0");
    walk("10.0.0.1", "6.6.6.6, 1.2.3.4, 10.0.0.2 ,, ", true, "1.2.3.4:0");
    walk("10.0.0.1", "1.2.3.4, junk, 10.0.0.2", true, "10.0.0.2:0");
    walk("10.0.0.1", "", true, "10.0.0.1:0");
    walk("10.0.0.1", "1.2.3.4:99", false, "1.2.3.4:99");
    walk("10.0.0.1", "[::2]:99", false, "[::2]:99");
    walk("2001:db8::1", "::3", false, "[::3]:0");
    walk("10.0.0.1", "*:80", false, "10.0.0.1:0");
    walk("10.0.0.1", "fd:3", false, "10.0.0.1:0");
}

static void test_murmur(void)
{
    is_int(murmur2(WR_LIT("")), 0, "hash of nothing");
    is_int(murmur2(WR_LIT("a")), 0x92685f5e, "hash of a");
    is_int(murmur2(WR_LIT("abcd")), 0x26873021, "hash of abcd");
}

int main(void)
{
    if (mem_kit_init(&mem, wr_heap_libc(), NULL))
        return 1;
    wr_arena_init(&arena, &mem.arenas, NULL, WR_ARENA_BLOCK);
    test_against_slow();
    test_edges();
    test_again();
    test_hosts();
    test_trusted();
    test_murmur();
    wr_arena_deinit(&arena);
    mem_kit_deinit(&mem);
    return tap_done();
}
