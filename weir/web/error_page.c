/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/web/request_private.h"

#include "libweir/base/err.h"
#include "libweir/base/num.h"
#include "libweir/io/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/*
 * What a status is answered with: the page that error_page names, a redirect, or a built-in page in the layout that
 * clients of nginx know.
 */

/* ---- the directive ---------------------------------------------------------------------------------------------------- */

static int read_answer(struct conf_load *load, const struct conf_node *node, uint32_t i,
                       int *out)
{
    struct wr_span v = conf_arg(node, i);
    int64_t n;
    if (v.n == 1) {
        *out = 0;
        return 0;
    }
    if (conf_read_num(wr_span_sub(v, 1, v.n), &n) || n < 0 || n > 999)
        return conf_fail(load, node, i, "invalid value \"%s\"", v.p);
    if (n > 0 && n < 200)
        return conf_fail(load, node, i, "\"%s\" is no status that ends an answer", v.p);
    *out = (int)n;
    return 0;
}

int core_set_error_page(struct conf_load *load, const struct conf_node *node,
                        const struct conf_row *row, void *field)
{
    (void)row;
    struct core_location *c =
        wr_container_of((struct core_error_page **)field, struct core_location, error_pages);
    uint32_t last = node->nwords - 1, codes = last;
    int answer = -1;
    if (last > 1 && conf_arg(node, last - 1).n && conf_str(node, last - 1)[0] == '=') {
        codes = last - 1;
        int err = read_answer(load, node, codes, &answer);
        if (err)
            return err;
    }
    if (codes < 2)
        return conf_fail(load, node, 1, "invalid value \"%s\"", conf_str(node, 1));
    struct wr_span uri = conf_arg(node, last), args = {0};
    ptrdiff_t mark = wr_span_find_char(uri, '?');
    struct web_value value;
    int err = web_value_compile(load, node, last, uri, &value);
    if (!err && web_value_constant(&value) && uri.n && uri.p[0] == '/' && mark >= 0) {
        args = wr_span_sub(uri, (size_t)mark + 1, uri.n);
        err = web_value_compile(load, node, last, wr_span_sub(uri, 0, (size_t)mark), &value);
    }
    if (err)
        return err;
    for (uint32_t i = 1; i < codes; i++) {
        int64_t code;
        if (conf_read_num(conf_arg(node, i), &code) || code < 300 || code > 599)
            return conf_fail(load, node, i, "value \"%s\" must be between 300 and 599",
                             conf_str(node, i));
        if (code == 499)
            return conf_fail(load, node, i, "invalid value \"%s\"", conf_str(node, i));
        struct core_error_page *p = wr_arena_alloc(load->arena, sizeof(*p));
        if (!p)
            return -ENOMEM;
        *p = (struct core_error_page){NULL, (int)code, answer, value, args};
        if (!c->error_pages)
            c->error_pages_tail = &c->error_pages;
        *c->error_pages_tail = p;
        c->error_pages_tail = &p->next;
    }
    return 0;
}

/* ---- built-in pages --------------------------------------------------------------------------------------------------- */

struct page {
    int status;
    const char *title; /* and heading */
    const char *more;  /* a line below; NULL: none */
};

static const struct page pages[] = {
    {301, "301 Moved Permanently",                             NULL                                  },
    {302, "302 Found",                                         NULL                                  },
    {303, "303 See Other",                                     NULL                                  },
    {307, "307 Temporary Redirect",                            NULL                                  },
    {308, "308 Permanent Redirect",                            NULL                                  },
    {400, "400 Bad Request",                                   NULL                                  },
    {401, "401 Authorization Required",                        NULL                                  },
    {402, "402 Payment Required",                              NULL                                  },
    {403, "403 Forbidden",                                     NULL                                  },
    {404, "404 Not Found",                                     NULL                                  },
    {405, "405 Not Allowed",                                   NULL                                  },
    {406, "406 Not Acceptable",                                NULL                                  },
    {408, "408 Request Time-out",                              NULL                                  },
    {409, "409 Conflict",                                      NULL                                  },
    {410, "410 Gone",                                          NULL                                  },
    {411, "411 Length Required",                               NULL                                  },
    {412, "412 Precondition Failed",                           NULL                                  },
    {413, "413 Request Entity Too Large",                      NULL                                  },
    {414, "414 Request-URI Too Large",                         NULL                                  },
    {415, "415 Unsupported Media Type",                        NULL                                  },
    {416, "416 Requested Range Not Satisfiable",               NULL                                  },
    {421, "421 Misdirected Request",                           NULL                                  },
    {429, "429 Too Many Requests",                             NULL                                  },
    {494, "400 Request Header Or Cookie Too Large",            "Request Header Or Cookie Too Large"  },
    {495, "400 The SSL certificate error",                     "The SSL certificate error"           },
    {496, "400 No required SSL certificate was sent",          "No required SSL certificate was sent"},
    {497, "400 The plain HTTP request was sent to HTTPS port",
     "The plain HTTP request was sent to HTTPS port"                                                 },
    {500, "500 Internal Server Error",                         NULL                                  },
    {501, "501 Not Implemented",                               NULL                                  },
    {502, "502 Bad Gateway",                                   NULL                                  },
    {503, "503 Service Temporarily Unavailable",               NULL                                  },
    {504, "504 Gateway Time-out",                              NULL                                  },
    {505, "505 HTTP Version Not Supported",                    NULL                                  },
    {507, "507 Insufficient Storage",                          NULL                                  },
};

#define PADDING "<!-- a padding to disable MSIE and Chrome friendly error page -->\r\n"

static const struct page *page_of(int status)
{
    for (size_t i = 0; i < WR_ARRAY_LEN(pages); i++)
        if (pages[i].status == status)
            return &pages[i];
    return NULL;
}

/* Internet Explorer, by its word; Opera used to say so too. */
static bool is_msie(struct wr_span agent)
{
    ptrdiff_t at = wr_span_find(agent, WR_LIT("MSIE "));
    return at >= 0 && (size_t)at + 7 < agent.n && wr_span_find(agent, WR_LIT("Opera")) < 0;
}

/* Some browsers show a page of their own when the server's is short. */
static bool padded(const struct web_req *r, int status)
{
    struct wr_span agent = wr_head_get(r->head, WR_H_USER_AGENT);
    return status >= 400 && core_of(r->location)->msie_padding && agent.n &&
           (request_of(r)->list || status != 400) && /* of a bad head nothing is believed */
           (is_msie(agent) || wr_span_find(agent, WR_LIT("Chrome/")) >= 0);
}

/* The tail of the page; with a server_tokens of variables it is made here. */
static struct wr_span tail_of(struct web_req *r)
{
    const struct core_location *c = core_of(r->location);
    struct wr_span name;
    if (c->tokens.mode != CORE_TOKENS_TEXT || web_value_constant(&c->tokens.text) ||
        web_value_eval(r, &c->tokens.text, &name))
        return c->error_tail;
    char *p = wr_arena_printf(r->arena, "<hr><center>%.*s</center>\r\n</body>\r\n</html>\r\n",
                              WR_SPANF(name));
    return p ? wr_span_str(p) : c->error_tail;
}

/* ---- msie_refresh ------------------------------------------------------------------------------------------ */

/* Where the text stands between double quotes. */
static bool must_escape(unsigned char c)
{
    return c <= ' ' || c >= 127 || strchr("\"'<>\\^`{|~", c);
}

static bool refreshes(const struct web_req *r, int status)
{
    return (status == 301 || status == 302) && core_of(r->location)->msie_refresh &&
           r->out.location.n && is_msie(wr_head_get(r->head, WR_H_USER_AGENT));
}

/* In place of a redirect: a page that sends the browser on. */
static int send_refresh(struct web_req *r)
{
    static const char hex[] = "0123456789ABCDEF";
    struct wr_span to = r->out.location;
    char *url = wr_arena_alloc(r->arena, 3 * to.n);
    size_t n = 0;
    if (!url)
        return WEB_ERROR;
    for (size_t i = 0; i < to.n; i++) {
        unsigned char c = (unsigned char)to.p[i];
        if (must_escape(c)) {
            url[n++] = '%';
            url[n++] = hex[c >> 4];
            c = (unsigned char)hex[c & 15];
        }
        url[n++] = (char)c;
    }
    char *body = wr_arena_printf(
        r->arena,
        "<html><head><meta http-equiv=\"Refresh\" content=\"0; URL=%.*s\"></head>"
        "<body></body></html>\r\n",
        (int)n, url);
    if (!body)
        return WEB_ERROR;
    r->out.location = (struct wr_span){0};
    r->err_status = 200;
    return web_reply(r, 200, WR_LIT("text/html"), wr_span_str(body));
}

static int send_page(struct web_req *r, int status, const struct page *page)
{
    if (!page)
        return web_reply(r, status, (struct wr_span){0}, (struct wr_span){0});
    struct wr_span tail = tail_of(r);
    const char *more = page->more;
    char *body = wr_arena_printf(
        r->arena,
        "<html>\r\n<head><title>%s</title></head>\r\n<body>\r\n<center><h1>%s</h1></center>\r\n"
        "%s%s%s%.*s%s",
        page->title, more ? "400 Bad Request" : page->title, more ? "<center>" : "",
        more ? more : "", more ? "</center>\r\n" : "", WR_SPANF(tail),
        padded(r, status) ? PADDING PADDING PADDING PADDING PADDING PADDING : "");
    if (!body)
        return WEB_ERROR;
    return web_reply(r, status, WR_LIT("text/html"), wr_span_str(body));
}

/* ---- error_page --------------------------------------------------------------------------------------------------------- */

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* As a handler returns; -1: the built-in page of *io_status. */
static int named_page(struct web_req *r, const struct core_error_page *p, int *io_status)
{
    struct wr_span uri, args = p->args;
    if (web_value_eval(r, &p->uri, &uri))
        return 500;
    if (p->answer >= 0)
        r->err_status = (uint16_t)p->answer;
    if (uri.n && uri.p[0] == '@')
        return web_named_location(r, uri);
    if (!uri.n || uri.p[0] != '/') {
        if (!is_redirect(r->err_status))
            r->err_status = 302;
        r->out.location = uri;
        *io_status = r->err_status;
        return -1;
    }
    ptrdiff_t mark = p->uri.parts ? wr_span_find_char(uri, '?') : -1;
    if (mark >= 0) {
        args = wr_span_sub(uri, (size_t)mark + 1, uri.n);
        uri = wr_span_sub(uri, 0, (size_t)mark);
    }
    if (r->method != WR_METHOD_HEAD) {
        r->method = WR_METHOD_GET;
        r->method_text = WR_LIT("GET");
    }
    return web_internal_redirect(r, uri, args);
}

static const struct core_error_page *find(const struct web_req *r, int status)
{
    for (const struct core_error_page *p = core_of(r->location)->error_pages; p; p = p->next)
        if (p->status == status)
            return p;
    return NULL;
}

/* What follows such a request on its connection cannot be trusted, or the fault may last. */
static bool ends_connection(int status)
{
    return status == 400 || status == 413 || status == 414 ||
           (status >= 494 && status <= 497) || status == 500 || status == 501;
}

/* 494 to 497 are for error_page to name; the client is told 400. */
static uint16_t told(int status)
{
    return (uint16_t)(status >= 494 && status <= 497 ? 400 : status);
}

int error_page(struct request *q, int status)
{
    struct web_req *r = &q->r;
    const struct core_error_page *p = NULL;
    if (!q->sub && ends_connection(status))
        r->no_keepalive = true;
    r->err_status = told(status);
    r->out.type = (struct wr_span){0};
    r->out.charset = r->out.encoding = r->out.etag = (struct wr_span){0};
    r->out.last_modified = -1;
    r->out.last_modified_text = (struct wr_span){0};
    if (!r->error_page && r->redirects) {
        p = find(r, status);
        r->error_page = p && !core_of(r->location)->recursive_error_pages;
    }
    if (p) {
        int rc = named_page(r, p, &status);
        if (rc != -1 && rc < 200)
            return rc;
        if (rc >= 200)
            status = rc;
        r->no_keepalive |= !q->sub && ends_connection(status);
        r->err_status = told(status);
    }
    int rc =
        refreshes(r, status) ? send_refresh(r) : send_page(r, r->err_status, page_of(status));
    return rc >= 200 ? WEB_ERROR : rc;
}
