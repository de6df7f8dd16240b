/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Both versions of cgroups, on the same machine too: a controller that /proc/PID/cgroup lists by name is a version 1
 * hierarchy of its own, all others are version 2. Where the files lie, mountinfo tells.
 */
#include "weir/doctor/look/look.h"

#include "libweir/base/num.h"

#include <errno.h>
#include <stdio.h>

#define MOUNT    256
#define LEVELS   16           /* of cgroups above each other */
#define NO_LIMIT (1ULL << 60) /* what version 1 shows is above it */

enum hierarchy {
    CPU_V1,
    MEMORY_V1,
    V2,
    HIERARCHIES
};

static const char *const controller[HIERARCHIES] = {"cpu", "memory", ""};

struct mount {
    char at[MOUNT], root[MOUNT]; /* root: what is seen there is the tree below this cgroup */
};

struct seen { /* a process's cgroups */
    char path[HIERARCHIES][1024];
    bool is[HIERARCHIES];
};

struct reading {
    struct mount mount[HIERARCHIES];
    struct seen seen;
    struct facts_cgroup row;
    const char *name; /* of what is read now */
    uint64_t got;
};

static void keep(char *out, size_t room, struct wr_span s)
{
    (void)snprintf(out, room, "%.*s", (int)(s.n < room ? s.n : room - 1), s.p);
}

/* ---- where ------------------------------------------------------------------------------------------ */
static void set_mount(struct mount *m, struct wr_span at, struct wr_span root)
{
    keep(m->at, sizeof m->at, at);
    keep(m->root, sizeof m->root, root.n == 1 ? WR_LIT("") : root);
}

/* "31 23 0:26 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct" */
static void on_mount(void *arg, struct wr_span line)
{
    struct reading *r = arg;
    struct wr_span w, root = {0}, at = {0}, type, source, option;
    for (unsigned i = 1; proc_word(&line, &w) && !wr_span_eq(w, WR_LIT("-")); i++) {
        root = i == 4 ? w : root;
        at = i == 5 ? w : at;
    }
    if (!proc_word(&line, &type) || !proc_word(&line, &source) || !proc_word(&line, &w))
        return;
    if (wr_span_eq(type, WR_LIT("cgroup2")))
        set_mount(&r->mount[V2], at, root);
    while (wr_span_eq(type, WR_LIT("cgroup")) && w.n && wr_span_split(&w, ',', &option))
        for (unsigned i = 0; i < V2; i++)
            if (wr_span_eq(option, wr_span_str(controller[i])))
                set_mount(&r->mount[i], at, root);
}

static void on_cgroup(void *arg, struct wr_span line)
{
    struct reading *r = arg;
    struct wr_span path;
    for (unsigned i = 0; i < HIERARCHIES; i++) {
        if (!proc_cgroup_line(line, wr_span_str(controller[i]), &path))
            continue;
        const char *root = r->mount[i].root;
        if (wr_span_has_prefix(path, wr_span_str(root)))
            path = wr_span_sub(path, strlen(root), path.n);
        r->seen.is[i] = true;
        keep(r->seen.path[i], sizeof r->seen.path[i], path);
    }
}

/* ---- numbers ---------------------------------------------------------------------------------------- */
static void on_named(void *arg, struct wr_span line)
{
    struct reading *r = arg;
    (void)proc_named(line, wr_span_str(r->name), &r->got);
}

/* A file of one or two numbers: the one that name ("0", "1") counts. "max" and -1 are none. */
static void on_number(void *arg, struct wr_span line)
{
    struct reading *r = arg;
    struct wr_span w;
    uint64_t v;
    bool got = proc_word(&line, &w) && (r->name[0] == '0' || proc_word(&line, &w));
    if (got && wr_num_parse_u64(w, &v) == 0)
        r->got = v;
}

static uint64_t value(struct reading *r, enum hierarchy h, const char *path, const char *file,
                      const char *name)
{
    char full[MOUNT + 1024 + 64];
    r->name = name;
    r->got = FACTS_UNKNOWN;
    (void)snprintf(full, sizeof full, "%s%s/%s", r->mount[h].at, path, file);
    (void)!look_lines(full, name[0] <= '9' ? on_number : on_named, r);
    return r->got;
}

static void add(uint64_t *io, uint64_t v)
{
    if (v != FACTS_UNKNOWN)
        *io = *io == FACTS_UNKNOWN ? v : *io + v;
}

static void tighten(struct facts_cgroup *c, uint64_t quota, uint64_t period)
{
    if (quota == FACTS_UNKNOWN || period == FACTS_UNKNOWN || period == 0 || quota > 1ULL << 40)
        return;
    if (c->quota_us == FACTS_UNKNOWN || quota * c->period_us < c->quota_us * period)
        c->quota_us = quota, c->period_us = period;
}

static void cpu_level(struct reading *r, enum hierarchy h, const char *path)
{
    struct facts_cgroup *c = &r->row;
    add(&c->periods, value(r, h, path, "cpu.stat", "nr_periods"));
    add(&c->throttled, value(r, h, path, "cpu.stat", "nr_throttled"));
    if (h == V2) {
        add(&c->throttled_us, value(r, h, path, "cpu.stat", "throttled_usec"));
        uint64_t quota = value(r, h, path, "cpu.max", "0");
        tighten(c, quota, value(r, h, path, "cpu.max", "1"));
        return;
    }
    uint64_t ns = value(r, h, path, "cpu.stat", "throttled_time");
    add(&c->throttled_us, ns == FACTS_UNKNOWN ? ns : ns / 1000);
    uint64_t quota = value(r, h, path, "cpu.cfs_quota_us", "0");
    tighten(c, quota, value(r, h, path, "cpu.cfs_period_us", "0"));
}

static void tcp_level(struct reading *r, const char *path)
{
    struct facts_cgroup *c = &r->row;
    uint64_t max = value(r, MEMORY_V1, path, "memory.kmem.tcp.limit_in_bytes", "0");
    if (max >= NO_LIMIT || max >= c->tcp_max)
        return;
    c->tcp = value(r, MEMORY_V1, path, "memory.kmem.tcp.usage_in_bytes", "0");
    c->tcp_peak = value(r, MEMORY_V1, path, "memory.kmem.tcp.max_usage_in_bytes", "0");
    c->tcp_max = max;
}

static void memory_level(struct reading *r, enum hierarchy h, const char *path)
{
    struct facts_cgroup *c = &r->row;
    bool own = c->memory == FACTS_UNKNOWN;
    if (h == MEMORY_V1)
        tcp_level(r, path);
    uint64_t now = value(r, h, path, h == V2 ? "memory.current" : "memory.usage_in_bytes", "0");
    uint64_t max = value(r, h, path, h == V2 ? "memory.max" : "memory.limit_in_bytes", "0");
    if (max >= NO_LIMIT)
        max = FACTS_UNKNOWN;
    if (own)
        c->oom_kills = value(r, h, path, h == V2 ? "memory.events" : "memory.oom_control",
                             "oom_kill"); /* those of the cgroups below are in it */
    if (own || max < c->memory_max)
        c->memory = now, c->memory_max = max;
}

/* From the process's own cgroup up to the root. */
static void levels(struct reading *r, enum hierarchy h,
                   void (*level)(struct reading *r, enum hierarchy h, const char *path))
{
    char *path = r->seen.path[h];
    if (!r->seen.is[h] || !r->mount[h].at[0])
        return;
    for (unsigned i = 0; i < LEVELS; i++) {
        size_t n = strlen(path);
        if (n && path[n - 1] == '/')
            path[n - 1] = 0;
        level(r, h, path);
        char *last = strrchr(path, '/');
        if (!last)
            return;
        *last = 0;
    }
}

/* ---- a process -------------------------------------------------------------------------------------- */
static int look_one(struct facts_look *l, struct reading *r, uint32_t pid)
{
    char path[40];
    look_pause(l->pace);
    memset(&r->seen, 0, sizeof r->seen);
    memset(&r->row, 0xff, sizeof r->row);
    r->row.pid = pid;
    r->row.path = 0;
    (void)snprintf(path, sizeof path, "/proc/%u/cgroup", pid);
    if (look_lines(path, on_cgroup, r))
        return 0;
    enum hierarchy cpu = r->seen.is[CPU_V1] ? CPU_V1 : V2;
    enum hierarchy memory = r->seen.is[MEMORY_V1] ? MEMORY_V1 : V2;
    r->row.version = cpu == V2 ? 2 : 1;
    int err = facts_text_add(l, wr_span_str(r->seen.path[cpu]), &r->row.path);
    struct seen paths = r->seen; /* walking up shortens them, and both may be the same */
    levels(r, cpu, cpu_level);
    r->seen = paths;
    levels(r, memory, memory_level);
    return err ? err : FACTS_ADD(&l->cgroups, l->heap, &r->row);
}

int look_cgroups(struct facts_look *l, const uint32_t *pids, uint32_t n)
{
    struct reading r = {0};
    int err = look_lines("/proc/self/mountinfo", on_mount, &r);
    if (err) {
        facts_gap(l, "/proc/self/mountinfo", 0, err);
        return 0;
    }
    for (uint32_t i = 0; !err && i < n; i++)
        err = look_one(l, &r, pids[i]);
    return err;
}
