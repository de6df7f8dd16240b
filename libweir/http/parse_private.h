/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_HTTP_PARSE_PRIVATE_H
#define WR_HTTP_PARSE_PRIVATE_H

/*
 * Between parse.c, which reads the lines of a head, and parse_judge.c, which says what they mean together:
 * where the body ends, whose host it is, what becomes of the connection. Nobody else includes it.
 */

#include "libweir/http/parse.h"

/* The head is whole and head->size known. False: refused, as p->refusal says. */
WR_MUST bool wr_parse_judge_(struct wr_parse *p);

#endif
