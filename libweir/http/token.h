/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_HTTP_TOKEN_H
#define WR_HTTP_TOKEN_H

/*
 * The small grammar of field values: tokens, comma lists, parameters, entity tags.
 *
 * 1. Lists are taken strictly: elements are separated by a comma with optional blanks; empty elements
 *    are skipped, as RFC 9110 asks of a recipient, but no more than 32 in a row.
 * 2. Nothing allocates; elements are spans into the value.
 */

#include "libweir/base/span.h"

/* tchar of RFC 9110. */
bool wr_is_token(struct wr_span s); /* non-empty and tokens only */
bool wr_is_token_char(unsigned char c);

/* Decimal digits only, at most 2^63-1. 0, WR_E_SYNTAX, WR_E_RANGE. */
WR_MUST int wr_digits(struct wr_span s, uint64_t *out);

/* A field value may hold it: no control byte but HTAB. */
bool wr_is_field_value(struct wr_span s);

/* Cuts the next non-empty element off *rest, blanks removed, commas inside quotes respected. 1: *out is
 * it, 0: the list is exhausted, WR_E_SYNTAX: unbalanced quote or too many empty elements. */
WR_MUST int wr_list_next(struct wr_span *rest, struct wr_span *out);

/* 1 when the list has that token (ASCII case folded), 0 when not, WR_E_SYNTAX when any element is no
 * token (the whole list is judged before the answer). */
WR_MUST int wr_token_list_has(struct wr_span list, struct wr_span token);

/* "name=value" behind ';': cuts the next one off *rest. A quoted value comes without its quotes and
 * with its escapes; *out_value is empty without '='. 1, 0 at the end, WR_E_SYNTAX. */
WR_MUST int wr_param_next(struct wr_span *rest, struct wr_span *out_name,
                          struct wr_span *out_value);

/* Entity tags: "x" or W/"x". */
bool wr_is_etag(struct wr_span s);
bool wr_etag_eq_strong(struct wr_span a, struct wr_span b);
bool wr_etag_eq_weak(struct wr_span a, struct wr_span b);

/* If-Match (strong) and If-None-Match (weak): 1 when the list is "*" or has the tag, 0 when not,
 * WR_E_SYNTAX when the list is malformed. An empty etag (no representation) matches nothing, not "*". */
WR_MUST int wr_etag_list_match(struct wr_span list, struct wr_span etag, bool weak);

#endif
