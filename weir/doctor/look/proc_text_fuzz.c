/* SPDX-License-Identifier: BSD-2-Clause */
/* Lines of /proc, each given to everything that understands one: no fact may come out of order, nothing is read beyond. */
#include "weir/doctor/look/look.h"

#include "libweir/base/assert.h"

#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void one(struct facts_look *l, struct wr_span line, struct wr_span before)
{
    struct proc_stat s;
    struct facts_process p = {0};
    struct facts_thread t = {0};
    struct facts_watch w = {0};
    struct facts_ring r = {0};
    enum facts_fd_kind kind;
    uint64_t inode;
    if (proc_stat(line, &s) == 0)
        WR_ASSERT(memchr(s.comm, 0, sizeof s.comm) && s.state);
    proc_status_line(line, &p);
    proc_limits_line(line, &p);
    proc_thread_status_line(line, &t);
    proc_schedstat(line, &t);
    proc_syscall(line, &t);
    WR_ASSERT(t.syscall >= FACTS_SYSCALL_UNKNOWN);
    proc_link(line, &kind, &inode);
    WR_ASSERT((inode != 0) == (kind == FACTS_FD_SOCKET || kind == FACTS_FD_PIPE));
    WR_ASSERT(!proc_watch_line(line, &w) || w.fd >= 0);
    proc_ring_line(line, &r);
    uint32_t flags = 0;
    uint64_t v;
    struct wr_span path;
    proc_flags_line(line, &flags);
    (void)proc_named(line, WR_LIT("nr_throttled"), &v);
    if (proc_cgroup_line(line, WR_LIT("cpu"), &path) ||
        proc_cgroup_line(line, WR_LIT(""), &path))
        WR_ASSERT(path.n > 0 && path.p + path.n == line.p + line.n);
    struct proc_mount m;
    if (proc_mount_line(line, 36, &m))
        WR_ASSERT(m.dir.n && m.type.n && m.type.p + m.type.n <= line.p + line.n);
    struct look_ask all = {.proto = FACTS_TCP, .states = LOOK_ALL_STATES};
    (void)!look_inet_line(l, &all, AF_INET, line);
    (void)!look_inet_line(l, &all, AF_INET6, line);
    if (l->sockets.n)
        WR_ASSERT(l->sockets.v[l->sockets.n - 1].state < 32);
    (void)!net_nic_line(l, line);
    net_pair(l, before, line);
    net_sockstat_line(l, line);
    net_pressure_line(l, "cpu", line);
    net_softnet_line(l, line);
    net_sysctl(l, FACTS_SYS_TCP_MEM, line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct facts_look l;
    struct wr_span rest = wr_span(data, size), line, before = {0};
    facts_look_init(&l, wr_heap_libc());
    while (size && wr_span_split(&rest, '\n', &line)) {
        one(&l, line, before);
        before = line;
    }
    facts_look_deinit(&l);
    return 0;
}
