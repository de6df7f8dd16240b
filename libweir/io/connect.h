/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_IO_CONNECT_H
#define WR_IO_CONNECT_H

/*
 * From "example.org:443" to a connected descriptor, or to an error that says in which stage it failed.
 *
 * The name is resolved, the addresses are put into one order with the families taking turns, and tried
 * one after the other, 250 ms apart (happy eyeballs, RFC 8305): the first that connects wins, the others
 * are closed. A failed attempt starts the next one at once.
 *
 * 1. fn is called exactly once for a call that returned 0, never before the call returned.
 * 2. When the scope ends or the deadline passes, fn is called once with that error, every attempt is
 *    closed, and nothing of this operation runs afterwards.
 * 3. The stage of an error is where the last attempt to get on failed: "dns", "port", "connect".
 * 4. The port budget, if there is one, is asked before the kernel. A won connection holds its port
 *    until the owner gives it back; all others are given back here.
 * 5. No local port: WR_E_NOPORTS, whoever noticed (EADDRNOTAVAIL and EAGAIN of connect).
 *
 * The descriptor of the result belongs to fn. Owner loop of the scope.
 */

#include "libweir/base/compiler.h"
#include "libweir/base/span.h"
#include "libweir/io/addr.h"

struct wr_port_budget;
struct wr_resolver;
struct wr_scope;

struct wr_connect_options {
    unsigned timeout_ms;          /* for everything; 0: 3000 */
    unsigned stagger_ms;          /* between attempts; 0: 250 */
    unsigned max_attempts;        /* 0: 8 */
    struct wr_addr local;         /* bind to it; WR_ADDR_NONE: the kernel chooses */
    struct wr_port_budget *ports; /* or NULL */
    bool delay;                   /* leave Nagle's algorithm on */
    struct wr_span congestion;    /* empty: the system's; must live as long as the operation */
};

enum wr_connect_stage {
    WR_CONNECT_DNS,
    WR_CONNECT_PORT,
    WR_CONNECT_CONNECT,
    WR_CONNECT_STAGES,
};

/* Valid during the callback. */
struct wr_connected {
    int fd; /* -1 on error */
    struct wr_addr peer;
    enum wr_connect_stage stage; /* where it ended */
    unsigned attempts;
    uint32_t dns_ms, connect_ms;
};

typedef void wr_connect_fn(void *arg, int err, const struct wr_connected *c);

/* resolver may be NULL when the target is an address. options may be NULL. */
WR_MUST int wr_connect(struct wr_scope *scope, struct wr_resolver *resolver,
                       const struct wr_target *target, const struct wr_connect_options *options,
                       wr_connect_fn *fn, void *arg);

const char *wr_connect_stage_name(enum wr_connect_stage stage);

/* RFC 8305, section 4: the families take turns, the first one leads. In place. */
void wr_connect_interleave(struct wr_addr *addrs, unsigned n);

#endif
