/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_IO_NET_H
#define WR_IO_NET_H

/*
 * A network: an address and how many of its leading bits count. "10.1.0.0/16", "2001:db8::/32", "::1".
 *
 * Parsing clears the bits behind the prefix and says whether there were any, because such a text is
 * usually a slip of the pen. Testing an address is two or four words compared under a mask.
 *
 * 1. An address is in a network only of its own family; IPv4-mapped IPv6 counts as IPv4 on both sides.
 * 2. Prefix 0 holds every address of the family.
 *
 * A plain value; any thread.
 */

#include "libweir/base/compiler.h"
#include "libweir/base/span.h"

#include <stdbool.h>

struct wr_addr;

struct wr_net {
    uint8_t kind; /* WR_ADDR_V4 or WR_ADDR_V6 */
    uint8_t bits;
    uint8_t ip[16], mask[16]; /* the first 4 bytes for IPv4 */
};

/* WR_E_SYNTAX; 1: parsed, and bits behind the prefix were set. */
WR_MUST int wr_net_parse(struct wr_span text, struct wr_net *out);
bool wr_net_has(const struct wr_net *net, const struct wr_addr *addr);

#endif
