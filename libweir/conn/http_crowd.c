/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/conn/http_crowd.h"

#include "libweir/base/err.h"
#include "libweir/conn/http_private.h"

#define REUSED_AT_ONCE 32U
#define IDLE_MIN_MS    1000U
#define AGAIN_MS       250U

static void on_again(struct wr_timer *t);

void wr_http_crowd_init(struct wr_http_crowd *crowd, uint32_t max)
{
    *crowd = (struct wr_http_crowd){.max = max, .again.fn = on_again};
    wr_list_init(&crowd->servers);
}

/* ---- room --------------------------------------------------------------------------------------------------- */

/* The connections that idle longest, of all servers, the oldest first. */
struct idlers {
    struct wr_http_conn *conn[REUSED_AT_ONCE];
    uint32_t n, max;
};

static void look_at(struct idlers *idlers, struct wr_http_conn *c)
{
    uint32_t at = idlers->n;
    while (at > 0 && idlers->conn[at - 1]->last_ms > c->last_ms)
        at--;
    if (at >= idlers->max)
        return;
    if (idlers->n < idlers->max)
        idlers->n++;
    for (uint32_t i = idlers->n - 1; i > at; i--)
        idlers->conn[i] = idlers->conn[i - 1];
    idlers->conn[at] = c;
}

static void look_for_idlers(struct wr_http_server *s, struct idlers *idlers)
{
    uint64_t now = wr_loop_now_ms(s->loop);
    uint32_t cursor = 0;
    for (struct wr_http_conn *c; (c = wr_http_server_next_conn(s, &cursor));)
        if (c->phase == HTTP_IDLE && !c->req && !c->closing && now >= c->last_ms + IDLE_MIN_MS)
            look_at(idlers, c);
}

static uint32_t make_room(struct wr_http_crowd *crowd)
{
    struct idlers idlers = {.max = 1 + crowd->max / 16};
    if (idlers.max > REUSED_AT_ONCE)
        idlers.max = REUSED_AT_ONCE;
    WR_LIST_EACH(at, &crowd->servers)
    look_for_idlers(wr_container_of(at, struct wr_http_server, in_crowd), &idlers);
    for (uint32_t i = 0; i < idlers.n; i++)
        wr_link_close(&idlers.conn[i]->link, WR_CLOSE_STOP, WR_E_QUEUE_FULL);
    crowd->reused += idlers.n;
    return idlers.n;
}

/* ---- coming and going ----------------------------------------------------------------------------------------- */

static void settle(struct wr_http_crowd *crowd)
{
    bool full = crowd->open >= crowd->max;
    if (full == crowd->full)
        return;
    crowd->full = full;
    crowd->pauses += full;
    if (full)
        wr_loop_timer_arm(crowd->loop, &crowd->again, AGAIN_MS);
    else
        wr_loop_timer_cancel(&crowd->again);
    WR_LIST_EACH(at, &crowd->servers)
    wr_http_server_settle_full_(wr_container_of(at, struct wr_http_server, in_crowd));
}

/* Who waits outside cannot be seen: as soon as somebody idles, there is room. */
static void on_again(struct wr_timer *t)
{
    struct wr_http_crowd *crowd = wr_container_of(t, struct wr_http_crowd, again);
    wr_loop_timer_arm(crowd->loop, t, AGAIN_MS);
    uint32_t reused = make_room(crowd);
    if (crowd->on_full && reused)
        crowd->on_full(crowd, reused);
}

void wr_http_crowd_join_(struct wr_http_server *s)
{
    wr_list_init(&s->in_crowd);
    if (!s->options.crowd)
        return;
    wr_list_add_tail(&s->options.crowd->servers, &s->in_crowd);
    s->options.crowd->loop = s->loop;
    if (s->options.crowd->full)
        wr_http_server_settle_full_(s);
}

void wr_http_crowd_part_(struct wr_http_server *s)
{
    struct wr_http_crowd *crowd = s->options.crowd;
    wr_list_remove(&s->in_crowd);
    if (crowd && wr_list_empty(&crowd->servers))
        wr_loop_timer_cancel(&crowd->again);
}

void wr_http_crowd_came_(struct wr_http_server *s)
{
    struct wr_http_crowd *crowd = s->options.crowd;
    if (!crowd || ++crowd->open < crowd->max)
        return;
    uint32_t reused = crowd->full ? 0 : make_room(crowd);
    bool told = crowd->full;
    settle(crowd);
    if (crowd->on_full && !told)
        crowd->on_full(crowd, reused);
}

/* The descriptor that became free is for whoever has waited. */
static void end_shortage(struct wr_http_crowd *crowd)
{
    crowd->short_of_fds = false;
    WR_LIST_EACH(at, &crowd->servers)
    {
        struct wr_http_server *s = wr_container_of(at, struct wr_http_server, in_crowd);
        if (s->listener && wr_listener_in_shortage(s->listener)) {
            crowd->short_of_fds = true;
            wr_listener_resume(s->listener, WR_PAUSE_SHORTAGE);
        }
    }
}

void wr_http_crowd_left_(struct wr_http_server *s)
{
    struct wr_http_crowd *crowd = s->options.crowd;
    if (!crowd)
        return;
    crowd->open--;
    settle(crowd);
    if (crowd->short_of_fds)
        end_shortage(crowd);
}
