/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CONTENT_FILE_H
#define CONTENT_FILE_H

/*
 * Files for answers: opened so that nothing hangs and nothing is followed that must not be, counted, and
 * remembered where the configuration says so.
 *
 * file_find asks the hot-file cache (hot.h), then the open-file cache of the location, then the kernel. What
 * is opened is looked at before it is used: only a regular file becomes a web_file; a directory is told by
 * is_dir, everything else (FIFO, device, socket) by neither. Errors are codes; file_status turns them into
 * the answer's status and the line of the error log that nginx writes.
 *
 * 1. Opening never waits: O_NONBLOCK, no controlling terminal, close-on-exec.
 * 2. Where disable_symlinks forbids it, no symbolic link is followed, also none that is swapped in meanwhile.
 * 3. info->file is a reference of the caller's; it is NULL for a FILE_TEST and for what is no regular file.
 * 4. Without open_file_cache the answer is always of the file as it is now.
 *
 * The configuration lies in the `static` module; the modules of this folder and those that look for a file
 * beside the one that was asked for (gzip_static) use this header.
 */

#include "weir/web/core.h"

#include <sys/stat.h>

struct file_cache;
struct hot_cache;
struct hot_options;

/* Of the static module, level location. */
struct file_conf {
    struct file_cache *cache; /* NULL: open_file_cache off */
    /* Of a worker: whole answers of hot files by URI; NULL where they cannot be prepared. */
    struct wr_table *answers;
};

/* Likewise, level http. */
struct file_main_conf {
    struct hot_options *hot;   /* NULL: off */
    struct file_cache *caches; /* all of them */
    struct hot_cache *hot_cache;
};

static inline const struct file_conf *file_conf(const struct web_req *r)
{
    return web_location_conf(r, static);
}

enum {
    FILE_TEST = 1,      /* only what it is, no descriptor */
    FILE_DIRECTORY = 2, /* a descriptor of a directory; of file_call only */
};

struct file_info {
    struct web_file *file;
    bool is_dir, is_file;
    uint64_t size, inode;
    int64_t mtime;
    const char *failed; /* with an error: the call, as messages name it */
};

/* path is NUL-terminated. 0 or -errno. */
WR_MUST int file_find(struct web_req *r, struct wr_span path, unsigned flags,
                      struct file_info *out);

/* The same in steps. 1: the caches know, *out and *out_err are filled in; 0: ask the kernel. */
int file_known(struct web_req *r, struct wr_span path, unsigned flags, struct file_info *out,
               int *out_err);
/* What the kernel is asked, also in a thread of the pool: no request, no cache. */
struct file_call {
    const char *path;
    size_t from; /* links are judged behind so many bytes of it; 0: all */
    int links;   /* enum core_symlinks */
    unsigned flags;
    int fd; /* of a regular file, or of the directory asked for; -1 */
    struct stat st;
    const char *failed;
};
WR_MUST int file_call(struct file_call *c);
WR_MUST int file_call_init(struct web_req *r, struct wr_span path, unsigned flags,
                           struct file_call *out);
/* err: of file_call. Takes call->fd, tells the caches. */
WR_MUST int file_learn(struct web_req *r, struct wr_span path, const struct file_call *c,
                       int err, struct file_info *out);

/* The status of an error, logged as `open() "path" failed`: 404, 403, 500. */
int file_status(struct web_req *r, int err, const char *failed, struct wr_span path);

/* Last-Modified and ETag of the answer. 0 or -ENOMEM. */
WR_MUST int file_stamp(struct web_req *r, const struct file_info *info);

/* ---- open_file_cache (file_cache.c) -------------------------------------------------------------------- */

/* In the configuration's arena; chained for file_cache_stop. */
struct file_cache *file_cache_new(struct wr_arena *arena, uint64_t max, uint64_t inactive_ms,
                                  struct file_cache **chain);
/* 1: *out_err and *out tell what is known, 0: ask the kernel. Entries due for a look are asked about here. */
int file_cache_get(struct web_req *r, struct wr_span path, unsigned flags,
                   struct file_info *out, int *out_err);
/* What the kernel said; takes nothing: the entry has references of its own. */
void file_cache_put(struct web_req *r, struct wr_span path, const struct file_call *call,
                    int err, const struct file_info *info);
void file_cache_stop(struct file_cache *chain);

#endif
