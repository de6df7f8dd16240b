/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef MASTER_MASTER_H
#define MASTER_MASTER_H

/*
 * The master: holds the listening sockets, starts the workers of a configuration, and does what signals ask.
 *
 *   master ---- logger           writes the logs
 *     |-------- watch            metrics and status, from shared memory
 *     |-------- worker x N       a crew: the workers of one configuration
 *     `-------- worker x N       the crew before it, leaving
 *
 *   HUP   loads the file again; a new crew serves before the old one is told to leave; a bad file changes nothing
 *   QUIT  every connection is finished first    TERM, INT  at once
 *   USR1  logs are opened anew                  USR2       the program file is started as the next master
 *   WINCH the crew leaves, the master stays (HUP brings a crew back)
 *
 * 1. A listening socket is open from the first configuration that names its address to the last one; no crew
 *    owns one.
 * 2. The master reads no byte from the network and waits for nobody: not for workers, the logger or the watch.
 * 3. A worker that ends unasked is replaced; one that stands still is named, then ended, then replaced.
 * 4. With `master_process off` one process serves; it is its own crew.
 *
 * Called once, single-threaded, from main.
 */

#include "weir/web/load.h"

struct master_options {
    const struct web_source *source; /* where the configuration comes from; outlives the call */
    const char *version;
    const char *error_log; /* -e; NULL: what the configuration says, or standard error */
    bool quiet;
};

/* Loads, serves, and returns the exit status; with `daemon on` it returns in the foreground when the server
 * in the background is ready, or has failed. */
int master_run(const struct master_options *options);

#endif
