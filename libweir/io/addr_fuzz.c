/* SPDX-License-Identifier: BSD-2-Clause */
/* Whatever is accepted is written, read back as the same address and written alike. */
#include "libweir/io/addr.h"

#include "libweir/base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wr_span text = wr_span(data, size);
    struct wr_addr a, b;
    struct wr_target t;
    char one[WR_ADDR_TEXT_MAX], two[WR_ADDR_TEXT_MAX];
    if (wr_addr_parse(text, &a) == 0) {
        size_t n = wr_addr_format(&a, one);
        WR_ASSERT(n == strlen(one) && n < sizeof one);
        WR_ASSERT(wr_addr_parse(wr_span(one, n), &b) == 0);
        WR_ASSERT(wr_addr_eq(&a, &b));
        WR_ASSERT(wr_addr_format(&b, two) == n && strcmp(one, two) == 0);
        struct sockaddr_storage sa;
        socklen_t len;
        if (a.kind != WR_ADDR_FD) {
            WR_ASSERT(wr_addr_to_sockaddr(&a, &sa, &len) == 0);
            WR_ASSERT(wr_addr_from_sockaddr((struct sockaddr *)&sa, len, &b) == 0);
            WR_ASSERT(wr_addr_eq(&a, &b));
        }
    }
    if (wr_target_parse(text, 80, &t) == 0 && t.addr.kind == WR_ADDR_NONE)
        WR_ASSERT(t.name.n && t.port);
    return 0;
}
