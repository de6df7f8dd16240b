/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/cmd/check_site.h"

#include "libweir/base/num.h"

static bool has_word(const struct conf_node *node, struct wr_span word)
{
    for (uint32_t i = 2; i < node->nwords; i++)
        if (wr_span_eq(conf_arg(node, i), word))
            return true;
    return false;
}

static bool is_port(struct wr_span text)
{
    uint64_t v;
    return wr_num_parse_between(text, 1, 65535, &v) == 0;
}

/* 80, *:80 and 0.0.0.0:80 are one address. A server without listen is on port 80. */
static struct wr_span address(const struct check *c, struct wr_span text)
{
    const char *p = NULL;
    if (is_port(text))
        p = wr_arena_printf(c->arena, "0.0.0.0:%.*s", WR_SPANF(text));
    else if (wr_span_has_prefix(text, WR_LIT("*:")))
        p = wr_arena_printf(c->arena, "0.0.0.0:%.*s", WR_SPANF(wr_span_sub(text, 2, SIZE_MAX)));
    else if (!wr_span_has_prefix(text, WR_LIT("unix:")) &&
             (text.n && text.p[0] == '[' ? wr_span_has_suffix(text, WR_LIT("]"))
                                         : wr_span_find_char(text, ':') < 0))
        p = wr_arena_printf(c->arena, "%.*s:80", WR_SPANF(text));
    return p ? wr_span_str(p) : text;
}

/* Goes over the addresses of a server: *at starts as its first child. False: no more. */
static bool next_listen(const struct check *c, const struct conf_node *server,
                        const struct conf_node **at, bool *begun, const struct conf_node **out,
                        struct wr_span *out_address)
{
    const struct conf_node *l = check_next(*begun ? *at : server->children, "listen");
    bool first = !*begun;
    *begun = true;
    if (!l && !first)
        return false;
    *out = l ? l : server;
    *out_address = l ? address(c, check_arg(l, 1)) : WR_LIT("0.0.0.0:80");
    *at = l ? l->next : NULL;
    return true;
}

static bool listens_on(const struct check *c, const struct conf_node *server, struct wr_span on,
                       const struct conf_node **out)
{
    const struct conf_node *at = NULL;
    struct wr_span a;
    bool begun = false;
    while (next_listen(c, server, &at, &begun, out, &a))
        if (wr_span_eq(a, on))
            return true;
    return false;
}

/* The word of server_name that is this name; an unnamed server has the name "". */
static const struct conf_node *find_name(const struct conf_node *server, struct wr_span name)
{
    const struct conf_node *n = check_next(server->children, "server_name");
    if (!n)
        return name.n ? NULL : server;
    for (; n; n = check_next(n->next, "server_name"))
        for (uint32_t i = 1; i < n->nwords; i++)
            if (wr_span_ieq(conf_arg(n, i), name))
                return n;
    return NULL;
}

static void compare_name(struct check *c, const struct conf_node *first,
                         const struct conf_node *server, const struct conf_node *where,
                         uint32_t word, struct wr_span name)
{
    const struct conf_node *other = find_name(first, name), *l, *at = NULL;
    struct wr_span a;
    bool begun = false;
    if (!other)
        return;
    while (next_listen(c, first, &at, &begun, &l, &a)) {
        const struct conf_node *mine;
        if (!listens_on(c, server, a, &mine))
            continue;
        check_say(c, where, word, "another name, another address, or one server",
                  "the name \"%.*s\" on %.*s is the server's of %s:%u already: this one never "
                  "answers to it",
                  WR_SPANF(name), WR_SPANF(a), other->file->name, first->line);
        return;
    }
}

void check_same_names(struct check *c, const struct conf_node *nodes)
{
    const struct conf_node *http = check_next(nodes, "http");
    const struct conf_node *servers = http ? http->children : NULL;
    for (const struct conf_node *s = servers; (s = check_next(s, "server")); s = s->next) {
        for (const struct conf_node *f = servers; (f = check_next(f, "server")) && f != s;
             f = f->next) {
            const struct conf_node *n = check_next(s->children, "server_name");
            if (!n)
                compare_name(c, f, s, s, 0, WR_LIT(""));
            for (; n; n = check_next(n->next, "server_name"))
                for (uint32_t i = 1; i < n->nwords; i++)
                    compare_name(c, f, s, n, i, conf_arg(n, i));
        }
    }
}

/* Is this the first server on the address, a second one there too, and none the default by word? */
static void look_at_address(struct check *c, const struct conf_node *servers,
                            const struct conf_node *server, const struct conf_node *listen,
                            struct wr_span on)
{
    const struct conf_node *l;
    unsigned n = 0;
    for (const struct conf_node *s = servers; (s = check_next(s, "server")); s = s->next) {
        if (!listens_on(c, s, on, &l))
            continue;
        if (n++ == 0 && s != server)
            return;
        if (has_word(l, WR_LIT("default_server")) || has_word(l, WR_LIT("default")))
            return;
    }
    if (n > 1)
        check_say(c, listen, listen == server ? 0 : 1,
                  "default_server behind the address of the one that is meant",
                  "%u servers share %.*s; requests for no name of theirs go to this one, "
                  "because it is the first",
                  n, WR_SPANF(on));
}

void check_default_server(struct check *c, const struct conf_node *nodes)
{
    const struct conf_node *http = check_next(nodes, "http");
    const struct conf_node *servers = http ? http->children : NULL;
    for (const struct conf_node *s = servers; (s = check_next(s, "server")); s = s->next) {
        const struct conf_node *at = NULL, *l;
        struct wr_span a;
        bool begun = false;
        while (next_listen(c, s, &at, &begun, &l, &a))
            look_at_address(c, servers, s, l, a);
    }
}

void check_listen_ssl(struct check *c, const struct conf_node *node)
{
    if (!check_is(node, "listen") ||
        !wr_span_has_suffix(address(c, check_arg(node, 1)), WR_LIT(":443")) ||
        has_word(node, WR_LIT("ssl")) || has_word(node, WR_LIT("quic")))
        return;
    check_say(c, node, 1,
              wr_arena_printf(c->arena, "listen %.*s ssl;", WR_SPANF(check_arg(node, 1))),
              "port 443 without ssl: browsers will speak TLS to a server that does not");
}

void check_backlog(struct check *c, const struct conf_node *node)
{
    if (!check_is(node, "listen") || !c->somaxconn)
        return;
    for (uint32_t i = 2; i < node->nwords; i++) {
        struct wr_span word = conf_arg(node, i);
        uint64_t v;
        if (!wr_span_has_prefix(word, WR_LIT("backlog=")) ||
            wr_num_parse_u64(wr_span_sub(word, 8, SIZE_MAX), &v) || v <= c->somaxconn)
            continue;
        check_say(c, node, i,
                  wr_arena_printf(c->arena, "sysctl -w net.core.somaxconn=%llu",
                                  (unsigned long long)v),
                  "the kernel cuts this backlog to net.core.somaxconn, which is %u",
                  c->somaxconn);
    }
}
