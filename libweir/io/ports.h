/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_IO_PORTS_H
#define WR_IO_PORTS_H

/*
 * The budget of local ports per destination, so that we refuse before the kernel does and can say how
 * full it is (source 000: "Cannot assign requested address", noticed as an out-of-memory hours later).
 *
 * To one destination (address, port) from one local address there are as many connections as there are
 * ports in net.ipv4.ip_local_port_range, and a connection that we closed first keeps its port for 60 s
 * of TIME_WAIT more. The budget counts both: open ones by take and give, waiting ones in a ring of
 * seconds.
 *
 * 1. take beyond the limit is WR_E_NOPORTS, counted, without a system call.
 * 2. used = open + waiting <= limit, for every destination.
 * 3. At most max_destinations are tracked; an unused one makes room. When the 16 that are looked at are all in
 *    use, an unknown destination is let through untracked (the kernel's own limit still holds), and the next
 *    look goes on behind them.
 *
 * One per loop or process that opens connections; share = how many of them share the range: each
 * gets its part. Owner loop only. Time is an argument.
 */

#include "libweir/base/compiler.h"
#include "libweir/io/addr.h"

#include <stdbool.h>

struct wr_heap;
struct wr_port_budget; /* opaque */

struct wr_port_budget_options {
    unsigned limit;            /* ports per destination; 0: the kernel's range, less reserve */
    unsigned reserve;          /* left for others on this machine; 0: 1/16 of the range */
    unsigned share;            /* 0: 1 */
    unsigned max_destinations; /* 0: 1024 */
    int time_wait_s;           /* 0: 60, or 1 where net.ipv4.tcp_tw_reuse is 1; -1: none */
};

struct wr_port_use {
    unsigned open, waiting, limit;
    uint64_t refused;
};

WR_MUST int wr_port_budget_new(const struct wr_heap *heap,
                               const struct wr_port_budget_options *options,
                               struct wr_port_budget **out);
void wr_port_budget_free(struct wr_port_budget **b);

WR_MUST int wr_port_budget_take(struct wr_port_budget *b, const struct wr_addr *dest,
                                uint64_t now_ms);
/* time_wait: our side closed first. */
void wr_port_budget_give(struct wr_port_budget *b, const struct wr_addr *dest, bool time_wait,
                         uint64_t now_ms);
void wr_port_budget_use(struct wr_port_budget *b, const struct wr_addr *dest, uint64_t now_ms,
                        struct wr_port_use *out);
unsigned wr_port_budget_limit(const struct wr_port_budget *b);
void wr_port_budget_validate(const struct wr_port_budget *b);

/* "32768\t60999\n" -> both ends. WR_E_SYNTAX otherwise. */
WR_MUST int wr_port_range_parse(struct wr_span text, unsigned *out_first, unsigned *out_last);

#endif
