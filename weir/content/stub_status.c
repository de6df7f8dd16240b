/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Seven numbers about connections, in nginx's shape; and four of them as variables.
 *
 *     stub_status;      $connections_active $connections_reading $connections_writing $connections_waiting
 *
 * Of all workers together where they share a scoreboard; siblings' words are at most half a second old.
 */
#include "weir/web/site.h"
#include "weir/web/worker.h"

#include <inttypes.h>

/* ---- run time ----------------------------------------------------------------------------------------------- */

static int stub_status_handler(struct web_req *r)
{
    if (r->method != WR_METHOD_GET && r->method != WR_METHOD_HEAD)
        return 405;
    int rc = web_discard_body(r);
    if (rc)
        return rc;
    struct web_totals t = web_worker_totals(web_worker_of(r));
    char *text = wr_arena_printf(
        r->arena,
        "Active connections: %" PRIu64 " \nserver accepts handled requests\n %" PRIu64
        " %" PRIu64 " %" PRIu64 " \nReading: %" PRIu64 " Writing: %" PRIu64 " Waiting: %" PRIu64
        " \n",
        t.active, t.accepted, t.accepted, t.requests, t.reading, t.writing, t.waiting);
    return text ? web_reply(r, 200, WR_LIT("text/plain"), wr_span_str(text)) : 500;
}

static int get_number(struct web_req *r, const struct web_var *v, struct wr_span rest,
                      struct web_val *out)
{
    struct web_totals t = web_worker_totals(web_worker_of(r));
    const uint64_t *n = (const void *)((const char *)&t + v->data);
    (void)rest;
    char *text = wr_arena_printf(r->arena, "%" PRIu64, *n);
    if (!text)
        return -1;
    out->text = wr_span_str(text);
    out->found = true;
    return 0;
}

/* ---- configuration ------------------------------------------------------------------------------------------------ */

static int set_handler(struct conf_load *load, const struct conf_node *node,
                       const struct conf_row *row, void *field)
{
    (void)node, (void)row, (void)field;
    struct web_location *l = site_scope_location(load);
    if (!l) /* in `server`: what no location takes */
        l = (struct web_location *)(uintptr_t)site_scope_server(load)->outer;
    l->handler = stub_status_handler;
    return 0;
}

/* ---- tables --------------------------------------------------------------------------------------------------------- */

static const struct conf_row rows[] = {
    {"stub_status", CONF_SERVER | CONF_LOCATION, 0, 1, 0, CONF_AT_LOCATION, set_handler,
     CONF_NO_FIELD, NULL, NULL, "", "Answers with numbers about connections."},
    {0           },
};

#define NUMBER(name, member)                                                          \
    {                                                                                 \
        name, get_number, NULL, WEB_VAR_NO_CACHE, offsetof(struct web_totals, member) \
    }

static const struct web_var variables[] = {
    NUMBER("connections_active", active),
    NUMBER("connections_reading", reading),
    NUMBER("connections_writing", writing),
    NUMBER("connections_waiting", waiting),
    {0},
};

/* ---- the module ------------------------------------------------------------------------------------------------------ */

const struct web_module stub_status_module = {
    .conf = {.name = "http_stub_status", .rows = rows},
    .variables = variables,
};
