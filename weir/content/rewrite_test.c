/* SPDX-License-Identifier: BSD-2-Clause */
/* Rewriting: the order of steps, conditions, captures, queries, and what is refused. */
#include "weir/web/vars_kit.h"

#include "tests/mem_kit.h"
#include "tests/nth.h"
#include "tests/tap.h"

static const char *run(const char *conf, const char *target)
{
    static char head[1024], out[64];
    (void)snprintf(head, sizeof(head), "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", target);
    if (kit_load(wr_span_str(conf)))
        return kit.said;
    if (kit_begin(wr_span_str(head)))
        return "no request";
    int rc = kit_run();
    if (rc == WEB_DONE)
        return kit.answer;
    (void)snprintf(out, sizeof(out), "rc %d", rc);
    return out;
}

#define SHOW "location /show { return 200 \"$uri|$args\"; } "

static void test_rewrite(void)
{
    is_str(run("server { rewrite ^/a/(.*) /show/$1; " SHOW "}", "/a/b?c"), "200 /show/b|c",
           "in a server");
    is_str(run("server { location /a { rewrite ^/a(.*) /show$1?x=$1 last; } " SHOW "}",
               "/a%20b?c"),
           "200 /show b|x=%20b&c", "arguments are encoded as they came");
    is_str(run("server { location /a { rewrite ^ /show? last; } " SHOW "}", "/a?c"),
           "200 /show|", "a last ? drops the arguments");
    is_str(run("server { location /a { rewrite ^ /show break; return 200 no; } }", "/a"),
           "rc 0", "break ends the steps");
    is_str(run("server { location / { rewrite ^ /x last; } }", "/a"), "rc 500", "a circle");
    is_str(run("server { location /a { rewrite ^/a(.*) http://h$1?q redirect; } }", "/a/b?c"),
           "302 http://h/b?q&c", "a redirect");
    is_str(run("server { location /a { rewrite (?s)^/a(.*) /b$1 permanent; } }", "/a/%0d%0ax"),
           "301 /b/%0D%0Ax", "control bytes stay encoded");
    is_str(run("server { location /a { rewrite ^ $arg_f last; } }", "/a?f=/../etc/passwd"),
           "rc 400", "never above the root");
    is_str(run("server { location /a { rewrite ^ $arg_f last; } }", "/a"), "rc 500",
           "an empty URI");
    is_str(run("server { location /a { return 302 $uri; } }", "/a%0aSet-Cookie:x"),
           "302 /a%0ASet-Cookie:x", "a Location is one line");
}

static void test_if(void)
{
    static const char *const cases[][3] = {
        {"($arg_a)",            "/?a=1",     "200 yes"},
        {"($arg_a)",            "/?a=0",     "200 no" },
        {"($arg_a)",            "/?a=00",    "200 yes"},
        {"($arg_a)",            "/",         "200 no" },
        {"( $arg_a = 1 )",      "/?a=1",     "200 yes"},
        {"($arg_a = 1)",        "/?a=2",     "200 no" },
        {"($arg_a != 1)",       "/?a=2",     "200 yes"},
        {"($arg_a != 1)",       "/?a=1",     "200 no" },
        {"($arg_a = $arg_b)",   "/?a=1&b=1", "200 yes"},
        {"($arg_a ~ ^[A-Z]$)",  "/?a=B",     "200 yes"},
        {"($arg_a ~ ^[A-Z]$)",  "/?a=b",     "200 no" },
        {"($arg_a ~* ^[A-Z]$)", "/?a=b",     "200 yes"},
        {"($arg_a !~ x)",       "/?a=x",     "200 no" },
        {"($arg_a !~* X)",      "/?a=x",     "200 no" },
        {"($arg_a !~* X)",      "/?a=y",     "200 yes"},
        {"(-d /)",              "/",         "200 yes"},
        {"(-f /)",              "/",         "200 no" },
        {"(!-f /)",             "/",         "200 yes"},
        {"(-e /nothing/here)",  "/",         "200 no" },
        {"(!-e /nothing/here)", "/",         "200 yes"},
        {"(-x /bin/sh)",        "/",         "200 yes"},
    };
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        char conf[256];
        (void)snprintf(conf, sizeof(conf),
                       "server { location / { if %s { return 200 yes; } return 200 no; } }",
                       cases[i][0]);
        is_str(run(conf, cases[i][1]), cases[i][2], "if %s %s", cases[i][0], cases[i][1]);
    }
    is_str(run("server { location / { if ($uri ~ /(.)(.)) { set $x $2$1; } return 200 $x; } }",
               "/ab"),
           "200 ba", "captures of a condition");
    is_str(run("server { set $v a; if ($arg_q) { set $v b; } location / { return 200 $v; } }",
               "/?q=1"),
           "200 b", "in a server");
    is_str(run("server { location / { if ($arg_q) { break; } return 200 x; } }", "/?q=1"),
           "rc 0", "break leaves the outer list too");
}

static void test_refused(void)
{
    static const char *const bad[][2] = {
        {"if ($a = ) { }",     "invalid condition"             },
        {"if $uri { }",        "invalid condition"             },
        {"if ($uri == /) { }", "unexpected \"==\" in condition"},
        {"if (-q /x) { }",     "invalid condition"             },
        {"if (-f) { }",        "invalid condition"             },
        {"if (uri = x) { }",   "invalid condition"             },
        {"return 1000;",       "invalid return code \"1000\""  },
        {"return x;",          "invalid return code \"x\""     },
        {"set x y;",           "invalid variable name \"x\""   },
        {"set $ y;",           "invalid variable name \"$\""   },
        {"rewrite ^ /x both;", "invalid parameter \"both\""    },
        {"rewrite ( /x;",      "pcre2_compile() failed"        },
    };
    for (size_t i = 0; i < WR_ARRAY_LEN(bad); i++) {
        char conf[256];
        (void)snprintf(conf, sizeof(conf), "server { location / { %s } }", bad[i][0]);
        const char *said = run(conf, "/");
        ok(strstr(said, bad[i][1]) != NULL, "%s: %s", bad[i][0], said);
    }
}

static void test_log(void)
{
    (void)run("server { rewrite_log on; rewrite ^/(a) /$1b; }", "/a");
    is_str(kit.errors, "\"^/(a)\" matches \"/a\"rewritten data: \"/ab\", args: \"\"",
           "rewrite_log says what was done");
    (void)run("server { location / { if ($arg_q) { set $v 1; } return 200 $v; } }", "/");
    is_str(kit.errors, "using uninitialized \"v\" variable", "an unset variable is warned of");
    (void)run(
        "server { uninitialized_variable_warn off; location / { if ($arg_q) { set $v 1; } "
        "return 200 $v; } }",
        "/");
    is_str(kit.errors, "", "unless that is off");
}

/* A configuration and a request whose memory is refused at every place where more is asked for. */
static int refused_memory(const struct wr_heap *heap, void *arg)
{
    struct mem_kit mem;
    int err = mem_kit_init(&mem, heap, NULL);
    if (err)
        return err;
    err = kit_init(&mem.arenas);
    if (!err) {
        err = kit_load(wr_span_str(arg));
        if (!err)
            err = kit_begin(WR_LIT("GET /a%20b?x=1 HTTP/1.1\r\nHost: h\r\n\r\n"));
        if (!err) {
            int rc = kit_run();
            err = rc == 500 ? -ENOMEM : 0;
        }
        kit_deinit();
    }
    mem_kit_deinit(&mem);
    return err;
}

static void test_refused_memory(void)
{
    static char conf[65536];
    size_t n = (size_t)snprintf(conf, sizeof(conf), "map $uri $m { ~^/(.*) $1; } server { ");
    for (int i = 0; i < 200; i++) /* the arenas ask for blocks: fill some */
        n += (size_t)snprintf(conf + n, sizeof(conf) - n,
                              "set $v%d \"$m-%060d-$uri-$args-$v%d\"; ", i, i, i / 2);
    (void)snprintf(conf + n, sizeof(conf) - n,
                   "rewrite ^/a(.*) /b$1?$m; location / { return 200 $v199; } }");
    nth_every("configuration and request", refused_memory, conf);
}

int main(void)
{
    static struct mem_kit mem;
    if (mem_kit_init(&mem, wr_heap_libc(), NULL) || kit_init(&mem.arenas))
        return 1;
    test_rewrite();
    test_if();
    test_refused();
    test_log();
    kit_deinit();
    mem_kit_deinit(&mem);
    test_refused_memory();
    return tap_done();
}
