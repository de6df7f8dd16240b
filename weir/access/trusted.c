/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/access/trusted.h"

#include "libweir/base/err.h"

#include <errno.h>
#include <string.h>

static int push(struct trusted *t, struct wr_arena *arena, const struct wr_net *net)
{
    if (t->n == t->room) {
        uint32_t room = t->room ? t->room * 2 : 4;
        struct wr_net *more = wr_arena_alloc(arena, room * sizeof(*more));
        if (!more)
            return -ENOMEM;
        if (t->n)
            memcpy(more, t->nets, t->n * sizeof(*more));
        t->nets = more;
        t->room = room;
    }
    t->nets[t->n++] = *net;
    return 0;
}

int trusted_add(struct trusted *t, struct wr_arena *arena, struct wr_span text)
{
    struct wr_net net;
    if (wr_span_eq(text, WR_LIT("unix:"))) {
        t->unix_sockets = true;
        return 0;
    }
    int surplus = wr_net_parse(text, &net);
    if (surplus < 0)
        return surplus;
    int err = push(t, arena, &net);
    return err ? err : surplus;
}

int trusted_add_addr(struct trusted *t, struct wr_arena *arena, const struct wr_addr *addr)
{
    char text[WR_ADDR_TEXT_MAX];
    int rc = trusted_add(t, arena, wr_span(text, wr_addr_format_ip(addr, text)));
    return rc < 0 ? rc : 0;
}

bool trusted_has(const struct trusted *t, const struct wr_addr *addr)
{
    if (addr->kind == WR_ADDR_UNIX)
        return t->unix_sockets;
    for (uint32_t i = 0; i < t->n; i++)
        if (wr_net_has(&t->nets[i], addr))
            return true;
    return false;
}

int trusted_parse(struct wr_span text, struct wr_addr *out)
{
    if (wr_span_has_prefix(text, WR_LIT("unix:")) || !text.n)
        return text.n ? wr_addr_parse(text, out) : WR_E_SYNTAX;
    if (!wr_addr_parse_ip(text, out))
        return 0;
    char c = text.p[0];
    if (c != '[' && (c < '0' || c > '9'))
        return WR_E_SYNTAX; /* "*:80", "fd:3" are addresses elsewhere, not here */
    if (c == '[' && text.p[text.n - 1] == ']')
        return WR_E_SYNTAX; /* brackets are for a port */
    if (wr_span_find_char(text, ':') < 0)
        return WR_E_SYNTAX;
    return wr_addr_parse(text, out);
}

static bool separates(char c)
{
    return c == ' ' || c == ',' || c == '\t';
}

/* The last word, cut off. */
static struct wr_span last_word(struct wr_span *io)
{
    size_t end = io->n, from;
    while (end > 0 && separates(io->p[end - 1]))
        end--;
    for (from = end; from > 0 && !separates(io->p[from - 1]); from--)
        ;
    struct wr_span word = wr_span_sub(*io, from, end - from);
    io->n = from;
    return word;
}

enum trusted_walk trusted_walk(const struct trusted *t, struct wr_span value, bool recursive,
                               struct wr_addr *io)
{
    enum trusted_walk moved = TRUSTED_STAYED;
    while (trusted_has(t, io)) {
        struct wr_addr addr;
        if (moved != TRUSTED_STAYED && !value.n)
            return TRUSTED_MOVED;
        struct wr_span word = last_word(&value);
        if (!word.n || trusted_parse(word, &addr))
            break;
        *io = addr;
        moved = TRUSTED_ENDED;
        if (!recursive)
            break;
    }
    return moved;
}
