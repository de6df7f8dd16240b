/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_TESTS_HTTP_WORLD_H
#define WR_TESTS_HTTP_WORLD_H

/*
 * A loop, an HTTP server without a listener, and one client at a time on the other end of a socket pair,
 * plain or TLS. The test fills options, opens, dials, sends text and looks at what arrived.
 */

#include "libweir/base/assert.h"
#include "libweir/conn/http_server.h"
#include "libweir/io/tls.h"
#include "libweir/os/os.h"
#include "tests/tap.h"

#include <errno.h>

struct http_world {
    struct wr_loop *loop;
    struct wr_http_server *server;
    struct wr_http_options options;
    struct wr_http_done done;
    unsigned dones;
    int client;
    struct wr_stream tls; /* the client's end, when it speaks TLS */
    char got[1 << 18];
    size_t got_n;
    bool eof;
    bool narrow; /* the server's sockets take little at once */
};

static inline void world_on_done(struct wr_http_req *req, const struct wr_http_done *done,
                                 void *arg)
{
    struct http_world *w = arg;
    (void)req;
    w->done = *done;
    w->dones++;
}

static inline int world_open(struct http_world *w, const struct wr_heap *heap)
{
    struct wr_loop_options lo = {.heap = heap};
    int err = wr_loop_new(&lo, &w->loop);
    if (err)
        return err;
    w->client = -1;
    w->options.arg = w;
    if (!w->options.on_done)
        w->options.on_done = world_on_done;
    return wr_http_server_open(w->loop, &w->options, &w->server);
}

static inline void world_turns(struct http_world *w, int n)
{
    for (int i = 0; i < n; i++)
        (void)wr_loop_turn(w->loop, 0);
}

static inline void world_pass_time(struct http_world *w, uint64_t ms)
{
    uint64_t until = wr_os_now_ns(CLOCK_MONOTONIC) + ms * 1000000u * tap_scale();
    while (wr_os_now_ns(CLOCK_MONOTONIC) < until)
        (void)wr_loop_turn(w->loop, 2);
}

static inline void world_hang_up(struct http_world *w)
{
    if (w->tls.ops)
        wr_stream_deinit(&w->tls);
    if (w->client >= 0)
        (void)wr_os_close(w->client);
    w->client = -1;
}

static inline int world_dial(struct http_world *w)
{
    int s[2];
    world_hang_up(w);
    if (wr_os_socketpair(AF_UNIX, SOCK_STREAM, s) != 0)
        WR_PANIC("no pair");
    int little = 4096;
    if (w->narrow)
        (void)wr_os_setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &little, sizeof little);
    w->client = s[1];
    w->got_n = 0;
    w->eof = false;
    return wr_http_server_adopt(w->server, s[0]);
}

/* From here on the client speaks TLS. */
static inline int world_dial_tls(struct http_world *w, struct ssl_ctx_st *ctx, const char *host)
{
    struct wr_tls_options o = {.client = true, .host = host};
    int err = world_dial(w);
    return err ? err
               : wr_tls_stream_init(&w->tls, w->client, ctx, w->loop, &o, (struct wr_span){0});
}

static inline ssize_t world_read(struct http_world *w)
{
    char *p = w->got + w->got_n;
    size_t n = sizeof w->got - 1 - w->got_n;
    if (!w->tls.ops)
        return wr_os_recv(w->client, p, n, 0);
    wr_stream_events(&w->tls, EPOLLIN | EPOLLOUT);
    (void)!wr_stream_flush(&w->tls);
    return wr_stream_read(&w->tls, p, n);
}

/* All that has come so far. */
static inline struct wr_span world_got(struct http_world *w)
{
    ssize_t n;
    while ((n = world_read(w)) > 0)
        w->got_n += (size_t)n;
    w->eof = n != -EAGAIN;
    w->got[w->got_n] = '\0';
    return wr_span(w->got, w->got_n);
}

static inline void world_send(struct http_world *w, const void *p, size_t n, bool bytewise)
{
    const char *text = p;
    for (size_t at = 0, step = bytewise ? 1 : n; at < n; at += step) {
        if (w->tls.ops) {
            for (int i = 0; i < 50 && wr_stream_write(&w->tls, text + at, step) <= 0; i++) {
                world_turns(w, 2);
                (void)world_got(w);
            }
        } else {
            (void)!wr_os_send(w->client, text + at, step, 0);
        }
        (void)wr_loop_turn(w->loop, 0);
    }
    for (int i = 0; i < 8; i++) {
        world_turns(w, 1);
        if (w->tls.ops)
            (void)world_got(w);
    }
}

static inline void world_say(struct http_world *w, const char *text, bool bytewise)
{
    world_send(w, text, strlen(text), bytewise);
}

/* Says it and hears the answer, from an empty buffer on. */
static inline struct wr_span world_ask(struct http_world *w, const char *text)
{
    w->got_n = 0;
    world_say(w, text, false);
    return world_got(w);
}

static inline bool world_has(struct wr_span s, const char *text)
{
    return wr_span_find(s, wr_span_str(text)) >= 0;
}

static inline bool world_balanced(struct http_world *w, unsigned under_way)
{
    struct wr_http_stats s = wr_http_server_stats(w->server);
    return s.begun == s.answered + s.refused + s.aborted + under_way;
}

static inline void world_close(struct http_world *w)
{
    world_hang_up(w);
    if (w->loop) {
        wr_http_server_close(&w->server);
        world_turns(w, 8);
        wr_loop_free(&w->loop);
    }
}

static inline struct http_world *world_new(void)
{
    static struct http_world w;
    memset(&w, 0, sizeof w);
    return &w;
}

#endif
