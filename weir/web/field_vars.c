/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Variables with a name in their name: $arg_x, $cookie_x, $http_x, $sent_http_x, $sent_trailer_x, $trailer_x,
 * $proxy_protocol_tlv_x.
 */
#include "libweir/base/num.h"
#include "libweir/http/date.h"
#include "libweir/http/proxy_header.h"
#include "weir/web/vars.h"

#include <errno.h>
#include <string.h>

/* ---- several fields of one name: joined ---------------------------------------------------------------- */

struct joiner {
    struct web_req *r;
    struct wr_span text, separator;
    bool found;
};

static int join_add(struct joiner *j, struct wr_span value)
{
    if (!j->found) {
        j->found = true;
        j->text = value;
        return 0;
    }
    size_t n = j->text.n + j->separator.n + value.n;
    char *p = wr_arena_alloc(j->r->arena, n + 1);
    if (!p)
        return -ENOMEM;
    memcpy(p, j->text.p, j->text.n);
    memcpy(p + j->text.n, j->separator.p, j->separator.n);
    if (value.n)
        memcpy(p + j->text.n + j->separator.n, value.p, value.n);
    p[n] = '\0';
    j->text = wr_span(p, n);
    return 0;
}

static int join_end(const struct joiner *j, struct web_val *out)
{
    out->text = j->text;
    out->found = j->found;
    return 0;
}

/* user_agent is User-Agent, in any case. */
static bool names_field(struct wr_span variable, struct wr_span field)
{
    if (variable.n != field.n)
        return false;
    for (size_t i = 0; i < field.n; i++) {
        char c = field.p[i] == '-' ? '_' : wr_ascii_lower(field.p[i]);
        if (c != wr_ascii_lower(variable.p[i]))
            return false;
    }
    return true;
}

/* ---- of the request ------------------------------------------------------------------------------------- */

static int get_http(struct web_req *r, const struct web_var *v, struct wr_span rest,
                    struct web_val *out)
{
    const struct wr_head *head = r->head;
    struct joiner j = {.r = r, .separator = WR_LIT(", ")};
    int err = 0;
    if (!head)
        return 0;
    if (v->data > WR_H_OTHER + 1) {
        enum wr_header id = (enum wr_header)(v->data - 1);
        if (!wr_head_has(head, id))
            return 0;
        if (id == WR_H_COOKIE)
            j.separator = WR_LIT("; ");
        const struct wr_field *f;
        for (uint32_t at = 0; !err && (f = wr_head_next(head, id, &at));)
            err = join_add(&j, f->value);
        return err ? err : join_end(&j, out);
    }
    if (names_field(rest, WR_LIT("cookie")))
        j.separator = WR_LIT("; ");
    for (uint32_t i = 0; !err && i < head->nfields; i++)
        if (names_field(rest, head->fields[i].name))
            err = join_add(&j, head->fields[i].value);
    return err ? err : join_end(&j, out);
}

static int get_arg(struct web_req *r, const struct web_var *v, struct wr_span rest,
                   struct web_val *out)
{
    (void)v;
    struct wr_span args = r->args, piece;
    while (rest.n && wr_span_split(&args, '&', &piece))
        if (piece.n > rest.n && piece.p[rest.n] == '=' &&
            wr_span_ieq(wr_span_sub(piece, 0, rest.n), rest))
            return web_val_set(out, wr_span_sub(piece, rest.n + 1, piece.n));
    return 0;
}

static struct wr_span skip_spaces(struct wr_span s)
{
    while (s.n && s.p[0] == ' ')
        s = wr_span_sub(s, 1, s.n);
    return s;
}

/* Pieces between ';' and ','; the first that begins with `name =` has the value, which ends at ';'. */
static bool find_cookie(struct wr_span line, struct wr_span name, struct wr_span *out)
{
    while (line.n) {
        line = skip_spaces(line);
        struct wr_span rest = wr_span_sub(line, name.n, line.n);
        if (line.n > name.n && wr_span_ieq(wr_span_sub(line, 0, name.n), name)) {
            rest = skip_spaces(rest);
            if (rest.n && rest.p[0] == '=') {
                rest = skip_spaces(wr_span_sub(rest, 1, rest.n));
                ptrdiff_t end = wr_span_find_char(rest, ';');
                *out = wr_span_sub(rest, 0, end < 0 ? rest.n : (size_t)end);
                return true;
            }
        }
        size_t n = 0;
        while (n < line.n && line.p[n] != ';' && line.p[n] != ',')
            n++;
        line = wr_span_sub(line, n + 1, line.n);
    }
    return false;
}

bool web_cookie(const struct web_req *r, struct wr_span name, struct wr_span *out)
{
    const struct wr_field *f;
    if (!name.n || !r->head || !wr_head_has(r->head, WR_H_COOKIE))
        return false;
    for (uint32_t at = 0; (f = wr_head_next(r->head, WR_H_COOKIE, &at));)
        if (find_cookie(f->value, name, out))
            return true;
    return false;
}

static int get_cookie(struct web_req *r, const struct web_var *v, struct wr_span rest,
                      struct web_val *out)
{
    (void)v;
    out->found = web_cookie(r, rest, &out->text);
    return 0;
}

/* ---- of the answer -------------------------------------------------------------------------------------- */

static int get_sent_type(struct web_req *r, struct web_val *out)
{
    if (!r->out.type.n)
        return 0;
    if (!r->out.charset.n)
        return web_val_set(out, r->out.type);
    return web_val_printf(r, out, "%.*s; charset=%.*s", WR_SPANF(r->out.type),
                          WR_SPANF(r->out.charset));
}

static int get_sent_modified(struct web_req *r, struct web_val *out)
{
    if (r->out.last_modified_text.n)
        return web_val_set(out, r->out.last_modified_text);
    if (r->out.last_modified < 0)
        return 0;
    char *p = wr_arena_alloc(r->arena, WR_DATE_LEN);
    if (!p)
        return -ENOMEM;
    wr_date_format(r->out.last_modified, p);
    return web_val_set(out, wr_span(p, WR_DATE_LEN));
}

static int get_sent_length(struct web_req *r, struct web_val *out)
{
    if (r->out.length == WEB_LENGTH_UNKNOWN)
        return 0;
    return web_val_printf(r, out, "%llu", (unsigned long long)r->out.length);
}

static int get_sent_connection(struct web_req *r, struct web_val *out)
{
    struct wr_http_req *http = r->main->http;
    if (r->out.status == 101)
        return web_val_set(out, WR_LIT("upgrade"));
    if (!http)
        return web_val_set(out, WR_LIT("close"));
    return web_val_set(out, wr_http_keep_alive(http) ? WR_LIT("keep-alive") : WR_LIT("close"));
}

static int get_sent_encoding(struct web_req *r, struct web_val *out)
{
    struct wr_http_req *http = r->main->http;
    return http && wr_http_chunked(http) ? web_val_set(out, WR_LIT("chunked")) : 0;
}

static int get_sent_location(struct web_req *r, struct web_val *out)
{
    return r->out.location.n ? web_val_set(out, r->out.location) : 0;
}

static int get_sent_etag(struct web_req *r, struct web_val *out)
{
    return r->out.etag.n ? web_val_set(out, r->out.etag) : 0;
}

static int get_sent_content_encoding(struct web_req *r, struct web_val *out)
{
    return r->out.encoding.n ? web_val_set(out, r->out.encoding) : 0;
}

/* What has a place of its own in web_out. */
static const struct sent {
    const char *name;
    int (*get)(struct web_req *r, struct web_val *out);
} sents[] = {
    {"content_type",      get_sent_type            },
    {"content_length",    get_sent_length          },
    {"last_modified",     get_sent_modified        },
    {"connection",        get_sent_connection      },
    {"transfer_encoding", get_sent_encoding        },
    {"location",          get_sent_location        },
    {"etag",              get_sent_etag            },
    {"content_encoding",  get_sent_content_encoding},
};

static int get_listed(struct web_req *r, const struct web_header *list, struct wr_span name,
                      struct web_val *out)
{
    struct joiner j = {.r = r, .separator = WR_LIT(", ")};
    int err = 0;
    for (const struct web_header *h = list; !err && h; h = h->next)
        if (h->value.p && names_field(name, h->name))
            err = join_add(&j, h->value);
    return err ? err : join_end(&j, out);
}

static int get_sent_http(struct web_req *r, const struct web_var *v, struct wr_span rest,
                         struct web_val *out)
{
    (void)v;
    for (size_t i = 0; i < WR_ARRAY_LEN(sents); i++)
        if (wr_span_ieq(rest, wr_span_str(sents[i].name))) {
            int err = sents[i].get(r, out);
            if (err || out->found)
                return err;
            break;
        }
    return get_listed(r, r->out.headers, rest, out);
}

static int get_sent_trailer(struct web_req *r, const struct web_var *v, struct wr_span rest,
                            struct web_val *out)
{
    (void)v;
    return get_listed(r, r->out.trailers, rest, out);
}

/* ---- of the PROXY header -------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    uint8_t type;
} tlv_names[] =
    {
        {"alpn",      0x01},
        {"authority", 0x02},
        {"unique_id", 0x05},
        {"ssl",       0x20},
        {"netns",     0x30},
},
  ssl_tlv_names[] = {
      {"ssl_version", 0x21}, {"ssl_cn", 0x22},      {"ssl_cipher", 0x23},
      {"ssl_sig_alg", 0x24}, {"ssl_key_alg", 0x25},
};

/* Inside the SSL one: a byte of flags, four of the verdict, then more of the kind. */
#define SSL_TLV_HEAD 5

static struct wr_span find_tlv(struct wr_span tlvs, struct wr_span name)
{
    uint64_t type;
    if (name.n > 2 && wr_span_ieq(wr_span_sub(name, 0, 2), WR_LIT("0x")))
        return wr_num_parse_hex(wr_span_sub(name, 2, name.n), &type) || type > 255
                   ? (struct wr_span){0}
                   : wr_proxy_tlv(tlvs, (uint8_t)type);
    for (size_t i = 0; i < WR_ARRAY_LEN(tlv_names); i++)
        if (wr_span_ieq(name, wr_span_str(tlv_names[i].name)))
            return wr_proxy_tlv(tlvs, tlv_names[i].type);
    struct wr_span ssl = wr_proxy_tlv(tlvs, 0x20);
    for (size_t i = 0; ssl.n > SSL_TLV_HEAD && i < WR_ARRAY_LEN(ssl_tlv_names); i++)
        if (wr_span_ieq(name, wr_span_str(ssl_tlv_names[i].name)))
            return wr_proxy_tlv(wr_span_sub(ssl, SSL_TLV_HEAD, ssl.n), ssl_tlv_names[i].type);
    return (struct wr_span){0};
}

static int get_tlv(struct web_req *r, const struct web_var *v, struct wr_span rest,
                   struct web_val *out)
{
    (void)v;
    if (!r->conn || !r->conn->http)
        return 0;
    struct wr_span value = find_tlv(wr_http_conn_proxy_tlvs(r->conn->http), rest);
    return value.p ? web_val_set(out, value) : 0;
}

const struct web_var web_field_variables[] = {
    {"arg_",    get_arg, NULL, WEB_VAR_PREFIX | WEB_VAR_NO_CACHE, 0},
    {"cookie_",     get_cookie, NULL, WEB_VAR_PREFIX, 0},
    {"http_",        get_http, NULL, WEB_VAR_PREFIX | WEB_VAR_FIELD, 0},
    {"sent_http_", get_sent_http, NULL, WEB_VAR_PREFIX | WEB_VAR_NO_CACHE, 0},
    {"sent_trailer_",     get_sent_trailer, NULL, WEB_VAR_PREFIX | WEB_VAR_NO_CACHE, 0},
    {"trailer_",        web_var_none, NULL, WEB_VAR_PREFIX, 0},
    {"proxy_protocol_tlv_",   get_tlv, NULL, WEB_VAR_PREFIX, 0},
    {0    },
};
