/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The steps of a block, run for a request (rewrite.h).
 *
 * Captures come from the pattern that was tried last: of a rewrite, an if, or the location. One that failed leaves
 * none. A redirect's Location never holds a control byte, and a rewritten path no "..": who builds them from what a
 * client sent cannot be made to split an answer or leave the root.
 */
#include "weir/content/rewrite.h"

#include "libweir/io/log.h"
#include "libweir/os/os.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* ---- values ------------------------------------------------------------------------------------------------ */

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

/* ---- set, return ------------------------------------------------------------------------------------------- */

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

/* ---- rewrite ----------------------------------------------------------------------------------------------- */

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

/* ---- if ---------------------------------------------------------------------------------------------------- */

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

int rewrite_run(struct web_req *r, const struct steps *steps, bool log)
{
    struct run run = {.r = r, .status = WEB_OK, .log = log, .quote = true};
    (void)run_steps(&run, steps);
    return run.status;
}
