/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CONTENT_DIR_H
#define CONTENT_DIR_H

/*
 * The names in a directory, a buffer full at a time.
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
/* 1: a name, 0: the end, or -errno. */
WR_MUST int dir_next(struct dir_reader *d, struct dir_name *out);
/* What the name stands for, links followed; a link that leads nowhere is itself. */
WR_MUST int dir_stat(const struct dir_reader *d, const char *name, struct stat *out);

#endif
