/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_HTTP_HEADER_H
#define WR_HTTP_HEADER_H

/*
 * The field names that the code knows, interned: each is a small number.
 *
 * header.def holds one row a name; a perfect hash over length and three characters finds the only
 * candidate, one comparison decides. header_test recomputes the hash slots and prints the rows to
 * write when a name is added.
 *
 * 1. Names compare without regard to ASCII case; wr_header_name gives the usual spelling.
 * 2. wr_header_of is exact only for tokens (the parser has checked that); other bytes may not match.
 */

#include "libweir/base/span.h"

enum wr_header {
    WR_H_OTHER,
#define X(id, name, slot, flags) WR_H_##id,
#include "libweir/http/header.def"
#undef X
    WR_H_COUNT
};

enum wr_header_flag {
    WR_HF_HOP = 1,       /* hop-by-hop: never forwarded */
    WR_HF_ONE = 2,       /* may not occur twice */
    WR_HF_NO_TRAILER = 4 /* framing, routing: refused in a trailer section */
};

enum wr_header wr_header_of(struct wr_span name);
struct wr_span wr_header_name(enum wr_header id); /* "" for WR_H_OTHER */
unsigned wr_header_flags(enum wr_header id);      /* enum wr_header_flag bits */

#endif
