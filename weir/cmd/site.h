/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CMD_SITE_H
#define CMD_SITE_H

/*
 * Which configuration a command is about: paths made from -p, -c and -g, and messages to standard error in nginx's
 * shape, `weir: [emerg] text` and below it `weir: hint`.
 */

#include "weir/cmd/opt.h"
#include "weir/web/load.h"

#define CMD_PATH 4096

struct cmd_site {
    char prefix[CMD_PATH]; /* with its slash */
    char path[CMD_PATH];   /* of the file, full */
    struct web_source source;
};

/* -ENAMETOOLONG. The site must not move: its source points into it. */
WR_MUST int cmd_site_init(struct cmd_site *site, const struct opt *o);
/* The same for a file named on the command line: relative to where we are, as every command takes its files; it is
 * only looked at. */
WR_MUST int cmd_site_of_file(struct cmd_site *site, struct opt *o, const char *file);
/* Tries what reading alone does not show: pid file, addresses. Says what fails. */
WR_MUST int cmd_site_try(const struct web_config *config);
/* Serves until told to stop; the exit status. */
int cmd_site_run(const struct cmd_site *site, const struct opt *o);

#endif
