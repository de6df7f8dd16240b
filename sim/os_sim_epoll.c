/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Files in general, and epoll with the kernel's own rules.
 *
 * A wake puts the item on the ready list; collecting asks poll() again and drops items that are no
 * longer ready; level-triggered items go back to the tail, edge-triggered ones leave the list until
 * the next wake. An exclusive item counts as woken only when a task really waits in its epoll.
 * A registration belongs to the description, not to the number: it lives until the last close.
 */

#include "sim/os_sim.h"

#include "libweir/base/assert.h"

#include <errno.h>
#include <stdlib.h>

#define PRIVATE_BITS (EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE | EPOLLWAKEUP)
#define ITEM_HASH    1024u

struct epoll_item {
    struct sim_waiter waiter; /* on the watched file */
    struct sim_list of_file;
    struct sim_list ready; /* self-linked when not on the ready list */
    struct sim_list all;
    struct sim_epoll *ep;
    struct sim_file *file;
    int fd;
    struct epoll_event ev;
};

struct sim_epoll {
    struct sim_file f;
    struct sim_list ready;
    struct sim_list items[ITEM_HASH];
};

void sim_file_init(struct sim_file *f, enum sim_kind kind, const struct sim_file_ops *ops)
{
    f->ops = ops;
    f->kind = kind;
    f->refs = 1;
    f->nonblock = true;
    sim_list_init(&f->waiters);
    sim_list_init(&f->watches);
    sim_world->files_open++;
}

void sim_file_drop(struct sim_file *f)
{
    WR_ASSERT(f->refs > 0);
    if (--f->refs > 0)
        return;
    sim_world->files_open--;
    sim_epoll_forget(f);
    f->ops->release(f);
}

/* Walks a snapshot-safe list: a woken waiter may remove itself, never its successor. */
void sim_wake(struct sim_file *f, uint32_t key)
{
    SIM_EACH_SAFE(&f->waiters, it, next)
    {
        struct sim_waiter *w = wr_container_of(it, struct sim_waiter, node);
        if (w->fn(w, key) && w->exclusive)
            break;
    }
}

static bool item_woken(struct sim_waiter *w, uint32_t key)
{
    struct epoll_item *i = wr_container_of(w, struct epoll_item, waiter);
    if (!(i->ev.events & ~PRIVATE_BITS))
        return false; /* a one-shot that fired */
    if (key && !(key & i->ev.events))
        return false;
    if (sim_list_empty(&i->ready))
        sim_list_add(&i->ep->ready, &i->ready);
    bool waiting = !sim_list_empty(&i->ep->f.waiters);
    bool counts = waiting && (!key || (key & i->ev.events & (EPOLLIN | EPOLLOUT)));
    /* One of the tasks that wait is enough. */
    if (waiting) {
        struct sim_waiter *first =
            wr_container_of(i->ep->f.waiters.next, struct sim_waiter, node);
        first->fn(first, EPOLLIN);
    }
    return !(i->ev.events & EPOLLEXCLUSIVE) || counts;
}

static uint32_t item_poll(const struct epoll_item *i)
{
    return i->file->ops->poll(i->file) & (i->ev.events | EPOLLERR | EPOLLHUP);
}

static struct epoll_item *item_find(struct sim_epoll *ep, int fd, const struct sim_file *f)
{
    SIM_EACH_SAFE(&ep->items[(unsigned)fd % ITEM_HASH], it, next)
    {
        struct epoll_item *i = wr_container_of(it, struct epoll_item, all);
        if (i->fd == fd && i->file == f)
            return i;
    }
    return NULL;
}

static void item_free(struct epoll_item *i)
{
    sim_list_del(&i->waiter.node);
    sim_list_del(&i->of_file);
    sim_list_del(&i->ready);
    sim_list_del(&i->all);
    free(i);
}

/* Adding or changing asks poll() at once: what is ready already is an event. */
static void item_rearm(struct epoll_item *i)
{
    if (!item_poll(i) || !(i->ev.events & ~PRIVATE_BITS))
        return;
    if (sim_list_empty(&i->ready))
        sim_list_add(&i->ep->ready, &i->ready);
    sim_wake(&i->ep->f, EPOLLIN);
}

static int item_add(struct sim_epoll *ep, int fd, struct sim_file *f,
                    const struct epoll_event *ev)
{
    if (item_find(ep, fd, f))
        return -EEXIST;
    if (f->kind == SIM_REGULAR)
        return -EPERM;
    struct epoll_item *i = calloc(1, sizeof *i);
    WR_ASSERT(i);
    i->ep = ep;
    i->file = f;
    i->fd = fd;
    i->ev = *ev;
    i->waiter.fn = item_woken;
    i->waiter.exclusive = (ev->events & EPOLLEXCLUSIVE) != 0;
    sim_list_init(&i->ready);
    sim_list_add(&ep->items[(unsigned)fd % ITEM_HASH], &i->all);
    sim_list_add(&f->watches, &i->of_file);
    /* Exclusive waiters go behind the others, which are all told. */
    if (i->waiter.exclusive)
        sim_list_add(&f->waiters, &i->waiter.node);
    else
        sim_list_add(f->waiters.next, &i->waiter.node);
    item_rearm(i);
    return 0;
}

int sim_epoll_ctl(struct sim_file *epf, int op, int fd, struct sim_file *f,
                  const struct epoll_event *ev)
{
    struct sim_epoll *ep = wr_container_of(epf, struct sim_epoll, f);
    if (epf->kind != SIM_EPOLL || f == epf)
        return -EINVAL;
    if (op == EPOLL_CTL_ADD)
        return item_add(ep, fd, f, ev);
    struct epoll_item *i = item_find(ep, fd, f);
    if (!i)
        return -ENOENT;
    if (op == EPOLL_CTL_DEL) {
        item_free(i);
        return 0;
    }
    if (op != EPOLL_CTL_MOD || ((i->ev.events | ev->events) & EPOLLEXCLUSIVE))
        return -EINVAL;
    i->ev = *ev;
    item_rearm(i);
    return 0;
}

/* Takes what is ready. The order among ready files is no promise, so the seed may turn the list. */
int sim_epoll_collect(struct sim_file *epf, struct epoll_event *evs, int max)
{
    struct sim_epoll *ep = wr_container_of(epf, struct sim_epoll, f);
    struct sim_list taken;
    sim_list_init(&taken);
    bool turn = sim_rand(4) == 0;
    while (!sim_list_empty(&ep->ready)) {
        struct sim_list *it = ep->ready.next;
        sim_list_del(it);
        sim_list_add(turn ? taken.next : &taken, it);
    }
    int n = 0;
    while (!sim_list_empty(&taken) && n < max) {
        struct epoll_item *i = wr_container_of(taken.next, struct epoll_item, ready);
        sim_list_del(&i->ready);
        uint32_t got = item_poll(i);
        if (!got)
            continue;
        evs[n].events = got;
        evs[n++].data = i->ev.data;
        if (i->ev.events & EPOLLONESHOT)
            i->ev.events &= PRIVATE_BITS;
        else if (!(i->ev.events & EPOLLET))
            sim_list_add(&ep->ready, &i->ready);
    }
    while (!sim_list_empty(&taken)) { /* more than max: they come first the next time */
        struct sim_list *it = taken.prev;
        sim_list_del(it);
        sim_list_add(ep->ready.next, it);
    }
    return n;
}

void sim_epoll_forget(struct sim_file *f)
{
    SIM_EACH_SAFE(&f->watches, it, next)
    {
        item_free(wr_container_of(it, struct epoll_item, of_file));
    }
}

static uint32_t epoll_poll(struct sim_file *f)
{
    struct sim_epoll *ep = wr_container_of(f, struct sim_epoll, f);
    SIM_EACH_SAFE(&ep->ready, it, next)
    {
        if (item_poll(wr_container_of(it, struct epoll_item, ready)))
            return EPOLLIN | EPOLLRDNORM;
    }
    return 0;
}

static void epoll_release(struct sim_file *f)
{
    struct sim_epoll *ep = wr_container_of(f, struct sim_epoll, f);
    for (unsigned h = 0; h < ITEM_HASH; h++) {
        SIM_EACH_SAFE(&ep->items[h], it, next)
        {
            item_free(wr_container_of(it, struct epoll_item, all));
        }
    }
    free(ep);
}

struct sim_file *sim_epoll_new(void)
{
    static const struct sim_file_ops ops = {.poll = epoll_poll, .release = epoll_release};
    struct sim_epoll *ep = calloc(1, sizeof *ep);
    WR_ASSERT(ep);
    sim_file_init(&ep->f, SIM_EPOLL, &ops);
    sim_list_init(&ep->ready);
    for (unsigned h = 0; h < ITEM_HASH; h++)
        sim_list_init(&ep->items[h]);
    return &ep->f;
}
