/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef STATS_DIAG_H
#define STATS_DIAG_H

/*
 * What the kernel knows about listening sockets: length and limit of the accept queue and what was dropped
 * there, asked over netlink (sock_diag); and the host's overflow counters from /proc/net/netstat.
 *
 * Sockets are told apart by their address, so that reuseport's are added up. Needs no right but a netlink
 * socket; without one everything is 0 and the result says so.
 */

#include "libweir/io/addr.h"

struct diag_listener {
    struct wr_addr addr; /* asked for */
    uint32_t sockets, queue, limit;
    uint64_t drops;
};

/* Fills in all rows; 0 or a negative error. */
WR_MUST int diag_listeners(struct diag_listener *rows, unsigned n);

struct diag_host {
    uint64_t listen_overflows, listen_drops;
};
WR_MUST int diag_host(struct diag_host *out);

#endif
