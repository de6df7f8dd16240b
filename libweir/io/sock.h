/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_IO_SOCK_H
#define WR_IO_SOCK_H

/*
 * What one asks of a socket besides bytes: options by name, what TCP knows about the connection, half
 * close, reset.
 *
 * Options are rows of a table (name, level, number, unit), so that a configuration file, a command line
 * and a program name them alike. wr_sock_info is one getsockopt and answers also what other programs
 * ask with ioctl: bytes not sent yet, bytes not acknowledged.
 *
 * 1. Nothing here blocks or allocates.
 * 2. An option unknown to the table is WR_E_NOT_FOUND, one unknown to the kernel is its -errno.
 *
 * Any thread.
 */

#include "libweir/base/compiler.h"
#include "libweir/base/span.h"

#include <stdbool.h>

/* "nodelay" "cork" "quickack" "keepalive" "keepidle_s" "keepintvl_s" "keepcnt" "user_timeout_ms"
 * "notsent_lowat" "defer_accept_s" "reuseaddr" "reuseport" "rcvbuf" "sndbuf" "v6only" "freebind"
 * "bind_no_port" "mark" "tos" "priority" "incoming_cpu" "busy_poll_us" "maxseg" "linger_s" (-1: off) */
int wr_sock_set(int fd, struct wr_span option, int value);
WR_MUST int wr_sock_get(int fd, struct wr_span option, int *out_value);

/* The name of the n-th option, NULL behind the last: for help texts and completion. */
const char *wr_sock_option_name(unsigned n);

int wr_sock_set_congestion(int fd, struct wr_span name);
WR_MUST int wr_sock_congestion(int fd, char out_name[16]);

/* The pending error of the socket, taken: 0 or -errno. */
WR_MUST int wr_sock_take_error(int fd);

struct wr_sock_info {
    uint8_t state; /* TCP_ESTABLISHED ... */
    uint32_t rtt_us, rtt_var_us, min_rtt_us;
    uint32_t cwnd, mss;
    uint32_t unacked;  /* segments in flight; of a listener: connections waiting in its queue */
    uint32_t retrans;  /* segments sent again, in total */
    uint32_t not_sent; /* bytes in the send buffer that were never sent */
    uint64_t bytes_acked, bytes_received;
    uint64_t rwnd_limited_us, sndbuf_limited_us, busy_us;
    uint32_t backlog_max; /* of a listener: the queue's length as the kernel clipped it */
};

/* -EOPNOTSUPP and the like for what is not TCP. Fields that the kernel does not know are 0. */
WR_MUST int wr_sock_info(int fd, struct wr_sock_info *out_info);

int wr_sock_shutdown_write(int fd); /* FIN behind what is queued; reading goes on */

/* Makes the close that follows send a RST and leave no TIME_WAIT. */
int wr_sock_reset_on_close(int fd);

#endif
