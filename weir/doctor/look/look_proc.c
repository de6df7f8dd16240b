/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/look/look.h"

#include "libweir/os/os.h"

#include <errno.h>
#include <stdio.h>

#define PATH 64 /* "/proc/4294967295/task/4294967295/schedstat" */

struct visit {
    struct facts_look *look;
    struct facts_process *process;
    unsigned what;
};

/* No process, or no longer: nothing to say about it. */
static bool is_gone(int err)
{
    return err == -ENOENT || err == -ESRCH;
}

static bool is_fatal(int err)
{
    return err == -ENOMEM || err == -E2BIG;
}

/* A small file. 0 or -errno. */
static int whole(const char *path, char *buf, size_t room, struct wr_span *out)
{
    int fd = wr_os_open(path, 0, 0);
    if (fd < 0)
        return fd;
    ssize_t n = wr_os_read(fd, buf, room);
    (void)wr_os_close(fd);
    if (n < 0)
        return (int)n;
    *out = wr_span(buf, (size_t)n);
    return 0;
}

/* Its first line; an empty file is an empty line. */
static int first_line(const char *path, char *buf, size_t room, struct wr_span *out)
{
    int err = whole(path, buf, room, out);
    ptrdiff_t end = err ? -1 : wr_span_find_char(*out, '\n');
    if (end >= 0)
        out->n = (size_t)end;
    return err;
}

int look_stat(const char *path, struct proc_stat *out)
{
    char buf[1024];
    struct wr_span text; /* not the first line: a name may hold a newline */
    int err = whole(path, buf, sizeof buf, &text);
    return err ? err : proc_stat(text, out);
}

/* ---- threads ---------------------------------------------------------------------------------------- */
static void on_thread_status(void *arg, struct wr_span line)
{
    proc_thread_status_line(line, arg);
}

/* Where in the kernel it sleeps, and how long it ran and waited: only at a look. */
static void look_rest(struct facts_thread *io)
{
    char path[PATH], buf[128];
    struct wr_span line;
    (void)snprintf(path, sizeof path, "/proc/%u/task/%u/wchan", io->pid, io->tid);
    if (first_line(path, buf, sizeof buf, &line) == 0 && !wr_span_eq(line, WR_LIT("0")))
        memcpy(io->wchan, line.p, line.n < sizeof io->wchan ? line.n : sizeof io->wchan - 1);
    (void)snprintf(path, sizeof path, "/proc/%u/task/%u/schedstat", io->pid, io->tid);
    if (first_line(path, buf, sizeof buf, &line) == 0)
        proc_schedstat(line, io);
}

/* Fills in *out; *io_unread gets a bit if the call it is in may not be known. */
static int look_thread(uint32_t pid, uint32_t tid, struct facts_thread *out,
                       uint32_t *io_unread)
{
    char path[PATH], buf[1024];
    struct wr_span line;
    struct proc_stat s;
    *out = (struct facts_thread){.pid = pid,
                                 .tid = tid,
                                 .voluntary = FACTS_UNKNOWN,
                                 .involuntary = FACTS_UNKNOWN,
                                 .ran_ns = FACTS_UNKNOWN,
                                 .waited_ns = FACTS_UNKNOWN,
                                 .syscall = FACTS_SYSCALL_UNKNOWN};
    (void)snprintf(path, sizeof path, "/proc/%u/task/%u/stat", pid, tid);
    int err = look_stat(path, &s);
    if (err)
        return err;
    out->start = s.start, out->utime = s.utime, out->stime = s.stime, out->state = s.state;
    memcpy(out->comm, s.comm, sizeof out->comm);
    (void)snprintf(path, sizeof path, "/proc/%u/task/%u/syscall", pid, tid);
    if (first_line(path, buf, sizeof buf, &line) == 0)
        proc_syscall(line, out);
    else
        *io_unread |= FACTS_UNREAD_SYSCALL;
    (void)snprintf(path, sizeof path, "/proc/%u/task/%u/status", pid, tid);
    (void)!look_lines(path, on_thread_status, out);
    return 0;
}

static int on_thread(void *arg, int dir, uint32_t tid)
{
    (void)dir;
    struct visit *v = arg;
    struct facts_thread t;
    look_pause(v->look->pace);
    if (look_thread(v->process->pid, tid, &t, &v->process->unread))
        return 0; /* it ended */
    look_rest(&t);
    return FACTS_ADD(&v->look->threads, v->look->heap, &t);
}

struct glance {
    struct facts_glance *to;
    const struct wr_heap *heap;
    struct look_pace *pace;
    uint32_t pid;
};

static int on_glance(void *arg, int dir, uint32_t tid)
{
    (void)dir;
    const struct glance *g = arg;
    struct facts_thread t;
    uint32_t unread = 0;
    look_pause(g->pace);
    if (look_thread(g->pid, tid, &t, &unread))
        return 0;
    return FACTS_ADD(&g->to->threads, g->heap, &t);
}

int look_glance(struct facts_glance *to, const struct wr_heap *heap, uint32_t pid,
                struct look_pace *pace)
{
    char path[PATH];
    struct glance g = {to, heap, pace, pid};
    (void)snprintf(path, sizeof path, "/proc/%u/task", pid);
    int err = look_numbers(path, on_glance, &g);
    return is_fatal(err) ? err : 0;
}

/* ---- a process -------------------------------------------------------------------------------------- */
static void on_status(void *arg, struct wr_span line)
{
    proc_status_line(line, arg);
}

static void on_limit(void *arg, struct wr_span line)
{
    proc_limits_line(line, arg);
}

static int look_script(struct facts_look *l, struct facts_process *p)
{
    char path[PATH], buf[4096];
    struct wr_span line;
    (void)snprintf(path, sizeof path, "/proc/%u/cmdline", p->pid);
    if (whole(path, buf, sizeof buf, &line))
        return 0;
    return facts_text_add(l, proc_script(line), &p->script);
}

static int look_names(struct facts_look *l, struct facts_process *p)
{
    char path[PATH], buf[4096];
    struct wr_span line;
    int err = 0;
    (void)snprintf(path, sizeof path, "/proc/%u/exe", p->pid);
    ssize_t n = wr_os_readlink(path, buf, sizeof buf);
    if (n >= 0)
        err = facts_text_add(l, wr_span(buf, (size_t)n), &p->exe);
    else if (!is_gone((int)n))
        p->unread |= FACTS_UNREAD_EXE; /* ENOENT: a thread of the kernel */
    if (n > 0 && !err && proc_is_interpreter(wr_span(buf, (size_t)n)))
        err = look_script(l, p);
    (void)snprintf(path, sizeof path, "/proc/%u/cgroup", p->pid);
    if (!err && first_line(path, buf, sizeof buf, &line) == 0)
        err = facts_text_add(l, line, &p->cgroup);
    return err;
}

static void look_small_files(struct facts_process *p)
{
    char path[PATH];
    struct stat st;
    (void)snprintf(path, sizeof path, "/proc/%u/status", p->pid);
    (void)!look_lines(path, on_status, p);
    (void)snprintf(path, sizeof path, "/proc/%u/limits", p->pid);
    int err = look_lines(path, on_limit, p);
    if (err && !is_gone(err))
        p->unread |= FACTS_UNREAD_LIMITS;
    (void)snprintf(path, sizeof path, "/proc/%u/fd", p->pid);
    if (wr_os_stat(path, &st) == 0 &&
        st.st_size > 0) /* since Linux 6.2 the size is their number */
        p->fds = (uint64_t)st.st_size;
    (void)snprintf(path, sizeof path, "/proc/%u/ns/net", p->pid);
    if (wr_os_stat(path, &st) == 0)
        p->net = st.st_ino;
}

static int look_lists(struct facts_look *l, struct facts_process *p, unsigned what,
                      const struct facts_look *before)
{
    char path[PATH];
    struct visit v = {l, p, what};
    int err = 0;
    if (what & LOOK_FDS)
        err = look_fds(l, p, what, before);
    if (err)
        return err;
    if (what & LOOK_THREADS) {
        (void)snprintf(path, sizeof path, "/proc/%u/task", p->pid);
        err = look_numbers(path, on_thread, &v);
        if (is_fatal(err))
            return err;
        if (err && !is_gone(err))
            p->unread |= FACTS_UNREAD_THREADS;
    }
    return 0;
}

int look_process(struct facts_look *l, uint32_t pid, unsigned what,
                 const struct facts_look *before)
{
    char path[PATH];
    struct proc_stat s;
    struct facts_process p = {.pid = pid,
                              .fds = FACTS_UNKNOWN,
                              .nofile_soft = FACTS_UNKNOWN,
                              .nofile_hard = FACTS_UNKNOWN,
                              .uid = FACTS_NONE,
                              .zombies = FACTS_NONE};
    look_pause(l->pace);
    (void)snprintf(path, sizeof path, "/proc/%u/stat", pid);
    int err = look_stat(path, &s);
    if (err) {
        if (!is_gone(err))
            facts_gap(l, path, pid, err);
        return 0;
    }
    p.start = s.start, p.utime = s.utime, p.stime = s.stime, p.rss_pages = s.rss_pages;
    p.parent = s.parent, p.threads = s.threads, p.state = s.state;
    memcpy(p.comm, s.comm, sizeof p.comm);
    look_small_files(&p);
    err = look_names(l, &p);
    if (!err)
        err = look_lists(l, &p, what, before);
    if (!err)
        err = FACTS_ADD(&l->processes, l->heap, &p);
    return err;
}

static int on_pid(void *arg, int dir, uint32_t pid)
{
    (void)dir;
    struct visit *v = arg;
    return look_process(v->look, pid, v->what, NULL);
}

int look_processes(struct facts_look *l, unsigned what)
{
    struct visit v = {.look = l, .what = what};
    int err = look_numbers("/proc", on_pid, &v);
    if (err && !is_fatal(err)) {
        facts_gap(l, "/proc", 0, err);
        return 0;
    }
    return err;
}

/* ---- children that nobody waited for ---------------------------------------------------------------- */
struct orphanage {
    struct facts_look *look;
    const uint32_t *parents;
    uint32_t n;
};

static int on_maybe_zombie(void *arg, int dir, uint32_t pid)
{
    const struct orphanage *o = arg;
    char path[PATH];
    struct proc_stat s;
    (void)dir;
    look_pause(o->look->pace);
    (void)snprintf(path, sizeof path, "/proc/%u/stat", pid);
    if (look_stat(path, &s) || s.state != 'Z' || !look_has32(o->parents, o->n, s.parent))
        return 0;
    for (uint32_t i = 0; i < o->look->processes.n; i++)
        if (o->look->processes.v[i].pid == s.parent)
            o->look->processes.v[i].zombies++;
    return 0;
}

int look_zombies(struct facts_look *l, const uint32_t *parents, uint32_t n)
{
    struct orphanage o = {l, parents, n};
    for (uint32_t i = 0; i < l->processes.n; i++)
        l->processes.v[i].zombies =
            look_has32(parents, n, l->processes.v[i].pid) ? 0 : FACTS_NONE;
    int err = look_numbers("/proc", on_maybe_zombie, &o);
    return is_fatal(err) ? err : 0;
}
