/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/look/look.h"

#include "libweir/base/num.h"
#include "libweir/os/os.h"

#include <errno.h>
#include <stdio.h>

/* Every counter of this group and name gets the value: names are few, lines are short. */
static void set(struct facts_look *l, const char *group, struct wr_span name,
                struct wr_span value)
{
    uint64_t v;
    for (unsigned i = 0; i < FACTS_COUNTERS; i++) {
        if (!wr_span_eq(name, wr_span_str(facts_counter_name(i))) ||
            strcmp(facts_counter_group(i), group) != 0)
            continue;
        if (wr_num_parse_u64(value, &v) == 0)
            l->counter[i] = v;
    }
}

void net_pair(struct facts_look *l, struct wr_span names, struct wr_span values)
{
    struct wr_span group, again, name, value;
    char text[16];
    if (!proc_word(&names, &group) || !proc_word(&values, &again) ||
        !wr_span_eq(group, again) || group.n < 2 || group.n > sizeof text)
        return;
    memcpy(text, group.p, group.n - 1);
    text[group.n - 1] = 0; /* without the colon */
    while (proc_word(&names, &name) && proc_word(&values, &value))
        set(l, text, name, value);
}

void net_sockstat_line(struct facts_look *l, struct wr_span line)
{
    struct wr_span head, name, value;
    char group[32];
    if (!proc_word(&line, &head) || head.n < 2)
        return;
    (void)snprintf(group, sizeof group, "sockstat %.*s", (int)(head.n < 16 ? head.n - 1 : 15),
                   head.p);
    while (proc_word(&line, &name) && proc_word(&line, &value))
        set(l, group, name, value);
}

void net_pressure_line(struct facts_look *l, const char *which, struct wr_span line)
{
    struct wr_span head, w;
    char group[40];
    if (!proc_word(&line, &head))
        return;
    (void)snprintf(group, sizeof group, "pressure %s %.*s", which,
                   (int)(head.n < 8 ? head.n : 8), head.p);
    while (proc_word(&line, &w))
        if (wr_span_has_prefix(w, WR_LIT("total=")))
            set(l, group, WR_LIT("total"), wr_span_sub(w, 6, w.n));
}

static void add(struct facts_look *l, enum facts_counter c, struct wr_span text)
{
    uint64_t v;
    if (wr_num_parse_hex(text, &v) == 0)
        l->counter[c] = (l->counter[c] == FACTS_UNKNOWN ? 0 : l->counter[c]) + v;
}

/* One line a processor: packets, dropped, squeezed ..., in hex; they are added up. */
void net_softnet_line(struct facts_look *l, struct wr_span line)
{
    struct wr_span w;
    if (proc_word(&line, &w))
        add(l, FACTS_SOFTNET_PACKETS, w);
    if (proc_word(&line, &w))
        add(l, FACTS_SOFTNET_DROPPED, w);
    if (proc_word(&line, &w))
        add(l, FACTS_SOFTNET_SQUEEZED, w);
}

/* "  eth0: 16 numbers": first the 8 of what came (bytes, packets, errors, dropped, fifo ...), then of what went. */
int net_nic_line(struct facts_look *l, struct wr_span line)
{
    struct facts_nic n = {0};
    uint64_t v[12];
    struct wr_span w;
    ptrdiff_t colon = -1;
    for (size_t i = 0; i < line.n; i++) /* an alias has a colon in its name: eth0:1 */
        if (line.p[i] == ':')
            colon = (ptrdiff_t)i;
    if (colon < 0)
        return -EPROTO;
    struct wr_span name = wr_span(line.p, (size_t)colon);
    struct wr_span rest = wr_span_sub(line, (size_t)colon + 1, line.n);
    for (unsigned i = 0; i < WR_ARRAY_LEN(v); i++)
        if (!proc_word(&rest, &w) || wr_num_parse_u64(w, &v[i]))
            return -EPROTO;
    if (!proc_word(&name, &w))
        return -EPROTO;
    n.rx_packets = v[1], n.rx_errors = v[2], n.rx_dropped = v[3], n.rx_fifo = v[4];
    n.tx_packets = v[9], n.tx_errors = v[10], n.tx_dropped = v[11];
    int err = facts_text_add(l, w, &n.name);
    return err ? err : FACTS_ADD(&l->nics, l->heap, &n);
}

void net_sysctl(struct facts_look *l, enum facts_sysctl s, struct wr_span text)
{
    struct wr_span w;
    uint64_t v;
    for (unsigned i = 0; i < 3 && proc_word(&text, &w); i++)
        if (wr_num_parse_u64(w, &v) == 0)
            l->sysctl[s][i] = v;
}

/* ---- reading ---------------------------------------------------------------------------------------- */
struct reading {
    struct facts_look *look;
    const char *which;
    enum facts_sysctl sysctl;
    size_t n;
    char names[LOOK_LINE_MAX]; /* the line before, of netstat and snmp */
};

static void on_pair(void *arg, struct wr_span line)
{
    struct reading *r = arg;
    if (r->n) {
        net_pair(r->look, wr_span(r->names, r->n), line);
        r->n = 0;
        return;
    }
    r->n = line.n < sizeof r->names ? line.n : sizeof r->names;
    memcpy(r->names, line.p, r->n);
}

static void on_sockstat(void *arg, struct wr_span line)
{
    struct reading *r = arg;
    net_sockstat_line(r->look, line);
}

static void on_softnet(void *arg, struct wr_span line)
{
    struct reading *r = arg;
    net_softnet_line(r->look, line);
}

static void on_nic(void *arg, struct wr_span line)
{
    struct reading *r = arg;
    (void)!net_nic_line(r->look, line); /* two lines of titles; an interface less is no loss */
}

static void on_pressure(void *arg, struct wr_span line)
{
    struct reading *r = arg;
    net_pressure_line(r->look, r->which, line);
}

static void on_sysctl(void *arg, struct wr_span line)
{
    struct reading *r = arg;
    net_sysctl(r->look, r->sysctl, line);
}

/* A line of names (drop, insert_failed ...), then one a processor in hex. */
static void on_conntrack(void *arg, struct wr_span line)
{
    static const enum facts_counter wanted[] = {
        FACTS_CONNTRACK_DROP, FACTS_CONNTRACK_EARLY_DROP, FACTS_CONNTRACK_INSERT_FAILED};
    struct reading *r = arg;
    struct wr_span names, name, value;
    if (!r->n) {
        r->n = line.n < sizeof r->names ? line.n : sizeof r->names;
        memcpy(r->names, line.p, r->n);
        return;
    }
    names = wr_span(r->names, r->n);
    while (proc_word(&names, &name) && proc_word(&line, &value))
        for (unsigned i = 0; i < WR_ARRAY_LEN(wanted); i++)
            if (wr_span_eq(name, wr_span_str(facts_counter_name(wanted[i]))))
                add(r->look, wanted[i], value);
}

static void look_sysctls(struct facts_look *l, bool ours)
{
    struct reading r = {.look = l};
    char path[96];
    for (r.sysctl = 0; r.sysctl < FACTS_SYSCTLS; r.sysctl++) {
        bool of_net = strncmp(facts_sysctl_path(r.sysctl), "net/", 4) == 0;
        look_pause(l->pace);
        (void)snprintf(path, sizeof path, "/proc/sys/%s", facts_sysctl_path(r.sysctl));
        int err = of_net && !ours ? -EXDEV : look_lines(path, on_sysctl, &r);
        if (err && err != -ENOENT) /* what this kernel has not is merely not known */
            facts_gap(l, path, 0, err);
    }
}

void look_net(struct facts_look *l, uint32_t pid)
{
    static const struct {
        const char *path, *which;
        void (*fn)(void *arg, struct wr_span line);
    } files[] = {
        {"net/netstat",           NULL,     on_pair     },
        {"net/snmp",              NULL,     on_pair     },
        {"net/sockstat",          NULL,     on_sockstat },
        {"net/softnet_stat",      NULL,     on_softnet  },
        {"net/dev",               NULL,     on_nic      },
        {"net/stat/nf_conntrack", NULL,     on_conntrack},
        {"pressure/cpu",          "cpu",    on_pressure },
        {"pressure/io",           "io",     on_pressure },
        {"pressure/memory",       "memory", on_pressure },
    };
    struct reading r = {.look = l};
    char path[96], who[16] = "thread-self";
    if (pid)
        (void)snprintf(who, sizeof who, "%u", pid);
    for (unsigned i = 0; i < WR_ARRAY_LEN(files); i++) {
        bool of_net = files[i].path[0] == 'n'; /* of a namespace, so below a process */
        r.n = 0;
        r.which = files[i].which;
        look_pause(l->pace);
        (void)snprintf(path, sizeof path, "/proc/%s%s%s", of_net ? who : "", of_net ? "/" : "",
                       files[i].path);
        int err = look_lines(path, files[i].fn, &r);
        if (err && err != -ENOENT) /* what this kernel has not is merely not known */
            facts_gap(l, path, 0, err);
    }
    look_sysctls(l, pid == 0);
}

void look_begin(struct facts_look *l)
{
    struct stat st;
    l->at_ns = wr_os_now_ns(CLOCK_MONOTONIC);
    l->wall_ms = wr_os_now_ns(CLOCK_REALTIME) / 1000000;
    l->looker = wr_os_uid();
    l->ticks = 100; /* USER_HZ: part of the kernel's ABI on every machine that weir runs on */
    l->page = 4096;
    if (wr_os_stat("/proc/thread-self/ns/net", &st) == 0)
        l->net = st.st_ino;
}

void look_end(struct facts_look *l)
{
    l->took_ns = wr_os_now_ns(CLOCK_MONOTONIC) - l->at_ns;
}
