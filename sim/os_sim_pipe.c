/* SPDX-License-Identifier: BSD-2-Clause */

/* The small descriptors: eventfd, pipe, signalfd, pidfd; and signals. */

#include "sim/os_sim.h"

#include "libweir/base/assert.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

/* ---- eventfd -------------------------------------------------------------------------------------- */
struct eventfd {
    struct sim_file f;
    uint64_t count;
    bool semaphore;
};

static uint32_t eventfd_poll(struct sim_file *f)
{
    struct eventfd *e = wr_container_of(f, struct eventfd, f);
    return (e->count > 0 ? EPOLLIN : 0u) | (e->count == UINT64_MAX ? EPOLLERR : 0u) |
           (e->count < UINT64_MAX - 1 ? EPOLLOUT : 0u);
}

static ssize_t eventfd_recv(struct sim_file *f, struct msghdr *m, int flags)
{
    struct eventfd *e = wr_container_of(f, struct eventfd, f);
    (void)flags;
    if (sim_iov_size(m->msg_iov, m->msg_iovlen) < 8)
        return -EINVAL;
    if (e->count == 0)
        return -EAGAIN;
    uint64_t got = e->semaphore ? 1 : e->count;
    e->count -= got;
    sim_iov_put(m->msg_iov, m->msg_iovlen, 0, &got, 8);
    sim_wake(f, EPOLLOUT);
    return 8;
}

static ssize_t eventfd_send(struct sim_file *f, const struct msghdr *m, int flags)
{
    struct eventfd *e = wr_container_of(f, struct eventfd, f);
    uint64_t add;
    (void)flags;
    if (sim_iov_size(m->msg_iov, m->msg_iovlen) < 8)
        return -EINVAL;
    sim_iov_get(m->msg_iov, m->msg_iovlen, 0, &add, 8);
    if (add == UINT64_MAX)
        return -EINVAL;
    if (UINT64_MAX - e->count <= add)
        return -EAGAIN;
    e->count += add;
    sim_wake(f, EPOLLIN);
    return 8;
}

static void eventfd_release(struct sim_file *f)
{
    free(wr_container_of(f, struct eventfd, f));
}

struct sim_file *sim_eventfd_new(unsigned value, bool semaphore)
{
    static const struct sim_file_ops ops = {eventfd_poll, eventfd_release, eventfd_recv,
                                            eventfd_send};
    struct eventfd *e = calloc(1, sizeof *e);
    WR_ASSERT(e);
    sim_file_init(&e->f, SIM_EVENTFD, &ops);
    e->count = value;
    e->semaphore = semaphore;
    return &e->f;
}

/* ---- pipe ----------------------------------------------------------------------------------------- */
struct pipe {
    struct sim_file read, write;
    bool reader, writer; /* which ends are open */
    char *data;
    size_t head, n, room;
};

static struct pipe *pipe_of(struct sim_file *f)
{
    return f->kind == SIM_PIPE_READ ? wr_container_of(f, struct pipe, read)
                                    : wr_container_of(f, struct pipe, write);
}

static uint32_t pipe_poll(struct sim_file *f)
{
    struct pipe *p = pipe_of(f);
    if (f->kind == SIM_PIPE_READ)
        return (p->n > 0 ? EPOLLIN | EPOLLRDNORM : 0u) | (p->writer ? 0u : EPOLLHUP);
    return (p->room - p->n >= 4096 ? EPOLLOUT | EPOLLWRNORM : 0u) | (p->reader ? 0u : EPOLLERR);
}

size_t sim_file_room(struct sim_file *f)
{
    if (f->kind == SIM_TCP)
        return sim_tcp_room(f);
    if (f->kind == SIM_UNIX)
        return sim_unix_room(f);
    if (f->kind != SIM_PIPE_WRITE)
        return SIZE_MAX;
    struct pipe *p = pipe_of(f);
    return p->reader ? p->room - p->n : SIZE_MAX;
}

static ssize_t pipe_recv(struct sim_file *f, struct msghdr *m, int flags)
{
    struct pipe *p = pipe_of(f);
    (void)flags;
    if (f->kind != SIM_PIPE_READ)
        return -EBADF;
    if (p->n == 0)
        return p->writer ? -EAGAIN : 0;
    bool was_full = p->room - p->n < 4096;
    size_t want = sim_iov_size(m->msg_iov, m->msg_iovlen), n = want < p->n ? want : p->n;
    for (size_t done = 0; done < n;) {
        size_t piece = p->room - p->head < n - done ? p->room - p->head : n - done;
        sim_iov_put(m->msg_iov, m->msg_iovlen, done, p->data + p->head, piece);
        p->head = (p->head + piece) % p->room;
        done += piece;
    }
    p->n -= n;
    if (was_full)
        sim_wake(&p->write, EPOLLOUT | EPOLLWRNORM);
    return (ssize_t)n;
}

static ssize_t pipe_send(struct sim_file *f, const struct msghdr *m, int flags)
{
    struct pipe *p = pipe_of(f);
    (void)flags;
    if (f->kind != SIM_PIPE_WRITE)
        return -EBADF;
    if (!p->reader)
        return -EPIPE;
    size_t want = sim_iov_size(m->msg_iov, m->msg_iovlen), space = p->room - p->n;
    if (want == 0)
        return 0;
    if (space == 0 || (want <= 4096 && space < want)) /* PIPE_BUF: whole or not at all */
        return -EAGAIN;
    size_t n = want < space ? want : space;
    for (size_t done = 0; done < n;) {
        size_t tail = (p->head + p->n) % p->room;
        size_t piece = p->room - tail < n - done ? p->room - tail : n - done;
        sim_iov_get(m->msg_iov, m->msg_iovlen, done, p->data + tail, piece);
        p->n += piece;
        done += piece;
    }
    sim_wake(&p->read, EPOLLIN | EPOLLRDNORM);
    return (ssize_t)n;
}

static void pipe_release(struct sim_file *f)
{
    struct pipe *p = pipe_of(f);
    if (f->kind == SIM_PIPE_READ) {
        p->reader = false;
        if (p->writer)
            sim_wake(&p->write, EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP);
    } else {
        p->writer = false;
        if (p->reader)
            sim_wake(&p->read, EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP);
    }
    if (!p->reader && !p->writer) {
        free(p->data);
        free(p);
    }
}

int sim_pipe_new(int size_hint, struct sim_file *out[2])
{
    static const struct sim_file_ops ops = {pipe_poll, pipe_release, pipe_recv, pipe_send};
    struct pipe *p = calloc(1, sizeof *p);
    WR_ASSERT(p);
    p->room = size_hint <= 0 ? 65536 : 4096;
    while (size_hint > 0 && p->room < (size_t)size_hint)
        p->room *= 2;
    p->data = malloc(p->room);
    WR_ASSERT(p->data);
    p->reader = p->writer = true;
    sim_file_init(&p->read, SIM_PIPE_READ, &ops);
    sim_file_init(&p->write, SIM_PIPE_WRITE, &ops);
    out[0] = &p->read;
    out[1] = &p->write;
    return 0;
}

/* ---- signals -------------------------------------------------------------------------------------- */
struct signalfd {
    struct sim_file f;
    struct sim_list of_proc;
    uint64_t set;
};

static inline uint64_t bit(int sig)
{
    return 1ull << (sig - 1);
}

uint64_t sim_set_bits(const sigset_t *set)
{
    uint64_t bits = 0;
    for (int s = 1; s < 65; s++)
        if (sigismember(set, s) == 1)
            bits |= bit(s);
    return bits;
}

static bool ignored_by_default(int sig)
{
    return sig == SIGCHLD || sig == SIGURG || sig == SIGWINCH || sig == SIGCONT;
}

void sim_post_signal(struct sim_proc *p, int sig)
{
    if (p->ended || sig == 0)
        return;
    sim_trace("signal %d to %d (%s)", sig, p->pid, p->name);
    if (sig == SIGKILL) {
        sim_proc_end(p, SIGKILL);
        return;
    }
    if (sig == SIGSTOP || sig == SIGCONT) {
        sim_proc_stop(p, sig == SIGSTOP);
        return;
    }
    if (!(p->sigmask & bit(sig))) {
        if (!ignored_by_default(sig))
            sim_proc_end(p, sig);
        return;
    }
    p->pending |= bit(sig);
    SIM_EACH_SAFE(&p->signalfds, it, next)
    {
        sim_wake(&wr_container_of(it, struct signalfd, of_proc)->f, 0);
    }
}

void sim_signal(pid_t pid, int sig)
{
    struct sim_proc *p = sim_proc_find(pid);
    if (p)
        sim_post_signal(p, sig);
}

/* A signalfd reports the signals of whoever asks; watchers were registered by its maker. */
static struct sim_proc *signalfd_proc(void)
{
    return sim_world->current ? sim_self() : NULL;
}

static uint32_t signalfd_poll(struct sim_file *f)
{
    struct signalfd *s = wr_container_of(f, struct signalfd, f);
    struct sim_proc *p = signalfd_proc();
    return p && (p->pending & s->set) ? EPOLLIN : 0;
}

int sim_signalfd_take(struct sim_file *f, struct signalfd_siginfo *out)
{
    struct signalfd *s = wr_container_of(f, struct signalfd, f);
    struct sim_proc *p = sim_self();
    uint64_t hit = p->pending & s->set;
    if (!hit)
        return -EAGAIN;
    int sig = __builtin_ctzll(hit) + 1;
    p->pending &= ~bit(sig);
    memset(out, 0, sizeof *out);
    out->ssi_signo = (uint32_t)sig;
    return 1;
}

static ssize_t signalfd_recv(struct sim_file *f, struct msghdr *m, int flags)
{
    struct signalfd_siginfo info;
    (void)flags;
    if (sim_iov_size(m->msg_iov, m->msg_iovlen) < sizeof info)
        return -EINVAL;
    int r = sim_signalfd_take(f, &info);
    if (r < 0)
        return r;
    sim_iov_put(m->msg_iov, m->msg_iovlen, 0, &info, sizeof info);
    return (ssize_t)sizeof info;
}

static void signalfd_release(struct sim_file *f)
{
    struct signalfd *s = wr_container_of(f, struct signalfd, f);
    sim_list_del(&s->of_proc);
    free(s);
}

struct sim_file *sim_signalfd_new(const sigset_t *set)
{
    static const struct sim_file_ops ops = {signalfd_poll, signalfd_release, signalfd_recv,
                                            NULL};
    struct signalfd *s = calloc(1, sizeof *s);
    WR_ASSERT(s);
    sim_file_init(&s->f, SIM_SIGNALFD, &ops);
    s->set = sim_set_bits(set);
    sim_list_add(&sim_self()->signalfds, &s->of_proc);
    return &s->f;
}

/* ---- pidfd ---------------------------------------------------------------------------------------- */
struct pidfd {
    struct sim_file f;
    struct sim_list of_proc;
    pid_t pid;
};

struct sim_file *sim_pidfd_file(struct sim_list *node)
{
    return &wr_container_of(node, struct pidfd, of_proc)->f;
}

struct sim_proc *sim_pidfd_proc(struct sim_file *f)
{
    return f->kind == SIM_PIDFD ? sim_proc_find(wr_container_of(f, struct pidfd, f)->pid)
                                : NULL;
}

static uint32_t pidfd_poll(struct sim_file *f)
{
    struct sim_proc *p = sim_pidfd_proc(f);
    return !p || p->ended ? EPOLLIN | EPOLLRDNORM : 0;
}

static void pidfd_release(struct sim_file *f)
{
    struct pidfd *d = wr_container_of(f, struct pidfd, f);
    sim_list_del(&d->of_proc);
    free(d);
}

struct sim_file *sim_pidfd_new(struct sim_proc *p)
{
    static const struct sim_file_ops ops = {.poll = pidfd_poll, .release = pidfd_release};
    struct pidfd *d = calloc(1, sizeof *d);
    WR_ASSERT(d);
    sim_file_init(&d->f, SIM_PIDFD, &ops);
    d->pid = p->pid;
    sim_list_add(&p->pidfds, &d->of_proc);
    return &d->f;
}
