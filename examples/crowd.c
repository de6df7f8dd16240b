/* SPDX-License-Identifier: BSD-2-Clause */
#include "examples/crowd.h"

#include "libweir/libweir.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUEST(more) "GET / HTTP/1.1\r\nHost: crowd\r\n" more "\r\n"

struct crowd {
    const struct crowd_plan *plan;
    struct crowd_result *result;
    struct wr_loop *loop;
    struct wr_timer timer;
    uint64_t last_ns;
    unsigned waiting; /* clients with a request under way */
    bool over;
};

struct client {
    struct crowd *crowd;
    struct wr_io io;
    struct wr_task again; /* connect at the end of the turn: nothing recurses */
    bool asked, waiting;
    unsigned answers; /* on this connection */
    size_t got;
    char text[512];
};

static void on_ready(struct wr_io *io, uint32_t events);

static void leave(struct client *c, bool lost)
{
    struct crowd *crowd = c->crowd;
    wr_io_close(&c->io);
    if (c->waiting) {
        c->waiting = false;
        crowd->waiting--;
        crowd->result->lost += lost;
    }
    if (!crowd->over)
        wr_loop_at_turn_end(crowd->loop, &c->again);
    else if (crowd->waiting == 0)
        wr_loop_stop(crowd->loop);
}

/* A request counts from the moment somebody wants an answer, so a refused connection is a loss. */
static void begin(struct client *c)
{
    c->asked = false;
    c->got = 0;
    c->waiting = true;
    c->crowd->waiting++;
    c->crowd->result->asked++;
}

static void enter(struct wr_task *task)
{
    struct client *c = wr_container_of(task, struct client, again);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(c->crowd->plan->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (c->crowd->over) /* the time ended in this turn */
        return;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    c->answers = 0;
    begin(c);
    if (fd >= 0 &&
        (connect(fd, (struct sockaddr *)&to, sizeof to) == 0 || errno == EINPROGRESS) &&
        wr_io_open(c->crowd->loop, &c->io, fd, WR_IO_EDGE, on_ready) == 0)
        return;
    if (fd >= 0)
        close(fd);
    leave(c, true);
}

/* Nobody has acknowledged its bytes, or even its SYN: the server's kernel has not let it in, and it
 * knocks again and again. */
static bool is_outside(const struct client *c)
{
    int bytes = 0;
    return c->waiting &&
           (!c->asked || (ioctl(wr_io_fd(&c->io), SIOCOUTQ, &bytes) == 0 && bytes));
}

static void ask(struct client *c)
{
    static const char keep[] = REQUEST(""), once[] = REQUEST("Connection: close\r\n");
    bool alive = c->crowd->plan->keep_alive;
    ssize_t n = send(wr_io_fd(&c->io), alive ? keep : once,
                     alive ? sizeof keep - 1 : sizeof once - 1, MSG_NOSIGNAL);
    if (n > 0)
        c->asked = true;
    else if (errno != EAGAIN)
        leave(c, c->answers == 0);
}

static void count_worker(struct crowd_result *r, const char *body)
{
    unsigned i = 0, pid = (unsigned)strtoul(body + strcspn(body, "0123456789"), NULL, 10);
    while (i < r->workers && r->worker[i].pid != pid)
        i++;
    if (i == CROWD_WORKERS)
        return;
    if (i == r->workers)
        r->worker[r->workers++].pid = pid;
    r->worker[i].answered++;
}

/* One line is the whole body: the answer is complete when it ends. */
static bool complete(const struct client *c)
{
    const char *body = strstr(c->text, "\r\n\r\n");
    return body && body[4] && c->text[c->got - 1] == '\n';
}

static void answered(struct client *c)
{
    struct crowd *crowd = c->crowd;
    crowd->result->answered++;
    crowd->last_ns = wr_loop_now_ns(crowd->loop);
    count_worker(crowd->result, strstr(c->text, "\r\n\r\n") + 4);
    c->waiting = false;
    crowd->waiting--;
    if (!crowd->plan->keep_alive || crowd->over) {
        leave(c, false);
        return;
    }
    c->answers++;
    begin(c);
    ask(c);
}

static void on_ready(struct wr_io *io, uint32_t events)
{
    struct client *c = wr_container_of(io, struct client, io);
    if (!c->asked && (events & EPOLLOUT))
        ask(c);
    while (wr_io_is_open(io)) {
        ssize_t n = recv(wr_io_fd(io), c->text + c->got, sizeof c->text - 1 - c->got, 0);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            bool idle = c->answers && c->got == 0; /* it was closed between two requests */
            c->crowd->result->asked -= idle;
            leave(c, !idle);
            return;
        }
        c->got += (size_t)n;
        c->text[c->got] = 0;
        if (complete(c))
            answered(c);
    }
}

static void on_over(struct wr_timer *t)
{
    struct crowd *crowd = wr_container_of(t, struct crowd, timer);
    if (crowd->over || crowd->waiting == 0)
        wr_loop_stop(crowd->loop);
    else
        wr_loop_timer_arm(crowd->loop, t, crowd->plan->patience_ms);
    crowd->over = true;
}

int crowd_run(const struct crowd_plan *plan, struct crowd_result *out)
{
    struct crowd crowd = {.plan = plan, .result = out, .timer.fn = on_over};
    struct client *clients = calloc(plan->clients, sizeof *clients);
    int rc = clients ? wr_loop_new(NULL, &crowd.loop) : -ENOMEM;
    *out = (struct crowd_result){0};
    if (rc)
        goto fail;
    uint64_t began = wr_loop_now_ns(crowd.loop);
    for (unsigned i = 0; i < plan->clients; i++) {
        clients[i].crowd = &crowd;
        wr_task_init(&clients[i].again, enter);
        wr_loop_at_turn_end(crowd.loop, &clients[i].again);
    }
    wr_loop_timer_arm(crowd.loop, &crowd.timer, plan->run_ms);
    rc = wr_loop_run(crowd.loop);
    for (unsigned i = 0; i < plan->clients; i++)
        out->outside += is_outside(&clients[i]);
    out->lost += crowd.waiting - out->outside;
    out->seconds = (double)(crowd.last_ns > began ? crowd.last_ns - began : 1) / 1e9;
    for (unsigned i = 0; i < plan->clients; i++) {
        wr_task_cancel(&clients[i].again);
        wr_io_close(&clients[i].io);
    }
    wr_loop_free(&crowd.loop);
fail:
    free(clients);
    return rc;
}
