/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WEB_REQUEST_KIT_H
#define WEB_REQUEST_KIT_H

/*
 * A site with a bit of everything, a worker for it, and connections over socket pairs: for the test and the fuzz
 * target of the way of a request.
 */

#include "libweir/base/assert.h"
#include "libweir/base/mem_budget.h"
#include "libweir/os/os.h"
#include "weir/web/load.h"
#include "weir/web/worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define KIT_TURNS 400

enum {
    KIT_FIN = 1,   /* the client sends a FIN behind its bytes */
    KIT_LEAVE = 2, /* and does not wait for answers */
};

#define KIT_T100                                         \
    "TTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTT" \
    "TTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTT"
#define KIT_T1000 \
    KIT_T100 KIT_T100 KIT_T100 KIT_T100 KIT_T100 KIT_T100 KIT_T100 KIT_T100 KIT_T100 KIT_T100

static const char kit_text[] =
    "events {} pid x; http { access_log off; error_log /dev/null crit;\n"
    "map $arg_m $mapped { default none; a A; ~^b(?<rest>.*) $rest; }\n"
    "server { listen unix:@/s; server_name a.test *.w.test ~^r(?<n>[0-9]+)$;\n"
    " client_max_body_size 100; large_client_header_buffers 4 1k; error_page 404 /e404;\n"
    " location / { }\n"
    " location /e404 { internal; return 404 'not here: $uri $args'; }\n"
    " location = /eq { return 200 '$uri|$args|$host|$request_method|$mapped|$http_x'; }\n"
    " location /gz/ { alias html/; gzip on; gzip_min_length 1; gzip_types *; }\n"
    " location /sub { add_before_body /a.txt; add_after_body /eq; addition_types *;  "
    "   try_files /b.txt =404; }\n"
    " location /sf { alias html/b.txt; sub_filter b ccc; sub_filter_once off; sub_filter_types "
    "*; "
    "}\n"
    " location /auto/ { alias html/; autoindex on; }\n"
    " location /slow { limit_rate 100k; limit_rate_after 10; alias html/b.txt; }\n"
    " location ~ ^/re/(.*)/(.*)$ { rewrite ^/re/(.*)$ /eq?x=$1 last; }\n"
    " location /if { if ($arg_a) { return 302 /b?$args; } if ($request_method = POST) { return "
    "405; } "
    "   set $v $arg_b; add_header X-V $v; return 200 $v; }\n"
    " location /loop { rewrite ^ /loop; }\n"
    " location /loop2 { error_page 404 /loop2; recursive_error_pages on; return 404; }\n"
    " location /named { error_page 418 = @named; return 418; }\n"
    " location @named { return 200 'named $uri'; }\n"
    " location /lim { limit_except GET { deny all; } return 204; }\n"
    " location /sat { satisfy any; deny all; auth_basic x; auth_basic_user_file /nonexistent; "
    "}\n"
    " location /exp { expires 1h; charset utf-8; return 200 x; }\n"
    " location /tokens { server_tokens '" KIT_T1000 KIT_T1000 KIT_T1000 "'; return 200 x; }\n"
    " location /nest/ { location /nest/in/ { return 200 in; } location ~ \\.x$ { return 200 "
    "$1; } }\n"
    "}\n"
    "server { listen unix:@/s; server_name b.test; return 301 $scheme://$host$request_uri; } "
    "}\n";

struct kit {
    struct wr_loop *loop;
    struct web_config *config;
    struct web_worker worker;
    struct wr_budget budget;
};

static void kit_say(void *ctx, int severity, const char *message, const char *hint)
{
    (void)ctx;
    if (severity == WEB_SAY_EMERG)
        (void)fprintf(stderr, "%s %s\n", message, hint ? hint : "");
}

/* The text with the folder in place of each '@' before a slash. */
static char *kit_with_folder(const char *folder)
{
    char *out = calloc(1, sizeof(kit_text) + 256), *at = out;
    WR_ASSERT(out);
    for (const char *p = kit_text; *p; p++) {
        if (p[0] == '@' && p[1] == '/') {
            size_t n = strlen(folder);
            memcpy(at, folder, n);
            at += n;
        } else {
            *at++ = *p;
        }
    }
    return out;
}

static void kit_put_file(const char *folder, const char *name, const char *content,
                         unsigned times)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/html/%s", folder, name);
    FILE *f = fopen(path, "w");
    WR_ASSERT(f);
    while (times--)
        (void)fputs(content, f);
    (void)fclose(f);
}

/* The site, from a folder of its own. */
static struct web_config *kit_config(void)
{
    static char folder[] = "/tmp/weir-request-kit-XXXXXX";
    struct web_config *config;
    WR_ASSERT(mkdtemp(folder));
    char prefix[64], path[64];
    (void)snprintf(prefix, sizeof(prefix), "%s/", folder);
    (void)snprintf(path, sizeof(path), "%s/html", folder);
    WR_ASSERT(mkdir(path, 0700) == 0);
    (void)snprintf(path, sizeof(path), "%s/html/d", folder);
    WR_ASSERT(mkdir(path, 0700) == 0);
    kit_put_file(folder, "a.txt", "aaaa\n", 1);
    kit_put_file(folder, "b.txt", "bbbb bbbb\n", 2000);
    kit_put_file(folder, "d/index.html", "index\n", 1);
    char *all = kit_with_folder(folder);
    struct web_source source = {
        .prefix = prefix, .path = "kit.conf", .text = all, .say = kit_say};
    WR_ASSERT(web_load(wr_os_heap(), &source, NULL, &config) == 0);
    free(all);
    return config;
}

static void kit_start(struct kit *k, struct web_config *config, const struct wr_heap *heap)
{
    memset(k, 0, sizeof(*k));
    k->config = config;
    wr_budget_init(&k->budget, NULL, "kit", WR_BUDGET_NONE, WR_BUDGET_NONE);
    struct wr_loop_options o = {.heap = heap, .budget = &k->budget};
    WR_ASSERT(wr_loop_new(&o, &k->loop) == 0);
    k->worker.loop = k->loop;
    WR_ASSERT(web_worker_start(&k->worker, config->generation, NULL, 0) == 0);
    WR_ASSERT(k->worker.ndoors == 1);
}

static inline void kit_stop(struct kit *k)
{
    web_worker_close(&k->worker);
    for (int i = 0; i < 3; i++)
        WR_ASSERT(wr_loop_turn(k->loop, 0) == 0);
    web_worker_free(&k->worker);
    wr_loop_free(&k->loop);
}

/* What came; keeps the first bytes. */
static size_t kit_drain(int fd, char *out, size_t room, bool *eof)
{
    static char sink[65536];
    size_t all = 0;
    for (;;) {
        ssize_t n = wr_os_recv(fd, sink, sizeof(sink), 0);
        if (n <= 0) {
            *eof = n == 0 || n != -EAGAIN;
            return all;
        }
        size_t keep = (size_t)n < room ? (size_t)n : room;
        memcpy(out, sink, keep);
        out += keep;
        room -= keep;
        all += keep;
    }
}

static void kit_send(struct kit *f, int fd, const char *p, size_t n, size_t cut)
{
    while (n) {
        size_t some = cut && cut < n ? cut : n;
        ssize_t sent = wr_os_send(fd, p, some, MSG_NOSIGNAL);
        if (sent <= 0 && sent != -EAGAIN)
            return;
        if (sent > 0) {
            p += sent;
            n -= (size_t)sent;
        }
        WR_ASSERT(wr_loop_turn(f->loop, 0) == 0);
        if (sent == -EAGAIN)
            return;
    }
}

/* One connection: sends p in pieces of `cut` bytes (0: at once), then ends as `how` says. */
static void kit_exchange(struct kit *f, const char *p, size_t n, size_t cut, unsigned how)
{
    int fds[2];
    char got[16] = "";
    size_t have = 0;
    bool eof = false;
    WR_ASSERT(wr_os_socketpair(AF_UNIX, SOCK_STREAM, fds) == 0);
    wr_os_set_nonblocking(fds[0], true);
    (void)wr_http_server_adopt(f->worker.doors[0].http, fds[1]);
    kit_send(f, fds[0], p, n, cut);
    if (how & 1)
        (void)wr_os_shutdown(fds[0], SHUT_WR);
    for (int i = 0; i < KIT_TURNS && !eof && !(how & 2); i++) {
        WR_ASSERT(wr_loop_turn(f->loop, 0) == 0);
        have += kit_drain(fds[0], got + have, sizeof(got) - 1 - have, &eof);
        if (i > 3 && wr_pool_live(&f->worker.requests) == 0 && !(how & 1))
            break;
    }
    WR_ASSERT(have < 9 || memcmp(got, "HTTP/1.1 ", 9) == 0);
    wr_os_close(fds[0]);
    for (int i = 0; i < KIT_TURNS; i++) {
        WR_ASSERT(wr_loop_turn(f->loop, 0) == 0);
        if (web_worker_stats(&f->worker).open == 0)
            break;
    }
    WR_ASSERT(web_worker_stats(&f->worker).open == 0);
    WR_ASSERT(wr_pool_live(&f->worker.requests) == 0);
}

#endif
