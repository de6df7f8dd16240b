/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WEB_ENCODING_H
#define WEB_ENCODING_H

/*
 * Content encodings: which media types a filter is for, and whether this client may be given gzip, br, zstd.
 *
 * A set of media types is a directive's arguments (gzip_types ...), looked up by the answer's type without
 * its parameters. Whether a client takes an encoding is said by Accept-Encoding, and then by
 * gzip_http_version, gzip_proxied, gzip_disable, which hold for every encoding; the module `encoding`
 * brings those directives and gzip_vary.
 *
 * 1. Nothing is accepted for a client that did not name it, "*" included.
 * 2. Vary is added at most once to an answer.
 *
 * For filters and for handlers of precompressed files.
 */

#include "weir/web/web.h"

struct web_types {
    const struct wr_span *list; /* lower case */
    uint32_t n;
    bool any; /* "*" */
};
/* Field: struct web_types. row->data: a type that is in the set whatever is given, or NULL. */
conf_setter web_set_types;
bool web_types_has(const struct web_types *types, struct wr_span type);

/* May this answer go out in that coding ("gzip")? Looks at the request and, behind a proxy, at r->out. */
bool web_encoding_accepted(struct web_req *r, struct wr_span coding);
/* The answer depends on Accept-Encoding: says so where gzip_vary is on. */
WR_MUST int web_encoding_vary(struct web_req *r);
bool web_encoding_varies(const struct web_req *r); /* is gzip_vary on? */
/* Is the answer's encoding this one? */
static inline bool web_encoded_as(const struct web_req *r, struct wr_span coding)
{
    return wr_span_eq(r->out.encoding, coding);
}

#endif
