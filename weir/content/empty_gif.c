/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A picture of one transparent pixel, from memory.
 *
 *     empty_gif;
 */
#include "weir/web/site.h"

/* GIF89a, 1 x 1, two colours, the first of them transparent; and the date that such pictures bear. */
static const char gif[] = "GIF89a\1\0\1\0\200\1\0\0\0\0\377\377\377"
                          "!\371\4\1\0\0\1\0,\0\0\0\0\1\0\1\0\0\2\2L\1\0;";
#define GIF_MODIFIED_S 23349600

/* ---- run time ----------------------------------------------------------------------------------------------- */

static int empty_gif_handler(struct web_req *r)
{
    if (r->method != WR_METHOD_GET && r->method != WR_METHOD_HEAD)
        return 405;
    int rc = web_discard_body(r);
    if (rc)
        return rc;
    r->out.last_modified = GIF_MODIFIED_S;
    return web_reply(r, 200, WR_LIT("image/gif"), wr_span(gif, sizeof gif - 1));
}

/* ---- configuration ------------------------------------------------------------------------------------------------ */

static int set_handler(struct conf_load *load, const struct conf_node *node,
                       const struct conf_row *row, void *field)
{
    (void)node, (void)row, (void)field;
    site_scope_location(load)->handler = empty_gif_handler;
    return 0;
}

/* ---- tables --------------------------------------------------------------------------------------------------------- */

static const struct conf_row rows[] = {
    {"empty_gif", CONF_LOCATION, 0, 0, 0, CONF_AT_LOCATION, set_handler, CONF_NO_FIELD, NULL,
     NULL, "", "Answers with a transparent picture of one pixel."},
    {0         },
};

/* ---- the module ------------------------------------------------------------------------------------------------------ */

const struct web_module empty_gif_module = {
    .conf = {.name = "http_empty_gif", .rows = rows},
};
