/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_IO_SIGNAL_H
#define WR_IO_SIGNAL_H

/*
 * Signals as events of the loop: the set is blocked and read from a signalfd, so nothing runs in a
 * signal handler and nothing is interrupted.
 *
 * 1. The set is blocked before the descriptor exists: a signal sent in between waits.
 * 2. Closing leaves the set blocked; a late SIGTERM must not kill a process that is stopping in order.
 * 3. The kernel keeps one pending instance per signal number: two SIGHUPs in one turn may be one call.
 *
 * Open before the first thread starts, so that every thread inherits the mask. Owners embed wr_signal;
 * loop thread only.
 */

#include "libweir/io/loop.h"

#include <signal.h>

struct signalfd_siginfo;

/* Zeroed memory is a closed one. */
struct wr_signal {
    /* May close s and free its memory. */
    void (*fn)(struct wr_signal *s, const struct signalfd_siginfo *info);
    /* private */
    struct wr_io io;
};

WR_MUST int wr_signal_open(struct wr_loop *loop, struct wr_signal *s, const sigset_t *set,
                           void (*fn)(struct wr_signal *s,
                                      const struct signalfd_siginfo *info));
void wr_signal_close(struct wr_signal *s);

/* The empty set with these added, ended by 0. */
sigset_t wr_signal_set(int first, ...);

#endif
