/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CONTENT_HOT_H
#define CONTENT_HOT_H

/*
 * Small files that are asked for again and again, kept in memory: no system call, and always the file as it is.
 *
 *     hot_file_cache on | off [max=SIZE] [file=SIZE];      default: on max=8m file=64k
 *
 * A file that was asked for twice is read, and its directory and all directories above it are watched
 * with inotify. The kernel queues an event before the change returns to whoever made it, and the first request of
 * a turn that finds something here has the events read before, so a request that was sent after a change
 * finds the new file. What a watch does not tell of at once is not trusted to one:
 *
 *     symbolic link in the path, hard links,   the file is kept, but each request asks stat(2) whether
 *     network and user-space file systems,     it is the same: device, inode, size, both times
 *     no inotify, no watches left
 *     requests that may have been sent during  events are asked for once more before the answer: the first
 *     the turn                                 of a connection, pipelined ones, what was left over
 *     mounts, writes through mmap(2)           each file is compared by stat(2) once a second
 *
 * 1. A file that was seen to change is forgotten at once; requests under way keep the bytes they began with.
 * 2. Bytes of files, and of what is prepared from them, are at most max; the least used go first.
 * 3. A change of rights, owner or name of the file or of a directory above it counts as a change.
 * 4. Where symbolic links are judged (disable_symlinks) nothing is kept.
 *
 * One cache a worker, made by the static module; its loop only.
 */

#include "weir/content/file.h"

#include "libweir/base/list.h"
#include "libweir/base/table.h"

struct hot_options {
    uint64_t max, file_max;
    bool no_watch; /* as if the kernel had no inotify */
};

struct hot_stats {
    uint64_t hits, loads, dropped, evicted, stats, events;
    uint64_t files, watched, bytes, watches;
};

WR_MUST int hot_new(struct wr_loop *loop, const struct hot_options *options,
                    struct hot_cache **out);
void hot_free(struct hot_cache **cache); /* takes NULL */
struct hot_stats hot_stats(const struct hot_cache *cache);

/* True: *out is filled in, with a reference to the file unless it is a FILE_TEST. */
bool hot_find(struct web_req *r, struct wr_span path, unsigned flags, struct file_info *out);
/* It was found by other means: perhaps the next request will find it here. */
void hot_offer(struct web_req *r, struct wr_span path, const struct file_info *info);

/* The same without a request; announced: see wr_http_announced. */
struct hot_file *hot_get(struct hot_cache *cache, struct wr_span path, bool announced);
/* Still the file as it is; false: it has been forgotten, and the pointer is stale. */
bool hot_fresh(struct hot_file *f, bool announced);
bool hot_put(struct hot_cache *cache, struct wr_span path);
/* What the kernel has to tell. */
void hot_drain(struct hot_cache *cache);

struct hot_file *hot_file_of(struct web_file *file); /* NULL: not one, or forgotten */

struct hot_file {
    struct web_file web;    /* memory holds the whole of it */
    struct wr_list answers; /* struct hot_answer */
    /* private */
    struct hot_cache *cache; /* NULL: it has gone */
    struct hot_dir *dir;     /* NULL: asked about by stat */
    struct wr_list in_dir, in_cache;
    uint64_t dev;
    int64_t changed_s;
    uint32_t changed_ns, modified_ns;
    uint64_t checked_ms;
    size_t size, path_n;
    uint32_t uses;
    bool used, kept;
    char bytes[]; /* the body, then the path */
};

/*
 * What was prepared from a file: it is dropped with it. Its bytes count.
 */
struct hot_answer {
    struct wr_list link;
    struct hot_file *file;
    size_t size;
    void (*drop)(struct hot_answer *a); /* frees it */
};
/* False: no room. */
bool hot_attach(struct hot_file *f, struct hot_answer *a, size_t size);

#endif
