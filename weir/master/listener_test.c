/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/master/listener.h"

#include "libweir/base/heap.h"
#include "libweir/io/sock.h"
#include "libweir/os/os.h"
#include "tests/tap.h"

#include <errno.h>

static unsigned n_said;
static char last_said[512];

static void heard(void *ctx, int level, const char *text)
{
    (void)ctx;
    (void)level;
    n_said++;
    (void)snprintf(last_said, sizeof last_said, "%s", text);
}
static const struct listener_say say = {heard, NULL};

/* A free port of loopback, by asking for one. */
static struct wr_addr free_addr(void)
{
    struct wr_listen_options o = {.addr = wr_addr_v4((const uint8_t[4]){127, 0, 0, 1}, 0)};
    struct wr_addr at = o.addr;
    unsigned backlog;
    int fd;
    if (wr_listen_socket(&o, &fd, &backlog) == 0 && wr_addr_of_socket(fd, &at) == 0)
        wr_os_close(fd);
    return at;
}

static struct listener_want want(struct wr_addr at, bool reuseport)
{
    return (struct listener_want){
        .socket = {.addr = at, .backlog = 16, .reuseport = reuseport},
          .keepalive = -1
    };
}

static void test_reload(void)
{
    struct listeners t;
    struct listener_want a = want(free_addr(), false), b = want(free_addr(), true),
                         both[] = {a, b};
    int fds[8];
    listeners_init(&t, wr_os_heap());
    ok(listeners_prepare(&t, &a, 1, 2, 0, &say) == 0, "a first address");
    listeners_commit(&t, &say);
    int first = listeners_find(&t, &a.socket.addr)->fds[0];

    listeners_rollback(&t);
    ok(t.n == 1 && t.row[0]->n_fds == 1, "nothing was prepared: a rollback closes nothing");

    ok(listeners_prepare(&t, both, 2, 3, 0, &say) == 0, "a second one, with a socket a worker");
    is_int(listeners_find(&t, &b.socket.addr)->n_fds, 3, "three of them");
    listeners_rollback(&t);
    ok(t.n == 1 && listeners_find(&t, &b.socket.addr) == NULL, "rolled back: it is gone");
    is_int(listeners_find(&t, &a.socket.addr)->fds[0], first, "the first kept its socket");

    ok(listeners_prepare(&t, both, 2, 3, 0, &say) == 0, "again");
    listeners_commit(&t, &say);
    is_int(listener_fds(listeners_find(&t, &a.socket.addr), false, 1, 3, fds, 8), 1,
           "shared: the same for all");
    is_int(fds[0], first, "still the first socket");
    is_int(listener_fds(listeners_find(&t, &b.socket.addr), true, 2, 3, fds, 8), 1,
           "reuseport: one each");

    ok(listeners_prepare(&t, &b, 1, 2, 0, &say) == 0, "fewer workers, one address");
    listeners_commit(&t, &say);
    struct listener *l = listeners_find(&t, &b.socket.addr);
    ok(t.n == 1 && l->n_fds == 3, "no socket of the address is closed");
    is_int(listener_fds(l, true, 0, 2, fds, 8), 2, "so that one worker serves two");
    is_int(listener_fds(l, true, 1, 2, fds, 8), 1, "and the other one");
    is_int(listener_fds(l, false, 1, 2, fds, 8), 3, "no more reuseport: all serve all");
    listeners_deinit(&t);
}

/* How many of n connections wait in the first socket of the address. */
static unsigned queued_in_first(struct listeners *t, const struct wr_addr *at, int *fds,
                                unsigned n)
{
    struct sockaddr_storage sa;
    socklen_t size;
    unsigned got = 0;
    is_int(wr_addr_to_sockaddr(at, &sa, &size), 0, "%u connect", n);
    for (unsigned i = 0; i < n; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        (void)!connect(fds[i], (struct sockaddr *)&sa, size); /* counted at the other end */
    }
    listeners_rollback(t);
    for (int one; (one = accept(listeners_find(t, at)->fds[0], NULL, NULL)) >= 0; got++)
        (void)wr_os_close(one);
    return got;
}

/* A reload that comes to nothing: nobody is to have been queued on a socket that goes again. */
static void test_rolled_back_queue(bool reuseport)
{
    enum {
        PEERS = 16
    };
    struct listeners t;
    struct listener_want before = want(free_addr(), reuseport),
                         after = want(before.socket.addr, true);
    int fds[PEERS];
    listeners_init(&t, wr_os_heap());
    ok(listeners_prepare(&t, &before, 1, 1, 0, &say) == 0, "one worker, one socket");
    listeners_commit(&t, &say);
    ok(listeners_prepare(&t, &after, 1, 4, 0, &say) == 0, "four of them");
    is_int(queued_in_first(&t, &before.socket.addr, fds, PEERS), PEERS,
           "who came before the rollback waits in the socket that stays");
    for (unsigned i = 0; i < PEERS; i++)
        (void)wr_os_close(fds[i]);
    ok(listeners_prepare(&t, &after, 1, 4, 0, &say) == 0, "again");
    listeners_commit(&t, &say);
    is_int(listeners_find(&t, &before.socket.addr)->n_fds, 4, "and for good");
    ok(queued_in_first(&t, &before.socket.addr, fds, PEERS) < PEERS,
       "now the others have connections, too");
    for (unsigned i = 0; i < PEERS; i++)
        (void)wr_os_close(fds[i]);
    listeners_deinit(&t);
}

/* Workers are born before the commit. */
static void test_first_birth(void)
{
    struct listeners t;
    struct listener_want b = want(free_addr(), true);
    int first = -1, second = -1;
    listeners_init(&t, wr_os_heap());
    ok(listeners_prepare(&t, &b, 1, 2, 0, &say) == 0, "a fresh address with a socket a worker");
    const struct listener *l = listeners_find(&t, &b.socket.addr);
    is_int(listener_fds(l, true, 0, 2, &first, 1), 1, "not yet committed, the first has one");
    is_int(listener_fds(l, true, 1, 2, &second, 1), 1, "and the second");
    ok(first == l->fds[0] && second == l->fds[1], "another one");
    listeners_deinit(&t);
}

static void test_taken(void)
{
    struct listeners t, other;
    struct listener_want a = want(free_addr(), false), b = want(free_addr(), false),
                         both[] = {a, b};
    listeners_init(&t, wr_os_heap());
    listeners_init(&other, wr_os_heap());
    ok(listeners_prepare(&other, &b, 1, 1, 0, &say) == 0, "somebody has the second address");
    n_said = 0;
    ok(listeners_prepare(&t, both, 2, 1, 0, &say) == -EADDRINUSE, "then both are refused");
    ok(n_said == 1 && strstr(last_said, "failed (98: Address already in use)"),
       "and it is said");
    is_int(t.n, 0, "nothing stays open");
    listeners_deinit(&other);
    ok(listeners_prepare(&t, both, 2, 1, 0, &say) == 0, "free again");
    listeners_deinit(&t);
}

static void test_hand_over(void)
{
    struct listeners t, next;
    struct listener_want a = want(free_addr(), false);
    char list[64];
    listeners_init(&t, wr_os_heap());
    listeners_init(&next, wr_os_heap());
    ok(listeners_prepare(&t, &a, 1, 1, 0, &say) == 0, "opened");
    listeners_commit(&t, &say);
    ok(listeners_format(&t, list, 2) < 0 && listeners_format(&t, list, sizeof list) == 0, "%s",
       list);
    int copy = wr_os_dup(t.row[0]->fds[0]);
    (void)snprintf(list, sizeof list, "%d;0;", copy);
    n_said = 0;
    listeners_inherit(&next, list, &say);
    is_int(n_said, 1, "what is no listening socket is not taken");
    listeners_inherit(&next, "x;", &say);
    is_int(n_said, 2, "nor what is no number");
    ok(listeners_prepare(&next, &a, 1, 1, 0, &say) == 0,
       "its successor wants the same address");
    is_int(next.row[0]->fds[0], copy, "and has it already");
    listeners_deinit(&next);
    listeners_deinit(&t);
}

int main(void)
{
    test_reload();
    test_rolled_back_queue(true);
    test_rolled_back_queue(false);
    test_first_birth();
    test_taken();
    test_hand_over();
    return tap_done();
}
