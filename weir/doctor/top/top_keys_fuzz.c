/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/assert.h"
#include "weir/doctor/top/top_keys.h"

#include <stddef.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* Any bytes: only known keys come out, and after a pause the decoder stands where it began. */
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct top_keys k = {0};
    for (size_t i = 0; i < n; i++) {
        int key = top_keys_feed(&k, p[i]);
        WR_ASSERT(key >= TOP_KEY_NONE && key <= TOP_KEY_END);
        WR_ASSERT(key < 0x7f || key >= TOP_KEY_UP);
    }
    (void)top_keys_end(&k);
    WR_ASSERT(!top_keys_pending(&k));
    WR_ASSERT(top_keys_feed(&k, 'q') == 'q');
    return 0;
}
