/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/http/scan.h"
#include "libweir/http/uri.h"
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
    if (alnum || (c && strchr("-_~", c)))
        cls |= WR_CHAR_LABEL;
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

static bool agree_in(const char *p, const char *end)
{
    return wr_scan_token_in(p, end) == wr_scan_scalar(p, end, WR_CHAR_TOKEN) &&
           wr_scan_value_in(p, end) == wr_scan_scalar(p, end, WR_CHAR_VALUE);
}

/* Each text of up to six bytes out of four. */
static void test_host(void)
{
    char memory[22], *text = memory + 16;
    unsigned wrong = 0, hosts = 0;
    memset(memory, 'a', sizeof memory);
    for (unsigned i = 0; i < 4096; i++)
        for (int n = 0; n <= 6; n++) {
            struct wr_host out;
            for (int k = 0; k < 6; k++)
                text[k] = "a.:~"[i >> 2 * k & 3];
            bool sure = wr_scan_is_short_host(text, text + n);
            wrong += sure && (wr_host_parse(wr_span(text, (size_t)n), &out) != 0 || out.port);
            hosts += sure;
        }
    is_int(wrong, 0, "no short host is none");
    is_int(hosts > 0, WR_SCAN_SIMD, "and some are seen");
}

/* Every byte at every place of every length to 40, in good company. */
static void test_agree(void)
{
    char memory[56], *text = memory + 16;
    unsigned wrong = 0;
    memset(memory, ':', 16); /* looked at, but never meant */
    for (size_t n = 0; n <= 40; n++)
        for (size_t at = 0; at < n; at++)
            for (int c = 0; c < 256; c++) {
                memset(text, 'a', 40);
                text[at] = (char)c;
                wrong += !agree(text, text + n);
                wrong += !agree_in(text, text + n);
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
    test_host();
    return tap_done();
}
