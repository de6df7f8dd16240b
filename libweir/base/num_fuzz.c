/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/num.h"

#include "libweir/base/assert.h"
#include "libweir/base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef int parser(struct wr_span, uint64_t *);
typedef size_t printer(char[static WR_NUM_TEXT], uint64_t);

/* A refusal leaves the result alone; what was accepted survives printing and parsing again. */
static void check(parser *parse, printer *print, struct wr_span s)
{
    char text[WR_NUM_TEXT];
    uint64_t v = 77, again = 0;
    int err = parse(s, &v);
    if (err < 0) {
        WR_ASSERT(v == 77 && (err == WR_E_SYNTAX || err == WR_E_RANGE));
        return;
    }
    size_t n = print(text, v);
    WR_ASSERT(n < WR_NUM_TEXT && text[n] == '\0');
    WR_ASSERT(parse(wr_span(text, n), &again) == 0 && again == v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wr_span s = wr_span(data, size);
    int64_t v = 0, again = 0;
    check(wr_num_parse_u64, wr_num_print_u64, s);
    check(wr_num_parse_hex, wr_num_print_hex, s);
    check(wr_num_parse_size, wr_num_print_size, s);
    check(wr_num_parse_duration, wr_num_print_duration, s);
    if (wr_num_parse_i64(s, &v) == 0) {
        char text[WR_NUM_TEXT];
        size_t n = wr_num_print_i64(text, v);
        WR_ASSERT(wr_num_parse_i64(wr_span(text, n), &again) == 0 && again == v);
    }
    return 0;
}
