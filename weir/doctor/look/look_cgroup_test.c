/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/look/look_cgroup.c"

#include "tests/tap.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static WR_NORETURN void give_up(const char *why)
{
    (void)printf("Bail out! %s\n", why);
    exit(1);
}

static char dir[64];

static void file(const char *path, const char *text)
{
    char full[256];
    (void)snprintf(full, sizeof full, "%s%s", dir, path);
    FILE *f = fopen(full, "w");
    if (!f || fputs(text, f) < 0 || fclose(f))
        give_up("cannot write a file");
}

static void folder(const char *path)
{
    char full[256];
    (void)snprintf(full, sizeof full, "%s%s", dir, path);
    if (mkdir(full, 0700))
        give_up("cannot make a directory");
}

static void fresh(struct reading *r)
{
    *r = (struct reading){0};
    memset(&r->row, 0xff, sizeof r->row);
    for (unsigned i = 0; i < HIERARCHIES; i++)
        keep(r->mount[i].at, MOUNT, wr_span_str(dir));
}

static void test_version_2(void)
{
    struct reading r;
    folder("/app.slice");
    folder("/app.slice/web");
    file("/app.slice/cpu.stat",
         "usage_usec 9\nnr_periods 10\nnr_throttled 4\nthrottled_usec 700\n");
    file("/app.slice/cpu.max", "10000 100000\n");
    file("/app.slice/memory.current", "900\n");
    file("/app.slice/memory.max", "1000\n");
    file("/app.slice/web/cpu.stat", "nr_periods 1\nnr_throttled 1\nthrottled_usec 5\n");
    file("/app.slice/web/cpu.max", "max 100000\n");
    file("/app.slice/web/memory.current", "300\n");
    file("/app.slice/web/memory.max", "max\n");
    file("/app.slice/web/memory.events", "low 0\nmax 3\noom 2\noom_kill 1\n");
    fresh(&r);
    on_cgroup(&r, WR_LIT("0::/app.slice/web"));
    struct seen paths = r.seen;
    levels(&r, V2, cpu_level);
    ok(r.row.periods == 11 && r.row.throttled == 5 && r.row.throttled_us == 705,
       "throttled here and above");
    ok(r.row.quota_us == 10000 && r.row.period_us == 100000, "the quota of the one above");
    r.seen = paths;
    levels(&r, V2, memory_level);
    ok(r.row.memory == 900 && r.row.memory_max == 1000,
       "the tightest memory limit, and its use");
    ok(r.row.oom_kills == 1, "its own kills");
}

static void test_version_1(void)
{
    struct reading r;
    folder("/one");
    file("/one/cpu.stat", "nr_periods 11\nnr_throttled 10\nthrottled_time 896000000\n");
    file("/one/memory.kmem.tcp.limit_in_bytes", "1048576\n");
    file("/one/memory.kmem.tcp.usage_in_bytes", "1880064\n");
    file("/one/memory.kmem.tcp.max_usage_in_bytes", "1900000\n");
    file("/memory.kmem.tcp.limit_in_bytes", "9223372036854771712\n");
    file("/one/cpu.cfs_quota_us", "5000\n");
    file("/one/cpu.cfs_period_us", "50000\n");
    file("/cpu.cfs_quota_us", "-1\n");
    file("/cpu.cfs_period_us", "100000\n");
    file("/one/memory.usage_in_bytes", "5\n");
    file("/one/memory.limit_in_bytes", "9223372036854771712\n");
    file("/one/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
    fresh(&r);
    on_cgroup(&r, WR_LIT("4:cpu,cpuacct:/one"));
    on_cgroup(&r, WR_LIT("3:memory:/one"));
    on_cgroup(&r, WR_LIT("0::/"));
    levels(&r, CPU_V1, cpu_level);
    ok(r.row.throttled == 10 && r.row.throttled_us == 896000,
       "nanoseconds become microseconds");
    ok(r.row.quota_us == 5000 && r.row.period_us == 50000, "-1 above is no quota");
    levels(&r, MEMORY_V1, memory_level);
    ok(r.row.memory == 5 && r.row.memory_max == FACTS_UNKNOWN, "no memory limit");
    ok(r.row.oom_kills == 2, "kills");
    ok(r.row.tcp == 1880064 && r.row.tcp_max == 1048576 && r.row.tcp_peak == 1900000,
       "memory of sockets where it is limited, not where it is not");
}

static void test_mounts(void)
{
    struct reading r = {0};
    on_mount(
        &r, WR_LIT("31 23 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup "
                   "rw,cpu,cpuacct"));
    on_mount(
        &r,
        WR_LIT("32 23 0:27 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory"));
    on_mount(&r, WR_LIT("33 23 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw"));
    on_mount(&r, WR_LIT("34 23 0:29 / /home rw - ext4 /dev/sda1 rw,cpu"));
    on_mount(&r, WR_LIT("35 23 0:29"));
    is_str(r.mount[CPU_V1].at, "/sys/fs/cgroup/cpu,cpuacct", "version 1");
    is_str(r.mount[V2].at, "/sys/fs/cgroup/unified", "version 2");
    on_cgroup(&r, WR_LIT("3:memory:/docker/abc/in"));
    is_str(r.seen.path[MEMORY_V1], "/in", "below the root of the mount");
}

static void test_real(void)
{
    struct facts_look l;
    uint32_t pid = (uint32_t)getpid();
    facts_look_init(&l, wr_heap_libc());
    is_int(look_cgroups(&l, &pid, 1), 0, "this process");
    ok(l.cgroups.n == 1 && l.cgroups.v[0].pid == pid, "has a row");
    facts_look_deinit(&l);
}

int main(void)
{
    (void)snprintf(dir, sizeof dir, "/tmp/look_cgroup.XXXXXX");
    if (!mkdtemp(dir))
        give_up("cannot make a directory");
    test_version_2();
    test_version_1();
    test_mounts();
    test_real();
    char command[128];
    (void)snprintf(command, sizeof command, "rm -r %s", dir);
    return system(command) | tap_done();
}
