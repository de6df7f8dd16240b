/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Module gzip_static: FILE.gz in place of FILE for clients that take gzip.
 *
 * gzip_static.
 */

#include "weir/content/precompressed.h"

struct gzip_static_location {
    int mode;
};

static const struct precompressed kind = {
    .suffix = {".gz",  3},
      .coding = {"gzip", 4}
};

/* ---- run time ------------------------------------------------------------------------------------------- */

static int gzip_static_handler(struct web_req *r)
{
    const struct gzip_static_location *conf = web_location_conf(r, gzip_static);
    return precompressed_send(r, conf->mode, &kind);
}

static bool gzip_static_wanted(const struct web_location *location)
{
    const struct gzip_static_location *conf = location->conf[WEB_gzip_static];
    return conf->mode != PRECOMPRESSED_OFF;
}

/* ---- configuration ------------------------------------------------------------------------------------ */

static const struct conf_row rows[] = {
    {"gzip_static", CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, conf_set_enum,
     CONF_FIELD(struct gzip_static_location, mode), "off", precompressed_modes,
     "on | off | always", "Sends FILE.gz in place of FILE to clients that take gzip, or to all."},
    {0           },
};

static const struct web_phase_row phases[] = {
    {WEB_CONTENT,         gzip_static_handler, gzip_static_wanted},
    {0},
};

const struct web_module gzip_static_module = {
    .conf = {.name = "http_gzip_static",
             .size = {[CONF_AT_LOCATION] = sizeof(struct gzip_static_location)},
             .rows = rows},
    .phases = phases,
};
