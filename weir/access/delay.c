/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/access/delay.h"

#include "libweir/io/loop.h"
#include "libweir/io/scope.h"

struct delay {
    struct wr_op op;
    struct wr_timer timer;
    struct web_req *r;
    int rc;
};

static void on_cancel(struct wr_op *op, int why)
{
    (void)why;
    wr_loop_timer_cancel(&wr_container_of(op, struct delay, op)->timer);
}

static void on_timer(struct wr_timer *timer)
{
    struct delay *d = wr_container_of(timer, struct delay, timer);
    if (wr_op_end(&d->op))
        web_resume(d->r, d->rc);
}

int access_delay(struct web_req *r, uint64_t ms, int rc)
{
    struct delay *d = wr_arena_zalloc(r->arena, sizeof *d);
    if (!d)
        return 500;
    d->r = r;
    d->rc = rc;
    d->timer.fn = on_timer;
    if (wr_op_begin(r->scope, &d->op, on_cancel) < 0)
        return WEB_LATER; /* the request is being ended */
    wr_loop_timer_arm(web_loop(r), &d->timer, ms);
    return WEB_LATER;
}
