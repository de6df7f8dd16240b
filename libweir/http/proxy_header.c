/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/http/proxy_header.h"

#include <string.h>

#define V1_MAX     107 /* with its CRLF */
#define V2_FIXED   16
#define V4_BYTES   12
#define V6_BYTES   36
#define UNIX_BYTES 216

static const char signature[12] = "\r\n\r\n\0\r\nQUIT\n";

/* ---- version 1: a line of text --------------------------------------------------------------------- */

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_v4(struct wr_span s, uint8_t out[4])
{
    size_t at = 0;
    for (int part = 0; part < 4; part++) {
        unsigned v = 0, digits = 0;
        for (; at < s.n && s.p[at] >= '0' && s.p[at] <= '9' && digits < 3; at++, digits++)
            v = v * 10 + (unsigned)(s.p[at] - '0');
        if (!digits || v > 255 || (part < 3 && (at == s.n || s.p[at++] != '.')))
            return false;
        out[part] = (uint8_t)v;
    }
    return at == s.n;
}

/* Groups from the front until "::", then from there to the end, which are moved to the back. */
static bool read_v6(struct wr_span s, uint8_t out[16])
{
    uint8_t bytes[16];
    size_t at = 0, n = 0, gap = SIZE_MAX;
    if (s.n >= 2 && s.p[0] == ':' && s.p[1] == ':') {
        gap = 0;
        at = 2;
    }
    while (at < s.n) {
        unsigned v = 0, digits = 0;
        size_t start = at;
        for (int d; at < s.n && digits < 5 && (d = hex(s.p[at])) >= 0; at++, digits++)
            v = v << 4 | (unsigned)d;
        if (at < s.n && s.p[at] == '.') { /* ends in an address of version 4 */
            if (n > 12 || !read_v4(wr_span_sub(s, start, s.n), bytes + n))
                return false;
            n += 4;
            at = s.n;
            break;
        }
        if (digits == 0 || digits > 4 || n > 14)
            return false;
        bytes[n++] = (uint8_t)(v >> 8);
        bytes[n++] = (uint8_t)v;
        if (at == s.n)
            break;
        if (s.p[at++] != ':' || at == s.n)
            return false;
        if (s.p[at] == ':') {
            if (gap != SIZE_MAX)
                return false;
            gap = n;
            at++;
        }
    }
    if (gap == SIZE_MAX ? n != 16 : n > 14)
        return false;
    size_t front = gap == SIZE_MAX ? n : gap;
    memset(out, 0, 16);
    memcpy(out, bytes, front);
    memcpy(out + 16 - (n - front), bytes + front, n - front);
    return true;
}

static bool read_port(struct wr_span s, uint16_t *out)
{
    unsigned v = 0;
    if (s.n < 1 || s.n > 5 || (s.n > 1 && s.p[0] == '0'))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        v = v * 10 + (unsigned)(s.p[i] - '0');
    }
    *out = (uint16_t)v;
    return v <= 65535;
}

/* The next of the words that single spaces separate. */
static struct wr_span word(struct wr_span *rest)
{
    ptrdiff_t space = wr_span_find_char(*rest, ' ');
    struct wr_span w = *rest;
    if (space < 0) {
        *rest = (struct wr_span){0};
        return w;
    }
    w.n = (size_t)space;
    *rest = wr_span_sub(*rest, (size_t)space + 1, rest->n);
    return w;
}

static bool read_line(struct wr_span line, struct wr_proxy_header *h)
{
    struct wr_span rest = wr_span_sub(line, 6, line.n);
    struct wr_span family = word(&rest);
    if (wr_span_eq(family, WR_LIT("UNKNOWN")))
        return true;
    struct wr_span src = word(&rest), dst = word(&rest), sport = word(&rest), dport = rest;
    bool v4 = wr_span_eq(family, WR_LIT("TCP4")), v6 = wr_span_eq(family, WR_LIT("TCP6"));
    bool good = (v4 && read_v4(src, h->src) && read_v4(dst, h->dst)) ||
                (v6 && read_v6(src, h->src) && read_v6(dst, h->dst));
    h->family = v4 ? WR_PROXY_V4 : WR_PROXY_V6;
    return good && read_port(sport, &h->src_port) && read_port(dport, &h->dst_port);
}

static enum wr_proxy_parsed parse_v1(struct wr_span bytes, struct wr_proxy_header *h)
{
    size_t n = bytes.n < V1_MAX ? bytes.n : V1_MAX;
    const char *lf = memchr(bytes.p, '\n', n);
    const char *cr = memchr(bytes.p, '\r', n);
    if (cr && cr + 1 < bytes.p + n && cr[1] != '\n')
        return WR_PROXY_BAD;
    if (!lf)
        return n == V1_MAX ? WR_PROXY_BAD : WR_PROXY_MORE;
    if (lf[-1] != '\r')
        return WR_PROXY_BAD;
    h->version = 1;
    h->size = (size_t)(lf + 1 - bytes.p);
    return read_line(wr_span(bytes.p, h->size - 2), h) ? WR_PROXY_DONE : WR_PROXY_BAD;
}

/* ---- version 2: a fixed part, addresses, TLVs -------------------------------------------------------- */

static unsigned be16(const char *p)
{
    return (unsigned)(unsigned char)p[0] << 8 | (unsigned char)p[1];
}

/* How long the addresses of this family are; SIZE_MAX for a family that there is not. */
static size_t address_bytes(unsigned family)
{
    static const size_t bytes[] = {0, V4_BYTES, V6_BYTES, UNIX_BYTES};
    return family >> 4 < 4 && (family & 15) < 3 ? bytes[family >> 4] : SIZE_MAX;
}

static void take_addresses(const char *p, size_t n, struct wr_proxy_header *h)
{
    memcpy(h->src, p, n);
    memcpy(h->dst, p + n, n);
    h->src_port = (uint16_t)be16(p + 2 * n);
    h->dst_port = (uint16_t)be16(p + 2 * n + 2);
    h->family = n == 4 ? WR_PROXY_V4 : WR_PROXY_V6;
}

static bool tlvs_are_whole(struct wr_span t)
{
    while (t.n >= 3) {
        size_t n = 3 + be16(t.p + 1);
        if (n > t.n)
            return false;
        t = wr_span_sub(t, n, t.n);
    }
    return t.n == 0;
}

static enum wr_proxy_parsed parse_v2(struct wr_span bytes, struct wr_proxy_header *h)
{
    if (bytes.n > 12 && (unsigned char)bytes.p[12] >> 4 != 2)
        return WR_PROXY_BAD;
    if (bytes.n > 12 && (bytes.p[12] & 15) > 1)
        return WR_PROXY_BAD;
    if (bytes.n < V2_FIXED)
        return WR_PROXY_MORE;
    size_t n = be16(bytes.p + 14), addresses = address_bytes((unsigned char)bytes.p[13]);
    h->local = (bytes.p[12] & 15) == 0;
    if (V2_FIXED + n > WR_PROXY_HEADER_MAX || (!h->local && addresses > n))
        return WR_PROXY_BAD;
    if (bytes.n < V2_FIXED + n)
        return WR_PROXY_MORE;
    h->version = 2;
    h->size = V2_FIXED + n;
    if (h->local)
        return WR_PROXY_DONE;
    if (addresses == V4_BYTES)
        take_addresses(bytes.p + V2_FIXED, 4, h);
    else if (addresses == V6_BYTES)
        take_addresses(bytes.p + V2_FIXED, 16, h);
    h->tlvs = wr_span_sub(bytes, V2_FIXED + addresses, n - addresses);
    return tlvs_are_whole(h->tlvs) ? WR_PROXY_DONE : WR_PROXY_BAD;
}

/* ---- both --------------------------------------------------------------------------------------------- */

static bool begins_with(struct wr_span bytes, const char *what, size_t n)
{
    size_t common = bytes.n < n ? bytes.n : n;
    return common == 0 || memcmp(bytes.p, what, common) == 0;
}

enum wr_proxy_parsed wr_proxy_header_parse(struct wr_span bytes, struct wr_proxy_header *out)
{
    struct wr_proxy_header h = {0};
    enum wr_proxy_parsed r;
    bool v1 = begins_with(bytes, "PROXY ", 6), v2 = begins_with(bytes, signature, 12);
    if (!v1 && !v2)
        return WR_PROXY_BAD;
    if (bytes.n < (v1 ? 6 : 12))
        return WR_PROXY_MORE;
    r = v1 ? parse_v1(bytes, &h) : parse_v2(bytes, &h);
    if (r == WR_PROXY_DONE)
        *out = h;
    return r;
}

struct wr_span wr_proxy_tlv(struct wr_span tlvs, uint8_t type)
{
    while (tlvs.n >= 3) {
        size_t n = be16(tlvs.p + 1);
        if (n > tlvs.n - 3)
            break;
        if ((uint8_t)tlvs.p[0] == type)
            return wr_span_sub(tlvs, 3, n);
        tlvs = wr_span_sub(tlvs, 3 + n, tlvs.n);
    }
    return (struct wr_span){0};
}
