/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Module gzip: answers compressed on the fly for clients that take it.
 *
 * gzip, gzip_types, gzip_min_length, gzip_comp_level, gzip_buffers, gzip_window, gzip_hash, gzip_no_buffer,
 * postpone_gzipping; $gzip_ratio. Which clients: module encoding.
 */

#include "libweir/base/err.h"
#include "weir/filter/compress.h"

#include <errno.h>
#include <string.h>
#include <zlib.h>

struct gzip_location {
    struct compress_conf common;
    int64_t level;
    uint64_t window, hash, postpone;
    bool no_buffer;
};

/* ---- the coder ---------------------------------------------------------------------------------------- */

static int gzip_run(void *state, struct wr_span *in, enum recode_op op, char *out, size_t cap,
                    size_t *out_n, bool *out_done)
{
    static const int flush_of[] = {
        [RECODE_RUN] = Z_NO_FLUSH, [RECODE_FLUSH] = Z_SYNC_FLUSH, [RECODE_FINISH] = Z_FINISH};
    z_stream *z = state;
    z->next_in = (unsigned char *)(uintptr_t)in->p;
    z->avail_in = (unsigned)in->n;
    z->next_out = (unsigned char *)out;
    z->avail_out = (unsigned)cap;
    int rc = deflate(z, flush_of[op]);
    *in = wr_span_sub(*in, in->n - z->avail_in, z->avail_in);
    *out_n = cap - z->avail_out;
    *out_done = op == RECODE_FINISH ? rc == Z_STREAM_END : z->avail_out > 0;
    return rc == Z_OK || rc == Z_STREAM_END || rc == Z_BUF_ERROR ? 0 : -EIO;
}

static void gzip_close(void *state)
{
    (void)deflateEnd(state);
}

static const struct recode_coder coder = {"deflate()", gzip_run, gzip_close};

/* A short answer needs no 256 KiB to be compressed in. */
static void gzip_fit(uint64_t length, int *wbits, int *memlevel)
{
    while (length != WEB_LENGTH_UNKNOWN && *wbits > 9 &&
           length < (UINT64_C(1) << *wbits) - 262) {
        (*wbits)--;
        if (*memlevel > 1)
            (*memlevel)--;
    }
}

static int log2_of(uint64_t n)
{
    return n < 2 ? 0 : 63 - __builtin_clzll(n);
}

static int gzip_open(struct web_req *r, const struct compress_conf *common, void **out_state)
{
    const struct gzip_location *conf = (const struct gzip_location *)common;
    z_stream *z = wr_arena_zalloc(r->arena, sizeof *z);
    if (!z)
        return -ENOMEM;
    int wbits = log2_of(conf->window), memlevel = log2_of(conf->hash) - 7;
    gzip_fit(r->out.length, &wbits, &memlevel);
    if (deflateInit2(z, (int)conf->level, Z_DEFLATED, wbits + 16, memlevel,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return -ENOMEM;
    *out_state = z;
    return 0;
}

static const struct compress_kind kind = {
    .module = WEB_gzip, .coding = {"gzip", 4},
         .coder = &coder, .open = gzip_open
};

static int gzip_head(struct web_req *r)
{
    return compress_head(r, &kind, web_location_conf(r, gzip));
}

/* ---- variables -------------------------------------------------------------------------------------- */

static int get_ratio(struct web_req *r, const struct web_var *v, struct wr_span rest,
                     struct web_val *out)
{
    (void)v;
    (void)rest;
    const struct recode *c = r->main->ctx[WEB_gzip];
    if (!c || c->bytes_out == 0)
        return 0;
    uint64_t hundredths = (c->bytes_in * 1000 / c->bytes_out + 5) / 10;
    char *text =
        wr_arena_printf(r->arena, "%llu.%02llu", (unsigned long long)(hundredths / 100),
                        (unsigned long long)(hundredths % 100));
    if (!text)
        return -ENOMEM;
    out->text = wr_span_str(text);
    out->found = true;
    return 0;
}

/* ---- configuration ------------------------------------------------------------------------------------ */

static int set_power(struct conf_load *load, const struct conf_node *node,
                     const struct conf_row *row, void *field)
{
    const struct conf_range *range = row->data;
    int rc = conf_set_size(load, node, row, field);
    if (rc)
        return rc;
    uint64_t n = *(uint64_t *)field;
    if (n < (uint64_t)range->min || n > (uint64_t)range->max || n & (n - 1))
        return conf_fail(load, node, 1, "must be a power of two between %lldk and %lldk",
                         (long long)range->min / 1024, (long long)range->max / 1024);
    return 0;
}

static const struct conf_range levels = {1, 9};
static const struct conf_range windows = {512, 32768};
static const struct conf_range hashes = {512, 131072};

static const struct conf_row rows[] = {
    {"gzip",                          CONF_HSL | CONF_IF_LOCATION, 1, 1, 0, CONF_AT_LOCATION, conf_set_flag,
     CONF_FIELD(struct gzip_location, common.enable), "off", NULL, "on | off",
     "Compresses answers with gzip."},
    {"gzip_types",                              CONF_HSL, 1, CONF_MANY, CONF_TWICE, CONF_AT_LOCATION, web_set_types,
     CONF_FIELD(struct gzip_location, common.types), "text/html", "text/html", "mime-type ...",
     "The media types that are compressed, in addition to text/html; * is every one."},
    {"gzip_min_length",                              CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, conf_set_size,
     CONF_FIELD(struct gzip_location, common.min_length), "20", NULL, "length",
     "Shorter answers, by their Content-Length, are left as they are."},
    {"gzip_comp_level",                  CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, conf_set_num,
     CONF_FIELD(struct gzip_location, level), "1", &levels, "1..9", "How hard gzip tries."},
    {"gzip_buffers",                 CONF_HSL, 2, 2, 0, CONF_AT_LOCATION, conf_set_bufs,
     CONF_FIELD(struct gzip_location, common.buffers), "32 4k", NULL, "number size",
     "The output buffer's size; weir needs one."},
    {"gzip_window",                           CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, set_power,
     CONF_FIELD(struct gzip_location, window), "32k", &windows, "size",
     "How far gzip looks back."},
    {"gzip_hash", CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, set_power,
     CONF_FIELD(struct gzip_location, hash), "64k", &hashes, "size",
     "Memory for gzip's hash of what it has seen."},
    {"postpone_gzipping",                    CONF_HSL, 1, 1, CONF_NOTE, CONF_AT_LOCATION, conf_set_size,
     CONF_FIELD(struct gzip_location, postpone), "0", NULL, "size",
     "Accepted; compression begins with the first bytes."},
    {"gzip_no_buffer",                              CONF_HSL, 1, 1, CONF_NOTE, CONF_AT_LOCATION, conf_set_flag,
     CONF_FIELD(struct gzip_location, no_buffer), "off", NULL, "on | off",
     "Accepted; output leaves when a buffer is full or the handler flushes."},
    {0                    },
};

static bool gzip_wanted(const struct web_location *location)
{
    const struct gzip_location *conf = location->conf[WEB_gzip];
    return conf->common.enable;
}

static const struct web_var variables[] = {
    {"gzip_ratio", get_ratio, NULL, WEB_VAR_NO_CACHE, 0},
    {0       },
};

const struct web_module gzip_module = {
    .conf = {.name = "http_gzip",
             .size = {[CONF_AT_LOCATION] = sizeof(struct gzip_location)},
             .rows = rows},
    .head_filter = gzip_head,
    .head_wanted = gzip_wanted,
    .variables = variables,
};
