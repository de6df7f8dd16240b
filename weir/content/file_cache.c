/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * open_file_cache: what a path led to is believed for a while.
 *
 * An entry holds an open descriptor, or that it is a directory, or (open_file_cache_errors) an error. When
 * open_file_cache_valid has passed since it was last seen to be so, the kernel is asked again: the same inode
 * keeps its descriptor. Entries that nobody asked for within `inactive`, and the least used above `max`, go.
 * One cache for each open_file_cache directive; the locations that inherit it share it. What was learned under
 * other rules of disable_symlinks is not believed.
 */
#include "weir/content/file.h"

#include "libweir/base/list.h"
#include "libweir/base/table.h"
#include "libweir/os/os.h"

#include <errno.h>

struct entry {
    struct wr_list link;   /* least used last */
    struct web_file *file; /* may be NULL */
    struct file_info info; /* without its file */
    int err;
    uint64_t seen_ms, used_ms;
    uint64_t uses;
    size_t from; /* of the file_call that learned it: which links were judged, and how */
    int links;
    size_t path_n;
    char path[];
};

struct file_cache {
    struct file_cache *next; /* in the chain */
    uint64_t max, inactive_ms;
    /* Of a worker. */
    const struct wr_heap *heap; /* NULL: nothing was put in yet */
    struct wr_table table;
    struct wr_list entries;
};

struct file_cache *file_cache_new(struct wr_arena *arena, uint64_t max, uint64_t inactive_ms,
                                  struct file_cache **chain)
{
    struct file_cache *c = wr_arena_zalloc(arena, sizeof *c);
    if (!c)
        return NULL;
    c->max = max;
    c->inactive_ms = inactive_ms;
    c->next = *chain;
    *chain = c;
    return c;
}

static void entry_free(struct file_cache *c, struct entry *e)
{
    wr_list_remove(&e->link);
    (void)wr_table_remove(&c->table, wr_span(e->path, e->path_n));
    web_file_unref(&e->file);
    wr_heap_free(c->heap, e, sizeof *e + e->path_n + 1);
}

static void free_surplus(struct file_cache *c, uint64_t now_ms)
{
    struct wr_list *link;
    for (int n = 0; n < 2 && (link = wr_list_last(&c->entries)); n++) {
        struct entry *e = wr_container_of(link, struct entry, link);
        if (wr_table_count(&c->table) < c->max && now_ms - e->used_ms < c->inactive_ms)
            return;
        entry_free(c, e);
    }
}

static void touch(struct file_cache *c, struct entry *e, uint64_t now_ms)
{
    e->used_ms = now_ms;
    e->uses++;
    wr_list_remove(&e->link);
    wr_list_add(&c->entries, &e->link);
}

/* Is it what the entry says? */
static bool still_so(const struct entry *e)
{
    struct stat st;
    int err = wr_os_stat(e->path, &st);
    if (err || e->err)
        return err == e->err;
    return st.st_ino == e->info.inode && (uint64_t)st.st_size == e->info.size &&
           st.st_mtime == e->info.mtime && S_ISDIR(st.st_mode) == e->info.is_dir;
}

int file_cache_get(struct web_req *r, struct wr_span path, unsigned flags,
                   struct file_info *out, int *out_err)
{
    const struct core_location *core = core_of(r->location);
    struct file_cache *c = file_conf(r)->cache;
    uint64_t now_ms = wr_loop_now_ms(web_loop(r));
    struct entry *e = c->heap ? wr_table_get(&c->table, path) : NULL;
    struct file_call call;
    if (!e || file_call_init(r, path, flags, &call) || call.links != e->links ||
        call.from != e->from)
        return 0;
    if (now_ms - e->used_ms >= c->inactive_ms)
        e->uses = 0;
    touch(c, e, now_ms);
    if (now_ms - e->seen_ms >= core->file_cache_valid_ms) {
        if (core->symlinks.mode != CORE_SYMLINKS_FOLLOW || !still_so(e)) {
            entry_free(c, e);
            return 0;
        }
        e->seen_ms = now_ms;
    }
    bool wants_fd = !(flags & FILE_TEST) && e->info.is_file && !e->err;
    if (wants_fd && !e->file)
        return 0;
    *out = e->info;
    *out_err = e->err;
    if (wants_fd)
        out->file = web_file_ref(e->file);
    return 1;
}

static struct entry *entry_new(struct file_cache *c, struct wr_span path)
{
    struct entry *e = wr_heap_zalloc(c->heap, sizeof *e + path.n + 1);
    if (!e)
        return NULL;
    memcpy(e->path, path.p, path.n);
    e->path_n = path.n;
    wr_list_init(&e->link);
    if (wr_table_put(&c->table, wr_span(e->path, e->path_n), e)) {
        wr_heap_free(c->heap, e, sizeof *e + path.n + 1);
        return NULL;
    }
    wr_list_add(&c->entries, &e->link);
    return e;
}

static int prepare(struct file_cache *c, struct web_req *r)
{
    struct wr_hash_key key;
    if (c->heap)
        return 0;
    int err = wr_os_random(&key, sizeof key);
    if (err)
        return err;
    c->heap = wr_loop_heap(web_loop(r));
    wr_table_init(&c->table, c->heap, key);
    wr_list_init(&c->entries);
    return 0;
}

void file_cache_put(struct web_req *r, struct wr_span path, const struct file_call *call,
                    int err, const struct file_info *info)
{
    const struct core_location *core = core_of(r->location);
    struct file_cache *c = file_conf(r)->cache;
    uint64_t now_ms = wr_loop_now_ms(web_loop(r));
    if (err == -ENOMEM || (err && !core->file_cache_errors) ||
        (!err && !info->is_dir && !info->is_file) || prepare(c, r))
        return;
    struct entry *e = wr_table_get(&c->table, path);
    if (!e) {
        free_surplus(c, now_ms);
        e = entry_new(c, path);
        if (!e)
            return;
        touch(c, e, now_ms);
    }
    web_file_unref(&e->file);
    e->err = err;
    e->info = *info;
    e->info.file = NULL;
    e->links = call->links;
    e->from = call->from;
    e->seen_ms = now_ms;
    if (info->file && !info->file->memory.p && e->uses >= (uint64_t)core->file_cache_min_uses)
        e->file = web_file_ref(info->file);
}

void file_cache_stop(struct file_cache *chain)
{
    for (struct file_cache *c = chain; c; c = c->next) {
        struct wr_list *link;
        if (!c->heap)
            continue;
        while ((link = wr_list_first(&c->entries)))
            entry_free(c, wr_container_of(link, struct entry, link));
        wr_table_deinit(&c->table);
        c->heap = NULL;
    }
}
