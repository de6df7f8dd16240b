/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/stream.h"

#include "libweir/base/chain.h"
#include "libweir/base/heap.h"
#include "libweir/io/sock.h"
#include "libweir/os/os.h"
#include "tests/mem_kit.h"
#include "tests/net_kit.h"
#include "tests/tap.h"

#include <errno.h>

static int pair(struct wr_stream *s, int *out_other)
{
    int fds[2];
    int err = wr_os_socketpair(AF_UNIX, SOCK_STREAM, fds);
    if (err)
        return err;
    wr_stream_init(s, fds[0]);
    *out_other = fds[1];
    return 0;
}

/* What is known without another system call. */
static void test_edges(void)
{
    struct wr_stream s;
    int other = -1;
    char buf[16];
    is_int(pair(&s, &other), 0, "a pair");
    ok(s.readable && s.writable, "both ways are tried first");
    is_int(wr_stream_read(&s, buf, sizeof buf), -EAGAIN, "dry");
    ok(!s.readable, "and known to be");
    (void)!wr_os_send(other, "abc", 3, 0);
    wr_stream_events(&s, EPOLLIN);
    ok(s.readable, "an edge");
    is_int(wr_stream_read(&s, buf, 2), 2, "a full read");
    ok(s.readable, "there may be more");
    is_int(wr_stream_read(&s, buf, sizeof buf), 1, "a short one");
    ok(!s.readable, "there is no more");
    (void)!wr_os_send(other, "d", 1, 0);
    (void)wr_os_shutdown(other, SHUT_WR);
    wr_stream_events(&s, EPOLLIN | EPOLLRDHUP);
    is_int(wr_stream_read(&s, buf, sizeof buf), 1, "a short read with the FIN announced");
    ok(s.readable, "goes on to the FIN: no edge will come");
    is_int(wr_stream_read(&s, buf, sizeof buf), 0, "the FIN");
    ok(s.eof, "is remembered");
    is_int(s.bytes_in, 4, "counted");
    is_int(wr_stream_write(&s, "xy", 2), 2, "the other way is open");
    is_int(wr_stream_shutdown(&s), 0, "until we end it");
    is_int(wr_stream_shutdown(&s), 0, "once");
    ok(wr_stream_write(&s, "z", 1) == -EPIPE, "and then it is not, without a signal");
    is_int(s.bytes_out, 2, "counted");
    wr_stream_close(&s);
    is_int(s.fd, -1, "closed");
    wr_stream_close(&s);
    (void)wr_os_close(other);
}

struct urgent {
    struct wr_io io;
    struct wr_stream s;
    char got[16];
    size_t n;
};

static void on_urgent(struct wr_io *io, uint32_t events)
{
    struct urgent *u = wr_container_of(io, struct urgent, io);
    wr_stream_events(&u->s, events);
    while (u->s.readable) {
        ssize_t n = wr_stream_read(&u->s, u->got + u->n, sizeof u->got - u->n);
        if (n <= 0)
            return;
        u->n += (size_t)n;
    }
}

/* The kernel ends a read at the urgent mark: that it was short does not mean that there is no more. */
static void test_urgent(void)
{
    struct wr_loop *loop = NULL;
    struct urgent u = {0};
    struct sockaddr_storage sa;
    socklen_t n = sizeof sa;
    struct wr_addr at = net_addr("127.0.0.1:0");
    int server = wr_os_socket(AF_INET, SOCK_STREAM, 0), client = -1, fd = -1;
    bool up = wr_loop_new(NULL, &loop) == 0 && wr_addr_to_sockaddr(&at, &sa, &n) == 0 &&
              wr_os_bind(server, (struct sockaddr *)&sa, n) == 0 &&
              wr_os_listen(server, 1) == 0 && wr_addr_of_socket(server, &at) == 0 &&
              (client = net_connect(&at)) >= 0 &&
              net_until(loop, 1000, fd >= 0 || (fd = wr_os_accept(server, NULL, NULL)) >= 0);
    ok(up, "a connection");
    wr_stream_init(&u.s, fd);
    is_int(wr_io_open(loop, &u.io, fd, WR_IO_EDGE, on_urgent), 0, "in a loop");
    net_turns(loop, 5);
    (void)!wr_os_send(client, "abc", 3, 0);
    (void)!wr_os_send(client, "!", 1, MSG_OOB);
    (void)!wr_os_send(client, "def", 3, 0);
    (void)net_until(loop, 1000, u.n == 6);
    ok(u.n == 6 && memcmp(u.got, "abcdef", 6) == 0, "what is before and behind it is read");
    wr_stream_deinit(&u.s);
    wr_io_close(&u.io);
    (void)wr_os_close(client);
    (void)wr_os_close(server);
    wr_loop_free(&loop);
}

static void test_full(void)
{
    static char block[1 << 16];
    struct wr_stream s;
    int other = -1;
    ssize_t n, sum = 0;
    is_int(pair(&s, &other), 0, "a pair");
    struct iovec v[2] = {
        {block, 30000},
        {block, 30000}
    };
    while (s.writable && (n = wr_stream_writev(&s, v, 2, false)) > 0)
        sum += n;
    ok(sum > 60000 && !s.writable, "full after %zd bytes", sum);
    wr_stream_events(&s, EPOLLOUT);
    ok(s.writable, "an edge");
    is_int(wr_stream_sendfile(&s, other, 0, 10) < 0, 1, "sendfile from a socket fails");
    wr_stream_close(&s);
    (void)wr_os_close(other);
}

static void test_chain(struct mem_kit *kit)
{
    struct wr_stream a, b;
    struct wr_chain in, out;
    char back[64];
    int other = -1;
    is_int(pair(&a, &other), 0, "a pair");
    wr_stream_init(&b, other);
    wr_chain_init(&in, &kit->blocks, &kit->worker);
    wr_chain_init(&out, &kit->blocks, &kit->worker);
    struct wr_bytes piece = WR_BYTES_LIT("world");
    ok(wr_chain_append_copy(&out, "hello ", 6) == 0 && wr_chain_append(&out, &piece) == 0,
       "two pieces");
    is_int(wr_stream_write_chain(&a, &out, false), 11, "written in one call");
    is_int(wr_chain_len(&out), 0, "and consumed");
    is_int(wr_stream_write_chain(&a, &out, false), 0, "nothing to write");
    is_int(wr_stream_read_chain(&b, &in, 4096), 11, "read");
    is_int(wr_chain_copy_out(&in, 0, back, sizeof back), 11, "into a chain");
    ok(memcmp(back, "hello world", 11) == 0, "unchanged");
    is_int(wr_stream_read_chain(&b, &in, 4096), -EAGAIN, "dry");
    is_int(wr_chain_len(&in), 11, "nothing was added");
    wr_chain_validate(&in);
    wr_chain_deinit(&in);
    wr_chain_deinit(&out);
    wr_stream_close(&a);
    wr_stream_close(&b);
}

int main(void)
{
    struct mem_kit kit;
    if (mem_kit_init(&kit, wr_heap_libc(), NULL))
        return 1;
    test_edges();
    test_urgent();
    test_full();
    test_chain(&kit);
    mem_kit_deinit(&kit);
    return tap_done();
}
