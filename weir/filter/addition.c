/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Module addition: answers of other locations put before and behind this one's body.
 *
 * add_before_body, add_after_body, addition_types.
 */

#include "libweir/base/err.h"
#include "weir/web/encoding.h"

#include <errno.h>

struct addition_location {
    struct wr_span before, after;
    struct web_types types;
};

/* ---- run time ------------------------------------------------------------------------------------------- */

struct addition {
    struct web_filter filter; /* first */
    bool begun;
    bool after_due; /* the body has come to its end, not yet to the client */
};

static int add(struct web_req *r, struct wr_span uri)
{
    struct web_sub_options options = {.uri = uri};
    struct web_req *sub;
    return uri.n ? web_subrequest(r, &options, &sub) : 0;
}

/* A subrequest's place is behind what has left the filters: those that follow may still hold some of the body. */
static int add_after(struct web_filter *f, struct web_req *r)
{
    struct addition *a = (struct addition *)f;
    const struct addition_location *conf = web_location_conf(r, addition);
    a->after_due = f->holds = false;
    if (add(r, conf->after))
        return WEB_ERROR;
    struct web_piece end = {.kind = WEB_MEM, .last = true};
    return web_filter_next(f, r, &end);
}

static int addition_body(struct web_filter *f, struct web_req *r, struct web_piece *in)
{
    struct addition *a = (struct addition *)f;
    const struct addition_location *conf = web_location_conf(r, addition);
    if (!a->begun) {
        a->begun = true;
        if (add(r, conf->before))
            return WEB_ERROR;
    }
    struct web_piece *last = in;
    while (last && !last->last)
        last = last->next;
    if (last && conf->after.n) {
        last->last = false;
        last->flush = true;
        a->after_due = f->holds = true;
    }
    int rc = web_filter_next(f, r, in);
    return rc || !a->after_due ? rc : add_after(f, r);
}

static int addition_head(struct web_req *r)
{
    const struct addition_location *conf = web_location_conf(r, addition);
    if (r->out.status != 200 || r != r->main || !web_types_has(&conf->types, r->out.type))
        return 0;
    struct addition *a = wr_arena_zalloc(r->arena, sizeof *a);
    if (!a)
        return WEB_ERROR;
    a->filter.body = addition_body;
    web_clear_length(r);
    web_clear_ranges(r);
    web_weaken_etag(r);
    if (!r->header_only)
        web_filter_push(r, &a->filter);
    return 0;
}

/* ---- configuration ------------------------------------------------------------------------------------ */

static const struct conf_row rows[] = {
    {"add_before_body", CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, conf_set_text,
     CONF_FIELD(struct addition_location, before), NULL, NULL, "uri",
     "Puts the answer to a subrequest before the body; an empty uri takes an inherited one "
     "back."},
    {"add_after_body",                CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, conf_set_text,
     CONF_FIELD(struct addition_location, after), NULL, NULL, "uri",
     "Puts the answer to a subrequest behind the body."},
    {"addition_types",                CONF_HSL, 1, CONF_MANY, CONF_TWICE, CONF_AT_LOCATION, web_set_types,
     CONF_FIELD(struct addition_location, types), "text/html", "text/html", "mime-type ...",
     "The media types to which is added, in addition to text/html; * is every one."},
    {0   },
};

static bool addition_wanted(const struct web_location *location)
{
    const struct addition_location *conf = location->conf[WEB_addition];
    return conf->before.n || conf->after.n;
}

const struct web_module addition_module = {
    .conf = {.name = "http_addition",
             .size = {[CONF_AT_LOCATION] = sizeof(struct addition_location)},
             .rows = rows},
    .head_filter = addition_head,
    .head_wanted = addition_wanted,
};
