/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_IO_FDPASS_H
#define WR_IO_FDPASS_H

/*
 * Descriptors over a unix socket (SCM_RIGHTS), with a small tag that says what they are.
 *
 * The kernel takes at most 253 descriptors per message; longer lists are split, the tag goes with every
 * message. Sockets should be SOCK_SEQPACKET or SOCK_DGRAM pairs, so that messages keep their borders.
 *
 * 1. The sender keeps its descriptors: it closes them itself, after success.
 * 2. A receiver owns what it got. A truncated message (data or control) closes what arrived: -EMSGSIZE.
 * 3. Received descriptors are close-on-exec. Nothing here waits.
 */

#include "libweir/base/compiler.h"
#include "libweir/base/span.h"

#define WR_FD_MAX     253 /* SCM_MAX_FD */
#define WR_FD_TAG_MAX 256

/* Sends fds[0..n) (n may be 0) with a tag of 1 to WR_FD_TAG_MAX bytes. Returns how many were sent: fewer than n when the channel became full
 * after a part; or a negative error (-EAGAIN: full, -EPIPE/-ECONNRESET: nobody at the other end). */
int wr_fd_send(int sock, const int *fds, unsigned n, struct wr_span tag) WR_MUST;

/* Takes one message. *n_fds: in the room in fds, out how many came; *n_tag likewise. 0; -EAGAIN: none;
 * -EPIPE: the other end is closed; -EMSGSIZE: it did not fit, had no tag, or this process has
 * no numbers left for so many: what came is closed, the bytes of the tag are there. */
int wr_fd_recv(int sock, int *fds, unsigned *n_fds, void *tag, size_t *n_tag) WR_MUST;

#endif
