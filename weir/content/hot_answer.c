/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/content/hot_answer.h"
#include "weir/web/worker.h"

#include "libweir/io/loop.h"
#include "libweir/os/os.h"

struct answer {
    struct hot_answer hot;
    struct wr_table *table; /* of its location */
    const struct wr_heap *heap;
    struct web_formed formed;
    struct wr_span uri, etag, type;
    char bytes[];
};

/* ---- where it can be done ------------------------------------------------------------------------------------ */

static bool heads_are_fixed(const struct web_location *l)
{
    for (int (*const *fn)(struct web_req *) = l->head_filters; *fn; fn++) {
        bool fixed = false;
        for (unsigned i = 0; i < WEB_MODULES; i++)
            if (web_modules[i]->head_filter == *fn && web_modules[i]->head_fixed)
                fixed = web_modules[i]->head_fixed(l);
        if (!fixed)
            return false;
    }
    return true;
}

static bool is_none(const struct web_value *v)
{
    return web_value_constant(v) && (v->text.n == 0 || wr_span_eq(v->text, WR_LIT("0")));
}

static bool can_be_kept(const struct web_location *l)
{
    const struct core_location *c = core_of(l);
    return web_value_constant(&c->root.path) && !c->root.regex &&
           c->symlinks.mode == CORE_SYMLINKS_FOLLOW && is_none(&c->limit_rate) &&
           c->post_action.n == 0 && c->early_hints.n == 0 &&
           web_value_constant(&c->tokens.text) && heads_are_fixed(l);
}

int hot_answers_start(struct web_worker *w, struct web_generation *g)
{
    const struct wr_heap *heap = wr_loop_heap(w->loop);
    const struct web_location *l;
    struct wr_hash_key key;
    uint32_t cursor = 0;
    int err = wr_os_random(&key, sizeof key);
    while (!err && (l = web_location_next(g, &cursor))) {
        struct file_conf *conf = l->conf[WEB_static];
        if (conf->answers || !can_be_kept(l))
            continue;
        conf->answers = wr_heap_zalloc(heap, sizeof *conf->answers);
        if (!conf->answers)
            return 0; /* it is only slower */
        wr_table_init(conf->answers, heap, key);
    }
    return err;
}

void hot_answers_stop(struct web_generation *g)
{
    const struct web_location *l;
    uint32_t cursor = 0;
    while ((l = web_location_next(g, &cursor))) {
        struct file_conf *conf = l->conf[WEB_static];
        if (!conf->answers)
            continue;
        const struct wr_heap *heap = conf->answers->heap;
        wr_table_deinit(conf->answers);
        wr_heap_free(heap, conf->answers, sizeof *conf->answers);
        conf->answers = NULL;
    }
}

/* ---- sending ---------------------------------------------------------------------------------------------------- */

#define BIT(id, word) ((id) / 64 == (word) ? UINT64_C(1) << ((id) % 64) : 0)
#define CONDITIONS(word)                                                                      \
    (BIT(WR_H_IF_MODIFIED_SINCE, word) | BIT(WR_H_IF_NONE_MATCH, word) |                      \
     BIT(WR_H_IF_UNMODIFIED_SINCE, word) | BIT(WR_H_IF_MATCH, word) | BIT(WR_H_RANGE, word) | \
     BIT(WR_H_IF_RANGE, word))

/* Is it nothing but "give me that"? */
static bool is_simple(const struct web_req *r)
{
    const struct wr_head *h = r->head;
    return ((h->seen[0] & CONDITIONS(0)) | (h->seen[1] & CONDITIONS(1))) == 0 &&
           h->body == WR_BODY_NONE &&
           (r->method == WR_METHOD_GET || r->method == WR_METHOD_HEAD) && r == r->main &&
           !r->error_page && !r->err_status && !r->limit_rate && !r->out.headers;
}

int hot_answer_send(struct web_req *r)
{
    const struct file_conf *conf = file_conf(r);
    if (!conf->answers || !is_simple(r) || !r->http)
        return WEB_NEXT;
    r->ctx[WEB_static] = conf->answers; /* what is formed for this one can be kept */
    struct answer *a = wr_table_get(conf->answers, r->uri);
    if (!a || !hot_fresh(a->hot.file, wr_http_announced(r->http)))
        return WEB_NEXT;
    const struct web_file *file = &a->hot.file->web;
    r->out.type = a->type;
    r->out.length = file->size;
    r->out.last_modified = file->mtime;
    if (*r->location->logs && wr_arena_dup(r->arena, a->etag, &r->out.etag))
        return 500;
    return web_send_formed(r, &a->formed, file->memory);
}

/* ---- keeping ---------------------------------------------------------------------------------------------------- */

static void answer_drop(struct hot_answer *hot)
{
    struct answer *a = wr_container_of(hot, struct answer, hot);
    (void)wr_table_remove(a->table, a->uri);
    wr_heap_free(a->heap, a, a->hot.size);
}

static struct wr_span store(char **at, struct wr_span s)
{
    char *p = *at;
    if (s.n)
        memcpy(p, s.p, s.n);
    *at += s.n;
    return wr_span(p, s.n);
}

void hot_answer_keep(struct web_req *r, struct web_file *file)
{
    struct wr_table *table = file_conf(r)->answers;
    struct hot_file *f = hot_file_of(file);
    struct web_formed formed;
    if (!table || !f || r->out.status != 200 || r->filters || r->main_filters ||
        r->out.length != file->size || r->ctx[WEB_static] != table ||
        wr_table_get(table, r->uri) || web_form_heads(r, &formed))
        return;
    const struct wr_heap *heap = table->heap;
    size_t size = sizeof(struct answer) + formed.keep.n + formed.close.n + r->uri.n +
                  r->out.etag.n + r->out.type.n;
    struct answer *a = wr_heap_zalloc(heap, size);
    if (!a)
        return;
    char *at = a->bytes;
    a->heap = heap;
    a->table = table;
    a->formed = formed;
    a->formed.keep = store(&at, formed.keep);
    a->formed.close = store(&at, formed.close);
    a->uri = store(&at, r->uri);
    a->etag = store(&at, r->out.etag);
    a->type = store(&at, r->out.type);
    a->hot.drop = answer_drop;
    if (wr_table_put(table, a->uri, a)) {
        wr_heap_free(heap, a, size);
        return;
    }
    if (!hot_attach(f, &a->hot, size)) {
        a->hot.size = size;
        answer_drop(&a->hot);
    }
}
