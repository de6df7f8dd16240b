/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_IO_RESOLVE_H
#define WR_IO_RESOLVE_H

/*
 * Names to addresses, in the loop: our own stub resolver, so that no name blocks a loop or waits for a
 * thread.
 *
 * wr_resolve looks into literal addresses, /etc/hosts and a cache first; what is not there is asked once,
 * whoever waits for it (single flight), from the servers of /etc/resolv.conf over UDP, over TCP when the
 * answer was cut. A cache entry past its TTL still answers when no server does, or none did within
 * 1.8 s (serve stale, RFC 8767).
 *
 * 1. Every query has a random id and a random source port (a socket of its own, connected to its
 *    server): an answer from elsewhere never arrives, one with another id or question is ignored and
 *    counted.
 * 2. fn is called exactly once for a call that returned 0, never before the call returned.
 * 3. A cancelled scope takes its callers away; the question itself goes on for the cache.
 * 4. Memory is bounded: max_entries in the cache (least recently used goes first; one that is being asked
 *    for stays), max_flights questions at once (over either: WR_E_QUEUE_FULL).
 * 5. The files are read again when their modification time or size changes; they are looked at, at most,
 *    once a second.
 * 6. When both families are wanted and one has answered with addresses, the other is waited for 500 ms more.
 * 7. Negative answers are kept as their SOA says, at most negative_max_s.
 *
 * One resolver per loop. Owner loop only; wr_resolver_free not from within an fn.
 */

#include "libweir/base/compiler.h"
#include "libweir/base/span.h"
#include "libweir/io/addr.h"

#include <stdbool.h>

struct wr_loop;
struct wr_resolver; /* opaque */
struct wr_scope;

struct wr_resolver_options {
    const char *resolv_conf, *hosts; /* NULL: those in /etc; "": none; live as long as it */
    const struct wr_addr *servers;   /* instead of those in resolv.conf; copied */
    unsigned server_count;
    unsigned timeout_ms;     /* for one server; 0: as resolv.conf says, else 5000 */
    unsigned attempts;       /* rounds over the servers; 0: as resolv.conf says, else 2 */
    unsigned max_entries;    /* 0: 1024 */
    unsigned max_flights;    /* 0: 256 */
    unsigned ttl_min_s;      /* 0: 1 */
    unsigned ttl_max_s;      /* 0: 86400 */
    unsigned negative_max_s; /* 0: 60 */
    unsigned stale_max_s;    /* 0: 86400 */
    bool no_stale;
    uint64_t seed; /* of ids; 0: from the kernel */
};

enum wr_resolve_want {
    WR_RESOLVE_V4 = 1,
    WR_RESOLVE_V6 = 2,
    WR_RESOLVE_ANY = 3,
    WR_RESOLVE_SRV = 4, /* alone */
};

struct wr_resolved_srv {
    char target[254];
    uint16_t port, priority, weight;
};

/* Valid during the callback. */
struct wr_resolved {
    const struct wr_addr
        *addrs; /* v6 first, each family in the server's order; port as asked */
    unsigned addr_count;
    const struct wr_resolved_srv *srv; /* by priority, then weight */
    unsigned srv_count;
    uint32_t ttl_s; /* what is left of it; stale: 0 */
    bool from_cache, from_hosts, stale;
};

typedef void wr_resolve_fn(void *arg, int err, const struct wr_resolved *answer);

struct wr_resolver_server_stats {
    struct wr_addr addr;
    uint64_t queries, answers, timeouts, errors; /* errors: SERVFAIL and kin, unreachable */
    uint64_t wrong;                              /* ids or questions that were not ours */
    uint32_t rtt_us;                             /* smoothed */
};

struct wr_resolver_stats {
    uint64_t asked, cache_hits, negative_hits, stale_hits, hosts_hits, joined;
    uint64_t flights, failures, tcp, reloads;
    unsigned entries, in_flight;
};

WR_MUST int wr_resolver_new(struct wr_loop *loop, const struct wr_resolver_options *options,
                            struct wr_resolver **out);

/* Callers that still wait get WR_E_CANCELED. */
void wr_resolver_free(struct wr_resolver **r);

/* err of fn: WR_E_DNS_NONAME (no such name, or none of the wanted kind), WR_E_DNS (no server answered),
 * or why the scope ended. */
WR_MUST int wr_resolve(struct wr_resolver *r, struct wr_scope *scope, struct wr_span name,
                       uint16_t port, enum wr_resolve_want want, wr_resolve_fn *fn, void *arg);

const struct wr_resolver_stats *wr_resolver_stats(const struct wr_resolver *r);
/* False behind the last server. */
bool wr_resolver_server(const struct wr_resolver *r, unsigned n,
                        struct wr_resolver_server_stats *out);
void wr_resolver_flush(struct wr_resolver *r); /* forgets the cache */
void wr_resolver_validate(const struct wr_resolver *r);

#endif
