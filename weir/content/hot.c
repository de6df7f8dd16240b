/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/content/hot.h"
#include "weir/content/hot_private.h"

#include "libweir/base/assert.h"
#include "libweir/os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>

#define CHECK_MS 1000 /* how long a watch is believed without a look */

/* ---- one file ----------------------------------------------------------------------------------------------- */

/* What is held counts against the cache's own bound and the worker's budget. */
static bool take(struct hot_cache *c, size_t size)
{
    struct wr_budget *budget = wr_loop_budget(c->loop);
    if (budget && wr_budget_charge(budget, size))
        return false;
    c->stats.bytes += size;
    return true;
}

static void give_back(struct hot_cache *c, size_t size)
{
    struct wr_budget *budget = wr_loop_budget(c->loop);
    if (budget)
        wr_budget_release(budget, size);
    c->stats.bytes -= size;
}

static void file_gone(struct web_file *web)
{
    struct hot_file *f = wr_container_of(web, struct hot_file, web);
    struct hot_cache *c = f->cache;
    WR_ASSERT(!f->kept);
    if (!c)
        return; /* hot_free has the memory */
    wr_list_remove(&f->in_cache);
    give_back(c, f->size);
    wr_heap_free(c->heap, f, f->size);
}

void hot_forget(struct hot_file *f)
{
    struct hot_cache *c = f->cache;
    struct wr_list *link;
    while ((link = wr_list_first(&f->answers))) {
        struct hot_answer *a = wr_container_of(link, struct hot_answer, link);
        wr_list_remove(link);
        give_back(c, a->size);
        a->drop(a);
    }
    (void)wr_table_remove(&c->files, wr_span(f->web.path, f->path_n));
    wr_list_remove(&f->in_cache);
    wr_list_add(&c->gone, &f->in_cache);
    f->kept = false;
    c->stats.files--;
    c->stats.dropped++;
    if (f->dir) {
        c->stats.watched--;
        wr_list_remove(&f->in_dir);
        hot_dir_release(c, f->dir);
        f->dir = NULL;
    }
    struct web_file *web = &f->web;
    web_file_unref(&web);
}

static bool same(const struct hot_file *f, const struct stat *st)
{
    return f->web.inode == st->st_ino && f->dev == st->st_dev &&
           f->web.size == (uint64_t)st->st_size && f->web.mtime == st->st_mtim.tv_sec &&
           f->modified_ns == (uint32_t)st->st_mtim.tv_nsec &&
           f->changed_s == st->st_ctim.tv_sec && f->changed_ns == (uint32_t)st->st_ctim.tv_nsec;
}

static bool looks_the_same(struct hot_file *f)
{
    struct stat st;
    f->cache->stats.stats++;
    f->checked_ms = wr_loop_now_ms(f->cache->loop);
    return wr_os_stat(f->web.path, &st) == 0 && same(f, &st);
}

/* ---- is it still so? ------------------------------------------------------------------------------------------ */

/*
 * What the kernel had to tell when this request was sent has been read: in this turn, if its bytes were there when
 * the turn's wait returned, otherwise only if it is read now.
 */
static bool outlives_events(struct hot_file *f, bool announced)
{
    struct hot_cache *c = f->cache;
    if (announced && c->turn == wr_loop_stats(c->loop)->turns)
        return true;
    struct web_file *held = web_file_ref(&f->web);
    hot_drain(c);
    bool kept = f->kept;
    web_file_unref(&held);
    return kept;
}

static bool watched_is_fresh(struct hot_file *f)
{
    if (wr_loop_now_ms(f->cache->loop) - f->checked_ms < CHECK_MS || looks_the_same(f))
        return true;
    hot_forget(f);
    return false;
}

bool hot_fresh(struct hot_file *f, bool announced)
{
    struct hot_cache *c = f->cache;
    if (WR_LIKELY(f->dir != NULL)) {
        if (!outlives_events(f, announced) || !watched_is_fresh(f))
            return false;
    } else if (!looks_the_same(f)) {
        hot_forget(f);
        return false;
    }
    f->used = true;
    c->stats.hits++;
    return true;
}

struct hot_file *hot_get(struct hot_cache *c, struct wr_span path, bool announced)
{
    struct hot_file *f = wr_table_get(&c->files, path);
    return f && hot_fresh(f, announced) ? f : NULL;
}

/* ---- room ------------------------------------------------------------------------------------------------------ */

/* Takes it. A second chance for what was used since the hand came by. */
static bool make_room(struct hot_cache *c, size_t size, const struct hot_file *spare)
{
    uint64_t turns = 2 * c->stats.files + 1;
    while (c->stats.bytes + size > c->options.max && turns-- > 0) {
        struct wr_list *link = wr_list_last(&c->kept);
        if (!link)
            break;
        struct hot_file *f = wr_container_of(link, struct hot_file, in_cache);
        if (f->used || f == spare) {
            f->used = false;
            wr_list_remove(link);
            wr_list_add(&c->kept, link);
            continue;
        }
        hot_forget(f);
        c->stats.evicted++;
    }
    return c->stats.bytes + size <= c->options.max && take(c, size);
}

bool hot_attach(struct hot_file *f, struct hot_answer *a, size_t size)
{
    struct hot_cache *c = f->cache;
    if (!f->kept || wr_list_count(&f->answers) >= 8 || !make_room(c, size, f))
        return false;
    a->file = f;
    a->size = size;
    wr_list_add(&f->answers, &a->link);
    return true;
}

struct hot_file *hot_file_of(struct web_file *file)
{
    struct hot_file *f = wr_container_of(file, struct hot_file, web);
    return file->gone == file_gone && f->kept ? f : NULL;
}

/* ---- reading one in ---------------------------------------------------------------------------------------------- */

/* Local file systems, where every change is made by this kernel and told by inotify. */
static bool tells_changes(int fd)
{
    static const uint64_t known[] = {0xEF53 /* ext */,
                                     0x58465342 /* xfs */,
                                     0x9123683E /* btrfs */,
                                     0x01021994 /* tmpfs */,
                                     0x858458F6 /* ramfs */,
                                     0xF2F52010 /* f2fs */,
                                     0x2FC12FC1 /* zfs */,
                                     0xCA451A4E /* bcachefs */,
                                     0x794C7630 /* overlay */,
                                     0x73717368 /* squash */,
                                     0xE0F5E1E2 /* erofs */};
    uint64_t type;
    if (wr_os_fs_type(fd, &type))
        return false;
    for (unsigned i = 0; i < WR_ARRAY_LEN(known); i++)
        if (known[i] == type)
            return true;
    return false;
}

static bool read_all(int fd, char *into, uint64_t size)
{
    uint64_t at = 0;
    while (at < size) {
        ssize_t n = wr_os_pread(fd, into + at, size - at, (off_t)at);
        if (n <= 0)
            return false;
        at += (uint64_t)n;
    }
    return true;
}

/* Without a watch times are the evidence, and they are coarse: what is as young as that is not kept. */
static bool settled(struct hot_cache *c, const struct stat *st)
{
    int64_t now_s = (int64_t)(wr_loop_wall_ns(c->loop) / 1000000000u);
    return st->st_mtime + 2 <= now_s && st->st_ctime + 2 <= now_s;
}

static struct hot_file *file_new(struct hot_cache *c, struct wr_span path, int fd,
                                 const struct stat *st)
{
    uint64_t body = (uint64_t)st->st_size;
    size_t size = sizeof(struct hot_file) + body + path.n + 1;
    struct stat after;
    if (!make_room(c, size, NULL))
        return NULL;
    struct hot_file *f = wr_heap_alloc(c->heap, size);
    if (!f) {
        give_back(c, size);
        return NULL;
    }
    char *name = f->bytes + body;
    *f = (struct hot_file){
        .web = {.fd = -1, .refs = 1, .size = body, .mtime = st->st_mtim.tv_sec},
        .cache = c,
        .dev = st->st_dev,
        .changed_s = st->st_ctim.tv_sec,
        .changed_ns = (uint32_t)st->st_ctim.tv_nsec,
        .modified_ns = (uint32_t)st->st_mtim.tv_nsec,
        .checked_ms = wr_loop_now_ms(c->loop),
        .size = size,
        .path_n = path.n
    };
    memcpy(name, path.p, path.n);
    name[path.n] = '\0';
    f->web.inode = st->st_ino;
    f->web.path = name;
    f->web.memory = wr_span(f->bytes, body);
    f->web.gone = file_gone;
    wr_list_init(&f->answers);
    wr_list_init(&f->in_dir);
    wr_list_init(&f->in_cache);
    if (!read_all(fd, f->bytes, body) || wr_os_fstat(fd, &after) || !same(f, &after) ||
        wr_table_put(&c->files, wr_span(name, path.n), f)) {
        give_back(c, size);
        wr_heap_free(c->heap, f, size);
        return NULL;
    }
    return f;
}

static void keep(struct hot_cache *c, struct hot_file *f, struct hot_dir *dir)
{
    c->stats.files++;
    c->stats.loads++;
    f->kept = true;
    f->dir = dir;
    wr_list_add(&c->kept, &f->in_cache);
    if (dir) {
        wr_list_add(&dir->files, &f->in_dir);
        c->stats.watched++;
    }
}

/* Watched first, opened then: a change behind the opening has its event. *dir becomes NULL when the watches
 * cannot be trusted with this path. */
static int open_watched(struct wr_span path, struct hot_dir **dir, struct stat *out)
{
    int fd = -ELOOP, flags = O_RDONLY | O_NONBLOCK | O_NOCTTY;
    if (*dir)
        fd = wr_os_openat2(AT_FDCWD, path.p, flags, RESOLVE_NO_SYMLINKS);
    if (fd == -ELOOP || fd == -ENOSYS) {
        *dir = NULL;
        fd = wr_os_open(path.p, flags, 0);
    }
    if (fd < 0)
        return fd;
    int err = wr_os_fstat(fd, out);
    if (err || !S_ISREG(out->st_mode)) {
        (void)wr_os_close(fd);
        return err ? err : -EINVAL;
    }
    if (out->st_nlink != 1 || !tells_changes(fd))
        *dir = NULL;
    return fd;
}

bool hot_put(struct hot_cache *c, struct wr_span path)
{
    if (wr_table_get(&c->files, path))
        return true;
    hot_drain(c); /* what happened before is not of interest */
    struct hot_dir *held = hot_dir_hold(c, path), *dir = held;
    struct hot_file *f = NULL;
    struct stat st;
    if (held)
        held->held = true;
    int fd = open_watched(path, &dir, &st);
    if (fd >= 0) {
        if ((uint64_t)st.st_size <= c->options.file_max && (dir || settled(c, &st)))
            f = file_new(c, path, fd, &st);
        (void)wr_os_close(fd);
    }
    if (f)
        keep(c, f, dir);
    if (held) {
        held->held = false;
        hot_dir_release(c, held);
    }
    return f != NULL;
}

/* ---- for requests ------------------------------------------------------------------------------------------------ */

static struct hot_cache *cache_of(const struct web_req *r)
{
    const struct file_main_conf *conf = web_main_conf(r, static);
    return core_of(r->location)->symlinks.mode == CORE_SYMLINKS_FOLLOW ? conf->hot_cache : NULL;
}

bool hot_find(struct web_req *r, struct wr_span path, unsigned flags, struct file_info *out)
{
    struct hot_cache *c = cache_of(r);
    if (!c || !r->http)
        return false;
    struct hot_file *f = hot_get(c, path, wr_http_announced(r->http));
    if (!f)
        return false;
    *out = (struct file_info){
        .is_file = true, .size = f->web.size, .inode = f->web.inode, .mtime = f->web.mtime};
    if (!(flags & FILE_TEST))
        out->file = web_file_ref(&f->web);
    return true;
}

void hot_offer(struct web_req *r, struct wr_span path, const struct file_info *info)
{
    struct hot_cache *c = cache_of(r);
    if (!c || !info->is_file || info->size > c->options.file_max)
        return;
    uint64_t hash = wr_hash_span(c->key, path);
    uint32_t *door = &c->door[hash % HOT_DOOR], trace = (uint32_t)(hash >> 32) | 1;
    if (*door != trace) {
        *door = trace;
        return;
    }
    (void)hot_put(c, path);
}

/* ---- birth and death ---------------------------------------------------------------------------------------------- */

int hot_new(struct wr_loop *loop, const struct hot_options *options, struct hot_cache **out)
{
    const struct wr_heap *heap = wr_loop_heap(loop);
    struct hot_cache *c = wr_heap_zalloc(heap, sizeof *c);
    if (!c)
        return -ENOMEM;
    c->loop = loop;
    c->heap = heap;
    c->options = *options;
    int err = wr_os_random(&c->key, sizeof c->key);
    if (err) {
        wr_heap_free(heap, c, sizeof *c);
        return err;
    }
    wr_table_init(&c->files, heap, c->key);
    wr_table_init(&c->dirs, heap, c->key);
    wr_table_init(&c->watches, heap, c->key);
    wr_list_init(&c->kept);
    wr_list_init(&c->gone);
    if (!options->no_watch)
        (void)hot_watch_open(c); /* without it each request asks */
    *out = c;
    return 0;
}

void hot_free(struct hot_cache **cache)
{
    struct hot_cache *c = *cache;
    struct wr_list *link;
    if (!c)
        return;
    *cache = NULL;
    while ((link = wr_list_first(&c->kept)))
        hot_forget(wr_container_of(link, struct hot_file, in_cache));
    while ((link = wr_list_pop(&c->gone))) {
        struct hot_file *f = wr_container_of(link, struct hot_file, in_cache);
        give_back(c, f->size);
        f->cache = NULL;
        wr_heap_free(c->heap, f, f->size);
    }
    wr_io_close(&c->io);
    wr_table_deinit(&c->files);
    wr_table_deinit(&c->dirs);
    wr_table_deinit(&c->watches);
    wr_heap_free(c->heap, c, sizeof *c);
}

struct hot_stats hot_stats(const struct hot_cache *c)
{
    struct hot_stats s = c->stats;
    s.watches = wr_table_count(&c->watches);
    return s;
}
