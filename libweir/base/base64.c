/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/base64.h"

#include "libweir/base/err.h"

int wr_base64_digit(char c, bool url)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == (url ? '-' : '+') ? 62 : c == (url ? '_' : '/') ? 63 : -1;
}

int wr_base64_decode(struct wr_span text, bool url, char *out, size_t *out_n)
{
    uint32_t bits = 0;
    unsigned have = 0;
    size_t n = 0, i = 0;
    for (; i < text.n && text.p[i] != '='; i++) {
        int d = wr_base64_digit(text.p[i], url);
        if (d < 0)
            return WR_E_SYNTAX;
        bits = bits << 6 | (uint32_t)d;
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[n++] = (char)(bits >> have);
        }
    }
    if (i % 4 == 1)
        return WR_E_SYNTAX;
    for (; i < text.n; i++)
        if (text.p[i] != '=')
            return WR_E_SYNTAX;
    *out_n = n;
    return 0;
}
