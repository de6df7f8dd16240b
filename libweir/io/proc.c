/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/proc.h"

#include "libweir/base/assert.h"
#include "libweir/base/err.h"
#include "libweir/base/heap.h"
#include "libweir/io/board.h"
#include "libweir/io/log.h"
#include "libweir/io/log_text.h"
#include "libweir/io/proc_private.h"
#include "libweir/os/os.h"

#include <errno.h>
#include <sys/wait.h>

#define STOP_NOW_MS 2000U /* a child that was told to end at once, and does not */

enum child_state {
    CHILD_STARTING,
    CHILD_READY,
    CHILD_STOPPING
};

struct child {
    struct wr_list link;
    const struct wr_heap *heap;
    struct wr_procs *procs;
    struct slot *slot;
    struct wr_worker *worker;
    struct wr_io pidfd, control;
    struct wr_timer deadline; /* to be ready, to be gone */
    struct wr_free_later later;
    enum child_state state;
    uint64_t ready_ms;
    unsigned stale_looks; /* of the watchdog */
    pid_t pid;
};

struct slot { /* one place in the pool: its process comes and goes */
    struct wr_procs *procs;
    struct child *current;  /* NULL while it rests */
    struct child *incoming; /* its successor during a replacement */
    struct wr_timer restart;
    uint64_t window_start_ms;
    unsigned index, generation, backoff_ms, in_window, restarts;
};

struct wr_procs {
    struct wr_loop *loop;
    const struct wr_heap *heap;
    struct wr_procs_options o; /* keep_fds: our copy, children are started long after */
    struct wr_list children;   /* all that live, also those that are leaving */
    unsigned alive;
    struct wr_timer watchdog;
    struct wr_free_later later;
    bool stopping, replacing, freed;
    unsigned replace_next;
    struct slot slot[];
};

static void start_child(struct slot *slot, bool as_incoming);

static unsigned or_default(unsigned v, unsigned d)
{
    return v ? v : d;
}

static void emit(struct wr_procs *p, enum wr_procs_event event, unsigned index, pid_t pid,
                 int status)
{
    if (p->o.on_event && !p->freed)
        p->o.on_event(p, event, index, pid, status, p->o.event_arg);
}

const char *wr_exit_text(int status, char *out, size_t n)
{
    size_t len;
    WR_ASSERT(n > 0);
    if (WIFEXITED(status))
        len = wr_log_format(out, n - 1, "exit %d", WEXITSTATUS(status));
    else if (WIFSIGNALED(status))
        len = wr_log_format(out, n - 1, "signal %d (SIG%s)", WTERMSIG(status),
                            sigabbrev_np(WTERMSIG(status)));
    else
        len = wr_log_format(out, n - 1, "status %x", (unsigned)status);
    out[len] = 0;
    return out;
}

/* ---- one child ---------------------------------------------------------------------------------------- */

static void free_child(struct child *c)
{
    const struct wr_heap *heap = c->heap; /* the pool may be gone already */
    if (c->worker) {
        wr_heap_free(heap, c->worker->to_close, c->worker->close_capacity * sizeof(int));
        wr_heap_free(heap, c->worker, sizeof *c->worker);
    }
    wr_heap_free(heap, c, sizeof *c);
}

static void free_child_later(struct wr_free_later *f)
{
    free_child(wr_container_of(f, struct child, later));
}

static void kill_child(struct child *c)
{
    int r = wr_os_pidfd_signal(wr_io_fd(&c->pidfd), SIGKILL);
    if (r < 0 && r != -ESRCH)
        WR_LOG(c->procs->o.log, ERROR, "proc", "kill_failed", "pid=%d err=%s", c->pid,
               wr_err_name(r));
}

static void on_deadline(struct wr_timer *t)
{
    struct child *c = wr_container_of(t, struct child, deadline);
    WR_LOG(c->procs->o.log, WARN, "proc", "deadline",
           "pid=%d worker=%u waited_for=%s action=kill", c->pid, c->slot->index,
           c->state == CHILD_STARTING ? "ready" : "end");
    kill_child(c);
}

/* A child whose channel is full hears a signal instead; nobody is waited for. */
static int say(struct child *c, unsigned command)
{
    unsigned char word = (unsigned char)command;
    if (!wr_io_is_open(&c->control))
        return -EPIPE;
    ssize_t r = wr_os_send(wr_io_fd(&c->control), &word, 1, MSG_DONTWAIT);
    return r < 0 ? (int)r : 0;
}

static void stop_child(struct child *c, bool graceful)
{
    if (c->state == CHILD_STOPPING && graceful)
        return;
    c->state = CHILD_STOPPING;
    if (c->worker->has_seat)
        wr_word_set(&wr_board_seat(c->procs->o.board, c->worker->seat)->state,
                    WR_SEAT_STOPPING);
    if (say(c, graceful ? WR_COMMAND_STOP : WR_COMMAND_STOP_NOW) < 0) {
        int r = wr_os_pidfd_signal(wr_io_fd(&c->pidfd), SIGTERM);
        if (r < 0)
            WR_LOG(c->procs->o.log, ERROR, "proc", "unreachable", "pid=%d", c->pid);
    }
    unsigned patience = or_default(c->procs->o.stop_timeout_ms, 30000);
    if (!graceful && patience > STOP_NOW_MS)
        patience = STOP_NOW_MS;
    wr_loop_timer_arm(c->procs->loop, &c->deadline, patience);
    emit(c->procs, WR_PROCS_STOPPING, c->slot->index, c->pid, 0);
}

static void child_is_ready(struct child *c)
{
    struct wr_procs *p = c->procs;
    struct slot *slot = c->slot;
    if (c->state != CHILD_STARTING)
        return;
    c->state = CHILD_READY;
    c->ready_ms = wr_loop_now_ms(p->loop);
    wr_loop_timer_cancel(&c->deadline);
    if (c->worker->has_seat)
        wr_word_set(&wr_board_seat(p->o.board, c->worker->seat)->state, WR_SEAT_READY);
    emit(p, WR_PROCS_READY, slot->index, c->pid, 0);
    if (slot->incoming == c) {
        struct child *old = slot->current;
        slot->current = c;
        slot->incoming = NULL;
        if (old)
            stop_child(old, true);
    }
}

/* ---- replacing ------------------------------------------------------------------------------------------ */

/* Its successor is not ready yet, or came to nothing and is tried again. */
static bool awaits_successor(const struct slot *slot)
{
    return slot->incoming || (slot->current && wr_timer_armed(&slot->restart));
}

static void replace_on(struct wr_procs *p)
{
    while (p->replacing) {
        if (p->replace_next > 0 && awaits_successor(&p->slot[p->replace_next - 1]))
            return;
        if (p->replace_next == p->o.workers) {
            p->replacing = false;
            emit(p, WR_PROCS_REPLACED, 0, 0, 0);
            return;
        }
        struct slot *slot = &p->slot[p->replace_next++];
        if (slot->current) /* a slot that rests gets a new process anyway */
            start_child(slot, true);
    }
}

int wr_procs_replace(struct wr_procs *p)
{
    if (p->replacing || p->stopping)
        return -EBUSY;
    p->replacing = true;
    p->replace_next = 0;
    replace_on(p);
    return 0;
}

/* ---- the channel and the end ---------------------------------------------------------------------- */

static void on_control(struct wr_io *io, uint32_t events)
{
    struct child *c = wr_container_of(io, struct child, control);
    struct wr_procs *p = c->procs;
    char word;
    (void)events;
    ssize_t n = wr_os_recv(wr_io_fd(io), &word, 1, MSG_DONTWAIT);
    if (n == -EAGAIN)
        return;
    if (n <= 0) { /* its end will be told by the pidfd */
        wr_io_close(io);
        return;
    }
    if (word == WORKER_READY) {
        child_is_ready(c);
        replace_on(p);
    }
}

/* True when the slot has spent what it may spend in this window. */
static bool budget_spent(struct slot *slot, uint64_t now_ms)
{
    const struct wr_procs_options *o = &slot->procs->o;
    if (now_ms - slot->window_start_ms >= or_default(o->window_ms, 60000)) {
        slot->window_start_ms = now_ms;
        slot->in_window = 0;
    }
    return slot->in_window >= or_default(o->budget, 100);
}

/* 0, then backoff_min_ms, doubled up to backoff_max_ms; a healthy life starts again at 0. */
static unsigned next_backoff(struct slot *slot, bool healthy)
{
    const struct wr_procs_options *o = &slot->procs->o;
    unsigned min = or_default(o->backoff_min_ms, 100),
             max = or_default(o->backoff_max_ms, 2000);
    if (healthy)
        slot->backoff_ms = 0;
    unsigned wait = slot->backoff_ms;
    slot->backoff_ms = wait ? (wait * 2 < max ? wait * 2 : max) : min;
    return wait;
}

static void plan_restart(struct slot *slot, bool healthy)
{
    struct wr_procs *p = slot->procs;
    uint64_t now_ms = wr_loop_now_ms(p->loop);
    unsigned wait = next_backoff(slot, healthy);
    if (budget_spent(slot, now_ms)) {
        wait = (unsigned)(slot->window_start_ms + or_default(p->o.window_ms, 60000) - now_ms);
        WR_LOG(p->o.log, CRIT, "proc", "resting", "worker=%u for_ms=%u", slot->index, wait);
        emit(p, WR_PROCS_RESTING, slot->index, 0, 0);
        if (p->stopping) /* told to, or freed, by the event */
            return;
    }
    slot->in_window++;
    slot->restarts++;
    wr_loop_timer_arm(p->loop, &slot->restart, wait);
    if (wait)
        emit(p, WR_PROCS_WAITING, slot->index, 0, (int)wait);
}

static void on_restart(struct wr_timer *t)
{
    struct slot *slot = wr_container_of(t, struct slot, restart);
    start_child(slot, slot->current != NULL);
}

/* By somebody else: a signal to the whole group, perhaps before the child could take it. */
static bool was_told_to(int status)
{
    return status == 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

static void log_end(struct child *c, int status, uint64_t lost)
{
    char text[64];
    struct wr_log *log = c->procs->o.log;
    (void)wr_exit_text(status, text, sizeof text);
    if (c->state == CHILD_STOPPING)
        WR_LOG(log, INFO, "proc", "stopped", "pid=%d worker=%u status=%s lost=%llu", c->pid,
               c->slot->index, text, (unsigned long long)lost);
    else if (was_told_to(status))
        WR_LOG(log, NOTICE, "proc", "ended", "pid=%d worker=%u lost=%llu", c->pid,
               c->slot->index, (unsigned long long)lost);
    else
        WR_LOG(log, ERROR, "proc", "died", "pid=%d worker=%u status=%s lost=%llu", c->pid,
               c->slot->index, text, (unsigned long long)lost);
}

static void unlink_child(struct child *c)
{
    wr_list_remove(&c->link);
    c->procs->alive--;
    wr_io_close(&c->pidfd);
    wr_io_close(&c->control);
    wr_loop_timer_cancel(&c->deadline);
    if (c->slot->current == c)
        c->slot->current = NULL;
    if (c->slot->incoming == c)
        c->slot->incoming = NULL;
    wr_loop_free_later(c->procs->loop, &c->later, free_child_later);
}

static void child_ended(struct child *c, int status)
{
    struct wr_procs *p = c->procs;
    struct slot *slot = c->slot;
    bool ours = slot->current == c || slot->incoming == c;
    bool healthy = c->state == CHILD_READY &&
                   wr_loop_now_ms(p->loop) - c->ready_ms >= or_default(p->o.healthy_ms, 500);
    uint64_t lost = 0;
    if (c->worker->has_seat)
        lost = wr_board_vacate(p->o.board, c->worker->seat, status, wr_loop_wall_ns(p->loop));
    log_end(c, status, lost);
    unlink_child(c);
    emit(p, WR_PROCS_ENDED, slot->index, c->pid, status);
    if (!p->stopping && ours && !slot->incoming && !wr_timer_armed(&slot->restart))
        plan_restart(slot, healthy);
    if (p->stopping && p->alive == 0)
        emit(p, WR_PROCS_STOPPED, 0, 0, 0);
    else
        replace_on(p);
}

static void on_pidfd(struct wr_io *io, uint32_t events)
{
    struct child *c = wr_container_of(io, struct child, pidfd);
    int status;
    (void)events;
    if (wr_os_reap(c->pid, &status) == 1)
        child_ended(c, status);
}

/* ---- birth ------------------------------------------------------------------------------------------------ */

unsigned wr_procs_list(const struct wr_procs *p, int *out, unsigned max)
{
    unsigned n = 0;
    if (!p)
        return 0;
    for (struct wr_list *l = p->children.next; l != &p->children && n + 2 <= max; l = l->next) {
        struct child *c = wr_container_of(l, struct child, link);
        out[n++] = wr_io_fd(&c->pidfd);
        out[n++] = wr_io_fd(&c->control); /* -1 when closed: closing it does nothing */
    }
    return n;
}

/* The master's ends of all channels, this child's included: whoever holds one hides the master's death
 * from the child at its other end. */
static int list_inherited(struct wr_procs *p, struct wr_worker *w, int own_end)
{
    unsigned n = 0, room = 1 + 2 * p->alive + (p->o.list_to_close ? WR_PROCS_CLOSE_MAX : 0);
    w->to_close = wr_heap_array(p->heap, room, sizeof(int));
    if (!w->to_close)
        return -ENOMEM;
    w->close_capacity = room;
    w->to_close[n++] = own_end;
    n += wr_procs_list(p, w->to_close + n, room - n);
    if (p->o.list_to_close)
        n += p->o.list_to_close(w->index, w->to_close + n, p->o.arg);
    w->n_close = n;
    return 0;
}

static struct child *new_child(struct slot *slot)
{
    struct wr_procs *p = slot->procs;
    struct child *c = wr_heap_zalloc(p->heap, sizeof *c);
    if (!c)
        return NULL;
    c->heap = p->heap;
    c->procs = p;
    c->slot = slot;
    c->deadline.fn = on_deadline;
    wr_list_init(&c->link);
    c->worker = wr_heap_zalloc(p->heap, sizeof *c->worker);
    if (!c->worker) {
        free_child(c);
        return NULL;
    }
    c->worker->options = p->o;
    c->worker->index = slot->index;
    c->worker->generation = slot->generation;
    return c;
}

static int take_seat(struct wr_procs *p, struct wr_worker *w)
{
    if (!p->o.board)
        return 0;
    int seat = wr_board_occupy(p->o.board, p->o.first_seat, p->o.seats, w->index,
                               wr_loop_wall_ns(p->loop));
    if (seat < 0)
        return seat;
    w->seat = (unsigned)seat;
    w->has_seat = true;
    return 0;
}

/* Both descriptors come under the loop's care, or are closed. */
static int watch_child(struct child *c, int pidfd, int control)
{
    struct wr_loop *loop = c->procs->loop;
    int r = wr_io_open(loop, &c->pidfd, pidfd, WR_IO_READ, on_pidfd);
    if (r < 0) {
        (void)wr_os_close(pidfd);
        return r;
    }
    r = wr_io_open(loop, &c->control, control, WR_IO_READ, on_control);
    if (r < 0)
        wr_io_close(&c->pidfd);
    return r;
}

static void end_unwatched(struct child *c)
{
    int status;
    if (wr_os_kill(c->pid, SIGKILL) == 0)
        while (wr_os_reap(c->pid, &status) == 0)
            (void)wr_os_sleep_ns(1000000); /* at the end of descriptors; it is being killed */
}

static void list_kept(const struct wr_procs_options *o, struct wr_worker *w)
{
    unsigned n = o->n_keep;
    if (o->list_to_keep)
        n = o->list_to_keep(w->index, w->keep, o->arg);
    else if (o->keep_fds)
        memcpy(w->keep, o->keep_fds, n * sizeof(int));
    else
        return;
    w->keep[n] = w->channel;
    w->n_keep = n + 1;
}

static int fork_child(struct child *c)
{
    struct wr_procs *p = c->procs;
    struct wr_worker *w = c->worker;
    int pair[2], pidfd, r = wr_os_socketpair(AF_UNIX, SOCK_SEQPACKET, pair);
    if (r < 0)
        return r;
    w->channel = pair[1];
    list_kept(&p->o, w);
    r = list_inherited(p, w, pair[0]);
    if (!r)
        r = take_seat(p, w);
    if (!r)
        r = c->pid = wr_os_spawn(wr_worker_run, w, &pidfd);
    (void)wr_os_close(pair[1]);
    if (r >= 0 && w->has_seat) /* also of one that never comes to say so itself */
        wr_word_set(&wr_board_seat(p->o.board, w->seat)->pid, (uint64_t)r);
    if (r >= 0) {
        r = watch_child(c, pidfd, pair[0]);
        if (r < 0)
            end_unwatched(c);
    }
    if (r < 0)
        (void)wr_os_close(pair[0]);
    if (r < 0 && w->has_seat)
        (void)wr_board_vacate(p->o.board, w->seat, 0, wr_loop_wall_ns(p->loop));
    return r < 0 ? r : 0;
}

static int try_start(struct slot *slot, struct child **out)
{
    struct child *c = new_child(slot);
    if (!c)
        return -ENOMEM;
    int r = fork_child(c);
    if (r < 0) {
        free_child(c);
        return r;
    }
    *out = c;
    return 0;
}

/* Failing to fork is like a child that dies at once: tried again after the back-off. */
static void start_child(struct slot *slot, bool as_incoming)
{
    struct wr_procs *p = slot->procs;
    struct child *c = NULL;
    /* Whoever asks, an earlier plan is hereby carried out: a second successor would make nobody of the first. */
    wr_loop_timer_cancel(&slot->restart);
    int r = try_start(slot, &c);
    if (r < 0) {
        WR_LOG(p->o.log, ERROR, "proc", "start_failed", "worker=%u err=%s", slot->index,
               wr_err_name(r));
        emit(p, WR_PROCS_UNBORN, slot->index, 0, r);
        if (!p->stopping)
            plan_restart(slot, false);
        return;
    }
    slot->generation++;
    if (as_incoming)
        slot->incoming = c;
    else
        slot->current = c;
    wr_list_add_tail(&p->children, &c->link);
    p->alive++;
    wr_loop_timer_arm(p->loop, &c->deadline, or_default(p->o.ready_timeout_ms, 10000));
    WR_LOG(p->o.log, INFO, "proc", "started", "pid=%d worker=%u generation=%u", c->pid,
           slot->index, c->worker->generation);
    emit(p, WR_PROCS_STARTED, slot->index, c->pid, 0);
}

/* ---- the watchdog -------------------------------------------------------------------------------------- */

static void look_at(struct wr_procs *p, struct child *c)
{
    const struct wr_seat *seat = wr_board_seat(p->o.board, c->worker->seat);
    uint64_t beat = wr_word_get(&seat->heartbeat_ns), now = wr_loop_now_ns(p->loop);
    if (c->state != CHILD_READY || beat == 0 || now < beat ||
        now - beat < (uint64_t)p->o.watchdog_ms * 1000000) {
        c->stale_looks = 0;
        return;
    }
    /* Twice in a row: after a pause of the whole machine everybody's heartbeat is old once. */
    if (++c->stale_looks != 2)
        return;
    WR_LOG(p->o.log, CRIT, "proc", "stuck",
           "pid=%d worker=%u since_ms=%llu fn=%llx fd=%lld action=kill", c->pid, c->slot->index,
           (unsigned long long)((now - beat) / 1000000),
           (unsigned long long)wr_word_get(&seat->loop.running_fn),
           (long long)seat->loop.running_fd);
    emit(p, WR_PROCS_STUCK, c->slot->index, c->pid, 0);
    kill_child(c);
}

static void on_watchdog(struct wr_timer *t)
{
    struct wr_procs *p = wr_container_of(t, struct wr_procs, watchdog);
    for (struct wr_list *l = p->children.next; l != &p->children; l = l->next) {
        struct child *c = wr_container_of(l, struct child, link);
        if (c->worker->has_seat)
            look_at(p, c);
    }
    wr_loop_timer_arm(p->loop, t, p->o.watchdog_ms / 4 + 1);
}

/* ---- the pool --------------------------------------------------------------------------------------------- */

/* The slots and behind them the descriptors to keep. */
static size_t size_of(const struct wr_procs_options *o)
{
    return sizeof(struct wr_procs) + o->workers * sizeof(struct slot) +
           o->n_keep * sizeof *o->keep_fds;
}

int wr_procs_start(struct wr_loop *loop, const struct wr_procs_options *o,
                   struct wr_procs **out)
{
    WR_ASSERT(o->workers > 0 && o->main && o->n_keep <= WR_PROCS_KEEP_MAX);
    if (wr_os_thread_count() > 1)
        return -EDEADLK;
    const struct wr_heap *heap = wr_loop_heap(loop);
    struct wr_procs *p = wr_heap_zalloc(heap, size_of(o));
    if (!p)
        return -ENOMEM;
    p->loop = loop;
    p->heap = heap;
    p->o = *o;
    if (o->keep_fds)
        p->o.keep_fds =
            memcpy(&p->slot[o->workers], o->keep_fds, o->n_keep * sizeof *o->keep_fds);
    p->watchdog.fn = on_watchdog;
    wr_list_init(&p->children);
    *out = p; /* events may come before we return */
    for (unsigned i = 0; i < o->workers; i++) {
        p->slot[i] = (struct slot){.procs = p, .index = i, .restart.fn = on_restart};
        p->slot[i].window_start_ms = wr_loop_now_ms(loop);
    }
    for (unsigned i = 0; i < o->workers && !p->stopping; i++) /* told to by an event */
        start_child(&p->slot[i], false);
    if (o->watchdog_ms && o->board && !p->stopping)
        wr_loop_timer_arm(loop, &p->watchdog, o->watchdog_ms);
    return 0;
}

void wr_procs_stop(struct wr_procs *p, bool graceful)
{
    p->stopping = true;
    p->replacing = false;
    for (unsigned i = 0; i < p->o.workers; i++)
        wr_loop_timer_cancel(&p->slot[i].restart);
    for (struct wr_list *l = p->children.next; l != &p->children; l = l->next)
        stop_child(wr_container_of(l, struct child, link), graceful);
    if (p->alive == 0)
        emit(p, WR_PROCS_STOPPED, 0, 0, 0);
}

void wr_procs_command(struct wr_procs *p, unsigned command)
{
    for (struct wr_list *l = p->children.next; l != &p->children; l = l->next) {
        struct child *c = wr_container_of(l, struct child, link);
        int r = say(c, command);
        if (r < 0)
            WR_LOG(p->o.log, WARN, "proc", "unheard", "pid=%d command=%u err=%s", c->pid,
                   command, wr_err_name(r));
    }
}

unsigned wr_procs_alive(const struct wr_procs *p)
{
    return p->alive;
}

bool wr_procs_info(const struct wr_procs *p, unsigned index, struct wr_procs_info *out)
{
    if (index >= p->o.workers)
        return false;
    const struct slot *slot = &p->slot[index];
    const struct child *c = slot->current;
    *out = (struct wr_procs_info){.restarts = slot->restarts};
    if (c) {
        out->pid = c->pid;
        out->seat = c->worker->seat;
        out->ready = c->state == CHILD_READY;
    }
    return true;
}

static void free_pool(struct wr_free_later *f)
{
    struct wr_procs *p = wr_container_of(f, struct wr_procs, later);
    wr_heap_free(p->heap, p, size_of(&p->o));
}

/* Killed children are reaped here; a kill takes effect within a scheduling of the child. */
static void end_child(struct child *c)
{
    int status = 0;
    kill_child(c);
    for (int i = 0; i < 1000 && wr_os_reap(c->pid, &status) == 0; i++)
        (void)wr_os_sleep_ns(1000000);
    if (c->worker->has_seat)
        (void)wr_board_vacate(c->procs->o.board, c->worker->seat, status,
                              wr_loop_wall_ns(c->procs->loop));
    unlink_child(c);
}

void wr_procs_free(struct wr_procs **at)
{
    struct wr_procs *p = *at;
    if (!p)
        return;
    *at = NULL;
    p->freed = p->stopping = true;
    for (unsigned i = 0; i < p->o.workers; i++)
        wr_loop_timer_cancel(&p->slot[i].restart);
    wr_loop_timer_cancel(&p->watchdog);
    while (!wr_list_empty(&p->children))
        end_child(wr_container_of(wr_list_first(&p->children), struct child, link));
    wr_loop_free_later(p->loop, &p->later, free_pool);
}
