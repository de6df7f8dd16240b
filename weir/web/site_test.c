/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/mem_kit.h"
#include "tests/tap.h"

#include "weir/web/load.h"
#include "weir/web/site_private.h"

static char said[4096];

static void say(void *ctx, int severity, const char *text, const char *hint)
{
    (void)ctx, (void)severity, (void)hint;
    size_t n = strlen(said);
    (void)snprintf(said + n, sizeof(said) - n, "%s; ", text);
}

static int load(const char *text, struct web_config **out)
{
    struct web_source source = {
        .prefix = "/tmp/", .path = "/tmp/x.conf", .text = text, .say = say};
    said[0] = '\0';
    return web_load(wr_heap_libc(), &source, NULL, out);
}

/* Loads `events {} http { server { TEXT } }`. */
static int load_server(const char *text, struct web_config **out)
{
    char all[4096];
    (void)snprintf(all, sizeof(all), "events {} http { server { %s } }", text);
    return load(all, out);
}

/* ---- names ------------------------------------------------------------------------------------------------------------ */

static void test_names(void)
{
    static const struct {
        const char *host, *server;
    } rows[] = {
        {"example.org",        "example.org"                 },
        {"www.example.org",    "www.example.org"             }, /* exact before any wildcard */
        {"x.example.org",      "example.org"                 }, /* .example.org */
        {"a.b.example.org",    "example.org"                 },
        {"a.long.example.org", "*.long.example.org"          }, /* the longest suffix */
        {"mail.net",           "mail.*"                      },
        {"mail.co.uk",         "mail.*"                      },
        {"www.mail.co.uk",     "www.mail.*"                  }, /* the longest prefix */
        {"mail.example.org",   "example.org"                 }, /* suffixes before prefixes */
        {"r12.test",           "~^r(?<digits>[0-9]+)\\.test$"},
        {"rx.test",            "~^r"                         }, /* the first pattern that matches */
        {"nobody.test",        "default"                     },
        {"",                   "empty"                       },
        {"org",                "default"                     },
        {".",                  "default"                     },
    };
    struct web_config *c;
    int err = load("events {} http {"
                   "server { listen 80; server_name x1 default; }"
                   "server { listen 80; server_name .example.org; }"
                   "server { listen 80; server_name www.example.org; }"
                   "server { listen 80; server_name *.long.example.org; }"
                   "server { listen 80; server_name mail.*; }"
                   "server { listen 80; server_name www.mail.*; }"
                   "server { listen 80; server_name \"~^r(?<digits>[0-9]+)\\.test$\"; }"
                   "server { listen 80; server_name ~^r; }"
                   "server { listen 80 default_server; server_name default; }"
                   "server { listen 80; server_name empty \"\"; }"
                   "}",
                   &c);
    is_int(err, 0, "names: loads%s%s", err ? ": " : "", said);
    if (err)
        return;
    const struct web_listen *l = c->generation->listens[0];
    is_int(c->generation->nlistens, 1, "one address");
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        const struct web_server *s = site_server(l, NULL, wr_span_str(rows[i].host));
        ok(wr_span_eq(s->name, wr_span_str(rows[i].server)), "\"%s\" is %s, got %.*s",
           rows[i].host, rows[i].server, WR_SPANF(s->name));
    }
    ok(strstr(said, "conflicting server name \"default\" on"), "a name taken twice is said: %s",
       said);
    web_config_free(&c);
}

/* ---- locations ----------------------------------------------------------------------------------------------------------- */

static const struct web_location *find(struct web_server *s, struct wr_arena *arena,
                                       const char *uri, enum site_found *found)
{
    struct web_req r = {.server = s, .location = s->outer, .arena = arena};
    const struct web_location *l = NULL;
    r.main = &r;
    r.uri = wr_span_str(uri);
    *found = site_location(&r, &l);
    return *found == SITE_NONE ? NULL : l;
}

static void test_locations(void)
{
    static const struct {
        const char *uri, *name;
    } rows[] = {
        {"/",                   "/"                 },
        {"/x",                  "/"                 },
        {"/index.html",         "/index.html"       }, /* = */
        {"/index.htm",          "/"                 },
        {"/index.html/",        "/"                 },
        {"/documents/",         "/documents/"       },
        {"/documents/doc.html", "/documents/"       },
        {"/documents/1.jpg",    "\\.(gif|jpg|jpeg)$"}, /* a pattern before a plain prefix */
        {"/images/1.gif",       "/images/"          }, /* ^~: no patterns */
        {"/a/b",                "/a"                },
        {"/a/bc",               "/a"                },
        {"/ab/cd",              "/ab/c"             },
        {"/abc",                "/abc"              }, /* both exact and prefix: exact */
        {"/abcd",               "/abc"              },
        {"/nest/",              "/nest/"            },
        {"/nest/in/x",          "/nest/in/"         },
        {"/nest/in/deep/x",     "/nest/in/deep/"    },
        {"/nest/x.txt",         "\\.txt$"           },
        {"/nest/eq",            "/nest/eq"          },
        {"/nest/eq/",           "/nest/"            },
        {"/nest/in/y.jpg",      "\\.(gif|jpg|jpeg)$"},
        {"/CASE.PNG",           "\\.png$"           },
    };
    struct web_config *c;
    struct mem_kit kit;
    struct wr_arena arena;
    int err = load_server(
        "location / {} location = /index.html {} location /documents/ {}"
        "location ^~ /images/ {} location ~* \\.(gif|jpg|jpeg)$ {} location ~* \\.png$ {}"
        "location /a {} location /ab/c {} location = /abc {} location /abc {} location /ab {}"
        "location /nest/ { location /nest/in/ { location /nest/in/deep/ {} }"
        " location ~ \\.txt$ {} location = /nest/eq {} }"
        "location @n {}",
        &c);
    is_int(err, 0, "locations: loads%s%s", err ? ": " : "", said);
    if (err || mem_kit_init(&kit, wr_heap_libc(), NULL))
        return;
    wr_arena_init(&arena, &kit.arenas, NULL, WR_ARENA_CHUNK);
    struct web_server *s = c->generation->servers[0];
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        enum site_found found;
        const struct web_location *l = find(s, &arena, rows[i].uri, &found);
        struct wr_span name = l ? l->name : WR_LIT("none");
        ok(wr_span_eq(name, wr_span_str(rows[i].name)), "\"%s\" is in %s, got %.*s",
           rows[i].uri, rows[i].name, WR_SPANF(name));
    }
    ok(site_named(s, WR_LIT("@n")) && !site_named(s, WR_LIT("@m")), "named locations");
    wr_arena_deinit(&arena);
    mem_kit_deinit(&kit);
    web_config_free(&c);
}

/* ---- listen ----------------------------------------------------------------------------------------------------------------- */

static void test_listen(void)
{
    struct web_config *c;
    int err = load("events {} http {"
                   "server { listen 8000-8002; listen [::]:80; listen unix:/tmp/s; }"
                   "server { listen 127.0.0.1:8001; listen 127.0.0.2:8001 backlog=7; "
                   "listen *:9 deferred=off reuseport so_keepalive=1m::3 congestion=cubic; } }",
                   &c);
    is_int(err, 0, "listen: loads%s%s", err ? ": " : "", said);
    if (err)
        return;
    struct web_generation *g = c->generation;
    is_int(g->nlistens, 8, "eight addresses");
    struct web_listen *wild = g->listens[1], *inner = g->listens[5], *own = g->listens[6],
                      *nine = g->listens[7];
    ok(wild->wild && wild->bind && wild->ninner == 1 && wild->inner[0] == inner,
       "127.0.0.1:8001 comes in by *:8001");
    ok(!inner->bind && own->bind && own->options.backlog == 7,
       "an address with parameters has a socket of its own");
    ok(site_listen(wild, &inner->options.addr) == inner &&
           site_listen(wild, &own->options.addr) == wild,
       "by local address");
    ok(wild->options.defer_accept_s > 0 && nine->options.defer_accept_s == 0,
       "deferred unless it is off");
    ok(nine->options.reuseport && nine->keepalive_on && nine->keep_idle_s == 60 &&
           nine->keep_interval_s == 0 && nine->keep_count == 3 &&
           wr_span_eq(nine->options.congestion, WR_LIT("cubic")),
       "parameters");
    ok(wr_span_eq(g->listens[3]->text, WR_LIT("[::]:80")), "text");
    web_config_free(&c);
}

/* ---- mistakes --------------------------------------------------------------------------------------------------------------- */

static void test_mistakes(void)
{
    static const struct {
        const char *server, *text;
    } rows[] = {
        {"location /a {} location /a {}",                  "duplicate location \"/a\""                        },
        {"location = /a {} location = /a {}",              "duplicate location \"/a\""                        },
        {"location @a {} location @a {}",                  "duplicate location \"@a\""                        },
        {"location /a { location /b {} }",                 "location \"/b\" is outside location \"/a\""       },
        {"location = /a { location /a/b {} }",             "cannot be inside the exact location \"/a\""       },
        {"location @a { location /b {} }",                 "cannot be inside the named location \"@a\""       },
        {"location /a { location @b {} }",
         "named location \"@b\" can be on the server level only"                                              },
        {"location ! /a {}",                               "invalid location modifier \"!\""                  },
        {"listen 80; listen 80;",                          "a duplicate listen 0.0.0.0:80"                    },
        {"listen 0;",                                      "invalid port in \"0\" of the \"listen\" directive"},
        {"listen 80 foo;",                                 "invalid parameter \"foo\""                        },
        {"listen unix:;",                                  "no path in \"unix:\""                             },
        {"listen 80 accept_filter=x;",                     "accept filters"                                   },
        {"server_name *x.org;",                            "server name \"*x.org\" is invalid"                },
        {"server_name a.*.org; } server { server_name b;",
         "invalid server name or wildcard \"a.*.org\""                                                        },
        {"root /a; root /b;",                              "\"root\" directive is duplicate"                  },
        {"location / { root /a; alias /b; }",              "\"root\" directive was specified earlier"         },
        {"error_page 200 /x;",                             "value \"200\" must be between 300 and 599"        },
        {"error_page 404 =100 /x;",                        "\"=100\" is no status that ends an answer"        },
        {"error_page 404;",                                "invalid number of arguments"                      },
        {"client_max_body_size x;",                        "client_max_body_size"                             },
        {"location /a { limit_except FOO { } }",           "invalid method \"FOO\""                           },
    };
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        struct web_config *c;
        int err = load_server(rows[i].server, &c);
        ok(err && strstr(said, rows[i].text), "%s: %s", rows[i].server, said);
        if (!err)
            web_config_free(&c);
    }
    struct web_config *c;
    ok(load("events {} http { server { listen 80 default_server; } server { listen 80 "
            "default_server; } }",
            &c) &&
           strstr(said, "a duplicate default server for 0.0.0.0:80"),
       "two default servers: %s", said);
    ok(load(
           "events {} http { server { listen 80 backlog=1; } server { listen 80 backlog=2; } }",
           &c) &&
           strstr(said, "duplicate listen options for 0.0.0.0:80"),
       "two sets of options: %s", said);
    ok(load("http {}", &c) && strstr(said, "no \"events\" section"), "no events: %s", said);
}

int main(void)
{
    test_names();
    test_locations();
    test_listen();
    test_mistakes();
    return tap_done();
}
