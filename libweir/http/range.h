/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_HTTP_RANGE_H
#define WR_HTTP_RANGE_H

/*
 * Range, If-Range and Content-Range.
 *
 * 1. A Range that is malformed, of another unit than bytes, or greedy is ignored: the whole
 *    representation is sent. Greedy is: more than WR_RANGE_MAX ranges, more than two that overlap one
 *    another, or ranges whose sum exceeds the representation.
 * 2. Ranges keep the order asked for and are clipped to the size; unsatisfiable ones are left out.
 */

#include "libweir/base/span.h"

#define WR_RANGE_MAX 16

struct wr_range {
    uint64_t from, n; /* n > 0 */
};

enum wr_ranges {
    WR_RANGES_WHOLE, /* 200 with everything */
    WR_RANGES_SOME,  /* 206 with *out_n ranges */
    WR_RANGES_BAD,   /* 416 with Content-Range of the size */
};

WR_MUST enum wr_ranges wr_range_parse(struct wr_span value, uint64_t size,
                                      struct wr_range out[WR_RANGE_MAX], size_t *out_n);

/* True when If-Range holds: the value is exactly this strong etag or exactly this date. */
bool wr_if_range_holds(struct wr_span value, struct wr_span etag, int64_t modified_s);

struct wr_content_range {
    uint64_t from, n; /* n == 0: "bytes * /size", the answer to a bad range */
    uint64_t size;    /* UINT64_MAX: unknown, written as "*" */
};

WR_MUST int wr_content_range_parse(struct wr_span value, struct wr_content_range *out);
#define WR_CONTENT_RANGE_MAX 72
struct wr_span wr_content_range_format(const struct wr_content_range *r,
                                       char out[WR_CONTENT_RANGE_MAX]);

#endif
