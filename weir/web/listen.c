/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/web/site_private.h"

#include "libweir/base/err.h"
#include "libweir/base/num.h"
#include "weir/web/host.h"

#include <errno.h>

/*
 * listen. Each address that is named becomes one web_listen, shared by the servers that name it. An address
 * without parameters of its own has no socket when `*:port` has one: its connections are told apart by their
 * local address.
 */

#define RANGE_MAX 1024 /* ports in one directive */
#define ADDRS_MAX 32   /* of one name */

/* What one directive says, before it is entered for each of its addresses. */
struct spec {
    struct web_listen l;
    struct wr_addr addr[ADDRS_MAX];
    uint32_t naddrs;
    uint16_t first_port, last_port;
    bool is_default;
};

/* ---- the address ------------------------------------------------------------------------------------------- */

static int read_ports(struct wr_span text, struct spec *s)
{
    uint64_t first, last;
    ptrdiff_t dash = wr_span_find_char(text, '-');
    struct wr_span a = dash < 0 ? text : wr_span_sub(text, 0, (size_t)dash);
    if (wr_num_parse_between(a, 1, 65535, &first))
        return WR_E_SYNTAX;
    last = first;
    if (dash >= 0 &&
        wr_num_parse_between(wr_span_sub(text, (size_t)dash + 1, text.n), first, 65535, &last))
        return WR_E_SYNTAX;
    s->first_port = (uint16_t)first;
    s->last_port = (uint16_t)last;
    return last - first < RANGE_MAX ? 0 : WR_E_SYNTAX;
}

static bool only(struct wr_span text, const char *set)
{
    for (size_t i = 0; i < text.n; i++)
        if (!strchr(set, text.p[i]))
            return false;
    return text.n > 0;
}

static const char *read_host(struct wr_span host, struct spec *s)
{
    static const uint8_t any[4];
    s->naddrs = 1;
    if (wr_span_eq(host, WR_LIT("*"))) {
        s->addr[0] = wr_addr_v4(any, 80);
        return NULL;
    }
    if (host.n > 1 && host.p[0] == '[' && host.p[host.n - 1] == ']')
        host = wr_span_sub(host, 1, host.n - 2);
    else if (wr_span_find_char(host, '/') >= 0)
        return "invalid host in";
    else if (wr_span_find_char(host, ':') >= 0)
        return "invalid parameter";
    if (wr_addr_parse_ip(host, &s->addr[0]) == 0)
        return NULL;
    s->naddrs = web_host_addrs(host, s->addr, ADDRS_MAX);
    return s->naddrs ? NULL : "host not found in";
}

/* "80", "8000-8010", "*:80", "1.2.3.4", "1.2.3.4:80", "[::1]:80", "unix:/x". NULL, or what is wrong. */
static const char *read_address(struct wr_span text, struct spec *s)
{
    s->first_port = s->last_port = 80;
    if (wr_span_has_prefix(text, WR_LIT("unix:"))) {
        if (text.n == 5)
            return "no path in";
        s->naddrs = 1;
        return wr_addr_parse(text, &s->addr[0]) ? "too long path in" : NULL;
    }
    if (only(text, "0123456789-"))
        return read_ports(text, s) ? "invalid port in" : read_host(WR_LIT("*"), s);
    ptrdiff_t from = text.n && text.p[0] == '[' ? wr_span_find_char(text, ']') : 0;
    if (from < 0)
        return "invalid host in";
    ptrdiff_t colon = wr_span_find_char(wr_span_sub(text, (size_t)from, text.n), ':');
    struct wr_span host = text;
    if (colon >= 0) {
        host = wr_span_sub(text, 0, (size_t)(from + colon));
        if (read_ports(wr_span_sub(text, (size_t)(from + colon) + 1, text.n), s))
            return "invalid port in";
    }
    return host.n ? read_host(host, s) : "no host in";
}

/* ---- parameters --------------------------------------------------------------------------------------------- */

static int read_int(struct wr_span v, int64_t lo, int64_t hi, int *out)
{
    int64_t n;
    if (wr_num_parse_i64(v, &n) || n < lo || n > hi)
        return WR_E_SYNTAX;
    *out = (int)n;
    return 0;
}

static int read_buffer(struct wr_span v, int *out)
{
    uint64_t n;
    if (conf_read_size(v, &n) || n == 0 || n > INT32_MAX)
        return WR_E_SYNTAX;
    *out = (int)n;
    return 0;
}

static int read_keepalive(struct wr_span v, struct web_listen *l)
{
    l->keepalive_set = true;
    l->keepalive_on = !wr_span_eq(v, WR_LIT("off"));
    if (wr_span_eq(v, WR_LIT("on")) || wr_span_eq(v, WR_LIT("off")))
        return 0;
    struct wr_span part[3] = {{0}};
    uint64_t idle = 0, interval = 0;
    for (int i = 0; i < 3 && v.p; i++)
        (void)wr_span_split(&v, ':', &part[i]);
    if (v.p || !(part[0].n || part[1].n || part[2].n))
        return WR_E_SYNTAX;
    if ((part[0].n && conf_read_sec(part[0], &idle)) ||
        (part[1].n && conf_read_sec(part[1], &interval)) ||
        (part[2].n && read_int(part[2], 1, 127, &l->keep_count)) || idle > 32767 ||
        interval > 32767)
        return WR_E_SYNTAX;
    l->keep_idle_s = (int)idle;
    l->keep_interval_s = (int)interval;
    return 0;
}

static int read_onoff(struct wr_span v, bool *out)
{
    *out = wr_span_eq(v, WR_LIT("on"));
    return *out || wr_span_eq(v, WR_LIT("off")) ? 0 : WR_E_SYNTAX;
}

enum {
    UNKNOWN = 1
};

/* Those that belong to the socket. */
static int read_socket_parameter(struct wr_span name, struct wr_span v, struct spec *s)
{
    struct wr_listen_options *o = &s->l.options;
    int n;
    bool on;
    if (wr_span_eq(name, WR_LIT("bind")))
        return 0;
    if (wr_span_eq(name, WR_LIT("backlog"))) {
        if (read_int(v, -1, INT32_MAX, &n) || n == 0)
            return WR_E_SYNTAX;
        o->backlog = n < 0 ? 0 : (unsigned)n;
        return 0;
    }
    if (wr_span_eq(name, WR_LIT("setfib")))
        return read_int(v, 0, INT32_MAX, &n);
    if (wr_span_eq(name, WR_LIT("fastopen"))) {
        if (read_int(v, 0, INT32_MAX, &n))
            return WR_E_SYNTAX;
        s->l.fastopen = (int)n;
        return 0;
    }
    if (wr_span_eq(name, WR_LIT("rcvbuf")))
        return read_buffer(v, &o->rcvbuf);
    if (wr_span_eq(name, WR_LIT("sndbuf")))
        return read_buffer(v, &o->sndbuf);
    if (wr_span_eq(name, WR_LIT("deferred"))) {
        on = true;
        if (v.p && read_onoff(v, &on))
            return WR_E_SYNTAX;
        o->defer_accept_s = on ? 10 : 0;
        return 0;
    }
    if (wr_span_eq(name, WR_LIT("ipv6only")))
        return read_onoff(v, &o->v6only);
    if (wr_span_eq(name, WR_LIT("reuseport"))) {
        o->reuseport = true;
        return 0;
    }
    if (wr_span_eq(name, WR_LIT("so_keepalive")))
        return read_keepalive(v, &s->l);
    if (wr_span_eq(name, WR_LIT("congestion"))) {
        o->congestion = v;
        return v.n ? 0 : WR_E_SYNTAX;
    }
    return UNKNOWN;
}

static int read_parameter(struct conf_load *load, const struct conf_node *node, uint32_t i,
                          struct spec *s)
{
    struct wr_span word = conf_arg(node, i), name = word, v = {0};
    ptrdiff_t eq = wr_span_find_char(word, '=');
    if (eq >= 0) {
        name = wr_span_sub(word, 0, (size_t)eq);
        v = wr_span_sub(word, (size_t)eq + 1, word.n);
    }
    if (wr_span_eq(word, WR_LIT("default_server")) || wr_span_eq(word, WR_LIT("default")))
        s->is_default = true;
    else if (wr_span_eq(word, WR_LIT("ssl")))
        s->l.ssl = true;
    else if (wr_span_eq(word, WR_LIT("proxy_protocol")))
        s->l.proxy_protocol = true;
    else if (wr_span_eq(word, WR_LIT("http2")) || wr_span_eq(word, WR_LIT("quic")))
        return conf_fail(load, node, i, "the \"%s\" parameter is not supported by this build",
                         word.p);
    else if (wr_span_eq(name, WR_LIT("accept_filter")))
        return conf_fail(load, node, i,
                         "accept filters \"%s\" are not supported on this platform, ignored",
                         word.p);
    else {
        int rc = read_socket_parameter(name, v, s);
        if (rc)
            return conf_fail(load, node, i, "invalid %s \"%s\"",
                             rc == UNKNOWN ? "parameter" : "value in parameter", word.p);
        s->l.sealed = s->l.bind = true;
    }
    return 0;
}

/* ---- entering -------------------------------------------------------------------------------------------------- */

static struct web_listen *same_address(const struct web_generation *g, const struct wr_addr *a)
{
    for (uint32_t i = 0; i < g->nlistens; i++)
        if (wr_addr_eq(&g->listens[i]->options.addr, a))
            return g->listens[i];
    return NULL;
}

static int set_text(struct wr_arena *a, struct web_listen *l)
{
    char text[WR_ADDR_TEXT_MAX];
    size_t n = wr_addr_format(&l->options.addr, text);
    char *p = wr_arena_strndup(a, text, n);
    if (!p)
        return -ENOMEM;
    l->text = wr_span(p, n);
    return 0;
}

static int new_listen(struct conf_load *load, const struct spec *s, const struct wr_addr *addr,
                      struct web_listen **out)
{
    static const uint8_t any[16];
    struct web_generation *g = site_of(load);
    struct web_listen *l = wr_arena_alloc(load->arena, sizeof(*l));
    if (!l)
        return -ENOMEM;
    *l = s->l;
    l->options.addr = *addr;
    l->wild = (addr->kind == WR_ADDR_V4 && memcmp(addr->v4, any, 4) == 0) ||
              (addr->kind == WR_ADDR_V6 && memcmp(addr->v6, any, 16) == 0);
    *out = l;
    int err = set_text(load->arena, l);
    return err ? err
               : site_push(load->arena, (void ***)(void *)&g->listens, &g->nlistens,
                           &g->caps[0], l);
}

/* Another server on an address that is known. */
static int join(struct conf_load *load, const struct conf_node *node, const struct spec *s,
                struct web_listen *l, const struct web_server *server)
{
    for (uint32_t i = 0; i < l->nservers; i++)
        if (l->servers[i] == server)
            return conf_fail(load, node, 1, "a duplicate listen %s", l->text.p);
    if (s->l.sealed) {
        if (l->sealed)
            return conf_fail(load, node, 1, "duplicate listen options for %s", l->text.p);
        struct web_listen was = *l;
        *l = s->l;
        l->options.addr = was.options.addr;
        l->text = was.text;
        l->wild = was.wild;
        l->node = was.node;
        l->servers = was.servers;
        l->nservers = was.nservers;
        l->servers_cap = was.servers_cap;
        l->default_server = was.default_server;
        l->has_default = was.has_default;
        l->ssl = was.ssl;
        l->proxy_protocol = was.proxy_protocol;
    }
    if (s->is_default && l->has_default)
        return conf_fail(load, node, 1, "a duplicate default server for %s", l->text.p);
    l->ssl |= s->l.ssl;
    l->proxy_protocol |= s->l.proxy_protocol;
    return 0;
}

static int enter(struct conf_load *load, const struct conf_node *node, const struct spec *s,
                 const struct wr_addr *addr, struct web_server *server)
{
    struct web_listen *l = same_address(site_of(load), addr);
    int err = l ? join(load, node, s, l, server) : new_listen(load, s, addr, &l);
    if (err)
        return err;
    if (s->is_default || !l->default_server)
        l->default_server = server;
    l->has_default |= s->is_default;
    return site_push(load->arena, (void ***)(void *)&l->servers, &l->nservers, &l->servers_cap,
                     server);
}

static int enter_ports(struct conf_load *load, const struct conf_node *node,
                       const struct spec *s, struct wr_addr *addr, struct web_server *server)
{
    int err = 0;
    for (uint32_t port = s->first_port; port <= s->last_port && !err; port++) {
        if (addr->kind != WR_ADDR_UNIX)
            addr->port = (uint16_t)port;
        err = enter(load, node, s, addr, server);
    }
    return err;
}

static void spec_init(struct spec *s, const struct conf_node *node)
{
    *s = (struct spec){.l = {.node = node}};
    s->l.options.defer_accept_s = 10;
    s->l.options.v6only = true;
}

int site_set_listen(struct conf_load *load, const struct conf_node *node,
                    const struct conf_row *row, void *field)
{
    (void)row;
    (void)field;
    struct web_server *server = site_scope_server(load);
    struct spec s;
    spec_init(&s, node);
    const char *bad = read_address(conf_arg(node, 1), &s);
    if (bad)
        return conf_fail(load, node, 1, "%s \"%s\" of the \"listen\" directive", bad,
                         conf_str(node, 1));
    for (uint32_t i = 2; i < node->nwords; i++) {
        int err = read_parameter(load, node, i, &s);
        if (err)
            return err;
    }
    if (s.addr[0].kind == WR_ADDR_UNIX) {
        s.l.options.defer_accept_s = 0;
        s.first_port = s.last_port = 0;
    }
    ((struct site_server *)server->private)->listens = true;
    int err = 0;
    for (uint32_t a = 0; a < s.naddrs && !err; a++)
        err = enter_ports(load, node, &s, &s.addr[a], server);
    return err;
}

int site_listen_default(struct conf_load *load, struct web_server *server,
                        const struct conf_node *node)
{
    struct spec s;
    spec_init(&s, node);
    (void)read_address(WR_LIT("80"), &s);
    return enter(load, node, &s, &s.addr[0], server);
}

/* ---- building ---------------------------------------------------------------------------------------------------- */

static struct web_listen *wild_of(const struct web_generation *g, const struct web_listen *l)
{
    for (uint32_t i = 0; i < g->nlistens; i++) {
        struct web_listen *w = g->listens[i];
        if (w->wild && w != l && w->options.addr.kind == l->options.addr.kind &&
            w->options.addr.port == l->options.addr.port)
            return w;
    }
    return NULL;
}

int site_listen_build(struct conf_load *load, struct web_generation *g)
{
    for (uint32_t i = 0; i < g->nlistens; i++) {
        struct web_listen *l = g->listens[i];
        int err = site_names_build(load, l);
        if (err)
            return err;
        struct web_listen *w = l->bind || l->wild ? NULL : wild_of(g, l);
        if (!w) {
            l->bind = true;
            continue;
        }
        if (!w->inner &&
            !(w->inner = wr_arena_alloc(load->arena, g->nlistens * sizeof(*w->inner))))
            return -ENOMEM;
        w->inner[w->ninner++] = l;
    }
    return 0;
}

const struct web_listen *site_listen(const struct web_listen *l, const struct wr_addr *local)
{
    for (uint32_t i = 0; i < l->ninner; i++)
        if (wr_addr_eq(&l->inner[i]->options.addr, local))
            return l->inner[i];
    return l;
}
