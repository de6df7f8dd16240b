/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_IO_LOG_TEXT_H
#define WR_IO_LOG_TEXT_H

/*
 * Text of log lines: escaping, the formatter of log.h, time stamps. Nothing here makes a system call,
 * allocates, or writes behind the room it was given.
 *
 * 1. Whatever the input, the output is printable ASCII on one line.
 * 2. Text that does not fit is cut between characters, never inside an escape.
 */

#include "libweir/base/compiler.h"
#include "libweir/base/span.h"

#include <stdarg.h>

struct wr_log_record;

/* A value: as it is when it is plain, otherwise in quotes with \xHH for '"', '\\', controls and
 * non-ASCII. A value with a space or '=' is quoted, an empty one is "". Returns the bytes written. */
size_t wr_log_value(char *out, size_t n, struct wr_span value);
/* The bytes of an access-log field: the same escapes, no quotes. */
size_t wr_log_escape(char *out, size_t n, struct wr_span value);
/* The inverse of both. Returns the length, or -EPROTO when it is not such a text. */
int wr_log_unescape(char *out, size_t n, struct wr_span text) WR_MUST;

/* printf's d i u x X c s p with h l ll z j t, width and '0', precision of strings; every %s and %c is a
 * value as above. Returns the bytes written, at most n. */
size_t wr_log_vformat(char *out, size_t n, const char *fmt, va_list ap);
WR_PRINTF(3, 4) size_t wr_log_format(char *out, size_t n, const char *fmt, ...);

/* "2026-11-21T07:26:11.123456Z" */
#define WR_LOG_TIME_SIZE 27
void wr_log_time(char out[static WR_LOG_TIME_SIZE], uint64_t real_ns);
/* The line that the logger writes: time, level, pid, text, newline. Returns its length, at most n. */
size_t wr_log_line(char *out, size_t n, const struct wr_log_record *record);

#endif
