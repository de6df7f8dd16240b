/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_BASE_BASE64_H
#define WR_BASE_BASE64_H

/*
 * Base64 (RFC 4648), the plain alphabet and the one for URLs, read.
 *
 * Digits up to the first '=' or the end; what follows may only be '='. A last group of one digit carries
 * no byte and is refused; bits that no byte takes are not looked at.
 */

#include "libweir/base/compiler.h"
#include "libweir/base/span.h"

#include <stdbool.h>

/* The value of a digit, or -1. */
int wr_base64_digit(char c, bool url);
/* Into out, which holds 3 * text.n / 4 + 1 bytes: 0, or WR_E_SYNTAX with out in any state. */
WR_MUST int wr_base64_decode(struct wr_span text, bool url, char *out, size_t *out_n);

#endif
