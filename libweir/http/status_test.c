/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/http/status.h"
#include "tests/tap.h"

int main(void)
{
    ok(wr_span_eq(wr_status_line(404), WR_LIT("HTTP/1.1 404 Not Found\r\n")), "line");
    ok(wr_span_eq(wr_status_text(200), WR_LIT("OK")), "text");
    ok(wr_span_eq(wr_status_text(299), WR_LIT("Unknown")), "not in the table");
    ok(wr_span_eq(wr_status_text(-1), WR_LIT("Unknown")), "below the table");
    is_int(wr_status_line(600).n, 0, "above the table");
    int last = 0, rows = 0;
#define X(code, name, text)                                                                \
    ok((code) > last && wr_span_eq(wr_status_text(code), WR_LIT(text)), "%d " text, code); \
    last = (code), rows++;
#include "libweir/http/status.def"
#undef X
    ok(rows > 50, "the table is there");
    ok(!wr_status_has_body(204) && !wr_status_has_body(304) && !wr_status_has_body(100) &&
           wr_status_has_body(200),
       "which have a body");
    return tap_done();
}
