/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Module gunzip: answers that are stored compressed, unpacked for clients that do not take gzip.
 *
 * gunzip, gunzip_buffers. Together with `gzip_static always` one copy of a file serves everybody.
 */

#include "libweir/base/err.h"
#include "weir/filter/recode.h"
#include "weir/web/encoding.h"

#include <errno.h>
#include <zlib.h>

struct gunzip_location {
    bool enable;
    struct conf_bufs buffers;
};

/* ---- the coder ---------------------------------------------------------------------------------------- */

static int gunzip_run(void *state, struct wr_span *in, enum recode_op op, char *out, size_t cap,
                      size_t *out_n, bool *out_done)
{
    z_stream *z = state;
    z->next_in = (unsigned char *)(uintptr_t)in->p;
    z->avail_in = (unsigned)in->n;
    z->next_out = (unsigned char *)out;
    z->avail_out = (unsigned)cap;
    int rc = inflate(z, op == RECODE_RUN ? Z_NO_FLUSH : Z_SYNC_FLUSH);
    if (rc == Z_STREAM_END && z->avail_in > 0)
        rc = inflateReset(z); /* another member follows */
    *in = wr_span_sub(*in, in->n - z->avail_in, z->avail_in);
    *out_n = cap - z->avail_out;
    *out_done = z->avail_out > 0;
    if (rc == Z_STREAM_END)
        return inflateReset(z) == Z_OK ? 0 : -EIO;
    if (rc == Z_BUF_ERROR && op == RECODE_FINISH && z->avail_out == cap && z->total_in > 0)
        return -EIO; /* the data ended inside a member */
    return rc == Z_OK || rc == Z_BUF_ERROR ? 0 : -EIO;
}

static void gunzip_close(void *state)
{
    (void)inflateEnd(state);
}

static const struct recode_coder coder = {"inflate()", gunzip_run, gunzip_close};

/* ---- run time ------------------------------------------------------------------------------------------- */

static int gunzip_head(struct web_req *r)
{
    const struct gunzip_location *conf = web_location_conf(r, gunzip);
    if (!conf->enable || r->header_only || r != r->main || !web_encoded_as(r, WR_LIT("gzip")))
        return 0;
    if (web_encoding_vary(r))
        return WEB_ERROR;
    if (web_encoding_accepted(r, WR_LIT("gzip")))
        return 0;
    z_stream *z = wr_arena_zalloc(r->arena, sizeof *z);
    struct recode *c = NULL;
    if (!z || inflateInit2(z, MAX_WBITS + 16) != Z_OK ||
        recode_new(r, &coder, z, conf->buffers.size < 4096 ? 4096 : conf->buffers.size, &c))
        return WEB_ERROR;
    r->out.encoding = WR_LIT("");
    web_clear_length(r);
    web_clear_ranges(r);
    web_weaken_etag(r);
    web_filter_push(r, &c->filter);
    return 0;
}

/* ---- configuration ------------------------------------------------------------------------------------ */

static const struct conf_row rows[] = {
    {"gunzip", CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, conf_set_flag,
     CONF_FIELD(struct gunzip_location, enable), "off", NULL, "on | off",
     "Unpacks gzip answers for clients that do not take them."},
    {"gunzip_buffers",       CONF_HSL, 2, 2, 0, CONF_AT_LOCATION, conf_set_bufs,
     CONF_FIELD(struct gunzip_location, buffers), "32 4k", NULL, "number size",
     "The output buffer's size; weir needs one."},
    {0      },
};

static bool gunzip_wanted(const struct web_location *location)
{
    const struct gunzip_location *conf = location->conf[WEB_gunzip];
    return conf->enable;
}

const struct web_module gunzip_module = {
    .conf = {.name = "http_gunzip",
             .size = {[CONF_AT_LOCATION] = sizeof(struct gunzip_location)},
             .rows = rows},
    .head_filter = gunzip_head,
    .head_wanted = gunzip_wanted,
};
