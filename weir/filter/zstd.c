/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Module zstd: answers compressed with Zstandard for clients that take "zstd" (RFC 8878). Beyond nginx.
 *
 * zstd, zstd_types, zstd_min_length, zstd_comp_level, zstd_buffers.
 */

#include "libweir/base/err.h"
#include "weir/filter/compress.h"

#include <errno.h>
#include <zstd.h>

/* What a receiver must be able to look back: RFC 9659 allows no more on the web. */
#define WINDOW_LOG_MAX 23

struct zstd_location {
    struct compress_conf common;
    int64_t level;
};

/* ---- the coder ---------------------------------------------------------------------------------------- */

static int zstd_run(void *state, struct wr_span *in, enum recode_op op, char *out, size_t cap,
                    size_t *out_n, bool *out_done)
{
    static const ZSTD_EndDirective end_of[] = {[RECODE_RUN] = ZSTD_e_continue,
                                               [RECODE_FLUSH] = ZSTD_e_flush,
                                               [RECODE_FINISH] = ZSTD_e_end};
    ZSTD_inBuffer i = {in->p, in->n, 0};
    ZSTD_outBuffer o = {out, cap, 0};
    size_t left = ZSTD_compressStream2(state, &o, &i, end_of[op]);
    if (ZSTD_isError(left))
        return -EIO;
    *in = wr_span_sub(*in, i.pos, SIZE_MAX);
    *out_n = o.pos;
    *out_done = op == RECODE_RUN ? i.pos == i.size : left == 0;
    return 0;
}

static void zstd_close(void *state)
{
    (void)ZSTD_freeCCtx(state);
}

static const struct recode_coder coder = {"zstd", zstd_run, zstd_close};

static int zstd_open(struct web_req *r, const struct compress_conf *common, void **out_state)
{
    const struct zstd_location *conf = (const struct zstd_location *)common;
    ZSTD_CCtx *z = ZSTD_createCCtx();
    if (!z)
        return -ENOMEM;
    (void)ZSTD_CCtx_setParameter(z, ZSTD_c_compressionLevel, (int)conf->level);
    ZSTD_bounds log = ZSTD_cParam_getBounds(ZSTD_c_windowLog);
    if (conf->level > 19 && log.upperBound > WINDOW_LOG_MAX)
        (void)ZSTD_CCtx_setParameter(z, ZSTD_c_windowLog, WINDOW_LOG_MAX);
    if (r->out.length != WEB_LENGTH_UNKNOWN)
        (void)ZSTD_CCtx_setPledgedSrcSize(z, r->out.length);
    *out_state = z;
    return 0;
}

static const struct compress_kind kind = {
    .module = WEB_zstd, .coding = {"zstd", 4},
         .coder = &coder, .open = zstd_open
};

static int zstd_head(struct web_req *r)
{
    return compress_head(r, &kind, web_location_conf(r, zstd));
}

/* ---- configuration ------------------------------------------------------------------------------------ */

static const struct conf_range levels = {1, 22};

static const struct conf_row rows[] = {
    {"zstd",          CONF_HSL | CONF_IF_LOCATION, 1, 1, 0, CONF_AT_LOCATION, conf_set_flag,
     CONF_FIELD(struct zstd_location, common.enable), "off", NULL, "on | off",
     "Compresses answers with Zstandard."},
    {"zstd_types",              CONF_HSL, 1, CONF_MANY, CONF_TWICE, CONF_AT_LOCATION, web_set_types,
     CONF_FIELD(struct zstd_location, common.types), "text/html", "text/html", "mime-type ...",
     "The media types that are compressed, in addition to text/html; * is every one."},
    {"zstd_min_length",              CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, conf_set_size,
     CONF_FIELD(struct zstd_location, common.min_length), "20", NULL, "length",
     "Shorter answers, by their Content-Length, are left as they are."},
    {"zstd_comp_level",  CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, conf_set_num,
     CONF_FIELD(struct zstd_location, level), "3", &levels, "1..22",
     "How hard Zstandard tries."},
    {"zstd_buffers", CONF_HSL, 2, 2, 0, CONF_AT_LOCATION, conf_set_bufs,
     CONF_FIELD(struct zstd_location, common.buffers), "32 4k", NULL, "number size",
     "The output buffer's size; weir needs one."},
    {0          },
};

static bool zstd_wanted(const struct web_location *location)
{
    const struct zstd_location *conf = location->conf[WEB_zstd];
    return conf->common.enable;
}

const struct web_module zstd_module = {
    .conf = {.name = "http_zstd",
             .size = {[CONF_AT_LOCATION] = sizeof(struct zstd_location)},
             .rows = rows},
    .head_filter = zstd_head,
    .head_wanted = zstd_wanted,
};
