/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The whole way of requests over a socket pair: parser, site, phases, rewriting, files, filters, subrequests, error
 * pages, sink. The configuration is fixed; two bytes say how the request bytes are cut and how the client ends,
 * the rest is what it sends.
 *
 * After each: every request is over, its memory is back, and what the client got begins as an answer does.
 */
#include "weir/web/request_kit.h"

#define IN_MAX 16384

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct kit k;
    if (size < 2 || size > IN_MAX)
        return 0;
    if (!k.loop)
        kit_start(&k, kit_config(), wr_os_heap());
    kit_exchange(&k, (const char *)data + 2, size - 2, data[0] & 0x7f, data[1] & 3);
    return 0;
}
