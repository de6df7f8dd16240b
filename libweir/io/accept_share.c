/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/accept.h"

#include "libweir/base/assert.h"
#include "libweir/base/err.h"
#include "libweir/base/heap.h"
#include "libweir/base/mutant.h"
#include "libweir/io/accept_private.h"
#include "libweir/io/board.h"
#include "libweir/io/fdpass.h"
#include "libweir/io/log.h"
#include "libweir/os/os.h"

#include <errno.h>

#define WORKERS_MAX     1024
#define CHANNEL_FDS_MAX 200 /* below a message's limit and below what is pending at most */
#define RETRY_MS        5   /* fdpass: when every channel is full */

_Static_assert(3 * WORKERS_MAX + ACCEPT_PENDING + 2 <= WR_PROCS_CLOSE_MAX, "the list has room");

static const char *const mode_names[WR_ACCEPT_MODES] = {
    [WR_ACCEPT_REUSEPORT] = "reuseport",
    [WR_ACCEPT_EXCLUSIVE] = "exclusive",
    [WR_ACCEPT_NOTIFY] = "notify",
    [WR_ACCEPT_FDPASS] = "fdpass",
};

const char *wr_accept_mode_name(enum wr_accept_mode mode)
{
    return (unsigned)mode < WR_ACCEPT_MODES ? mode_names[mode] : "?";
}

int wr_accept_mode_parse(const char *name, enum wr_accept_mode *out)
{
    for (unsigned i = 0; i < WR_ACCEPT_MODES; i++)
        if (strcmp(name, mode_names[i]) == 0) {
            *out = (enum wr_accept_mode)i;
            return 0;
        }
    return WR_E_NOT_FOUND;
}

static struct accept_words *words_of(const struct wr_accept_share *s, unsigned i)
{
    return &s->words[i];
}

static bool may_take(const struct wr_accept_share *s, unsigned i)
{
    return s->lane[i].ready && !wr_word_get(&words_of(s, i)->paused);
}

static void ring(struct wr_accept_share *s, unsigned i)
{
    /* -EAGAIN: the counter is full, so the bell is ringing already */
    uint64_t ring = WR_MUTANT("full-notify-pipe") ? UINT64_MAX / 4 : 1;
    (void)wr_os_eventfd_add(s->lane[i].bell, ring);
}

/* ---- notify ------------------------------------------------------------------------------------------
 *
 *   WATCHING --readable: told()--> TOLD --drained | its end | patience: look_again()--> WATCHING
 *
 * While somebody is told the listener is out of the epoll set; back in, it is announced again if
 * anything is left (level-triggered).
 */

static void on_listener_readable(struct wr_io *io, uint32_t events);

static void look_again(struct wr_accept_share *s)
{
    s->told = -1;
    wr_loop_timer_cancel(&s->timer);
    if (wr_io_is_open(&s->watch))
        return;
    int r = wr_io_open(s->loop, &s->watch, s->lane[0].listen_fd, WR_IO_LISTEN,
                       on_listener_readable);
    if (r < 0) { /* memory: try again soon */
        WR_LOG(s->o.log, ERROR, "accept", "watch_failed", "err=%s", wr_err_name(r));
        wr_loop_timer_arm(s->loop, &s->timer, s->o.patience_ms);
    }
}

/* In turn; those that did not answer last time only if there is nobody else. */
static int choose(struct wr_accept_share *s)
{
    for (int round = 0; round < 2; round++)
        for (unsigned k = 0; k < s->o.workers; k++) {
            unsigned i = (s->next + k) % s->o.workers;
            bool late = s->lane[i].late && !WR_MUTANT("full-notify-pipe");
            if (!may_take(s, i) || (round == 0 && late))
                continue;
            s->next = (i + 1) % s->o.workers;
            return (int)i;
        }
    return -1;
}

static void on_listener_readable(struct wr_io *io, uint32_t events)
{
    struct wr_accept_share *s = wr_container_of(io, struct wr_accept_share, watch);
    (void)events;
    if (wr_io_detach(io) < 0)
        return;
    s->told = choose(s);
    if (s->told >= 0)
        ring(s, (unsigned)s->told);
    wr_loop_timer_arm(s->loop, &s->timer, s->o.patience_ms);
}

static void note_drained(struct wr_accept_share *s)
{
    for (unsigned i = 0; i < s->o.workers; i++) {
        uint64_t n = wr_word_get(&words_of(s, i)->drained);
        if (n != s->lane[i].drained_seen)
            s->lane[i].late = false;
        s->lane[i].drained_seen = n;
    }
}

static void on_drained(struct wr_io *io, uint32_t events)
{
    struct wr_accept_share *s = wr_container_of(io, struct wr_accept_share, drained);
    uint64_t n;
    (void)events;
    if (wr_os_eventfd_take(wr_io_fd(io), &n) < 0)
        return;
    note_drained(s);
    look_again(s);
}

static void out_of_patience(struct wr_accept_share *s)
{
    if (s->told >= 0 && !s->lane[s->told].late) {
        s->lane[s->told].late = true;
        WR_LOG(s->o.log, NOTICE, "accept", "late", "worker=%d patience_ms=%u", s->told,
               s->o.patience_ms);
    }
    look_again(s);
}

/* ---- fdpass ------------------------------------------------------------------------------------------ */

static void close_all(const int *fds, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        (void)wr_os_close(fds[i]);
}

static unsigned unread(const struct wr_accept_share *s, unsigned i)
{
    int64_t n = (int64_t)(s->lane[i].sent - wr_word_get(&words_of(s, i)->taken));
    return n > 0 ? (unsigned)n : 0;
}

static bool has_room(const struct wr_accept_share *s, unsigned i)
{
    return may_take(s, i) && unread(s, i) < s->o.channel_fds &&
           s->lane[i].blocked_until_ms <= wr_loop_now_ms(s->loop);
}

static unsigned count_roomy(const struct wr_accept_share *s)
{
    unsigned n = 0;
    for (unsigned i = 0; i < s->o.workers; i++)
        n += has_room(s, i);
    return n;
}

/* Hands worker i up to n from the end of the pending list. False: its channel takes no more now. */
static bool hand_over(struct wr_accept_share *s, unsigned i, unsigned n)
{
    struct accept_lane *lane = &s->lane[i];
    unsigned room = s->o.channel_fds - unread(s, i);
    if (n > room)
        n = room;
    if (n > WR_FD_MAX) /* one message, whose tag says how many it carries */
        n = WR_FD_MAX;
    const uint8_t tag = (uint8_t)n;
    const int *fds = s->pending + s->n_pending - n;
    int r = wr_fd_send(lane->channel[0], fds, n, wr_span(&tag, 1));
    unsigned sent = r > 0 ? (unsigned)r : 0;
    /* What was not sent is at the end of that piece: move it over what was. */
    close_all(fds, sent);
    memmove(s->pending + s->n_pending - n, s->pending + s->n_pending - n + sent,
            (n - sent) * sizeof(int));
    s->n_pending -= sent;
    lane->sent += sent;
    if (sent == n)
        return true;
    lane->blocked_until_ms = wr_loop_now_ms(s->loop) + RETRY_MS;
    return false;
}

/* Equal shares in turn, in batches; what is left over goes on from whose turn it is. */
static void distribute(struct wr_accept_share *s)
{
    unsigned roomy;
    while (s->n_pending && (roomy = count_roomy(s)) > 0) {
        unsigned share = s->n_pending < roomy ? 1 : s->n_pending / roomy;
        for (unsigned k = 0; k < s->o.workers && s->n_pending; k++) {
            unsigned i = s->next;
            s->next = (s->next + 1) % s->o.workers;
            if (has_room(s, i))
                (void)hand_over(s, i, share < s->n_pending ? share : s->n_pending);
        }
    }
    if (s->n_pending) {
        wr_listener_pause(s->listener, WR_PAUSE_USER);
        wr_loop_timer_arm(s->loop, &s->timer, RETRY_MS);
    } else {
        wr_listener_resume(s->listener, WR_PAUSE_USER);
    }
}

static void on_flush(struct wr_task *t)
{
    distribute(wr_container_of(t, struct wr_accept_share, flush));
}

static void on_accepted(struct wr_listener *l, int fd, const struct wr_addr *peer, void *arg)
{
    struct wr_accept_share *s = arg;
    (void)peer; /* who is passed on is counted by the worker that gets it */
    s->pending[s->n_pending++] = fd;
    if (s->n_pending == ACCEPT_PENDING)
        wr_listener_pause(l, WR_PAUSE_USER);
    wr_loop_at_turn_end(s->loop, &s->flush);
}

/* Takes back what a dead worker left unread. A message holds at most channel_fds; what does not fit now
 * stays in the channel for the successor. */
static void take_back(struct wr_accept_share *s, unsigned i)
{
    while (ACCEPT_PENDING - s->n_pending >= s->o.channel_fds) {
        unsigned n = ACCEPT_PENDING - s->n_pending;
        char tag[8];
        size_t n_tag = sizeof tag;
        if (wr_fd_recv(s->lane[i].channel[1], s->pending + s->n_pending, &n, tag, &n_tag) < 0)
            break;
        s->n_pending += n;
    }
    if (s->n_pending == ACCEPT_PENDING)
        wr_listener_pause(s->listener, WR_PAUSE_USER);
    wr_loop_at_turn_end(s->loop, &s->flush);
}

/* ---- reuseport: a dead worker's queue is adopted --------------------------------------------- */

static void adopt(struct wr_accept_share *s, unsigned orphan)
{
    int parent = choose(s);
    wr_word_set(&words_of(s, orphan)->adopted_by, (uint64_t)(parent + 1));
    if (parent >= 0)
        ring(s, (unsigned)parent);
}

static void give_back(struct wr_accept_share *s, unsigned index)
{
    uint64_t parent = wr_word_get(&words_of(s, index)->adopted_by);
    wr_word_set(&words_of(s, index)->adopted_by, 0);
    if (parent)
        ring(s, (unsigned)parent - 1);
}

static void adopt_orphans(struct wr_accept_share *s)
{
    for (unsigned i = 0; i < s->o.workers && s->o.mode == WR_ACCEPT_REUSEPORT; i++) {
        uint64_t parent = wr_word_get(&words_of(s, i)->adopted_by);
        if (s->lane[i].orphan && (parent == 0 || !s->lane[parent - 1].ready))
            adopt(s, i);
    }
}

/* ---- the life of workers ------------------------------------------------------------------------------ */

static void worker_ready(struct wr_accept_share *s, unsigned index, pid_t pid)
{
    struct accept_lane *lane = &s->lane[index];
    lane->ready = true;
    lane->late = lane->orphan = false;
    lane->holder = pid;
    if (s->o.mode == WR_ACCEPT_REUSEPORT)
        give_back(s, index);
    if (s->o.mode == WR_ACCEPT_NOTIFY && s->told < 0)
        look_again(s);
    if (s->o.mode == WR_ACCEPT_FDPASS)
        wr_loop_at_turn_end(s->loop, &s->flush);
}

static void worker_leaves(struct wr_accept_share *s, unsigned index)
{
    s->lane[index].ready = false;
    if (s->o.mode == WR_ACCEPT_NOTIFY && s->told == (int)index)
        look_again(s);
}

static void worker_ended(struct wr_accept_share *s, unsigned index, bool was_holder)
{
    struct accept_lane *lane = &s->lane[index];
    if (was_holder)
        worker_leaves(s, index);
    if (was_holder && s->o.mode == WR_ACCEPT_FDPASS)
        take_back(s, index);
    lane->orphan = !lane->ready;
    /* It may have died full. Cleared here and not when somebody gets ready, who may be full by then. */
    wr_word_set(&words_of(s, index)->paused, 0);
    /* It may have died between taking and counting. Too few unread by our count does no harm. */
    lane->sent = wr_word_get(&words_of(s, index)->taken);
}

/* During a replacement two processes have one index; the older one's end says nothing about the lane. */
void wr_accept_share_event(struct wr_accept_share *s, enum wr_procs_event event, unsigned index,
                           pid_t pid)
{
    bool holder = index < s->o.workers && s->lane[index].holder == pid && pid > 0;
    if (event == WR_PROCS_READY)
        worker_ready(s, index, pid);
    else if (event == WR_PROCS_STOPPING && holder)
        worker_leaves(s, index);
    else if (event == WR_PROCS_ENDED)
        worker_ended(s, index, holder);
    adopt_orphans(s);
}

int wr_accept_share_fd(const struct wr_accept_share *s, unsigned index)
{
    return accept_listen_fd(s, index);
}

/* Other workers' listeners stay open under reuseport: they may be adopted. */
unsigned wr_accept_share_list(const struct wr_accept_share *s, unsigned index,
                              int out[static WR_PROCS_CLOSE_MAX])
{
    bool fdpass = s->o.mode == WR_ACCEPT_FDPASS;
    unsigned n = 0;
    for (unsigned i = 0; i < s->o.workers; i++) {
        if (fdpass)
            out[n++] = s->lane[i].channel[0];
        if (i != index)
            out[n++] = s->lane[i].bell;
        if (i != index && fdpass)
            out[n++] = s->lane[i].channel[1];
    }
    if (fdpass) {
        out[n++] = s->lane[0].listen_fd;
        out[n++] = wr_listener_fd(s->listener);
        memcpy(out + n, s->pending, s->n_pending * sizeof(int));
        n += s->n_pending;
    }
    return n;
}

/* ---- opening ------------------------------------------------------------------------------------------------ */

static void on_timer(struct wr_timer *t)
{
    struct wr_accept_share *s = wr_container_of(t, struct wr_accept_share, timer);
    if (s->o.mode == WR_ACCEPT_NOTIFY)
        out_of_patience(s);
    else
        distribute(s);
}

static int open_lane(struct wr_accept_share *s, unsigned i)
{
    struct accept_lane *lane = &s->lane[i];
    int r = lane->bell = wr_os_eventfd(0, WR_MUTANT("full-notify-pipe") ? WR_OS_BLOCKING : 0);
    if (r >= 0 && (i == 0 || s->o.mode == WR_ACCEPT_REUSEPORT))
        r = lane->listen_fd = s->o.listen(s->o.mode == WR_ACCEPT_REUSEPORT, s->o.arg);
    if (r >= 0 && s->o.mode == WR_ACCEPT_FDPASS)
        r = wr_os_socketpair(AF_UNIX, SOCK_SEQPACKET, lane->channel);
    return r;
}

static int open_words(struct wr_accept_share *s)
{
    size_t n = s->o.workers * sizeof *s->words;
    s->words_fd = wr_os_memfd("weir accept", n);
    if (s->words_fd < 0)
        return s->words_fd;
    s->words = wr_os_map_shared(s->words_fd, n, true);
    return s->words ? 0 : -ENOMEM;
}

static int open_acceptor(struct wr_accept_share *s)
{
    struct wr_listen_options o = {.peer_unwanted = true, .burst = ACCEPT_BURST};
    int fd = wr_os_dup(s->lane[0].listen_fd);
    if (fd < 0)
        return fd;
    o.addr.kind = WR_ADDR_FD;
    o.addr.fd = fd;
    int r = wr_listener_open(s->loop, &o, on_accepted, s, &s->listener);
    if (r < 0)
        (void)wr_os_close(fd);
    return r;
}

static int open_mode(struct wr_accept_share *s)
{
    if (s->o.mode == WR_ACCEPT_FDPASS)
        return open_acceptor(s);
    if (s->o.mode != WR_ACCEPT_NOTIFY)
        return 0;
    int fd = s->drained_fd = wr_os_eventfd(0, 0);
    if (fd < 0)
        return fd;
    int r = wr_io_open(s->loop, &s->drained, fd, WR_IO_READ, on_drained);
    if (r < 0)
        (void)wr_os_close(fd);
    return r;
}

static struct wr_accept_share *alloc_share(struct wr_loop *loop,
                                           const struct wr_accept_share_options *o)
{
    const struct wr_heap *heap = wr_loop_heap(loop);
    struct wr_accept_share *s =
        wr_heap_zalloc(heap, sizeof *s + o->workers * sizeof s->lane[0]);
    if (!s)
        return NULL;
    s->loop = loop;
    s->heap = heap;
    s->o = *o;
    s->o.channel_fds = o->channel_fds ? o->channel_fds : 128;
    if (s->o.channel_fds > CHANNEL_FDS_MAX)
        s->o.channel_fds = CHANNEL_FDS_MAX;
    s->o.patience_ms = o->patience_ms ? o->patience_ms : 10;
    s->told = s->words_fd = s->drained_fd = -1;
    s->timer.fn = on_timer;
    wr_task_init(&s->flush, on_flush);
    for (unsigned i = 0; i < o->workers; i++)
        s->lane[i] = (struct accept_lane){
            .listen_fd = -1, .bell = -1, .channel = {-1, -1}
        };
    return s;
}

int wr_accept_share_new(struct wr_loop *loop, const struct wr_accept_share_options *o,
                        struct wr_accept_share **out)
{
    WR_ASSERT(o->workers > 0 && o->workers <= WORKERS_MAX &&
              (unsigned)o->mode < WR_ACCEPT_MODES);
    struct wr_accept_share *s = alloc_share(loop, o);
    if (!s)
        return -ENOMEM;
    int r = open_words(s);
    for (unsigned i = 0; i < o->workers && r >= 0; i++)
        r = open_lane(s, i);
    if (r >= 0)
        r = open_mode(s);
    if (r < 0) {
        wr_accept_share_free(&s);
        return r;
    }
    *out = s;
    return 0;
}

static void free_later(struct wr_free_later *f)
{
    struct wr_accept_share *s = wr_container_of(f, struct wr_accept_share, later);
    wr_heap_free(s->heap, s, sizeof *s + s->o.workers * sizeof s->lane[0]);
}

static void close_if_open(int fd)
{
    if (fd >= 0)
        (void)wr_os_close(fd);
}

void wr_accept_share_free(struct wr_accept_share **at)
{
    struct wr_accept_share *s = *at;
    if (!s)
        return;
    *at = NULL;
    wr_loop_timer_cancel(&s->timer);
    wr_task_cancel(&s->flush);
    wr_listener_close(&s->listener);
    if (wr_io_is_open(&s->watch) && wr_io_detach(&s->watch) < 0)
        WR_LOG(s->o.log, ERROR, "accept", "detach_failed");
    wr_io_close(&s->drained);
    close_all(s->pending, s->n_pending);
    for (unsigned i = 0; i < s->o.workers; i++) {
        close_if_open(s->lane[i].listen_fd);
        close_if_open(s->lane[i].bell);
        close_if_open(s->lane[i].channel[0]);
        close_if_open(s->lane[i].channel[1]);
    }
    if (s->words)
        (void)wr_os_unmap(s->words, s->o.workers * sizeof *s->words);
    close_if_open(s->words_fd);
    wr_loop_free_later(s->loop, &s->later, free_later);
}
