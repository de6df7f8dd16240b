/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Refusals that take their time: auth_delay.
 *
 *     auth_delay 2s;
 *
 * A 401 of auth_basic or auth_request is held back for so long, whatever was wrong, so that its time tells
 * nothing and guessing is slow.
 */
#include "weir/access/delay.h"

/* ---- configuration ------------------------------------------------------------------------------------ */

struct location_conf {
    uint64_t ms;
};

/* ---- run time ----------------------------------------------------------------------------------------- */

int access_unauthorized(struct web_req *r)
{
    const struct location_conf *conf = web_location_conf(r, auth_delay);
    return conf->ms ? access_delay(r, conf->ms, 401) : 401;
}

/* ---- setters ------------------------------------------------------------------------------------------ */

/* conf_set_msec is all it takes. */

/* ---- tables ------------------------------------------------------------------------------------------- */

static const struct conf_row rows[] = {
    {"auth_delay", CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, conf_set_msec,
     CONF_FIELD(struct location_conf, ms), "0", NULL, "time",
     "Holds back answers with 401 for that time."},
    {0          },
};

/* ---- the module --------------------------------------------------------------------------------------- */

const struct web_module auth_delay_module = {
    .conf = {.name = "http_auth_delay",
             .size = {[CONF_AT_LOCATION] = sizeof(struct location_conf)},
             .rows = rows},
};
