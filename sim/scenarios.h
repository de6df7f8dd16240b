/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_SIM_SCENARIOS_H
#define WR_SIM_SCENARIOS_H

/* All scenarios: each is one file, one table row. */

#include "libweir/base/heap.h"
#include "sim/case.h"

extern const struct scenario scenario_bare;
extern const struct scenario scenario_log;
extern const struct scenario scenario_loop;
extern const struct scenario scenario_pool;
extern const struct scenario scenario_http;
extern const struct scenario scenario_resolve;
extern const struct scenario scenario_replace;
extern const struct scenario scenario_orphans;
extern const struct scenario scenario_gateway;
extern const struct scenario scenario_client;
extern const struct scenario scenario_relay;
extern const struct scenario scenario_connect;
extern const struct scenario scenario_serve;
extern const struct scenario scenario_workers;
extern const struct scenario scenario_scarce;

#endif
