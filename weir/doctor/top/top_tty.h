/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DOCTOR_TOP_TTY_H
#define DOCTOR_TOP_TTY_H

/*
 * The terminal of `weir top`: taken at the start, given back on every way out.
 *
 *   open --enter--> ours --leave--> the shell's --enter--> ...        (around a stop by Ctrl-Z)
 *
 * Signals come through a descriptor, so that none interrupts a look or a screen half written: what arrives
 * meanwhile is handled after it. Ctrl-C, Ctrl-Z and Ctrl-\ stay signals of the terminal; everything else that is
 * typed comes as bytes, without echo and without waiting for a line.
 *
 * 1. Between enter and leave the alternate screen is shown, the cursor hidden, wrapping at the margin off.
 * 2. leave restores what enter found, may be called at any time, and again.
 * 3. The descriptors keep their blocking mode: they are shared with the shell.
 *
 * One for a process. Not to be used while other threads run: the signal mask is the process's.
 */

#include "libweir/base/compiler.h"
#include "libweir/base/span.h"

#include <signal.h>
#include <termios.h>

struct top_tty {
    /* private */
    int in, out, epoll, signals;
    bool open, ours;
    struct termios before;
    sigset_t mask;
};

enum top_event {
    TOP_EVENT_NONE, /* the time is over */
    TOP_EVENT_KEYS, /* bytes were typed: as many as *out_n */
    TOP_EVENT_RESIZE,
    TOP_EVENT_RESUME, /* after a stop: everything has to be drawn anew */
    TOP_EVENT_END,    /* a signal asks us to end, or the terminal has gone */
};

/* -ENOTTY: input or output is no terminal. */
WR_MUST int top_tty_open(struct top_tty *t);
void top_tty_close(struct top_tty *t);
WR_MUST int top_tty_enter(struct top_tty *t);
void top_tty_leave(struct top_tty *t);

/* 24 x 80 where the terminal does not tell. */
void top_tty_size(const struct top_tty *t, unsigned *out_rows, unsigned *out_columns);
/* All of it; an error means that the terminal has gone. */
WR_MUST int top_tty_write(struct top_tty *t, struct wr_span bytes);
/* The next event. *out_signal: which one ended it, 0: none did. A stop happens in here. */
enum top_event top_tty_wait(struct top_tty *t, int timeout_ms, unsigned char *bytes,
                            size_t room, size_t *out_n, int *out_signal);

#endif
