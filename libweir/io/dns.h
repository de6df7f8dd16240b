/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_IO_DNS_H
#define WR_IO_DNS_H

/*
 * DNS messages, sans I/O: builds one query, reads one answer.
 *
 * A query is one question with EDNS0. An answer is checked against its question (id, flags, name, type),
 * its CNAME chain is followed inside the message, and what remains is a flat list of records with the
 * smallest TTL of the chain. Names are compared without case, and compression pointers may only point
 * backwards, so that a loop cannot exist, and are at most 127 for a name.
 *
 * 1. The parser reads inside the message only, follows at most 16 aliases and never allocates.
 * 2. A message that does not answer the question is WR_DNS_NOT_OURS: wait for the right one.
 * 3. Records of other names in an answer are ignored, never cached.
 *
 * Any thread.
 */

#include "libweir/base/compiler.h"
#include "libweir/base/span.h"

#include <stdbool.h>

#define WR_DNS_NAME_MAX    254 /* dotted, without the last dot, with a NUL */
#define WR_DNS_QUERY_MAX   288
#define WR_DNS_UDP_SIZE    1232 /* what we announce by EDNS0 */
#define WR_DNS_RECORDS_MAX 32

enum wr_dns_type {
    WR_DNS_A = 1,
    WR_DNS_CNAME = 5,
    WR_DNS_SOA = 6,
    WR_DNS_AAAA = 28,
    WR_DNS_SRV = 33,
};

struct wr_dns_record {
    uint16_t type;
    uint16_t port, priority, weight; /* SRV */
    uint32_t ttl_s;
    uint8_t ip[16];               /* A: the first four */
    char target[WR_DNS_NAME_MAX]; /* SRV */
};

enum wr_dns_verdict {
    WR_DNS_OK,        /* count > 0 records */
    WR_DNS_NODATA,    /* the name exists, but has no such record */
    WR_DNS_NXDOMAIN,  /* no such name */
    WR_DNS_TRUNCATED, /* ask again over TCP */
    WR_DNS_SERVFAIL,  /* or REFUSED, NOTIMP, FORMERR: ask another server */
    WR_DNS_NOT_OURS,  /* not the answer to this question */
    WR_DNS_BAD,       /* malformed */
};

struct wr_dns_answer {
    enum wr_dns_verdict verdict;
    uint8_t rcode;
    unsigned count;
    uint32_t
        ttl_s; /* smallest of the chain; negative answers: from the SOA, or 0 when there is none */
    struct wr_dns_record records[WR_DNS_RECORDS_MAX];
};

/* Writes a query for name (dotted; a last dot is allowed) and returns its length, or WR_E_SYNTAX for a
 * name that cannot be asked (empty label, label over 63, name over 253 bytes). */
WR_MUST int wr_dns_write_query(uint16_t id, struct wr_span name, uint16_t type, bool edns,
                               uint8_t out[WR_DNS_QUERY_MAX]);

/* Reads the answer to the question (id, name, type). */
void wr_dns_read_answer(struct wr_span message, uint16_t id, struct wr_span name, uint16_t type,
                        struct wr_dns_answer *out);

/* True when the name may be asked at all. */
bool wr_dns_name_ok(struct wr_span name);

#endif
