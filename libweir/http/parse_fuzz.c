/* SPDX-License-Identifier: BSD-2-Clause */
/* Heads of requests, and of responses when the input begins like one. */
#include "libweir/http/parse_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_head(data, size, false);
    fuzz_head(data, size, true);
    return 0;
}
