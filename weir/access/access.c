/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who may come in, by address: allow, deny.
 *
 *     allow 10.0.0.0/8;  deny 10.1.2.3;  allow unix:;  deny all;
 *
 * The rules of a block are asked in the order of the file and the first that holds the client's address
 * decides; none does: the next module is asked. A block with a rule of its own takes none from outside.
 */
#include "libweir/base/err.h"
#include "libweir/io/log.h"
#include "libweir/io/net.h"
#include "weir/web/web.h"

#include <errno.h>

/* ---- configuration ------------------------------------------------------------------------------------ */

enum rule_kind {
    RULE_ALL,
    RULE_NET,
    RULE_UNIX
};

struct rule {
    struct wr_net net;
    uint8_t kind;
    bool deny;
};

struct rules {
    struct rule *list;
    uint32_t n, room;
};

struct location_conf {
    struct rules rules;
};

/* ---- run time ----------------------------------------------------------------------------------------- */

static bool rule_holds(const struct rule *rule, const struct wr_addr *client)
{
    switch ((enum rule_kind)rule->kind) {
    case RULE_ALL:
        return true;
    case RULE_UNIX:
        return client->kind == WR_ADDR_UNIX;
    case RULE_NET:
        return wr_net_has(&rule->net, client);
    }
    return false;
}

static int access_check(struct web_req *r)
{
    const struct location_conf *conf = web_location_conf(r, access);
    for (uint32_t i = 0; i < conf->rules.n; i++) {
        const struct rule *rule = &conf->rules.list[i];
        if (!rule_holds(rule, &r->client))
            continue;
        if (!rule->deny)
            return WEB_OK;
        web_error(r, WR_LOG_ERROR, 0, "access forbidden by rule");
        return 403;
    }
    return WEB_NEXT;
}

static bool access_wanted(const struct web_location *location)
{
    const struct location_conf *conf = location->conf[WEB_access];
    return conf->rules.n > 0;
}

/* ---- setters ------------------------------------------------------------------------------------------ */

static struct rule *rule_add(struct wr_arena *arena, struct rules *rules)
{
    if (rules->n == rules->room) {
        uint32_t room = rules->room ? rules->room * 2 : 4;
        struct rule *list = wr_arena_alloc(arena, room * sizeof *list);
        if (!list)
            return NULL;
        if (rules->n)
            memcpy(list, rules->list, rules->n * sizeof *list);
        rules->list = list;
        rules->room = room;
    }
    return &rules->list[rules->n++];
}

static int set_rule(struct conf_load *load, const struct conf_node *node,
                    const struct conf_row *row, void *field)
{
    struct wr_span text = conf_arg(node, 1);
    struct rule rule = {.deny = strcmp(row->name, "deny") == 0};
    int surplus = 0;
    if (wr_span_eq(text, WR_LIT("all")))
        rule.kind = RULE_ALL;
    else if (wr_span_eq(text, WR_LIT("unix:")))
        rule.kind = RULE_UNIX;
    else {
        rule.kind = RULE_NET;
        surplus = wr_net_parse(text, &rule.net);
    }
    if (surplus < 0)
        return conf_fail(load, node, 1, "invalid parameter \"%.*s\"", WR_SPANF(text));
    if (surplus > 0)
        conf_warn(load, node, 1, "low address bits of %.*s are meaningless", WR_SPANF(text));
    struct rule *place = rule_add(load->arena, field);
    if (!place)
        return -ENOMEM;
    *place = rule;
    return 0;
}

/* ---- tables ------------------------------------------------------------------------------------------- */

#define ANYWHERE (CONF_HSL | CONF_LIMIT_EXCEPT)

static const struct conf_row rows[] = {
    {"allow",     ANYWHERE, 1, 1, CONF_TWICE, CONF_AT_LOCATION, set_rule,
     CONF_FIELD(struct location_conf, rules), NULL, NULL, "address | CIDR | unix: | all",
     "Lets the network or address in."},
    {"deny",          ANYWHERE, 1, 1, CONF_TWICE, CONF_AT_LOCATION, set_rule,
     CONF_FIELD(struct location_conf, rules), NULL, NULL, "address | CIDR | unix: | all",
     "Refuses the network or address with 403."},
    {0},
};

static const struct web_phase_row phases[] = {
    {WEB_ACCESS,     access_check, access_wanted},
    {0},
};

/* ---- the module --------------------------------------------------------------------------------------- */

const struct web_module access_module = {
    .conf = {.name = "http_access",
             .size = {[CONF_AT_LOCATION] = sizeof(struct location_conf)},
             .rows = rows},
    .phases = phases,
};
