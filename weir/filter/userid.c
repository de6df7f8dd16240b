/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A number for each client, in a cookie: userid, userid_name, userid_domain, userid_path, userid_expires, userid_mark,
 * userid_p3p, userid_service, userid_flags.
 *
 *     userid on;  userid_name uid;  userid_expires 365d;
 *
 * The number is four words: who gave it, when, in which process, and a count; the cookie is their base64. A client
 * without one gets one with the head of the answer. $uid_got is what came, $uid_set what was given, both in
 * hexadecimal as the words lie in memory. $uid_reset, set to something, takes no account of what came.
 *
 * Version 2 (on) has its words in network order, version 1 in the machine's, so that logs of both can be joined with
 * those that other servers wrote.
 */
#include "libweir/base/base64.h"
#include "libweir/base/err.h"
#include "libweir/io/log.h"
#include "libweir/os/os.h"
#include "weir/web/vars.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

/* ---- configuration ------------------------------------------------------------------------------------ */

enum mode {
    MODE_OFF,
    MODE_LOG, /* nothing is given; what came is read */
    MODE_V1,
    MODE_ON
};

enum flag {
    FLAG_SECURE = 1,
    FLAG_HTTPONLY = 2,
    FLAG_STRICT = 4,
    FLAG_LAX = 8,
    FLAG_NONE = 16,
    FLAG_OFF = 32,
};

#define EXPIRES_OFF 0
#define EXPIRES_MAX UINT64_MAX
#define NO_SERVICE  INT64_MIN

struct userid_conf {
    int mode;
    struct wr_span name, domain, path, p3p;
    uint64_t expires;
    char mark;
    int64_t service;
    uint32_t flags;
};

struct number {
    uint32_t word[4];
};

struct userid_ctx {
    struct number got, set; /* word[3] == 0: none */
    struct wr_span cookie;
    bool reset;
};

/* Of the http block, each process its own: numbers must differ between workers, and within one. */
struct userid_main {
    uint32_t start, count_v1, count_v2;
};

/* ---- run time: what came ------------------------------------------------------------------------------ */

#define NUMBER_SIZE 16
#define DIGITS      22 /* that carry a number; two more fill up */

static bool decode(struct wr_span s, struct number *out)
{
    char bytes[NUMBER_SIZE + 1];
    size_t n = 0;
    if (wr_base64_decode(wr_span_sub(s, 0, DIGITS), false, bytes, &n) || n != NUMBER_SIZE)
        return false;
    memcpy(out->word, bytes, sizeof(out->word));
    return true;
}

static struct userid_ctx *read_cookie(struct web_req *r, const struct userid_conf *conf)
{
    struct userid_ctx *ctx = r->ctx[WEB_userid];
    if (ctx)
        return ctx;
    ctx = wr_arena_zalloc(r->arena, sizeof(*ctx));
    if (!ctx)
        return NULL;
    r->ctx[WEB_userid] = ctx;
    if (!web_cookie(r, conf->name, &ctx->cookie))
        return ctx;
    if (ctx->cookie.n < DIGITS)
        web_error(r, WR_LOG_ERROR, 0, "client sent too short userid cookie \"%.*s\"",
                  WR_SPANF(ctx->cookie));
    else if (!decode(ctx->cookie, &ctx->got))
        web_error(r, WR_LOG_ERROR, 0, "client sent invalid userid cookie \"%.*s\"",
                  WR_SPANF(ctx->cookie));
    return ctx;
}

/* ---- run time: what is given --------------------------------------------------------------------------- */

static uint32_t server_number(struct web_req *r, const struct userid_conf *conf)
{
    uint32_t n = 0;
    if (conf->service != NO_SERVICE)
        return conf->mode == MODE_V1 ? (uint32_t)conf->service : htonl((uint32_t)conf->service);
    if (conf->mode == MODE_V1)
        return 0;
    const struct wr_addr *local = web_local(r);
    if (local && local->kind == WR_ADDR_V4)
        memcpy(&n, local->v4, sizeof(n));
    else if (local && local->kind == WR_ADDR_V6)
        memcpy(&n, local->v6 + 12, sizeof(n));
    return n;
}

static void make_number(struct web_req *r, const struct userid_conf *conf, struct number *out)
{
    struct userid_main *counter = web_main_conf(r, userid);
    uint32_t now = (uint32_t)(wr_loop_wall_ns(web_loop(r)) / 1000000000);
    out->word[0] = server_number(r, conf);
    if (conf->mode == MODE_V1) {
        out->word[1] = now;
        out->word[2] = counter->start;
        out->word[3] = counter->count_v1;
        counter->count_v1 += 0x100;
        return;
    }
    out->word[1] = htonl(now);
    out->word[2] = htonl(counter->start);
    out->word[3] = htonl(counter->count_v2);
    counter->count_v2 += 0x100;
    if (counter->count_v2 < 0x03030302)
        counter->count_v2 = 0x03030302;
}

static bool was_reset(struct web_req *r, struct userid_ctx *ctx, const struct userid_conf *conf)
{
    const struct web_val *v = web_var_by_name(r, WR_LIT("uid_reset"));
    if (!v->found || !v->text.n || wr_span_eq(v->text, WR_LIT("0")))
        return false;
    if (wr_span_eq(v->text, WR_LIT("log")) && ctx->got.word[3])
        web_error(r, WR_LOG_NOTICE, 0, "userid cookie \"%.*s=%08X%08X%08X%08X\" was reset",
                  WR_SPANF(conf->name), ctx->got.word[0], ctx->got.word[1], ctx->got.word[2],
                  ctx->got.word[3]);
    return true;
}

/* Once a request: decides whether a number goes out. */
static void give_number(struct web_req *r, struct userid_ctx *ctx,
                        const struct userid_conf *conf)
{
    if (ctx->set.word[3])
        return;
    if (ctx->got.word[3] && !was_reset(r, ctx, conf)) {
        struct wr_span c = ctx->cookie;
        if (!conf->mark ||
            (c.n > DIGITS + 1 && c.p[DIGITS] == conf->mark && c.p[DIGITS + 1] == '='))
            return;
        ctx->set = ctx->got; /* the same one, with the mark of today */
        return;
    }
    make_number(r, conf, &ctx->set);
}

static void encode(const struct number *n, char mark, char out[static 24])
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned char b[18] = {0};
    memcpy(b, n->word, NUMBER_SIZE);
    for (size_t i = 0; i < 6; i++) {
        uint32_t v = (uint32_t)b[3 * i] << 16 | (uint32_t)b[3 * i + 1] << 8 | b[3 * i + 2];
        for (size_t j = 0; j < 4; j++)
            out[4 * i + j] = digits[v >> (18 - 6 * j) & 63];
    }
    out[22] = mark ? mark : '=';
    out[23] = '=';
}

static const char *expires_text(struct web_req *r, const struct userid_conf *conf)
{
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct tm tm;
    if (conf->expires == EXPIRES_OFF)
        return "";
    if (conf->expires == EXPIRES_MAX)
        return "; expires=Thu, 31-Dec-37 23:55:55 GMT";
    int64_t at = (int64_t)(wr_loop_wall_ns(web_loop(r)) / 1000000000 + conf->expires);
    wr_os_calendar(at, true, &tm);
    int year = tm.tm_year + 1900;
    bool far_off = year > 2037;
    return wr_arena_printf(r->arena, "; expires=%s, %02d-%s-%0*d %02d:%02d:%02d GMT",
                           days[tm.tm_wday % 7], tm.tm_mday, months[tm.tm_mon % 12],
                           far_off ? 4 : 2, far_off ? year : year % 100, tm.tm_hour, tm.tm_min,
                           tm.tm_sec);
}

static int send_cookie(struct web_req *r, const struct userid_ctx *ctx,
                       const struct userid_conf *conf)
{
    char number[24];
    uint32_t flags = conf->flags;
    const char *expires = expires_text(r, conf);
    encode(&ctx->set, conf->mark, number);
    char *text =
        expires ? wr_arena_printf(r->arena, "%.*s=%.24s%s%s%.*s; path=%.*s%s%s%s%s%s",
                                  WR_SPANF(conf->name), number, expires,
                                  conf->domain.n ? "; domain=" : "", WR_SPANF(conf->domain),
                                  WR_SPANF(conf->path), flags & FLAG_SECURE ? "; secure" : "",
                                  flags & FLAG_HTTPONLY ? "; httponly" : "",
                                  flags & FLAG_STRICT ? "; samesite=strict" : "",
                                  flags & FLAG_LAX ? "; samesite=lax" : "",
                                  flags & FLAG_NONE ? "; samesite=none" : "")
                : NULL;
    if (!text)
        return -ENOMEM;
    int err = web_header_add(r, WR_LIT("Set-Cookie"), wr_span_str(text));
    if (!err && conf->p3p.n)
        err = web_header_add(r, WR_LIT("P3P"), conf->p3p);
    return err;
}

static int userid_head(struct web_req *r)
{
    const struct userid_conf *conf = web_location_conf(r, userid);
    if (r != r->main || conf->mode < MODE_V1)
        return 0;
    struct userid_ctx *ctx = read_cookie(r, conf);
    if (!ctx)
        return 500;
    give_number(r, ctx, conf);
    if (!ctx->set.word[3])
        return 0;
    return send_cookie(r, ctx, conf) ? 500 : 0;
}

static bool userid_wanted(const struct web_location *location)
{
    const struct userid_conf *conf = location->conf[WEB_userid];
    return conf->mode >= MODE_V1;
}

/* ---- run time: variables ------------------------------------------------------------------------------- */

static int put_number(struct web_req *r, const struct userid_conf *conf, const struct number *n,
                      struct web_val *out)
{
    return web_val_printf(r, out, "%.*s=%08X%08X%08X%08X", WR_SPANF(conf->name), n->word[0],
                          n->word[1], n->word[2], n->word[3]);
}

static int get_got(struct web_req *r, const struct web_var *v, struct wr_span rest,
                   struct web_val *out)
{
    (void)v;
    (void)rest;
    const struct userid_conf *conf = web_location_conf(r->main, userid);
    if (conf->mode == MODE_OFF)
        return 0;
    const struct userid_ctx *ctx = read_cookie(r->main, conf);
    if (!ctx)
        return -ENOMEM;
    return ctx->got.word[3] ? put_number(r, conf, &ctx->got, out) : 0;
}

static int get_set(struct web_req *r, const struct web_var *v, struct wr_span rest,
                   struct web_val *out)
{
    (void)v;
    (void)rest;
    const struct userid_conf *conf = web_location_conf(r->main, userid);
    if (conf->mode < MODE_V1)
        return 0;
    struct userid_ctx *ctx = read_cookie(r->main, conf);
    if (!ctx)
        return -ENOMEM;
    give_number(r->main, ctx, conf);
    return ctx->set.word[3] ? put_number(r, conf, &ctx->set, out) : 0;
}

static int get_reset(struct web_req *r, const struct web_var *v, struct wr_span rest,
                     struct web_val *out)
{
    (void)r;
    (void)v;
    (void)rest;
    return web_val_set(out, WR_LIT(""));
}

static int start(struct web_worker *w, struct web_generation *g)
{
    (void)w;
    struct userid_main *counter = web_generation_main(g, WEB_userid);
    if (!counter)
        return 0;
    uint64_t us = wr_os_now_ns(CLOCK_REALTIME) / 1000 % 1000000;
    counter->count_v1 = 1;
    counter->count_v2 = 0x03030302;
    counter->start = (uint32_t)(us / 20) << 16 | ((uint32_t)wr_os_getpid() & 0xffff);
    return 0;
}

/* ---- setters ------------------------------------------------------------------------------------------ */

/* "none" is nothing. */
static int set_or_none(struct conf_load *load, const struct conf_node *node,
                       const struct conf_row *row, void *field)
{
    (void)load;
    (void)row;
    struct wr_span *text = field;
    *text = conf_arg(node, 1);
    if (wr_span_eq(*text, WR_LIT("none")))
        *text = WR_LIT("");
    return 0;
}

static int set_expires(struct conf_load *load, const struct conf_node *node,
                       const struct conf_row *row, void *field)
{
    (void)row;
    uint64_t *expires = field;
    struct wr_span text = conf_arg(node, 1);
    if (wr_span_eq(text, WR_LIT("max")))
        *expires = EXPIRES_MAX;
    else if (wr_span_eq(text, WR_LIT("off")))
        *expires = EXPIRES_OFF;
    else if (conf_read_sec(text, expires))
        return conf_fail(load, node, 1, "invalid value");
    return 0;
}

static int set_mark(struct conf_load *load, const struct conf_node *node,
                    const struct conf_row *row, void *field)
{
    (void)row;
    char *mark = field;
    struct wr_span text = conf_arg(node, 1);
    if (wr_span_eq(text, WR_LIT("off"))) {
        *mark = '\0';
        return 0;
    }
    if (text.n != 1 || (wr_base64_digit(text.p[0], false) < 0 && text.p[0] != '=') ||
        text.p[0] == '+' || text.p[0] == '/')
        return conf_fail(load, node, 1,
                         "value must be one letter, one digit or \"=\" in \"userid_mark\"");
    *mark = text.p[0];
    return 0;
}

static int set_service(struct conf_load *load, const struct conf_node *node,
                       const struct conf_row *row, void *field)
{
    (void)row;
    int64_t *service = field;
    if (wr_span_eq(conf_arg(node, 1), WR_LIT("off"))) {
        *service = NO_SERVICE;
        return 0;
    }
    if (conf_read_num(conf_arg(node, 1), service) || *service < 0 || *service > UINT32_MAX)
        return conf_fail(load, node, 1, "invalid number \"%s\"", conf_str(node, 1));
    return 0;
}

/* ---- tables ------------------------------------------------------------------------------------------- */

static const struct conf_enum modes[] = {
    {"off",     MODE_OFF},
    {"log",         MODE_LOG},
    {"v1",MODE_V1},
    {"on",      MODE_ON},
    {0        },
};
static const struct conf_enum flag_names[] = {
    {"off",          FLAG_OFF},
    {"secure",              FLAG_SECURE},
    {"httponly",FLAG_HTTPONLY},
    {"samesite=strict",     FLAG_STRICT},
    {"samesite=lax",              FLAG_LAX},
    {"samesite=none",FLAG_NONE},
    {0},
};

#define HERE(member) CONF_FIELD(struct userid_conf, member)

static const struct conf_row rows[] = {
    {"userid",              CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, conf_set_enum, HERE(mode), "off", modes,
     "on | v1 | log | off", "Gives clients a number in a cookie, or only reads it."},
    {"userid_name",                    CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, conf_set_text, HERE(name), "uid", NULL,
     "name", "The name of the cookie."},
    {"userid_domain",                    CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, set_or_none, HERE(domain), "none",
     NULL, "name | none", "The domain that it is for."},
    {"userid_path",        CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, conf_set_text, HERE(path), "/", NULL,
     "path", "The path that it is for."},
    {"userid_expires",                CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, set_expires, HERE(expires), "off",
     NULL, "time | max | off", "How long a browser keeps it."},
    {"userid_mark", CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, set_mark, HERE(mark), "off", NULL,
     "letter | digit | = | off", "A character in it; cookies with another are sent again."},
    {"userid_p3p",                     CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, set_or_none, HERE(p3p), "none", NULL,
     "string | none", "A P3P field that goes with the cookie."},
    {"userid_service",CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, set_service, HERE(service), "off",
     NULL, "number", "The first word of the number; else the server's address, or 0 for v1."},
    {"userid_flags",                    CONF_HSL, 1, CONF_MANY, 0, CONF_AT_LOCATION, conf_set_bits, HERE(flags),
     "off", flag_names, "off | secure | httponly | samesite=strict|lax|none ...",
     "Flags of the cookie."},
    {0    },
};

static const struct web_var variables[] = {
    {"uid_got", get_got, NULL, WEB_VAR_NO_CACHE, 0},
    {"uid_set",     get_set, NULL, WEB_VAR_NO_CACHE, 0},
    {"uid_reset",        get_reset, NULL, WEB_VAR_CHANGEABLE, 0},
    {0},
};

/* ---- the module --------------------------------------------------------------------------------------- */

const struct web_module userid_module = {
    .conf = {.name = "http_userid",
             .size = {[CONF_AT_HTTP] = sizeof(struct userid_main),
                      [CONF_AT_LOCATION] = sizeof(struct userid_conf)},
             .rows = rows},
    .head_filter = userid_head,
    .head_wanted = userid_wanted,
    .variables = variables,
    .start = start,
};
