/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef FILTER_COMPRESS_H
#define FILTER_COMPRESS_H

/*
 * What gzip, brotli and zstd decide alike: whether this answer is compressed, and what that does to its head.
 *
 * Each brings a coder and the way to open one, and calls compress_head from its head filter. The first of
 * the modules (in the order of modules.def) that the client takes wins; the others see an encoded answer.
 *
 * 1. A compressed answer has no Content-Length, no ranges, a weak ETag.
 * 2. An answer that could have been compressed for another client says Vary where gzip_vary is on.
 */

#include "weir/filter/recode.h"
#include "weir/web/encoding.h"

struct compress_conf { /* the first member of each module's own */
    bool enable;
    struct web_types types;
    uint64_t min_length;
    struct conf_bufs buffers;
};

struct compress_kind {
    enum web_module_id module;
    struct wr_span coding;
    const struct recode_coder *coder;
    int (*open)(struct web_req *r, const struct compress_conf *conf, void **out_state);
};

/* What the head filter returns. r->ctx[kind->module] is the struct recode when it compresses. */
int compress_head(struct web_req *r, const struct compress_kind *kind,
                  const struct compress_conf *conf);

#endif
