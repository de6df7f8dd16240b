/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CONTENT_DIR_H
#define CONTENT_DIR_H

/*
 * The names in a directory, so many in one turn of the loop, that a directory of a hundred thousand keeps nobody
 * waiting.
 *
 * 1. Opening follows the location's disable_symlinks, and is refused for what is no directory (-ENOTDIR).
 * 2. Names that begin with a dot are left out.
 * 3. The walk sees what is there while it runs; a name that vanishes meanwhile is the caller's to bear.
 */

#include "weir/content/file.h"

struct dir_reader {
    /* private */
    int fd;
    size_t at, n;
    _Alignas(16) char buf[8192];
};

struct dir_name {
    const char *name; /* until the next call */
    size_t n;
    uint8_t type; /* DT_*, DT_UNKNOWN where the file system does not say */
};

WR_MUST int dir_open(struct web_req *r, struct wr_span path, struct dir_reader *out);
void dir_close(struct dir_reader *d);
/* Gives one turn's names to each. 1: there are more, 0: the end; -errno, or what each returned that was not 0. */
WR_MUST int dir_slice(struct dir_reader *d, int (*each)(const struct dir_name *name, void *arg),
                      void *arg);
/* What the name stands for, links followed; a link that leads nowhere is itself. */
WR_MUST int dir_stat(const struct dir_reader *d, const char *name, struct stat *out);

#endif
