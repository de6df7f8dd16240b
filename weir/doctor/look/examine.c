/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/look/examine.h"

#include "weir/doctor/look/examine_look.h"

#include "libweir/os/os.h"

#include <errno.h>
#include <string.h>

/* A zombie has a row, but nothing that could be ill. */
static uint32_t count_alive(const struct examination *e, const struct facts_look *l)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < e->targets.n; i++) {
        const struct facts_process *p = facts_process(l, e->targets.v[i]);
        n += p && p->state != 'Z' && p->state != 'X';
    }
    return n;
}

static bool is_target(const struct examination *e, uint32_t pid)
{
    return look_has32(e->targets.v, e->targets.n, pid);
}

static bool holds(const struct examination *e, const struct facts_look *l, uint64_t inode)
{
    const struct facts_fd *f;
    for (uint32_t i = 0; (f = facts_owner(l, inode, i)) != NULL; i++)
        if (is_target(e, f->pid))
            return true;
    return false;
}

/* A server is who has a TCP or unix listener, or a UDP socket that talks to nobody in particular. */
static bool is_serving(const struct examination *e, const struct facts_look *l)
{
    for (uint32_t i = 0; i < l->sockets.n; i++) {
        const struct facts_socket *s = &l->sockets.v[i];
        bool serves = s->proto == FACTS_TCP ? s->state == FACTS_LISTEN : s->remote_port == 0;
        if (serves && s->inode && holds(e, l, s->inode))
            return true;
    }
    for (uint32_t i = 0; i < l->unixes.n; i++)
        if (l->unixes.v[i].state == FACTS_LISTEN && holds(e, l, l->unixes.v[i].inode))
            return true;
    return false;
}

static bool is_blind(const struct examination *e, const struct facts_look *l)
{
    for (uint32_t i = 0; i < e->targets.n; i++) {
        const struct facts_process *p = facts_process(l, e->targets.v[i]);
        if (p && (p->unread & FACTS_UNREAD_FDS))
            return true;
    }
    return false;
}

/* ---- the steps -------------------------------------------------------------------------------------- */
int examine_begin(struct examination *e, const struct examine *what, struct facts *out)
{
    *e = (struct examination){
        .what = *what, .out = out, .begun_ns = wr_os_now_ns(CLOCK_MONOTONIC)};
    if (what->wait_ms == 0)
        e->what.wait_ms = EXAMINE_WAIT_MS;
    int err = examine_look(e, &out->a);
    if (!err && what->n_pids && count_alive(e, &out->a) == 0)
        err = -ESRCH;
    return err;
}

/* The steps divide the time between the looks evenly. */
static uint64_t due_ns(const struct examination *e)
{
    uint64_t wait = e->what.wait_ms * 1000000ULL;
    return e->begun_ns + wait * (e->out->glances + 1) / (FACTS_GLANCES + 1);
}

uint32_t examine_due_ms(const struct examination *e)
{
    uint64_t now = wr_os_now_ns(CLOCK_MONOTONIC), due = due_ns(e);
    return due > now ? (uint32_t)((due - now + 999999) / 1000000) : 0;
}

bool examine_is_last(const struct examination *e)
{
    return e->out->glances == FACTS_GLANCES;
}

int examine_glance(struct examination *e)
{
    struct facts *f = e->out;
    int err = 0;
    if (examine_is_last(e))
        return 0;
    struct facts_glance *g = &f->glance[f->glances++];
    g->at_ns = wr_os_now_ns(CLOCK_MONOTONIC);
    look_pace(&e->pace, e->what.aside_ms / FACTS_GLANCES);
    for (uint32_t i = 0; !err && examine_sees(e, SEE_THREADS) && i < e->targets.n; i++)
        err = look_glance(g, f->a.heap, e->targets.v[i], &e->pace);
    facts_glance_seal(g);
    return err;
}

int examine_end(struct examination *e)
{
    struct facts_look *b = &e->out->b;
    int err = examine_look(e, b);
    if (err)
        return err;
    if (e->targets.n && count_alive(e, b) == 0)
        return EXAMINE_ENDED;
    if (is_serving(e, b))
        return EXAMINE_DONE;
    return is_blind(e, b) ? EXAMINE_BLIND : EXAMINE_NO_LISTENER;
}

void examine_again(struct examination *e)
{
    struct facts *f = e->out;
    const struct wr_heap *heap = f->a.heap;
    facts_look_deinit(&f->a);
    f->a = f->b;
    facts_look_init(&f->b, heap);
    for (uint32_t i = 0; i < FACTS_GLANCES; i++)
        facts_glance_deinit(&f->glance[i], heap);
    f->glances = 0;
    e->begun_ns = wr_os_now_ns(CLOCK_MONOTONIC);
}

void examine_drop(struct examination *e)
{
    if (e->out)
        FACTS_DROP(&e->targets, e->out->a.heap);
}

const uint32_t *examine_targets(const struct examination *e, uint32_t *out_n)
{
    *out_n = e->targets.n;
    return e->targets.v;
}

int examine(const struct examine *what, struct facts *out)
{
    struct examination e;
    int r = examine_begin(&e, what, out);
    while (!r && !examine_is_last(&e)) {
        (void)wr_os_sleep_ns(examine_due_ms(&e) * 1000000ULL);
        r = examine_glance(&e);
    }
    if (!r) {
        (void)wr_os_sleep_ns(examine_due_ms(&e) * 1000000ULL);
        r = examine_end(&e);
    }
    examine_drop(&e);
    return r;
}
