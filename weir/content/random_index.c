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
#include "libweir/os/os.h"

#include <dirent.h>
#include <errno.h>

struct location_conf {
    bool on;
};

/* ---- run time ----------------------------------------------------------------------------------------------- */

static bool is_file(const struct dir_reader *d, const struct dir_name *name)
{
    struct stat st;
    if (name->type != DT_UNKNOWN)
        return name->type == DT_REG;
    return dir_stat(d, name->name, &st) == 0 && S_ISREG(st.st_mode);
}

/* How many files there are; one of them in choice. Negative: an error. */
static int choose(struct dir_reader *d, char choice[256])
{
    struct wr_rand rand;
    struct dir_name name;
    uint64_t seed;
    int n = 0, rc = wr_os_random(&seed, sizeof seed);
    if (rc)
        return rc;
    wr_rand_init(&rand, seed);
    while ((rc = dir_next(d, &name)) > 0) {
        if (!is_file(d, &name))
            continue;
        if (wr_rand_below(&rand, (uint64_t)++n) == 0)
            memcpy(choice, name.name, name.n + 1);
    }
    return rc < 0 ? rc : n;
}

static int random_index_handler(struct web_req *r)
{
    struct dir_reader d;
    struct wr_span path;
    size_t root_n;
    char choice[256];
    if (r->uri.n == 0 || r->uri.p[r->uri.n - 1] != '/' ||
        (r->method != WR_METHOD_GET && r->method != WR_METHOD_HEAD &&
         r->method != WR_METHOD_POST))
        return WEB_NEXT;
    if (!web_map_path(r, 0, &path, &root_n))
        return 500;
    int n = dir_open(r, path, &d);
    if (n)
        return file_status(r, n, "opendir()", path);
    n = choose(&d, choice);
    dir_close(&d);
    if (n < 0)
        return file_status(r, n, "readdir()", path);
    if (n == 0)
        return WEB_NEXT;
    char *uri = wr_arena_printf(r->arena, "%.*s%s", WR_SPANF(r->uri), choice);
    return uri ? web_internal_redirect(r, wr_span_str(uri), r->args) : 500;
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
