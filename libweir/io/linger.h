/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_IO_LINGER_H
#define WR_IO_LINGER_H

/*
 * Closing without eating the last answer. A close with unread bytes in the receive queue sends a RST,
 * and a RST makes the peer's kernel throw away what it had not read yet: the client sees "connection
 * reset" where our 413 was.
 *
 * wr_linger takes the descriptor over, sends FIN, reads and throws away until the peer's FIN, an error,
 * a bound of bytes or a deadline, and closes. It is fire and forget: nobody is told.
 *
 * 1. The descriptor belongs to wr_linger from the call on, also when it fails: then it is closed at once.
 * 2. At most max_bytes are read and the descriptor is closed after at most timeout_ms, whatever comes.
 * 3. A turn reads at most WR_IO_TURN_BYTES.
 * 4. It is an operation of its scope: a cancelled scope closes it at once.
 *
 * Owner loop of the scope. The descriptor must not be registered with a loop.
 */

#include "libweir/base/compiler.h"

struct wr_scope;

#define WR_LINGER_MAX_BYTES  (256u << 10)
#define WR_LINGER_TIMEOUT_MS 5000u

/* 0 for max_bytes or timeout_ms: the defaults above. idle_ms: it is over when so long no byte came; 0: only
 * timeout_ms counts. The result says whether it lingers; the
 * descriptor is taken care of in any case. */
int wr_linger_for(struct wr_scope *scope, int fd, unsigned max_bytes, unsigned timeout_ms,
                  unsigned idle_ms);
int wr_linger(struct wr_scope *scope, int fd, unsigned max_bytes, unsigned timeout_ms);

#endif
