/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Module zstd_static: FILE.zst in place of FILE for clients that take zstd.
 *
 * zstd_static.
 */

#include "weir/content/precompressed.h"

struct zstd_static_location {
    int mode;
};

static const struct precompressed kind = {
    .suffix = {".zst", 4},
      .coding = {"zstd", 4}
};

/* ---- run time ------------------------------------------------------------------------------------------- */

static int zstd_static_handler(struct web_req *r)
{
    const struct zstd_static_location *conf = web_location_conf(r, zstd_static);
    return precompressed_send(r, conf->mode, &kind);
}

static bool zstd_static_wanted(const struct web_location *location)
{
    const struct zstd_static_location *conf = location->conf[WEB_zstd_static];
    return conf->mode != PRECOMPRESSED_OFF;
}

/* ---- configuration ------------------------------------------------------------------------------------ */

static const struct conf_row rows[] = {
    {"zstd_static", CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, conf_set_enum,
     CONF_FIELD(struct zstd_static_location, mode), "off", precompressed_modes,
     "on | off | always", "Sends FILE.zst in place of FILE to clients that take Zstandard, or to all."},
    {0           },
};

static const struct web_phase_row phases[] = {
    {WEB_CONTENT,         zstd_static_handler, zstd_static_wanted},
    {0},
};

const struct web_module zstd_static_module = {
    .conf = {.name = "http_zstd_static",
             .size = {[CONF_AT_LOCATION] = sizeof(struct zstd_static_location)},
             .rows = rows},
    .phases = phases,
};
