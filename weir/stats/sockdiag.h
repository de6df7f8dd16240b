/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef STATS_SOCKDIAG_H
#define STATS_SOCKDIAG_H

/*
 * Questions to the kernel about sockets (netlink, sock_diag), for the status page and the doctor: a request
 * goes out, the messages of the answer come back one by one.
 *
 * Walking an answer and its attributes is arithmetic over bytes, apart from the socket, so that recorded
 * and damaged answers can be walked too. The answer is a stream: no more than one piece is held.
 *
 * 1. A message or attribute that does not fit into what holds it ends the walk; nothing behind it is read.
 * 2. The bytes handed to fn are aligned to 4 and valid during the call only.
 */

#include "libweir/base/span.h"

struct nlmsghdr;

#define SOCKDIAG_TORN \
    1 /* the sockets changed during the answer: some may be missing or twice */

/* One message of the answer, without its netlink header. A negative result ends the walk and is its result. */
typedef int sockdiag_fn(void *arg, struct wr_span message);

/* request: a whole netlink message. 0, SOCKDIAG_TORN, or a negative error. */
WR_MUST int sockdiag_ask(const void *request, size_t n, sockdiag_fn *fn, void *arg);

enum sockdiag_walk {
    SOCKDIAG_DONE,
    SOCKDIAG_MORE,
};
/* One piece of an answer. enum sockdiag_walk, or a negative error; *io_torn is only ever set. */
WR_MUST int sockdiag_walk(struct wr_span piece, sockdiag_fn *fn, void *arg, bool *io_torn);

/* The next attribute of *rest: its type, or -1 behind the last. */
int sockdiag_attr(struct wr_span *rest, struct wr_span *out);

#endif
