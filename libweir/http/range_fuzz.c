/* SPDX-License-Identifier: BSD-2-Clause */
/* Ranges lie inside and never sum up to more than the whole; Content-Range goes there and back. */
#include "libweir/http/range.h"

#include "libweir/base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_ranges(struct wr_span value, uint64_t size)
{
    struct wr_range r[WR_RANGE_MAX];
    size_t n = 0;
    uint64_t sum = 0;
    if (wr_range_parse(value, size, r, &n) != WR_RANGES_SOME)
        return;
    WR_ASSERT(n >= 1 && n <= WR_RANGE_MAX);
    for (size_t i = 0; i < n; i++) {
        WR_ASSERT(r[i].n > 0 && r[i].from < size && r[i].n <= size - r[i].from);
        sum += r[i].n;
    }
    WR_ASSERT(sum <= size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wr_span value = wr_span(data, size);
    check_ranges(value, 0);
    check_ranges(value, 1);
    check_ranges(value, 1000);
    check_ranges(value, INT64_MAX);
    struct wr_content_range a, b;
    if (wr_content_range_parse(value, &a) == 0) {
        char text[WR_CONTENT_RANGE_MAX];
        int err = wr_content_range_parse(wr_content_range_format(&a, text), &b);
        WR_ASSERT(err == 0 && a.from == b.from && a.n == b.n && a.size == b.size);
    }
    (void)wr_if_range_holds(value, WR_LIT("\"a\""), 0);
    return 0;
}
