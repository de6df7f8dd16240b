/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lists a directory.
 *
 *     autoindex on | off;                        autoindex_exact_size on | off;
 *     autoindex_format html | xml | json | jsonp;    autoindex_localtime on | off;
 *
 *     READ --all names--> head --> WRITE --last piece-->
 *
 * Both states work in slices, so that a directory of a hundred thousand names keeps nobody waiting: so many
 * names are looked at in a turn of the loop, so much text is formed in one, and none before the client took
 * the last. Names lie in the request's arena, and are counted: a directory with more is not listed.
 */
#include "weir/content/listing.h"

#include "libweir/http/uri.h"
#include "libweir/io/log.h"
#include "libweir/io/loop.h"

#include <errno.h>

#define NAMES_MAX  262144
#define TEXT_SLICE 32768

struct location_conf {
    bool on, exact_size, localtime;
    int format;
};

struct job {
    struct web_req *r;
    struct wr_task task;
    struct dir_reader dir;
    struct listing listing;
    uint32_t room;
    bool head_given, tail_given;
};

/* ---- reading --------------------------------------------------------------------------------------------------- */

static int make_room(struct job *job)
{
    struct listing *l = &job->listing;
    if (l->n == NAMES_MAX)
        return -E2BIG;
    if (l->n < job->room)
        return 0;
    uint32_t room = job->room ? job->room * 2 : 64;
    struct listing_entry **heap = wr_arena_alloc(job->r->arena, room * sizeof *heap);
    if (!heap)
        return -ENOMEM;
    if (l->n)
        memcpy(heap, l->heap, l->n * sizeof *heap);
    l->heap = heap;
    job->room = room;
    return 0;
}

static int add_entry(const struct dir_name *name, void *arg)
{
    struct job *job = arg;
    struct stat st;
    int err = dir_stat(&job->dir, name->name, &st);
    if (err == -EACCES || err == -ENOENT)
        return 0; /* not to be seen, or gone meanwhile */
    if (!err)
        err = make_room(job);
    if (err)
        return err;
    struct listing_entry *e = wr_arena_alloc(job->r->arena, sizeof *e + name->n + 1);
    if (!e)
        return -ENOMEM;
    memcpy(e->name, name->name, name->n + 1);
    e->n = name->n;
    e->dir = S_ISDIR(st.st_mode);
    e->file = S_ISREG(st.st_mode);
    e->size = (uint64_t)st.st_size;
    e->mtime = st.st_mtime;
    listing_push(&job->listing, e);
    return 0;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* The next stretch of the text. 0, 1 (clogged), or negative. */
static int write_slice(struct job *job)
{
    struct web_req *r = job->r;
    struct wr_buf buf;
    struct listing *l = &job->listing;
    wr_buf_init(&buf, wr_loop_blocks(web_loop(r)), NULL);
    int err = l->written == 0 ? listing_begin(l, &buf) : 0;
    while (!err && l->n && wr_buf_span(&buf).n < TEXT_SLICE)
        err = listing_entry(l, &buf);
    if (!err && l->n == 0) {
        err = listing_end(l, &buf);
        job->tail_given = true;
    }
    if (err) {
        wr_buf_deinit(&buf);
        return err;
    }
    struct web_piece piece = {.kind = WEB_BYTES, .last = job->tail_given};
    piece.bytes = wr_buf_freeze(&buf);
    return web_send(r, &piece);
}

/* A filter may take much before it gives anything: what does not clog goes on in the next turn. */
static int write_next(struct job *job)
{
    int rc = write_slice(job);
    if (rc == 0 && !job->tail_given)
        wr_loop_at_turn_end(web_loop(job->r), &job->task);
    return rc < 0 ? WEB_ERROR : WEB_DONE;
}

static void write_on(struct web_req *r)
{
    if (write_next(r->ctx[WEB_autoindex]) == WEB_ERROR)
        web_finish(r, WEB_ERROR);
}

static int begin_answer(struct job *job)
{
    struct web_req *r = job->r;
    r->out.status = 200;
    r->out.type = listing_type(&job->listing);
    if (job->listing.format == LISTING_XML)
        r->out.charset = WR_LIT("utf-8");
    int rc = web_send_head(r);
    if (rc)
        return rc;
    job->listing.utf8 = wr_span_ieq(r->out.charset, WR_LIT("utf-8"));
    job->head_given = true;
    r->on_drain = write_on;
    return write_next(job);
}

/* ---- run time ------------------------------------------------------------------------------------------------------- */

static int go_on(struct job *job)
{
    struct web_req *r = job->r;
    int rc = dir_slice(&job->dir, add_entry, job);
    if (rc > 0) {
        wr_loop_at_turn_end(web_loop(r), &job->task);
        return WEB_LATER;
    }
    dir_close(&job->dir);
    if (rc == 0)
        return begin_answer(job);
    web_error(r, WR_LOG_CRIT, rc, "reading directory of \"%.*s\" failed", WR_SPANF(r->uri));
    return rc == -E2BIG ? 403 : 500;
}

static void on_task(struct wr_task *task)
{
    struct job *job = wr_container_of(task, struct job, task);
    if (job->head_given) {
        write_on(job->r);
        return;
    }
    int rc = go_on(job);
    if (rc != WEB_LATER)
        web_resume(job->r, rc);
}

static void job_end(void *arg)
{
    struct job *job = arg;
    wr_task_cancel(&job->task);
    dir_close(&job->dir);
}

/* The name of a function that the list is handed to. 0 and none where none is asked for; -EINVAL. */
static int read_callback(struct web_req *r, struct wr_span *out)
{
    const struct web_val *v = web_var_by_name(r, WR_LIT("arg_callback"));
    *out = (struct wr_span){0};
    if (!v || !v->found || !v->text.n)
        return 0;
    char *mem = wr_arena_alloc(r->arena, v->text.n);
    if (!mem || wr_percent_decode(v->text, false, mem, out))
        return -EINVAL;
    for (size_t i = 0; i < out->n; i++) {
        char c = wr_ascii_lower(out->p[i]);
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.'))
            return -EINVAL;
    }
    return 0;
}

static struct job *job_new(struct web_req *r, const struct location_conf *conf,
                           struct wr_span callback)
{
    struct job *job = wr_arena_zalloc(r->arena, sizeof *job);
    if (!job)
        return NULL;
    job->r = r;
    job->dir.fd = -1;
    job->listing.uri = r->uri;
    job->listing.exact_size = conf->exact_size;
    job->listing.localtime = conf->localtime;
    job->listing.format = (enum listing_format)conf->format;
    job->listing.callback = callback;
    if (conf->format == LISTING_JSONP && !callback.n)
        job->listing.format = LISTING_JSON;
    wr_task_init(&job->task, on_task);
    if (wr_arena_defer(r->arena, job_end, job))
        return NULL;
    r->ctx[WEB_autoindex] = job;
    return job;
}

static int autoindex_handler(struct web_req *r)
{
    const struct location_conf *conf = web_location_conf(r, autoindex);
    struct wr_span path, callback = {0};
    size_t root_n;
    if (r->uri.n == 0 || r->uri.p[r->uri.n - 1] != '/' ||
        (r->method != WR_METHOD_GET && r->method != WR_METHOD_HEAD))
        return WEB_NEXT;
    if (!web_map_path(r, 0, &path, &root_n))
        return 500;
    if (conf->format == LISTING_JSONP && read_callback(r, &callback)) {
        web_error(r, WR_LOG_ERROR, 0, "client sent invalid callback name: \"%.*s\"",
                  WR_SPANF(r->args));
        return 400;
    }
    struct job *job = job_new(r, conf, callback);
    if (!job)
        return 500;
    int err = dir_open(r, path, &job->dir);
    if (err)
        return file_status(r, err, "opendir()", path);
    err = web_discard_body(r);
    return err ? err : go_on(job);
}

static bool autoindex_wanted(const struct web_location *location)
{
    const struct location_conf *conf = location->conf[WEB_autoindex];
    return conf->on;
}

/* ---- tables --------------------------------------------------------------------------------------------------------- */

static const struct conf_enum formats[] = {
    {"html",       LISTING_HTML},
    {"xml",            LISTING_XML},
    {"json",LISTING_JSON},
    {"jsonp",       LISTING_JSONP},
    {0           },
};

static const struct conf_row rows[] = {
    {"autoindex",    CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, conf_set_flag,
     CONF_FIELD(struct location_conf, on), "off", NULL, "on | off",
     "Lists directories that have no index file."},
    {"autoindex_format",             CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, conf_set_enum,
     CONF_FIELD(struct location_conf, format), "html", formats, "html | xml | json | jsonp",
     "The format of the list."},
    {"autoindex_localtime",             CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, conf_set_flag,
     CONF_FIELD(struct location_conf, localtime), "off", NULL, "on | off",
     "Times in the list are of the machine's zone, not UTC."},
    {"autoindex_exact_size", CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, conf_set_flag,
     CONF_FIELD(struct location_conf, exact_size), "on", NULL, "on | off",
     "Sizes in bytes, not rounded to K, M and G."},
    {0          },
};

static const struct web_phase_row phases[] = {
    {WEB_CONTENT,       autoindex_handler, autoindex_wanted},
    {0},
};

/* ---- the module ------------------------------------------------------------------------------------------------------ */

const struct web_module autoindex_module = {
    .conf = {.name = "http_autoindex",
             .size = {[CONF_AT_LOCATION] = sizeof(struct location_conf)},
             .rows = rows},
    .phases = phases,
};
