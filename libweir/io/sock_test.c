/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/sock.h"

#include "libweir/base/err.h"
#include "libweir/io/addr.h"
#include "libweir/os/os.h"
#include "tests/tap.h"

#include <errno.h>

/* A connected pair over TCP on the loopback. */
static int tcp_pair(int *out_listener, int fds[2])
{
    struct wr_addr a;
    struct sockaddr_storage sa;
    socklen_t n = 0;
    int l = wr_os_socket(AF_INET, SOCK_STREAM | WR_OS_BLOCKING, 0);
    fds[0] = wr_os_socket(AF_INET, SOCK_STREAM | WR_OS_BLOCKING, 0);
    if (wr_addr_parse(WR_LIT("127.0.0.1:0"), &a) || wr_addr_to_sockaddr(&a, &sa, &n) ||
        wr_os_bind(l, (struct sockaddr *)&sa, n) || wr_os_listen(l, 5) ||
        wr_addr_of_socket(l, &a) || wr_addr_to_sockaddr(&a, &sa, &n) ||
        wr_os_connect(fds[0], (struct sockaddr *)&sa, n))
        return -1;
    fds[1] = wr_os_accept(l, NULL, NULL);
    *out_listener = l;
    return fds[1] < 0 ? fds[1] : 0;
}

static void test_options(int fd)
{
    int v = -7;
    char name[16] = "";
    is_int(wr_sock_set(fd, WR_LIT("nodelay"), 1), 0, "set");
    is_int(wr_sock_get(fd, WR_LIT("nodelay"), &v), 0, "get");
    ok(v != 0, "is on");
    is_int(wr_sock_get(fd, WR_LIT("linger_s"), &v), 0, "linger");
    is_int(v, -1, "is off");
    is_int(wr_sock_set(fd, WR_LIT("linger_s"), 7), 0, "set");
    ok(wr_sock_get(fd, WR_LIT("linger_s"), &v) == 0 && v == 7, "is seven seconds");
    is_int(wr_sock_set(fd, WR_LIT("nonsense"), 1), WR_E_NOT_FOUND, "unknown option");
    is_int(wr_sock_get(fd, WR_LIT("nonsense"), &v), WR_E_NOT_FOUND, "unknown option");
    unsigned n = 0;
    while (wr_sock_option_name(n))
        n++;
    ok(n > 20, "%u options have names", n);
    is_int(wr_sock_congestion(fd, name), 0, "congestion control");
    ok(name[0] != 0, "is %s", name);
    is_int(wr_sock_set_congestion(fd, wr_span_str(name)), 0, "set to what it is");
    ok(wr_sock_set_congestion(fd, WR_LIT("no-such")) < 0, "an unknown one is refused");
}

static void test_info(int listener, int fd)
{
    struct wr_sock_info info;
    is_int(wr_sock_info(listener, &info), 0, "info of a listener");
    is_int(info.backlog_max, 5, "its backlog");
    is_int(wr_sock_info(fd, &info), 0, "info of a connection");
    ok(info.mss > 0 && info.cwnd > 0, "mss %u, cwnd %u", info.mss, info.cwnd);
    is_int(wr_sock_info(0, &info) < 0, 1, "not a socket");
}

int main(void)
{
    int listener = -1, fds[2] = {-1, -1};
    char c;
    is_int(tcp_pair(&listener, fds), 0, "a pair");
    test_options(fds[1]);
    test_info(listener, fds[1]);
    is_int(wr_sock_take_error(fds[1]), 0, "no error pending");
    is_int(wr_sock_shutdown_write(fds[1]), 0, "half close");
    is_int(wr_os_recv(fds[0], &c, 1, 0), 0, "the peer sees it");
    is_int(wr_os_send(fds[0], "x", 1, 0), 1, "and may go on sending");
    is_int(wr_sock_reset_on_close(fds[1]), 0, "reset");
    (void)wr_os_close(fds[1]);
    ssize_t n = wr_os_recv(fds[0], &c, 1, 0);
    ok(n == -ECONNRESET || n == 0, "closed");
    ok(wr_os_send(fds[0], "x", 1, 0) < 0, "for good");
    (void)wr_os_close(fds[0]);
    (void)wr_os_close(listener);
    return tap_done();
}
