/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/linger.h"

#include "libweir/base/heap.h"
#include "libweir/io/loop.h"
#include "libweir/io/scope.h"
#include "libweir/io/sock.h"
#include "libweir/os/os.h"

#include <errno.h>

struct lingering {
    struct wr_io io;
    struct wr_timer timer;
    struct wr_op op;
    struct wr_loop *loop;
    uint64_t until_ms;
    unsigned left, idle_ms;
};

static void finish(struct lingering *l)
{
    const struct wr_heap *heap = wr_loop_heap(l->loop);
    wr_loop_timer_cancel(&l->timer);
    wr_io_close(&l->io);
    (void)wr_op_end(&l->op);
    wr_heap_free(heap, l, sizeof *l);
}

static void on_cancel(struct wr_op *op, int why)
{
    (void)why;
    finish(wr_container_of(op, struct lingering, op));
}

static void on_timeout(struct wr_timer *t)
{
    finish(wr_container_of(t, struct lingering, timer));
}

/* Until the end of all, or of a silence, whichever comes first. */
static void arm(struct lingering *l)
{
    uint64_t now = wr_loop_now_ms(l->loop);
    uint64_t left = l->until_ms > now ? l->until_ms - now : 0;
    wr_loop_timer_arm(l->loop, &l->timer, l->idle_ms && l->idle_ms < left ? l->idle_ms : left);
}

static void on_readable(struct wr_io *io, uint32_t events)
{
    struct lingering *l = wr_container_of(io, struct lingering, io);
    char *scratch = wr_loop_scratch(l->loop);
    size_t sum = 0;
    if (!(events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
        return; /* the edge that says writable */
    for (;;) {
        size_t want = l->left < WR_LOOP_SCRATCH ? l->left : WR_LOOP_SCRATCH;
        ssize_t n = want ? wr_os_recv(wr_io_fd(io), scratch, want, 0) : 0;
        if (n == -EAGAIN) {
            if (l->idle_ms)
                arm(l);
            return;
        }
        if (n <= 0)
            break; /* the peer's FIN, an error, or the bound */
        l->left -= (unsigned)n;
        sum += (size_t)n;
        if (sum + WR_LOOP_SCRATCH > WR_IO_TURN_BYTES && l->left) {
            wr_io_again(io, EPOLLIN);
            if (l->idle_ms)
                arm(l);
            return;
        }
    }
    finish(l);
}

static int begin(struct lingering *l, struct wr_scope *scope, int fd)
{
    int err = wr_sock_shutdown_write(fd);
    if (!err)
        err = wr_op_begin(scope, &l->op, on_cancel);
    if (err)
        return err;
    err = wr_io_open(l->loop, &l->io, fd, WR_IO_EDGE, on_readable);
    if (err)
        (void)wr_op_end(&l->op);
    return err;
}

int wr_linger(struct wr_scope *scope, int fd, unsigned max_bytes, unsigned timeout_ms)
{
    return wr_linger_for(scope, fd, max_bytes, timeout_ms, 0);
}

int wr_linger_for(struct wr_scope *scope, int fd, unsigned max_bytes, unsigned timeout_ms,
                  unsigned idle_ms)
{
    struct wr_loop *loop = wr_scope_loop(scope);
    struct lingering *l = wr_heap_zalloc(wr_loop_heap(loop), sizeof *l);
    if (!l) {
        (void)wr_os_close(fd);
        return -ENOMEM;
    }
    l->loop = loop;
    l->left = max_bytes ? max_bytes : WR_LINGER_MAX_BYTES;
    l->idle_ms = idle_ms;
    l->until_ms = wr_loop_now_ms(loop) + (timeout_ms ? timeout_ms : WR_LINGER_TIMEOUT_MS);
    l->timer.fn = on_timeout;
    int err = begin(l, scope, fd);
    if (err) {
        (void)wr_os_close(fd);
        wr_heap_free(wr_loop_heap(loop), l, sizeof *l);
        return err;
    }
    arm(l);
    return 0;
}
