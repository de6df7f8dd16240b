/* SPDX-License-Identifier: BSD-2-Clause */
/* Both files take any text; what they hold afterwards is within its bounds. */
#include "libweir/io/resolvconf.h"

#include "libweir/base/assert.h"
#include "libweir/base/heap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wr_span text = wr_span(data, size);
    struct wr_resolvconf c;
    wr_resolvconf_parse(text, &c);
    WR_ASSERT(c.server_count >= 1 && c.server_count <= WR_RESOLVCONF_SERVERS);
    WR_ASSERT(c.search_count <= WR_RESOLVCONF_SEARCH);
    WR_ASSERT(c.ndots <= 15 && c.attempts >= 1 && c.attempts <= 5 && c.timeout_ms >= 1000);
    for (unsigned i = 0; i < c.search_count; i++)
        WR_ASSERT(memchr(c.search[i], 0, sizeof c.search[i]) && c.search[i][0]);
    struct wr_hosts *h;
    if (wr_hosts_new(wr_heap_libc(), text, &h) == 0) {
        struct wr_addr a[2];
        WR_ASSERT(wr_hosts_find(h, wr_span_sub(text, 8, 1), a, 2) <= wr_hosts_count(h));
        wr_hosts_free(&h);
    }
    return 0;
}
