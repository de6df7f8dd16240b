/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A server's TLS stream under any bytes. The first byte chooses: raw bytes from the first one on, or a real client
 * that shakes hands, says the bytes, and then the same bytes raw. The second says how they are cut. What the server
 * read of the honest part is what was said; every read and write ends; all memory comes back.
 */
#include "libweir/base/assert.h"
#include "libweir/base/err.h"
#include "libweir/base/heap.h"
#include "libweir/io/loop.h"
#include "libweir/io/tls.h"
#include "libweir/os/os.h"
#include "tests/tls_kit.h"

#include <errno.h>
#include <string.h>

#define ROUNDS 100000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct ends {
    struct wr_loop *loop;
    struct wr_stream server, client;
    char got[1 << 17];
    size_t got_n;
    bool over; /* the server has read its end or an error */
};

/* The server reads, and answers what it reads with as much. */
static void serve(struct ends *e)
{
    char buf[5000];
    for (int i = 0; i < 100 && !e->over; i++) {
        wr_stream_events(&e->server, EPOLLIN | EPOLLOUT);
        ssize_t n = wr_stream_read(&e->server, buf, sizeof buf);
        (void)!wr_stream_flush(&e->server);
        if (n == -EAGAIN)
            return;
        e->over = n <= 0;
        if (n > 0 && e->got_n + (size_t)n <= sizeof e->got)
            memcpy(e->got + e->got_n, buf, (size_t)n);
        e->got_n += n > 0 ? (size_t)n : 0;
        ssize_t put = n > 0 ? wr_stream_write(&e->server, buf, (size_t)n) : -EAGAIN;
        WR_ASSERT(put != 0);
    }
}

static void listen_to(struct wr_stream *client)
{
    char buf[20000];
    wr_stream_events(client, EPOLLIN | EPOLLOUT);
    for (int i = 0; i < 20 && wr_stream_read(client, buf, sizeof buf) > 0; i++)
        ;
    (void)!wr_stream_flush(client);
}

static void say(struct ends *e, const uint8_t *p, size_t n, size_t cut)
{
    for (int i = 0; i < ROUNDS && n && !e->over; i++) {
        ssize_t put = wr_stream_write(&e->client, p, n < cut ? n : cut);
        if (put > 0) {
            p += put;
            n -= (size_t)put;
        } else if (put != -EAGAIN) {
            break;
        }
        serve(e);
        listen_to(&e->client);
    }
}

static void throw_in(struct ends *e, const uint8_t *p, size_t n, size_t cut)
{
    while (n && !e->over) {
        size_t piece = n < cut ? n : cut;
        if (wr_os_send(e->client.fd, p, piece, 0) != (ssize_t)piece)
            break;
        p += piece;
        n -= piece;
        serve(e);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static SSL_CTX *server_ctx, *client_ctx;
    static struct ends e;
    struct wr_heap_counting heap;
    int s[2];
    if (size < 2 || size > 60000)
        return 0;
    if (!server_ctx) {
        server_ctx = tls_kit_server();
        client_ctx = tls_kit_client(0);
    }
    wr_heap_counting_init(&heap, wr_heap_libc());
    e.over = false;
    e.got_n = 0;
    WR_ASSERT(wr_loop_new(&(struct wr_loop_options){.heap = &heap.heap}, &e.loop) == 0);
    WR_ASSERT(wr_os_socketpair(AF_UNIX, SOCK_STREAM, s) == 0);
    struct wr_tls_options so = {.detect_plain = data[0] & 2,
                                .record_max = data[0] & 4 ? 600 : 0};
    struct wr_tls_options co = {.client = true};
    struct wr_span none = {0};
    WR_ASSERT(wr_tls_stream_init(&e.server, s[0], server_ctx, e.loop, &so, none) == 0);
    WR_ASSERT(wr_tls_stream_init(&e.client, s[1], client_ctx, e.loop, &co, none) == 0);
    size_t cut = 1 + (size_t)data[1] * 40, n = size - 2;
    if (data[0] & 1) {
        say(&e, data + 2, n, cut);
        serve(&e);
        WR_ASSERT(e.got_n == n && memcmp(e.got, data + 2, n) == 0);
    }
    throw_in(&e, data + 2, n, cut);
    (void)wr_os_shutdown(s[1], SHUT_WR);
    serve(&e);
    WR_ASSERT(e.over || e.server.held);
    wr_stream_bye(&e.server);
    wr_stream_close(&e.server);
    wr_stream_close(&e.client);
    wr_loop_free(&e.loop);
    WR_ASSERT(heap.objects == 0);
    return 0;
}
