/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef MASTER_DIRECTIVES_H
#define MASTER_DIRECTIVES_H

/*
 * The module `master`: directives of the main context that nginx does not have. What nginx has there (user,
 * worker_processes ...) is core's (web/core.h).
 */

#include "weir/web/web.h"

struct master_conf {
    int sandbox; /* enum sandbox_mode */
    struct conf_texts sandbox_read, sandbox_write;
    struct wr_span admin; /* "unix:path", "127.0.0.1:port", "off"; empty: beside the pid file */
    struct wr_span postmortem;   /* directory; empty: that of the pid file; "off" */
    uint64_t worker_memory;      /* UINT64_MAX: no limit */
    uint64_t worker_watchdog_ms; /* UINT64_MAX: off */
};

extern const struct web_module master_module;

#endif
