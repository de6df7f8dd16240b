/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel as it is: what one process may change of another that it may trace.
 */
#include "libweir/os/os.h"
#include "libweir/os/os_linux.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

int wr_os_pidfd_alive(int pidfd)
{
    /* Signal 0 would reach one that has ended, too, until its parent has reaped it. */
    int r = wr_os_poll(pidfd, POLLIN, 0);
    return r < 0 ? r : r & POLLNVAL ? -EBADF : !(r & POLLIN);
}

int wr_os_prlimit(pid_t pid, int what, const struct rlimit *new_limit, struct rlimit *old)
{
    return WR_OS_ONCE(prlimit(pid, (__rlimit_resource_t)what, new_limit, old));
}

int wr_os_file_flags(int fd)
{
    return WR_OS_ONCE(fcntl(fd, F_GETFL));
}

int wr_os_set_pipe_size(int fd, int bytes)
{
    return WR_OS_ONCE(fcntl(fd, F_SETPIPE_SZ, bytes));
}

int wr_os_is_terminal(int fd)
{
    return isatty(fd) == 1;
}

int wr_os_terminal_size(int fd, unsigned *out_columns, unsigned *out_rows)
{
    struct winsize size;
    int err = WR_OS_ONCE(ioctl(fd, TIOCGWINSZ, &size));
    if (err < 0)
        return err;
    if (size.ws_col == 0 || size.ws_row == 0)
        return -ERANGE;
    *out_columns = size.ws_col;
    *out_rows = size.ws_row;
    return 0;
}

int wr_os_terminal_get(int fd, struct termios *out)
{
    return WR_OS_ONCE(tcgetattr(fd, out));
}

int wr_os_terminal_set(int fd, const struct termios *in)
{
    return WR_OS_RETRY(tcsetattr(fd, TCSADRAIN, in));
}

int wr_os_cannot_shrink(int fd)
{
    int seals = WR_OS_ONCE(fcntl(fd, F_GET_SEALS));
    return seals >= 0 && (seals & F_SEAL_SHRINK) != 0;
}

int wr_os_poll(int fd, short events, int timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = events};
    uint64_t until = 0;
    if (timeout_ms > 0)
        until = wr_os_now_ns(CLOCK_MONOTONIC) + (uint64_t)timeout_ms * 1000000;
    for (;;) {
        int r = WR_OS_ONCE(poll(&p, 1, timeout_ms));
        if (r != -EINTR)
            return r > 0 ? p.revents : r;
        if (timeout_ms > 0) { /* a signal does not begin the limit anew */
            uint64_t now = wr_os_now_ns(CLOCK_MONOTONIC);
            timeout_ms = now < until ? (int)((until - now + 999999) / 1000000) : 0;
        }
    }
}
