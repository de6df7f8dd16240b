/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Links that cannot be made up and that end: secure_link, secure_link_md5, secure_link_secret.
 *
 *     secure_link $arg_md5,$arg_expires;  secure_link_md5 "$secure_link_expires$uri secret";
 *     location /p/ { secure_link_secret word;  if ($secure_link = "") { return 403; } }
 *
 * $secure_link is "1" when the MD5 that the link carries is that of secure_link_md5's text, "0" when its time is
 * over, and does not exist when it is another. With a secret it is the part of the URI behind the hash:
 * /p/HASH/link. The time is not cached: what is evaluated later sees it.
 */
#include "libweir/base/base64.h"
#include "libweir/base/err.h"
#include "libweir/base/num.h"
#include "weir/web/vars.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#define MD5_SIZE 16

/* ---- configuration ------------------------------------------------------------------------------------ */

struct secure_conf {
    struct web_value link, md5;
    struct wr_span secret;
};

struct secure_ctx {
    struct wr_span expires;
};

/* ---- run time ----------------------------------------------------------------------------------------- */

static int md5_of(struct wr_span text, unsigned char out[static MD5_SIZE])
{
    unsigned n = MD5_SIZE;
    return EVP_Digest(text.p, text.n, out, &n, EVP_md5(), NULL) == 1 ? 0 : -ENOMEM;
}

static bool same(const unsigned char *a, const unsigned char *b)
{
    return CRYPTO_memcmp(a, b, MD5_SIZE) == 0;
}

/* 16 bytes in base64url, with or without "==". */
static bool read_hash(struct wr_span s, unsigned char out[static MD5_SIZE])
{
    char bytes[MD5_SIZE + 3];
    size_t n = 0;
    if (s.n > 24 || wr_base64_decode(s, true, bytes, &n) || n != MD5_SIZE)
        return false;
    memcpy(out, bytes, MD5_SIZE);
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = wr_ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_hex(struct wr_span s, unsigned char out[static MD5_SIZE])
{
    for (size_t i = 0; i < MD5_SIZE; i++) {
        int hi = hex_digit(s.p[2 * i]), lo = hex_digit(s.p[2 * i + 1]);
        if (hi < 0 || lo < 0)
            return false;
        out[i] = (unsigned char)(hi << 4 | lo);
    }
    return true;
}

/* /prefix/hash/link, as it came. */
static int by_secret(struct web_req *r, const struct secure_conf *conf, struct web_val *out)
{
    struct wr_span s = wr_span_sub(r->raw_uri, 1, r->raw_uri.n), link;
    unsigned char given[MD5_SIZE], want[MD5_SIZE];
    ptrdiff_t slash = wr_span_find_char(s, '/');
    if (slash < 0)
        return 0;
    s = wr_span_sub(s, (size_t)slash + 1, s.n);
    slash = wr_span_find_char(s, '/');
    if (slash != 2 * MD5_SIZE)
        return 0;
    link = wr_span_sub(s, (size_t)slash + 1, s.n);
    if (!read_hex(s, given))
        return 0;
    char *text = wr_arena_alloc(r->arena, link.n + conf->secret.n + 1);
    if (!text)
        return -ENOMEM;
    memcpy(text, link.p, link.n);
    memcpy(text + link.n, conf->secret.p, conf->secret.n);
    int err = md5_of(wr_span(text, link.n + conf->secret.n), want);
    return err || !same(given, want) ? err : web_val_set(out, link);
}

static int by_link(struct web_req *r, const struct secure_conf *conf, struct web_val *out)
{
    struct wr_span link, text;
    unsigned char given[MD5_SIZE], want[MD5_SIZE];
    uint64_t expires = 0;
    int err = web_value_eval(r, &conf->link, &link);
    if (err)
        return err;
    ptrdiff_t comma = wr_span_find_char(link, ',');
    if (comma >= 0) {
        struct wr_span when = wr_span_sub(link, (size_t)comma + 1, link.n);
        struct secure_ctx *ctx = wr_arena_zalloc(r->arena, sizeof(*ctx));
        if (!ctx)
            return -ENOMEM;
        if (wr_num_parse_between(when, 1, INT64_MAX, &expires))
            return 0;
        ctx->expires = when;
        r->ctx[WEB_secure_link] = ctx;
        link.n = (size_t)comma;
    }
    if (!read_hash(link, given))
        return 0;
    err = web_value_eval(r, &conf->md5, &text);
    if (!err)
        err = md5_of(text, want);
    if (err || !same(given, want))
        return err;
    bool over = expires && expires < wr_loop_wall_ns(web_loop(r)) / 1000000000;
    return web_val_set(out, over ? WR_LIT("0") : WR_LIT("1"));
}

static int get_link(struct web_req *r, const struct web_var *v, struct wr_span rest,
                    struct web_val *out)
{
    (void)v;
    (void)rest;
    const struct secure_conf *conf = web_location_conf(r, secure_link);
    if (conf->secret.n)
        return by_secret(r, conf, out);
    return conf->link.text.p && conf->md5.text.p ? by_link(r, conf, out) : 0;
}

static int get_expires(struct web_req *r, const struct web_var *v, struct wr_span rest,
                       struct web_val *out)
{
    (void)v;
    (void)rest;
    const struct secure_ctx *ctx = r->ctx[WEB_secure_link];
    return ctx && ctx->expires.n ? web_val_set(out, ctx->expires) : 0;
}

/* ---- setters ------------------------------------------------------------------------------------------ */

static int settle(struct conf_load *load, struct conf_scope *scope)
{
    const struct secure_conf *conf =
        scope->at[CONF_AT_LOCATION] ? scope->at[CONF_AT_LOCATION][WEB_secure_link] : NULL;
    if (!conf || !conf->secret.n || (!conf->link.text.p && !conf->md5.text.p) || !scope->node)
        return 0;
    return conf_fail(load, scope->node, 0,
                     "\"secure_link_secret\" cannot be mixed with \"secure_link\" and "
                     "\"secure_link_md5\"");
}

/* ---- tables ------------------------------------------------------------------------------------------- */

static const struct conf_row rows[] = {
    {"secure_link",  CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, web_set_value,
     CONF_FIELD(struct secure_conf, link), NULL, NULL, "expression",
     "Where the hash of a link is, and behind a comma its end in seconds since 1970."},
    {"secure_link_md5",             CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, web_set_value,
     CONF_FIELD(struct secure_conf, md5), NULL, NULL, "expression",
     "The text whose MD5 the hash must be."},
    {"secure_link_secret",             CONF_LOCATION, 1, 1, 0, CONF_AT_LOCATION, conf_set_text,
     CONF_FIELD(struct secure_conf, secret), NULL, NULL, "word",
     "The word that is hashed with the link: /prefix/hash/link."},
    {0},
};

static const struct web_var variables[] = {
    {"secure_link", get_link, NULL, 0, 0},
    {"secure_link_expires",         get_expires, NULL, WEB_VAR_NO_CACHE, 0},
    {0           },
};

/* ---- the module --------------------------------------------------------------------------------------- */

const struct web_module secure_link_module = {
    .conf = {.name = "http_secure_link",
             .size = {[CONF_AT_LOCATION] = sizeof(struct secure_conf)},
             .rows = rows,
             .settle = settle},
    .variables = variables,
};
