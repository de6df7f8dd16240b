/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Another URI, a variable, an answer, on conditions: rewrite, if, set, return, break, rewrite_log,
 * uninitialized_variable_warn.
 *
 *     if ($request_method = POST) { return 405; }
 *     rewrite ^/old/(.*)$ /new/$1?from=old last;
 *
 * The directives of a block become a list of steps that is run in the order of the file: the server's before a
 * location is chosen, the location's behind that. The steps of an `if` are a list within the list; when its condition
 * holds, an `if` in a location also puts its own settings in the place of the location's. A rewritten URI is
 * led to its location when the list has ended; the engine counts how often.
 */
#include "weir/content/rewrite.h"

#include "libweir/io/log.h"

#include <errno.h>

struct rewrite_conf {
    struct steps steps;
    bool log, warn;
};

/* ---- run time ----------------------------------------------------------------------------------------------- */

static int rewrite_location(struct web_req *r)
{
    const struct rewrite_conf *conf = web_location_conf(r, rewrite);
    return rewrite_run(r, &conf->steps, conf->log);
}

static int rewrite_server(struct web_req *r)
{
    const struct rewrite_conf *conf = r->server->outer->conf[WEB_rewrite];
    return rewrite_run(r, &conf->steps, conf->log);
}

static bool server_wanted(const struct web_location *location)
{
    const struct rewrite_conf *conf = location->conf[WEB_rewrite];
    return conf->steps.first != NULL;
}

/* The server's own steps have been run; those of an `if` are run by the list that it is in. */
static bool location_wanted(const struct web_location *location)
{
    const struct rewrite_conf *conf = location->conf[WEB_rewrite];
    return conf->steps.first != NULL && !location->is_if && location != location->server->outer;
}

/* A variable that `set` makes, before it was set. */
static int get_unset(struct web_req *r, const struct web_var *v, struct wr_span rest,
                     struct web_val *out)
{
    (void)rest;
    const struct rewrite_conf *conf = web_location_conf(r, rewrite);
    if (conf->warn)
        web_error(r, WR_LOG_WARN, 0, "using uninitialized \"%s\" variable", v->name);
    return web_val_set(out, WR_LIT(""));
}

/* ---- setters ------------------------------------------------------------------------------------------------ */

static struct step *step_add(struct conf_load *load, void *field, enum step_kind kind)
{
    struct steps *steps = field;
    struct step *s = wr_arena_zalloc(load->arena, sizeof(*s));
    if (!s)
        return NULL;
    s->kind = (uint8_t)kind;
    if (steps->last)
        steps->last->next = s;
    else
        steps->first = s;
    steps->last = s;
    return s;
}

static int set_set(struct conf_load *load, const struct conf_node *node,
                   const struct conf_row *row, void *field)
{
    (void)row;
    struct wr_span name = conf_arg(node, 1);
    if (name.n < 2 || name.p[0] != '$')
        return conf_fail(load, node, 1, "invalid variable name \"%.*s\"", WR_SPANF(name));
    name = wr_span_sub(name, 1, name.n);
    struct step *s = step_add(load, field, STEP_SET);
    struct web_var *v = wr_arena_zalloc(load->arena, sizeof(*v));
    if (!s || !v)
        return -ENOMEM;
    const struct web_var *known = web_var_find(load, name);
    if (known && !(known->flags & WEB_VAR_CHANGEABLE))
        return conf_fail(load, node, 1, "the duplicate \"%.*s\" variable", WR_SPANF(name));
    if (known && known->set)
        s->var = known;
    v->get = get_unset;
    v->flags = WEB_VAR_CHANGEABLE | WEB_VAR_WEAK;
    int err =
        known && !(known->flags & WEB_VAR_WEAK) ? 0 : web_var_define(load, node, 1, name, v);
    if (!err)
        err = web_var_index(load, node, 1, name, &s->index);
    return err ? err : web_value_compile(load, node, 2, conf_arg(node, 2), &s->value);
}

static bool is_address(struct wr_span s)
{
    return wr_span_has_prefix(s, WR_LIT("http://")) ||
           wr_span_has_prefix(s, WR_LIT("https://")) ||
           wr_span_has_prefix(s, WR_LIT("$scheme"));
}

static int set_return(struct conf_load *load, const struct conf_node *node,
                      const struct conf_row *row, void *field)
{
    (void)row;
    struct step *s = step_add(load, field, STEP_RETURN);
    uint32_t word = 2;
    int64_t status;
    if (!s)
        return -ENOMEM;
    if (!conf_read_num(conf_arg(node, 1), &status)) {
        if (status < 200 || status > 999)
            return conf_fail(load, node, 1, "invalid return code \"%s\"", conf_str(node, 1));
        s->status = (int)status;
    } else if (node->nwords == 2 && is_address(conf_arg(node, 1))) {
        s->status = 302;
        word = 1;
    } else {
        return conf_fail(load, node, 1, "invalid return code \"%s\"", conf_str(node, 1));
    }
    if (word >= node->nwords)
        return 0;
    s->has_text = conf_arg(node, word).n > 0;
    return web_value_compile(load, node, word, conf_arg(node, word), &s->value);
}

static int set_break(struct conf_load *load, const struct conf_node *node,
                     const struct conf_row *row, void *field)
{
    (void)row;
    (void)node;
    return step_add(load, field, STEP_BREAK) ? 0 : -ENOMEM;
}

static int read_rewrite_flag(struct conf_load *load, const struct conf_node *node,
                             struct step *s)
{
    struct wr_span flag = conf_arg(node, 3);
    s->last = true;
    if (wr_span_eq(flag, WR_LIT("last")))
        return 0;
    if (wr_span_eq(flag, WR_LIT("break"))) {
        s->cycle_ends = true;
        return 0;
    }
    s->redirect = true;
    if (wr_span_eq(flag, WR_LIT("redirect")))
        s->status = 302;
    else if (wr_span_eq(flag, WR_LIT("permanent")))
        s->status = 301;
    else
        return conf_fail(load, node, 3, "invalid parameter \"%.*s\"", WR_SPANF(flag));
    return 0;
}

/* A redirect is one text; a URI ends at the first '?'. */
static int compile_replacement(struct conf_load *load, const struct conf_node *node,
                               struct wr_span text, struct step *s)
{
    ptrdiff_t mark = wr_span_find_char(text, '?');
    s->has_query = mark >= 0;
    if (s->redirect || mark < 0)
        return web_value_compile(load, node, 2, text, &s->target);
    struct wr_span query = wr_span_sub(text, (size_t)mark + 1, text.n);
    int err = web_value_compile(load, node, 2, wr_span_sub(text, 0, (size_t)mark), &s->target);
    return err ? err : web_value_compile(load, node, 2, query, &s->query);
}

static int set_rewrite(struct conf_load *load, const struct conf_node *node,
                       const struct conf_row *row, void *field)
{
    (void)row;
    struct wr_span text = conf_arg(node, 2);
    struct step *s = step_add(load, field, STEP_REWRITE);
    if (!s)
        return -ENOMEM;
    s->pattern = conf_arg(node, 1);
    int err = web_regex_compile(load, node, 1, s->pattern, false, &s->regex);
    if (err)
        return err;
    if (is_address(text)) {
        s->redirect = s->last = true;
        s->status = 302;
    }
    if (node->nwords == 4 && (err = read_rewrite_flag(load, node, s)))
        return err;
    s->drop_args = text.n > 0 && text.p[text.n - 1] == '?';
    return compile_replacement(load, node, wr_span_sub(text, 0, text.n - s->drop_args), s);
}

/* The words between the parentheses, which may stand alone or cling to the first and last. */
struct words {
    struct wr_span w[3];
    uint32_t n, at; /* at: the first one's place in the directive */
};

static int read_words(struct conf_load *load, const struct conf_node *node, struct words *out)
{
    uint32_t first = 1, last = node->nwords - 1;
    struct wr_span open = conf_arg(node, first), close = conf_arg(node, last);
    if (!open.n || open.p[0] != '(' || !close.n || close.p[close.n - 1] != ')')
        return conf_fail(load, node, 1, "invalid condition \"%.*s\"", WR_SPANF(open));
    if (open.n == 1)
        first++;
    if (close.n == 1)
        last--;
    if (last < first || last - first + 1 > WR_ARRAY_LEN(out->w))
        return conf_fail(load, node, 1, "invalid condition \"%.*s\"", WR_SPANF(open));
    out->n = last - first + 1;
    out->at = first;
    for (uint32_t i = 0; i < out->n; i++) {
        struct wr_span w = conf_arg(node, first + i);
        if (first + i == 1)
            w = wr_span_sub(w, 1, w.n);
        if (first + i == node->nwords - 1)
            w = wr_span_sub(w, 0, w.n - 1);
        out->w[i] = w;
    }
    return 0;
}

static int compile_files(struct conf_load *load, const struct conf_node *node,
                         const struct words *words, struct condition *c)
{
    static const char letters[] = {
        [IF_FILE] = 'f', [IF_DIR] = 'd', [IF_ANY] = 'e', [IF_EXEC] = 'x'};
    struct wr_span op = words->w[0];
    c->negated = op.n == 3 && op.p[0] == '!';
    for (uint8_t k = IF_FILE; k <= IF_EXEC; k++)
        if (op.n == 2u + c->negated && op.p[op.n - 2] == '-' && op.p[op.n - 1] == letters[k])
            c->kind = k;
    if (c->kind == IF_TRUE || words->n != 2)
        return conf_fail(load, node, words->at, "invalid condition \"%.*s\"", WR_SPANF(op));
    return web_value_compile(load, node, words->at + 1, words->w[1], &c->value);
}

static int compile_operator(struct conf_load *load, const struct conf_node *node,
                            const struct words *words, struct condition *c)
{
    struct wr_span op = words->w[1];
    c->negated = op.n > 1 && op.p[0] == '!';
    if (c->negated)
        op = wr_span_sub(op, 1, op.n);
    if (wr_span_eq(op, WR_LIT("="))) {
        c->kind = IF_EQUAL;
        return web_value_compile(load, node, words->at + 2, words->w[2], &c->value);
    }
    bool caseless = wr_span_eq(op, WR_LIT("~*"));
    if (!caseless && !wr_span_eq(op, WR_LIT("~")))
        return conf_fail(load, node, words->at + 1, "unexpected \"%.*s\" in condition",
                         WR_SPANF(words->w[1]));
    c->kind = IF_MATCH;
    c->pattern = words->w[2];
    return web_regex_compile(load, node, words->at + 2, c->pattern, caseless, &c->regex);
}

static int compile_condition(struct conf_load *load, const struct conf_node *node,
                             struct condition *c)
{
    struct words words;
    int err = read_words(load, node, &words);
    if (err)
        return err;
    struct wr_span first = words.w[0];
    if (first.n < 2 || first.p[0] != '$')
        return compile_files(load, node, &words, c);
    if (words.n == 2)
        return conf_fail(load, node, words.at, "invalid condition \"%.*s\"", WR_SPANF(first));
    err = web_var_index(load, node, words.at, wr_span_sub(first, 1, first.n), &c->index);
    return err || words.n == 1 ? err : compile_operator(load, node, &words, c);
}

static int set_if(struct conf_load *load, const struct conf_node *node,
                  const struct conf_row *row, void *field)
{
    (void)row;
    bool in_server = load->scope->context == CONF_SERVER;
    struct conf_scope *scope;
    struct web_location *location;
    struct step *s = step_add(load, field, STEP_IF);
    if (!s)
        return -ENOMEM;
    int err = compile_condition(load, node, &s->condition);
    if (!err)
        err = site_location_new(load, node, in_server ? CONF_IF_SERVER : CONF_IF_LOCATION,
                                &scope, &location);
    if (err)
        return err;
    const struct rewrite_conf *inner = scope->at[CONF_AT_LOCATION][WEB_rewrite];
    s->block = &inner->steps;
    s->location = in_server ? NULL : location;
    return conf_apply(load, scope, node->children);
}

/* ---- tables ------------------------------------------------------------------------------------------------- */

#define PLACES (CONF_SERVER | CONF_LOCATION)
#define IFS    (CONF_IF_SERVER | CONF_IF_LOCATION)
#define LIST   (CONF_TWICE | CONF_ALONE)
#define STEPS  CONF_AT_LOCATION

static const struct conf_row rows[] = {
    {"rewrite",                                       PLACES | IFS, 2, 3, LIST, STEPS, set_rewrite,
     CONF_FIELD(struct rewrite_conf, steps), NULL, NULL,
     "regex replacement [last | break | redirect | permanent]", "Changes the URI when it matches the pattern."},
    {"if",                                              PLACES, 1, CONF_MANY, LIST | CONF_BLOCK, STEPS, set_if,
     CONF_FIELD(struct rewrite_conf, steps), NULL, NULL, "(condition) { ... }",
     "Runs the directives of the block, and takes its settings, when the condition holds."},
    {"set",                                           PLACES | IFS, 2, 2, LIST, STEPS, set_set, CONF_FIELD(struct rewrite_conf, steps),
     NULL, NULL, "$variable value", "Gives a variable a value."},
    {"return",                                    PLACES | IFS, 1, 2, LIST, STEPS, set_return,
     CONF_FIELD(struct rewrite_conf, steps), NULL, NULL, "code [text | URL] | URL",
     "Ends the rewriting and answers with the code; 444 closes the connection."},
    {"break",                                         PLACES | IFS, 0, 0, LIST, STEPS, set_break,
     CONF_FIELD(struct rewrite_conf, steps), NULL, NULL, "", "Ends the rewriting here."},
    {"rewrite_log",                                           CONF_HSL | IFS, 1, 1, 0, STEPS, conf_set_flag,
     CONF_FIELD(struct rewrite_conf, log), "off", NULL, "on | off",
     "Writes each rewriting to the error log at level notice."},
    {"uninitialized_variable_warn", CONF_HSL | IFS, 1, 1, 0, STEPS, conf_set_flag,
     CONF_FIELD(struct rewrite_conf, warn), "on", NULL, "on | off",
     "Warns of variables that are used before they were set."},
    {0                                           },
};

static const struct web_phase_row phases[] = {
    {WEB_SERVER_REWRITE, rewrite_server, server_wanted},
    {WEB_REWRITE,     rewrite_location, location_wanted},
    {0       },
};

/* ---- the module --------------------------------------------------------------------------------------------- */

const struct web_module rewrite_module = {
    .conf = {.name = "http_rewrite",
             .size = {[CONF_AT_LOCATION] = sizeof(struct rewrite_conf)},
             .rows = rows},
    .phases = phases,
};
