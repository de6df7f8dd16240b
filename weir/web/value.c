/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/err.h"
#include "weir/web/vars.h"

#include <errno.h>
#include <string.h>

enum part_kind {
    TEXT,
    VARIABLE,
    CAPTURE,
};

struct web_part {
    uint8_t kind;
    uint32_t n; /* VARIABLE: index; CAPTURE: group */
    struct wr_span text;
};

#define ON_STACK 24 /* parts whose values need no memory of their own */

/* ---- compiling ------------------------------------------------------------------------------------------- */

static bool name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '_';
}

struct compiler {
    struct conf_load *load;
    const struct conf_node *node;
    uint32_t word;
    struct wr_span rest;
};

/* c->rest is behind the '$'. */
static int read_variable(struct compiler *c, struct web_part *out)
{
    struct wr_span s = c->rest;
    if (s.n && s.p[0] >= '1' && s.p[0] <= '9') {
        *out = (struct web_part){.kind = CAPTURE, .n = (uint32_t)(s.p[0] - '0')};
        c->rest = wr_span_sub(s, 1, s.n);
        return 0;
    }
    bool bracket = s.n && s.p[0] == '{';
    size_t from = bracket, to = from;
    while (to < s.n && name_char(s.p[to]))
        to++;
    struct wr_span name = wr_span_sub(s, from, to - from);
    if (bracket && (to == s.n || s.p[to] != '}'))
        return conf_fail(c->load, c->node, c->word,
                         "the closing bracket in \"%.*s\" variable is missing", WR_SPANF(name));
    if (!name.n)
        return conf_fail(c->load, c->node, c->word, "invalid variable name");
    c->rest = wr_span_sub(s, to + bracket, s.n);
    *out = (struct web_part){.kind = VARIABLE};
    return web_var_index(c->load, c->node, c->word, name, &out->n);
}

static int read_part(struct compiler *c, struct web_part *out)
{
    if (c->rest.p[0] == '$') {
        c->rest = wr_span_sub(c->rest, 1, c->rest.n);
        return read_variable(c, out);
    }
    ptrdiff_t end = wr_span_find_char(c->rest, '$');
    size_t n = end < 0 ? c->rest.n : (size_t)end;
    *out = (struct web_part){.kind = TEXT, .text = wr_span_sub(c->rest, 0, n)};
    c->rest = wr_span_sub(c->rest, n, c->rest.n);
    return 0;
}

/* At most so many: each begins or ends at a '$'. */
static size_t parts_max(struct wr_span text)
{
    size_t n = 1;
    for (size_t i = 0; i < text.n; i++)
        n += 2 * (text.p[i] == '$');
    return n;
}

int web_value_compile(struct conf_load *load, const struct conf_node *node, uint32_t word,
                      struct wr_span text, struct web_value *out)
{
    char *copy = wr_arena_strndup(load->arena, text.p ? text.p : "", text.n);
    if (!copy)
        return -ENOMEM;
    struct web_value v = {.text = wr_span(copy, text.n)};
    size_t max = parts_max(v.text);
    if (max > 1) {
        struct web_part *parts = wr_arena_zalloc(load->arena, max * sizeof(*parts));
        if (!parts)
            return -ENOMEM;
        struct compiler c = {load, node, word, v.text};
        while (c.rest.n) {
            int err = read_part(&c, &parts[v.nparts++]);
            if (err)
                return err;
        }
        v.parts = parts;
    }
    *out = v;
    return 0;
}

bool web_value_captures(const struct web_value *v)
{
    for (uint32_t i = 0; i < v->nparts; i++)
        if (v->parts[i].kind == CAPTURE)
            return true;
    return false;
}

/* ---- evaluating ------------------------------------------------------------------------------------------- */

static int part_value(struct web_req *r, const struct web_part *part, struct wr_span *out)
{
    *out = (struct wr_span){"", 0};
    if (part->kind == TEXT) {
        *out = part->text;
    } else if (part->kind == CAPTURE) {
        if (part->n < r->ncaptures && r->captures[part->n].p)
            *out = r->captures[part->n];
    } else {
        const struct web_val *val = web_var_get_fresh(r, part->n);
        if (!val->valid)
            return -ENOMEM;
        *out = val->text;
    }
    return 0;
}

/* Did the path come with percent signs or plus signs? Then what it was decoded to is encoded again. */
static bool was_quoted(const struct web_req *r)
{
    for (size_t i = 0; i < r->raw_uri.n && r->raw_uri.p[i] != '?'; i++)
        if (r->raw_uri.p[i] == '%' || r->raw_uri.p[i] == '+')
            return true;
    return false;
}

static bool args_plain(unsigned char c)
{
    return c > 0x20 && c < 0x7f && !strchr("\"#%&+:;<=>?@[\\]^`{|}", c);
}

static size_t quoted_size(struct wr_span s)
{
    size_t n = s.n;
    for (size_t i = 0; i < s.n; i++)
        n += args_plain((unsigned char)s.p[i]) ? 0 : 2;
    return n;
}

static char *quote(char *to, struct wr_span s)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (args_plain(c)) {
            *to++ = (char)c;
            continue;
        }
        *to++ = '%';
        *to++ = hex[c >> 4];
        *to++ = hex[c & 15];
    }
    return to;
}

static char *append(char *to, struct wr_span s)
{
    if (s.n)
        memcpy(to, s.p, s.n);
    return to + s.n;
}

static int join(struct web_req *r, const struct web_value *v, const struct wr_span *values,
                bool quoted, struct wr_span *out)
{
    size_t n = 0;
    for (uint32_t i = 0; i < v->nparts; i++)
        n += quoted && v->parts[i].kind == CAPTURE ? quoted_size(values[i]) : values[i].n;
    char *p = wr_arena_alloc(r->arena, n + 1);
    if (!p)
        return -ENOMEM;
    char *at = p;
    for (uint32_t i = 0; i < v->nparts; i++)
        at = quoted && v->parts[i].kind == CAPTURE ? quote(at, values[i])
                                                   : append(at, values[i]);
    *at = '\0';
    *out = wr_span(p, n);
    return 0;
}

static int eval(struct web_req *r, const struct web_value *v, bool quoted, struct wr_span *out)
{
    struct wr_span on_stack[ON_STACK], *values = on_stack;
    if (web_value_constant(v)) {
        *out = v->text;
        return 0;
    }
    if (v->nparts > ON_STACK) {
        values = wr_arena_alloc(r->arena, v->nparts * sizeof(*values));
        if (!values)
            return -ENOMEM;
    }
    for (uint32_t i = 0; i < v->nparts; i++) {
        int err = part_value(r, &v->parts[i], &values[i]);
        if (err)
            return err;
    }
    return join(r, v, values, quoted, out);
}

int web_value_eval(struct web_req *r, const struct web_value *v, struct wr_span *out)
{
    return eval(r, v, false, out);
}

int web_value_eval_quoted(struct web_req *r, const struct web_value *v, struct wr_span *out)
{
    return eval(r, v, web_value_captures(v) && was_quoted(r), out);
}

int web_value_peek(struct web_req *r, const struct web_value *v, struct wr_span *out)
{
    if (v->parts && v->nparts == 1)
        return part_value(r, &v->parts[0], out);
    return eval(r, v, false, out);
}

bool web_value_true(struct web_req *r, const struct web_value *v)
{
    struct wr_span s;
    if (web_value_peek(r, v, &s))
        return false;
    return s.n > 0 && !(s.n == 1 && s.p[0] == '0');
}

/* ---- setters ----------------------------------------------------------------------------------------------- */

int web_set_value(struct conf_load *load, const struct conf_node *node,
                  const struct conf_row *row, void *field)
{
    (void)row;
    return web_value_compile(load, node, 1, conf_arg(node, 1), field);
}

int web_set_value_size(struct conf_load *load, const struct conf_node *node,
                       const struct conf_row *row, void *field)
{
    struct web_value *v = field;
    uint64_t size;
    int err = web_set_value(load, node, row, field);
    if (!err && web_value_constant(v) && conf_read_size(v->text, &size))
        return conf_fail(load, node, 1, "\"%s\" directive invalid value", row->name);
    return err;
}

int web_set_values(struct conf_load *load, const struct conf_node *node,
                   const struct conf_row *row, void *field)
{
    (void)row;
    struct web_values *values = field;
    struct web_value *list = wr_arena_zalloc(load->arena, node->nwords * sizeof(*list));
    if (!list)
        return -ENOMEM;
    for (uint32_t i = 1; i < node->nwords; i++) {
        int err = web_value_compile(load, node, i, conf_arg(node, i), &list[i - 1]);
        if (err)
            return err;
    }
    *values = (struct web_values){list, node->nwords - 1};
    return 0;
}
