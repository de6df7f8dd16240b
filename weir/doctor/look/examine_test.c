/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/look/examine.h"
#include "weir/doctor/look/look.h"

#include "libweir/os/os.h"
#include "tests/tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct facts f;

static int listener(uint16_t *out_port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof sa;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(fd, (struct sockaddr *)&sa, n) || listen(fd, 7) ||
        getsockname(fd, (struct sockaddr *)&sa, &n))
        return -1;
    *out_port = ntohs(sa.sin_port);
    return fd;
}

static int client(uint16_t port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons(port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return connect(fd, (struct sockaddr *)&sa, sizeof sa) ? -1 : fd;
}

/* A process that has these descriptors and sleeps until it is killed. */
/* Comes back when the child has closed it. */
static pid_t sleeper(int closes)
{
    int ready[2];
    char byte;
    if (pipe(ready))
        abort();
    pid_t pid = fork();
    if (pid == 0) {
        (void)close(closes);
        (void)close(ready[0]);
        (void)close(ready[1]);
        for (;;)
            (void)pause();
    }
    (void)close(ready[1]);
    if (read(ready[0], &byte, 1) != 0)
        abort();
    (void)close(ready[0]);
    return pid;
}

static void end(pid_t pid)
{
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
}

static int run(uint32_t pid, uint16_t port)
{
    struct examine what = {
        .pids = &pid, .n_pids = pid != 0, .ports = &port, .n_ports = port != 0, .wait_ms = 40};
    facts_init(&f, wr_heap_libc());
    return examine(&what, &f);
}

static const struct facts_socket *socket_of(uint8_t state, uint16_t port)
{
    for (uint32_t i = 0; i < f.b.sockets.n; i++)
        if (f.b.sockets.v[i].state == state && f.b.sockets.v[i].local_port == port)
            return &f.b.sockets.v[i];
    return NULL;
}

static void test_server(void)
{
    uint16_t port = 0, other = 0;
    int l = listener(&port), m = listener(&other), ep = epoll_create1(0);
    struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
    int c = client(port), d = client(other), a = accept(l, NULL, NULL);
    ok(epoll_ctl(ep, EPOLL_CTL_ADD, l, &ev) == 0 && c >= 0 && d >= 0 && a >= 0, "a server");
    pid_t server = sleeper(m);
    (void)close(ep);
    is_int(run((uint32_t)server, 0), EXAMINE_DONE, "a process that listens");
    is_int(f.glances, FACTS_GLANCES, "with all glances");
    ok(f.glance[0].threads.n == 1 && f.glance[7].threads.v[0].pid == (uint32_t)server,
       "at its thread");
    ok(f.b.at_ns - f.a.at_ns >= 40000000, "and the time between");
    const struct facts_socket *s = socket_of(FACTS_LISTEN, port);
    ok(s && s->wqueue == 7 && s->inode, "its listener");
    uint32_t n = 0;
    const struct facts_watch *w = s ? facts_watches(&f.b, s->inode, &n) : NULL;
    ok(n == 1 && w->pid == (uint32_t)server && (w->events & FACTS_WATCH_EDGE), "watched");
    bool mine = false;
    const struct facts_fd *o;
    for (uint32_t i = 0; s && (o = facts_owner(&f.b, s->inode, i)); i++)
        mine |= o->pid == (uint32_t)getpid();
    ok(mine, "the other process that has it is seen too");
    ok(facts_process(&f.b, (uint32_t)getpid()), "and is a process of the look");
    s = socket_of(FACTS_ESTABLISHED, port);
    ok(s && facts_tcp(&f.b, s), "an accepted connection has tcp facts");
    s = socket_of(FACTS_ESTABLISHED, other);
    ok(s && s->inode == 0 && facts_tcp(&f.b, s), "so has one that nobody accepted");
    ok(f.b.counter[FACTS_PASSIVE_OPENS] != FACTS_UNKNOWN, "counters");
    facts_deinit(&f);

    is_int(run((uint32_t)server, port), EXAMINE_DONE, "only one port");
    ok(socket_of(FACTS_ESTABLISHED, port), "whose connections are seen");
    ok(!socket_of(FACTS_ESTABLISHED, other), "and no others");
    ok(socket_of(FACTS_LISTEN, other), "but all listeners");
    facts_deinit(&f);

    uint32_t pids[64];
    bool hidden;
    int found = examine_find(port, pids, 64, &hidden);
    ok(found == 2 || hidden, "the processes of a port");
    end(server);
    (void)close(l), (void)close(m), (void)close(c), (void)close(d), (void)close(a);
}

static void test_not_a_server(void)
{
    uint16_t port;
    int l = listener(&port);
    pid_t idle = sleeper(l);
    is_int(run((uint32_t)idle, 0), EXAMINE_NO_LISTENER, "a process that does not listen");
    ok(facts_process(&f.b, (uint32_t)idle), "is looked at all the same");
    facts_deinit(&f);
    end(idle);
    is_int(run((uint32_t)idle, 0), -ESRCH, "none");
    facts_deinit(&f);
    is_int(run(0, 0), EXAMINE_DONE, "everything that listens");
    ok(facts_process(&f.b, (uint32_t)getpid()), "is us, at least");
    facts_deinit(&f);
    (void)close(l);
}

static void test_steps(void)
{
    uint16_t port;
    int l = listener(&port);
    pid_t server = sleeper(-1);
    uint32_t pid = (uint32_t)server, n;
    struct examine what = {.pids = &pid, .n_pids = 1, .wait_ms = 900};
    struct examination e;
    facts_init(&f, wr_heap_libc());
    is_int(examine_begin(&e, &what, &f), 0, "the first look");
    uint32_t due = examine_due_ms(&e);
    ok(due <= 100, "the first glance is due after a ninth");
    is_int(examine_glance(&e), 0, "a glance, early");
    ok(!examine_is_last(&e), "not the last");
    ok(examine_targets(&e, &n)[0] == pid && n == 1, "the target");
    is_int(examine_end(&e), EXAMINE_DONE, "the second look, early");
    uint64_t second = f.b.at_ns;
    examine_again(&e);
    ok(f.a.at_ns == second && f.a.sealed && f.glances == 0, "becomes the first of the next");
    end(server);
    is_int(examine_end(&e), EXAMINE_ENDED, "the process ended in between");
    examine_drop(&e);
    facts_deinit(&f);
    (void)close(l);
}

/* A number that is given to something else between the looks is not taken for what it was. */
static void test_reuse(void)
{
    uint16_t port;
    uint32_t pid = (uint32_t)getpid();
    struct examine what = {.pids = &pid, .n_pids = 1, .wait_ms = 1};
    struct examination e;
    struct epoll_event ev = {.events = EPOLLIN};
    int fds[2], l = listener(&port), ep = epoll_create1(0), c = client(port), d = client(port);
    ok(epoll_ctl(ep, EPOLL_CTL_ADD, c, &ev) == 0 && epoll_ctl(ep, EPOLL_CTL_ADD, d, &ev) == 0,
       "two watched sockets");
    facts_init(&f, wr_heap_libc());
    is_int(examine_begin(&e, &what, &f), 0, "the first look");
    (void)close(c);
    ok(pipe(fds) == 0 && fds[0] == c, "one number becomes a pipe");
    is_int(examine_end(&e), EXAMINE_DONE, "the second look");
    const struct facts_fd *is = facts_fd(&f.b, pid, c), *was = facts_fd(&f.a, pid, c);
    ok(was && was->kind == FACTS_FD_SOCKET && is && is->kind == FACTS_FD_PIPE, "sees it");
    is = facts_fd(&f.b, pid, d), was = facts_fd(&f.a, pid, d);
    ok(is && was && is->kind == FACTS_FD_SOCKET && is->inode == was->inode,
       "and the other one");
    examine_drop(&e);
    facts_deinit(&f);
    (void)close(fds[0]), (void)close(fds[1]), (void)close(ep), (void)close(l), (void)close(d);
}

/* A listener behind more descriptors than are searched at first. */
static void test_deep(void)
{
    enum {
        MANY = 1100
    };
    static int many[MANY];
    struct rlimit r;
    uint32_t pids[64];
    uint16_t port;
    bool hidden, has = false;
    if (getrlimit(RLIMIT_NOFILE, &r) || r.rlim_max < MANY + 100) {
        skip("too few descriptors");
        return;
    }
    r.rlim_cur = r.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &r);
    for (unsigned i = 0; i < MANY; i++)
        many[i] = dup(0);
    int l = listener(&port), n = examine_find(port, pids, 64, &hidden);
    for (int i = 0; i < n; i++)
        has |= pids[i] == (uint32_t)getpid();
    ok(l >= MANY && n == 1 && has, "a listener with a high number is found");
    for (unsigned i = 0; i < MANY; i++)
        (void)close(many[i]);
    (void)close(l);
}

static bool is_held(const struct facts_look *l, uint64_t inode, uint32_t pid)
{
    const struct facts_fd *fd;
    for (uint32_t i = 0; (fd = facts_owner(l, inode, i)) != NULL; i++)
        if (fd->pid == pid)
            return true;
    return false;
}

/* A pipe's other end behind more descriptors than are searched at first, in a process of its own. */
static void test_far_end(void)
{
    enum {
        MANY = 700
    };
    static int many[MANY];
    int ends[2];
    struct facts seen;
    uint32_t pid = (uint32_t)getpid();
    struct examine what = {.pids = &pid, .n_pids = 1, .wait_ms = 20};
    for (unsigned i = 0; i < MANY; i++)
        many[i] = dup(0);
    if (many[MANY - 1] < MANY || pipe(ends)) {
        skip("too few descriptors");
        return;
    }
    pid_t reader = sleeper(ends[1]);
    for (unsigned i = 0; i < MANY; i++)
        (void)close(many[i]);
    (void)close(ends[0]);
    facts_init(&seen, wr_heap_libc());
    is_int(examine(&what, &seen), EXAMINE_NO_LISTENER, "a process with one end of a pipe");
    for (int w = 0; w < 2; w++) {
        const struct facts_look *l = w ? &seen.b : &seen.a;
        const struct facts_fd *mine = facts_fd(l, pid, ends[1]);
        ok(mine && is_held(l, mine->inode, (uint32_t)reader), "look %d: who has the other", w);
    }
    facts_deinit(&seen);
    (void)kill(reader, SIGKILL);
    (void)waitpid(reader, NULL, 0);
    (void)close(ends[1]);
}

static uint64_t inode_of(int fd)
{
    struct stat st;
    return fstat(fd, &st) ? 0 : st.st_ino;
}

static void test_one_sided(void)
{
    int half[2], whole[2];
    struct facts_look l;
    facts_look_init(&l, wr_heap_libc());
    if (pipe(half) || pipe(whole) || close(half[0]) ||
        look_process(&l, (uint32_t)getpid(), LOOK_FDS, NULL))
        abort();
    uint64_t inodes[] = {inode_of(half[1]), inode_of(whole[0]), inode_of(whole[1]), 1};
    uint32_t n = look_set64(inodes, 4);
    is_int(n, 3, "two pipes, and something else");
    is_int(look_one_sided(&l, l.fds.n, inodes, &n), 0, "which have another end elsewhere");
    ok(n == 2 && inodes[0] == 1 && inodes[1] == inode_of(half[1]), "all but the whole one");
    facts_look_deinit(&l);
    (void)close(half[1]), (void)close(whole[0]), (void)close(whole[1]);
}

static void test_upstream(void)
{
    uint16_t front, back;
    int l = listener(&front), m = listener(&back);
    pid_t behind = sleeper(l);
    int c = client(back);
    (void)close(m);
    pid_t proxy = sleeper(-1);
    (void)close(c), (void)close(l);
    uint32_t pid = (uint32_t)proxy, found[8];
    is_int(run(pid, 0), EXAMINE_DONE, "a proxy");
    int n = examine_upstream(&f, &pid, 1, found, 8);
    is_int(n, 1, "has one process behind it");
    ok(n == 1 && found[0] == (uint32_t)behind, "the one that listens where it connected");
    is_int(examine_upstream(&f, &pid, 1, found, 0), -E2BIG, "which needs room");
    facts_deinit(&f);
    end(proxy), end(behind);
}

/* A child in a network namespace of its own, which has lo up and listens on port 80. */
static pid_t stranger(uid_t uid)
{
    int ready[2];
    char c;
    if (pipe(ready))
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        struct ifreq up = {.ifr_name = "lo", .ifr_flags = IFF_UP};
        struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(80)};
        if (unshare(CLONE_NEWNET))
            _exit(1);
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (ioctl(fd, SIOCSIFFLAGS, &up) || bind(fd, (struct sockaddr *)&sa, sizeof sa) ||
            listen(fd, 3) || client(80) < 0 || setuid(uid) || prctl(PR_SET_DUMPABLE, 1) ||
            write(ready[1], "", 1) != 1)
            _exit(1);
        for (;;)
            (void)pause();
    }
    (void)close(ready[1]);
    bool up = read(ready[0], &c, 1) == 1;
    (void)close(ready[0]);
    if (!up)
        end(pid);
    return up ? pid : -1;
}

static uint64_t own_net(void)
{
    struct stat st;
    return stat("/proc/self/ns/net", &st) ? 0 : st.st_ino;
}

static void test_namespace(void)
{
    pid_t pid = stranger(getuid());
    if (pid < 0) {
        skip("no network namespaces here");
        return;
    }
    uint64_t here = own_net();
    is_int(run((uint32_t)pid, 0), EXAMINE_DONE, "a server in another network namespace");
    const struct facts_socket *s = socket_of(FACTS_LISTEN, 80);
    ok(s && s->wqueue == 3 && f.b.sockets.n == 3,
       "is seen with all the sockets there are there");
    ok(f.b.net != here && own_net() == here, "and we are still here");
    ok(f.b.counter[FACTS_PASSIVE_OPENS] == 1, "counters are those of there");
    uint64_t net = f.b.net;
    facts_deinit(&f);
    struct examine what = {.net = net, .wait_ms = 1};
    facts_init(&f, wr_heap_libc());
    is_int(examine(&what, &f), EXAMINE_DONE, "everything that listens there");
    ok(f.b.net == net && facts_process(&f.b, (uint32_t)pid), "is that server");
    facts_deinit(&f);
    end(pid);
}

/* The same user without the right to enter: seen from outside. */
static int look_from_outside(pid_t pid)
{
    if (setuid(65534))
        return 1;
    if (run((uint32_t)pid, 0) != EXAMINE_DONE)
        return 2;
    const struct facts_socket *s = socket_of(FACTS_LISTEN, 80);
    if (!s || s->wqueue != FACTS_NONE || s->rqueue != 1 || f.b.tcps.n != 0)
        return 3;
    if (f.b.net == own_net() || f.b.counter[FACTS_PASSIVE_OPENS] != 1)
        return 4;
    for (uint32_t i = 0; i < f.b.gaps.n; i++)
        if (strstr(facts_text(&f.b, f.b.gaps.v[i].what), "network namespace"))
            return 0;
    return 5;
}

static void test_outside(void)
{
    int status = -1;
    pid_t pid = getuid() == 0 ? stranger(65534) : -1;
    if (pid < 0) {
        skip("no network namespaces here");
        return;
    }
    pid_t looker = fork();
    if (looker == 0)
        _exit(look_from_outside(pid));
    (void)waitpid(looker, &status, 0);
    is_int(WEXITSTATUS(status), 0, "a namespace that may not be entered is seen from outside");
    end(pid);
}

static void test_no_memory(void)
{
    uint16_t port;
    int l = listener(&port);
    uint32_t pid = (uint32_t)getpid();
    struct examine what = {.pids = &pid, .n_pids = 1, .wait_ms = 1};
    struct wr_heap_counting count;
    bool good = true;
    int r = -ENOMEM;
    struct wr_heap_failing fails = {.fault.refused = 1};
    for (uint64_t nth = 1; fails.fault.refused && nth < 2000; nth++) {
        wr_heap_counting_init(&count, wr_heap_libc());
        wr_heap_failing_init(&fails, &count.heap, nth, 0, 0);
        facts_init(&f, &fails.heap);
        r = examine(&what, &f);
        facts_deinit(&f);
        good = good && count.objects == 0 && (r == -ENOMEM || r == EXAMINE_DONE);
    }
    ok(good && r == EXAMINE_DONE, "refused memory anywhere: -ENOMEM, nothing leaks");
    (void)close(l);
}

int main(void)
{
    test_server();
    test_not_a_server();
    test_steps();
    test_reuse();
    test_deep();
    test_far_end();
    test_one_sided();
    test_upstream();
    test_namespace();
    test_outside();
    test_no_memory();
    return tap_done();
}
