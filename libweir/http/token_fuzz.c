/* SPDX-License-Identifier: BSD-2-Clause */
/* Lists and parameters always end, and their pieces lie inside the value. */
#include "libweir/http/token.h"

#include "libweir/base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(struct wr_span piece, const uint8_t *data, size_t size)
{
    const char *p = (const char *)data;
    WR_ASSERT(piece.n == 0 || (piece.p >= p && piece.p + piece.n <= p + size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wr_span value = wr_span(data, size), rest = value, a, b;
    size_t items = 0, tokens = 0;
    while (wr_list_next(&rest, &a) == 1) {
        check_inside(a, data, size);
        WR_ASSERT(a.n > 0);
        tokens += wr_is_token(a);
        WR_ASSERT(++items <= size);
    }
    int has = wr_token_list_has(value, WR_LIT("close"));
    WR_ASSERT(has < 0 || tokens == items);
    rest = value;
    items = 0;
    while (wr_param_next(&rest, &a, &b) == 1) {
        check_inside(a, data, size);
        check_inside(b, data, size);
        WR_ASSERT(++items <= size);
    }
    int strong = wr_etag_list_match(value, WR_LIT("\"a\""), false);
    int weak = wr_etag_list_match(value, WR_LIT("\"a\""), true);
    WR_ASSERT(strong <= weak);
    if (wr_is_etag(value))
        WR_ASSERT(wr_etag_list_match(value, value, true) == 1);
    return 0;
}
