/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/cmd/check.h"
#include "weir/cmd/cmd.h"
#include "weir/cmd/out.h"
#include "weir/cmd/site.h"
#include "weir/web/trace.h"

#include "libweir/base/err.h"
#include "libweir/base/num.h"
#include "libweir/os/os.h"

#include <errno.h>
#include <stdio.h>

/*
 * `weir explain FILE METHOD URL`: which server and which location, why, and what applies there. Choices are made by
 * the server's own code (web/trace.h); what applies is read from the tree, so that each line can name its place.
 */

#define HEAD_MAX 8192

struct explain {
    struct check c;                /* looks at the tree */
    int status;                    /* that rewriting answered with; 0 */
    const struct conf_node *block; /* the location, or the server */
};

static void print_place(const struct conf_node *node)
{
    if (node)
        out_print(1, "%s:%u", node->file->name, node->words[0].line);
    else
        out_print(1, "default");
}

static void print_words(const struct conf_node *node)
{
    for (uint32_t i = 0; i < node->nwords; i++)
        out_print(1, "%s%.*s", i ? " " : "", WR_SPANF(conf_arg(node, i)));
}

/* ---- what is told -------------------------------------------------------------------------------------------------- */

static void tell(void *ctx, enum web_trace_kind kind, const struct conf_node *node, int number,
                 const char *text)
{
    static const char *const labels[] = {
        [TRACE_REFUSED] = "refused", [TRACE_LISTEN] = "address", [TRACE_SERVER] = "server",
        [TRACE_URI] = "uri",         [TRACE_CANDIDATE] = "  ?",  [TRACE_LOCATION] = "location",
        [TRACE_STEP] = "  rewrite",  [TRACE_STATUS] = "answer",
    };
    struct explain *e = ctx;
    if (kind == TRACE_SERVER || (kind == TRACE_LOCATION && node))
        e->block = node;
    if (kind == TRACE_CANDIDATE && number)
        out_print(1, "%-9s ", "  +");
    else
        out_print(1, "%-9s ", labels[kind]);
    if (node && kind != TRACE_LISTEN) {
        print_words(node);
        out_print(1, "  (");
        print_place(node);
        out_print(1, "): ");
    }
    if (kind == TRACE_STATUS)
        e->status = number;
    if (kind == TRACE_STATUS)
        out_print(1, "%d%s", number, *text ? " Location: " : "");
    out_print(1, "%s", text);
    if (kind == TRACE_LISTEN && node) {
        out_print(1, "  (");
        print_place(node);
        out_print(1, ")");
    }
    out_print(1, "\n");
}

/* ---- what applies ------------------------------------------------------------------------------------------------------ */

static void print_effective(struct explain *e, const char *name)
{
    const struct conf_node *node = check_effective(&e->c, e->block, name);
    const struct conf_row *row = conf_row_find(e->c.load, wr_span_str(name), UINT32_MAX, NULL);
    if (!row || (!node && !row->def))
        return;
    out_print(1, "  %-26s ", name);
    if (node)
        for (uint32_t i = 1; i < node->nwords; i++)
            out_print(1, "%s%.*s", i > 1 ? " " : "", WR_SPANF(conf_arg(node, i)));
    else
        out_print(1, "%s", row->def);
    out_print(1, "  (");
    print_place(node);
    out_print(1, ")\n");
}

static void print_timers(struct explain *e)
{
    static const char *const timers[] = {
        "client_header_timeout",
        "client_body_timeout",
        "send_timeout",
        "keepalive_timeout",
        "keepalive_time",
        "lingering_time",
        "lingering_timeout",
        "resolver_timeout",
        "ssl_session_timeout",
        "proxy_connect_timeout",
        "proxy_read_timeout",
        "proxy_send_timeout",
        "auth_delay",
        "worker_shutdown_timeout",
    };
    out_print(1, "timers\n");
    for (size_t i = 0; i < WR_ARRAY_LEN(timers); i++)
        print_effective(e, timers[i]);
}

/* Where the answer's status is led on by error_page. */
static void print_error_page(struct explain *e)
{
    const struct conf_node *from = e->block, *node;
    while (from && !check_next(from->children, "error_page"))
        from = from->parent;
    for (node = check_inside(&e->c, from); (node = check_next(node, "error_page"));
         node = node->next) {
        uint64_t status;
        for (uint32_t i = 1; i + 1 < node->nwords; i++) {
            if (wr_num_parse_u64(conf_arg(node, i), &status) || (int)status != e->status)
                continue;
            out_print(1, "%-9s error_page leads %d to %.*s  (", "", e->status,
                      WR_SPANF(conf_arg(node, node->nwords - 1)));
            print_place(node);
            out_print(1, ")\n");
        }
    }
}

/* add_header is taken over as a whole: what the innermost block with one does not repeat is lost. */
static void print_headers(struct explain *e, const char *name)
{
    const struct conf_node *from = e->block;
    const struct conf_node *node;
    while (from && !check_next(from->children, name))
        from = from->parent;
    for (node = check_inside(&e->c, from); (node = check_next(node, name)); node = node->next) {
        out_print(1, "  + %.*s: %.*s  (", WR_SPANF(check_arg(node, 1)),
                  WR_SPANF(check_arg(node, 2)));
        print_place(node);
        out_print(1, ")\n");
    }
    for (const struct conf_node *outer = from ? from->parent : NULL; outer;
         outer = outer->parent)
        for (node = outer->children; (node = check_next(node, name)); node = node->next) {
            out_print(1, "  - %.*s: %.*s  (", WR_SPANF(check_arg(node, 1)),
                      WR_SPANF(check_arg(node, 2)));
            print_place(node);
            out_print(1, "; lost: the inner block has %s of its own)\n", name);
        }
}

static void print_others(struct explain *e)
{
    static const char *const names[] = {
        "root",
        "alias",
        "index",
        "try_files",
        "autoindex",
        "return",
        "satisfy",
        "auth_basic",
        "auth_request",
        "limit_req",
        "limit_conn",
        "limit_rate",
        "gzip",
        "error_page",
        "access_log",
        "expires",
        "internal",
        "etag",
        "client_max_body_size",
    };
    out_print(1, "settings\n");
    for (size_t i = 0; i < WR_ARRAY_LEN(names); i++)
        if (check_effective(&e->c, e->block, names[i]))
            print_effective(e, names[i]);
    for (const struct conf_node *n = e->block; n; n = n->parent) {
        const struct conf_node *rule = n->children;
        bool any = check_next(rule, "allow") || check_next(rule, "deny");
        for (; rule; rule = rule->next)
            if (check_is(rule, "allow") || check_is(rule, "deny")) {
                out_print(1, "  %-26s %.*s  (", conf_str(rule, 0),
                          WR_SPANF(check_arg(rule, 1)));
                print_place(rule);
                out_print(1, ")\n");
            }
        if (any)
            return;
    }
}

/* ---- variables -------------------------------------------------------------------------------------------------------- */

static bool name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '_';
}

/* The next $name or ${name} of a text: moves *rest behind it. Captures ($1) are left out. */
static bool next_variable(struct wr_span *rest, struct wr_span *out)
{
    ptrdiff_t at;
    while (rest->n && (at = wr_span_find_char(*rest, '$')) >= 0) {
        *rest = wr_span_sub(*rest, (size_t)at + 1, rest->n);
        if (rest->n && rest->p[0] == '{')
            *rest = wr_span_sub(*rest, 1, rest->n);
        size_t n = 0;
        while (n < rest->n && name_char(rest->p[n]))
            n++;
        *out = wr_span_sub(*rest, 0, n);
        if (n && !(rest->p[0] >= '0' && rest->p[0] <= '9'))
            return true;
    }
    return false;
}

struct names {
    struct wr_span list[64];
    unsigned n;
};

static void collect(struct names *names, const struct conf_node *node)
{
    for (uint32_t i = 1; i < node->nwords; i++) {
        struct wr_span rest = conf_arg(node, i), name;
        while (next_variable(&rest, &name)) {
            unsigned k = 0;
            while (k < names->n && !wr_span_eq(names->list[k], name))
                k++;
            if (k == names->n && k < WR_ARRAY_LEN(names->list))
                names->list[names->n++] = name;
        }
    }
}

static void print_variables(struct explain *e, struct web_req *r)
{
    struct names names = {.n = 0};
    for (const struct conf_node *block = e->block; block; block = block->parent) {
        collect(&names, block);
        for (const struct conf_node *n = block->children; n; n = n->next) {
            if (!n->block || check_is(n, "if"))
                collect(&names, n);
            if (check_is(n, "if"))
                for (const struct conf_node *in = n->children; in; in = in->next)
                    collect(&names, in);
        }
    }
    if (names.n)
        out_print(1, "variables\n");
    for (unsigned i = 0; i < names.n; i++) {
        const struct web_val *v = web_var_by_name(r, names.list[i]);
        out_print(1, "  $%-25.*s ", WR_SPANF(names.list[i]));
        if (v && v->found)
            out_print(1, "\"%.*s\"\n", WR_SPANF(v->text));
        else
            out_print(1, "(known when an answer is made)\n");
    }
}

/* ---- the command ------------------------------------------------------------------------------------------------------ */

struct ask {
    const char *file, *method;
    struct wr_span host, target;
    const char *fields[64];
    unsigned nfields;
    bool tls;
    uint64_t port;
};

/* http://host[:port]/path, or a path alone. */
static int parse_url(struct ask *a, const char *text)
{
    struct wr_span url = wr_span_str(text), rest = url;
    if (wr_span_has_prefix(url, WR_LIT("https://")))
        a->tls = true;
    else if (!wr_span_has_prefix(url, WR_LIT("http://"))) {
        a->target = url;
        a->host = WR_LIT("localhost");
        a->port = 0;
        return url.n && url.p[0] == '/' ? 0 : WR_E_SYNTAX;
    }
    rest = wr_span_sub(url, a->tls ? 8 : 7, url.n);
    size_t n = strcspn(rest.p, "/?");
    a->host = wr_span_sub(rest, 0, n);
    a->target = rest.p[n] ? wr_span_sub(rest, n, rest.n) : WR_LIT("/");
    a->port = a->tls ? 443 : 80;
    const char *bracket = memchr(a->host.p, ']', a->host.n);
    struct wr_span tail = bracket ? wr_span(bracket, (size_t)(rest.p + n - bracket)) : a->host;
    ptrdiff_t colon = wr_span_find_char(tail, ':');
    if (colon >= 0)
        return wr_num_parse_between(wr_span_sub(tail, (size_t)colon + 1, tail.n), 1, 65535,
                                    &a->port);
    return a->host.n ? 0 : WR_E_SYNTAX;
}

static int parse(int argc, char **argv, struct ask *a)
{
    const char *words[3] = {NULL};
    unsigned n = 0;
    *a = (struct ask){.tls = false};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-H") == 0 && i + 1 < argc && a->nfields < WR_ARRAY_LEN(a->fields))
            a->fields[a->nfields++] = argv[++i];
        else if (argv[i][0] == '-' || n == 3)
            return WR_E_SYNTAX;
        else
            words[n++] = argv[i];
    }
    if (n != 3)
        return WR_E_SYNTAX;
    a->file = words[0];
    a->method = words[1];
    return parse_url(a, words[2]);
}

static bool gives_host(const struct ask *a)
{
    for (unsigned i = 0; i < a->nfields; i++)
        if (wr_span_ieq(wr_span_sub(wr_span_str(a->fields[i]), 0, 5), WR_LIT("host:")))
            return true;
    return false;
}

/* -ENAMETOOLONG. */
static int make_head(const struct ask *a, char *out, size_t n)
{
    int used = snprintf(out, n, "%s %.*s HTTP/1.1\r\n", a->method, WR_SPANF(a->target));
    if (!gives_host(a) && used >= 0 && (size_t)used < n)
        used += snprintf(out + used, n - (size_t)used, "Host: %.*s\r\n", WR_SPANF(a->host));
    for (unsigned i = 0; i < a->nfields && used >= 0 && (size_t)used < n; i++)
        used += snprintf(out + used, n - (size_t)used, "%s\r\n", a->fields[i]);
    if (used >= 0 && (size_t)used < n)
        used += snprintf(out + used, n - (size_t)used, "\r\n");
    return used >= 0 && (size_t)used < n ? 0 : -ENAMETOOLONG;
}

/* rewrite_log on, so that the steps are told. What the file says of it itself is passed over. */
static void tell_steps(void *ctx, struct conf_load *load, struct conf_node *nodes)
{
    static const char name[] = "rewrite_log", on[] = "on";
    (void)ctx;
    for (struct conf_node *n = nodes; n; n = n->next) {
        if (n->nwords == 2 && check_is(n, name)) {
            struct conf_word *words = wr_arena_alloc(load->arena, 2 * sizeof(*words));
            if (words) {
                words[0] = n->words[0];
                words[1] = n->words[1];
                words[1].text = wr_span(on, 2);
                n->words = words;
            }
        }
        tell_steps(ctx, load, n->children);
        if (!check_is(n, "http") || !n->block || check_next(n->children, name))
            continue;
        struct conf_word *words = wr_arena_zalloc(load->arena, 2 * sizeof(*words));
        struct conf_node *node = wr_arena_zalloc(load->arena, sizeof(*node));
        if (!words || !node)
            return;
        *words = (struct conf_word){.text = wr_span_str(name), .line = n->line, .column = 1};
        words[1] = (struct conf_word){.text = wr_span(on, 2), .line = n->line, .column = 1};
        *node = (struct conf_node){.next = n->children,
                                   .parent = n,
                                   .file = n->file,
                                   .words = words,
                                   .nwords = 2,
                                   .line = n->line,
                                   .end_line = n->line};
        n->children = node;
    }
}

static int explain(struct web_config *config, const struct ask *ask)
{
    char head[HEAD_MAX];
    struct explain e = {
        .c = {.load = &config->load, .arena = config->load.arena, .nodes = config->nodes}
    };
    struct web_trace t = {.generation = config->generation,
                          .port = (uint16_t)ask->port,
                          .tls = ask->tls,
                          .tell = tell,
                          .ctx = &e};
    if (make_head(ask, head, sizeof(head)) ||
        wr_addr_parse(WR_LIT("127.0.0.1:1024"), &t.client)) {
        out_print(2, "weir explain: the request is too long\n");
        return CMD_FAILED;
    }
    t.head = wr_span_str(head);
    int err = web_trace_run(&t);
    if (!err) {
        struct web_req *r = t.r;
        struct wr_span path;
        size_t root;
        if (!t.answered) {
            out_print(1, "%-9s %.*s%s%.*s\n", "uri", WR_SPANF(r->uri), r->args.n ? "?" : "",
                      WR_SPANF(r->args));
            if (!r->location->handler && web_map_path(r, 0, &path, &root))
                out_print(1, "%-9s %.*s\n", "file", WR_SPANF(path));
        }
        if (r->location->node)
            e.block = r->location->node;
        if (e.status >= 300)
            print_error_page(&e);
        print_others(&e);
        out_print(1, "headers\n");
        print_headers(&e, "add_header");
        print_variables(&e, r);
        print_timers(&e);
    }
    web_trace_end(&t);
    return err ? CMD_FAILED : CMD_OK;
}

int cmd_explain(int argc, char **argv)
{
    struct ask ask;
    struct cmd_site site;
    struct opt o = {0};
    struct web_config *config;
    if (parse(argc, argv, &ask)) {
        out_print(2, "usage: weir explain FILE METHOD URL [-H 'Name: value'] ...\n"
                     "       URL: /path, http://host[:port]/path or https://...\n");
        return CMD_USAGE;
    }
    if (cmd_site_of_file(&site, &o, ask.file)) {
        out_print(2, "weir: [emerg] path too long\n");
        return CMD_FAILED;
    }
    site.source.edit = tell_steps;
    if (web_load(wr_os_heap(), &site.source, NULL, &config))
        return CMD_FAILED;
    int status = explain(config, &ask);
    web_config_free(&config);
    return status;
}
