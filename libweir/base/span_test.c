/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/span.h"
#include "tests/tap.h"

static void test_compare(void)
{
    ok(wr_span_eq(WR_LIT("ab"), wr_span_str("ab")), "equal");
    ok(!wr_span_eq(WR_LIT("ab"), WR_LIT("abc")), "length differs");
    ok(wr_span_eq(WR_LIT(""), (struct wr_span){0}), "empty equals null");
    ok(wr_span_ieq(WR_LIT("Host"), WR_LIT("hOST")), "case folded");
    ok(!wr_span_ieq(WR_LIT("@"), WR_LIT("`")), "only letters fold");
    ok(wr_span_cmp(WR_LIT("a"), WR_LIT("ab")) < 0, "prefix is smaller");
    ok(wr_span_has_prefix(WR_LIT("abc"), WR_LIT("ab")), "prefix");
    ok(!wr_span_has_prefix(WR_LIT("a"), WR_LIT("ab")), "longer than the text");
    ok(wr_span_has_suffix(WR_LIT("abc"), WR_LIT("bc")), "suffix");
}

static void test_find(void)
{
    is_int(wr_span_find(WR_LIT("abcbc"), WR_LIT("bc")), 1, "first match");
    is_int(wr_span_find(WR_LIT("abc"), WR_LIT("x")), -1, "no match");
    is_int(wr_span_find((struct wr_span){0}, WR_LIT("x")), -1, "in nothing");
    is_int(wr_span_find_char(WR_LIT("abc"), 'c'), 2, "character");
    ok(wr_span_eq(wr_span_trim(WR_LIT(" \t a b\t ")), WR_LIT("a b")), "trim");
}

static void test_split(void)
{
    struct wr_span rest = WR_LIT("a,,b"), out;
    ok(wr_span_split(&rest, ',', &out) && wr_span_eq(out, WR_LIT("a")), "first");
    ok(wr_span_split(&rest, ',', &out) && out.n == 0, "empty piece");
    ok(wr_span_split(&rest, ',', &out) && wr_span_eq(out, WR_LIT("b")), "last");
    ok(!wr_span_split(&rest, ',', &out), "exhausted");
}

int main(void)
{
    test_compare();
    test_find();
    test_split();
    return tap_done();
}
