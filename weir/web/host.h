/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WEIR_WEB_HOST_H
#define WEIR_WEB_HOST_H

/*
 * Names of hosts in the configuration: `listen`, syslog's `server=`, `set_real_ip_from`.
 *
 * A name is asked once, of the system's resolver, while the configuration is loaded; what it says then holds until
 * the next load. All its addresses count, IPv4 first. A name that needs the network waits for it: workers ask
 * libweir/io/resolve.h instead.
 *
 * 1. localhost has an address even where nothing says so: 127.0.0.1.
 *
 * The master, at load.
 */

#include "libweir/io/addr.h"

/* How many, 0 when there are none; each with port 0. */
uint32_t web_host_addrs(struct wr_span host, struct wr_addr *out, uint32_t max);

#endif
