/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/signal.h"
#include "libweir/os/os.h"

#include <stdarg.h>
#include <sys/signalfd.h>

/* One per turn: fn may close s and free it, and the descriptor is level-triggered, so the next one is
 * announced again. */
static void on_readable(struct wr_io *io, uint32_t events)
{
    struct wr_signal *s = wr_container_of(io, struct wr_signal, io);
    struct signalfd_siginfo info;
    (void)events;
    if (wr_os_signalfd_read(wr_io_fd(io), &info) == 1)
        s->fn(s, &info);
}

int wr_signal_open(struct wr_loop *loop, struct wr_signal *s, const sigset_t *set,
                   void (*fn)(struct wr_signal *s, const struct signalfd_siginfo *info))
{
    int err = wr_os_sigmask(SIG_BLOCK, set, NULL);
    if (err)
        return err;
    int fd = wr_os_signalfd(set);
    if (fd < 0)
        return fd;
    err = wr_io_open(loop, &s->io, fd, WR_IO_READ, on_readable);
    if (err) {
        (void)wr_os_close(fd);
        return err;
    }
    s->fn = fn;
    return 0;
}

void wr_signal_close(struct wr_signal *s)
{
    wr_io_close(&s->io);
}

sigset_t wr_signal_set(int first, ...)
{
    sigset_t set;
    va_list ap;
    (void)sigemptyset(&set);
    va_start(ap, first);
    for (int sig = first; sig; sig = va_arg(ap, int))
        (void)sigaddset(&set, sig);
    va_end(ap);
    return set;
}
