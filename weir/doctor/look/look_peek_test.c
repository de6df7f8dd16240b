/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/look/look.h"

#include "tests/tap.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static WR_NORETURN void give_up(const char *why)
{
    (void)printf("Bail out! %s\n", why);
    exit(1);
}

static struct facts_look l;

static void look(uint32_t pid, bool whole)
{
    static const struct look_ask tcp = {.proto = FACTS_TCP, .states = LOOK_ALL_STATES};
    facts_look_deinit(&l);
    facts_look_init(&l, wr_heap_libc());
    if (look_process(&l, pid, LOOK_FDS | LOOK_THREADS, NULL) || look_inet(&l, &tcp) ||
        facts_seal(&l) || look_peek(&l, &pid, 1, whole))
        give_up("no memory");
    facts_seal_peeks(&l);
}

static void test_sockets(void)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof sa;
    uint32_t pid = (uint32_t)getpid();
    int on = 1, patience = 1500;
    struct timeval limit = {.tv_sec = 2, .tv_usec = 500000};
    int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int c = socket(AF_INET, SOCK_STREAM, 0), bare = socket(AF_INET6, SOCK_STREAM, 0);
    int unix_one = socket(AF_UNIX, SOCK_STREAM, 0);
    if (bind(s, (struct sockaddr *)&sa, n) || listen(s, 5) ||
        getsockname(s, (struct sockaddr *)&sa, &n) || connect(c, (struct sockaddr *)&sa, n))
        give_up("no loopback");
    (void)setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(c, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(c, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience, sizeof patience);
    (void)setsockopt(c, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    bool sent = send(c, "abc", 3, 0) == 3;
    look(pid, true);
    const struct facts_fd *f = facts_fd(&l, pid, s);
    ok(f && (f->flags & O_NONBLOCK), "a listener's flags are read");
    const struct facts_peek *p = facts_peek(&l, pid, c);
    if (!p || p->nodelay == 0xff) {
        skip("no pidfd_getfd here");
    } else {
        ok(p->shown && p->nodelay == 1 && p->keepalive == 1 && p->user_timeout_ms == 1500 &&
               p->receive_timeout_ms == 2500 && p->send_timeout_ms == 0,
           "the options of a connection");
        ok(sent && p->state == FACTS_ESTABLISHED && p->bytes >= 3, "its state, what it moved");
        is_str(facts_text(&l, p->name), "TCP", "its protocol");
        p = facts_peek(&l, pid, bare);
        ok(p && !p->shown && p->family == AF_INET6 && p->type == SOCK_STREAM &&
               p->state == FACTS_CLOSE && p->bytes == 0,
           "a socket that no dump shows");
        is_str(p ? facts_text(&l, p->name) : "", "TCPv6", "its protocol");
        ok(!facts_peek(&l, pid, unix_one), "a unix socket is not asked");
    }
    look(pid, false);
    ok(!facts_peek(&l, pid, bare), "in a look at a part nothing is said to be in no dump");
    (void)close(s), (void)close(c), (void)close(bare), (void)close(unix_one);
}

static bool is_full(const struct facts_pipe *p)
{
    return p && p->held + 4096 >= p->room;
}

static void test_pipe(void)
{
    int fds[2];
    char block[1000] = {0};
    if (pipe(fds))
        give_up("no pipe");
    pid_t writer = fork();
    if (writer == 0) {
        for (;;)
            if (write(fds[1], block, sizeof block) < 0)
                _exit(1);
    }
    const struct facts_pipe *p = NULL;
    for (unsigned i = 0; i < 1000 && !is_full(p); i++) {
        (void)usleep(5000);
        look((uint32_t)writer, false);
        const struct facts_fd *f = facts_fd(&l, (uint32_t)writer, fds[1]);
        p = f ? facts_pipe(&l, f->inode) : NULL;
        const struct facts_process *w = facts_process(&l, (uint32_t)writer);
        if (w && (w->unread & FACTS_UNREAD_MEMORY))
            break;
    }
    const struct facts_process *w = facts_process(&l, (uint32_t)writer);
    if (w && (w->unread & FACTS_UNREAD_MEMORY))
        skip("no pidfd_getfd here");
    else
        ok(is_full(p), "the pipe that a writer waits for is full");
    ok(read(fds[0], block, sizeof block) == sizeof block, "and nothing was taken out of it");
    (void)kill(writer, SIGKILL);
    (void)waitpid(writer, NULL, 0);
    facts_look_deinit(&l);
}

int main(void)
{
    facts_look_init(&l, wr_heap_libc());
    test_sockets();
    test_pipe();
    return tap_done();
}
