/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/conf/kit.h"

#include "libweir/base/err.h"
#include "tests/mem_kit.h"
#include "tests/nth.h"
#include "tests/tap.h"

static struct mem_kit mem;
static struct wr_arena arena;
static struct conf_load load;
static struct conf_scope *top;
static struct kit_files files;
static struct conf_source source = {kit_read, kit_glob, kit_say, &files};

static int run_files(const struct kit_file *list, size_t n)
{
    wr_arena_reset(&arena, 0);
    files = (struct kit_files){.list = list, .n = n};
    return kit_load(&load, &arena, &source, list[0].name, &top);
}

static int run(const char *text)
{
    struct kit_file file = {"t.conf", wr_span_str(text)};
    return run_files(&file, 1);
}

static void good(const char *text)
{
    int err = run(text);
    ok(err == 0, "accepted: %.60s%s%s", text, err ? " -> " : "", err ? files.said : "");
}

static void bad(const char *text, const char *message)
{
    int err = run(text);
    is_str(files.said, message, "%s", message);
    if (err == 0)
        ok(false, "and it fails");
}

static struct kit_location *location_of(const struct conf_scope *scope)
{
    return scope->at[CONF_AT_LOCATION][1];
}

static void test_grammar(void)
{
    good("");
    good("# only a comment");
    good("env a;env 'b;c';env \"d{e}\"; env f}g#h;");
    struct kit_core *core = top->at[CONF_AT_CORE][0];
    is_int(core->env.n, 4, "four words");
    is_str(core->env.list[1].p, "b;c", "in quotes nothing ends a word");
    is_str(core->env.list[2].p, "d{e}", "nor in double ones");
    is_str(core->env.list[3].p, "f}g#h", "inside a word } and # are themselves");
    good("env ${a}b;env a\\ b;env \"a\\\"b\";env 'a\\tb\\.c\\\\d';env a\\;b; env $\\{;");
    core = top->at[CONF_AT_CORE][0];
    is_str(core->env.list[0].p, "${a}b", "a brace behind $ belongs to the word");
    is_str(core->env.list[1].p, "a\\ b", "a backslash before others stays");
    is_str(core->env.list[2].p, "a\"b", "an escaped quote is a quote");
    is_str(core->env.list[3].p, "a\tb\\.c\\d", "escapes of tab and backslash");
    is_str(core->env.list[4].p, "a\\;b", "an escaped semicolon does not end");
    bad("env a", "unexpected end of file, expecting \";\" or \"}\" in t.conf:1 | column 5; the "
                 "word that begins in line 1 never ends");
}

static void test_mistakes(void)
{
    bad("\nenv a\n", "unexpected end of file, expecting \";\" or \"}\" in t.conf:3 | column 1");
    bad("http {\n", "unexpected end of file, expecting \"}\" in t.conf:2 | column 1; the block "
                    "\"http\" of line 1 is still open");
    bad("\n}", "unexpected \"}\" in t.conf:2 | column 1; no block is open here");
    bad("\nhttp { server { server_name a } }",
        "unexpected \"}\" in t.conf:2 | column 31; is the \";\" missing behind \"a\" in line "
        "2?");
    bad("\n;", "unexpected \";\" in t.conf:2 | column 1");
    bad("\n {", "unexpected \"{\" in t.conf:2 | column 2");
    bad("\nenv \"a\"b;",
        "unexpected \"b\" in t.conf:2 | column 8; a space or \";\" must follow "
        "a closing quote");
    bad("\nenv \"a;\n\n", "unexpected end of file, expecting \";\" or \"}\" in t.conf:4 | line "
                          "2, column 5; the word that begins in line 2 never ends");
    bad("\nlisen 80;", "unknown directive \"lisen\" in t.conf:2 | column 1");
    bad("\n  worker 80;",
        "unknown directive \"worker\" in t.conf:2 | column 3; did you mean \"workers\"?");
    bad("\nhttp { etga on; }",
        "unknown directive \"etga\" in t.conf:2 | column 8; did you mean \"etag\"?");
    bad("\netga on;", "unknown directive \"etga\" in t.conf:2 | column 1; did you mean "
                      "\"etag\"? It may not stand here");
    bad("\nproxy_pass http://a;", "unknown directive \"proxy_pass\" in t.conf:2 | column 1; "
                                  "\"proxy_pass\" belongs to the "
                                  "proxy, which comes with a later part of weir");
    bad("\netag on;", "\"etag\" directive is not allowed here in t.conf:2 | column 1; it may "
                      "stand in: http, server, location");
    bad("\nworkers 1;\nworkers 1;",
        "\"workers\" directive is duplicate in t.conf:3 | column 1");
    bad("\nworkers 1\n{}",
        "directive \"workers\" is not terminated by \";\" in t.conf:3 | line 2, column 1");
    bad("\nhttp { size 1m\n etag on; }", "invalid number of arguments in \"size\" directive in "
                                         "t.conf:3 | line 2, column 8; is the \";\" missing "
                                         "behind \"1m\" in line 2?");
    bad("\nworkers 1\nhttp {}",
        "directive \"workers\" is not terminated by \";\" in t.conf:3 | "
        "line 2, column 1; is the \";\" missing behind \"1\" in line 2?");
    bad("\nhttp;", "directive \"http\" has no opening \"{\" in t.conf:2 | column 1");
    bad("\nworkers;", "invalid number of arguments in \"workers\" directive in t.conf:2 | "
                      "column 1; it is written: workers x");
    bad("\nhttp { etag maybe; }", "invalid value \"maybe\" in \"etag\" directive, it must be "
                                  "\"on\" or \"off\" in t.conf:2 | column 13");
    bad("\nworkers -1;", "\"workers\" directive invalid number in t.conf:2 | column 9; it is "
                         "written: workers x");
    bad("\nworkers 65;", "value must be between 1 and 64 in t.conf:2 | column 9");
    bad("\nhttp { size 1x; }",
        "\"size\" directive invalid value in t.conf:2 | column 13; it is written: size x");
    bad("\nhttp { mode x; }",
        "invalid value \"x\" in t.conf:2 | column 13; it is written: mode x");
    bad("\nhttp { map a b { c; } }",
        "invalid number of the map parameters in t.conf:2 | column 18");
    bad("\nhttp { map a b { c d; \"e\"f g; } } nonsense;",
        "unexpected \"f\" in t.conf:2 | column 26; a space or \";\" must follow a closing "
        "quote");
    bad("\nfirst;\n}", "unknown directive \"first\" in t.conf:2 | column 1");
}

static void test_inherit(void)
{
    good("http { size 2m; allow x; timeout 5; alone 3s;\n"
         "  server { etag off; deny y; location / { size off; header a b; }\n"
         "           location /b { location /b/c { mode on; } } }\n"
         "  server { server_name s; timeout off; header c d; location / { } } }");
    const struct conf_scope *http = top->first_child, *one = http->first_child,
                            *two = one->next, *a = one->first_child, *c = a->next->first_child;
    const struct kit_server *s1 = one->at[CONF_AT_SERVER][0], *s2 = two->at[CONF_AT_SERVER][0];
    is_int(((struct kit_core *)top->at[CONF_AT_CORE][0])->workers, 1, "a default at the top");
    is_int(s1->timeout, 5000, "a server takes http's");
    ok(s2->timeout == UINT64_MAX, "or has its own");
    is_str(s1->name.p, "none", "or the default");
    is_int(((struct kit_server *)http->at[CONF_AT_SERVER][0])->alone, 3, "alone in http");
    is_int(s1->alone, 0, "is not taken over");
    is_int(location_of(one)->size, 2 << 20, "locations take over too");
    ok(location_of(a)->size == UINT64_MAX && location_of(a)->later == 0, "until they say");
    is_int(location_of(c)->later, 1 << 20, "settle runs for inner ones, after the rows");
    ok(!location_of(c)->etag && location_of(two->first_child)->etag, "flags");
    is_int(location_of(c)->mode, 1, "enum");
    is_int(location_of(a)->mode, 2, "enum's default");
    is_int(location_of(a)->bits, 3, "bits' default");
    ok(location_of(a)->bufs.n == 2 && location_of(a)->bufs.size == 32768, "bufs' default");
    is_int(location_of(two)->rules.n, 1, "rules of http");
    is_str(location_of(two)->rules.list[0].p, "x", "are the second server's");
    is_str(location_of(one)->rules.list[0].p, "y", "the first has its own, and only those");
    is_int(location_of(one)->rules.n, 1, "all or none");
    is_int(location_of(http)->headers.n, 0, "no default: zero");
    is_int(location_of(two->first_child)->headers.n, 2, "a list goes inwards");
    ok(conf_scope_has(one, CONF_AT_LOCATION, 1, offsetof(struct kit_location, rules)) &&
           !conf_scope_has(two, CONF_AT_LOCATION, 1, offsetof(struct kit_location, rules)),
       "who has said it himself is known");
    good("http { }");
    is_int(location_of(top->first_child)->rules.n, 1, "one default of rows that share a field");
    is_str(files.said, "", "a default warns nobody");
    good("http { bits a a; }");
    is_str(files.said, "warn: duplicate value \"a\" in t.conf:1 | column 15", "a warning");
}

static void test_include(void)
{
    const struct kit_file list[] = {
        {"main.conf",  WR_LIT("workers 2;\ninclude a.conf;\nhttp { include d/*.conf;\n}\n")},
        {"a.conf",     WR_LIT("env a;\ninclude b.conf;\nenv c;")                           },
        {"b.conf",     WR_LIT("env b;")                                                    },
        {"d/1.conf",   WR_LIT("server {\n server_name one; }\n")                           },
        {"d/2.conf",   WR_LIT("server {\n server_name two;\n}\n map a b { include m; }")   },
        {"m",          WR_LIT("x y;")                                                      },
        {"loop.conf",  WR_LIT("env a; include loop2.conf;")                                },
        {"loop2.conf", WR_LIT("\ninclude loop.conf;")                                      },
        {"open.conf",  WR_LIT("http {\ninclude half.conf;\n}\n")                           },
        {"half.conf",  WR_LIT("server {\n\n")                                              },
        {"shut.conf",  WR_LIT("http {\ninclude brace;\n")                                  },
        {"brace",      WR_LIT("}\n")                                                       },
        {"gone.conf",  WR_LIT("env a;\ninclude nowhere;\nnonsense;\n")                     },
        {"none.conf",  WR_LIT("include nowhere/*;\n")                                      },
        {"two.conf",   WR_LIT("include a b;")                                              },
    };
    enum {
        N = WR_ARRAY_LEN(list)
    };
    is_int(run_files(list, N), 0, "includes in includes: %s", files.said);
    struct kit_core *core = top->at[CONF_AT_CORE][0];
    ok(core->env.n == 3 && strcmp(core->env.list[1].p, "b") == 0, "in their place");
    const struct conf_scope *one = top->first_child->first_child;
    is_str(((struct kit_server *)one->next->at[CONF_AT_SERVER][0])->name.p, "two",
           "by pattern");
    static const char *const cases[][2] = {
        {"loop.conf", "\"loop.conf\" includes itself in loop2.conf:2 | column 9; an include "
                      "must not lead back to its own file"                                },
        {"open.conf", "unexpected end of file, expecting \"}\" in half.conf:3 | column 1; "
                      "the block \"server\" of line 1 is still open"                      },
        {"shut.conf", "unexpected \"}\" in brace:1 | column 1; no block is open here"                          },
        {"gone.conf", "open() \"nowhere\" failed (2: No such file or directory) in gone.conf:2 "
                      "| column 9; relative names are looked for beside the first file"   },
        {"none.conf", ""                                                                                       },
        {"two.conf",
         "invalid number of arguments in \"include\" directive in two.conf:1 | column 1"                       },
        {"absent",    "open() \"absent\" failed (2: No such file or directory) | "
                   "a relative -c lies below the prefix (-p); `weir serve DIR` needs no file"},
    };
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        wr_arena_reset(&arena, 0);
        files = (struct kit_files){.list = list, .n = N};
        (void)kit_load(&load, &arena, &source, cases[i][0], &top);
        is_str(files.said, cases[i][1], "%s", cases[i][0]);
    }
}

static void test_nesting(void)
{
    char deep[8192] = "http { server { ";
    for (int i = 0; i < 100; i++)
        (void)snprintf(deep + strlen(deep), sizeof(deep) - strlen(deep), "location a { ");
    run(deep);
    is_str(files.said, "blocks are nested more than 64 deep in t.conf:1 | column 823",
           "there is an end");
}

static void test_readings(void)
{
    uint64_t v = 7;
    ok(conf_read_sec(WR_LIT("1m30s"), &v) == 0 && v == 90, "1m30s");
    ok(conf_read_sec(WR_LIT("10"), &v) == 0 && v == 10, "a bare number is seconds");
    is_int(conf_read_sec(WR_LIT("5ms"), &v), WR_E_SYNTAX, "no ms where seconds are asked for");
    ok(conf_read_msec(WR_LIT("5ms"), &v) == 0 && v == 5, "5ms");
    is_int(conf_read_size(WR_LIT("1kk"), &v), WR_E_SYNTAX, "1kk");
    ok(conf_read_size(WR_LIT("4G"), &v) == 0 && v == 4ULL << 30, "4G");
    ok(conf_known(WR_LIT("fastcgi_pass")) && conf_known(WR_LIT("upstream")) &&
           !conf_known(WR_LIT("upstreams")) && !conf_known(WR_LIT("listen")),
       "what is known");
}

static int scenario(const struct wr_heap *heap, void *arg)
{
    struct mem_kit k;
    struct wr_arena a;
    struct conf_load l;
    struct conf_scope *scope = NULL;
    int err = mem_kit_init(&k, heap, NULL);
    (void)arg;
    if (err)
        return err;
    wr_arena_init(&a, &k.arenas, NULL, WR_ARENA_SMALL);
    files.said[0] = 0;
    err = kit_load(&l, &a, &source, "t.conf", &scope);
    if (err && !files.said[0])
        err = 1; /* a failure that says nothing is a defect */
    wr_arena_deinit(&a);
    mem_kit_deinit(&k);
    return err;
}

static void test_refusals(void)
{
    static char text[4096] = "workers 3; http { header a b; map a b { c d; }\n";
    for (int i = 0; i < 40; i++)
        (void)snprintf(text + strlen(text), sizeof(text) - strlen(text),
                       "server { server_name s%d; location / { size 4k; allow z; } }\n", i);
    (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "}\n");
    const struct kit_file list[] = {
        {"t.conf", WR_LIT("include *;")},
        {"*",      wr_span_str(text)   },
    };
    files = (struct kit_files){.list = list + 1, .n = 1};
    struct kit_file one = {"t.conf", wr_span_str(text)};
    files.list = &one;
    nth_every("a configuration", scenario, NULL);
}

int main(void)
{
    if (mem_kit_init(&mem, wr_heap_libc(), NULL) < 0)
        abort();
    wr_arena_init(&arena, &mem.arenas, NULL, WR_ARENA_BLOCK);
    test_grammar();
    test_mistakes();
    test_inherit();
    test_include();
    test_nesting();
    test_readings();
    test_refusals();
    wr_arena_deinit(&arena);
    mem_kit_deinit(&mem);
    return tap_done();
}
