/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/linger.h"

#include "libweir/io/listen.h"
#include "libweir/io/scope.h"
#include "tests/net_kit.h"
#include "tests/nth.h"
#include "tests/tap.h"

#include <sys/ioctl.h>

static int last_fd;

static void on_accept(struct wr_listener *l, int fd, const struct wr_addr *peer, void *arg)
{
    (void)l;
    (void)peer;
    (void)arg;
    last_fd = fd;
}

/* A server end with n unread bytes, and its client. */
static int pair(struct wr_loop *loop, size_t n, int *out_client)
{
    static char junk[1 << 16];
    struct wr_listen_options o = {.addr = net_addr("127.0.0.1:0")};
    struct wr_listener *l = NULL;
    last_fd = -1;
    if (wr_listener_open(loop, &o, on_accept, NULL, &l))
        return -1;
    *out_client = net_connect(wr_listener_addr(l));
    (void)net_until(loop, 1000, last_fd >= 0);
    wr_listener_close(&l);
    while (n) {
        ssize_t put = wr_os_send(*out_client, junk, n < sizeof junk ? n : sizeof junk, 0);
        if (put <= 0)
            break;
        n -= (size_t)put;
    }
    net_turns(loop, 20);
    return last_fd;
}

/* The client's view: how much of the answer came, and how it ended. */
static size_t read_all(struct wr_loop *loop, int fd, ssize_t *out_end)
{
    static char buf[1 << 16];
    size_t sum = 0;
    ssize_t n = -EAGAIN;
    for (int i = 0; i < 200 && (n > 0 || n == -EAGAIN); i++) {
        n = wr_os_recv(fd, buf, sizeof buf, 0);
        sum += n > 0 ? (size_t)n : 0;
        if (n == -EAGAIN)
            net_turns(loop, 5);
    }
    *out_end = n;
    return sum;
}

static void test_answer_survives(struct wr_loop *loop)
{
    struct wr_scope scope;
    ssize_t end = 1;
    int client = -1, server = pair(loop, 60000, &client);
    wr_scope_init(&scope, loop, NULL, 0);
    ok(wr_os_send(server, "answer", 6, 0) == 6, "an answer while the request is unread");
    (void)wr_os_close(server);
    size_t n = read_all(loop, client, &end);
    is_int(end, -ECONNRESET, "a plain close resets the connection (%zu bytes came)", n);
    (void)wr_os_close(client);

    server = pair(loop, 60000, &client);
    ok(wr_os_send(server, "answer", 6, 0) == 6, "the same");
    is_int(wr_linger(&scope, server, 0, 0), 0, "lingering");
    n = read_all(loop, client, &end);
    is_int(n, 6, "the answer arrives");
    is_int(end, 0, "and a FIN behind it");
    is_int(wr_scope_pending(&scope), 1, "it waits for the client");
    (void)wr_os_close(client);
    ok(net_until(loop, 1000, wr_scope_pending(&scope) == 0), "and ends when that one leaves");
    wr_scope_deinit(&scope);
}

static void test_bounds(struct wr_loop *loop)
{
    struct wr_scope scope;
    int client = -1, server = pair(loop, 0, &client);
    wr_scope_init(&scope, loop, NULL, 0);
    is_int(wr_linger(&scope, server, 0, 300), 0, "lingering for 300 ms");
    net_turns(loop, 10);
    is_int(wr_scope_pending(&scope), 1, "not yet over");
    ok(net_until(loop, 1000, wr_scope_pending(&scope) == 0), "over");
    (void)wr_os_close(client);
    server = pair(loop, 50000, &client);
    is_int(wr_linger(&scope, server, 10000, 5000), 0, "lingering for 10000 bytes");
    ok(net_until(loop, 1000, wr_scope_pending(&scope) == 0), "over");
    (void)wr_os_close(client);
    server = pair(loop, 0, &client);
    is_int(wr_linger(&scope, server, 0, 0), 0, "lingering");
    wr_scope_cancel(&scope, WR_E_STOPPED);
    is_int(wr_scope_pending(&scope), 0, "a cancelled scope ends it");
    (void)wr_os_close(client);
    server = pair(loop, 0, &client);
    is_int(wr_linger(&scope, server, 0, 0), WR_E_STOPPED, "nothing lingers in a dead scope");
    ok(wr_os_shutdown(server, SHUT_WR) == -EBADF, "but the descriptor is closed");
    (void)wr_os_close(client);
    wr_scope_deinit(&scope);
}

static int scenario(const struct wr_heap *heap, void *arg)
{
    struct wr_loop_options lo = {.heap = heap};
    struct wr_loop *loop = NULL;
    struct wr_scope scope;
    int fds[2];
    (void)arg;
    int err = wr_loop_new(&lo, &loop);
    if (err)
        return err;
    wr_scope_init(&scope, loop, NULL, 0);
    err = wr_os_socketpair(AF_UNIX, SOCK_STREAM, fds);
    if (!err) {
        err = wr_linger(&scope, fds[0], 0, 0);
        (void)wr_os_close(fds[1]);
    }
    (void)wr_loop_turn(loop, 20);
    wr_scope_deinit(&scope);
    wr_loop_free(&loop);
    return err;
}

/* Who sends faster than we throw away takes turns with the others. */
static void test_turns(struct wr_loop *loop)
{
    struct wr_scope scope;
    static const char junk[1 << 16];
    int client = -1, server = pair(loop, 0, &client), queued = 0, size = 8 << 20;
    (void)wr_os_setsockopt(server, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    for (int i = 0; i < 200 && queued < 2 << 20; i++) {
        while (wr_os_send(client, junk, sizeof junk, 0) > 0)
            ;
        net_turns(loop, 2);
        (void)ioctl(server, FIONREAD, &queued);
    }
    if (queued < 1 << 20) {
        skip("the kernel's buffers are small");
        (void)wr_os_close(server);
        (void)wr_os_close(client);
        return;
    }
    wr_scope_init(&scope, loop, NULL, 0);
    is_int(wr_linger(&scope, server, 64u << 20, 0), 0, "lingering over %d bytes", queued);
    int left = queued;
    (void)wr_loop_turn(loop, 0);
    (void)ioctl(server, FIONREAD, &left);
    ok(left > 0 && queued - left <= (int)WR_IO_TURN_BYTES, "a turn's share of them: %d",
       queued - left);
    ok(net_until(loop, 2000, ioctl(server, FIONREAD, &left) == 0 && left == 0),
       "all of them in the end");
    wr_scope_deinit(&scope);
    (void)wr_os_close(client);
}

int main(void)
{
    struct wr_loop *loop = NULL;
    if (wr_loop_new(NULL, &loop))
        return 1;
    test_answer_survives(loop);
    test_bounds(loop);
    test_turns(loop);
    wr_loop_free(&loop);
    nth_every("linger", scenario, NULL);
    return tap_done();
}
