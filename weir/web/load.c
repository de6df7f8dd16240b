/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/web/load.h"

#include "libweir/base/err.h"
#include "libweir/io/pages.h"
#include "libweir/os/os.h"
#include "weir/web/glob.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define FILE_MAX ((off_t)1 << 28)
#define PIPE_MAX (1 << 16) /* what has no size of its own */

struct memory {
    struct web_config config;
    const struct wr_heap *heap;
    struct wr_os_pages pages;
    struct wr_mem mem;
    struct wr_budget budget;
    struct wr_block_pool blocks;
    struct wr_arena_source arenas;
    struct wr_arena arena;
    struct web_source source;
    struct conf_source conf;
};

/* ---- files ------------------------------------------------------------------------------------------------------ */

struct mapping {
    void *p;
    size_t n;
};

static void unmap(void *arg)
{
    struct mapping *m = arg;
    wr_os_unmap(m->p, m->n);
}

/* A large file gets pages of its own: an arena's blocks end at 8 MiB. */
static char *file_memory(struct wr_arena *arena, size_t n)
{
    if (n < (size_t)1 << 20)
        return wr_arena_alloc(arena, n);
    struct mapping *m = wr_arena_alloc(arena, sizeof(*m));
    if (!m)
        return NULL;
    *m = (struct mapping){wr_os_map(n), n};
    if (!m->p)
        return NULL;
    if (wr_arena_defer(arena, unmap, m)) {
        wr_os_unmap(m->p, n);
        return NULL;
    }
    return m->p;
}

static int read_fd(int fd, struct wr_arena *arena, struct wr_span *out_text)
{
    struct stat st;
    int err = wr_os_fstat(fd, &st);
    if (err)
        return err;
    if (S_ISDIR(st.st_mode))
        return -EISDIR;
    if (st.st_size > FILE_MAX)
        return -EFBIG;
    bool regular = S_ISREG(st.st_mode);
    size_t room = regular ? (size_t)st.st_size : PIPE_MAX + 1, have = 0;
    char *p = file_memory(arena, room + 1);
    if (!p)
        return -ENOMEM;
    while (have < room) { /* until the end, or what its size was */
        ssize_t n = wr_os_read(fd, p + have, room - have);
        if (n < 0)
            return (int)n;
        if (n == 0)
            break;
        have += (size_t)n;
    }
    if (!regular && have > PIPE_MAX)
        return -EFBIG;
    *out_text = wr_span(p, have);
    return 0;
}

static int read_path(void *ctx, const char *path, struct wr_arena *arena,
                     struct wr_span *out_text)
{
    const struct memory *m = ctx;
    if (m->source.text && strcmp(path, m->source.path) == 0) {
        *out_text = wr_span_str(m->source.text);
        return 0;
    }
    int fd = wr_os_open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0);
    if (fd < 0)
        return fd;
    int err = read_fd(fd, arena, out_text);
    wr_os_close(fd);
    return err;
}

static int find_paths(void *ctx, const char *pattern, struct wr_arena *arena,
                      const char ***out_paths)
{
    (void)ctx;
    return glob_paths(pattern, arena, out_paths);
}

static void say(void *ctx, enum conf_severity severity, const char *text, const char *hint)
{
    const struct memory *m = ctx;
    m->source.say(m->source.ctx, severity == CONF_WARN ? WEB_SAY_WARN : WEB_SAY_EMERG, text,
                  hint);
}

/* ---- memory ------------------------------------------------------------------------------------------------------- */

static int memory_new(const struct wr_heap *heap, const struct web_source *source,
                      struct memory **out)
{
    struct memory *m = wr_heap_zalloc(heap, sizeof(*m));
    if (!m)
        return -ENOMEM;
    m->heap = heap;
    wr_os_pages_init(&m->pages, heap);
    int err = wr_mem_init(&m->mem, heap, &m->pages.pages, source->memory);
    if (err)
        goto fail;
    wr_budget_init(&m->budget, NULL, "configuration", WR_BUDGET_NONE, WR_BUDGET_NONE);
    err = wr_block_pool_init(&m->blocks, &m->mem, &m->budget, 0);
    if (err) {
        wr_budget_deinit(&m->budget);
        wr_mem_deinit(&m->mem);
        goto fail;
    }
    wr_arena_source_init(&m->arenas, &m->mem, &m->budget, &m->blocks);
    wr_arena_init(&m->arena, &m->arenas, NULL, WR_ARENA_BLOCK);
    m->source = *source;
    m->conf = (struct conf_source){read_path, find_paths, say, m};
    m->config.memory = m;
    *out = m;
    return 0;
fail:
    wr_os_pages_deinit(&m->pages);
    wr_heap_free(heap, m, sizeof(*m));
    return err;
}

static void memory_free(struct memory *m)
{
    const struct wr_heap *heap = m->heap;
    wr_arena_deinit(&m->arena);
    wr_arena_source_deinit(&m->arenas);
    wr_block_pool_deinit(&m->blocks);
    wr_budget_deinit(&m->budget);
    wr_mem_deinit(&m->mem);
    wr_os_pages_deinit(&m->pages);
    wr_heap_free(heap, m, sizeof(*m));
}

void web_config_free(struct web_config **config)
{
    if (!*config)
        return;
    struct memory *m = (*config)->memory;
    web_generation_drop(&m->config.generation);
    memory_free(m);
    *config = NULL;
}

/* ---- loading ------------------------------------------------------------------------------------------------------ */

/* The caller's strings may go; what the load keeps lies in its arena. */
static int keep_source(struct memory *m)
{
    struct web_source *s = &m->source;
    const char *slash = strrchr(s->path, '/');
    s->path = wr_arena_strndup(&m->arena, s->path, strlen(s->path));
    s->prefix = wr_arena_strndup(&m->arena, s->prefix, strlen(s->prefix));
    if (!s->path || !s->prefix)
        return -ENOMEM;
    if (slash)
        slash = s->path + strlen(s->path) - strlen(slash);
    m->config.load.base =
        slash ? wr_arena_strndup(&m->arena, s->path, (size_t)(slash - s->path) + 1) : s->prefix;
    return m->config.load.base ? 0 : -ENOMEM;
}

static int parse_directives(struct memory *m, struct conf_node **out)
{
    struct conf_load *load = &m->config.load;
    struct conf_node *nodes = NULL;
    struct wr_span text = wr_span_str(m->source.directives);
    if (!text.n)
        return 0;
    int err = conf_parse_text(load, "command line", text, &nodes);
    for (struct conf_node *n = nodes; n && !err; n = n->next)
        if (n->block)
            err = conf_fail(load, n, 0, "block directives are not supported in -g option");
    *out = nodes;
    return err;
}

static int parse(struct memory *m, struct conf_node **out_nodes)
{
    struct conf_load *load = &m->config.load;
    struct conf_node *first = NULL, *file = NULL;
    int err = parse_directives(m, &first);
    if (err)
        return err;
    if (!load->broken) /* else the mistake of the command line is the first one */
        err = conf_parse_file(load, m->source.path, &file);
    if (err)
        return err;
    m->config.nodes = file;
    if (m->source.edit)
        m->source.edit(m->source.ctx, load, file);
    struct conf_node **tail = &first;
    while (*tail)
        tail = &(*tail)->next;
    *tail = file;
    *out_nodes = first;
    return 0;
}

static int begin(const struct wr_heap *heap, const struct web_source *source,
                 struct memory **out, struct conf_node **out_nodes)
{
    struct memory *m;
    int err = memory_new(heap, source, &m);
    if (err) {
        source->say(source->ctx, WEB_SAY_EMERG, "no memory for the configuration", NULL);
        return err;
    }
    conf_load_init(&m->config.load, &m->arena, &m->conf, web_conf_modules, WEB_MODULES);
    m->config.load.look_only = source->look_only;
    err = keep_source(m);
    if (!err)
        err = parse(m, out_nodes);
    if (err && !m->config.load.errors)
        conf_fail(&m->config.load, NULL, 0, "configuration: %s", wr_err_text(err));
    if (err) {
        memory_free(m);
        return err;
    }
    *out = m;
    return 0;
}

int web_load_tree(const struct wr_heap *heap, const struct web_source *source,
                  struct web_config **out)
{
    struct conf_node *nodes;
    struct memory *m;
    int err = begin(heap, source, &m, &nodes);
    if (!err)
        *out = &m->config;
    return err;
}

int web_load(const struct wr_heap *heap, const struct web_source *source,
             const struct web_config *old, struct web_config **out)
{
    struct conf_node *nodes;
    struct memory *m;
    *out = NULL;
    int err = begin(heap, source, &m, &nodes);
    if (err)
        return err;
    const struct web_load_options options = {
        .prefix = wr_span_str(m->source.prefix),
        .old = old ? old->generation : NULL,
    };
    err = web_generation_load(&m->config.load, nodes, &options, &m->config.generation);
    if (err && !m->config.load.errors)
        conf_fail(&m->config.load, NULL, 0, "configuration: %s", wr_err_text(err));
    if (err) {
        memory_free(m);
        return err;
    }
    *out = &m->config;
    return 0;
}
