/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_BASE_ERR_H
#define WR_BASE_ERR_H

/*
 * One kind of error in the whole library: an int that is 0 or negative. It is either -errno or one of
 * err.def's codes (-2000 and below). Text, stage and remedy come from the same table.
 */

enum wr_err {
#define X(name, code, stage, text, fix) WR_E_##name = (code),
#include "libweir/base/err.def"
#undef X
};

/* All return static strings and accept any int. For an errno: the C library's text. */
const char *wr_err_name(int err); /* "WR_E_BUDGET", "EAGAIN", "E?" when unknown */
const char *wr_err_text(int err);
const char *wr_err_stage(int err); /* "" when it depends on the caller */
const char *wr_err_fix(int err);   /* "" when there is nothing to say */

#endif
