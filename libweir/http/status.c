/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/http/status.h"

#define FIRST 100
#define LAST  599
#define LEAD  13 /* "HTTP/1.1 200 " */

static const struct {
    const char *line;
    size_t n;
} rows[LAST - FIRST + 1] = {
#define X(code, name, text) \
    [(code)-FIRST] = {"HTTP/1.1 " #code " " text "\r\n", LEAD + sizeof(text) - 1 + 2},
#include "libweir/http/status.def"
#undef X
};

struct wr_span wr_status_line(int status)
{
    if (status < FIRST || status > LAST || !rows[status - FIRST].line)
        return (struct wr_span){"", 0};
    return (struct wr_span){rows[status - FIRST].line, rows[status - FIRST].n};
}

struct wr_span wr_status_text(int status)
{
    struct wr_span line = wr_status_line(status);
    return line.n ? wr_span_sub(line, LEAD, line.n - LEAD - 2) : WR_LIT("Unknown");
}
