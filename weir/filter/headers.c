/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Header lines and trailers of the configuration's own: add_header, add_trailer, expires.
 *
 *     expires [modified] time | @time | epoch | max | off;
 *     add_header name value [always];     add_header_inherit on | off | merge;
 *     add_trailer name value [always];    add_trailer_inherit on | off | merge;
 *
 * Lines go with the answers 200, 201, 204, 206, 301-304, 307 and 308, with `always` with every one; a line
 * whose value is empty is left out. A block with an add_header of its own takes none from outside, unless
 * it says merge. Trailers need chunks: an answer of known length gives its length up for them.
 */
#include "weir/web/web.h"

#include "libweir/os/os.h"

#include <errno.h>
#include <inttypes.h>

#define DAY (24 * 60 * 60)

enum line_kind {
    LINE_PLAIN,         /* appended */
    LINE_LAST_MODIFIED, /* replaces what the handler said; empty takes it out */
    LINE_ETAG,
};

struct line {
    struct wr_span name;
    struct web_value value;
    uint8_t kind;
    bool always;
};

struct lines {
    struct line *list;
    uint32_t n, room;
};

enum inherit {
    INHERIT_ON,
    INHERIT_OFF,
    INHERIT_MERGE
};

enum expires_kind {
    EXPIRES_OFF,
    EXPIRES_EPOCH,
    EXPIRES_MAX,
    EXPIRES_ACCESS,   /* so many seconds from now */
    EXPIRES_MODIFIED, /* from the last modification */
    EXPIRES_DAILY,    /* at that second of the day, local time */
    EXPIRES_VARIABLE
};

struct expires {
    int kind;
    int64_t seconds;
    struct web_value value;
};

struct location_conf {
    struct lines headers, trailers;
    int headers_inherit, trailers_inherit;
    struct expires expires;
};

/* ---- expires ------------------------------------------------------------------------------------------ */

/* NULL, or what is wrong with it. */
static const char *expires_read(struct wr_span text, bool modified, struct expires *out)
{
    static const struct conf_enum words[] = {
        {"epoch", EXPIRES_EPOCH},
        {"max",   EXPIRES_MAX  },
        {"off",   EXPIRES_OFF  }
    };
    for (unsigned i = 0; i < WR_ARRAY_LEN(words) && !modified; i++)
        if (wr_span_eq(text, wr_span_str(words[i].name))) {
            out->kind = words[i].value;
            return NULL;
        }
    bool minus = text.n && text.p[0] == '-';
    bool daily = text.n && text.p[0] == '@';
    if (daily && modified)
        return "daily time cannot be used with \"modified\" parameter";
    if (minus || daily || (text.n && text.p[0] == '+'))
        text = wr_span_sub(text, 1, text.n);
    uint64_t s;
    if (conf_read_sec(text, &s))
        return "invalid value";
    if (daily && s > DAY)
        return "daily time value must be less than 24 hours";
    out->kind = daily ? EXPIRES_DAILY : modified ? EXPIRES_MODIFIED : EXPIRES_ACCESS;
    out->seconds = minus ? -(int64_t)s : (int64_t)s;
    return NULL;
}

/* When it is that second of the day again. */
static int64_t daily_next(int64_t now_s, int64_t second)
{
    struct tm tm;
    wr_os_calendar(now_s, false, &tm);
    int64_t today = tm.tm_hour * 3600 + tm.tm_min * 60 + tm.tm_sec;
    int64_t wait = second - today;
    return now_s + (wait > 0 ? wait : wait + DAY);
}

static void take_out(struct web_req *r, struct wr_span name)
{
    struct web_header *h;
    while ((h = web_header_find(&r->out, name)))
        h->value.p = NULL;
}

static int expires_put(struct web_req *r, struct wr_span expires, struct wr_span control)
{
    take_out(r, WR_LIT("Expires"));
    take_out(r, WR_LIT("Cache-Control"));
    int err = web_header_add(r, WR_LIT("Expires"), expires);
    return err ? err : web_header_add(r, WR_LIT("Cache-Control"), control);
}

static int expires_put_time(struct web_req *r, int64_t at_s, int64_t max_age, bool never)
{
    char *date = wr_arena_alloc(r->arena, WR_DATE_LEN);
    if (!date)
        return -ENOMEM;
    wr_date_format(at_s, date);
    struct wr_span control = WR_LIT("no-cache");
    if (!never && max_age >= 0) {
        char *text = wr_arena_printf(r->arena, "max-age=%" PRId64, max_age);
        if (!text)
            return -ENOMEM;
        control = wr_span_str(text);
    }
    return expires_put(r, wr_span(date, WR_DATE_LEN), control);
}

static int expires_set(struct web_req *r, const struct expires *e)
{
    int64_t now_s = (int64_t)(wr_loop_wall_ns(web_loop(r)) / 1000000000u);
    int64_t at_s = now_s + e->seconds;
    switch ((enum expires_kind)e->kind) {
    case EXPIRES_EPOCH:
        return expires_put(r, WR_LIT("Thu, 01 Jan 1970 00:00:01 GMT"), WR_LIT("no-cache"));
    case EXPIRES_MAX:
        return expires_put(r, WR_LIT("Thu, 31 Dec 2037 23:55:55 GMT"),
                           WR_LIT("max-age=315360000"));
    case EXPIRES_DAILY:
        at_s = daily_next(now_s, e->seconds);
        break;
    case EXPIRES_MODIFIED:
        if (e->seconds == 0)
            at_s = now_s;
        else if (r->out.last_modified >= 0)
            at_s = r->out.last_modified + e->seconds;
        break;
    case EXPIRES_ACCESS:
        break;
    case EXPIRES_OFF:
    case EXPIRES_VARIABLE:
        return 0;
    }
    return expires_put_time(r, at_s, at_s - now_s, e->seconds < 0);
}

static int expires_apply(struct web_req *r, const struct expires *conf)
{
    if (conf->kind != EXPIRES_VARIABLE)
        return expires_set(r, conf);
    struct wr_span text;
    struct expires e = {0};
    int err = web_value_eval(r, &conf->value, &text);
    if (err || text.n == 0)
        return err;
    return expires_read(text, false, &e) ? 0 : expires_set(r, &e);
}

/* ---- lines -------------------------------------------------------------------------------------------- */

static bool is_ordinary(int status)
{
    switch (status) {
    case 200:
    case 201:
    case 204:
    case 206:
    case 301:
    case 302:
    case 303:
    case 304:
    case 307:
    case 308:
        return true;
    default:
        return false;
    }
}

static int set_last_modified(struct web_req *r, struct wr_span value)
{
    int64_t now_s = (int64_t)(wr_loop_wall_ns(web_loop(r)) / 1000000000u);
    r->out.last_modified_text = value;
    if (value.n == 0 || wr_date_parse(value, now_s, &r->out.last_modified))
        r->out.last_modified = -1;
    return 0;
}

static int line_put(struct web_req *r, const struct line *line)
{
    struct wr_span value;
    int err = web_value_eval(r, &line->value, &value);
    if (err)
        return err;
    switch ((enum line_kind)line->kind) {
    case LINE_LAST_MODIFIED:
        return set_last_modified(r, value);
    case LINE_ETAG:
        r->out.etag = value;
        return 0;
    case LINE_PLAIN:
        break;
    }
    return value.n ? web_header_add(r, line->name, value) : 0;
}

/* ---- trailers ----------------------------------------------------------------------------------------- */

static bool has_trailers(const struct location_conf *conf, bool ordinary)
{
    for (uint32_t i = 0; i < conf->trailers.n; i++)
        if (ordinary || conf->trailers.list[i].always)
            return true;
    return false;
}

/* What a variable says when the body has passed. */
static int trailers_put(struct web_req *r)
{
    const struct location_conf *conf = web_location_conf(r, headers);
    bool ordinary = is_ordinary(r->out.status);
    for (uint32_t i = 0; i < conf->trailers.n; i++) {
        const struct line *line = &conf->trailers.list[i];
        struct wr_span value;
        if (!ordinary && !line->always)
            continue;
        if (web_value_eval(r, &line->value, &value))
            return WEB_ERROR;
        if (value.n == 0)
            continue;
        struct web_header *h = wr_arena_alloc(r->arena, sizeof *h);
        if (!h)
            return WEB_ERROR;
        *h = (struct web_header){.name = line->name, .value = value};
        if (!r->out.trailers_tail)
            r->out.trailers_tail = &r->out.trailers;
        *r->out.trailers_tail = h;
        r->out.trailers_tail = &h->next;
    }
    return 0;
}

static int trailer_body(struct web_filter *f, struct web_req *r, struct web_piece *in)
{
    for (const struct web_piece *p = in; p; p = p->next)
        if (p->last && trailers_put(r))
            return WEB_ERROR;
    return web_filter_next(f, r, in);
}

/* Only chunks carry them, and only HTTP/1.1 has chunks. */
static int expect_trailers(struct web_req *r)
{
    if (r->header_only || r->out.status == 304 || r->out.status == 204 || r->head->minor == 0)
        return 0;
    struct web_filter *f = wr_arena_zalloc(r->arena, sizeof *f);
    if (!f)
        return -ENOMEM;
    f->body = trailer_body;
    web_filter_push(r, f);
    r->out.expect_trailers = true;
    return 0;
}

static int headers_head(struct web_req *r)
{
    const struct location_conf *conf = web_location_conf(r, headers);
    if (r != r->main)
        return 0;
    bool ordinary = is_ordinary(r->out.status);
    int err = ordinary ? expires_apply(r, &conf->expires) : 0;
    for (uint32_t i = 0; i < conf->headers.n && !err; i++)
        if (ordinary || conf->headers.list[i].always)
            err = line_put(r, &conf->headers.list[i]);
    if (!err && has_trailers(conf, ordinary))
        err = expect_trailers(r);
    return err ? 500 : 0;
}

static bool headers_wanted(const struct web_location *location)
{
    const struct location_conf *conf = location->conf[WEB_headers];
    return conf->headers.n || conf->trailers.n || conf->expires.kind != EXPIRES_OFF;
}

/* The same lines for every answer: constants, and no time that passes. */
static bool headers_fixed(const struct web_location *location)
{
    const struct location_conf *conf = location->conf[WEB_headers];
    int kind = conf->expires.kind;
    if (conf->trailers.n ||
        (kind != EXPIRES_OFF && kind != EXPIRES_EPOCH && kind != EXPIRES_MAX))
        return false;
    for (uint32_t i = 0; i < conf->headers.n; i++)
        if (!web_value_constant(&conf->headers.list[i].value))
            return false;
    return true;
}

/* ---- setters ------------------------------------------------------------------------------------------ */

static struct line *lines_add(struct wr_arena *arena, struct lines *lines)
{
    if (lines->n == lines->room) {
        uint32_t room = lines->room ? lines->room * 2 : 4;
        struct line *list = wr_arena_alloc(arena, room * sizeof *list);
        if (!list)
            return NULL;
        if (lines->n)
            memcpy(list, lines->list, lines->n * sizeof *list);
        lines->list = list;
        lines->room = room;
    }
    return &lines->list[lines->n++];
}

static int set_line(struct conf_load *load, const struct conf_node *node,
                    const struct conf_row *row, void *field)
{
    struct line line = {.name = conf_arg(node, 1)};
    bool trailer = row->data != NULL;
    if (!trailer && wr_span_ieq(line.name, WR_LIT("Last-Modified")))
        line.kind = LINE_LAST_MODIFIED;
    else if (!trailer && wr_span_ieq(line.name, WR_LIT("ETag")))
        line.kind = LINE_ETAG;
    if (node->nwords == 4) {
        if (!wr_span_eq(conf_arg(node, 3), WR_LIT("always")))
            return conf_fail(load, node, 3, "invalid parameter \"%s\"", conf_str(node, 3));
        line.always = true;
    }
    int err = web_value_compile(load, node, 2, conf_arg(node, 2), &line.value);
    if (err)
        return err;
    struct line *place = lines_add(load->arena, field);
    if (!place)
        return -ENOMEM;
    *place = line;
    return 0;
}

static int set_expires(struct conf_load *load, const struct conf_node *node,
                       const struct conf_row *row, void *field)
{
    struct expires *e = field;
    bool modified = node->nwords == 3;
    uint32_t word = node->nwords - 1;
    if (modified && !wr_span_eq(conf_arg(node, 1), WR_LIT("modified")))
        return conf_fail(load, node, 1, "invalid value \"%s\"", conf_str(node, 1));
    int err = web_value_compile(load, node, word, conf_arg(node, word), &e->value);
    if (err)
        return err;
    if (!web_value_constant(&e->value)) {
        e->kind = EXPIRES_VARIABLE;
        return 0;
    }
    const char *wrong = expires_read(conf_arg(node, word), modified, e);
    return wrong ? conf_fail(load, node, word, "\"%s\" directive %s", row->name, wrong) : 0;
}

/* `off` forgets what came from outside, `merge` puts it behind the block's own. */
static int inherit(struct conf_load *load, const struct conf_scope *scope, size_t offset,
                   enum inherit how, struct lines *own, const struct lines *outer)
{
    bool has = conf_scope_has(scope, CONF_AT_LOCATION, WEB_headers, offset);
    if (!has && how == INHERIT_OFF)
        *own = (struct lines){0};
    if (!has || how != INHERIT_MERGE)
        return 0;
    for (uint32_t i = 0; i < outer->n; i++) {
        struct line *place = lines_add(load->arena, own);
        if (!place)
            return -ENOMEM;
        *place = outer->list[i];
    }
    return 0;
}

static int headers_settle(struct conf_load *load, struct conf_scope *scope)
{
    if (!scope->parent || !scope->at[CONF_AT_LOCATION] ||
        !scope->parent->at[CONF_AT_LOCATION] ||
        scope->at[CONF_AT_LOCATION] == scope->parent->at[CONF_AT_LOCATION])
        return 0;
    struct location_conf *own = scope->at[CONF_AT_LOCATION][WEB_headers];
    const struct location_conf *outer = scope->parent->at[CONF_AT_LOCATION][WEB_headers];
    if (!own || !outer || own == outer)
        return 0;
    int err = inherit(load, scope, offsetof(struct location_conf, headers),
                      (enum inherit)own->headers_inherit, &own->headers, &outer->headers);
    return err ? err
               : inherit(load, scope, offsetof(struct location_conf, trailers),
                         (enum inherit)own->trailers_inherit, &own->trailers, &outer->trailers);
}

/* ---- tables ------------------------------------------------------------------------------------------- */

static const struct conf_enum inherit_names[] = {
    {"on",         INHERIT_ON},
    {"off",            INHERIT_OFF},
    {"merge",INHERIT_MERGE},
    {0     },
};

#define ANYWHERE (CONF_HSL | CONF_IF_LOCATION)

static const struct conf_row rows[] = {
    {"expires",    ANYWHERE, 1, 2, 0, CONF_AT_LOCATION, set_expires,
     CONF_FIELD(struct location_conf, expires), NULL, NULL,
     "[modified] time | @time | epoch | max | off", "Adds Expires and Cache-Control to answers, by a time from now, from the last "
     "modification, or of the day."},
    {"add_header",           ANYWHERE, 2, 3, CONF_TWICE, CONF_AT_LOCATION, set_line,
     CONF_FIELD(struct location_conf, headers), NULL, NULL, "name value [always]",
     "Adds a line to the head of an answer."},
    {"add_header_inherit",           CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, conf_set_enum,
     CONF_FIELD(struct location_conf, headers_inherit), "on", inherit_names, "on | off | merge",
     "What becomes of the add_header lines of outer blocks."},
    {"add_trailer", ANYWHERE, 2, 3, CONF_TWICE, CONF_AT_LOCATION, set_line,
     CONF_FIELD(struct location_conf, trailers), NULL, "trailer", "name value [always]",
     "Adds a line behind the body of an answer."},
    {"add_trailer_inherit",    CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, conf_set_enum,
     CONF_FIELD(struct location_conf, trailers_inherit), "on", inherit_names,
     "on | off | merge", "What becomes of the add_trailer lines of outer blocks."},
    {0       },
};

/* ---- the module --------------------------------------------------------------------------------------- */

const struct web_module headers_module = {
    .conf = {.name = "http_headers",
             .size = {[CONF_AT_LOCATION] = sizeof(struct location_conf)},
             .rows = rows,
             .settle = headers_settle},
    .head_filter = headers_head,
    .head_wanted = headers_wanted,
    .head_fixed = headers_fixed,
};
