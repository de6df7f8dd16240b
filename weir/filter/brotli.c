/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Module brotli: answers compressed with Brotli for clients that take "br". Beyond nginx; the directives are
 * named as the well-known add-on names them.
 *
 * brotli, brotli_types, brotli_min_length, brotli_comp_level, brotli_window, brotli_buffers; $brotli_ratio.
 */

#include "libweir/base/err.h"
#include "weir/filter/compress.h"

#include <brotli/encode.h>
#include <errno.h>

struct brotli_location {
    struct compress_conf common;
    int64_t level;
    uint64_t window;
};

/* ---- the coder ---------------------------------------------------------------------------------------- */

static int brotli_run(void *state, struct wr_span *in, enum recode_op op, char *out, size_t cap,
                      size_t *out_n, bool *out_done)
{
    static const BrotliEncoderOperation op_of[] = {[RECODE_RUN] = BROTLI_OPERATION_PROCESS,
                                                   [RECODE_FLUSH] = BROTLI_OPERATION_FLUSH,
                                                   [RECODE_FINISH] = BROTLI_OPERATION_FINISH};
    BrotliEncoderState *b = state;
    const uint8_t *next_in = (const uint8_t *)in->p;
    uint8_t *next_out = (uint8_t *)out;
    size_t avail_in = in->n, avail_out = cap;
    if (!BrotliEncoderCompressStream(b, op_of[op], &avail_in, &next_in, &avail_out, &next_out,
                                     NULL))
        return -EIO;
    *in = wr_span_sub(*in, in->n - avail_in, avail_in);
    *out_n = cap - avail_out;
    *out_done =
        op == RECODE_FINISH ? BrotliEncoderIsFinished(b) : !BrotliEncoderHasMoreOutput(b);
    return 0;
}

static void brotli_close(void *state)
{
    BrotliEncoderDestroyInstance(state);
}

static const struct recode_coder coder = {"brotli", brotli_run, brotli_close};

static int brotli_open(struct web_req *r, const struct compress_conf *common, void **out_state)
{
    const struct brotli_location *conf = (const struct brotli_location *)common;
    BrotliEncoderState *b = BrotliEncoderCreateInstance(NULL, NULL, NULL);
    if (!b)
        return -ENOMEM;
    uint32_t lgwin = (uint32_t)(63 - __builtin_clzll(conf->window));
    while (r->out.length != WEB_LENGTH_UNKNOWN && lgwin > BROTLI_MIN_WINDOW_BITS &&
           r->out.length < UINT64_C(1) << (lgwin - 1))
        lgwin--;
    (void)BrotliEncoderSetParameter(b, BROTLI_PARAM_QUALITY, (uint32_t)conf->level);
    (void)BrotliEncoderSetParameter(b, BROTLI_PARAM_LGWIN, lgwin);
    if (r->out.length != WEB_LENGTH_UNKNOWN && r->out.length <= UINT32_MAX)
        (void)BrotliEncoderSetParameter(b, BROTLI_PARAM_SIZE_HINT, (uint32_t)r->out.length);
    *out_state = b;
    return 0;
}

static const struct compress_kind kind = {
    .module = WEB_brotli, .coding = {"br", 2},
         .coder = &coder, .open = brotli_open
};

static int brotli_head(struct web_req *r)
{
    return compress_head(r, &kind, web_location_conf(r, brotli));
}

/* ---- configuration ------------------------------------------------------------------------------------ */

static int set_window(struct conf_load *load, const struct conf_node *node,
                      const struct conf_row *row, void *field)
{
    int rc = conf_set_size(load, node, row, field);
    if (rc)
        return rc;
    uint64_t n = *(uint64_t *)field;
    if (n < 1024 || n > 16 << 20 || n & (n - 1))
        return conf_fail(load, node, 1, "must be a power of two between 1k and 16m");
    return 0;
}

static const struct conf_range levels = {0, 11};

static const struct conf_row rows[] = {
    {"brotli",                          CONF_HSL | CONF_IF_LOCATION, 1, 1, 0, CONF_AT_LOCATION, conf_set_flag,
     CONF_FIELD(struct brotli_location, common.enable), "off", NULL, "on | off",
     "Compresses answers with Brotli."},
    {"brotli_types",                                CONF_HSL, 1, CONF_MANY, CONF_TWICE, CONF_AT_LOCATION, web_set_types,
     CONF_FIELD(struct brotli_location, common.types), "text/html", "text/html",
     "mime-type ...", "The media types that are compressed, in addition to text/html; * is every one."},
    {"brotli_min_length",                                CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, conf_set_size,
     CONF_FIELD(struct brotli_location, common.min_length), "20", NULL, "length",
     "Shorter answers, by their Content-Length, are left as they are."},
    {"brotli_comp_level",                    CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, conf_set_num,
     CONF_FIELD(struct brotli_location, level), "6", &levels, "0..11",
     "How hard Brotli tries."},
    {"brotli_window",                   CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, set_window,
     CONF_FIELD(struct brotli_location, window), "512k", NULL, "size",
     "How far Brotli looks back; shorter answers take less."},
    {"brotli_buffers",                             CONF_HSL, 2, 2, 0, CONF_AT_LOCATION, conf_set_bufs,
     CONF_FIELD(struct brotli_location, common.buffers), "32 4k", NULL, "number size",
     "The output buffer's size; weir needs one."},
    {0},
};

static bool brotli_wanted(const struct web_location *location)
{
    const struct brotli_location *conf = location->conf[WEB_brotli];
    return conf->common.enable;
}

const struct web_module brotli_module = {
    .conf = {.name = "http_brotli",
             .size = {[CONF_AT_LOCATION] = sizeof(struct brotli_location)},
             .rows = rows},
    .head_filter = brotli_head,
    .head_wanted = brotli_wanted,
};
