/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The loop and descriptors. The kernel is given ids, not pointers: an id outlives its wr_io and then
 * leads nowhere, which is what makes an event for a closed one harmless.
 */
#include "libweir/base/assert.h"
#include "libweir/base/mutant.h"
#include "libweir/io/loop_impl.h"

#include <errno.h>

/* Only the planted bug addresses events by descriptor number. */
#define BY_FD (UINT64_C(1) << 63)

static uint32_t kind_events(unsigned kind)
{
    switch (kind & 15) {
    case WR_IO_EDGE:
        return EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | (uint32_t)EPOLLET;
    case WR_IO_LISTEN:
        return EPOLLIN | (kind & WR_IO_EXCLUSIVE ? (uint32_t)EPOLLEXCLUSIVE : 0);
    case WR_IO_READ:
        return EPOLLIN;
    default:
        WR_PANIC("wr_io_open: kind %u is none of EDGE, LISTEN, READ", kind);
    }
}

int wr_io_open(struct wr_loop *l, struct wr_io *io, int fd, unsigned kind,
               void (*fn)(struct wr_io *io, uint32_t events))
{
    WR_ASSERT(!io->loop && fn);
    uint64_t id;
    int err = wr_slots_add(&l->ios, io, &id);
    if (err)
        return err;
    struct epoll_event ev = {.events = kind_events(kind), .data.u64 = id};
    if (WR_MUTANT("one-accept-per-edge") && (kind & 15) == WR_IO_LISTEN)
        ev.events |= EPOLLET;
    if (WR_MUTANT("event-for-reused-fd"))
        ev.data.u64 = BY_FD | (uint64_t)fd;
    err = wr_os_epoll_ctl(l->ep, EPOLL_CTL_ADD, fd, &ev);
    if (err) {
        (void)wr_slots_remove(&l->ios, id);
        return err;
    }
    *io = (struct wr_io){.fn = fn, .loop = l, .id = id, .fd = fd, .kind = (uint16_t)kind};
    wr_list_init(&io->again);
    return 0;
}

static int forget(struct wr_io *io)
{
    (void)wr_slots_remove(&io->loop->ios, io->id);
    wr_list_remove(&io->again);
    io->loop = NULL;
    io->left = 0;
    return io->fd;
}

static void unregister(const struct wr_loop *l, int fd)
{
    struct epoll_event ev = {0};
    (void)!wr_os_epoll_ctl(l->ep, EPOLL_CTL_DEL, fd, &ev);
}

/*
 * Closing the last copy of a descriptor ends its registration, so a connection costs no epoll_ctl here.
 * Listeners and the like are shared between processes: while another copy lives the kernel would go
 * on reporting them, level-triggered, for ever. In a forked child the epoll is the parent's.
 */
void wr_io_close(struct wr_io *io)
{
    struct wr_loop *l = io->loop;
    if (!l)
        return;
    int fd = forget(io);
    if ((io->kind & 15) != WR_IO_EDGE && wr_os_getpid() == l->pid)
        unregister(l, fd);
    (void)wr_os_close(fd);
}

int wr_io_detach(struct wr_io *io)
{
    struct wr_loop *l = io->loop;
    if (!l)
        return -EBADF;
    int fd = forget(io);
    unregister(l, fd);
    return fd;
}

void wr_io_again(struct wr_io *io, uint32_t events)
{
    WR_ASSERT(io->loop);
    if (!wr_list_linked(&io->again)) {
        wr_list_add_tail(&io->loop->again, &io->again);
        io->loop->stats->continued++;
    }
    io->left |= (uint16_t)events;
}

static void call(struct wr_loop *l, struct wr_io *io, uint32_t events)
{
    void (*fn)(struct wr_io *, uint32_t) = io->fn;
    int fd = io->fd;
    if (io->left) { /* what is owed and what is new make one call */
        events |= io->left;
        io->left = 0;
        wr_list_remove(&io->again);
    }
    wr_loop_enter_(l, WR_FN(fn), fd);
    fn(io, events); /* io may be gone when it returns */
    wr_loop_leave_(l, WR_FN(fn), fd);
}

/* Whoever has the event's id: the wr_io it was meant for, or nobody. */
static struct wr_io *addressee(const struct wr_loop *l, uint64_t id)
{
    if (!WR_MUTANT("event-for-reused-fd"))
        return wr_slots_get(&l->ios, id);
    struct wr_io *io;
    uint32_t cursor = 0;
    while ((io = wr_slots_next(&l->ios, &cursor)) && (uint64_t)io->fd != (id & ~BY_FD))
        ;
    return io;
}

void wr_loop_dispatch_(struct wr_loop *l, const struct epoll_event *ev)
{
    if (ev->data.u64 == 0) {
        wr_loop_woken_(l);
        return;
    }
    struct wr_io *io = addressee(l, ev->data.u64);
    if (!io) {
        l->stats->stale_events++;
        return;
    }
    l->announced = ev->events & EPOLLIN ? io : NULL;
    call(l, io, ev->events);
    l->announced = NULL;
}

bool wr_io_announced(const struct wr_io *io)
{
    return io->loop && io->loop->announced == io;
}

void wr_loop_resume_(struct wr_loop *l)
{
    struct wr_list *link;
    while ((link = wr_list_first(&l->resume))) {
        struct wr_io *io = wr_container_of(link, struct wr_io, again);
        wr_list_remove(link);
        uint32_t events = io->left;
        io->left = 0;
        call(l, io, events);
    }
}

/* In a forked child: the child's copies of the descriptors, and nothing of the parent's epoll. */
void wr_loop_forget_ios_(struct wr_loop *l)
{
    struct wr_io *io;
    uint32_t cursor = 0;
    while ((io = wr_slots_next(&l->ios, &cursor)))
        (void)wr_os_close(forget(io));
}
