/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DOCTOR_RECORD_H
#define DOCTOR_RECORD_H

/*
 * The facts of an examination as a text file and back: for a colleague, for a test, for "why last night".
 *
 *   weir-facts 1
 *   look a at_ns=.. took_ns=.. ...
 *   !socket cookie inode proto ...      names the columns of the rows that follow
 *   socket 4711 38174 6 ...
 *   counter ListenDrops@TcpExt 17
 *   look b ...
 *   glance at_ns=..
 *   thread ...
 *   end
 *
 * 1. Rows are lines of words between single blanks, one column a field, by the names that the file itself gives:
 *    a reader skips columns and lines it does not know and leaves at 0 what the file lacks.
 * 2. Text is escaped (%XX) down to printable ASCII without blanks; an empty text is "-".
 * 3. What was written comes back equal, row for row; a damaged file is refused with the number of the line.
 *
 * The caller does the reading and the writing of files.
 */

#include "weir/doctor/look/facts.h"

/* Gets the file in pieces; a negative result ends the writing and is its result. */
typedef int record_out_fn(void *arg, struct wr_span piece);

WR_MUST int record_write(const struct facts *f, record_out_fn *fn, void *arg);
/* Into *out, initialised and empty; both looks are sealed. -EPROTO with *out_line, -ENOMEM, -E2BIG. */
WR_MUST int record_read(struct wr_span text, struct facts *out, unsigned *out_line);

#endif
