/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/http/scan.h"
#include "tests/tap.h"

static unsigned class_by_grammar(int c)
{
    bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    unsigned cls = 0;
    if (alnum || (c && strchr("!#$%&'*+-.^_`|~", c)))
        cls |= WR_CHAR_TOKEN;
    if (c == '\t' || (c >= 0x20 && c != 0x7f))
        cls |= WR_CHAR_VALUE;
    if (c > 0x20 && c < 0x7f && c != '#')
        cls |= WR_CHAR_TARGET;
    if (c > 0x20 && c != 0x7f && c != '#')
        cls |= WR_CHAR_TARGET_HIGH;
    if (alnum || (c && strchr("-._~", c)))
        cls |= WR_CHAR_HOST;
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
        cls |= WR_CHAR_HEX;
    if (alnum || (c && strchr("-._~!$&'()*+,;=:@/", c)))
        cls |= WR_CHAR_PATH;
    return cls;
}

static bool agree(const char *p, const char *end)
{
    return wr_scan_token(p, end) == wr_scan_scalar(p, end, WR_CHAR_TOKEN) &&
           wr_scan_value(p, end) == wr_scan_scalar(p, end, WR_CHAR_VALUE) &&
           wr_scan_target(p, end) == wr_scan_scalar(p, end, WR_CHAR_TARGET);
}

/* Every byte at every place of every length to 40, in good company. */
static void test_agree(void)
{
    char text[40];
    unsigned wrong = 0;
    for (size_t n = 0; n <= sizeof text; n++)
        for (size_t at = 0; at < n; at++)
            for (int c = 0; c < 256; c++) {
                memset(text, 'a', sizeof text);
                text[at] = (char)c;
                wrong += !agree(text, text + n);
            }
    is_int(wrong, 0, "SIMD and table agree");
}

int main(void)
{
    unsigned wrong = 0;
    for (int c = 0; c < 256; c++)
        wrong += wr_char_class[c] != class_by_grammar(c);
    is_int(wrong, 0, "the table is the grammar");
    test_agree();
    return tap_done();
}
