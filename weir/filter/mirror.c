/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The same request once more, somewhere else: mirror, mirror_request_body.
 *
 *     location / { mirror /mirror; }
 *     location = /mirror { internal; ... }
 *
 * Each URI gets a subrequest in the background whose answer nobody sees or waits for; method, arguments and,
 * unless mirror_request_body is off, the body are the request's own. The body has to be there first: it is
 * read before the content is made.
 */
#include "weir/web/web.h"

#include <errno.h>

/* ---- configuration ------------------------------------------------------------------------------------ */

struct mirror {
    struct mirror *next;
    struct wr_span uri;
};

struct mirrors {
    struct mirror *first, *last;
    bool off;
};

struct location_conf {
    struct mirrors mirrors;
    bool body;
};

/* ---- run time ----------------------------------------------------------------------------------------- */

/* One that cannot be made is missed by nobody but the error log. */
static void send_copies(struct web_req *r)
{
    const struct location_conf *conf = web_location_conf(r, mirror);
    for (const struct mirror *m = conf->mirrors.first; m; m = m->next) {
        struct web_sub_options options = {.uri = m->uri,
                                          .args = r->args,
                                          .no_body = true,
                                          .background = true,
                                          .clone_body = conf->body};
        struct web_req *sub;
        if (web_subrequest(r, &options, &sub) < 0)
            return;
        sub->method = r->method;
        sub->method_text = r->method_text;
    }
}

static void on_body(struct web_req *r)
{
    send_copies(r);
    web_resume(r, WEB_NEXT);
}

static int mirror_request(struct web_req *r)
{
    const struct location_conf *conf = web_location_conf(r, mirror);
    if (r != r->main)
        return WEB_NEXT;
    if (conf->body)
        return web_read_body(r, on_body);
    send_copies(r);
    return WEB_NEXT;
}

static bool mirror_wanted(const struct web_location *location)
{
    const struct location_conf *conf = location->conf[WEB_mirror];
    return conf->mirrors.first != NULL;
}

/* ---- setters ------------------------------------------------------------------------------------------ */

static int set_mirror(struct conf_load *load, const struct conf_node *node,
                      const struct conf_row *row, void *field)
{
    struct mirrors *list = field;
    bool off = wr_span_eq(conf_arg(node, 1), WR_LIT("off"));
    (void)row;
    if (list->off || (off && list->first))
        return conf_fail(load, node, 0, "is duplicate");
    list->off = off;
    if (off)
        return 0;
    struct mirror *m = wr_arena_zalloc(load->arena, sizeof *m);
    if (!m)
        return -ENOMEM;
    m->uri = conf_arg(node, 1);
    if (list->last)
        list->last->next = m;
    else
        list->first = m;
    list->last = m;
    return 0;
}

/* ---- tables ------------------------------------------------------------------------------------------- */

static const struct conf_row rows[] = {
    {"mirror",    CONF_HSL, 1, 1, CONF_TWICE, CONF_AT_LOCATION, set_mirror,
     CONF_FIELD(struct location_conf, mirrors), NULL, NULL, "uri | off",
     "Sends a copy of each request there and ignores the answer."},
    {"mirror_request_body",          CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, conf_set_flag,
     CONF_FIELD(struct location_conf, body), "on", NULL, "on | off",
     "Whether copies have the request's body."},
    {0},
};

static const struct web_phase_row phases[] = {
    {WEB_PRE_CONTENT, mirror_request, mirror_wanted},
    {0 },
};

/* ---- the module --------------------------------------------------------------------------------------- */

const struct web_module mirror_module = {
    .conf = {.name = "http_mirror",
             .size = {[CONF_AT_LOCATION] = sizeof(struct location_conf)},
             .rows = rows},
    .phases = phases,
};
