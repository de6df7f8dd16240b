/* SPDX-License-Identifier: BSD-2-Clause */

#include "sim/serve.h"

#include "libweir/io/log.h"
#include "libweir/os/os.h"

#include <errno.h>

static int on_frame(struct wr_conn *c, struct wr_view v)
{
    return wr_conn_send_view(c, v);
}

/* Keeps the message and answers some time later: the bytes must still be those that came. */
struct kept {
    struct wr_bytes bytes;
    struct wr_list link;
};

/* Of one connection, inside of it. */
struct keeper {
    struct wr_list waiting;
    struct wr_timer timer;
    struct wr_conn *conn;
};

static void keeper_due(struct wr_timer *t)
{
    struct keeper *k = wr_container_of(t, struct keeper, timer);
    struct wr_list *first = wr_list_first(&k->waiting);
    if (!first)
        return;
    struct kept *e = wr_container_of(first, struct kept, link);
    wr_list_remove(&e->link);
    if (wr_list_first(&k->waiting))
        wr_loop_timer_arm(wr_conn_loop(k->conn), &k->timer, 1 + sim_rand(10));
    (void)wr_conn_send_bytes(k->conn, &e->bytes);
    wr_heap_free(wr_os_heap(), e, sizeof *e);
}

static int keep_open(struct wr_conn *c)
{
    struct keeper *k = wr_conn_user(c);
    wr_list_init(&k->waiting);
    k->timer.fn = keeper_due;
    k->conn = c;
    return 0;
}

static int keep_frame(struct wr_conn *c, struct wr_view v)
{
    struct keeper *k = wr_conn_user(c);
    struct kept *e = wr_heap_zalloc(wr_os_heap(), sizeof *e);
    if (!e)
        return -ENOMEM;
    int r = wr_view_keep(v, &e->bytes);
    if (r < 0) {
        wr_heap_free(wr_os_heap(), e, sizeof *e);
        return r;
    }
    wr_list_init(&e->link);
    wr_list_add_tail(&k->waiting, &e->link);
    if (!wr_timer_armed(&k->timer))
        wr_loop_timer_arm(wr_conn_loop(c), &k->timer, 1 + sim_rand(10));
    return 0;
}

static void keep_close(struct wr_conn *c, enum wr_close why, int err)
{
    struct keeper *k = wr_conn_user(c);
    struct wr_list *link;
    (void)why, (void)err;
    wr_loop_timer_cancel(&k->timer);
    while ((link = wr_list_first(&k->waiting))) {
        struct kept *e = wr_container_of(link, struct kept, link);
        wr_list_remove(&e->link);
        wr_bytes_drop(&e->bytes);
        wr_heap_free(wr_os_heap(), e, sizeof *e);
    }
}

static int on_start(struct wr_service *service)
{
    struct serve *s = wr_service_arg(service);
    s->starts++;
    return 0;
}

static void on_stop(struct wr_service *service)
{
    struct serve *s = wr_service_arg(service);
    struct wr_server_stats st = wr_server_stats(wr_service_server(service, 0));
    s->stops++;
    s->opened += st.links.opened;
    s->left_open += st.open;
    for (unsigned i = 0; i < WR_CLOSES; i++) {
        s->closed += st.links.closed[i];
        s->by_reason[i] += st.links.closed[i];
    }
}

int serve_main(void *arg)
{
    struct serve *s = arg;
    return wr_service_run(&s->options);
}

static const struct wr_proto echo = {.on_frame = on_frame};
static const struct wr_proto keep = {
    .on_open = keep_open, .on_frame = keep_frame, .on_close = keep_close};
static const struct wr_codec frames = WR_CODEC_LEN32(1 << 20);
static const struct wr_codec lines = WR_CODEC_LINES(1 << 20);

static const char *accept_mode(struct sim_case *c)
{
    static const char *const modes[] = {"reuseport", "exclusive", "notify", "fdpass"};
    return modes[case_draw(c, 4)];
}

void serve_plain(struct serve *s, struct sim_case *c, unsigned workers, const char *accept)
{
    *s = (struct serve){.c = c};
    struct wr_service_options *o = &s->options;
    o->name = "serve";
    o->workers = workers;
    o->accept = accept;
    o->arg = s;
    o->on_start = on_start;
    o->on_stop = on_stop;
    o->grace_ms = 2000;
    o->log_level = WR_LOG_DEBUG;
    o->servers[0] = (struct wr_server_options){
        .addr = "0.0.0.0:2007", .conn = {.proto = &echo, .codec = &frames}
    };
}

void serve_init(struct serve *s, struct sim_case *c, unsigned workers, bool by_lines)
{
    struct wr_service_options *o = &s->options;
    serve_plain(s, c, workers, accept_mode(c));
    if (by_lines)
        o->servers[0].conn.codec = &lines;
    if (case_often(c, 400)) {
        o->servers[0].conn.proto = &keep;
        o->servers[0].conn.user_size = sizeof(struct keeper);
    }
    if (case_often(c, 300))
        o->servers[0].listen.backlog = 1 + (unsigned)case_draw(c, 20);
    if (case_often(c, 200))
        o->servers[0].max_conns = 2 + (uint32_t)case_draw(c, 10);
    if (case_often(c, 300))
        o->servers[0].listen.defer_accept_s = 1 + (unsigned)case_draw(c, 10);
    if (case_often(c, 300))
        o->servers[0].conn.frames_per_turn = 1 + (uint32_t)case_draw(c, 8);
    if (case_often(c, 300))
        o->servers[0].listen.burst = 1 + (unsigned)case_draw(c, 8);
}

struct crowd_options serve_crowd(struct sim_case *c, const struct serve *s, bool by_lines)
{
    unsigned big = case_often(c, 200) ? 80 : 20, tempers = (1u << TEMPERS) - 1;
    if (s->options.servers[0].conn.proto == &keep)
        tempers &= ~(1u << HALF_CLOSER); /* an end is a good-bye: later answers find nobody */
    return (struct crowd_options){.host = 1,
                                  .port = SERVE_PORT,
                                  .speech = by_lines ? &speech_lines : &speech_frames,
                                  .clients = 1 + (unsigned)case_draw(c, big),
                                  .connections = 1 + (unsigned)case_draw(c, 4),
                                  .requests_max = 1 + (unsigned)case_draw(c, 60),
                                  .size_max = 1 + (unsigned)case_draw(c, 12000),
                                  .spread_ns = case_draw(c, 1000) * SIM_MS,
                                  .think_ns = case_draw(c, 200) * SIM_MS,
                                  .patience_ns = 200 * SIM_S,
                                  .tempers = tempers};
}

void serve_account(const struct serve *s)
{
    const struct crowd_tally *t = crowd_tally(s->crowd);
    if (sim_violated() || s->kills > 0)
        return;
    if (s->opened != s->closed || s->left_open)
        sim_violation("I2 account: %llu connections opened, %llu closed, %llu open at the end",
                      (unsigned long long)s->opened, (unsigned long long)s->closed,
                      (unsigned long long)s->left_open);
    else if (s->opened > t->completed)
        sim_violation("I2 account: the service opened %llu, the clients completed %llu",
                      (unsigned long long)s->opened, (unsigned long long)t->completed);
}
