/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files of the document root: the last module of the content phase.
 *
 *     hot_file_cache on | off [max=SIZE] [file=SIZE];
 *
 * GET and HEAD are answered with the file that the URI stands for, a directory with a redirect to its name
 * with a slash. Root, caches and links are configured by the core's directives; file.h finds the file,
 * hot.h keeps small ones. With `aio threads` a file that no cache knows is opened by a thread.
 */
#include "weir/content/hot_answer.h"
#include "weir/web/worker.h"

#include "libweir/base/num.h"
#include "libweir/http/uri.h"
#include "libweir/io/log.h"
#include "libweir/io/work.h"
#include "libweir/os/os.h"

#include <errno.h>

/* ---- run time ----------------------------------------------------------------------------------------------- */

/* 301 to the directory's own name. */
static int to_directory(struct web_req *r)
{
    char *text = wr_arena_alloc(r->arena, 3 * r->uri.n + 2 + r->args.n);
    if (!text)
        return 500;
    size_t n = wr_path_encode(r->uri, text).n;
    text[n++] = '/';
    if (r->args.n) {
        text[n++] = '?';
        memcpy(text + n, r->args.p, r->args.n);
        n += r->args.n;
    }
    return web_redirect(r, 301, wr_span(text, n));
}

static int send_file(struct web_req *r, struct web_file *file, uint64_t size)
{
    int rc = web_send_head(r);
    if (rc)
        return rc;
    hot_answer_keep(r, file);
    struct web_piece *piece = web_piece_file(r, file, 0, size, true);
    if (!piece)
        return WEB_ERROR;
    return web_send(r, piece) < 0 ? WEB_ERROR : WEB_DONE;
}

static int answer_with(struct web_req *r, struct wr_span path, const struct file_info *info)
{
    if (info->is_dir)
        return to_directory(r);
    if (!info->is_file) {
        web_error(r, WR_LOG_CRIT, 0, "\"%.*s\" is not a regular file", WR_SPANF(path));
        return 404;
    }
    if (r->method == WR_METHOD_POST)
        return 405;
    int rc = web_discard_body(r);
    if (rc)
        return rc;
    r->out.status = 200;
    r->out.length = info->size;
    r->out.allow_ranges = true;
    web_set_type(r);
    return file_stamp(r, info) ? 500 : send_file(r, info->file, info->size);
}

static int answer(struct web_req *r, struct wr_span path, int err, struct file_info *info)
{
    if (err)
        return file_status(r, err, info->failed, path);
    int rc = answer_with(r, path, info);
    web_file_unref(&info->file);
    return rc;
}

/* ---- by a thread ------------------------------------------------------------------------------------------------ */

struct job {
    struct web_req *r; /* NULL: it has gone */
    const struct wr_heap *heap;
    struct file_call call;
    int err;
    size_t path_n;
    char path[];
};

static int job_run(void *arg)
{
    struct job *job = arg;
    job->err = file_call(&job->call);
    return 0;
}

/* result: 0, or why the request has ended meanwhile. */
static void job_done(void *arg, int result)
{
    struct job *job = arg;
    struct web_req *r = job->r;
    struct wr_span path = wr_span(job->path, job->path_n);
    struct file_info info = {0};
    if (result)
        return;
    int err = file_learn(r, path, &job->call, job->err, &info);
    job->call.fd = -1;
    web_resume(r, answer(r, path, err, &info));
}

static void job_drop(void *arg)
{
    struct job *job = arg;
    if (job->call.fd >= 0)
        (void)wr_os_close(job->call.fd);
    wr_heap_free(job->heap, job, sizeof *job + job->path_n + 1);
}

static int answer_by_thread(struct web_req *r, struct wr_work_pool *pool, struct wr_span path)
{
    const struct wr_heap *heap = wr_loop_heap(web_loop(r));
    size_t size = sizeof(struct job) + path.n + 1;
    struct job *job = wr_heap_zalloc(heap, size);
    if (!job)
        return 503;
    memcpy(job->path, path.p, path.n);
    job->path_n = path.n;
    job->heap = heap;
    job->r = r;
    int err = file_call_init(r, wr_span(job->path, path.n), 0, &job->call);
    if (!err)
        err = wr_work_submit(pool, r->scope, job_run, job_done, job_drop, job);
    if (!err)
        return WEB_LATER;
    wr_heap_free(heap, job, size);
    return 503;
}

static struct wr_work_pool *pool_of(const struct web_req *r)
{
    const struct core_location *c = core_of(r->location);
    return c->aio == CORE_AIO_THREADS ? c->thread_pool->pool : NULL;
}

static int static_handler(struct web_req *r)
{
    struct file_info info;
    struct wr_span path;
    size_t root_n;
    int err;
    if (r->method != WR_METHOD_GET && r->method != WR_METHOD_HEAD &&
        r->method != WR_METHOD_POST)
        return 405;
    if (r->uri.n && r->uri.p[r->uri.n - 1] == '/')
        return WEB_NEXT;
    int rc = hot_answer_send(r);
    if (rc != WEB_NEXT)
        return rc;
    if (!web_map_path(r, 0, &path, &root_n))
        return 500;
    struct wr_work_pool *pool = pool_of(r);
    if (pool && !file_known(r, path, 0, &info, &err))
        return answer_by_thread(r, pool, path);
    if (!pool)
        err = file_find(r, path, 0, &info);
    return answer(r, path, err, &info);
}

/* ---- configuration ------------------------------------------------------------------------------------------------ */

static int set_hot(struct conf_load *load, const struct conf_node *node,
                   const struct conf_row *row, void *field)
{
    struct hot_options *o = wr_arena_zalloc(load->arena, sizeof *o);
    bool on = wr_span_eq(conf_arg(node, 1), WR_LIT("on"));
    (void)row;
    if (!o)
        return -ENOMEM;
    if (!on && !wr_span_eq(conf_arg(node, 1), WR_LIT("off")))
        return conf_fail(load, node, 1, "invalid value \"%s\", it must be \"on\" or \"off\"",
                         conf_str(node, 1));
    o->max = 8 << 20;
    o->file_max = 64 << 10;
    for (uint32_t i = 2; i < node->nwords; i++) {
        struct wr_span arg = conf_arg(node, i);
        uint64_t *to = NULL;
        if (wr_span_has_prefix(arg, WR_LIT("max=")))
            to = &o->max;
        else if (wr_span_has_prefix(arg, WR_LIT("file=")))
            to = &o->file_max;
        if (!to || conf_read_size(wr_span_sub(arg, to == &o->max ? 4 : 5, arg.n), to))
            return conf_fail(load, node, i, "invalid parameter \"%s\"", conf_str(node, i));
    }
    *(struct hot_options **)field = on ? o : NULL;
    return 0;
}

/* A block with an open_file_cache of its own has a cache of its own. */
static int static_settle(struct conf_load *load, struct conf_scope *scope)
{
    void **own = scope->at[CONF_AT_LOCATION];
    void **outer = scope->parent ? scope->parent->at[CONF_AT_LOCATION] : NULL;
    if (!own || own == outer || !own[WEB_static])
        return 0;
    struct file_conf *conf = own[WEB_static];
    struct file_main_conf *main_conf = scope->at[CONF_AT_HTTP][WEB_static];
    const struct core_location *core = own[WEB_core];
    bool given = conf_scope_has(scope, CONF_AT_LOCATION, WEB_core,
                                offsetof(struct core_location, file_cache));
    if (!given) {
        const struct file_conf *from = outer ? outer[WEB_static] : NULL;
        conf->cache = from ? from->cache : NULL;
        return 0;
    }
    if (!core->file_cache.on)
        return 0;
    conf->cache = file_cache_new(load->arena, core->file_cache.max,
                                 core->file_cache.inactive_ms, &main_conf->caches);
    return conf->cache ? 0 : -ENOMEM;
}

static int open_pools(struct web_worker *w, struct web_generation *g)
{
    struct core_main *m = web_generation_core(g, WEB_core);
    int err = 0;
    for (struct core_thread_pool *p = m->thread_pools; p && !err; p = p->next)
        if (p->used)
            err =
                wr_work_pool_new(w->loop,
                                 &(struct wr_work_options){.threads = (uint32_t)p->threads,
                                                           .max_jobs = (uint32_t)p->max_queue},
                                 &p->pool);
    return err;
}

static void close_pools(struct web_generation *g)
{
    struct core_main *m = web_generation_core(g, WEB_core);
    for (struct core_thread_pool *p = m->thread_pools; p; p = p->next)
        wr_work_pool_free(&p->pool);
}

static int static_start(struct web_worker *w, struct web_generation *g)
{
    struct file_main_conf *conf = web_generation_main(g, WEB_static);
    if (!conf)
        return 0;
    int err = open_pools(w, g);
    if (!err && conf->hot)
        err = hot_new(w->loop, conf->hot, &conf->hot_cache);
    return err || !conf->hot_cache ? err : hot_answers_start(w, g);
}

static void static_stop(struct web_worker *w, struct web_generation *g)
{
    struct file_main_conf *conf = web_generation_main(g, WEB_static);
    (void)w;
    if (!conf)
        return;
    close_pools(g);
    hot_free(&conf->hot_cache);
    hot_answers_stop(g);
    file_cache_stop(conf->caches);
}

/* ---- tables --------------------------------------------------------------------------------------------------------- */

static const struct conf_row rows[] = {
    {"hot_file_cache", CONF_HTTP, 1, 3, 0, CONF_AT_HTTP, set_hot,
     CONF_FIELD(struct file_main_conf, hot), "on", NULL, "on [max=size] [file=size] | off",
     "Keeps small files that are asked for often in memory, watched for changes."},
    {"open_file_cache_events",               CONF_HSL, 1, 1, CONF_NOTE, CONF_AT_LOCATION, conf_set_nothing,
     CONF_NO_FIELD, NULL, NULL, "on | off",
     "Of nginx on systems with kqueue; hot_file_cache is told of changes without it."},
    {0              },
};

static const struct web_phase_row phases[] = {
    {WEB_CONTENT, static_handler, NULL},
    {0      },
};

/* ---- the module ------------------------------------------------------------------------------------------------------ */

const struct web_module static_module = {
    .conf = {.name = "http_static",
             .size = {[CONF_AT_HTTP] = sizeof(struct file_main_conf),
                      [CONF_AT_LOCATION] = sizeof(struct file_conf)},
             .rows = rows,
             .settle = static_settle},
    .phases = phases,
    .start = static_start,
    .stop = static_stop,
};
