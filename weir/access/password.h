/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ACCESS_PASSWORD_H
#define ACCESS_PASSWORD_H

/*
 * Passwords as password files store them.
 *
 *     {PLAIN}text  {SHA}base64  {SSHA}base64  $apr1$salt$hash  and all that crypt(3) knows:
 *     $1$ $2y$ $5$ $6$ $y$ and the old 13 letters
 *
 * 1. Comparing takes the same time wherever the first difference is.
 * 2. Some formats are slow on purpose (50 ms and more): call it in a thread, never in a loop.
 *
 * Nothing is kept. Any thread.
 */

#include "libweir/base/span.h"

/* 1: it is the password; 0: it is not; negative: the stored text cannot be used. password is
 * NUL-terminated and has no NUL inside. */
WR_MUST int password_check(const char *password, struct wr_span stored);

/* The line of a user in a password file: name:password[:anything]. False: there is none. */
bool password_find(struct wr_span file, struct wr_span user, struct wr_span *out_stored);

#endif
