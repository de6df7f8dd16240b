/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/hash.c"
#include "tests/tap.h"

int main(void)
{
    const struct wr_hash_key key = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
    char in[16];
    for (int i = 0; i < 16; i++)
        in[i] = (char)i;
    ok(sip(key, wr_span(in, 0), 2, 4) == 0x726fdb47dd0e0e31, "SipHash-2-4, published, empty");
    ok(sip(key, wr_span(in, 15), 2, 4) == 0xa129ca6149be45e5,
       "SipHash-2-4, published, 15 bytes");
    ok(wr_hash_span(key, wr_span(in, 0)) == 0xabac0158050fc4dc, "SipHash-1-3, empty");
    ok(wr_hash_u64(key, 0x0706050403020100) == wr_hash_span(key, wr_span(in, 8)), "a number");
    return tap_done();
}
