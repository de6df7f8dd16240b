/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Directories under watch.
 *
 * For /srv/www/a.html the directories /, /srv and /srv/www have a watch each. The upper ones tell when they
 * themselves are moved, removed, or change rights; the last one also what happens to the names in it. A
 * directory whose other names change all the time (a log in the document root) would cost more than it
 * saves: its watch is given up, and its files are asked about by stat.
 */
#include "weir/content/hot_private.h"

#include "libweir/base/err.h"
#include "libweir/os/os.h"

#include <errno.h>
#include <sys/inotify.h>

#define DEPTH_MAX 32
#define ITSELF \
    (IN_MOVE_SELF | IN_DELETE_SELF | IN_ATTRIB | IN_ONLYDIR | IN_DONT_FOLLOW | IN_MASK_ADD)
#define NAMES       (IN_MODIFY | IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO)
#define NOISE_MAX   2000 /* events a second about files that are not kept */
#define PAUSE_MS    1000 /* no new watches after a failure or too much noise */
#define WATCHES_MAX 4096
#define READS_MAX   1024 /* more than the kernel queues */

/* ---- the tree ------------------------------------------------------------------------------------------------ */

static struct hot_dir *dir_find(const struct hot_cache *c, struct wr_span path)
{
    return wr_table_get(&c->dirs, path);
}

static void dir_free(struct hot_cache *c, struct hot_dir *d)
{
    wr_heap_free(c->heap, d, sizeof *d + d->n + 1);
}

static int dir_watch(struct hot_cache *c, struct hot_dir *d, bool leaf)
{
    int watch = wr_os_inotify_add(wr_io_fd(&c->io), d->path, leaf ? ITSELF | NAMES : ITSELF);
    if (watch < 0)
        return watch;
    if (d->watch != watch && d->watch >= 0) {
        /* Another directory has this name now: the event that says so is on its way. */
        if (!wr_table_get_u64(&c->watches, (uint64_t)watch))
            (void)wr_os_inotify_remove(wr_io_fd(&c->io), watch);
        return -ESTALE;
    }
    d->leaf = leaf;
    if (d->watch == watch)
        return 0;
    d->watch = watch;
    return wr_table_put_u64(&c->watches, (uint64_t)watch, d);
}

static struct hot_dir *dir_new(struct hot_cache *c, struct hot_dir *parent, struct wr_span path,
                               bool leaf)
{
    struct hot_dir *d = wr_heap_zalloc(c->heap, sizeof *d + path.n + 1);
    if (!d)
        return NULL;
    memcpy(d->path, path.p, path.n);
    d->n = path.n;
    d->parent = parent;
    d->watch = -1;
    wr_list_init(&d->children);
    wr_list_init(&d->in_parent);
    wr_list_init(&d->files);
    if (wr_table_put(&c->dirs, wr_span(d->path, d->n), d)) {
        dir_free(c, d);
        return NULL;
    }
    if (dir_watch(c, d, leaf) == 0) {
        if (parent)
            wr_list_add(&parent->children, &d->in_parent);
        return d;
    }
    /* The same directory by another path keeps its watch. */
    if (d->watch >= 0 && !wr_table_get_u64(&c->watches, (uint64_t)d->watch))
        (void)wr_os_inotify_remove(wr_io_fd(&c->io), d->watch);
    (void)wr_table_remove(&c->dirs, wr_span(d->path, d->n));
    dir_free(c, d);
    return NULL;
}

void hot_dir_release(struct hot_cache *c, struct hot_dir *d)
{
    while (d && !d->held && wr_list_empty(&d->files) && wr_list_empty(&d->children)) {
        struct hot_dir *parent = d->parent;
        (void)wr_table_remove(&c->dirs, wr_span(d->path, d->n));
        (void)wr_table_remove_u64(&c->watches, (uint64_t)d->watch);
        if (wr_io_is_open(&c->io))
            (void)wr_os_inotify_remove(wr_io_fd(&c->io), d->watch);
        wr_list_remove(&d->in_parent);
        dir_free(c, d);
        d = parent;
    }
}

/* Names that lead elsewhere than they say are not for watches. */
static bool is_plain(struct wr_span path)
{
    unsigned depth = 0;
    if (path.n == 0 || path.p[0] != '/')
        return false;
    for (size_t i = 0; i < path.n; i++) {
        if (path.p[i] != '/')
            continue;
        struct wr_span rest = wr_span_sub(path, i + 1, path.n);
        ptrdiff_t n = wr_span_find_char(rest, '/');
        struct wr_span name = n < 0 ? rest : wr_span_sub(rest, 0, (size_t)n);
        if (name.n == 0 || wr_span_eq(name, WR_LIT(".")) || wr_span_eq(name, WR_LIT("..")))
            return false;
        depth++;
    }
    return depth <= DEPTH_MAX;
}

struct hot_dir *hot_dir_hold(struct hot_cache *c, struct wr_span path)
{
    struct hot_dir *d = NULL, *next;
    if (!wr_io_is_open(&c->io) || wr_loop_now_ms(c->loop) < c->quiet_until_ms ||
        !is_plain(path) || wr_table_count(&c->watches) >= WATCHES_MAX)
        return NULL;
    size_t leaf = path.n;
    while (path.p[leaf - 1] != '/')
        leaf--;
    for (size_t i = 0; i < leaf; i++, d = next) {
        struct wr_span name = wr_span(path.p, i ? i : 1);
        next = d;
        if (path.p[i] != '/')
            continue;
        next = dir_find(c, name);
        bool last = i + 1 == leaf;
        if (!next)
            next = dir_new(c, d, name, last);
        else if (last && !next->leaf && dir_watch(c, next, true))
            next = NULL;
        if (next)
            continue;
        c->quiet_until_ms = wr_loop_now_ms(c->loop) + PAUSE_MS;
        hot_dir_release(c, d);
        return NULL;
    }
    return d;
}

/* ---- what the kernel tells ---------------------------------------------------------------------------------------- */

/* Forgets every file below; directories go with their last file. */
static void forget_below(struct hot_cache *c, struct hot_dir *d)
{
    struct wr_list *link;
    while ((link = wr_list_first(&d->children))) {
        struct hot_dir *child = wr_container_of(link, struct hot_dir, in_parent);
        bool last = wr_list_first(&d->children) == wr_list_last(&d->children) &&
                    wr_list_empty(&d->files);
        forget_below(c, child); /* frees the child, and with it an empty parent */
        if (last)
            return;
    }
    while ((link = wr_list_first(&d->files))) {
        struct hot_file *f = wr_container_of(link, struct hot_file, in_dir);
        bool last = wr_list_first(&d->files) == wr_list_last(&d->files);
        hot_forget(f);
        if (last)
            return;
    }
}

static void forget_all(struct hot_cache *c)
{
    struct wr_list *link;
    while ((link = wr_list_first(&c->kept)))
        hot_forget(wr_container_of(link, struct hot_file, in_cache));
}

static void on_noise(struct hot_cache *c, struct hot_dir *d)
{
    uint64_t now_ms = wr_loop_now_ms(c->loop);
    if (now_ms - d->noise_ms >= 1000) {
        d->noise_ms = now_ms;
        d->noise = 0;
    }
    if (++d->noise < NOISE_MAX)
        return;
    c->quiet_until_ms = now_ms + 10 * PAUSE_MS;
    forget_below(c, d);
}

static void on_name(struct hot_cache *c, struct hot_dir *d, const char *name)
{
    char path[4096];
    size_t n = strlen(name), at = d->n;
    if (at + 1 + n > sizeof path)
        return;
    memcpy(path, d->path, at);
    if (at > 1)
        path[at++] = '/';
    memcpy(path + at, name, n);
    struct hot_file *f = wr_table_get(&c->files, wr_span(path, at + n));
    if (f)
        hot_forget(f);
    else if (d->leaf)
        on_noise(c, d);
}

static void on_event(struct hot_cache *c, const struct inotify_event *ev)
{
    c->stats.events++;
    if (ev->mask & IN_Q_OVERFLOW) {
        forget_all(c);
        return;
    }
    struct hot_dir *d = wr_table_get_u64(&c->watches, (uint64_t)ev->wd);
    if (!d)
        return; /* one that was given up */
    if (ev->len > 0 && ev->name[0])
        on_name(c, d, ev->name);
    else
        forget_below(c, d);
}

void hot_drain(struct hot_cache *c)
{
    _Alignas(struct inotify_event) char buf[4096];
    c->turn = wr_loop_stats(c->loop)->turns;
    for (int reads = 0; reads < READS_MAX && wr_io_is_open(&c->io); reads++) {
        ssize_t n = wr_os_read(wr_io_fd(&c->io), buf, sizeof buf);
        if (n <= 0)
            return;
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *ev = (const void *)(buf + at);
            at += (ssize_t)(sizeof *ev + ev->len);
            on_event(c, ev);
        }
        if ((size_t)n < sizeof buf / 2)
            return; /* the kernel had no more: each event takes at most 272 bytes */
    }
}

static void on_readable(struct wr_io *io, uint32_t events)
{
    (void)events;
    hot_drain(wr_container_of(io, struct hot_cache, io));
}

int hot_watch_open(struct hot_cache *c)
{
    int fd = wr_os_inotify();
    if (fd < 0)
        return fd;
    int err = wr_io_open(c->loop, &c->io, fd, WR_IO_READ, on_readable);
    if (err)
        (void)wr_os_close(fd);
    return err;
}
