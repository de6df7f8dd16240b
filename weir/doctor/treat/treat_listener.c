/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Treatments of a listener: a longer backlog, an empty queue.
 */
#include "weir/doctor/treat/treat_private.h"

#include "libweir/os/os.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>

static bool is_listener(const struct treat *t, const struct finding *f,
                        const struct facts_socket *s)
{
    char addr[64];
    (void)t;
    if (s->state != FACTS_LISTEN)
        return false;
    judge_addr(s, false, addr);
    return !f || !f->subject.listener[0] || strcmp(addr, f->subject.listener) == 0;
}

static int gather(struct treat *t, const struct finding *f)
{
    return hand_gather_sockets(t, f, is_listener);
}

/* Of a listener the kernel tells its queue as unacked and its backlog as sacked. */
static int queue_of(struct treat *t, const struct hand *h, uint64_t *out_queue,
                    uint64_t *out_backlog)
{
    struct tcp_info info;
    socklen_t n = sizeof info;
    int fd = hand_take(t, h);
    if (fd < 0)
        return fd;
    int err = wr_os_getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n);
    (void)wr_os_close(fd);
    if (err)
        return err;
    *out_queue = info.tcpi_unacked;
    *out_backlog = info.tcpi_sacked;
    return 0;
}

static int backlog_read(struct treat *t, const struct hand *h, uint64_t out[2])
{
    return queue_of(t, h, &out[1], &out[0]);
}

static int backlog_apply(struct treat *t, const struct hand *h)
{
    int fd = hand_take(t, h);
    if (fd < 0)
        return fd;
    int err = wr_os_listen(fd, (int)t->to);
    (void)wr_os_close(fd);
    return err;
}

/* The kernel cuts what is asked for to somaxconn. */
static bool backlog_well(const struct treat *t, const struct hand *h)
{
    uint64_t most = t->facts.b.sysctl[FACTS_SYS_SOMAXCONN][0];
    uint64_t can = most != FACTS_UNKNOWN && most < t->to ? most : t->to;
    return !t->o->undo && h->before[0] != FACTS_UNKNOWN && h->before[0] >= can;
}

const struct treat_kind treat_kind_backlog = {
    .name = "backlog",
    .label = {WORDS(K_BACKLOG), WORDS(K_QUEUE)},
    .unit = {UNIT_COUNT,       UNIT_COUNT    },
    .gather = gather,
    .read = backlog_read,
    .apply = backlog_apply,
    .well = backlog_well,
};

static int drain_read(struct treat *t, const struct hand *h, uint64_t out[2])
{
    return queue_of(t, h, &out[0], &out[1]);
}

/* The listener's open file is shared with the process, and may be a blocking one: accept only what poll promises,
 * and no more than stood there, so that a process which comes back to life gets what is new. */
static int drain_apply(struct treat *t, const struct hand *h)
{
    int fd = hand_take(t, h);
    if (fd < 0)
        return fd;
    int err = 0;
    uint64_t stood = h->before[0] != FACTS_UNKNOWN ? h->before[0] : 1;
    for (uint64_t i = 0; i < stood && wr_os_poll(fd, POLLIN, 0) > 0; i++) {
        int client = wr_os_accept(fd, NULL, NULL);
        if (client >= 0)
            (void)wr_os_close(client);
        else if (client != -ECONNABORTED)
            err = client;
        if (err)
            break;
    }
    (void)wr_os_close(fd);
    return err == -EAGAIN ? 0 : err;
}

static bool drain_well(const struct treat *t, const struct hand *h)
{
    (void)t;
    return h->before[0] == 0;
}

const struct treat_kind treat_kind_drain = {
    .name = "drain",
    .label = {WORDS(K_QUEUE), WORDS(K_BACKLOG)},
    .unit = {UNIT_COUNT,     UNIT_COUNT      },
    .gather = gather,
    .read = drain_read,
    .apply = drain_apply,
    .well = drain_well,
};
