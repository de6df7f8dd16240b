/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Module sub: strings in the answer's body replaced by others.
 *
 * sub_filter (several), sub_filter_once, sub_filter_last_modified, sub_filter_types. The search folds ASCII case;
 * the leftmost match wins, of several at one place the one given first.
 */

#include "libweir/base/err.h"
#include "weir/filter/recode.h"
#include "weir/web/encoding.h"

#include <errno.h>
#include <string.h>

#define WINDOW ((size_t)8192)
#define OUT    ((size_t)16384)

struct sub_pair {
    struct web_value search, replace;
};

struct sub_pairs {
    const struct sub_pair *list;
    uint32_t n;
};

struct sub_location {
    struct sub_pairs pairs;
    struct web_types types;
    bool once, keep_last_modified;
};

/* ---- the coder ---------------------------------------------------------------------------------------- */

struct sub_word {
    struct wr_span search; /* lower case */
    const struct sub_pair *pair;
    struct wr_span replace;
    bool evaluated, spent;
};

struct sub_state {
    struct web_req *r;
    bool once;
    uint32_t nwords, live;
    size_t longest;
    bool begins[256]; /* a live word begins with this byte */
    char *window;     /* what is not decided yet: [at, n) */
    size_t at, n, cap;
    struct wr_span pending; /* a replacement on its way out */
    struct sub_word words[];
};

static void note_beginnings(struct sub_state *s)
{
    memset(s->begins, 0, sizeof s->begins);
    s->live = 0;
    for (uint32_t i = 0; i < s->nwords; i++) {
        if (s->words[i].spent)
            continue;
        unsigned char c = (unsigned char)s->words[i].search.p[0];
        s->begins[c] = true;
        s->begins[c >= 'a' && c <= 'z' ? c - 32 : c] = true;
        s->live++;
    }
}

/* How many bytes of the word lie at p. */
static size_t common(const char *p, size_t n, struct wr_span word)
{
    size_t i = 0;
    while (i < n && i < word.n && wr_ascii_lower(p[i]) == word.p[i])
        i++;
    return i;
}

/* The word that stands at p; *out_maybe: one could, with more bytes. */
static struct sub_word *word_at(struct sub_state *s, const char *p, size_t n, bool *out_maybe)
{
    for (uint32_t i = 0; i < s->nwords; i++) {
        struct sub_word *w = &s->words[i];
        if (w->spent)
            continue;
        size_t same = common(p, n, w->search);
        if (same == w->search.n)
            return w;
        if (same == n) {
            *out_maybe = true;
            return NULL; /* an earlier word may still come: later ones wait */
        }
    }
    return NULL;
}

static int replace(struct sub_state *s, struct sub_word *w)
{
    if (!w->evaluated) {
        int rc = web_value_eval(s->r, &w->pair->replace, &w->replace);
        if (rc)
            return rc;
        w->evaluated = true;
    }
    s->pending = w->replace;
    s->at += w->search.n;
    if (s->once) {
        w->spent = true;
        note_beginnings(s);
    }
    return 0;
}

static size_t put(struct wr_span *from, char *out, size_t cap)
{
    size_t n = from->n < cap ? from->n : cap;
    if (n)
        memcpy(out, from->p, n);
    *from = wr_span_sub(*from, n, SIZE_MAX);
    return n;
}

static void refill(struct sub_state *s, struct wr_span *in)
{
    if (s->at > 0) {
        memmove(s->window, s->window + s->at, s->n - s->at);
        s->n -= s->at;
        s->at = 0;
    }
    s->n += put(in, s->window + s->n, s->cap - s->n);
}

/* Copies from the window until a word, the end of the room, or of what is certain. 1: at a word. */
static int scan(struct sub_state *s, bool final, char *out, size_t cap, size_t *out_n)
{
    while (s->at < s->n && *out_n < cap) {
        const char *p = s->window + s->at;
        if (s->live && s->begins[(unsigned char)*p]) {
            bool maybe = false;
            struct sub_word *w = word_at(s, p, s->n - s->at, &maybe);
            if (w) {
                int rc = replace(s, w);
                return rc ? rc : 1;
            }
            if (maybe && !final)
                return 0;
        }
        out[(*out_n)++] = *p;
        s->at++;
    }
    return 0;
}

static int sub_run(void *state, struct wr_span *in, enum recode_op op, char *out, size_t cap,
                   size_t *out_n, bool *out_done)
{
    struct sub_state *s = state;
    for (;;) {
        *out_n += put(&s->pending, out + *out_n, cap - *out_n);
        if (s->pending.n || *out_n == cap)
            return 0;
        refill(s, in);
        int rc = scan(s, op == RECODE_FINISH && in->n == 0, out, cap, out_n);
        if (rc < 0)
            return rc;
        if (rc == 0 && *out_n < cap && in->n == 0) {
            *out_done = true;
            return 0;
        }
    }
}

static void sub_close(void *state)
{
    (void)state; /* all of it lies in the request's arena */
}

static const struct recode_coder coder = {"sub_filter", sub_run, sub_close};

/* ---- run time ------------------------------------------------------------------------------------------- */

static int sub_state_new(struct web_req *r, const struct sub_location *conf,
                         struct sub_state **out)
{
    struct sub_state *s =
        wr_arena_zalloc(r->arena, sizeof *s + conf->pairs.n * sizeof(struct sub_word));
    if (!s)
        return -ENOMEM;
    s->r = r;
    s->once = conf->once;
    for (uint32_t i = 0; i < conf->pairs.n; i++) {
        struct wr_span text;
        int rc = web_value_eval(r, &conf->pairs.list[i].search, &text);
        if (rc)
            return rc;
        if (text.n == 0)
            continue;
        char *low = wr_arena_strndup(r->arena, text.p, text.n);
        if (!low)
            return -ENOMEM;
        for (size_t k = 0; k < text.n; k++)
            low[k] = wr_ascii_lower(low[k]);
        s->words[s->nwords++] =
            (struct sub_word){.search = wr_span(low, text.n), .pair = &conf->pairs.list[i]};
        if (text.n > s->longest)
            s->longest = text.n;
    }
    s->cap = WINDOW + 2 * s->longest;
    s->window = wr_arena_alloc(r->arena, s->cap);
    if (!s->window)
        return -ENOMEM;
    note_beginnings(s);
    *out = s;
    return 0;
}

static int sub_head(struct web_req *r)
{
    const struct sub_location *conf = web_location_conf(r, sub);
    if (conf->pairs.n == 0 || r->out.length == 0 || !web_types_has(&conf->types, r->out.type))
        return 0;
    struct sub_state *s;
    struct recode *c;
    if (sub_state_new(r, conf, &s) != 0)
        return WEB_ERROR;
    if (s->nwords == 0)
        return 0;
    if (recode_new(r, &coder, s, OUT, &c))
        return WEB_ERROR;
    web_clear_length(r);
    web_clear_ranges(r);
    if (conf->keep_last_modified) {
        web_weaken_etag(r);
    } else {
        r->out.last_modified = -1;
        r->out.last_modified_text = (struct wr_span){0};
        r->out.etag = (struct wr_span){0};
    }
    if (!r->header_only)
        web_filter_push(r, &c->filter);
    return 0;
}

/* ---- configuration ------------------------------------------------------------------------------------ */

static int set_sub(struct conf_load *load, const struct conf_node *node,
                   const struct conf_row *row, void *field)
{
    (void)row;
    struct sub_pairs *pairs = field;
    if (conf_arg(node, 1).n == 0)
        return conf_fail(load, node, 1, "empty search pattern");
    struct sub_pair *list = wr_arena_alloc(load->arena, (pairs->n + 1) * sizeof *list);
    if (!list)
        return -ENOMEM;
    if (pairs->n)
        memcpy(list, pairs->list, pairs->n * sizeof *list);
    struct sub_pair *pair = &list[pairs->n];
    int rc = web_value_compile(load, node, 1, conf_arg(node, 1), &pair->search);
    if (rc == 0)
        rc = web_value_compile(load, node, 2, conf_arg(node, 2), &pair->replace);
    if (rc)
        return rc;
    pairs->list = list;
    pairs->n++;
    return 0;
}

static const struct conf_row rows[] = {
    {"sub_filter", CONF_HSL, 2, 2, CONF_TWICE, CONF_AT_LOCATION, set_sub,
     CONF_FIELD(struct sub_location, pairs), NULL, NULL, "string replacement",
     "Replaces a string in the answer; both may hold variables."},
    {"sub_filter_once",           CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, conf_set_flag,
     CONF_FIELD(struct sub_location, once), "on", NULL, "on | off",
     "Replaces each string once, or wherever it stands."},
    {"sub_filter_last_modified",  CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, conf_set_flag,
     CONF_FIELD(struct sub_location, keep_last_modified), "off", NULL, "on | off",
     "Keeps Last-Modified and a weak ETag of the original."},
    {"sub_filter_types",     CONF_HSL, 1, CONF_MANY, CONF_TWICE, CONF_AT_LOCATION, web_set_types,
     CONF_FIELD(struct sub_location, types), "text/html", "text/html", "mime-type ...",
     "The media types in which is replaced, in addition to text/html; * is every one."},
    {0     },
};

static bool sub_wanted(const struct web_location *location)
{
    const struct sub_location *conf = location->conf[WEB_sub];
    return conf->pairs.n > 0;
}

const struct web_module sub_module = {
    .conf = {.name = "http_sub",
             .size = {[CONF_AT_LOCATION] = sizeof(struct sub_location)},
             .rows = rows},
    .head_filter = sub_head,
    .head_wanted = sub_wanted,
};
