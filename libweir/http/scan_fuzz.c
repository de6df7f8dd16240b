/* SPDX-License-Identifier: BSD-2-Clause */
/* The SIMD scanners against the table, from every start. */
#include "libweir/base/assert.h"
#include "libweir/http/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *end = (const char *)data + size;
    for (const char *p = (const char *)data; p < end && p < (const char *)data + 64; p++) {
        WR_ASSERT(wr_scan_token(p, end) == wr_scan_scalar(p, end, WR_CHAR_TOKEN));
        WR_ASSERT(wr_scan_value(p, end) == wr_scan_scalar(p, end, WR_CHAR_VALUE));
        if (p - (const char *)data >= 16) {
            WR_ASSERT(wr_scan_token_in(p, end) == wr_scan_scalar(p, end, WR_CHAR_TOKEN));
            WR_ASSERT(wr_scan_value_in(p, end) == wr_scan_scalar(p, end, WR_CHAR_VALUE));
        }
        WR_ASSERT(wr_scan_target(p, end) == wr_scan_scalar(p, end, WR_CHAR_TARGET));
    }
    return 0;
}
