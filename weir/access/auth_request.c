/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who may come in, by asking another location: auth_request, auth_request_set.
 *
 *     auth_request /auth;  auth_request_set $user $upstream_http_x_user;
 *
 * A subrequest without a body goes to the URI. 2xx lets the request in, 401 and 403 are passed on (401 with
 * its WWW-Authenticate), anything else is our own failure: 500. What auth_request_set takes from the answer
 * is evaluated in the subrequest as soon as it has ended.
 */
#include "libweir/io/log.h"
#include "weir/access/delay.h"

#include <errno.h>

/* ---- configuration ------------------------------------------------------------------------------------ */

struct assignment {
    struct assignment *next;
    uint32_t index;
    struct web_value value;
    struct web_var var;
};

struct location_conf {
    struct wr_span uri; /* p == NULL: off */
    struct assignment *sets;
};

/* ---- run time ----------------------------------------------------------------------------------------- */

static int assign(struct web_req *r, struct web_req *sub, const struct location_conf *conf)
{
    for (const struct assignment *a = conf->sets; a; a = a->next) {
        struct wr_span value;
        int err = web_value_eval(sub, &a->value, &value);
        if (!err)
            err = wr_arena_dup(r->arena, value, &value);
        if (err)
            return err;
        web_var_put(r, a->index, value);
    }
    return 0;
}

static int pass_challenge(struct web_req *r, const struct web_req *sub)
{
    for (const struct web_header *h = sub->out.headers; h; h = h->next) {
        struct wr_span value;
        if (!h->value.p || !wr_span_ieq(h->name, WR_LIT("WWW-Authenticate")))
            continue;
        int err = wr_arena_dup(r->arena, h->value, &value);
        if (!err)
            err = web_header_add(r, WR_LIT("WWW-Authenticate"), value);
        if (err)
            return err;
    }
    return 0;
}

static int verdict(struct web_req *r, const struct web_req *sub, int rc)
{
    int status = sub->out.status;
    if (rc == WEB_ERROR)
        status = 0;
    if (status == 403)
        return 403;
    if (status == 401)
        return pass_challenge(r, sub) < 0 ? 500 : access_unauthorized(r);
    if (status >= 200 && status < 300)
        return WEB_OK;
    web_error(r, WR_LOG_ERROR, 0, "auth request unexpected status: %d", status);
    return 500;
}

static void on_done(struct web_req *sub, int rc, void *arg)
{
    struct web_req *r = arg;
    const struct location_conf *conf = web_location_conf(r, auth_request);
    int result = assign(r, sub, conf) < 0 ? 500 : verdict(r, sub, rc);
    if (result != WEB_LATER)
        web_resume(r, result);
}

static int ask(struct web_req *r)
{
    const struct location_conf *conf = web_location_conf(r, auth_request);
    struct web_sub_options options = {
        .uri = conf->uri, .no_body = true, .done = on_done, .arg = r};
    struct web_req *sub;
    return web_subrequest(r, &options, &sub) < 0 ? 500 : WEB_LATER;
}

static bool wanted(const struct web_location *location)
{
    const struct location_conf *conf = location->conf[WEB_auth_request];
    return conf->uri.p != NULL;
}

/* ---- setters ------------------------------------------------------------------------------------------ */

static int set_uri(struct conf_load *load, const struct conf_node *node,
                   const struct conf_row *row, void *field)
{
    struct wr_span *uri = field;
    (void)load;
    (void)row;
    bool off = wr_span_eq(conf_arg(node, 1), WR_LIT("off"));
    *uri = off ? (struct wr_span){0} : conf_arg(node, 1);
    return 0;
}

static int get_nothing(struct web_req *r, const struct web_var *v, struct wr_span rest,
                       struct web_val *out)
{
    (void)r;
    (void)v;
    (void)rest;
    out->found = false;
    return 0;
}

static int set_assignment(struct conf_load *load, const struct conf_node *node,
                          const struct conf_row *row, void *field)
{
    struct assignment **at = field, *a = wr_arena_zalloc(load->arena, sizeof *a);
    struct wr_span name = conf_arg(node, 1);
    (void)row;
    if (!a)
        return -ENOMEM;
    if (name.n < 2 || name.p[0] != '$')
        return conf_fail(load, node, 1, "invalid variable name \"%.*s\"", WR_SPANF(name));
    name = wr_span_sub(name, 1, name.n);
    a->var = (struct web_var){.get = get_nothing, .flags = WEB_VAR_CHANGEABLE | WEB_VAR_WEAK};
    int r = web_var_define(load, node, 1, name, &a->var);
    if (!r)
        r = web_var_index(load, node, 1, name, &a->index);
    if (!r)
        r = web_value_compile(load, node, 2, conf_arg(node, 2), &a->value);
    while (*at)
        at = &(*at)->next;
    *at = a;
    return r;
}

/* ---- tables ------------------------------------------------------------------------------------------- */

static const struct conf_row rows[] = {
    {"auth_request", CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, set_uri,
     CONF_FIELD(struct location_conf, uri), NULL, NULL, "uri | off",
     "Lets in whom a subrequest to the URI lets in."},
    {"auth_request_set",             CONF_HSL, 2, 2, CONF_TWICE, CONF_AT_LOCATION, set_assignment,
     CONF_FIELD(struct location_conf, sets), NULL, NULL, "$variable value",
     "Sets a variable when the subrequest has ended."},
    {0            },
};

static const struct web_phase_row phases[] = {
    {WEB_ACCESS, ask, wanted},
    {0   },
};

/* ---- the module --------------------------------------------------------------------------------------- */

const struct web_module auth_request_module = {
    .conf = {.name = "http_auth_request",
             .size = {[CONF_AT_LOCATION] = sizeof(struct location_conf)},
             .rows = rows},
    .phases = phases,
};
