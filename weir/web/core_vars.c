/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Variables of the request and of its answer.
 */
#include "libweir/base/base64.h"
#include "libweir/base/num.h"
#include "libweir/os/os.h"
#include "weir/web/vars.h"

#include <errno.h>

#define GET(name)                                                         \
    static int name(struct web_req *r, WR_UNUSED const struct web_var *v, \
                    WR_UNUSED struct wr_span rest, struct web_val *out)
#define SET(name) \
    static int name(struct web_req *r, WR_UNUSED const struct web_var *v, struct wr_span value)

static int put_num(struct web_req *r, uint64_t n, struct web_val *out)
{
    return web_val_printf(r, out, "%llu", (unsigned long long)n);
}

static int put_if(struct wr_span text, struct web_val *out)
{
    return text.p ? web_val_set(out, text) : 0;
}

/* ---- the request line -------------------------------------------------------------------------------------- */

GET(get_uri)
{
    return web_val_set(out, r->uri);
}

GET(get_args)
{
    return put_if(r->args, out);
}

SET(set_args)
{
    r->args = value;
    return 0;
}

GET(get_is_args)
{
    return web_val_set(out, r->args.n ? WR_LIT("?") : WR_LIT(""));
}

GET(get_request)
{
    return put_if(r->main->line, out);
}

GET(get_request_uri)
{
    return put_if(r->raw_uri, out);
}

GET(get_request_method)
{
    return put_if(r->main->method_text, out);
}

GET(get_server_protocol)
{
    if (!r->head)
        return 0;
    return web_val_set(out, r->head->minor ? WR_LIT("HTTP/1.1") : WR_LIT("HTTP/1.0"));
}

/* ---- fields of the request --------------------------------------------------------------------------------- */

GET(get_host)
{
    return web_val_set(out, r->host.n ? r->host : r->server->name);
}

/* The port that the client named, of the target or of Host. */
static struct wr_span request_port(const struct web_req *r)
{
    if (!r->head)
        return (struct wr_span){0};
    struct wr_span s = r->head->authority;
    for (size_t i = s.n; i > 0 && s.p[i - 1] != ']'; i--)
        if (s.p[i - 1] == ':')
            return wr_span_sub(s, i, s.n);
    return (struct wr_span){0};
}

GET(get_request_port)
{
    return web_val_set(out, request_port(r).p ? request_port(r) : WR_LIT(""));
}

GET(get_is_request_port)
{
    return web_val_set(out, request_port(r).n ? WR_LIT(":") : WR_LIT(""));
}

static struct wr_span field(const struct web_req *r, enum wr_header id)
{
    return r->head ? wr_head_get(r->head, id) : (struct wr_span){0};
}

GET(get_content_length)
{
    struct wr_span s = field(r, WR_H_CONTENT_LENGTH);
    if (!s.p && r->head && r->head->body == WR_BODY_CHUNKED && r->body_len)
        return put_num(r, r->body_len, out);
    return put_if(s, out);
}

GET(get_content_type)
{
    return put_if(field(r, WR_H_CONTENT_TYPE), out);
}

GET(get_remote_user)
{
    struct wr_span s = field(r, WR_H_AUTHORIZATION);
    size_t n = 0;
    if (s.n < 6 || !wr_span_ieq(wr_span_sub(s, 0, 6), WR_LIT("Basic ")))
        return 0;
    s = wr_span_trim(wr_span_sub(s, 6, s.n));
    char *p = wr_arena_alloc(r->arena, s.n + 1);
    if (!p)
        return -ENOMEM;
    if (wr_base64_decode(s, false, p, &n))
        return 0;
    ptrdiff_t colon = wr_span_find_char(wr_span(p, n), ':');
    return colon > 0 ? web_val_set(out, wr_span(p, (size_t)colon)) : 0;
}

/* ---- the body ----------------------------------------------------------------------------------------------- */

GET(get_request_body)
{
    return r->body.n && !r->body_file ? web_val_set(out, r->body) : 0;
}

GET(get_request_body_file)
{
    return r->body_file && r->body_file->path
               ? web_val_set(out, wr_span_str(r->body_file->path))
               : 0;
}

GET(get_request_length)
{
    return r->main->http ? put_num(r, wr_http_request_bytes(r->main->http), out) : 0;
}

/* ---- where it led ------------------------------------------------------------------------------------------- */

GET(get_server_name)
{
    return web_val_set(out, r->server->name);
}

GET(get_request_filename)
{
    size_t root;
    struct wr_span path;
    if (!web_map_path(r, 0, &path, &root))
        return 0;
    return web_val_set(out, path);
}

static int map_root(struct web_req *r, struct wr_span *out)
{
    size_t root;
    struct wr_span path;
    if (!web_map_path(r, 0, &path, &root))
        return -ENOMEM;
    char *p = wr_arena_strndup(r->arena, path.p, root);
    *out = wr_span(p, root);
    return p ? 0 : -ENOMEM;
}

GET(get_document_root)
{
    struct wr_span root;
    return map_root(r, &root) ? 0 : web_val_set(out, root);
}

GET(get_realpath_root)
{
    struct wr_span root;
    char real[4096];
    if (map_root(r, &root) || wr_os_realpath(root.p, real))
        return 0;
    int err = wr_arena_dup(r->arena, wr_span_str(real), &root);
    return err ? err : web_val_set(out, root);
}

GET(get_request_id)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char id[16];
    char *p = wr_arena_alloc(r->arena, 2 * sizeof(id));
    if (!p)
        return -ENOMEM;
    if (wr_os_random(id, sizeof(id)) < 0)
        return 0;
    for (size_t i = 0; i < sizeof(id); i++) {
        p[2 * i] = hex[id[i] >> 4];
        p[2 * i + 1] = hex[id[i] & 15];
    }
    return web_val_set(out, wr_span(p, 2 * sizeof(id)));
}

/* ---- the answer --------------------------------------------------------------------------------------------- */

GET(get_status)
{
    int status = r->err_status ? r->err_status : r->out.status;
    return status ? web_val_printf(r, out, "%03d", status) : web_val_set(out, WR_LIT("000"));
}

GET(get_bytes_sent)
{
    return put_num(r, web_bytes_sent(r->main), out);
}

GET(get_body_bytes_sent)
{
    uint64_t sent = web_bytes_sent(r->main), head = r->main->head_bytes;
    return put_num(r, sent > head ? sent - head : 0, out);
}

GET(get_request_completion)
{
    return web_val_set(out, web_complete(r->main) ? WR_LIT("OK") : WR_LIT(""));
}

GET(get_limit_rate)
{
    return put_num(r, r->limit_rate, out);
}

SET(set_limit_rate)
{
    uint64_t rate;
    if (!conf_read_size(value, &rate))
        r->limit_rate = rate;
    return 0;
}

#define FRESH  WEB_VAR_NO_CACHE
#define CHANGE (WEB_VAR_CHANGEABLE | WEB_VAR_NO_CACHE)

const struct web_var web_core_variables[] = {
    {"args",            get_args, set_args, CHANGE, 0},
    {"query_string",         get_args, NULL, FRESH, 0},
    {"is_args",                get_is_args, NULL, FRESH, 0},
    {"uri",    get_uri, NULL, FRESH, 0},
    {"document_uri",             get_uri, NULL, FRESH, 0},
    {"request",                get_request, NULL, 0, 0},
    {"request_uri",         get_request_uri, NULL, 0, 0},
    {"request_method",             get_request_method, NULL, FRESH, 0},
    {"server_protocol",                get_server_protocol, NULL, 0, 0},
    {"host",             get_host, NULL, 0, 0},
    {"request_port",             get_request_port, NULL, 0, 0},
    {"is_request_port",                get_is_request_port, NULL, 0, 0},
    {"content_length",    get_content_length, NULL, 0, 0},
    {"content_type",             get_content_type, NULL, 0, 0},
    {"remote_user",                get_remote_user, NULL, 0, 0},
    {"request_body",         get_request_body, NULL, FRESH, 0},
    {"request_body_file",             get_request_body_file, NULL, FRESH, 0},
    {"request_length",                get_request_length, NULL, FRESH, 0},
    {"server_name",     get_server_name, NULL, FRESH, 0},
    {"request_filename",             get_request_filename, NULL, FRESH, 0},
    {"document_root",                get_document_root, NULL, FRESH, 0},
    {"realpath_root",  get_realpath_root, NULL, FRESH, 0},
    {"request_id",             get_request_id, NULL, 0, 0},
    {"status",                get_status, NULL, FRESH, 0},
    {"bytes_sent", get_bytes_sent, NULL, FRESH, 0},
    {"body_bytes_sent",             get_body_bytes_sent, NULL, FRESH, 0},
    {"request_completion",                get_request_completion, NULL, FRESH, 0},
    {"limit_rate",            get_limit_rate, set_limit_rate, CHANGE, 0},
    {0            },
};
