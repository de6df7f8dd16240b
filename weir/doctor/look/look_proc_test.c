/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/look/look.h"

#include "tests/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_stat(void)
{
    struct proc_stat s;
    struct wr_span hostile =
        WR_LIT("811 (a) R (b\") S 1 811 811 0 -1 4194560 100 0 0 0 31 7 0 0 20 0 19 0 "
               "12345 9000 250 18446744073709551615");
    is_int(proc_stat(hostile, &s), 0, "a name with brackets and blanks");
    is_str(s.comm, "a) R (b\"", "is kept");
    ok(s.state == 'S' && s.parent == 1 && s.utime == 31 && s.stime == 7 && s.threads == 19 &&
           s.start == 12345 && s.rss_pages == 250,
       "and the fields are those behind it");
    bool good = true;
    for (size_t n = 0; n + 25 <= hostile.n; n++)
        good = good && proc_stat(wr_span(hostile.p, n), &s) == -EPROTO;
    ok(good, "cut off: no facts");
    is_int(proc_stat(WR_LIT("1 (a) \0 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"), &s),
           -EPROTO, "a state that is no letter");
}

static void test_thread(void)
{
    struct facts_thread t = {.syscall = 7};
    proc_syscall(WR_LIT("45 0x7 0x7ffd0 0x400 0x0 0x0 0x0 0x7ffc 0x7f12"), &t);
    ok(t.syscall == 45 && t.arg[0] == 7 && t.arg[2] == 0x400, "blocked in a call");
    proc_syscall(WR_LIT("running"), &t);
    is_int(t.syscall, FACTS_SYSCALL_RUNNING, "running");
    proc_syscall(WR_LIT("-1 0x7ffc 0x7f12"), &t);
    is_int(t.syscall, FACTS_SYSCALL_UNKNOWN, "blocked outside of one");
    proc_syscall(WR_LIT("45 0x7 zz"), &t);
    is_int(t.syscall, FACTS_SYSCALL_UNKNOWN, "nonsense");
    proc_schedstat(WR_LIT("100 200 3"), &t);
    ok(t.ran_ns == 100 && t.waited_ns == 200, "schedstat");
    proc_thread_status_line(WR_LIT("voluntary_ctxt_switches:\t150"), &t);
    proc_thread_status_line(WR_LIT("nonvoluntary_ctxt_switches:\t545"), &t);
    ok(t.voluntary == 150 && t.involuntary == 545, "context switches");
}

static void test_process(void)
{
    struct facts_process p = {0};
    proc_limits_line(
        WR_LIT("Max open files            1024                 unlimited            files "),
        &p);
    ok(p.nofile_soft == 1024 && p.nofile_hard == UINT64_MAX - 1, "limits");
    proc_status_line(WR_LIT("TracerPid:\t77"), &p);
    proc_status_line(WR_LIT("Uid:\t0\t33\t0\t0"), &p);
    ok(p.tracer == 77 && p.uid == 33, "tracer, effective uid");
}

static void test_links(void)
{
    static const struct {
        const char *link;
        enum facts_fd_kind kind;
        uint64_t inode;
    } rows[] = {
        {"socket:[38174]",         FACTS_FD_SOCKET, 38174},
        {"pipe:[9]",               FACTS_FD_PIPE,   9    },
        {"pipe:[9",                FACTS_FD_OTHER,  0    },
        {"socket:[]",              FACTS_FD_OTHER,  0    },
        {"socket:[1x]",            FACTS_FD_OTHER,  0    },
        {"anon_inode:[eventpoll]", FACTS_FD_EPOLL,  0    },
        {"anon_inode:[io_uring]",  FACTS_FD_RING,   0    },
        {"/dev/pts/3",             FACTS_FD_TTY,    0    },
        {"/var/log/socket:[5]",    FACTS_FD_FILE,   0    },
        {"",                       FACTS_FD_OTHER,  0    },
    };
    for (unsigned i = 0; i < WR_ARRAY_LEN(rows); i++) {
        enum facts_fd_kind kind;
        uint64_t inode;
        proc_link(wr_span_str(rows[i].link), &kind, &inode);
        ok(kind == rows[i].kind && inode == rows[i].inode, "link %s", rows[i].link);
    }
}

static void test_sets(void)
{
    struct facts_watch w = {0};
    ok(proc_watch_line(
           WR_LIT(
               "tfd:        3 events: 80000019 data:                3  pos:0 ino:951e sdev:9"),
           &w) &&
           w.fd == 3 && w.events == 0x80000019 && w.inode == 38174,
       "an edge-triggered watch and its socket");
    ok(proc_watch_line(WR_LIT("tfd:        3 events:       19 data:                3"), &w) &&
           w.events == 0x19 && w.inode == FACTS_UNKNOWN,
       "an old kernel's");
    ok(!proc_watch_line(WR_LIT("flags:\t02"), &w), "another line");
    struct facts_ring r = {0};
    proc_ring_line(WR_LIT("CqTail:\t12"), &r);
    proc_ring_line(WR_LIT("  op=13, task_works=0"), &r);
    proc_ring_line(WR_LIT("  op=27, task_works=0"), &r);
    ok(r.cq_tail == 12 && r.polls == 2 && r.accepts == 1 && r.reads == 1, "a ring");
}

static void test_net(void)
{
    struct facts_look l;
    facts_look_init(&l, wr_heap_libc());
    net_pair(&l, WR_LIT("TcpExt: ListenOverflows Other ListenDrops"), WR_LIT("TcpExt: 5 6 7"));
    net_pair(&l, WR_LIT("Tcp: MaxConn OutRsts"), WR_LIT("Udp: -1 9"));
    net_pair(&l, WR_LIT("Tcp: MaxConn OutRsts"), WR_LIT("Tcp: -1 9"));
    ok(l.counter[FACTS_LISTEN_OVERFLOWS] == 5 && l.counter[FACTS_LISTEN_DROPS] == 7 &&
           l.counter[FACTS_OUT_RSTS] == 9 && l.counter[FACTS_IN_SEGS] == FACTS_UNKNOWN,
       "names above values, by group");
    net_sockstat_line(&l, WR_LIT("TCP: inuse 5 orphan 1 tw 3 alloc 8 mem 2"));
    ok(l.counter[FACTS_TCP_TW] == 3 && l.counter[FACTS_TCP_MEM_PAGES] == 2 &&
           l.counter[FACTS_UDP_MEM_PAGES] == FACTS_UNKNOWN,
       "sockstat");
    net_pressure_line(&l, "io", WR_LIT("full avg10=0.00 avg60=0.00 avg300=0.00 total=99"));
    ok(l.counter[FACTS_PSI_IO_FULL_US] == 99 &&
           l.counter[FACTS_PSI_IO_SOME_US] == FACTS_UNKNOWN,
       "pressure");
    net_softnet_line(&l, WR_LIT("0ce886df 00000002 0000000a 00000000"));
    net_softnet_line(&l, WR_LIT("0ce886df 00000001 00000001 00000000"));
    ok(l.counter[FACTS_SOFTNET_DROPPED] == 3 && l.counter[FACTS_SOFTNET_SQUEEZED] == 11 &&
           l.counter[FACTS_SOFTNET_PACKETS] == 2 * 0x0ce886dfULL,
       "softnet, all processors");
    net_sysctl(&l, FACTS_SYS_PORT_RANGE, WR_LIT("32768\t60999"));
    ok(l.sysctl[FACTS_SYS_PORT_RANGE][1] == 60999 &&
           l.sysctl[FACTS_SYS_PORT_RANGE][2] == FACTS_UNKNOWN,
       "a sysctl of two values");
    facts_look_deinit(&l);
}

/* This process, with an epoll set that watches one end of a pair edge-triggered, and a pipe. */
static void test_self(void)
{
    struct facts_look l;
    struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
    struct stat st;
    int sv[2], p[2], ep = epoll_create1(EPOLL_CLOEXEC);
    uint32_t n, pid = (uint32_t)getpid();
    ok(ep >= 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, sv) == 0 && pipe(p) == 0 &&
           epoll_ctl(ep, EPOLL_CTL_ADD, sv[0], &ev) == 0 && fstat(sv[0], &st) == 0,
       "a set, a pair, a pipe");
    facts_look_init(&l, wr_heap_libc());
    look_begin(&l);
    is_int(look_process(&l, pid, LOOK_FDS | LOOK_SETS | LOOK_THREADS, NULL), 0,
           "looked at itself");
    is_int(look_process(&l, 0x7ffffff0, LOOK_FDS | LOOK_THREADS, NULL), 0, "and at nobody");
    look_net(&l, 0);
    look_end(&l);
    is_int(facts_seal(&l), 0, "sealed");
    const struct facts_process *me = facts_process(&l, pid);
    ok(me && l.processes.n == 1 && me->unread == 0 && me->threads == 1 && me->uid == geteuid(),
       "one process, all of it read");
    ok(me && me->nofile_soft != FACTS_UNKNOWN && strstr(facts_text(&l, me->exe), "_test"),
       "its limit and its program");
    ok(facts_owner(&l, st.st_ino, 0) && facts_owner(&l, st.st_ino, 0)->fd == sv[0],
       "who has the socket");
    ok(facts_fd(&l, pid, p[0]) && facts_fd(&l, pid, p[0])->kind == FACTS_FD_PIPE &&
           facts_fd(&l, pid, p[0])->inode == facts_fd(&l, pid, p[1])->inode,
       "both ends of the pipe");
    const struct facts_watch *w = facts_watches(&l, st.st_ino, &n);
    ok(w && n == 1 && (w->events & FACTS_WATCH_EDGE) && w->epoll == ep && w->fd == sv[0],
       "who watches it, and how");
    ok(l.threads.n == 1 && l.threads.v[0].tid == pid &&
           l.threads.v[0].voluntary != FACTS_UNKNOWN,
       "its thread");
    struct facts_glance g = {0};
    is_int(look_glance(&g, wr_heap_libc(), pid, NULL), 0, "a glance");
    facts_glance_seal(&g);
    ok(facts_thread(g.threads.v, g.threads.n, pid, l.threads.v[0].start) != NULL,
       "the same thread again");
    facts_glance_deinit(&g, wr_heap_libc());
    ok(l.counter[FACTS_LISTEN_DROPS] != FACTS_UNKNOWN && l.sysctl[FACTS_SYS_SOMAXCONN][0] > 0,
       "the machine's counters");
    facts_look_deinit(&l);
    (void)close(ep);
}

/* Names and paths that would be read wrongly by who trusts them. */
static void test_hostile(void)
{
    static const char name[] = ") R (\x1b[2J\n7 8";
    char path[64], folder[] = "/tmp/look_proc.XXXXXX";
    struct facts_look l;
    int ready[2];
    bool made = mkdtemp(folder) != NULL && pipe(ready) == 0;
    (void)snprintf(path, sizeof path, "%s/\x1b]0;gone\a\n socket:[1]", folder);
    int fd = open(path, O_CREAT | O_RDWR, 0600);
    pid_t child = fork();
    if (child == 0) {
        (void)prctl(PR_SET_NAME, name);
        (void)!write(ready[1], "", 1);
        for (;;)
            (void)pause();
    }
    char c;
    ok(made && fd >= 0 && read(ready[0], &c, 1) == 1, "a process with a hostile name and file");
    facts_look_init(&l, wr_heap_libc());
    is_int(look_process(&l, (uint32_t)child, LOOK_FDS | LOOK_THREADS, NULL), 0, "is looked at");
    ok(facts_seal(&l) == 0 && l.processes.n == 1 && l.threads.n == 1, "and seen");
    const struct facts_process *p = facts_process(&l, (uint32_t)child);
    ok(p && strncmp(p->comm, name, 15) == 0 && p->parent == (uint32_t)getpid() &&
           p->threads == 1,
       "with its name and what stands behind it");
    ok(l.threads.n && strncmp(l.threads.v[0].comm, name, 15) == 0 &&
           l.threads.v[0].pid == (uint32_t)child,
       "its thread too");
    const struct facts_fd *f = facts_fd(&l, (uint32_t)child, fd);
    ok(f && f->kind == FACTS_FD_FILE, "a path that looks like a socket is a file");
    is_str(f ? facts_text(&l, f->path) : "", path, "by its name");
    facts_look_deinit(&l);
    (void)kill(child, SIGKILL);
    (void)waitpid(child, NULL, 0);
    (void)unlink(path), (void)rmdir(folder), (void)close(fd);
}

static void test_small_lines(void)
{
    uint32_t flags = FACTS_NONE;
    proc_flags_line(WR_LIT("pos:\t0"), &flags);
    ok(flags == FACTS_NONE, "a line without flags");
    proc_flags_line(WR_LIT("flags:\t09"), &flags);
    ok(flags == FACTS_NONE, "that are no octal number");
    proc_flags_line(WR_LIT("flags:\t02004002"), &flags);
    ok(flags == 02004002, "flags");
    uint64_t v = 7;
    ok(!proc_named(WR_LIT("oom 3"), WR_LIT("oom_kill"), &v) && v == 7, "another name");
    ok(proc_named(WR_LIT("oom_kill 3"), WR_LIT("oom_kill"), &v) && v == 3, "the name");
    struct wr_span path;
    struct wr_span v1 = WR_LIT("4:cpu,cpuacct:/a:b/c"), v2 = WR_LIT("0::/system.slice");
    ok(proc_cgroup_line(v1, WR_LIT("cpuacct"), &path) && wr_span_eq(path, WR_LIT("/a:b/c")),
       "a controller of version 1; a path with a colon");
    ok(!proc_cgroup_line(v1, WR_LIT("cpuac"), &path), "not of the list");
    ok(!proc_cgroup_line(v1, WR_LIT(""), &path), "not version 2");
    ok(proc_cgroup_line(v2, WR_LIT(""), &path) && wr_span_eq(path, WR_LIT("/system.slice")),
       "version 2");
    ok(!proc_cgroup_line(v2, WR_LIT("cpu"), &path), "has no list");
    ok(!proc_cgroup_line(WR_LIT("1:name=systemd"), WR_LIT("cpu"), &path), "cut off");
}

static void test_nic(void)
{
    struct facts_look l;
    facts_look_init(&l, wr_heap_libc());
    struct wr_span title = WR_LIT(" face |bytes    packets errs drop fifo frame");
    is_int(net_nic_line(&l, title), -EPROTO, "a title");
    struct wr_span line = WR_LIT("  eth0:1: 145 53 2 13451 4 0 0 9 146 54 5 6 0 0 0 0");
    is_int(net_nic_line(&l, line), 0, "an interface");
    const struct facts_nic *n = &l.nics.v[0];
    is_str(facts_text(&l, n->name), "eth0:1", "its name");
    ok(n->rx_packets == 53 && n->rx_errors == 2 && n->rx_dropped == 13451 && n->rx_fifo == 4 &&
           n->tx_packets == 54 && n->tx_errors == 5 && n->tx_dropped == 6,
       "its numbers");
    bool good = true;
    for (size_t cut = 0; cut < 35; cut++)
        good = good && net_nic_line(&l, wr_span(line.p, cut)) == -EPROTO;
    ok(good && l.nics.n == 1, "cut off: none");
    facts_look_deinit(&l);
}

static void test_zombies(void)
{
    struct facts_look l;
    uint32_t pid = (uint32_t)getpid();
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    siginfo_t i;
    ok(waitid(P_PID, (id_t)child, &i, WEXITED | WNOWAIT) == 0, "a child has ended");
    facts_look_init(&l, wr_heap_libc());
    is_int(look_process(&l, pid, 0, NULL), 0, "a process");
    ok(l.processes.v[0].zombies == FACTS_NONE, "its zombies are not counted");
    ok(look_zombies(&l, &pid, 1) == 0 && l.processes.v[0].zombies == 1, "now they are");
    facts_look_deinit(&l);
    (void)waitpid(child, NULL, 0);
}

int main(void)
{
    test_stat();
    test_thread();
    test_process();
    test_links();
    test_sets();
    test_net();
    test_self();
    test_hostile();
    test_small_lines();
    test_nic();
    test_zombies();
    return tap_done();
}
