/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CONTENT_PRECOMPRESSED_H
#define CONTENT_PRECOMPRESSED_H

/*
 * Files that lie compressed beside the originals: what gzip_static, brotli_static and zstd_static have in common.
 *
 * Each is a content handler before `static`: when the client takes the coding and "FILE.gz" is there, that
 * file is the answer, with the type of FILE and its own validators; otherwise the next handler answers.
 *
 * 1. The compressed file is opened under the same rules as the original (file.h).
 * 2. What is found but not taken by this client is told by Vary, where gzip_vary is on.
 */

#include "weir/content/file.h"
#include "weir/web/encoding.h"

enum {
    PRECOMPRESSED_OFF,
    PRECOMPRESSED_ON,
    PRECOMPRESSED_ALWAYS
};
extern const struct conf_enum precompressed_modes[];

struct precompressed {
    struct wr_span suffix; /* ".gz" */
    struct wr_span coding; /* "gzip" */
};

/* What the handler returns. */
int precompressed_send(struct web_req *r, int mode, const struct precompressed *kind);

#endif
