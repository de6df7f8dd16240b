/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The worker's side of the four modes.
 */
#include "libweir/io/accept.h"

#include "libweir/base/err.h"
#include "libweir/base/heap.h"
#include "libweir/io/accept_private.h"
#include "libweir/io/board.h"
#include "libweir/io/fdpass.h"
#include "libweir/io/log.h"
#include "libweir/os/os.h"

#include <errno.h>

#define RETRY_MS        20 /* notify: the queue could not be drained for want of something */
#define MESSAGES_A_TURN 4  /* fdpass: of up to WR_FD_MAX descriptors each */

struct wr_accept {
    struct wr_loop *loop;
    const struct wr_heap *heap;
    const struct wr_accept_share *share;
    wr_accepted_fn *fn;
    void *arg;
    struct wr_seat *seat;
    struct wr_log *log;
    unsigned index;
    bool paused, closed, delivering;
    struct wr_io bell; /* told to drain (notify), or to adopt (reuseport) */
    struct wr_io
        channel; /* fdpass; closed while paused, or it would be announced all the time */
    int held[WR_FD_MAX]; /* of the latest message: [held_at, n_held) wait for room */
    unsigned held_at, n_held;
    struct wr_timer retry;
    struct wr_free_later later;
    struct wr_listener
        *listener[]; /* reuseport: one per worker's socket, mine and adopted ones */
};

static struct accept_words *my_words(struct wr_accept *a)
{
    return &a->share->words[a->index];
}

static void on_accepted(struct wr_listener *l, int fd, const struct wr_addr *peer, void *arg)
{
    struct wr_accept *a = arg;
    (void)l;
    (void)peer;
    wr_seat_count(a->seat, WR_COUNTER_ACCEPTED, 1);
    a->fn(fd, a->arg);
}

static void on_shed(struct wr_listener *l, int fd, void *arg)
{
    struct wr_accept *a = arg;
    (void)l;
    (void)fd;
    wr_seat_count(a->seat, WR_COUNTER_SHED, 1);
}

static void on_notice(struct wr_listener *l, const struct wr_listen_notice *n, void *arg)
{
    struct wr_accept *a = arg;
    (void)l;
    if (n->kind == WR_LISTEN_SHORTAGE) {
        wr_seat_count(a->seat, WR_COUNTER_ACCEPT_NO_FD, 1);
        WR_LOG(a->log, ERROR, "accept", "shortage", "err=%s", wr_err_name(n->err));
    } else if (n->kind == WR_LISTEN_RECOVERED) {
        WR_LOG(a->log, NOTICE, "accept", "recovered", "shed=%llu lasted_ms=%llu",
               (unsigned long long)n->shed, (unsigned long long)n->lasted_ms);
    }
}

/* The listener closes its own copy; the inherited descriptor stays, for another time. */
static int open_listener(struct wr_accept *a, unsigned index)
{
    struct wr_listen_options o = {
        .burst = ACCEPT_BURST,
        .reuseport = a->share->o.mode == WR_ACCEPT_REUSEPORT,
        .exclusive = a->share->o.mode == WR_ACCEPT_EXCLUSIVE,
        .start_paused = a->paused,
        .manual = a->share->o.mode == WR_ACCEPT_NOTIFY,
        .peer_unwanted = true,
        .on_shed = on_shed,
        .on_notice = on_notice,
    };
    int fd = wr_os_dup(accept_listen_fd(a->share, index));
    if (fd < 0)
        return fd;
    o.addr.kind = WR_ADDR_FD;
    o.addr.fd = fd;
    int r = wr_listener_open(a->loop, &o, on_accepted, a, &a->listener[index]);
    if (r < 0)
        (void)wr_os_close(fd);
    return r;
}

/* ---- reuseport ---------------------------------------------------------------------------------------- */

static bool is_mine(struct wr_accept *a, unsigned i)
{
    return i == a->index || wr_word_get(&a->share->words[i].adopted_by) == a->index + 1;
}

static void sync_adoptions(struct wr_accept *a)
{
    for (unsigned i = 0; i < a->share->o.workers; i++) {
        bool mine = is_mine(a, i);
        if (!mine)
            wr_listener_close(&a->listener[i]);
        if (!mine || a->listener[i])
            continue;
        int r = open_listener(a, i);
        if (r < 0)
            WR_LOG(a->log, ERROR, "accept", "adopt_failed", "worker=%u err=%s", i,
                   wr_err_name(r));
        else
            WR_LOG(a->log, NOTICE, "accept", "adopted", "worker=%u", i);
    }
}

/* ---- notify --------------------------------------------------------------------------------------------- */

static void drain(struct wr_accept *a)
{
    if (a->paused) /* no answer: the master loses patience and tells another */
        return;
    int n = wr_listener_drain(a->listener[0], ACCEPT_BURST);
    if (a->closed)
        return;
    if (n == ACCEPT_BURST) {
        wr_io_again(&a->bell, EPOLLIN);
        return;
    }
    if (n < 0 || wr_listener_paused(a->listener[0])) { /* short of something: not drained */
        wr_loop_timer_arm(a->loop, &a->retry, RETRY_MS);
        return;
    }
    (void)__atomic_fetch_add(&my_words(a)->drained, 1, __ATOMIC_RELEASE);
    (void)wr_os_eventfd_add(a->share->drained_fd, 1);
}

static void on_bell(struct wr_io *io, uint32_t events)
{
    struct wr_accept *a = wr_container_of(io, struct wr_accept, bell);
    uint64_t n;
    (void)events;
    int r = wr_os_eventfd_take(wr_io_fd(io), &n); /* -EAGAIN: our own wr_io_again */
    if (r < 0 && r != -EAGAIN)
        WR_LOG(a->log, ERROR, "accept", "bell_failed", "err=%s", wr_err_name(r));
    if (a->share->o.mode == WR_ACCEPT_NOTIFY)
        drain(a);
    else
        sync_adoptions(a);
}

/* ---- fdpass --------------------------------------------------------------------------------------------- */

/* Descriptors that this process had no numbers for are gone; the master must know that they do not lie in
 * the channel any more, or it would take it for full for ever. */
static void lost_in_message(struct wr_accept *a, unsigned n)
{
    (void)__atomic_fetch_add(&my_words(a)->taken, n, __ATOMIC_RELEASE);
    wr_seat_count(a->seat, WR_COUNTER_ACCEPT_NO_FD, 1);
    WR_LOG(a->log, ERROR, "accept", "fd_limit", "lost=%u fix=%s", n, wr_err_fix(WR_E_FD_LIMIT));
}

/* fn may pause, resume and close; the call that is under way goes on for all of them. */
static void deliver(struct wr_accept *a)
{
    if (a->delivering)
        return;
    a->delivering = true;
    while (a->held_at < a->n_held && (!a->paused || a->closed))
        a->fn(a->held[a->held_at++], a->arg);
    a->delivering = false;
}

/* 1: took a message; 0: there was none. */
static int take_message(struct wr_accept *a, int fd)
{
    unsigned n = WR_FD_MAX;
    uint8_t tag[8] = {0};
    size_t n_tag = sizeof tag;
    int r = wr_fd_recv(fd, a->held, &n, tag, &n_tag);
    if (r == -EAGAIN)
        return 0;
    if (r == -EMSGSIZE) {
        lost_in_message(a, tag[0]);
        return 1;
    }
    if (r < 0) {
        wr_seat_count(a->seat, WR_COUNTER_ACCEPT_ERRORS, 1);
        WR_LOG(a->log, ERROR, "accept", "channel", "err=%s", wr_err_name(r));
        return 0;
    }
    (void)__atomic_fetch_add(&my_words(a)->taken, n, __ATOMIC_RELEASE);
    wr_seat_count(a->seat, WR_COUNTER_ACCEPTED, n);
    a->held_at = 0;
    a->n_held = n;
    deliver(a);
    return 1;
}

static void on_channel(struct wr_io *io, uint32_t events)
{
    struct wr_accept *a = wr_container_of(io, struct wr_accept, channel);
    (void)events;
    for (int i = 0; i < MESSAGES_A_TURN && wr_io_is_open(io); i++) /* a pause closes it */
        if (take_message(a, wr_io_fd(io)) == 0)
            return;
}

/* ---- opening and closing -------------------------------------------------------------------------- */

static int open_io(struct wr_accept *a, struct wr_io *io, int inherited,
                   void (*fn)(struct wr_io *, uint32_t))
{
    int fd = wr_os_dup(inherited);
    if (fd < 0)
        return fd;
    int r = wr_io_open(a->loop, io, fd, WR_IO_READ, fn);
    if (r < 0)
        (void)wr_os_close(fd);
    return r;
}

static void open_channel(struct wr_accept *a)
{
    if (a->paused || a->closed || wr_io_is_open(&a->channel))
        return;
    if (open_io(a, &a->channel, a->share->lane[a->index].channel[1], on_channel) < 0)
        wr_loop_timer_arm(a->loop, &a->retry, RETRY_MS);
}

static void on_retry(struct wr_timer *t)
{
    struct wr_accept *a = wr_container_of(t, struct wr_accept, retry);
    if (a->share->o.mode == WR_ACCEPT_FDPASS)
        open_channel(a);
    else
        drain(a);
}

static int open_mode(struct wr_accept *a)
{
    const struct accept_lane *lane = &a->share->lane[a->index];
    switch (a->share->o.mode) {
    case WR_ACCEPT_FDPASS:
        return open_io(a, &a->channel, lane->channel[1], on_channel);
    case WR_ACCEPT_REUSEPORT: {
        int r = open_listener(a, a->index);
        if (r == 0)
            r = open_io(a, &a->bell, lane->bell, on_bell);
        if (r ==
            0) /* what the predecessor on this index has adopted: nobody rings for it again */
            sync_adoptions(a);
        return r;
    }
    case WR_ACCEPT_NOTIFY: {
        int r = open_listener(a, 0);
        return r < 0 ? r : open_io(a, &a->bell, lane->bell, on_bell);
    }
    case WR_ACCEPT_EXCLUSIVE:
        return open_listener(a, 0);
    case WR_ACCEPT_MODES:
        break;
    }
    return -EINVAL;
}

static void free_later(struct wr_free_later *f)
{
    struct wr_accept *a = wr_container_of(f, struct wr_accept, later);
    wr_heap_free(a->heap, a, sizeof *a + a->share->o.workers * sizeof a->listener[0]);
}

static void close_everything(struct wr_accept *a)
{
    a->closed = true;
    for (unsigned i = 0; i < a->share->o.workers; i++)
        wr_listener_close(&a->listener[i]);
    wr_io_close(&a->bell);
    wr_io_close(&a->channel);
    wr_loop_timer_cancel(&a->retry);
    wr_loop_free_later(a->loop, &a->later, free_later);
}

int wr_accept_open(struct wr_loop *loop, const struct wr_accept_share *share, unsigned index,
                   wr_accepted_fn *fn, void *arg, struct wr_seat *seat, struct wr_log *log,
                   struct wr_accept **out)
{
    const struct wr_heap *heap = wr_loop_heap(loop);
    struct wr_accept *a =
        wr_heap_zalloc(heap, sizeof *a + share->o.workers * sizeof a->listener[0]);
    if (!a)
        return -ENOMEM;
    a->loop = loop;
    a->heap = heap;
    a->share = share;
    a->index = index;
    a->fn = fn;
    a->arg = arg;
    a->seat = seat;
    a->log = log;
    a->retry.fn = on_retry;
    int r = open_mode(a);
    if (r < 0) {
        close_everything(a);
        return r;
    }
    *out = a;
    return 0;
}

void wr_accept_pause(struct wr_accept *a)
{
    if (a->paused || a->closed)
        return;
    a->paused = true;
    wr_word_set(&my_words(a)->paused, 1);
    for (unsigned i = 0; i < a->share->o.workers; i++)
        if (a->listener[i])
            wr_listener_pause(a->listener[i], WR_PAUSE_USER);
    wr_io_close(&a->channel);
}

void wr_accept_resume(struct wr_accept *a)
{
    if (!a->paused)
        return;
    a->paused = false;
    wr_word_set(&my_words(a)->paused, 0);
    for (unsigned i = 0; i < a->share->o.workers; i++)
        if (a->listener[i])
            wr_listener_resume(a->listener[i], WR_PAUSE_USER);
    if (a->share->o.mode == WR_ACCEPT_NOTIFY)
        drain(a);
    if (a->share->o.mode != WR_ACCEPT_FDPASS)
        return;
    deliver(a);
    open_channel(a);
}

void wr_accept_close(struct wr_accept **at)
{
    struct wr_accept *a = *at;
    if (!a)
        return;
    *at = NULL;
    if (a->paused) /* the word is the index's: a successor takes */
        wr_word_set(&my_words(a)->paused, 0);
    a->closed = true; /* all of it, whatever fn says */
    a->delivering = false;
    if (a->share->o.mode == WR_ACCEPT_FDPASS)
        do
            deliver(a);
        while (take_message(a, a->share->lane[a->index].channel[1]) > 0);
    close_everything(a);
}
