/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/assert.h"
#include "libweir/io/signal.h"
#include "libweir/os/os.h"
#include "tests/both_kernels.h"

#include <errno.h>
#include <sys/signalfd.h>

struct seen {
    struct wr_signal s;
    unsigned calls;
    uint32_t last;
    bool once;
};

static void on_signal(struct wr_signal *s, const struct signalfd_siginfo *info)
{
    struct seen *seen = wr_container_of(s, struct seen, s);
    seen->calls++;
    seen->last = info->ssi_signo;
    if (seen->once)
        wr_signal_close(s);
}

static void raise_now(int sig)
{
    (void)!wr_os_kill(wr_os_getpid(), sig);
}

static void test_signals(struct wr_loop *l)
{
    struct seen s = {0};
    sigset_t set = wr_signal_set(SIGUSR1, SIGTERM, 0);
    is_int(wr_signal_open(l, &s.s, &set, on_signal), 0, "open");
    (void)wr_loop_turn(l, 0);
    is_int(s.calls, 0, "silent");
    raise_now(SIGTERM);
    (void)wr_loop_turn(l, 1000);
    ok(s.calls == 1 && s.last == SIGTERM, "SIGTERM is an event");
    raise_now(SIGUSR1);
    raise_now(SIGTERM);
    (void)(wr_loop_turn(l, 1000) | wr_loop_turn(l, 1000));
    is_int(s.calls, 3, "two different ones are two calls");
    s.once = true;
    raise_now(SIGUSR1);
    raise_now(SIGTERM);
    (void)(wr_loop_turn(l, 0) | wr_loop_turn(l, 0));
    is_int(s.calls, 4, "none after close, and none kills");
    wr_signal_close(&s.s);
}

/* The other end is gone: an error code, not the end of this process. */
static void test_sigpipe(void)
{
    int p[2];
    (void)!wr_os_pipe(p, 0);
    (void)wr_os_close(p[0]);
    is_int(wr_os_write(p[1], "x", 1), -EPIPE, "SIGPIPE is blocked by the loop");
    (void)wr_os_close(p[1]);
}

static int all_tests(void *arg)
{
    struct wr_loop *l;
    (void)arg;
    if (wr_loop_new(NULL, &l))
        WR_PANIC("no loop");
    test_signals(l);
    test_sigpipe();
    wr_loop_free(&l);
    return 0;
}

BOTH_KERNELS(all_tests)
