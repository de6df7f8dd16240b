/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CMD_OUT_H
#define CMD_OUT_H

/*
 * What commands print: whole texts to a descriptor, 1 or 2. A text longer than OUT_TEXT is cut; out_span takes any
 * length. A reader that has gone is no reason to fail.
 */

#include "libweir/base/compiler.h"
#include "libweir/base/span.h"

#define OUT_TEXT 4096

WR_PRINTF(2, 3)
void out_print(int fd, const char *fmt, ...);
void out_span(int fd, struct wr_span text);

#endif
