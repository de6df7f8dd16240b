/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/addr.h"

#include "libweir/base/err.h"
#include "libweir/os/os.h"

#include <errno.h>
#include <netinet/in.h>

static const uint8_t v4_mapped[12] = {[10] = 0xff, [11] = 0xff};

struct wr_addr wr_addr_v4(const uint8_t ip[4], uint16_t port)
{
    struct wr_addr a = {.kind = WR_ADDR_V4, .port = port};
    memcpy(a.v4, ip, 4);
    return a;
}

struct wr_addr wr_addr_v6(const uint8_t ip[16], uint32_t scope, uint16_t port)
{
    if (memcmp(ip, v4_mapped, sizeof v4_mapped) == 0)
        return wr_addr_v4(ip + 12, port);
    struct wr_addr a = {.kind = WR_ADDR_V6, .port = port};
    memcpy(a.v6, ip, 16);
    a.scope = scope;
    return a;
}

/* ---- parsing --------------------------------------------------------------------------------------- */

/* Decimal digits only, no sign, no leading zero unless it is the number. */
static int parse_number(struct wr_span s, uint32_t max, uint32_t *out)
{
    uint64_t v = 0;
    if (s.n == 0 || (s.n > 1 && s.p[0] == '0'))
        return WR_E_SYNTAX;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return WR_E_SYNTAX;
        v = v * 10 + (uint64_t)(s.p[i] - '0');
        if (v > max)
            return WR_E_RANGE;
    }
    *out = (uint32_t)v;
    return 0;
}

static int parse_port(struct wr_span s, uint16_t *out)
{
    uint32_t v;
    int err = parse_number(s, 65535, &v);
    if (!err)
        *out = (uint16_t)v;
    return err;
}

static bool parse_v4(struct wr_span s, uint8_t ip[4])
{
    struct wr_span part;
    for (int i = 0; i < 4; i++) {
        uint32_t v;
        if (!wr_span_split(&s, '.', &part) || parse_number(part, 255, &v))
            return false;
        ip[i] = (uint8_t)v;
    }
    return s.p == NULL;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = wr_ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One group of a v6 address: 1 to 4 hex digits. */
static bool parse_group(struct wr_span s, uint8_t out[2])
{
    unsigned v = 0;
    if (s.n == 0 || s.n > 4)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        int d = hex_digit(s.p[i]);
        if (d < 0)
            return false;
        v = v << 4 | (unsigned)d;
    }
    out[0] = (uint8_t)(v >> 8);
    out[1] = (uint8_t)v;
    return true;
}

/* Groups divided by ':', the last of which may be a v4 address; returns bytes written or -1. */
static int parse_groups(struct wr_span s, uint8_t out[16])
{
    int at = 0;
    struct wr_span g;
    if (s.n == 0)
        return 0;
    while (wr_span_split(&s, ':', &g)) {
        bool last = s.p == NULL;
        if (last && wr_span_find_char(g, '.') >= 0) {
            if (at > 12 || !parse_v4(g, out + at))
                return -1;
            return at + 4;
        }
        if (at > 14 || !parse_group(g, out + at))
            return -1;
        at += 2;
    }
    return at;
}

static bool parse_v6(struct wr_span s, uint8_t ip[16])
{
    uint8_t head[16], tail[16];
    ptrdiff_t gap = wr_span_find(s, WR_LIT("::")), dot = wr_span_find_char(s, '.');
    if (gap < 0)
        return parse_groups(s, ip) == 16;
    if (dot >= 0 && dot < gap)
        return false; /* only the last 32 bits may be written as v4 */
    int n = parse_groups(wr_span_sub(s, 0, (size_t)gap), head);
    int m = parse_groups(wr_span_sub(s, (size_t)gap + 2, s.n), tail);
    if (n < 0 || m < 0 || n + m > 14)
        return false;
    memset(ip, 0, 16);
    memcpy(ip, head, (size_t)n);
    memcpy(ip + 16 - m, tail, (size_t)m);
    return true;
}

int wr_addr_parse_ip(struct wr_span text, struct wr_addr *out_addr)
{
    uint8_t ip[16];
    uint32_t scope = 0;
    if (parse_v4(text, ip)) {
        *out_addr = wr_addr_v4(ip, 0);
        return 0;
    }
    ptrdiff_t percent = wr_span_find_char(text, '%');
    if (percent >= 0) {
        if (parse_number(wr_span_sub(text, (size_t)percent + 1, text.n), UINT32_MAX, &scope))
            return WR_E_SYNTAX;
        text.n = (size_t)percent;
    }
    if (!parse_v6(text, ip))
        return WR_E_SYNTAX;
    *out_addr = wr_addr_v6(ip, scope, 0);
    return 0;
}

/* Control bytes have no place in a log line; a name from the kernel may have them all the same. */
static bool is_control(char c)
{
    return (unsigned char)c < ' ' || c == 0x7f;
}

static int parse_unix(struct wr_span path, struct wr_addr *out_addr)
{
    struct wr_addr a = {.kind = WR_ADDR_UNIX};
    if (path.n == 0 || path.n >= WR_ADDR_NAME_MAX)
        return path.n ? WR_E_RANGE : WR_E_SYNTAX;
    if (path.p[0] == '@' && path.n == 1)
        return WR_E_SYNTAX;
    for (size_t i = 0; i < path.n; i++)
        if (is_control(path.p[i]))
            return WR_E_SYNTAX;
    memcpy(a.name, path.p, path.n);
    if (a.name[0] == '@')
        a.name[0] = 0;
    a.name_len = (uint8_t)path.n;
    *out_addr = a;
    return 0;
}

static int parse_fd(struct wr_span s, struct wr_addr *out_addr)
{
    struct wr_addr a = {.kind = WR_ADDR_FD, .fd = -1};
    uint32_t fd;
    if (s.n == 0 || s.n >= WR_ADDR_NAME_MAX)
        return s.n ? WR_E_RANGE : WR_E_SYNTAX;
    int err = parse_number(s, INT32_MAX, &fd);
    if (err == WR_E_RANGE)
        return err;
    if (err == 0) {
        a.fd = (int)fd;
    } else {
        for (size_t i = 0; i < s.n; i++)
            if (s.p[i] <= ' ' || s.p[i] > '~' || s.p[i] == ':')
                return WR_E_SYNTAX;
        memcpy(a.name, s.p, s.n);
        a.name_len = (uint8_t)s.n;
    }
    *out_addr = a;
    return 0;
}

static bool take_prefix(struct wr_span *s, struct wr_span prefix)
{
    if (!wr_span_has_prefix(*s, prefix))
        return false;
    *s = wr_span_sub(*s, prefix.n, s->n);
    return true;
}

/* Cuts "host:port" or "[host]:port". *out_port is empty when there is none, and "host" alone may be
 * a v6 address only in brackets. */
static int cut_port(struct wr_span s, struct wr_span *out_host, struct wr_span *out_port)
{
    struct wr_span host = s, port = {0};
    if (s.n && s.p[0] == '[') {
        ptrdiff_t end = wr_span_find_char(s, ']');
        if (end < 0)
            return WR_E_SYNTAX;
        host = wr_span_sub(s, 1, (size_t)end - 1);
        s = wr_span_sub(s, (size_t)end + 1, s.n);
        if (s.n && s.p[0] != ':')
            return WR_E_SYNTAX;
        if (s.n)
            port = wr_span_sub(s, 1, s.n);
    } else {
        ptrdiff_t colon = wr_span_find_char(s, ':');
        if (colon >= 0) {
            host = wr_span_sub(s, 0, (size_t)colon);
            port = wr_span_sub(s, (size_t)colon + 1, s.n);
        }
    }
    *out_host = host;
    *out_port = port;
    return 0;
}

int wr_addr_parse(struct wr_span text, struct wr_addr *out_addr)
{
    static const uint8_t any[16];
    struct wr_span host, port_text;
    uint16_t port;
    if (take_prefix(&text, WR_LIT("unix:")))
        return parse_unix(text, out_addr);
    if (take_prefix(&text, WR_LIT("fd:")))
        return parse_fd(text, out_addr);
    (void)take_prefix(&text, WR_LIT("tcp://"));
    bool bracket = text.n && text.p[0] == '[';
    int err = parse_port(text, &port);
    if (err == 0 || err == WR_E_RANGE) {
        host = (struct wr_span){0};
    } else {
        err = cut_port(text, &host, &port_text);
        if (!err)
            err = parse_port(port_text, &port);
    }
    if (err)
        return err;
    struct wr_addr a;
    if (!bracket && (host.n == 0 || wr_span_eq(host, WR_LIT("*")))) {
        a = wr_addr_v6(any, 0, port);
    } else {
        err = wr_addr_parse_ip(host, &a);
        if (err || bracket != (wr_span_find_char(host, ':') >= 0))
            return WR_E_SYNTAX;
        a.port = port;
    }
    *out_addr = a;
    return 0;
}

static bool host_name_ok(struct wr_span s)
{
    if (s.n == 0 || s.n > 254)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~' || strchr("/:@[]?#\\%", s.p[i]))
            return false;
    return true;
}

int wr_target_parse(struct wr_span text, uint16_t default_port, struct wr_target *out_target)
{
    struct wr_target t = {.port = default_port};
    struct wr_span port_text;
    if (wr_span_has_prefix(text, WR_LIT("unix:"))) {
        int err = wr_addr_parse(text, &t.addr);
        if (!err)
            *out_target = t;
        return err;
    }
    (void)take_prefix(&text, WR_LIT("tcp://"));
    bool bracket = text.n && text.p[0] == '[';
    int err = cut_port(text, &t.name, &port_text);
    if (!err && port_text.p)
        err = parse_port(port_text, &t.port);
    if (!err && t.port == 0)
        err = WR_E_SYNTAX;
    if (err)
        return err;
    if (wr_addr_parse_ip(t.name, &t.addr) == 0) {
        if (bracket != (wr_span_find_char(t.name, ':') >= 0))
            return WR_E_SYNTAX;
        t.addr.port = t.port;
    } else if (bracket || !host_name_ok(t.name)) {
        return WR_E_SYNTAX;
    } else {
        t.addr = (struct wr_addr){0};
    }
    *out_target = t;
    return 0;
}

/* ---- formatting ------------------------------------------------------------------------------------- */

static char *put_number(char *p, uint32_t v)
{
    char tmp[10];
    int n = 0;
    do
        tmp[n++] = (char)('0' + v % 10);
    while (v /= 10);
    while (n)
        *p++ = tmp[--n];
    return p;
}

static char *put_v4(char *p, const uint8_t *ip)
{
    for (int i = 0; i < 4; i++) {
        if (i)
            *p++ = '.';
        p = put_number(p, ip[i]);
    }
    return p;
}

static char *put_hex(char *p, unsigned v)
{
    static const char digits[] = "0123456789abcdef";
    bool begun = false;
    for (int shift = 12; shift >= 0; shift -= 4) {
        unsigned d = v >> shift & 15;
        if (d || begun || shift == 0) {
            *p++ = digits[d];
            begun = true;
        }
    }
    return p;
}

/* RFC 5952: the first longest run of two or more zero groups becomes "::". */
static void longest_zeros(const uint8_t *ip, int *out_at, int *out_len)
{
    *out_at = -1;
    *out_len = 1;
    for (int i = 0; i < 8; i++) {
        int n = 0;
        while (i + n < 8 && ip[2 * (i + n)] == 0 && ip[2 * (i + n) + 1] == 0)
            n++;
        if (n > *out_len) {
            *out_at = i;
            *out_len = n;
        }
    }
}

static char *put_v6(char *p, const struct wr_addr *a)
{
    int gap, gap_len;
    longest_zeros(a->v6, &gap, &gap_len);
    for (int i = 0; i < 8; i++) {
        if (i == gap) {
            *p++ = ':';
            *p++ = ':';
            i += gap_len - 1;
            continue;
        }
        if (i && i != gap + gap_len)
            *p++ = ':';
        p = put_hex(p, (unsigned)a->v6[2 * i] << 8 | a->v6[2 * i + 1]);
    }
    if (a->scope) {
        *p++ = '%';
        p = put_number(p, a->scope);
    }
    return p;
}

static char *put_text(char *p, const char *s, size_t n)
{
    memcpy(p, s, n);
    return p + n;
}

static char *put_other(char *p, const struct wr_addr *a)
{
    if (a->kind == WR_ADDR_UNIX) {
        p = put_text(p, "unix:", 5);
        if (a->name_len == 0) /* the unnamed end of a pair */
            return p;
        for (size_t i = 0; i < a->name_len; i++)
            *p++ = is_control(a->name[i]) ? '?' : a->name[i];
        if (a->name[0] == 0)
            p[-a->name_len] = '@';
        return p;
    }
    if (a->kind == WR_ADDR_FD) {
        p = put_text(p, "fd:", 3);
        return a->name_len ? put_text(p, a->name, a->name_len) : put_number(p, (uint32_t)a->fd);
    }
    return put_text(p, "none", 4);
}

size_t wr_addr_format_ip(const struct wr_addr *a, char *buf)
{
    char *p = buf;
    if (a->kind == WR_ADDR_V4)
        p = put_v4(p, a->v4);
    else if (a->kind == WR_ADDR_V6)
        p = put_v6(p, a);
    else
        p = put_other(p, a);
    *p = 0;
    return (size_t)(p - buf);
}

size_t wr_addr_format(const struct wr_addr *a, char *buf)
{
    char *p = buf;
    if (a->kind == WR_ADDR_V6)
        *p++ = '[';
    p += wr_addr_format_ip(a, p);
    if (a->kind == WR_ADDR_V6)
        *p++ = ']';
    if (a->kind == WR_ADDR_V4 || a->kind == WR_ADDR_V6) {
        *p++ = ':';
        p = put_number(p, a->port);
    }
    *p = 0;
    return (size_t)(p - buf);
}

/* ---- asking ------------------------------------------------------------------------------------------ */

bool wr_addr_eq(const struct wr_addr *a, const struct wr_addr *b)
{
    if (a->kind != b->kind)
        return false;
    switch ((enum wr_addr_kind)a->kind) {
    case WR_ADDR_V4:
        return a->port == b->port && memcmp(a->v4, b->v4, 4) == 0;
    case WR_ADDR_V6:
        return a->port == b->port && a->scope == b->scope && memcmp(a->v6, b->v6, 16) == 0;
    case WR_ADDR_FD:
        if (a->fd != b->fd)
            return false;
        break;
    case WR_ADDR_UNIX:
        break;
    case WR_ADDR_NONE:
        return true;
    }
    return a->name_len == b->name_len && memcmp(a->name, b->name, a->name_len) == 0;
}

bool wr_addr_is_loopback(const struct wr_addr *a)
{
    static const uint8_t one[16] = {[15] = 1};
    if (a->kind == WR_ADDR_V4)
        return a->v4[0] == 127;
    return a->kind == WR_ADDR_UNIX || (a->kind == WR_ADDR_V6 && memcmp(a->v6, one, 16) == 0);
}

int wr_addr_family(const struct wr_addr *a)
{
    static const int families[] = {[WR_ADDR_NONE] = AF_UNSPEC,
                                   [WR_ADDR_V4] = AF_INET,
                                   [WR_ADDR_V6] = AF_INET6,
                                   [WR_ADDR_UNIX] = AF_UNIX,
                                   [WR_ADDR_FD] = AF_UNSPEC};
    return families[a->kind];
}

/* ---- the kernel's form -------------------------------------------------------------------------------- */

static socklen_t unix_to_sockaddr(const struct wr_addr *a, struct sockaddr_storage *sa)
{
    struct sockaddr_un *un = (struct sockaddr_un *)(void *)sa;
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, a->name, a->name_len);
    /* a path carries its NUL, an abstract name ends where its length says */
    size_t n = a->name_len + (a->name_len && a->name[0] ? 1u : 0u);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
}

int wr_addr_to_sockaddr(const struct wr_addr *a, struct sockaddr_storage *out_sa,
                        socklen_t *out_len)
{
    struct sockaddr_storage sa;
    memset(&sa, 0, sizeof sa);
    if (a->kind == WR_ADDR_V4) {
        struct sockaddr_in *in = (struct sockaddr_in *)(void *)&sa;
        in->sin_family = AF_INET;
        in->sin_port = htons(a->port);
        memcpy(&in->sin_addr, a->v4, 4);
        *out_len = sizeof *in;
    } else if (a->kind == WR_ADDR_V6) {
        struct sockaddr_in6 *in = (struct sockaddr_in6 *)(void *)&sa;
        in->sin6_family = AF_INET6;
        in->sin6_port = htons(a->port);
        in->sin6_scope_id = a->scope;
        memcpy(&in->sin6_addr, a->v6, 16);
        *out_len = sizeof *in;
    } else if (a->kind == WR_ADDR_UNIX) {
        *out_len = unix_to_sockaddr(a, &sa);
    } else {
        return -EAFNOSUPPORT;
    }
    *out_sa = sa;
    return 0;
}

static struct wr_addr unix_from_sockaddr(const struct sockaddr *sa, size_t n)
{
    struct wr_addr a = {.kind = WR_ADDR_UNIX};
    const char *path = (const char *)sa + offsetof(struct sockaddr_un, sun_path);
    if (n > WR_ADDR_NAME_MAX)
        n = WR_ADDR_NAME_MAX;
    if (n && path[0])
        n = strnlen(path, n);
    memcpy(a.name, path, n);
    a.name_len = (uint8_t)n;
    return a;
}

int wr_addr_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct wr_addr *out_addr)
{
    if (len < sizeof sa->sa_family)
        return -EINVAL;
    if (sa->sa_family == AF_INET && len >= sizeof(struct sockaddr_in)) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof in);
        *out_addr = wr_addr_v4((const uint8_t *)&in.sin_addr, ntohs(in.sin_port));
    } else if (sa->sa_family == AF_INET6 && len >= sizeof(struct sockaddr_in6)) {
        struct sockaddr_in6 in;
        memcpy(&in, sa, sizeof in);
        *out_addr =
            wr_addr_v6((const uint8_t *)&in.sin6_addr, in.sin6_scope_id, ntohs(in.sin6_port));
    } else if (sa->sa_family == AF_UNIX) {
        *out_addr = unix_from_sockaddr(sa, len - offsetof(struct sockaddr_un, sun_path));
    } else {
        return -EAFNOSUPPORT;
    }
    return 0;
}

int wr_addr_of_socket(int fd, struct wr_addr *out_addr)
{
    struct sockaddr_storage sa;
    socklen_t n = sizeof sa;
    int err = wr_os_getsockname(fd, (struct sockaddr *)&sa, &n);
    return err ? err : wr_addr_from_sockaddr((struct sockaddr *)&sa, n, out_addr);
}

int wr_addr_of_peer(int fd, struct wr_addr *out_addr)
{
    struct sockaddr_storage sa;
    socklen_t n = sizeof sa;
    int err = wr_os_getpeername(fd, (struct sockaddr *)&sa, &n);
    return err ? err : wr_addr_from_sockaddr((struct sockaddr *)&sa, n, out_addr);
}

/* ---- inherited descriptors ---------------------------------------------------------------------------- */

#define FIRST_INHERITED 3 /* systemd's SD_LISTEN_FDS_START */

int wr_addr_inherited_fd(const struct wr_addr *a, const struct wr_inherited *env, int pid,
                         int *out_fd)
{
    if (a->kind != WR_ADDR_FD)
        return WR_E_NOT_FOUND;
    if (a->fd >= 0) {
        *out_fd = a->fd;
        return 0;
    }
    uint32_t meant_for, count;
    if (!env || parse_number(wr_span_str(env->listen_pid), INT32_MAX, &meant_for) ||
        parse_number(wr_span_str(env->listen_fds), INT16_MAX, &count) || (int)meant_for != pid)
        return WR_E_NOT_FOUND;
    struct wr_span names = wr_span_str(env->listen_fdnames), name;
    for (uint32_t i = 0; i < count && wr_span_split(&names, ':', &name); i++) {
        if (wr_span_eq(name, wr_span(a->name, a->name_len))) {
            *out_fd = FIRST_INHERITED + (int)i;
            return 0;
        }
    }
    return WR_E_NOT_FOUND;
}
