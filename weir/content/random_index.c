/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any file of a directory in the directory's place.
 *
 *     random_index on | off;
 *
 * One walk, no list: the n-th file replaces the choice with probability 1/n.
 */
#include "weir/content/dir.h"

#include "libweir/base/rand.h"
#include "libweir/io/loop.h"
#include "libweir/os/os.h"

#include <dirent.h>
#include <errno.h>

struct location_conf {
    bool on;
};

struct job {
    struct web_req *r;
    struct wr_task task;
    struct dir_reader dir;
    struct wr_span path;
    struct wr_rand rand;
    uint64_t files; /* so far */
    char choice[256];
};

/* ---- run time ----------------------------------------------------------------------------------------------- */

static bool is_file(const struct dir_reader *d, const struct dir_name *name)
{
    struct stat st;
    if (name->type != DT_UNKNOWN)
        return name->type == DT_REG;
    return dir_stat(d, name->name, &st) == 0 && S_ISREG(st.st_mode);
}

static int look_at(const struct dir_name *name, void *arg)
{
    struct job *job = arg;
    if (is_file(&job->dir, name) && wr_rand_below(&job->rand, ++job->files) == 0)
        memcpy(job->choice, name->name, name->n + 1);
    return 0;
}

static int go_on(struct job *job)
{
    struct web_req *r = job->r;
    int rc = dir_slice(&job->dir, look_at, job);
    if (rc > 0) {
        wr_loop_at_turn_end(web_loop(r), &job->task);
        return WEB_LATER;
    }
    dir_close(&job->dir);
    if (rc < 0)
        return file_status(r, rc, "readdir()", job->path);
    if (job->files == 0)
        return WEB_NEXT;
    char *uri = wr_arena_printf(r->arena, "%.*s%s", WR_SPANF(r->uri), job->choice);
    return uri ? web_internal_redirect(r, wr_span_str(uri), r->args) : 500;
}

static void on_task(struct wr_task *task)
{
    struct job *job = wr_container_of(task, struct job, task);
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

static struct job *job_new(struct web_req *r)
{
    struct job *job = wr_arena_zalloc(r->arena, sizeof *job);
    uint64_t seed;
    if (!job || wr_os_random(&seed, sizeof seed))
        return NULL;
    job->r = r;
    job->dir.fd = -1;
    wr_rand_init(&job->rand, seed);
    wr_task_init(&job->task, on_task);
    return wr_arena_defer(r->arena, job_end, job) ? NULL : job;
}

static int random_index_handler(struct web_req *r)
{
    size_t root_n;
    if (r->uri.n == 0 || r->uri.p[r->uri.n - 1] != '/' ||
        (r->method != WR_METHOD_GET && r->method != WR_METHOD_HEAD &&
         r->method != WR_METHOD_POST))
        return WEB_NEXT;
    struct job *job = job_new(r);
    if (!job || !web_map_path(r, 0, &job->path, &root_n))
        return 500;
    int err = dir_open(r, job->path, &job->dir);
    return err ? file_status(r, err, "opendir()", job->path) : go_on(job);
}

static bool random_index_wanted(const struct web_location *location)
{
    const struct location_conf *conf = location->conf[WEB_random_index];
    return conf->on;
}

/* ---- tables --------------------------------------------------------------------------------------------------------- */

static const struct conf_row rows[] = {
    {"random_index", CONF_LOCATION, 1, 1, 0, CONF_AT_LOCATION, conf_set_flag,
     CONF_FIELD(struct location_conf, on), "off", NULL, "on | off",
     "Answers a request for a directory with any of its files."},
    {0            },
};

static const struct web_phase_row phases[] = {
    {WEB_CONTENT,          random_index_handler, random_index_wanted},
    {0},
};

/* ---- the module ------------------------------------------------------------------------------------------------------ */

const struct web_module random_index_module = {
    .conf = {.name = "http_random_index",
             .size = {[CONF_AT_LOCATION] = sizeof(struct location_conf)},
             .rows = rows},
    .phases = phases,
};
