/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The whole way of requests over a socket pair: parser, site, phases, rewriting, files, filters, subrequests, error
 * pages, sink. The configuration is fixed; two bytes say how the request bytes are cut and how the client ends,
 * the rest is what it sends.
 *
 * After each: every request is over, its memory is back, and what the client got begins as an answer does.
 */
#include "libweir/base/assert.h"
#include "libweir/os/os.h"
#include "weir/web/load.h"
#include "weir/web/worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define IN_MAX    16384
#define TURNS_MAX 400

static const char text[] =
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
    " location /nest/ { location /nest/in/ { return 200 in; } location ~ \\.x$ { return 200 "
    "$1; } }\n"
    "}\n"
    "server { listen unix:@/s; server_name b.test; return 301 $scheme://$host$request_uri; } "
    "}\n";

struct fuzz {
    struct wr_loop *loop;
    struct web_config *config;
    struct web_worker worker;
};

static void say(void *ctx, int severity, const char *message, const char *hint)
{
    (void)ctx;
    if (severity == WEB_SAY_EMERG)
        (void)fprintf(stderr, "%s %s\n", message, hint ? hint : "");
}

/* The text with the folder in place of each '@' before a slash. */
static char *with_folder(const char *folder)
{
    char *out = calloc(1, sizeof(text) + 256), *at = out;
    WR_ASSERT(out);
    for (const char *p = text; *p; p++) {
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

static void put_file(const char *folder, const char *name, const char *content, unsigned times)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/html/%s", folder, name);
    FILE *f = fopen(path, "w");
    WR_ASSERT(f);
    while (times--)
        (void)fputs(content, f);
    (void)fclose(f);
}

static struct fuzz *start(void)
{
    static struct fuzz f;
    static char folder[] = "/tmp/weir-request-fuzz-XXXXXX";
    if (f.loop)
        return &f;
    WR_ASSERT(mkdtemp(folder));
    char prefix[64], path[64];
    (void)snprintf(prefix, sizeof(prefix), "%s/", folder);
    (void)snprintf(path, sizeof(path), "%s/html", folder);
    WR_ASSERT(mkdir(path, 0700) == 0);
    (void)snprintf(path, sizeof(path), "%s/html/d", folder);
    WR_ASSERT(mkdir(path, 0700) == 0);
    put_file(folder, "a.txt", "aaaa\n", 1);
    put_file(folder, "b.txt", "bbbb bbbb\n", 2000);
    put_file(folder, "d/index.html", "index\n", 1);
    char *all = with_folder(folder);
    struct web_source source = {.prefix = prefix, .path = "fuzz.conf", .text = all, .say = say};
    WR_ASSERT(web_load(wr_os_heap(), &source, NULL, &f.config) == 0);
    free(all);
    WR_ASSERT(wr_loop_new(&(struct wr_loop_options){.heap = wr_os_heap()}, &f.loop) == 0);
    f.worker.loop = f.loop;
    WR_ASSERT(web_worker_start(&f.worker, f.config->generation, NULL, 0) == 0);
    WR_ASSERT(f.worker.ndoors == 1);
    return &f;
}

/* What came; keeps the first bytes. */
static size_t drain(int fd, char *out, size_t room, bool *eof)
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

static void send_cut(struct fuzz *f, int fd, const char *p, size_t n, size_t cut)
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz *f = start();
    int fds[2];
    char got[16] = "";
    size_t have = 0;
    bool eof = false;
    if (size < 2 || size > IN_MAX)
        return 0;
    WR_ASSERT(wr_os_socketpair(AF_UNIX, SOCK_STREAM, fds) == 0);
    wr_os_set_nonblocking(fds[0], true);
    (void)wr_http_server_adopt(f->worker.doors[0].http, fds[1]);
    send_cut(f, fds[0], (const char *)data + 2, size - 2, data[0] & 0x7f);
    if (data[1] & 1)
        (void)wr_os_shutdown(fds[0], SHUT_WR);
    for (int i = 0; i < TURNS_MAX && !eof && !(data[1] & 2); i++) {
        WR_ASSERT(wr_loop_turn(f->loop, 0) == 0);
        have += drain(fds[0], got + have, sizeof(got) - 1 - have, &eof);
        if (i > 3 && wr_pool_live(&f->worker.requests) == 0 && !(data[1] & 1))
            break;
    }
    WR_ASSERT(have < 9 || memcmp(got, "HTTP/1.1 ", 9) == 0);
    wr_os_close(fds[0]);
    for (int i = 0; i < TURNS_MAX; i++) {
        WR_ASSERT(wr_loop_turn(f->loop, 0) == 0);
        if (web_worker_stats(&f->worker).open == 0)
            break;
    }
    WR_ASSERT(web_worker_stats(&f->worker).open == 0);
    WR_ASSERT(wr_pool_live(&f->worker.requests) == 0);
    return 0;
}
