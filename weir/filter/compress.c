/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/filter/compress.h"

#include "libweir/base/err.h"
#include "libweir/io/log.h"

#include <errno.h>

#define BUFFER_MIN ((size_t)4096)
#define BUFFER_MAX ((size_t)65536)

static bool may_compress(const struct web_req *r, const struct compress_conf *conf)
{
    int s = r->out.status;
    if (!conf->enable || (s != 200 && s != 403 && s != 404) || r->header_only || r != r->main)
        return false;
    if (r->out.encoding.n || r->out.length < conf->min_length)
        return false;
    return web_types_has(&conf->types, r->out.type);
}

static size_t buffer_size(const struct compress_conf *conf)
{
    uint64_t n = conf->buffers.size * 4;
    return n < BUFFER_MIN ? BUFFER_MIN : n > BUFFER_MAX ? BUFFER_MAX : (size_t)n;
}

int compress_head(struct web_req *r, const struct compress_kind *kind,
                  const struct compress_conf *conf)
{
    if (!may_compress(r, conf))
        return 0;
    if (web_encoding_vary(r))
        return WEB_ERROR;
    if (!web_encoding_accepted(r, kind->coding))
        return 0;
    void *state = NULL;
    struct recode *c = NULL;
    if (kind->open(r, conf, &state) ||
        recode_new(r, kind->coder, state, buffer_size(conf), &c)) {
        web_error(r, WR_LOG_CRIT, -ENOMEM, "no memory to compress the answer");
        return 0; /* as it is: an answer all the same */
    }
    r->ctx[kind->module] = c;
    r->out.encoding = kind->coding;
    web_clear_length(r);
    web_clear_ranges(r);
    web_weaken_etag(r);
    web_filter_push_main(r, &c->filter);
    return 0;
}
