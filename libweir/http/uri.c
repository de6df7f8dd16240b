/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/http/uri.h"

#include "libweir/base/err.h"
#include "libweir/http/scan.h"
#include "libweir/http/token.h"

#define HOST_MAX 255

/* ---- hosts ---- */

static int parse_port(struct wr_span s, uint16_t *out)
{
    uint64_t v;
    if (s.n > 5 || wr_digits(s, &v) != 0 || v == 0 || v > 65535 || s.p[0] == '0')
        return WR_E_SYNTAX;
    *out = (uint16_t)v;
    return 0;
}

static bool is_ip4(struct wr_span s)
{
    struct wr_span part;
    int parts = 0;
    while (wr_span_split(&s, '.', &part)) {
        uint64_t v;
        if (part.n > 3 || wr_digits(part, &v) != 0 || v > 255 ||
            (part.n > 1 && part.p[0] == '0'))
            return false;
        parts++;
    }
    return parts == 4;
}

/* Up to eight groups of hex digits; "::" once, standing for at least one; a tail may be IPv4. */
static bool is_ip6(struct wr_span s)
{
    int groups = 0, gaps = 0;
    size_t i = 0;
    if (s.n >= 2 && s.p[0] == ':' && s.p[1] == ':')
        gaps++, i = 2;
    while (i < s.n) {
        size_t n = 0;
        while (i + n < s.n && wr_char_is(s.p[i + n], WR_CHAR_HEX))
            n++;
        if (i + n < s.n && s.p[i + n] == '.' && is_ip4(wr_span_sub(s, i, s.n))) {
            groups += 2;
            break;
        }
        if (n == 0 || n > 4)
            return false;
        groups++;
        i += n;
        if (i == s.n)
            break;
        if (s.p[i++] != ':' || i == s.n)
            return false;
        if (s.p[i] == ':')
            gaps++, i++;
    }
    return gaps == 0 ? groups == 8 : gaps == 1 && groups <= 7;
}

/* Length of the name at the front: labels that are not empty. */
static size_t reg_name_len(struct wr_span s)
{
    const char *at = s.p, *end = s.p + s.n, *label;
    for (;; at++) {
        label = at;
        at = wr_scan_scalar(at, end, WR_CHAR_LABEL);
        if (at == end || *at != '.')
            break;
        if (at == label)
            return 0;
    }
    return at - s.p <= HOST_MAX ? (size_t)(at - s.p) : 0;
}

/* Length of "[...]" at the front, or 0. */
static size_t ip6_literal_len(struct wr_span s)
{
    ptrdiff_t end = wr_span_find_char(s, ']');
    return end > 0 && is_ip6(wr_span_sub(s, 1, (size_t)end - 1)) ? (size_t)end + 1 : 0;
}

int wr_host_parse(struct wr_span text, struct wr_host *out)
{
    struct wr_host host = {.is_ip6 = text.n && text.p[0] == '['};
    size_t n = host.is_ip6 ? ip6_literal_len(text) : reg_name_len(text);
    if (n == 0)
        return WR_E_SYNTAX;
    host.name = host.is_ip6 ? wr_span_sub(text, 1, n - 2) : wr_span_sub(text, 0, n);
    struct wr_span rest = wr_span_sub(text, n, text.n);
    if (rest.n &&
        (rest.p[0] != ':' || parse_port(wr_span_sub(rest, 1, rest.n), &host.port) != 0))
        return WR_E_SYNTAX;
    *out = host;
    return 0;
}

bool wr_host_eq(struct wr_host a, struct wr_host b, uint16_t default_port)
{
    uint16_t port_a = a.port ? a.port : default_port, port_b = b.port ? b.port : default_port;
    return port_a == port_b && a.is_ip6 == b.is_ip6 && wr_span_ieq(a.name, b.name);
}

/* ---- targets ---- */

static void split_query(struct wr_span s, struct wr_uri *out)
{
    ptrdiff_t at = wr_span_find_char(s, '?');
    out->path = at < 0 ? s : wr_span_sub(s, 0, (size_t)at);
    out->has_query = at >= 0;
    out->query = at < 0 ? (struct wr_span){"", 0} : wr_span_sub(s, (size_t)at + 1, s.n);
}

static enum wr_reason parse_authority(struct wr_span s, struct wr_uri *out)
{
    if (wr_span_find_char(s, '@') >= 0)
        return WR_BAD_TARGET_USERINFO;
    out->authority = s;
    return wr_host_parse(s, &out->host) == 0 ? WR_BAD_NONE : WR_BAD_TARGET_HOST;
}

static enum wr_reason parse_absolute(struct wr_span text, struct wr_uri *out)
{
    ptrdiff_t colon = wr_span_find(text, WR_LIT("://"));
    if (colon <= 0)
        return WR_BAD_TARGET_FORM;
    out->form = WR_TARGET_ABSOLUTE;
    out->scheme = wr_span_sub(text, 0, (size_t)colon);
    if (!wr_span_ieq(out->scheme, WR_LIT("http")) && !wr_span_ieq(out->scheme, WR_LIT("https")))
        return WR_BAD_TARGET_SCHEME;
    struct wr_span rest = wr_span_sub(text, (size_t)colon + 3, text.n);
    size_t n = 0;
    while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?')
        n++;
    split_query(wr_span_sub(rest, n, rest.n), out);
    if (out->path.n == 0)
        out->path = WR_LIT("/");
    return parse_authority(wr_span_sub(rest, 0, n), out);
}

static bool has_only_target_bytes(struct wr_span text)
{
    const char *end = text.p + text.n;
    return wr_scan_scalar(wr_scan_target(text.p, end), end, WR_CHAR_TARGET_HIGH) == end;
}

static enum wr_reason parse_form(struct wr_span text, enum wr_method method, struct wr_uri *out)
{
    if (method == WR_METHOD_CONNECT) {
        out->form = WR_TARGET_AUTHORITY;
        enum wr_reason bad = parse_authority(text, out);
        return bad || out->host.port ? bad : WR_BAD_TARGET_HOST;
    }
    if (text.p[0] == '/') {
        out->form = WR_TARGET_ORIGIN;
        split_query(text, out);
        return WR_BAD_NONE;
    }
    if (text.n == 1 && text.p[0] == '*' && method == WR_METHOD_OPTIONS) {
        out->form = WR_TARGET_ASTERISK;
        return WR_BAD_NONE;
    }
    return parse_absolute(text, out);
}

enum wr_reason wr_uri_parse(struct wr_span text, enum wr_method method, struct wr_uri *out)
{
    struct wr_uri target = {
        .path = {"", 0},
          .query = {"", 0}
    };
    if (text.n == 0)
        return WR_BAD_TARGET_EMPTY;
    if (!has_only_target_bytes(text))
        return WR_BAD_TARGET_BYTE;
    enum wr_reason bad = parse_form(text, method, &target);
    if (!bad)
        *out = target;
    return bad;
}

/* ---- percent ---- */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = wr_ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte at s.p[*at], decoded; *at moves behind it. Negative: bad percent. */
static int decode_one(struct wr_span s, size_t *at)
{
    size_t i = *at;
    if (s.p[i] != '%') {
        *at = i + 1;
        return (unsigned char)s.p[i];
    }
    if (s.n - i < 3)
        return WR_E_SYNTAX;
    int high = hex_value(s.p[i + 1]), low = hex_value(s.p[i + 2]);
    if (high < 0 || low < 0)
        return WR_E_SYNTAX;
    *at = i + 3;
    return high << 4 | low;
}

int wr_percent_decode(struct wr_span raw, bool plus, char *mem, struct wr_span *out)
{
    size_t n = 0;
    for (size_t i = 0; i < raw.n;) {
        bool blank = plus && raw.p[i] == '+';
        int c = decode_one(raw, &i);
        if (c < 0)
            return c;
        mem[n++] = blank ? ' ' : (char)c;
    }
    *out = wr_span(mem, n);
    return 0;
}

struct wr_span wr_path_encode(struct wr_span path, char *mem)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t n = 0;
    for (size_t i = 0; i < path.n; i++) {
        unsigned char c = (unsigned char)path.p[i];
        if (wr_char_is((char)c, WR_CHAR_PATH)) {
            mem[n++] = (char)c;
            continue;
        }
        mem[n++] = '%';
        mem[n++] = digits[c >> 4];
        mem[n++] = digits[c & 15];
    }
    return wr_span(mem, n);
}

/* ---- paths ---- */

static bool is_control(int c)
{
    return c < 0x20 || c == 0x7f;
}

/* May say no of a normal path ("/.x"), never yes of another. */
static bool is_normal(struct wr_span s, unsigned flags)
{
    char before = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '%' || is_control((unsigned char)c))
            return false;
        if (before == '/' && (c == '.' || (c == '/' && flags & WR_PATH_MERGE_SLASHES)))
            return false;
        before = c;
    }
    return true;
}

/* mem[0..n) ends in a whole segment: takes "." and ".." off, with what they stand for. What stays ends
 * in '/' when something was taken. Negative: above the root. */
static ptrdiff_t close_segment(const char *mem, size_t n)
{
    size_t start = n;
    while (start > 0 && mem[start - 1] != '/')
        start--;
    struct wr_span segment = wr_span(mem + start, n - start);
    if (wr_span_eq(segment, WR_LIT(".")))
        return (ptrdiff_t)start;
    if (!wr_span_eq(segment, WR_LIT("..")))
        return (ptrdiff_t)n;
    if (start <= 1)
        return WR_E_RANGE;
    start--;
    while (mem[start - 1] != '/')
        start--;
    return (ptrdiff_t)start;
}

/* Appends c; a '/' closes the segment before it. Returns the new length or an error. */
static ptrdiff_t put_path_byte(char *mem, size_t n, char c, unsigned flags)
{
    if (c == '/' && n > 0) {
        ptrdiff_t closed = close_segment(mem, n);
        if (closed < 0)
            return closed;
        if ((size_t)closed < n || (mem[n - 1] == '/' && flags & WR_PATH_MERGE_SLASHES))
            return closed;
    }
    mem[n] = c;
    return (ptrdiff_t)n + 1;
}

int wr_path_normalise(struct wr_span raw, unsigned flags, char *mem, struct wr_span *out)
{
    ptrdiff_t n = 0;
    if (raw.n == 0 || raw.p[0] != '/')
        return WR_E_SYNTAX;
    if (is_normal(raw, flags)) {
        *out = raw;
        return 0;
    }
    for (size_t i = 0; i < raw.n;) {
        int c = decode_one(raw, &i);
        if (c <= 0 || (flags & WR_PATH_REFUSE_CONTROLS && is_control(c)))
            return WR_E_SYNTAX;
        n = put_path_byte(mem, (size_t)n, (char)c, flags);
        if (n < 0)
            return (int)n;
    }
    n = close_segment(mem, (size_t)n);
    if (n < 0)
        return (int)n;
    *out = wr_span(mem, (size_t)n);
    return 0;
}

/* ---- queries ---- */

bool wr_query_next(struct wr_span *rest, struct wr_span *out_name, struct wr_span *out_value)
{
    struct wr_span piece;
    do {
        if (!wr_span_split(rest, '&', &piece))
            return false;
    } while (piece.n == 0);
    ptrdiff_t eq = wr_span_find_char(piece, '=');
    *out_name = eq < 0 ? piece : wr_span_sub(piece, 0, (size_t)eq);
    *out_value = eq < 0 ? (struct wr_span){"", 0} : wr_span_sub(piece, (size_t)eq + 1, piece.n);
    return true;
}

struct wr_span wr_query_get(struct wr_span query, struct wr_span name)
{
    struct wr_span n, v;
    while (wr_query_next(&query, &n, &v))
        if (wr_span_eq(n, name))
            return v;
    return (struct wr_span){0};
}
