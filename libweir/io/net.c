/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/net.h"

#include "libweir/base/err.h"
#include "libweir/base/num.h"
#include "libweir/io/addr.h"

static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

static bool is_mapped(const struct wr_addr *a)
{
    return a->kind == WR_ADDR_V6 && memcmp(a->v6, mapped_prefix, sizeof mapped_prefix) == 0;
}

static void set_mask(struct wr_net *net, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        unsigned left = net->bits > i * 8 ? net->bits - i * 8 : 0;
        net->mask[i] = left >= 8 ? 0xff : (uint8_t)(0xff00u >> left);
    }
}

static int apply_mask(struct wr_net *net, unsigned bytes)
{
    int surplus = 0;
    for (unsigned i = 0; i < bytes; i++) {
        surplus |= net->ip[i] & ~net->mask[i];
        net->ip[i] &= net->mask[i];
    }
    return surplus ? 1 : 0;
}

int wr_net_parse(struct wr_span text, struct wr_net *out)
{
    ptrdiff_t slash = wr_span_find_char(text, '/');
    struct wr_span ip = slash < 0 ? text : wr_span_sub(text, 0, (size_t)slash);
    struct wr_addr addr;
    if (wr_addr_parse_ip(ip, &addr) < 0)
        return WR_E_SYNTAX;
    /* The parser of addresses has made IPv4 of a mapped one; its prefix still counts from the 128. */
    bool v4 = addr.kind == WR_ADDR_V4, mapped = v4 && wr_span_find_char(ip, ':') >= 0;
    uint64_t most = v4 && !mapped ? 32 : 128, bits = most;
    if (slash >= 0 && wr_num_parse_between(wr_span_sub(text, (size_t)slash + 1, text.n),
                                           mapped ? 96 : 0, most, &bits) < 0)
        return WR_E_SYNTAX;
    struct wr_net net = {.kind = addr.kind, .bits = (uint8_t)(mapped ? bits - 96 : bits)};
    memcpy(net.ip, v4 ? addr.v4 : addr.v6, v4 ? 4 : 16);
    set_mask(&net, v4 ? 4 : 16);
    int surplus = apply_mask(&net, v4 ? 4 : 16);
    *out = net;
    return surplus;
}

bool wr_net_has(const struct wr_net *net, const struct wr_addr *addr)
{
    bool mapped = is_mapped(addr);
    unsigned kind = mapped ? (unsigned)WR_ADDR_V4 : addr->kind;
    if (kind != net->kind)
        return false;
    const uint8_t *ip = mapped ? addr->v6 + 12 : kind == WR_ADDR_V4 ? addr->v4 : addr->v6;
    unsigned bytes = kind == WR_ADDR_V4 ? 4 : 16, differ = 0;
    for (unsigned i = 0; i < bytes; i++)
        differ |= (ip[i] & net->mask[i]) ^ net->ip[i];
    return differ == 0;
}
