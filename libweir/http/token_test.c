/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/http/token.h"

#include "libweir/base/err.h"
#include "tests/tap.h"

static void test_digits(void)
{
    uint64_t v = 7;
    ok(wr_digits(WR_LIT("0"), &v) == 0 && v == 0, "0");
    ok(wr_digits(WR_LIT("9223372036854775807"), &v) == 0 && v == INT64_MAX, "the largest");
    is_int(wr_digits(WR_LIT("9223372036854775808"), &v), WR_E_RANGE, "one more");
    is_int(wr_digits(WR_LIT("99999999999999999999999x"), &v), WR_E_SYNTAX,
           "no digit behind it");
    is_int(wr_digits(WR_LIT(""), &v), WR_E_SYNTAX, "nothing");
    is_int(wr_digits(WR_LIT("+1"), &v), WR_E_SYNTAX, "sign");
    is_int(v, INT64_MAX, "untouched on failure");
}

static void test_tokens(void)
{
    ok(wr_is_token(WR_LIT("a!#$%&'*+-.^_`|~9")), "every kind");
    ok(!wr_is_token(WR_LIT("")) && !wr_is_token(WR_LIT("a b")) && !wr_is_token(WR_LIT("a(")),
       "none");
    ok(wr_is_field_value(WR_LIT("a\t b\x80\xff")) && wr_is_field_value((struct wr_span){0}),
       "values");
    unsigned wrong = 0;
    for (int c = 0; c < 256; c++) {
        char byte = (char)c;
        bool want = c == '\t' || (c >= 0x20 && c != 0x7f);
        wrong += wr_is_field_value(wr_span(&byte, 1)) != want;
    }
    is_int(wrong, 0, "all 256 bytes");
}

static void test_lists(void)
{
    struct wr_span rest = WR_LIT(" a ,, \"b,\\\"c\" ;x,d"), out;
    ok(wr_list_next(&rest, &out) == 1 && wr_span_eq(out, WR_LIT("a")), "first");
    ok(wr_list_next(&rest, &out) == 1 && wr_span_eq(out, WR_LIT("\"b,\\\"c\" ;x")),
       "quoted comma");
    ok(wr_list_next(&rest, &out) == 1 && wr_span_eq(out, WR_LIT("d")), "last");
    is_int(wr_list_next(&rest, &out), 0, "end");
    rest = WR_LIT("a\"b");
    is_int(wr_list_next(&rest, &out), WR_E_SYNTAX, "a quote that does not end");
    rest = WR_LIT(",,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,a");
    is_int(wr_list_next(&rest, &out), WR_E_SYNTAX, "a flood of commas");
    is_int(wr_token_list_has(WR_LIT("x, CLOSE"), WR_LIT("close")), 1, "has, by any case");
    is_int(wr_token_list_has(WR_LIT("closed"), WR_LIT("close")), 0, "has not");
    is_int(wr_token_list_has(WR_LIT("close, a b"), WR_LIT("close")), WR_E_SYNTAX,
           "malformed later");
    is_int(wr_token_list_has(WR_LIT(""), WR_LIT("close")), 0, "empty");
}

static void test_params(void)
{
    struct wr_span rest = WR_LIT(" ; a=b;c ;\tq=\"x;\\\"y\""), n, v;
    ok(wr_param_next(&rest, &n, &v) == 1 && wr_span_eq(n, WR_LIT("a")) &&
           wr_span_eq(v, WR_LIT("b")),
       "token");
    ok(wr_param_next(&rest, &n, &v) == 1 && wr_span_eq(n, WR_LIT("c")) && v.n == 0,
       "without value");
    ok(wr_param_next(&rest, &n, &v) == 1 && wr_span_eq(v, WR_LIT("x;\\\"y")), "quoted");
    is_int(wr_param_next(&rest, &n, &v), 0, "end");
    static const char *const bad[] = {"a", ";", ";=b", ";a=", ";a=\"b", ";a=b c", "; ;"};
    for (size_t i = 0; i < WR_ARRAY_LEN(bad); i++) {
        int more;
        rest = wr_span_str(bad[i]);
        while ((more = wr_param_next(&rest, &n, &v)) == 1)
            ;
        is_int(more, WR_E_SYNTAX, "malformed: %s", bad[i]);
    }
}

static void test_etags(void)
{
    struct wr_span tag = WR_LIT("\"a\""), weak = WR_LIT("W/\"a\""), none = {0};
    ok(wr_is_etag(tag) && wr_is_etag(weak) && wr_is_etag(WR_LIT("\"\"")), "entity tags");
    ok(!wr_is_etag(WR_LIT("a")) && !wr_is_etag(WR_LIT("\"a")) &&
           !wr_is_etag(WR_LIT("w/\"a\"")) && !wr_is_etag(WR_LIT("\"a b\"")) &&
           !wr_is_etag(WR_LIT("\"a\"b")) && !wr_is_etag(none),
       "none");
    ok(wr_etag_eq_strong(tag, tag) && !wr_etag_eq_strong(weak, weak), "strong");
    ok(wr_etag_eq_weak(tag, weak) && !wr_etag_eq_weak(tag, WR_LIT("\"b\"")), "weak");
    is_int(wr_etag_list_match(WR_LIT("\"x\", \"a\""), tag, false), 1, "in the list");
    is_int(wr_etag_list_match(WR_LIT("\"x,\"a\""), tag, false), WR_E_SYNTAX,
           "no comma between");
    is_int(wr_etag_list_match(WR_LIT("W/\"a\""), tag, false), 0,
           "weak does not match strongly");
    is_int(wr_etag_list_match(WR_LIT("W/\"a\""), tag, true), 1, "but weakly");
    is_int(wr_etag_list_match(WR_LIT("\"a\\\""), WR_LIT("\"a\\\""), true), 1,
           "no escapes in tags");
    is_int(wr_etag_list_match(WR_LIT(" * "), tag, false), 1, "any");
    is_int(wr_etag_list_match(WR_LIT("*"), none, false), 0, "any of nothing");
    is_int(wr_etag_list_match(WR_LIT(""), tag, false), WR_E_SYNTAX, "empty");
    is_int(wr_etag_list_match(WR_LIT("a"), tag, false), WR_E_SYNTAX, "malformed");
    is_int(wr_etag_list_match(WR_LIT(",, \"a\" ,"), tag, false), 1, "beside empty elements");
    is_int(wr_etag_list_match(WR_LIT(" , "), tag, false), WR_E_SYNTAX, "nothing but those");
    is_int(wr_etag_list_match(WR_LIT("\"a\", *"), tag, false), WR_E_SYNTAX, "star in a list");
}

int main(void)
{
    test_digits();
    test_tokens();
    test_lists();
    test_params();
    test_etags();
    return tap_done();
}
