/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CMD_CHECK_SITE_H
#define CMD_CHECK_SITE_H

/* Rules about addresses and the servers on them; rows of check_rules. */

#include "weir/cmd/check.h"

void check_same_names(struct check *c, const struct conf_node *nodes);
void check_default_server(struct check *c, const struct conf_node *nodes);
void check_listen_ssl(struct check *c, const struct conf_node *node);
void check_backlog(struct check *c, const struct conf_node *node);

#endif
