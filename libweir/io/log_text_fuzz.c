/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any bytes as a value: the text is one printable line, comes back unchanged, and is cut cleanly. Any
 * bytes as text: decoding it ends, within its room. Any record: its line is one line.
 */
#include "libweir/base/assert.h"
#include "libweir/io/log.h"
#include "libweir/io/log_text.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_printable(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        WR_ASSERT(p[i] >= ' ' && p[i] < 0x7f);
}

static void check_round_trip(struct wr_span in)
{
    size_t room = in.n * 4 + 2;
    char *text = malloc(room), *back = malloc(in.n + 1);
    WR_ASSERT(text && back);
    size_t n = wr_log_value(text, room, in);
    check_printable(text, n);
    int r = wr_log_unescape(back, in.n, wr_span(text, n));
    WR_ASSERT(r == (int)in.n && (in.n == 0 || memcmp(back, in.p, in.n) == 0));
    n = wr_log_escape(text, room, in);
    check_printable(text, n);
    size_t cut = in.n / 2;
    n = wr_log_value(text, cut, in);
    WR_ASSERT(n <= cut);
    check_printable(text, n);
    free(text);
    free(back);
}

static void check_line(struct wr_span in)
{
    static const uint8_t flags[] = {0, WR_LOG_CUT};
    char line[600];
    for (size_t i = 0; i < WR_ARRAY_LEN(flags); i++) {
        struct wr_log_record r = {.time_ns = in.n * 1000003, .level = (uint8_t)in.n};
        r.text = in;
        r.flags = flags[i];
        size_t n = wr_log_line(line, sizeof line, &r);
        WR_ASSERT(n > 0 && n <= sizeof line && line[n - 1] == '\n');
        check_printable(line, n - 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char out[64];
    struct wr_span in = wr_span(data, size);
    check_round_trip(in);
    check_line(in);
    int r = wr_log_unescape(out, sizeof out, in);
    WR_ASSERT(r <= (int)sizeof out);
    return 0;
}
