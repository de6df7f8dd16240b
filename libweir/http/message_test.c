/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/http/message.h"

#include "tests/tap.h"

static void test_table(void)
{
    struct wr_field fields[3];
    struct wr_head h;
    uint32_t at = 0;
    wr_head_init(&h, fields, 3);
    ok(wr_head_validate(&h) && !wr_head_has(&h, WR_H_HOST), "empty");
    ok(!wr_head_next(&h, WR_H_HOST, &at), "no field");
    ok(wr_head_add(&h, WR_H_OTHER, WR_LIT("X"), WR_LIT("1")), "add");
    ok(wr_head_add(&h, WR_H_X_REQUESTED_WITH, WR_LIT("X-Requested-With"), WR_LIT("2")),
       "add the last id");
    ok(wr_head_add(&h, WR_H_X_REQUESTED_WITH, WR_LIT("x-requested-with"), WR_LIT("3")),
       "again");
    ok(!wr_head_add(&h, WR_H_OTHER, WR_LIT("Y"), WR_LIT("4")), "full");
    ok(wr_head_validate(&h), "valid");
    ok(wr_span_eq(wr_head_get(&h, WR_H_X_REQUESTED_WITH), WR_LIT("2")), "the first of two");
    at = 0;
    ok(wr_head_next(&h, WR_H_X_REQUESTED_WITH, &at) == &fields[1], "next");
    ok(wr_head_next(&h, WR_H_X_REQUESTED_WITH, &at) == &fields[2], "next");
    ok(!wr_head_next(&h, WR_H_X_REQUESTED_WITH, &at), "no more");
    fields[1].id = WR_H_HOST;
    ok(!wr_head_validate(&h), "a wrong id is seen");
}

static void test_rebase(void)
{
    char a[] = "GET /", b[] = "GET /";
    struct wr_field fields[1];
    struct wr_head h;
    wr_head_init(&h, fields, 1);
    h.method_text = wr_span(a, 3);
    h.target = wr_span(a + 4, 1);
    h.authority = WR_LIT("elsewhere");
    ok(wr_head_add(&h, WR_H_OTHER, wr_span(a, 1), wr_span(a + 5, 0)),
       "a value at the very end");
    wr_head_rebase(&h, a, 5, b);
    ok(h.method_text.p == b && h.target.p == b + 4 && fields[0].value.p == b + 5, "moved");
    ok(wr_span_eq(h.authority, WR_LIT("elsewhere")), "what lies elsewhere stays");
}

static void test_methods(void)
{
#define CHECK(name)                                                     \
    ok(wr_method_of(WR_LIT(#name)) == WR_METHOD_##name &&               \
           wr_span_eq(wr_method_text(WR_METHOD_##name), WR_LIT(#name)), \
       #name);
    WR_METHODS(CHECK)
    is_int(wr_method_of(WR_LIT("get")), WR_METHOD_OTHER, "case counts");
    is_int(wr_method_of(WR_LIT("")), WR_METHOD_OTHER, "nothing");
    ok(wr_method_is_safe(WR_METHOD_HEAD) && !wr_method_is_safe(WR_METHOD_PUT), "safe");
    ok(wr_method_is_idempotent(WR_METHOD_PUT) && !wr_method_is_idempotent(WR_METHOD_POST),
       "idempotent");
}

int main(void)
{
    test_table();
    test_rebase();
    test_methods();
    return tap_done();
}
