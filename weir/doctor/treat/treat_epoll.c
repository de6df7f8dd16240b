/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Treatments of an epoll set: how a descriptor is watched is changed from outside, through the process's own set.
 *
 * EPOLL_CTL_MOD finds its entry by open file and number: a child of ours puts its copy of the watched file under the
 * very number that the process gave, and modifies the entry in the shared set. The kernel looks at the file once
 * more while it does so: what stands ready is told at once.
 */
#include "weir/doctor/look/look.h"
#include "weir/doctor/treat/treat_private.h"

#include "libweir/base/num.h"
#include "libweir/os/os.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>

#define CONTROL (FACTS_WATCH_EDGE | FACTS_WATCH_ONESHOT | FACTS_WATCH_EXCLUSIVE | 1U << 29)

struct entry { /* wanted: fd, inode; found: events, data */
    int32_t fd;
    uint64_t inode, data;
    uint32_t events;
    bool found;
};

/* tfd:        3 events: 80000019 data:                3  pos:0 ino:951e sdev:9 */
static void on_line(void *arg, struct wr_span line)
{
    struct entry *e = arg;
    struct facts_watch w = {.inode = FACTS_UNKNOWN};
    struct wr_span word;
    if (!proc_watch_line(line, &w) || w.fd != e->fd || w.inode != e->inode)
        return;
    while (proc_word(&line, &word)) {
        if (!wr_span_has_prefix(word, WR_LIT("data:")))
            continue;
        word = wr_span_sub(word, 5, word.n);
        if (word.n == 0 && !proc_word(&line, &word))
            return;
        e->found = wr_num_parse_hex(word, &e->data) == 0;
        e->events = w.events;
        return;
    }
}

static int find(const struct hand *h, struct entry *out)
{
    char path[64];
    *out = (struct entry){.fd = h->fd, .inode = h->inode};
    (void)snprintf(path, sizeof path, "/proc/%u/fdinfo/%d", h->pid, h->epoll);
    int err = look_lines(path, on_line, out);
    return err ? err : out->found ? 0 : -ENOENT;
}

struct change {
    struct treat *treat;
    const struct hand *hand;
    uint32_t events;
};

static int modify(void *arg)
{
    struct change *c = arg;
    struct entry e;
    int err = find(c->hand, &e);
    if (err)
        return err;
    int file = hand_take(c->treat, c->hand);
    if (file < 0)
        return file;
    int set = hand_take_fd(c->treat, c->hand->pid, c->hand->epoll, 0);
    if (set == c->hand->fd)
        set = wr_os_dup(set); /* the number is needed for the file */
    if (set < 0)
        return set;
    if (file != c->hand->fd)
        err = wr_os_dup_to(file, c->hand->fd);
    struct epoll_event ev = {.events = c->events, .data.u64 = e.data};
    return err < 0 ? err : wr_os_epoll_ctl(set, EPOLL_CTL_MOD, c->hand->fd, &ev);
}

static int change(struct treat *t, const struct hand *h, uint32_t events)
{
    struct change c = {t, h, events};
    return hand_in_child(modify, &c);
}

/* A hand for each of the process's sets that watches the socket as want says. */
static int gather_watches(struct treat *t, const struct facts_socket *s, uint32_t mask,
                          uint32_t want)
{
    uint32_t n = 0;
    const struct facts_watch *w = facts_watches(&t->facts.b, s->inode, &n);
    for (uint32_t i = 0; i < n; i++) {
        if (w[i].pid != t->pid || (w[i].events & mask) != want)
            continue;
        struct hand h = {.pid = t->pid,
                         .fd = w[i].fd,
                         .cookie = s->cookie,
                         .inode = s->inode,
                         .socket = *s,
                         .epoll = w[i].epoll,
                         .events = w[i].events};
        judge_addr(s, s->state != FACTS_LISTEN, h.name);
        int err = hand_add(t, &h);
        if (err)
            return err;
    }
    return 0;
}

/* ---- the listener's edge bit ------------------------------------------------------------------------- */
static int level_gather(struct treat *t, const struct finding *f)
{
    char addr[64];
    const struct facts_look *b = &t->facts.b;
    for (uint32_t i = 0; i < b->sockets.n; i++) {
        const struct facts_socket *s = &b->sockets.v[i];
        if (s->proto != FACTS_TCP || s->state != FACTS_LISTEN || s->inode == 0)
            continue;
        judge_addr(s, false, addr);
        if (f && f->subject.listener[0] && strcmp(addr, f->subject.listener) != 0)
            continue;
        int err =
            gather_watches(t, s, FACTS_WATCH_EDGE, t->o->undo ? 0 : (uint32_t)FACTS_WATCH_EDGE);
        if (err)
            return err;
    }
    return 0;
}

static int level_read(struct treat *t, const struct hand *h, uint64_t out[2])
{
    struct entry e;
    uint64_t queue[2];
    int err = find(h, &e);
    if (err == 0)
        err = treat_kind_drain.read(t, h, queue);
    if (err)
        return err;
    out[0] = e.events;
    out[1] = queue[0];
    return 0;
}

static int level_apply(struct treat *t, const struct hand *h)
{
    uint32_t events = t->o->undo ? h->events | (uint32_t)FACTS_WATCH_EDGE
                                 : h->events & ~(uint32_t)FACTS_WATCH_EDGE;
    return change(t, h, events);
}

const struct treat_kind treat_kind_level = {
    .name = "level",
    .label = {WORDS(K_MASK), WORDS(K_QUEUE)},
    .unit = {UNIT_HEX,      UNIT_COUNT    },
    .gather = level_gather,
    .read = level_read,
    .apply = level_apply,
};

/* ---- one-shot events ----------------------------------------------------------------------------------- */
static int rearm_gather(struct treat *t, const struct finding *f)
{
    const struct facts_look *b = &t->facts.b;
    (void)f;
    for (uint32_t i = 0; i < b->sockets.n; i++) {
        const struct facts_socket *s = &b->sockets.v[i];
        if (s->proto != FACTS_TCP || s->state == FACTS_LISTEN || s->inode == 0 ||
            s->rqueue == 0)
            continue;
        int err = gather_watches(t, s, ~((uint32_t)CONTROL & ~(uint32_t)FACTS_WATCH_ONESHOT),
                                 (uint32_t)FACTS_WATCH_ONESHOT);
        if (err)
            return err;
    }
    return 0;
}

static int rearm_read(struct treat *t, const struct hand *h, uint64_t out[2])
{
    struct entry e;
    (void)t;
    int err = find(h, &e);
    if (err)
        return err;
    out[0] = e.events;
    return 0;
}

static int rearm_apply(struct treat *t, const struct hand *h)
{
    return change(t, h, h->events | EPOLLIN | EPOLLRDHUP);
}

const struct treat_kind treat_kind_rearm = {
    .name = "rearm",
    .label = {WORDS(K_MASK), {"", ""}  },
    .unit = {UNIT_HEX,      UNIT_COUNT},
    .gather = rearm_gather,
    .read = rearm_read,
    .apply = rearm_apply,
};
