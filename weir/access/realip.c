/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The client's address as a trusted proxy tells it: set_real_ip_from, real_ip_header, real_ip_recursive.
 *
 *     set_real_ip_from 10.0.0.0/8;  real_ip_header X-Forwarded-For;  real_ip_recursive on;
 *
 * Done when a head has been read, by the server's settings, and once more by the location's, which count when the
 * first did nothing. From then on every module sees the new address in r->client; the connection's own
 * stays in $realip_remote_addr.
 */
#include "libweir/base/err.h"
#include "weir/access/trusted.h"
#include "weir/web/host.h"
#include "weir/web/vars.h"

#include <errno.h>
#include <string.h>

/* ---- configuration ------------------------------------------------------------------------------------ */

enum source {
    FROM_FIELD,     /* one address, by any name */
    FROM_FORWARDED, /* X-Forwarded-For: a list */
    FROM_PROXY,     /* the PROXY header of the connection */
};

struct header {
    uint8_t source; /* enum source */
    struct wr_span name;
};

struct realip_conf {
    struct trusted from;
    struct header header;
    bool recursive;
};

/* ---- run time ----------------------------------------------------------------------------------------- */

/* Fields of the name from the last to the first, as if they were one. */
static bool walk_fields(struct web_req *r, const struct realip_conf *conf, struct wr_addr *io)
{
    bool moved = false;
    for (uint32_t i = r->head->nfields; i > 0; i--) {
        const struct wr_field *f = &r->head->fields[i - 1];
        if (!wr_span_ieq(f->name, conf->header.name))
            continue;
        enum trusted_walk walk = trusted_walk(&conf->from, f->value, conf->recursive, io);
        moved |= walk != TRUSTED_STAYED;
        if (walk != TRUSTED_MOVED)
            break;
    }
    return moved;
}

static bool find_client(struct web_req *r, const struct realip_conf *conf, struct wr_addr *io)
{
    switch ((enum source)conf->header.source) {
    case FROM_FORWARDED:
        return walk_fields(r, conf, io);
    case FROM_PROXY:
        if (r->conn->proxy_peer.kind == WR_ADDR_NONE || !trusted_has(&conf->from, io))
            return false;
        *io = r->conn->proxy_peer;
        return true;
    case FROM_FIELD:
        break;
    }
    struct wr_span value = web_field(r, conf->header.name);
    return value.n && trusted_walk(&conf->from, value, conf->recursive, io) != TRUSTED_STAYED;
}

static int set_client(struct web_req *r, const struct realip_conf *conf)
{
    struct wr_addr addr = r->conn->peer;
    if (!r->head || !wr_addr_eq(&r->client, &addr))
        return WEB_NEXT; /* it is another one already */
    if (find_client(r, conf, &addr))
        r->client = addr;
    return WEB_NEXT;
}

static int realip_server(struct web_req *r)
{
    return set_client(r, r->server->outer->conf[WEB_realip]);
}

static int realip_location(struct web_req *r)
{
    return set_client(r, web_location_conf(r, realip));
}

static bool realip_wanted(const struct web_location *location)
{
    const struct realip_conf *conf = location->conf[WEB_realip];
    return conf->from.n > 0 || conf->from.unix_sockets;
}

static int get_addr(struct web_req *r, const struct web_var *v, struct wr_span rest,
                    struct web_val *out)
{
    (void)v;
    (void)rest;
    char text[WR_ADDR_TEXT_MAX];
    if (r->conn->peer.kind == WR_ADDR_UNIX)
        return web_val_set(out, WR_LIT("unix:"));
    size_t n = wr_addr_format_ip(&r->conn->peer, text);
    char *p = wr_arena_strndup(r->arena, text, n);
    return p ? web_val_set(out, wr_span(p, n)) : -ENOMEM;
}

static int get_port(struct web_req *r, const struct web_var *v, struct wr_span rest,
                    struct web_val *out)
{
    (void)v;
    (void)rest;
    return r->conn->peer.port ? web_val_printf(r, out, "%u", r->conn->peer.port)
                              : web_val_set(out, WR_LIT(""));
}

/* ---- setters ------------------------------------------------------------------------------------------ */

#define ADDRS_MAX 32

/* Asked once, while the configuration is loaded. */
static int add_host(struct conf_load *load, const struct conf_node *node, struct trusted *from)
{
    struct wr_addr found[ADDRS_MAX];
    uint32_t n = web_host_addrs(conf_arg(node, 1), found, ADDRS_MAX);
    if (n == 0)
        return conf_fail(load, node, 1, "host not found in set_real_ip_from \"%s\"",
                         conf_str(node, 1));
    int err = 0;
    for (uint32_t i = 0; i < n && !err; i++)
        err = trusted_add_addr(from, load->arena, &found[i]);
    return err;
}

static int set_from(struct conf_load *load, const struct conf_node *node,
                    const struct conf_row *row, void *field)
{
    (void)row;
    struct wr_span text = conf_arg(node, 1);
    int rc = trusted_add(field, load->arena, text);
    if (rc == WR_E_SYNTAX && wr_span_find_char(text, '/') >= 0)
        return conf_fail(load, node, 1, "invalid parameter \"%.*s\"", WR_SPANF(text));
    if (rc == WR_E_SYNTAX)
        return add_host(load, node, field);
    if (rc > 0)
        conf_warn(load, node, 1, "low address bits of %.*s are meaningless", WR_SPANF(text));
    return rc < 0 ? rc : 0;
}

static int set_header(struct conf_load *load, const struct conf_node *node,
                      const struct conf_row *row, void *field)
{
    (void)load;
    (void)row;
    struct header *header = field;
    header->name = conf_arg(node, 1);
    header->source = FROM_FIELD;
    if (wr_span_eq(header->name, WR_LIT("proxy_protocol")))
        header->source = FROM_PROXY;
    else if (wr_span_ieq(header->name, WR_LIT("X-Forwarded-For")))
        header->source = FROM_FORWARDED;
    return 0;
}

/* ---- tables ------------------------------------------------------------------------------------------- */

static const struct conf_row rows[] = {
    {"set_real_ip_from", CONF_HSL, 1, 1, CONF_TWICE, CONF_AT_LOCATION, set_from,
     CONF_FIELD(struct realip_conf, from), NULL, NULL, "address | CIDR | unix: | host",
     "Believes what these say about their clients."},
    {"real_ip_header",                 CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, set_header,
     CONF_FIELD(struct realip_conf, header), "X-Real-IP", NULL,
     "field | X-Real-IP | X-Forwarded-For | proxy_protocol", "Where the address is found."},
    {"real_ip_recursive",        CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, conf_set_flag,
     CONF_FIELD(struct realip_conf, recursive), "off", NULL, "on | off",
     "Goes on to the last address that is not itself trusted."},
    {0         },
};

static const struct web_phase_row phases[] = {
    {WEB_POST_READ,  realip_server, realip_wanted},
    {WEB_PRE_ACCESS, realip_location, realip_wanted},
    {0},
};

static const struct web_var variables[] = {
    {"realip_remote_addr", get_addr, NULL, 0, 0},
    {"realip_remote_port",                get_port, NULL, 0, 0},
    {0                  },
};

/* ---- the module --------------------------------------------------------------------------------------- */

const struct web_module realip_module = {
    .conf = {.name = "http_realip",
             .size = {[CONF_AT_LOCATION] = sizeof(struct realip_conf)},
             .rows = rows},
    .phases = phases,
    .variables = variables,
};
