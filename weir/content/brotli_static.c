/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Module brotli_static: FILE.br in place of FILE for clients that take br.
 *
 * brotli_static.
 */

#include "weir/content/precompressed.h"

struct brotli_static_location {
    int mode;
};

static const struct precompressed kind = {
    .suffix = {".br", 3},
      .coding = {"br",  2}
};

/* ---- run time ------------------------------------------------------------------------------------------- */

static int brotli_static_handler(struct web_req *r)
{
    const struct brotli_static_location *conf = web_location_conf(r, brotli_static);
    return precompressed_send(r, conf->mode, &kind);
}

static bool brotli_static_wanted(const struct web_location *location)
{
    const struct brotli_static_location *conf = location->conf[WEB_brotli_static];
    return conf->mode != PRECOMPRESSED_OFF;
}

/* ---- configuration ------------------------------------------------------------------------------------ */

static const struct conf_row rows[] = {
    {"brotli_static", CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, conf_set_enum,
     CONF_FIELD(struct brotli_static_location, mode), "off", precompressed_modes,
     "on | off | always", "Sends FILE.br in place of FILE to clients that take Brotli, or to all."},
    {0             },
};

static const struct web_phase_row phases[] = {
    {WEB_CONTENT,           brotli_static_handler, brotli_static_wanted},
    {0},
};

const struct web_module brotli_static_module = {
    .conf = {.name = "http_brotli_static",
             .size = {[CONF_AT_LOCATION] = sizeof(struct brotli_static_location)},
             .rows = rows},
    .phases = phases,
};
