/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/top/top_tty.h"

#include "libweir/os/os.h"

#include <errno.h>
#include <poll.h>
#include <sys/signalfd.h>

static const char enter[] = "\033[?1049h\033[?25l\033[?7l\033[0m\033[H\033[2J";
/* Terminals without a second screen get their cursor on a clean last line. */
static const char leave[] = "\033[0m\033[999;1H\033[K\033[?7h\033[?25h\033[?1049l";

static sigset_t our_signals(void)
{
    static const int all[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < WR_ARRAY_LEN(all); i++)
        sigaddset(&set, all[i]);
    return set;
}

static int watch(struct top_tty *t, int fd)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};
    return wr_os_epoll_ctl(t->epoll, EPOLL_CTL_ADD, fd, &ev);
}

static int open_signals(struct top_tty *t)
{
    sigset_t set = our_signals();
    t->signals = wr_os_signalfd(&set);
    if (t->signals < 0)
        return t->signals;
    return wr_os_sigmask(SIG_BLOCK, &set, &t->mask);
}

int top_tty_open(struct top_tty *t)
{
    *t = (struct top_tty){.in = 0, .out = 1, .epoll = -1, .signals = -1};
    if (wr_os_is_terminal(t->in) != 1 || wr_os_is_terminal(t->out) != 1)
        return -ENOTTY;
    int err = wr_os_terminal_get(t->in, &t->before);
    if (err)
        return err;
    err = t->epoll = wr_os_epoll_create();
    if (err >= 0)
        err = open_signals(t);
    t->open = err >= 0;
    if (!err)
        err = watch(t, t->in);
    if (!err)
        err = watch(t, t->signals);
    if (err < 0)
        top_tty_close(t);
    return err < 0 ? err : 0;
}

void top_tty_close(struct top_tty *t)
{
    top_tty_leave(t);
    if (t->signals >= 0)
        (void)wr_os_close(t->signals);
    if (t->epoll >= 0)
        (void)wr_os_close(t->epoll);
    if (t->open)
        (void)wr_os_sigmask(SIG_SETMASK, &t->mask, NULL);
    *t = (struct top_tty){.epoll = -1, .signals = -1};
}

int top_tty_enter(struct top_tty *t)
{
    struct termios raw = t->before;
    raw.c_lflag &= (tcflag_t) ~(ICANON | ECHO | ECHONL);
    raw.c_iflag &= (tcflag_t) ~(IXON | ICRNL | INLCR);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    int err = wr_os_terminal_set(t->in, &raw);
    t->ours = true;
    return err ? err : top_tty_write(t, wr_span(enter, sizeof enter - 1));
}

void top_tty_leave(struct top_tty *t)
{
    if (!t->ours)
        return;
    t->ours = false;
    if (top_tty_write(t, wr_span(leave, sizeof leave - 1))) {
        /* it has gone: nothing is left to tidy */
    }
    (void)wr_os_terminal_set(t->in, &t->before);
}

void top_tty_size(const struct top_tty *t, unsigned *out_rows, unsigned *out_columns)
{
    if (wr_os_terminal_size(t->out, out_columns, out_rows)) {
        *out_rows = 24;
        *out_columns = 80;
    }
}

int top_tty_write(struct top_tty *t, struct wr_span bytes)
{
    while (bytes.n) {
        ssize_t n = wr_os_write(t->out, bytes.p, bytes.n);
        if (n == -EINTR)
            continue;
        if (n == -EAGAIN) { /* somebody else has made the terminal non-blocking */
            if (wr_os_poll(t->out, POLLOUT, 1000) < 0)
                return -EIO;
            continue;
        }
        if (n <= 0)
            return n < 0 ? (int)n : -EIO;
        bytes = wr_span(bytes.p + n, bytes.n - (size_t)n);
    }
    return 0;
}

/* The shell gets its terminal back, we stop as anybody would, and go on when told so. */
static void stop(struct top_tty *t)
{
    top_tty_leave(t);
    if (wr_os_kill(wr_os_getpid(), SIGSTOP)) {
        /* then we do not stop */
    }
}

static enum top_event on_signal(struct top_tty *t, int *out_signal)
{
    struct signalfd_siginfo info;
    if (wr_os_signalfd_read(t->signals, &info) <= 0)
        return TOP_EVENT_NONE;
    switch (info.ssi_signo) {
    case SIGWINCH:
        return TOP_EVENT_RESIZE;
    case SIGTSTP:
        stop(t);
        WR_FALLTHROUGH;
    case SIGCONT:
        return top_tty_enter(t) ? TOP_EVENT_END : TOP_EVENT_RESUME;
    default:
        *out_signal = (int)info.ssi_signo;
        return TOP_EVENT_END;
    }
}

static enum top_event on_input(struct top_tty *t, unsigned char *bytes, size_t room,
                               size_t *out_n)
{
    ssize_t n = wr_os_read(t->in, bytes, room);
    if (n == -EAGAIN || n == -EINTR)
        return TOP_EVENT_NONE;
    if (n <= 0)
        return TOP_EVENT_END;
    *out_n = (size_t)n;
    return TOP_EVENT_KEYS;
}

enum top_event top_tty_wait(struct top_tty *t, int timeout_ms, unsigned char *bytes,
                            size_t room, size_t *out_n, int *out_signal)
{
    struct epoll_event ev[2];
    int n = wr_os_epoll_wait(t->epoll, ev, 2, timeout_ms);
    for (int i = 0; i < n; i++)
        if (ev[i].data.fd == t->signals)
            return on_signal(t, out_signal);
    return n > 0 ? on_input(t, bytes, room, out_n) : TOP_EVENT_NONE;
}
