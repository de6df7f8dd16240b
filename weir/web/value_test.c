/* SPDX-License-Identifier: BSD-2-Clause */
/* Values, variables, patterns: how they are compiled, what they evaluate to, what is refused. */
#include "weir/web/vars_kit.h"

#include "tests/mem_kit.h"
#include "tests/tap.h"

static const char head[] = "GET /a%20b/c?x=1&Y=two&e=&x=3 HTTP/1.1\r\nHost: Example.test:81\r\n"
                           "User-Agent: agent/1\r\nCookie: a=1; b = two ;c\r\nCookie: d=4\r\n"
                           "X-Odd-Name: one\r\nX-Odd-Name: two\r\n\r\n";

static const char *eval(const char *text)
{
    static char conf[1024];
    (void)snprintf(conf, sizeof(conf), "server { return 200 \"%s\"; }", text);
    if (kit_load(wr_span_str(conf)))
        return kit.said;
    if (kit_begin(wr_span_str(head)))
        return "no request";
    return kit_run() == WEB_DONE ? kit.answer + 4 : "no answer";
}

static void test_values(void)
{
    is_str(eval("plain"), "plain", "a constant");
    is_str(eval("$uri"), "/a b/c", "one variable");
    is_str(eval("a${uri}b$is_args-"), "a/a b/cb?-", "in braces and next to text");
    is_str(eval("$URI"), "/a b/c", "names have no case");
    is_str(eval("$1$2[$9]"), "[]", "captures of nothing are empty");
    is_str(eval("$arg_x $arg_y $arg_e. $arg_none. $args"), "1 two . . x=1&Y=two&e=&x=3",
           "arguments");
    is_str(eval("$http_user_agent|$http_x_odd_name|$http_none|$http_host"),
           "agent/1|one, two||Example.test:81", "fields");
    is_str(eval("$http_cookie|$cookie_a|$cookie_b|$cookie_c|$cookie_d"),
           "a=1; b = two ;c; d=4|1|two ||4", "cookies");
    is_str(eval("$remote_addr:$remote_port $server_addr:$server_port $connection"),
           "192.0.2.1:4321 192.0.2.9:80 7", "addresses");
    is_str(eval("$request_method $request_port$is_request_port $scheme [$https]"),
           "GET 81: http []", "the request line");
    is_str(eval("$document_root $request_filename"), "/root /root/a b/c", "paths");
    is_str(eval("$sent_http_content_type $status $nginx_version"), " 200 1.31.0", "the answer");
    is_str(eval("$request_uri"), "/a%20b/c?x=1&Y=two&e=&x=3", "as it came");
    is_int(strlen(eval("$request_id")), 32, "an id");
    is_int(strlen(eval("$time_iso8601")), 25, "a time");
}

static void test_refused(void)
{
    is_str(eval("$none"), "unknown \"none\" variable in t", "unknown");
    ok(strstr(eval("a$"), "invalid variable name") != NULL, "nothing behind $");
    ok(strstr(eval("a${uri"), "the closing bracket in \"uri\" variable is missing") != NULL,
       "an open bracket");
    ok(strstr(eval("${}"), "invalid variable name") != NULL, "an empty one");
    is_int(kit_load(wr_span_str("server { if ($uri ~ \"(a\") { return 200; } }")), WR_E_SYNTAX,
           "a broken pattern");
    ok(strstr(kit.said, "pcre2_compile() failed: missing closing parenthesis in \"(a\"") !=
           NULL,
       "and it says where: %s", kit.said);
    is_int(kit_load(wr_span_str("server { set $uri x; }")), WR_E_SYNTAX, "uri is not set");
    ok(strstr(kit.said, "the duplicate \"uri\" variable") != NULL, "%s", kit.said);
    is_str(eval("[$arg_]"), "[]", "a prefix alone names nothing");
}

static void test_by_name(void)
{
    (void)eval("$arg_x");
    is_str(web_var_by_name(&kit.r, WR_LIT("ARG_X"))->text.p ? "1" : "", "1",
           "one with an index");
    const struct web_val *v = web_var_by_name(&kit.r, WR_LIT("arg_y"));
    ok(v->found && wr_span_eq(v->text, WR_LIT("two")), "one without");
    v = web_var_by_name(&kit.r, WR_LIT("nothing"));
    ok(!v->found && v->valid, "one that does not exist");
    v = web_var_by_name(&kit.r, WR_LIT("http_user_agent"));
    ok(v->found && wr_span_eq(v->text, WR_LIT("agent/1")), "a field that nobody mentioned");
}

static const char *run_map(const char *map, const char *what)
{
    static char conf[1024];
    (void)snprintf(conf, sizeof(conf), "%s server { return 200 \"%s\"; }", map, what);
    if (kit_load(wr_span_str(conf)))
        return kit.said;
    if (kit_begin(wr_span_str(head)))
        return "no request";
    return kit_run() == WEB_DONE ? kit.answer + 4 : "no answer";
}

static void test_map(void)
{
    is_str(run_map("map $arg_x $m { 1 one; default d; }", "$m"), "one", "exact");
    is_str(run_map("map $arg_y $m { TWO hit; }", "$m"), "hit", "without case");
    is_str(run_map("map $arg_none $m { '' empty; default d; }", "$m"), "empty", "an empty key");
    is_str(run_map("map $arg_q $m { a b; }", "[$m]"), "[]", "no default");
    is_str(run_map("map $host $m { hostnames; *.test wild; example.test exact; }", "$m"),
           "exact", "host names: whole before pattern");
    is_str(run_map("map $uri $m { ~^/(?<first>.)(.) $first-$2; }", "$m $first"), "a-  a",
           "captures in values");
    is_str(run_map("map $m $n { default 1; } map $n $m { default $n; }", "$m"), "1",
           "a constant default asks for nothing");
    is_str(run_map("map $m $n { default $m; } map $n $m { default $n; }", "[$m]"), "[]",
           "a circle ends");
    ok(strstr(kit.errors, "cycle while evaluating variable") != NULL, "and is said");
    is_str(run_map("map $arg_x $m { volatile; default $m$m; }", "[$m]"), "[]",
           "one that is entered twice at each turn, too");
    is_str(
        run_map("map $arg_x $n { default $arg_x; } map $arg_x $m { volatile; default $m$m; }",
                "[$m$n]"),
        "[1]", "what is asked for behind it has its value");
    is_str(run_map("map $arg_x $m { \\\\1 esc; default d; }", "$m"), "esc",
           "a backslash first");
    ok(strstr(run_map("map $arg_x $m { a 1; A 2; }", "$m"), "conflicting parameter \"A\"") !=
           NULL,
       "the same key twice");
    ok(strstr(run_map("map $arg_x $m { hostnames; a*b 1; }", "$m"),
              "invalid hostname or wildcard") != NULL,
       "a star inside");
    is_str(run_map("split_clients x $m { 50% a; * b; }", "$m"), "a", "a part");
    is_str(run_map("geo $m { default d; 192.0.2.0/24 near; 192.0.0.0/8 far; }", "$m"), "near",
           "the longest prefix");
    is_str(run_map("geo $m { volatile; default d; }", "$m"), "d", "asked anew each time");
    is_str(run_map("split_clients $uri $m { volatile; * x; }", "$m"), "x", "likewise");
    is_str(run_map("geo $arg_y $m { ranges; 0.0.0.0-255.255.255.254 x; default d; }", "$m"),
           "d", "an address that is none");
}

/* One pattern that never ends by itself: the limit does. */
static void test_match_limit(void)
{
    char conf[] = "server { if ($arg_long ~ \"^(a+)+$\") { return 200 yes; } return 200 no; }";
    static char long_head[512];
    (void)snprintf(long_head, sizeof(long_head),
                   "GET /?long=%040d%s HTTP/1.1\r\nHost: a\r\n\r\n", 0, "!");
    for (char *p = strstr(long_head, "long=") + 5; *p == '0'; p++)
        *p = 'a';
    is_int(kit_load(wr_span_str(conf)), 0, "loads");
    is_int(kit_begin(wr_span_str(long_head)), 0, "begins");
    is_int(kit_run(), 500, "given up");
    ok(strstr(kit.errors, "pcre2_match() failed") != NULL, "%.80s", kit.errors);
}

int main(void)
{
    static struct mem_kit mem;
    if (mem_kit_init(&mem, wr_heap_libc(), NULL) || kit_init(&mem.arenas))
        return 1;
    test_values();
    test_refused();
    test_by_name();
    test_map();
    test_match_limit();
    kit_deinit();
    mem_kit_deinit(&mem);
    return tap_done();
}
