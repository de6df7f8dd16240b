/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CONTENT_HOT_PRIVATE_H
#define CONTENT_HOT_PRIVATE_H

/*
 * The inside of the hot-file cache, for hot.c (files) and hot_watch.c (directories) only.
 *
 * Directories form the tree of their paths, from "/" down to those that hold a file of the cache; each has
 * one watch. A directory without files and children is let go, unless it is held for a file that is being read in:
 * what makes room for that file may be the last one below.
 */

#include "weir/content/hot.h"

#include "libweir/io/loop.h"

struct hot_dir {
    struct hot_dir *parent; /* NULL: "/" */
    struct wr_list children, in_parent, files;
    int watch;
    bool held;         /* hot_put's */
    bool leaf;         /* watched for changes of its files too */
    uint32_t noise;    /* events of this second that concern no file of the cache */
    uint64_t noise_ms; /* when that second began */
    size_t n;
    char path[];
};

#define HOT_DOOR 1024 /* a power of two */

struct hot_cache {
    struct wr_loop *loop;
    const struct wr_heap *heap;
    struct hot_options options;
    struct hot_stats stats;
    struct wr_table files, dirs, watches; /* by path, by path, by watch */
    struct wr_list kept, gone; /* files: least used last; forgotten ones that are still read */
    struct wr_io io;           /* inotify; closed: there is none */
    struct wr_hash_key key;
    uint64_t turn; /* in which the kernel was asked last */
    uint64_t quiet_until_ms;
    uint32_t door[HOT_DOOR]; /* traces of what was asked for once */
};

int hot_watch_open(struct hot_cache *c);
/* Watches the directory of a path and all above it. NULL: not to be had. */
struct hot_dir *hot_dir_hold(struct hot_cache *c, struct wr_span path);
/* Lets it go when nothing needs it, and so those above. */
void hot_dir_release(struct hot_cache *c, struct hot_dir *d);
void hot_forget(struct hot_file *f);

#endif
