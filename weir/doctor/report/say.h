/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DOCTOR_SAY_H
#define DOCTOR_SAY_H

/*
 * How the doctor's commands speak: whole texts to standard output, one line of complaint to standard error, and what
 * the terminal is like.
 */

#include "libweir/base/compiler.h"
#include "libweir/base/span.h"

#include <stdbool.h>

/* All of it; a reader that is slow is waited for. Negative: the reader has gone. */
int say(int fd, struct wr_span text);
/* "weir COMMAND: text" and a newline, on standard error; what is hostile in it is escaped. */
WR_PRINTF(2, 3) void say_error(const char *command, const char *fmt, ...);

/* Of the environment; "" where it is not set. */
const char *say_environment(const char *name);
/* Columns of the terminal behind fd: its own word, else COLUMNS, else 80; files and pipes: 80 as well. */
unsigned say_width(int fd);
/* A terminal, and neither NO_COLOR nor a dumb one. */
bool say_colour(int fd);

#endif
