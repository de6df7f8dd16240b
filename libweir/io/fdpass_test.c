/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/fdpass.h"

#include "libweir/os/os.h"
#include "tests/tap.h"

#include <errno.h>
#include <sys/socket.h>

static int lowest_free(void)
{
    int fd = wr_os_dup(0);
    (void)wr_os_close(fd);
    return fd;
}

static void close_all(const int *fds, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        (void)wr_os_close(fds[i]);
}

static void test_one(void)
{
    int pair[2], fds[4], efd = wr_os_eventfd(0, 0);
    unsigned n = 4;
    char tag[16];
    size_t n_tag = sizeof tag;
    uint64_t v;
    is_int(wr_os_socketpair(AF_UNIX, SOCK_SEQPACKET, pair), 0, "pair");
    is_int(wr_fd_recv(pair[1], fds, &n, tag, &n_tag), -EAGAIN, "nothing yet");
    is_int(wr_fd_send(pair[0], &efd, 1, WR_LIT("event")), 1, "sent");
    is_int(wr_fd_recv(pair[1], fds, &n, tag, &n_tag), 0, "received");
    ok(n == 1 && n_tag == 5 && memcmp(tag, "event", 5) == 0, "with its tag");
    ok(fds[0] != efd && wr_os_eventfd_add(fds[0], 7) == 0 && wr_os_eventfd_take(efd, &v) == 0 &&
           v == 7,
       "the same object");
    (void)wr_os_close(fds[0]);
    n = 4;
    n_tag = sizeof tag;
    is_int(wr_fd_send(pair[0], NULL, 0, WR_LIT("x")), 0, "a tag alone");
    ok(wr_fd_recv(pair[1], fds, &n, tag, &n_tag) == 0 && n == 0 && n_tag == 1, "received");
    (void)wr_os_close(pair[0]);
    n = 4;
    is_int(wr_fd_recv(pair[1], fds, &n, tag, &n_tag), -EPIPE, "closed");
    (void)wr_os_close(pair[1]);
    (void)wr_os_close(efd);
}

static void test_split(void)
{
    enum {
        MANY = 600
    };
    int pair[2], fds[MANY], got[WR_FD_MAX], efd = wr_os_eventfd(0, 0);
    unsigned total = 0, messages = 0;
    for (unsigned i = 0; i < MANY; i++)
        fds[i] = efd;
    is_int(wr_os_socketpair(AF_UNIX, SOCK_SEQPACKET, pair), 0, "pair");
    is_int(wr_fd_send(pair[0], fds, MANY, WR_LIT("t")), MANY, "600 sent");
    for (;;) {
        unsigned n = WR_FD_MAX;
        char tag[4];
        size_t n_tag = sizeof tag;
        if (wr_fd_recv(pair[1], got, &n, tag, &n_tag) < 0)
            break;
        total += n;
        messages++;
        close_all(got, n);
    }
    is_int(total, MANY, "600 received");
    is_int(messages, 3, "in three messages");
    (void)wr_os_close(pair[0]);
    (void)wr_os_close(pair[1]);
    (void)wr_os_close(efd);
}

static void test_truncated(void)
{
    int pair[2], three[3], got[2], efd = wr_os_eventfd(0, 0), before = lowest_free();
    char tag[2];
    three[0] = three[1] = three[2] = efd;
    is_int(wr_os_socketpair(AF_UNIX, SOCK_SEQPACKET, pair), 0, "pair");
    int inside = lowest_free();
    unsigned n = 2;
    size_t n_tag = sizeof tag;
    is_int(wr_fd_send(pair[0], three, 3, WR_LIT("ab")), 3, "three");
    is_int(wr_fd_recv(pair[1], got, &n, tag, &n_tag), -EMSGSIZE, "into two");
    n = 2;
    is_int(wr_fd_send(pair[0], three, 2, WR_LIT("abc")), 2, "a long tag");
    is_int(wr_fd_recv(pair[1], got, &n, tag, &n_tag), -EMSGSIZE, "into a short one");
    is_int(lowest_free(), inside, "nothing left open");
    (void)wr_os_close(pair[0]);
    (void)wr_os_close(pair[1]);
    is_int(lowest_free(), before, "nor by the pair");
    (void)wr_os_close(efd);
}

static void test_full(void)
{
    int pair[2], efd = wr_os_eventfd(0, 0), r;
    unsigned sent = 0;
    is_int(wr_os_socketpair(AF_UNIX, SOCK_SEQPACKET, pair), 0, "pair");
    while ((r = wr_fd_send(pair[0], &efd, 1, WR_LIT("t"))) == 1 && sent < 100000)
        sent++;
    ok(r == -EAGAIN || r == -ETOOMANYREFS, "a full channel says so (after %u)", sent);
    (void)wr_os_close(pair[1]);
    r = wr_fd_send(pair[0], &efd, 1, WR_LIT("t"));
    ok(r == -EPIPE || r == -ECONNRESET, "a closed one too");
    (void)wr_os_close(pair[0]);
    (void)wr_os_close(efd);
}

/* Descriptors with nothing beside them are not ours to keep, nor a sign of the end. */
static void test_no_tag(void)
{
    int pair[2], pipe[2], fds[2] = {-1, -1};
    unsigned n = 2;
    char tag[8], byte;
    size_t n_tag = sizeof tag;
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {
        .head = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}
    };
    struct msghdr m = {.msg_control = &control, .msg_controllen = sizeof control};
    ok(wr_os_socketpair(AF_UNIX, SOCK_DGRAM, pair) == 0 && wr_os_pipe(pipe, 0) == 0, "pairs");
    memcpy(CMSG_DATA(&control.head), &pipe[1], sizeof(int));
    is_int(wr_os_sendmsg(pair[0], &m, 0), 0, "a descriptor without a byte");
    (void)wr_os_close(pipe[1]);
    ok(wr_fd_recv(pair[1], fds, &n, tag, &n_tag) < 0, "refused");
    is_int(wr_os_read(pipe[0], &byte, 1), 0, "and not kept open");
    (void)(wr_os_close(pipe[0]) | wr_os_close(pair[0]) | wr_os_close(pair[1]));
}

int main(void)
{
    test_one();
    test_split();
    test_truncated();
    test_full();
    test_no_tag();
    return tap_done();
}
