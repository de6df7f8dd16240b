/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/look/look.h"

#include "libweir/base/num.h"

#include <errno.h>

bool proc_word(struct wr_span *rest, struct wr_span *out)
{
    size_t i = 0, from;
    while (i < rest->n && (rest->p[i] == ' ' || rest->p[i] == '\t'))
        i++;
    for (from = i; i < rest->n && rest->p[i] != ' ' && rest->p[i] != '\t';)
        i++;
    if (i == from)
        return false;
    *out = wr_span(rest->p + from, i - from);
    *rest = wr_span(rest->p + i, rest->n - i);
    return true;
}

static bool number(struct wr_span *rest, uint64_t *out)
{
    struct wr_span w;
    return proc_word(rest, &w) && wr_num_parse_u64(w, out) == 0;
}

static bool hex(struct wr_span w, uint64_t *out)
{
    if (wr_span_has_prefix(w, WR_LIT("0x")))
        w = wr_span_sub(w, 2, w.n);
    return wr_num_parse_hex(w, out) == 0;
}

/* What follows name, if the line begins with it. */
static bool after(struct wr_span line, struct wr_span name, struct wr_span *out)
{
    if (!wr_span_has_prefix(line, name))
        return false;
    *out = wr_span_sub(line, name.n, line.n);
    return true;
}

static void number_after(struct wr_span line, struct wr_span name, uint64_t *io)
{
    struct wr_span rest;
    uint64_t v;
    if (after(line, name, &rest) && number(&rest, &v))
        *io = v;
}

static void small_after(struct wr_span line, struct wr_span name, uint32_t *io)
{
    uint64_t v = *io;
    number_after(line, name, &v);
    *io = (uint32_t)v;
}

int proc_stat(struct wr_span line, struct proc_stat *out)
{
    struct proc_stat s = {0};
    struct wr_span w;
    ptrdiff_t open = wr_span_find_char(line, '('), shut = -1;
    for (size_t i = 0; i < line.n;
         i++) /* a name may hold brackets and blanks: the last one ends it */
        if (line.p[i] == ')')
            shut = (ptrdiff_t)i;
    if (open < 0 || shut < open)
        return -EPROTO;
    size_t n = (size_t)(shut - open - 1);
    memcpy(s.comm, line.p + open + 1, n < sizeof s.comm - 1 ? n : sizeof s.comm - 1);
    struct wr_span rest = wr_span_sub(line, (size_t)shut + 1, line.n);
    if (!proc_word(&rest, &w) || w.n != 1 || wr_ascii_lower(w.p[0]) < 'a' ||
        wr_ascii_lower(w.p[0]) > 'z')
        return -EPROTO;
    s.state = w.p[0];
    for (unsigned field = 4; field <= 24; field++) {
        uint64_t v = 0;
        if (!proc_word(&rest, &w))
            return -EPROTO;
        if (wr_num_parse_u64(w, &v))
            v = 0; /* the few that may be negative are not asked for */
        if (field == 4)
            s.parent = (uint32_t)v;
        else if (field == 14)
            s.utime = v;
        else if (field == 15)
            s.stime = v;
        else if (field == 20)
            s.threads = (uint32_t)v;
        else if (field == 22)
            s.start = v;
        else if (field == 24)
            s.rss_pages = v;
    }
    *out = s;
    return 0;
}

void proc_status_line(struct wr_span line, struct facts_process *io)
{
    struct wr_span rest;
    uint64_t v;
    small_after(line, WR_LIT("TracerPid:"), &io->tracer);
    if (after(line, WR_LIT("Uid:"), &rest) && number(&rest, &v) && number(&rest, &v))
        io->uid = (uint32_t)v; /* the second one is the effective one */
}

void proc_thread_status_line(struct wr_span line, struct facts_thread *io)
{
    number_after(line, WR_LIT("voluntary_ctxt_switches:"), &io->voluntary);
    number_after(line, WR_LIT("nonvoluntary_ctxt_switches:"), &io->involuntary);
}

static uint64_t limit_of(struct wr_span w)
{
    uint64_t v;
    if (wr_span_eq(w, WR_LIT("unlimited")))
        return UINT64_MAX - 1;
    return wr_num_parse_u64(w, &v) ? FACTS_UNKNOWN : v;
}

void proc_limits_line(struct wr_span line, struct facts_process *io)
{
    struct wr_span rest, soft, hard;
    if (!after(line, WR_LIT("Max open files"), &rest) || !proc_word(&rest, &soft) ||
        !proc_word(&rest, &hard))
        return;
    io->nofile_soft = limit_of(soft);
    io->nofile_hard = limit_of(hard);
}

void proc_syscall(struct wr_span line, struct facts_thread *io)
{
    struct wr_span w;
    int64_t nr;
    uint64_t arg[6];
    io->syscall = FACTS_SYSCALL_UNKNOWN;
    if (!proc_word(&line, &w))
        return;
    if (wr_span_eq(w, WR_LIT("running"))) {
        io->syscall = FACTS_SYSCALL_RUNNING;
        return;
    }
    if (wr_num_parse_i64(w, &nr) || nr < 0 || nr > 100000)
        return; /* -1: blocked, but not in a call */
    for (unsigned i = 0; i < 6; i++)
        if (!proc_word(&line, &w) || !hex(w, &arg[i]))
            return;
    memcpy(io->arg, arg, sizeof arg);
    io->syscall = (int32_t)nr;
}

void proc_schedstat(struct wr_span line, struct facts_thread *io)
{
    uint64_t ran, waited;
    if (number(&line, &ran) && number(&line, &waited))
        io->ran_ns = ran, io->waited_ns = waited;
}

static uint64_t inode_in(struct wr_span link, struct wr_span prefix)
{
    struct wr_span rest;
    uint64_t v;
    if (!after(link, prefix, &rest) || rest.n < 2 || rest.p[rest.n - 1] != ']' ||
        wr_num_parse_u64(wr_span(rest.p, rest.n - 1), &v))
        return 0;
    return v;
}

void proc_link(struct wr_span link, enum facts_fd_kind *out_kind, uint64_t *out_inode)
{
    static const struct {
        const char *begin;
        enum facts_fd_kind kind;
    } known[] = {
        {"anon_inode:[eventpoll]", FACTS_FD_EPOLL},
        {"anon_inode:[eventfd]",   FACTS_FD_EVENT},
        {"anon_inode:[timerfd]",   FACTS_FD_TIMER},
        {"anon_inode:[io_uring]",  FACTS_FD_RING },
        {"/dev/pts/",              FACTS_FD_TTY  },
        {"/dev/tty",               FACTS_FD_TTY  },
        {"/dev/console",           FACTS_FD_TTY  },
        {"/",                      FACTS_FD_FILE },
    };
    *out_inode = inode_in(link, WR_LIT("socket:["));
    *out_kind = FACTS_FD_SOCKET;
    if (*out_inode)
        return;
    *out_inode = inode_in(link, WR_LIT("pipe:["));
    *out_kind = FACTS_FD_PIPE;
    if (*out_inode)
        return;
    *out_kind = FACTS_FD_OTHER;
    for (unsigned i = 0; i < WR_ARRAY_LEN(known); i++)
        if (wr_span_has_prefix(link, wr_span_str(known[i].begin))) {
            *out_kind = known[i].kind;
            return;
        }
}

/* "tfd:        3 events: 80000019 data: 3  pos:0 ino:951e sdev:9": by name, as the columns have moved before. */
bool proc_watch_line(struct wr_span line, struct facts_watch *io)
{
    struct wr_span rest, w;
    uint64_t fd, v;
    if (!after(line, WR_LIT("tfd:"), &rest) || !number(&rest, &fd) || fd > INT32_MAX)
        return false;
    io->fd = (int32_t)fd;
    io->events = 0;
    io->inode = FACTS_UNKNOWN;
    while (proc_word(&rest, &w)) {
        if (wr_span_eq(w, WR_LIT("events:")) && proc_word(&rest, &w) && hex(w, &v))
            io->events = (uint32_t)v;
        else if (wr_span_has_prefix(w, WR_LIT("ino:")) && hex(wr_span_sub(w, 4, w.n), &v))
            io->inode = v;
    }
    return true;
}

void proc_ring_line(struct wr_span line, struct facts_ring *io)
{
    enum {
        READ_OP = 22,
        RECV_OP = 27,
        RECVMSG_OP = 10,
        ACCEPT_OP = 13
    };
    struct wr_span rest = line, w;
    uint64_t op;
    small_after(line, WR_LIT("SqHead:"), &io->sq_head);
    small_after(line, WR_LIT("SqTail:"), &io->sq_tail);
    small_after(line, WR_LIT("CqHead:"), &io->cq_head);
    small_after(line, WR_LIT("CqTail:"), &io->cq_tail);
    if (!proc_word(&rest, &w) || !wr_span_has_prefix(w, WR_LIT("op=")))
        return;
    w = wr_span_sub(w, 3, w.n);
    if (w.n && w.p[w.n - 1] == ',')
        w.n--;
    if (wr_num_parse_u64(w, &op))
        return;
    io->polls++;
    io->accepts += op == ACCEPT_OP;
    io->reads += op == READ_OP || op == RECV_OP || op == RECVMSG_OP;
}

void proc_flags_line(struct wr_span line, uint32_t *io)
{
    struct wr_span rest, w;
    uint32_t v = 0;
    if (!after(line, WR_LIT("flags:"), &rest) || !proc_word(&rest, &w) || w.n > 10)
        return;
    for (size_t i = 0; i < w.n; i++) {
        if (w.p[i] < '0' || w.p[i] > '7')
            return;
        v = v << 3 | (uint32_t)(w.p[i] - '0');
    }
    *io = v;
}

bool proc_named(struct wr_span line, struct wr_span name, uint64_t *out)
{
    struct wr_span w;
    return proc_word(&line, &w) && wr_span_eq(w, name) && number(&line, out);
}

static bool is_read_only(struct wr_span options)
{
    struct wr_span option;
    while (options.n && wr_span_split(&options, ',', &option))
        if (wr_span_eq(option, WR_LIT("ro")))
            return true;
    return false;
}

/* "36 35 98:0 /root /dir rw,noatime shared:1 - ext4 /dev/sda1 rw": the mount may be read-only, or all of the disk. */
bool proc_mount_line(struct wr_span line, uint32_t id, struct proc_mount *out)
{
    struct wr_span w, options = {0}, source;
    struct proc_mount m = {0};
    uint64_t v;
    if (!number(&line, &v) || v != id)
        return false;
    for (unsigned i = 1; proc_word(&line, &w) && !wr_span_eq(w, WR_LIT("-")); i++) {
        m.dir = i == 4 ? w : m.dir;
        options = i == 5 ? w : options;
    }
    m.read_only = is_read_only(options);
    if (!proc_word(&line, &m.type) || !proc_word(&line, &source) || !m.dir.n)
        return false;
    if (proc_word(&line, &options)) /* the disk's */
        m.read_only |= is_read_only(options);
    *out = m;
    return true;
}

/* "4:cpu,cpuacct:/path": behind the first colon stands a list of controllers, behind the second the path. */
bool proc_cgroup_line(struct wr_span line, struct wr_span controller, struct wr_span *out_path)
{
    struct wr_span part, list, name;
    if (!wr_span_split(&line, ':', &part) || !wr_span_split(&line, ':', &list) || line.n == 0)
        return false;
    *out_path = line;
    if (controller.n == 0)
        return list.n == 0;
    while (list.n && wr_span_split(&list, ',', &name))
        if (wr_span_eq(name, controller))
            return true;
    return false;
}
