/* SPDX-License-Identifier: BSD-2-Clause */
/* What parses as a date formats to a text that parses to the same second. */
#include "libweir/http/date.h"

#include "libweir/base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t s, back, any = 0;
    char text[WR_DATE_LEN];
    memcpy(&any, data, size < sizeof any ? size : sizeof any);
    wr_date_format(any, text);
    int err = wr_date_parse(wr_span(text, sizeof text), any, &back);
    WR_ASSERT(err == 0);
    if (wr_date_parse(wr_span(data, size), 1790000000, &s) != 0)
        return 0;
    wr_date_format(s, text);
    err = wr_date_parse(wr_span(text, sizeof text), 0, &back);
    WR_ASSERT(err == 0 && s == back);
    return 0;
}
