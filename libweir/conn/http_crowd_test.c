/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/conn/http_crowd.h"

#include "libweir/base/assert.h"
#include "libweir/conn/http_server.h"
#include "libweir/io/listen.h"
#include "tests/conn_kit.h"
#include "tests/tap.h"

/* Two servers, one limit. */
struct world {
    struct wr_loop *loop;
    struct wr_http_crowd crowd;
    struct wr_http_server *server[2];
    struct wr_http_req *held;
    uint32_t told, reused;
};

static void on_request(struct wr_http_req *req, void *arg)
{
    (void)arg;
    (void)wr_http_reply(req, 200, WR_LIT("text/plain"), WR_LIT("yes"));
}

static void on_full(struct wr_http_crowd *crowd, uint32_t reused)
{
    struct world *w = wr_container_of(crowd, struct world, crowd);
    w->told++;
    w->reused += reused;
}

static void turns(struct world *w, int n)
{
    while (n-- > 0)
        (void)wr_loop_turn(w->loop, 1);
}

static bool open_world(struct world *w, uint32_t max)
{
    *w = (struct world){0};
    if (wr_loop_new(NULL, &w->loop))
        return false;
    wr_http_crowd_init(&w->crowd, max);
    w->crowd.on_full = on_full;
    for (int i = 0; i < 2; i++)
        if (wr_http_server_open(w->loop,
                                &(struct wr_http_options){.addr = "127.0.0.1:0",
                                                          .on_request = on_request,
                                                          .crowd = &w->crowd},
                                &w->server[i]))
            return false;
    return true;
}

static void close_world(struct world *w)
{
    wr_http_server_close(&w->server[0]);
    wr_http_server_close(&w->server[1]);
    turns(w, 2);
    wr_loop_free(&w->loop);
}

static int client(struct world *w, int server)
{
    struct sockaddr_storage sa;
    socklen_t n;
    const struct wr_addr *a = wr_listener_addr(wr_http_server_listener(w->server[server]));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (wr_addr_to_sockaddr(a, &sa, &n) || connect(fd, (struct sockaddr *)&sa, n))
        WR_PANIC("no connection");
    turns(w, 4);
    return fd;
}

static bool asks(struct world *w, int fd)
{
    char got[256];
    if (send(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27, MSG_NOSIGNAL) != 27)
        return false;
    turns(w, 8);
    return recv(fd, got, sizeof got, MSG_DONTWAIT) > 0;
}

static bool paused(struct world *w, int server)
{
    return wr_listener_paused(wr_http_server_listener(w->server[server])) != 0;
}

static void test_limit(void)
{
    struct world w;
    ok(open_world(&w, 3), "two servers open");
    int a = client(&w, 0), b = client(&w, 1);
    ok(w.crowd.open == 2 && !paused(&w, 0) && !paused(&w, 1), "two of three places are taken");
    int c = client(&w, 1);
    ok(w.crowd.open == 3 && paused(&w, 0) && paused(&w, 1),
       "the third pauses both, whoever took it");
    ok(w.told == 1 && w.reused == 0, "which is told once");
    int d = client(&w, 0);
    ok(w.crowd.open == 3 && !asks(&w, d), "a fourth waits in the kernel");
    close(b);
    turns(&w, 8);
    char got[256];
    ok(w.crowd.open == 3 && recv(d, got, sizeof got, MSG_DONTWAIT) > 0,
       "until one of the other server leaves");
    close(a);
    close(c);
    close(d);
    turns(&w, 8);
    ok(w.crowd.open == 0 && !paused(&w, 0) && !paused(&w, 1), "all leave, both accept");
    close_world(&w);
}

static void test_reuse(void)
{
    struct world w;
    ok(open_world(&w, 2), "two servers open");
    int a = client(&w, 0);
    ok(asks(&w, a), "one asks, and idles");
    uint64_t until = kit_now_ms() + 1100;
    while (kit_now_ms() < until)
        turns(&w, 1);
    int b = client(&w, 1);
    char got[8];
    ok(recv(a, got, sizeof got, MSG_DONTWAIT) == 0,
       "who comes last has the place of who idles");
    ok(w.told == 1 && w.reused == 1 && w.crowd.reused == 1 && !paused(&w, 0),
       "no pause was needed");
    ok(asks(&w, b), "and is served");
    int c = client(&w, 0);
    ok(w.crowd.open == 2 && paused(&w, 0), "who has idled for a moment only stays");
    close(a);
    close(b);
    close(c);
    close_world(&w);
}

int main(void)
{
    test_limit();
    test_reuse();
    return tap_done();
}
