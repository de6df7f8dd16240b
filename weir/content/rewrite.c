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
 *
 * Captures come from the pattern that was tried last: of a rewrite, an if, or the location. One that failed leaves
 * none. A redirect's Location never holds a control byte, and a rewritten path no "..": who builds them from what a
 * client sent cannot be made to split an answer or leave the root.
 */
#include "libweir/base/err.h"
#include "libweir/io/log.h"
#include "libweir/os/os.h"
#include "weir/web/vars.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* ---- configuration -------------------------------------------------------------------------------------- */

enum step_kind {
    STEP_SET,
    STEP_REWRITE,
    STEP_IF,
    STEP_RETURN,
    STEP_BREAK,
};

enum condition_kind {
    IF_TRUE, /* neither empty nor "0" */
    IF_EQUAL,
    IF_MATCH,
    IF_FILE, /* -f */
    IF_DIR,  /* -d */
    IF_ANY,  /* -e */
    IF_EXEC, /* -x */
};

struct condition {
    uint8_t kind; /* enum condition_kind */
    bool negated;
    uint32_t index;         /* TRUE, EQUAL, MATCH: the variable */
    struct web_value value; /* EQUAL: with this; of files: the path */
    struct web_regex *regex;
    struct wr_span pattern;
};

struct step;
struct steps {
    struct step *first, *last;
};

struct step {
    struct step *next;
    uint8_t kind; /* enum step_kind */
    /* SET */
    uint32_t index;
    const struct web_var *var; /* with a setter of its own; NULL */
    struct web_value value;    /* also RETURN's text or address */
    /* REWRITE */
    struct web_regex *regex;
    struct wr_span pattern;
    struct web_value target; /* the replacement up to its first '?'; of a redirect all of it */
    struct web_value query;  /* and behind it */
    bool redirect, has_query, drop_args, last, cycle_ends;
    int status; /* also RETURN's */
    bool has_text;
    /* IF */
    struct condition condition;
    const struct web_location *location; /* NULL in a server */
    const struct steps *block;
};

struct rewrite_conf {
    struct steps steps;
    bool log, warn;
};

/* ---- run time: values ------------------------------------------------------------------------------------- */

enum outcome {
    GO_ON,
    STOP
};

struct run {
    struct web_req *r;
    int status; /* what the phase function returns */
    bool log;
    bool quote; /* captures that came encoded are encoded again */
};

static int run_eval(struct run *run, const struct web_value *v, struct wr_span *out)
{
    return run->quote ? web_value_eval_quoted(run->r, v, out) : web_value_eval(run->r, v, out);
}

static enum outcome fail(struct run *run)
{
    run->status = 500;
    return STOP;
}

static bool has_controls(struct wr_span s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return true;
    return false;
}

/* Nothing in it may end the field. */
static int clean_location(struct web_req *r, struct wr_span *io)
{
    static const char hex[] = "0123456789ABCDEF";
    if (!has_controls(*io))
        return 0;
    char *p = wr_arena_alloc(r->arena, 3 * io->n + 1), *at = p;
    if (!p)
        return -ENOMEM;
    for (size_t i = 0; i < io->n; i++) {
        unsigned char c = (unsigned char)io->p[i];
        if (c >= 0x20 && c != 0x7f) {
            *at++ = (char)c;
            continue;
        }
        *at++ = '%';
        *at++ = hex[c >> 4];
        *at++ = hex[c & 15];
    }
    *io = wr_span(p, (size_t)(at - p));
    return 0;
}

/* ---- run time: set, return --------------------------------------------------------------------------------- */

static enum outcome run_set(struct run *run, const struct step *step)
{
    struct wr_span value;
    if (run_eval(run, &step->value, &value))
        return fail(run);
    if (step->var)
        return step->var->set(run->r, step->var, value) ? fail(run) : GO_ON;
    web_var_put(run->r, step->index, value);
    return run->r->vars ? GO_ON : fail(run);
}

static bool is_redirect(int status)
{
    return (status >= 301 && status <= 303) || status == 307 || status == 308;
}

static enum outcome run_return(struct run *run, const struct step *step)
{
    struct web_req *r = run->r;
    struct wr_span text = WR_LIT("");
    run->status = step->status;
    if (step->status >= 400 && !step->has_text)
        return STOP;
    int rc = web_discard_body(r);
    if (rc) {
        run->status = rc;
        return STOP;
    }
    r->out.status = step->status; /* $status in the text */
    if (step->has_text && web_value_eval(r, &step->value, &text))
        return fail(run);
    if (is_redirect(step->status)) {
        if (clean_location(r, &text))
            return fail(run);
        run->status = web_redirect(r, step->status, text);
        return STOP;
    }
    web_set_type(r);
    run->status = web_reply(r, step->status, r->out.type, text);
    return STOP;
}

/* ---- run time: rewrite --------------------------------------------------------------------------------------- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = wr_ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Up to the query, in place: what needs no encoding in a path is decoded. Returns the new length. */
static size_t unescape_path(char *p, size_t n)
{
    size_t from = 0, to = 0;
    while (from < n) {
        int hi = from + 2 < n ? hex_digit(p[from + 1]) : -1;
        int lo = from + 2 < n ? hex_digit(p[from + 2]) : -1;
        int c = p[from] == '%' && hi >= 0 && lo >= 0 ? hi << 4 | lo : -1;
        if (p[from] == '?')
            break;
        if (c == '?') { /* from here on it is the query */
            p[to++] = '?';
            from += 3;
            break;
        }
        if (c > '%' && c < 0x7f) {
            p[to++] = (char)c;
            from += 3;
            continue;
        }
        p[to++] = p[from++];
    }
    memmove(p + to, p + from, n - from);
    return to + n - from;
}

static enum outcome rewrite_redirect(struct run *run, const struct step *step)
{
    struct web_req *r = run->r;
    struct wr_span text;
    run->quote = true;
    int err = run_eval(run, &step->target, &text);
    run->quote = false;
    if (err)
        return fail(run);
    bool args = !step->drop_args && r->args.n;
    char *p = wr_arena_alloc(r->arena, text.n + r->args.n + 2);
    if (!p)
        return fail(run);
    memcpy(p, text.p, text.n);
    size_t n = unescape_path(p, text.n);
    if (args) {
        p[n++] = step->has_query ? '&' : '?';
        memcpy(p + n, r->args.p, r->args.n);
        n += r->args.n;
    }
    struct wr_span location = wr_span(p, n);
    if (clean_location(r, &location))
        return fail(run);
    if (run->log)
        web_error(r, WR_LOG_NOTICE, 0, "rewritten redirect: \"%.*s\"", WR_SPANF(location));
    run->status = web_redirect(r, step->status, location);
    return STOP;
}

/* The replacement's own query, and behind it what the request had. */
static int eval_args(struct run *run, const struct step *step, struct wr_span *out)
{
    struct web_req *r = run->r;
    struct wr_span own;
    run->quote = true;
    int err = run_eval(run, &step->query, &own);
    if (err || step->drop_args || !r->args.n) {
        *out = own;
        return err;
    }
    char *p = wr_arena_alloc(r->arena, own.n + r->args.n + 2);
    if (!p)
        return -ENOMEM;
    memcpy(p, own.p, own.n);
    p[own.n] = '&';
    memcpy(p + own.n + 1, r->args.p, r->args.n);
    *out = wr_span(p, own.n + 1 + r->args.n);
    return 0;
}

static bool leaves_root(struct wr_span path)
{
    struct wr_span piece;
    while (wr_span_split(&path, '/', &piece))
        if (wr_span_eq(piece, WR_LIT("..")))
            return true;
    return false;
}

static enum outcome rewrite_uri(struct run *run, const struct step *step)
{
    struct web_req *r = run->r;
    struct wr_span uri, args = step->drop_args ? (struct wr_span){0} : r->args;
    run->quote = false;
    int err = run_eval(run, &step->target, &uri);
    if (!err && step->has_query)
        err = eval_args(run, step, &args);
    run->quote = false;
    if (err)
        return fail(run);
    if (run->log)
        web_error(r, WR_LOG_NOTICE, 0, "rewritten data: \"%.*s\", args: \"%.*s\"",
                  WR_SPANF(uri), WR_SPANF(args));
    if (!uri.n) {
        web_error(r, WR_LOG_ERROR, 0, "the rewritten URI has a zero length");
        return fail(run);
    }
    if (leaves_root(uri)) {
        web_error(r, WR_LOG_ERROR, 0, "the rewritten URI \"%.*s\" leaves the root",
                  WR_SPANF(uri));
        run->status = 400;
        return STOP;
    }
    r->uri = uri;
    r->args = args;
    r->internal = true;
    r->uri_changed = !step->cycle_ends;
    return step->last ? STOP : GO_ON;
}

static int run_match(struct run *run, const struct web_regex *regex, struct wr_span pattern,
                     struct wr_span subject)
{
    int rc = web_regex_match(run->r, regex, subject);
    if (rc == 0)
        run->r->ncaptures = 0;
    if (rc >= 0 && run->log)
        web_error(run->r, WR_LOG_NOTICE, 0, "\"%.*s\" %s \"%.*s\"", WR_SPANF(pattern),
                  rc ? "matches" : "does not match", WR_SPANF(subject));
    return rc;
}

static enum outcome run_rewrite(struct run *run, const struct step *step)
{
    int rc = run_match(run, step->regex, step->pattern, run->r->uri);
    if (rc < 0)
        return fail(run);
    if (rc == 0)
        return GO_ON;
    return step->redirect ? rewrite_redirect(run, step) : rewrite_uri(run, step);
}

/* ---- run time: if ---------------------------------------------------------------------------------------------- */

/* 1, 0, negative. */
static int file_is(struct run *run, const struct condition *c)
{
    struct wr_span path;
    struct stat st;
    if (run_eval(run, &c->value, &path))
        return -ENOMEM;
    int err = wr_os_stat(path.p, &st);
    if (err && err != -ENOENT && err != -ENOTDIR && err != -ENAMETOOLONG)
        web_error(run->r, WR_LOG_CRIT, err, "stat() \"%s\" failed", path.p);
    if (err)
        return 0;
    switch ((enum condition_kind)c->kind) {
    case IF_FILE:
        return S_ISREG(st.st_mode);
    case IF_DIR:
        return S_ISDIR(st.st_mode);
    case IF_EXEC:
        return (st.st_mode & S_IXUSR) != 0;
    case IF_TRUE:
    case IF_EQUAL:
    case IF_MATCH:
    case IF_ANY:
        break;
    }
    return 1;
}

static int holds(struct run *run, const struct condition *c)
{
    struct wr_span other;
    if (c->kind >= IF_FILE)
        return file_is(run, c);
    const struct web_val *val = web_var_get_fresh(run->r, c->index);
    if (!val->valid)
        return -ENOMEM;
    if (c->kind == IF_MATCH)
        return run_match(run, c->regex, c->pattern, val->text);
    if (c->kind == IF_TRUE)
        return val->text.n > 0 && !(val->text.n == 1 && val->text.p[0] == '0');
    struct wr_span text = val->text;
    if (run_eval(run, &c->value, &other))
        return -ENOMEM;
    return wr_span_eq(text, other);
}

static enum outcome run_steps(struct run *run, const struct steps *steps)
{
    enum outcome out = GO_ON;
    for (const struct step *s = steps->first; s && out == GO_ON; s = s->next) {
        int yes;
        switch ((enum step_kind)s->kind) {
        case STEP_SET:
            out = run_set(run, s);
            break;
        case STEP_REWRITE:
            out = run_rewrite(run, s);
            break;
        case STEP_RETURN:
            out = run_return(run, s);
            break;
        case STEP_BREAK:
            run->r->uri_changed = false;
            out = STOP;
            break;
        case STEP_IF:
            yes = holds(run, &s->condition);
            if (yes < 0)
                return fail(run);
            if ((yes != 0) == s->condition.negated)
                break;
            if (s->location)
                web_set_location(run->r, s->location);
            out = run_steps(run, s->block);
            break;
        }
    }
    return out;
}

static int rewrite_location(struct web_req *r)
{
    const struct rewrite_conf *conf = web_location_conf(r, rewrite);
    struct run run = {.r = r, .status = WEB_OK, .log = conf->log, .quote = true};
    (void)run_steps(&run, &conf->steps);
    return run.status;
}

static int rewrite_server(struct web_req *r)
{
    const struct rewrite_conf *conf = r->server->outer->conf[WEB_rewrite];
    struct run run = {.r = r, .status = WEB_OK, .log = conf->log, .quote = true};
    (void)run_steps(&run, &conf->steps);
    return run.status;
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
