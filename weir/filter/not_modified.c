/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Conditional requests: 304 when the client has it already, 412 when it has something else.
 *
 * The core's if_modified_since says how times compare. Every condition that the request makes must hold, in nginx's reading: 304 needs If-None-Match and
 * If-Modified-Since to agree where both were sent, so a changed file is never taken for an old one. A
 * condition that cannot be read does not hold.
 */
#include "weir/web/core.h"

#include "libweir/http/token.h"

/* ---- run time ----------------------------------------------------------------------------------------- */

static bool date_of(struct web_req *r, enum wr_header id, int64_t *out_s)
{
    int64_t now_s = (int64_t)(wr_loop_wall_ns(web_loop(r)) / 1000000000u);
    return wr_date_parse(wr_head_get(r->head, id), now_s, out_s) == 0;
}

static bool modified_since(struct web_req *r)
{
    int how = core_of(r->location)->if_modified_since;
    int64_t since;
    if (how == CORE_MODIFIED_OFF || r->out.last_modified < 0 ||
        !date_of(r, WR_H_IF_MODIFIED_SINCE, &since))
        return true;
    if (since == r->out.last_modified)
        return false;
    return how == CORE_MODIFIED_EXACT || since < r->out.last_modified;
}

static bool unmodified_since(struct web_req *r)
{
    int64_t since;
    return r->out.last_modified >= 0 && date_of(r, WR_H_IF_UNMODIFIED_SINCE, &since) &&
           since >= r->out.last_modified;
}

static bool tag_is_listed(struct web_req *r, enum wr_header id, bool weak)
{
    const struct wr_field *f;
    uint32_t at = 0;
    while ((f = wr_head_next(r->head, id, &at)))
        if (wr_span_eq(f->value, WR_LIT("*")) ||
            (r->out.etag.n && wr_etag_list_match(f->value, r->out.etag, weak) == 1))
            return true;
    return false;
}

static int answer_not_modified(struct web_req *r)
{
    r->out.status = 304;
    r->out.status_line = (struct wr_span){0};
    r->out.type = r->out.encoding = (struct wr_span){0};
    r->out.length = WEB_LENGTH_UNKNOWN;
    r->out.allow_ranges = false;
    struct web_header *ranges = web_header_find(&r->out, WR_LIT("Accept-Ranges"));
    if (ranges)
        ranges->value.p = NULL;
    return 0;
}

static int not_modified_head(struct web_req *r)
{
    const struct wr_head *head = r->head;
    if (r->out.status != 200 || r != r->main || r->error_page)
        return 0;
    if (wr_head_has(head, WR_H_IF_UNMODIFIED_SINCE) && !unmodified_since(r))
        return 412;
    if (wr_head_has(head, WR_H_IF_MATCH) && !tag_is_listed(r, WR_H_IF_MATCH, false))
        return 412;
    bool since = wr_head_has(head, WR_H_IF_MODIFIED_SINCE);
    bool tag = wr_head_has(head, WR_H_IF_NONE_MATCH);
    if ((!since && !tag) || (since && modified_since(r)) ||
        (tag && !tag_is_listed(r, WR_H_IF_NONE_MATCH, true)))
        return 0;
    return answer_not_modified(r);
}

/* Conditions apart, which hot answers are not for. */
static bool not_modified_fixed(const struct web_location *location)
{
    (void)location;
    return true;
}

/* ---- the module --------------------------------------------------------------------------------------- */

const struct web_module not_modified_module = {
    .conf = {.name = "http_not_modified"},
    .head_filter = not_modified_head,
    .head_fixed = not_modified_fixed,
};
