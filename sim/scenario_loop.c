/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A program straight on the loop that closes connections behind each other's back: the event of a victim
 * that was closed earlier in the same batch, and whose number is taken again at once, must reach nobody.
 *
 * The oracle: an end or hang-up never goes away, so when an event says so and the kernel, asked now, does
 * not, the event was another connection's.
 */

#include "libweir/io/listen.h"
#include "libweir/io/loop.h"
#include "libweir/io/signal.h"
#include "libweir/os/os.h"
#include "sim/case.h"
#include "sim/scenarios.h"

#include <errno.h>
#include <stdlib.h>

#define PORT  2007
#define SLOTS 64u

struct loop_case {
    unsigned kick_per_thousand;
    uint64_t accepted, kicked, ended;
};

struct app;
struct peer {
    struct wr_io io;
    struct wr_free_later later;
    struct app *app;
    unsigned slot;
};

struct app {
    struct loop_case *h;
    struct wr_loop *loop;
    struct wr_listener *listener;
    struct wr_signal signals;
    struct peer *peers[SLOTS];
};

static void peer_free(struct wr_free_later *f)
{
    struct peer *p = wr_container_of(f, struct peer, later);
    wr_heap_free(wr_os_heap(), p, sizeof *p);
}

static void peer_close(struct peer *p)
{
    p->app->peers[p->slot] = NULL;
    wr_io_close(&p->io);
    wr_loop_free_later(p->app->loop, &p->later, peer_free);
}

/* What it reads it sends back; a socket that is full ends the connection: nothing here is for keeps. */
static bool peer_echo(struct peer *p)
{
    char bytes[2048];
    for (;;) {
        ssize_t r = wr_os_recv(wr_io_fd(&p->io), bytes, sizeof bytes, 0);
        if (r == -EAGAIN)
            return true;
        if (r <= 0)
            return false;
        for (ssize_t sent = 0, n; sent < r; sent += n) {
            n = wr_os_send(wr_io_fd(&p->io), bytes + sent, (size_t)(r - sent), 0);
            if (n < 0)
                return false;
        }
    }
}

static void peer_event(struct wr_io *io, uint32_t events)
{
    struct peer *p = wr_container_of(io, struct peer, io);
    struct app *a = p->app;
    uint32_t sticky = events & (EPOLLRDHUP | EPOLLHUP);
    if (sticky & ~sim_poll_now(wr_io_fd(io)))
        sim_violation("loop: fd %d was told 0x%x, which is another connection's", wr_io_fd(io),
                      events);
    struct peer *victim = a->peers[sim_rand(SLOTS)];
    if (victim && victim != p && sim_rand(1000) < a->h->kick_per_thousand) {
        a->h->kicked++;
        peer_close(victim);
        unsigned n = (unsigned)sim_rand(3);
        if (n > 0)
            (void)wr_listener_drain(a->listener, n); /* may take the number at once */
    }
    if (!peer_echo(p)) {
        a->h->ended++;
        peer_close(p);
    }
}

static void on_accept(struct wr_listener *l, int fd, const struct wr_addr *from, void *arg)
{
    struct app *a = arg;
    (void)l, (void)from;
    unsigned slot = 0;
    while (slot < SLOTS && a->peers[slot])
        slot++;
    struct peer *p = slot < SLOTS ? wr_heap_zalloc(wr_os_heap(), sizeof *p) : NULL;
    if (!p || wr_io_open(a->loop, &p->io, fd, WR_IO_EDGE, peer_event) < 0) {
        wr_heap_free(wr_os_heap(), p, sizeof *p);
        wr_os_close(fd);
        return;
    }
    p->app = a;
    p->slot = slot;
    a->peers[slot] = p;
    a->h->accepted++;
}

static void on_signal(struct wr_signal *s, const struct signalfd_siginfo *info)
{
    (void)info;
    wr_loop_stop(wr_container_of(s, struct app, signals)->loop);
}

static int loop_main(void *arg)
{
    struct app a = {.h = arg};
    struct wr_listen_options o = {.peer_unwanted = true};
    sigset_t term = wr_signal_set(SIGTERM, 0);
    int r = wr_loop_new(NULL, &a.loop);
    if (r < 0)
        return 1;
    r = wr_addr_parse(WR_LIT("0.0.0.0:2007"), &o.addr);
    if (!r)
        r = wr_signal_open(a.loop, &a.signals, &term, on_signal);
    if (!r)
        r = wr_listener_open(a.loop, &o, on_accept, &a, &a.listener);
    if (!r)
        r = wr_loop_run(a.loop);
    for (unsigned i = 0; i < SLOTS; i++)
        if (a.peers[i])
            peer_close(a.peers[i]);
    wr_listener_close(&a.listener);
    wr_signal_close(&a.signals);
    (void)wr_loop_turn(a.loop, 0);
    wr_loop_free(&a.loop);
    return r < 0 ? 2 : 0;
}

static void loop_run(struct sim_case *c)
{
    struct sim_options o = {0};
    case_weather(c, &o);
    o.faults.pause = 60; /* standing still makes large batches */
    struct loop_case h = {.kick_per_thousand = (unsigned)case_draw(c, 400)};
    case_open(c, &o);
    case_start(c, "loop", loop_main, &h);
    struct crowd_options w = {.host = 1,
                              .port = PORT,
                              .speech = &speech_lines,
                              .clients = 10 + (unsigned)case_draw(c, 50),
                              .connections = 3 + (unsigned)case_draw(c, 10),
                              .requests_max = 1 + (unsigned)case_draw(c, 20),
                              .size_max = 1 + (unsigned)case_draw(c, 2000),
                              .spread_ns = case_draw(c, 300) * SIM_MS,
                              .think_ns = case_draw(c, 30) * SIM_MS,
                              .patience_ns = 100 * SIM_S,
                              .tempers = 1u << PLAIN | 1u << PIPELINING | 1u << ABORTER |
                                         1u << VANISHER | 1u << HALF_CLOSER,
                              .ends_allowed = true};
    case_crowd(c, &w);
    case_play(c);
    case_rest(c, false);
    case_stop(c, SIGTERM, 5 * SIM_S);
    if (!sim_violated() && h.accepted < h.kicked + h.ended)
        sim_violation("loop: %llu accepted, %llu kicked, %llu ended",
                      (unsigned long long)h.accepted, (unsigned long long)h.kicked,
                      (unsigned long long)h.ended);
}

const struct scenario scenario_loop = {"loop", "connections closed behind each other's back",
                                       loop_run};
