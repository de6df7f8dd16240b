/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WEB_LOGS_H
#define WEB_LOGS_H

/*
 * The logs of a configuration: error_log, access_log, log_format, and what the processes need of them.
 *
 * While directives are applied each log that is named becomes a destination. Before the workers of a
 * generation are forked the master enters them into the table that it shares with the logger
 * (libweir/io/log_sinks.h), which gives each its channel. A worker forms whole lines and puts them into its
 * ring; nobody but the logger opens a file.
 *
 * 1. The same log has the same channel in every generation, so old workers' lines go where they should.
 * 2. Writing a line never waits and never fails the request: no room is a drop, counted and told.
 * 3. What comes from outside is escaped, in the error log too: a line is a line.
 *
 * Destinations belong to the generation. Master and workers only.
 */

#include "libweir/io/log.h"
#include "libweir/io/log_sinks.h"
#include "libweir/io/logger.h"
#include "weir/web/web.h"

/* ---- for the master ----------------------------------------------------------------------------------- */

/* Gives every log of a generation its channel; the first error_log of the main context becomes the main
 * sink, and without one `main` does (-e; NULL: sink 0 of the logger's options stays what it is).
 * 0, or -ENOSPC: more logs than the table holds. */
WR_MUST int web_logs_register(struct web_generation *g, struct wr_log_sinks *sinks,
                              const char *main);
/* The level of error_log in the main context: for wr_log_set_level in all processes. */
enum wr_log_level web_logs_level(const struct web_generation *g);
/* For wr_logger_options: the shape of the error log's lines, and gzip. */
size_t web_logs_line(char *out, size_t n, const struct wr_log_record *record);
extern const struct wr_logger_packer web_logs_packer;

/* ---- for who has a connection but no request ------------------------------------------------------------ */

/* Is anybody interested? Before costly arguments. */
bool web_error_wanted(const struct web_req *r, int level);
bool web_server_error_wanted(const struct web_server *s, int level);
/* As web_error; the line names the client and the server that listens. `log` is the worker's. */
WR_PRINTF(6, 7)
void web_conn_error(const struct web_conn *c, struct wr_log *log, uint64_t wall_ns, int level,
                    int err, const char *fmt, ...);

/* The same for what a server does on its own account, such as asking for its certificate's status. */
WR_PRINTF(5, 6)
void web_server_error(const struct web_server *s, struct wr_log *log, uint64_t wall_ns,
                      int level, const char *fmt, ...);

#endif
