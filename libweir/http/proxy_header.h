/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_HTTP_PROXY_HEADER_H
#define WR_HTTP_PROXY_HEADER_H

/*
 * The PROXY protocol, versions 1 and 2: what a balancer writes in front of a connection's first byte to
 * say who the client is. Bytes in, addresses out.
 *
 * The caller shows all bytes that it has from the connection's first on, again as more arrive, until DONE
 * says how many of them were the header. Nothing is kept between calls.
 *
 * 1. The outcome does not depend on how the bytes were split, and never on more than WR_PROXY_HEADER_MAX.
 * 2. BAD at the first byte that begins neither version: whoever speaks HTTP or TLS first is found at once.
 *    What a header that began well says is judged when it is whole, or too long.
 * 3. LOCAL (health checks of the balancer itself) and UNKNOWN are good and carry no addresses.
 * 4. No allocation, no clock, no state.
 *
 * Owner: the caller owns the bytes; the tlvs span points into them. Any thread.
 */

#include "libweir/base/span.h"

#define WR_PROXY_HEADER_MAX 4096

enum wr_proxy_parsed {
    WR_PROXY_MORE,
    WR_PROXY_DONE,
    WR_PROXY_BAD,
};

enum wr_proxy_family {
    WR_PROXY_NONE, /* LOCAL, UNKNOWN, or a family that is not IP */
    WR_PROXY_V4,
    WR_PROXY_V6,
};

struct wr_proxy_header {
    uint8_t version; /* 1 or 2 */
    bool local;      /* the balancer's own connection */
    enum wr_proxy_family family;
    uint8_t src[16], dst[16]; /* network order; the first 4 of V4 */
    uint16_t src_port, dst_port;
    struct wr_span tlvs; /* version 2: what follows the addresses, checked to be whole */
    size_t size;
};

WR_MUST enum wr_proxy_parsed wr_proxy_header_parse(struct wr_span bytes,
                                                   struct wr_proxy_header *out);

/* The value of the first TLV of that type; p == NULL when there is none. */
struct wr_span wr_proxy_tlv(struct wr_span tlvs, uint8_t type);

#endif
