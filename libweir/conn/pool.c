/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/conn/pool.h"

#include "libweir/base/assert.h"
#include "libweir/base/err.h"
#include "libweir/base/heap.h"
#include "libweir/base/mutant.h"
#include "libweir/base/rand.h"
#include "libweir/base/slots.h"
#include "libweir/io/leases.h"
#include "libweir/io/loop.h"
#include "libweir/io/scope.h"
#include "libweir/os/os.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define RETRY_MS 1000U /* after a failed open nobody waited for */

enum state {
    OPENING,
    IDLE,
    CHECKING,
    LENT,
    RESETTING,
    STATES
};

struct object {
    struct wr_conn_pool *pool;
    void *it; /* the driver's; NULL while OPENING */
    enum state state;
    bool gone, overdue, dead;
    struct wr_list link; /* in pool->idle (latest first), else in pool->busy (oldest first) */
    uint64_t since_ms;   /* in this state */
    uint64_t life_end_ms;
    struct wr_scope work; /* of open, check, reset */
    struct wr_io watch;   /* IDLE */
    struct wr_op borrow;  /* LENT: in the borrower's scope */
    uint64_t lease;
    const struct wr_site *site;
    struct wr_free_later later;
};

struct waiter {
    struct wr_conn_pool *pool;
    struct wr_list link;
    struct wr_scope *scope;
    struct wr_op op;
    wr_lease_fn *fn;
    void *arg;
    const struct wr_site *site;
    uint64_t since_ms;
};

struct wr_conn_pool {
    struct wr_loop *loop;
    const struct wr_heap *heap;
    const struct wr_conn_pool_ops *ops;
    void *driver;
    struct wr_conn_pool_options o;
    struct wr_list idle, busy, waiters;
    struct wr_slots leases;
    uint32_t open, count[STATES], waiting;
    uint64_t retry_ms; /* min_idle opens nothing before */
    struct wr_task serve;
    struct wr_timer tick, wait_timer;
    uint32_t tick_ms;
    struct wr_rand rand;
    bool closing;
    struct wr_lease_book *book; /* for readers outside; NULL: none */
    struct wr_free_later later;
    struct wr_conn_pool_stats s; /* the counters; what is `now` is filled in when asked */
};

static uint64_t now_ms(const struct wr_conn_pool *p)
{
    return wr_loop_now_ms(p->loop);
}

static void want_serve(struct wr_conn_pool *p)
{
    if (!p->closing)
        wr_loop_at_turn_end(p->loop, &p->serve);
}

static void want_tick(struct wr_conn_pool *p)
{
    if (!p->closing && !wr_timer_armed(&p->tick) && (p->open || p->o.min_idle))
        wr_loop_timer_arm(p->loop, &p->tick, p->tick_ms);
}

static struct waiter *first_waiter(const struct wr_conn_pool *p)
{
    struct wr_list *l = wr_list_first(&p->waiters);
    return l ? wr_container_of(l, struct waiter, link) : NULL;
}

/* ---- for readers outside ------------------------------------------------------------------------------ */

static void write_line(struct wr_lease_line *line, const struct object *o)
{
    const char *file = strrchr(o->site->file, '/');
    line->lease = o->lease;
    line->since_ms = o->since_ms;
    line->line = (uint64_t)o->site->line;
    (void)snprintf(line->file, sizeof line->file, "%s", file ? file + 1 : o->site->file);
    (void)snprintf(line->func, sizeof line->func, "%s", o->site->func);
}

/* The busy ones stand in the order in which they became so. */
static void publish(const struct wr_conn_pool *p)
{
    if (!p->book)
        return;
    const struct waiter *w = first_waiter(p);
    struct wr_lease_book now = {.max_open = p->o.max_open,
                                .open = p->open,
                                .lent = p->count[LENT],
                                .waiting = p->waiting,
                                .waits_since_ms = w ? w->since_ms : 0};
    (void)snprintf(now.pool, sizeof now.pool, "%s", p->o.name);
    WR_LIST_EACH(at, &p->busy)
    {
        const struct object *o = wr_container_of(at, struct object, link);
        if (o->state == LENT && now.lines < WR_LEASES_OLDEST)
            write_line(&now.line[now.lines++], o);
    }
    wr_leases_write(p->book, &now);
}

/* ---- objects ---------------------------------------------------------------------------------------- */

static void set_state(struct object *o, enum state to)
{
    struct wr_conn_pool *p = o->pool;
    p->count[o->state]--;
    p->count[to]++;
    o->state = to;
    o->since_ms = now_ms(p);
    wr_list_remove(&o->link);
    if (to == IDLE)
        wr_list_add(&p->idle, &o->link);
    else
        wr_list_add_tail(&p->busy, &o->link);
}

static void pool_gone(struct wr_free_later *f)
{
    struct wr_conn_pool *p = wr_container_of(f, struct wr_conn_pool, later);
    wr_slots_deinit(&p->leases);
    wr_heap_free(p->heap, p, sizeof *p);
}

static void object_gone(struct wr_free_later *f)
{
    struct object *o = wr_container_of(f, struct object, later);
    wr_heap_free(o->pool->heap, o, sizeof *o);
}

static void unwatch(struct object *o)
{
    if (wr_io_is_open(&o->watch)) {
        int fd = wr_io_detach(&o->watch);
        WR_ASSERT(fd >= 0); /* and stays the driver's */
    }
}

/* Neither at work nor lent any more. */
static void end(struct object *o)
{
    struct wr_conn_pool *p = o->pool;
    o->dead = true;
    unwatch(o);
    wr_list_remove(&o->link);
    p->count[o->state]--;
    p->open--;
    if (o->it) {
        p->s.closed++;
        p->ops->close(p->driver, o->it);
    }
    wr_loop_free_later(p->loop, &o->later, object_gone);
    if (p->closing && p->open == 0)
        wr_loop_free_later(p->loop, &p->later, pool_gone);
    want_serve(p);
}

/* Something came from a connection that nobody uses: its end, or bytes nobody asked for. */
static void on_watch(struct wr_io *io, uint32_t events)
{
    struct object *o = wr_container_of(io, struct object, watch);
    (void)events;
    o->pool->s.hung_up++;
    end(o);
}

static void to_idle(struct object *o)
{
    struct wr_conn_pool *p = o->pool;
    set_state(o, IDLE);
    if (p->closing) { /* its lease was released by somebody who was told of the end */
        end(o);
        return;
    }
    if (p->count[IDLE] > p->o.max_idle && !p->waiting) {
        p->s.idle_ended++;
        end(o);
        return;
    }
    int fd = p->ops->fd ? p->ops->fd(p->driver, o->it) : -1;
    if (fd >= 0 && wr_io_open(p->loop, &o->watch, fd, WR_IO_READ, on_watch)) {
        p->s.stale++; /* what cannot be watched is not kept */
        end(o);
        return;
    }
    want_serve(p);
    want_tick(p);
}

static bool life_over(const struct object *o)
{
    return now_ms(o->pool) >= o->life_end_ms;
}

/* The driver's work on an object is over. */
static void fail_oldest(struct wr_conn_pool *p, int err);

static void worked(struct object *o, int err)
{
    struct wr_conn_pool *p = o->pool;
    enum state was = o->state;
    wr_scope_deinit(&o->work);
    p->s.opened += was == OPENING && !err;
    if (err == 0 && !o->gone && !p->closing) {
        to_idle(o);
        return;
    }
    if (was == OPENING && err) {
        p->s.open_failed++;
        p->retry_ms = now_ms(p) + RETRY_MS;
    }
    p->s.check_failed += was == CHECKING && err;
    p->s.reset_failed += was == RESETTING && err;
    p->s.hung_up += o->gone && !err;
    end(o);
    if (was == OPENING && err && !p->closing)
        fail_oldest(p, err);
}

static void on_ready(void *token, void *object, int err)
{
    struct object *o = token;
    if (o->state == OPENING)
        o->it = object;
    worked(o, err);
}

static void start_work(struct object *o, enum state kind)
{
    struct wr_conn_pool *p = o->pool;
    int rc;
    unwatch(o);
    set_state(o, kind);
    wr_scope_init(&o->work, p->loop, NULL, p->o.open_ms);
    if (kind == OPENING)
        rc = p->ops->open(p->driver, &o->work, on_ready, o);
    else if (kind == CHECKING)
        rc = p->ops->check(p->driver, o->it, &o->work, on_ready, o);
    else
        rc = p->ops->reset(p->driver, o->it, &o->work, on_ready, o);
    if (rc < 0)
        worked(o, rc);
}

static int open_one(struct wr_conn_pool *p)
{
    struct object *o = wr_heap_zalloc(p->heap, sizeof *o);
    if (!o)
        return -ENOMEM;
    uint64_t jitter = wr_rand_below(&p->rand, (uint64_t)p->o.life_jitter_ms + 1);
    uint64_t life = p->o.life_ms > jitter ? p->o.life_ms - jitter : 1;
    o->pool = p;
    o->state = OPENING;
    o->life_end_ms = now_ms(p) + life;
    wr_list_init(&o->link);
    p->count[OPENING]++;
    p->open++;
    want_tick(p);
    start_work(o, OPENING);
    return 0;
}

/* ---- waiters ---------------------------------------------------------------------------------------- */

/* Takes the waiter out of the queue and answers it. */
static void answer(struct waiter *w, int err, struct wr_lease lease)
{
    struct wr_conn_pool *p = w->pool;
    wr_lease_fn *fn = w->fn;
    void *arg = w->arg;
    uint64_t waited = now_ms(p) - w->since_ms;
    if (waited > p->s.wait_max_ms)
        p->s.wait_max_ms = waited;
    wr_op_end(&w->op);
    wr_list_remove(&w->link);
    p->waiting--;
    wr_heap_free(p->heap, w, sizeof *w);
    publish(p); /* before the borrower runs: it may never come back */
    fn(arg, err, lease);
}

static void fail_oldest(struct wr_conn_pool *p, int err)
{
    struct waiter *w = first_waiter(p);
    if (w)
        answer(w, err, (struct wr_lease){0});
}

static void on_waiter_cancelled(struct wr_op *op, int why)
{
    answer(wr_container_of(op, struct waiter, op), why, (struct wr_lease){0});
}

static void on_wait_timer(struct wr_timer *t)
{
    struct wr_conn_pool *p = wr_container_of(t, struct wr_conn_pool, wait_timer);
    for (struct waiter *w; (w = first_waiter(p));) {
        uint64_t due = w->since_ms + p->o.wait_ms;
        if (due > now_ms(p)) {
            wr_wheel_arm(wr_loop_wheel(p->loop), t, due);
            return;
        }
        p->s.wait_timeouts++;
        answer(w, WR_E_POOL_WAIT, (struct wr_lease){0});
    }
}

int wr_conn_pool_take_at(struct wr_conn_pool *p, struct wr_scope *scope, wr_lease_fn *fn,
                         void *arg, const struct wr_site *site)
{
    if (p->closing)
        return WR_E_CLOSED;
    if (p->waiting >= p->o.max_waiters) {
        p->s.refused++;
        return WR_E_POOL_FULL;
    }
    struct waiter *w = wr_heap_zalloc(p->heap, sizeof *w);
    if (!w)
        return -ENOMEM;
    *w = (struct waiter){.pool = p, .scope = scope, .fn = fn, .arg = arg, .site = site};
    int rc = wr_op_begin(scope, &w->op, on_waiter_cancelled);
    if (rc) {
        wr_heap_free(p->heap, w, sizeof *w);
        return rc;
    }
    w->since_ms = now_ms(p);
    wr_list_add_tail(&p->waiters, &w->link);
    p->waiting++;
    p->s.waited += p->count[IDLE] < p->waiting;
    if (p->count[IDLE] < p->waiting)
        publish(p);
    if (!wr_timer_armed(&p->wait_timer))
        wr_wheel_arm(wr_loop_wheel(p->loop), &p->wait_timer, w->since_ms + p->o.wait_ms);
    want_serve(p);
    return 0;
}

/* ---- leases ------------------------------------------------------------------------------------------ */

static struct wr_conn_pool_borrower borrower(const struct object *o, int err)
{
    uint64_t held = now_ms(o->pool) - o->since_ms;
    return (struct wr_conn_pool_borrower){o->site, o->lease, held, held >= o->pool->o.leak_ms,
                                          err};
}

/* The lease is over, the object stays. */
static void take_back(struct object *o)
{
    wr_op_end(&o->borrow);
    wr_slots_remove(&o->pool->leases, o->lease);
    o->overdue = false;
}

static void reclaim(struct object *o, int err)
{
    struct wr_conn_pool *p = o->pool;
    struct wr_conn_pool_borrower b = borrower(o, err);
    take_back(o);
    if (WR_MUTANT("lost-lease")) /* counted as lent for ever */
        return;
    p->s.reclaimed++;
    end(o);
    publish(p);
    if (p->o.on_leak)
        p->o.on_leak(p, &b, p->o.arg);
}

static void on_borrower_ended(struct wr_op *op, int why)
{
    reclaim(wr_container_of(op, struct object, borrow), why);
}

static void lend(struct object *o, struct waiter *w)
{
    struct wr_conn_pool *p = o->pool;
    struct wr_scope *scope = w->scope;
    int rc = wr_slots_add(&p->leases, o, &o->lease);
    if (rc == 0 && (rc = wr_op_begin(scope, &o->borrow, on_borrower_ended)))
        wr_slots_remove(&p->leases, o->lease);
    if (rc) {
        answer(w, rc, (struct wr_lease){0});
        return;
    }
    unwatch(o);
    set_state(o, LENT);
    o->site = w->site;
    p->s.taken++;
    answer(w, 0, (struct wr_lease){p, o->lease});
}

static struct object *lent(const struct wr_lease *lease)
{
    return lease->id ? wr_slots_get(&lease->pool->leases, lease->id) : NULL;
}

/* Empties the lease; its object if it was still running. */
static struct object *give_back(struct wr_lease *lease)
{
    struct object *o = lent(lease);
    if (!o && lease->id)
        lease->pool->s.late++;
    *lease = (struct wr_lease){0};
    if (o)
        take_back(o);
    return o;
}

void *wr_lease_object(const struct wr_lease *lease)
{
    struct object *o = lent(lease);
    return o ? o->it : NULL;
}

void wr_lease_release(struct wr_lease *lease)
{
    struct object *o = give_back(lease);
    if (!o)
        return;
    struct wr_conn_pool *p = o->pool;
    p->s.released++;
    if (o->gone || life_over(o)) {
        p->s.hung_up += o->gone;
        p->s.life_ended += !o->gone;
        end(o);
    } else if (p->ops->reset) {
        start_work(o, RESETTING);
    } else {
        to_idle(o);
    }
    publish(p);
}

void wr_lease_discard(struct wr_lease *lease)
{
    struct object *o = give_back(lease);
    if (!o)
        return;
    struct wr_conn_pool *p = o->pool;
    p->s.discarded++;
    end(o);
    publish(p);
}

void wr_conn_pool_gone(struct wr_conn_pool *p, void *object)
{
    WR_LIST_EACH(at, &p->idle)
    {
        struct object *o = wr_container_of(at, struct object, link);
        if (o->it == object) {
            p->s.hung_up++;
            end(o);
            return;
        }
    }
    WR_LIST_EACH(at, &p->busy)
    {
        struct object *o = wr_container_of(at, struct object, link);
        if (o->it == object) {
            o->gone = true;
            return;
        }
    }
}

/* ---- serving ----------------------------------------------------------------------------------------- */

/* An idle object may have outlived a limit, or be known to be dead: then it ends. */
static bool still_good(struct object *o)
{
    struct wr_conn_pool *p = o->pool;
    if (life_over(o))
        p->s.life_ended++;
    else if (now_ms(p) - o->since_ms >= p->o.idle_ms)
        p->s.idle_ended++;
    else if (p->ops->stale && p->ops->stale(p->driver, o->it))
        p->s.stale++;
    else
        return true;
    end(o);
    return false;
}

/* Objects that will be idle soon without further doing. */
static uint32_t coming(const struct wr_conn_pool *p)
{
    return p->count[OPENING] + p->count[CHECKING] + p->count[RESETTING];
}

static void serve_idle(struct wr_conn_pool *p)
{
    struct wr_list *l;
    struct waiter *w;
    uint32_t left = p->waiting; /* who comes while these are served waits for the next turn */
    while (left && (w = first_waiter(p)) && !p->closing &&
           (l = p->o.fifo ? wr_list_last(&p->idle) : wr_list_first(&p->idle))) {
        struct object *o = wr_container_of(l, struct object, link);
        if (!still_good(o))
            continue;
        if (p->ops->check && now_ms(p) - o->since_ms >= p->o.check_after_ms) {
            if (coming(p) >= p->waiting)
                return;
            start_work(o, CHECKING);
        } else {
            left--;
            lend(o, w);
        }
    }
}

static void on_serve(struct wr_task *t)
{
    struct wr_conn_pool *p = wr_container_of(t, struct wr_conn_pool, serve);
    serve_idle(p);
    while (!p->closing && p->open < p->o.max_open && p->count[IDLE] + coming(p) < p->waiting) {
        int rc = open_one(p);
        if (rc)
            fail_oldest(p, rc);
    }
    while (!p->closing && p->open < p->o.max_open && now_ms(p) >= p->retry_ms &&
           p->count[IDLE] + coming(p) < p->o.min_idle + p->waiting)
        if (open_one(p))
            break;
    want_tick(p);
}

/* Limits of idle objects, leases held too long. */
static void on_tick(struct wr_timer *t)
{
    struct wr_conn_pool *p = wr_container_of(t, struct wr_conn_pool, tick);
    struct wr_list *l;
    /* Ending one calls the driver, which may end others: begin again after each. */
again:
    WR_LIST_EACH(at, &p->idle)
    if (!still_good(wr_container_of(at, struct object, link)))
        goto again;
    for (l = p->busy.next; l != &p->busy; l = l->next) {
        struct object *o = wr_container_of(l, struct object, link);
        uint64_t held = now_ms(p) - o->since_ms;
        if (o->state != LENT)
            continue;
        if (held >= p->o.leak_kill_ms && !WR_MUTANT("lost-lease")) {
            reclaim(o, WR_E_LEAKED);
            goto again;
        }
        if (held >= p->o.leak_ms && !o->overdue) {
            struct wr_conn_pool_borrower b = borrower(o, 0);
            o->overdue = true;
            p->s.overdue++;
            if (p->o.on_leak) {
                p->o.on_leak(p, &b, p->o.arg);
                goto again;
            }
        }
    }
    publish(p);
    want_serve(p);
    want_tick(p);
}

/* ---- life --------------------------------------------------------------------------------------------- */

static void or_default(uint32_t *v, uint32_t def)
{
    if (!*v)
        *v = def;
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static void fill_defaults(struct wr_conn_pool *p)
{
    struct wr_conn_pool_options *o = &p->o;
    if (!o->name)
        o->name = p->ops->kind ? p->ops->kind : "pool";
    or_default(&o->max_open, 16);
    or_default(&o->max_idle, o->max_open);
    or_default(&o->max_waiters, 1024);
    or_default(&o->wait_ms, 1000);
    or_default(&o->open_ms, 3000);
    or_default(&o->idle_ms, 30000);
    or_default(&o->life_ms, 1800000);
    or_default(&o->life_jitter_ms, o->life_ms / 10);
    or_default(&o->check_after_ms, 1000);
    or_default(&o->leak_ms, 10000);
    or_default(&o->leak_kill_ms, 300000);
    o->min_idle = least(o->min_idle, least(o->max_idle, o->max_open));
    p->tick_ms = least(least(o->idle_ms, o->life_ms), least(o->leak_ms, o->leak_kill_ms)) / 8;
    p->tick_ms = p->tick_ms < 5 ? 5 : least(p->tick_ms, 1000);
}

int wr_conn_pool_new(struct wr_loop *loop, const struct wr_conn_pool_ops *ops, void *driver,
                     const struct wr_conn_pool_options *options, struct wr_conn_pool **out_pool)
{
    const struct wr_heap *heap = wr_loop_heap(loop);
    struct wr_conn_pool *p = wr_heap_zalloc(heap, sizeof *p);
    if (!p)
        return -ENOMEM;
    p->loop = loop;
    p->heap = heap;
    p->ops = ops;
    p->driver = driver;
    if (options)
        p->o = *options;
    fill_defaults(p);
    wr_list_init(&p->idle);
    wr_list_init(&p->busy);
    wr_list_init(&p->waiters);
    wr_slots_init(&p->leases, heap, 0);
    p->book = wr_leases_open(wr_loop_leases(loop), wr_os_getpid());
    publish(p);
    wr_task_init(&p->serve, on_serve);
    p->tick.fn = on_tick;
    p->wait_timer.fn = on_wait_timer;
    wr_rand_init(&p->rand, p->o.seed ? p->o.seed : wr_loop_now_ns(loop));
    if (p->o.min_idle)
        want_serve(p);
    *out_pool = p;
    return 0;
}

void wr_conn_pool_free(struct wr_conn_pool **pool)
{
    struct wr_conn_pool *p = *pool;
    struct wr_list *l;
    *pool = NULL;
    if (!p)
        return;
    p->closing = true;
    wr_leases_close(&p->book);
    p->open++; /* holds the pool until the end of this function */
    wr_task_cancel(&p->serve);
    wr_loop_timer_cancel(&p->tick);
    wr_loop_timer_cancel(&p->wait_timer);
    while (first_waiter(p))
        fail_oldest(p, WR_E_CLOSED);
    while ((l = wr_list_first(&p->idle)))
        end(wr_container_of(l, struct object, link));
    for (uint32_t n = p->open; n-- && (l = wr_list_first(&p->busy));) {
        struct object *o = wr_container_of(l, struct object, link);
        wr_list_remove(l); /* to the end: a driver may take its time to answer */
        wr_list_add_tail(&p->busy, l);
        if (o->state == LENT)
            reclaim(o, WR_E_CLOSED);
        else
            wr_scope_cancel(&o->work, WR_E_CLOSED);
    }
    if (--p->open == 0)
        wr_loop_free_later(p->loop, &p->later, pool_gone);
}

/* ---- looking ------------------------------------------------------------------------------------------- */

size_t wr_conn_pool_borrowers(const struct wr_conn_pool *p, struct wr_conn_pool_borrower *out,
                              size_t n)
{
    size_t i = 0;
    WR_LIST_EACH(at, &p->busy)
    {
        const struct object *o = wr_container_of(at, struct object, link);
        if (o->state == LENT && i < n)
            out[i++] = borrower(o, 0);
    }
    return p->count[LENT];
}

struct wr_conn_pool_stats wr_conn_pool_stats(const struct wr_conn_pool *p)
{
    struct wr_conn_pool_stats s = p->s;
    s.open = p->open;
    s.opening = p->count[OPENING];
    s.idle = p->count[IDLE];
    s.checking = p->count[CHECKING];
    s.lent = p->count[LENT];
    s.resetting = p->count[RESETTING];
    s.waiting = p->waiting;
    return s;
}

bool wr_conn_pool_validate(const struct wr_conn_pool *p)
{
    uint32_t seen[STATES] = {0}, sum = 0;
    if (!wr_list_validate(&p->idle) || !wr_list_validate(&p->busy) ||
        !wr_list_validate(&p->waiters))
        return false;
    WR_LIST_EACH(at, &p->idle)
    {
        const struct object *o = wr_container_of(at, struct object, link);
        if (o->state != IDLE || o->dead)
            return false;
        seen[IDLE]++;
    }
    WR_LIST_EACH(at, &p->busy)
    {
        const struct object *o = wr_container_of(at, struct object, link);
        if (o->state == IDLE || o->dead || o->watch.loop)
            return false;
        if (o->state == LENT && wr_slots_get(&p->leases, o->lease) != o)
            return false;
        seen[o->state]++;
    }
    for (int i = 0; i < STATES; sum += seen[i], i++)
        if (seen[i] != p->count[i])
            return false;
    return sum == p->open && p->open <= p->o.max_open && p->waiting <= p->o.max_waiters &&
           p->waiting == wr_list_count(&p->waiters) &&
           wr_slots_count(&p->leases) == seen[LENT] &&
           p->s.taken == p->s.released + p->s.discarded + p->s.reclaimed + seen[LENT];
}
