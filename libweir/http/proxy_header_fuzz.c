/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes; the outcome of every prefix must fit the outcome of the whole. */
#include "libweir/http/proxy_header.h"

#include "libweir/base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct wr_span bytes = wr_span((const char *)data, n < 2 * WR_PROXY_HEADER_MAX ? n : 0);
    struct wr_proxy_header whole = {0}, part;
    enum wr_proxy_parsed r = wr_proxy_header_parse(bytes, &whole);
    size_t step = 1 + bytes.n / 256;
    for (size_t cut = 0; cut < bytes.n; cut += step) {
        part = (struct wr_proxy_header){0};
        enum wr_proxy_parsed p = wr_proxy_header_parse(wr_span_sub(bytes, 0, cut), &part);
        WR_ASSERT(p == WR_PROXY_MORE || p == r);
        WR_ASSERT(r != WR_PROXY_DONE || p != WR_PROXY_MORE || cut < whole.size);
        WR_ASSERT(p != WR_PROXY_DONE || part.size == whole.size);
    }
    if (r == WR_PROXY_DONE) {
        WR_ASSERT(whole.size <= bytes.n && whole.size <= WR_PROXY_HEADER_MAX);
        for (unsigned type = 0; type < 256; type++) {
            struct wr_span v = wr_proxy_tlv(whole.tlvs, (uint8_t)type);
            WR_ASSERT(!v.p ||
                      (v.p >= whole.tlvs.p && v.p + v.n <= whole.tlvs.p + whole.tlvs.n));
        }
    }
    WR_ASSERT(r != WR_PROXY_MORE || bytes.n < WR_PROXY_HEADER_MAX);
    return 0;
}
