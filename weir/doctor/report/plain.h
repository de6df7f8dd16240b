/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DOCTOR_PLAIN_H
#define DOCTOR_PLAIN_H

/*
 * Text for a terminal: names and paths come from processes that may be hostile, and a report in Chinese has to be
 * broken by columns, not bytes.
 *
 * plain_put prints printable UTF-8 as it is and everything else (controls, escapes, broken bytes, marks that turn
 * the direction of writing) as \xNN. A backslash becomes two, so that nothing can pretend to be an escape.
 */

#include "libweir/base/span.h"

#include <stdint.h>

struct stats_text;

/* The code point at *at, which moves on; -1 and one byte further where the bytes are no UTF-8. */
int32_t plain_next(struct wr_span s, size_t *at);
bool plain_printable(int32_t point);
/* Columns on a terminal: 0, 1 or 2. */
unsigned plain_columns(int32_t point);
/* No line may begin with it. */
bool plain_closes(int32_t point);

void plain_put(struct stats_text *out, struct wr_span s);

#endif
