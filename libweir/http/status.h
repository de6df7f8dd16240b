/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_HTTP_STATUS_H
#define WR_HTTP_STATUS_H

/* Status codes with their phrases, from status.def. */

#include "libweir/base/span.h"

enum wr_status {
#define X(code, name, text) WR_STATUS_##name = (code),
#include "libweir/http/status.def"
#undef X
};

struct wr_span wr_status_text(int status); /* "Not Found"; "Unknown" for what the table lacks */
struct wr_span
wr_status_line(int status); /* "HTTP/1.1 404 Not Found\r\n"; empty when unknown */

/* 1xx, 204 and 304 never have a body. */
static inline bool wr_status_has_body(int status)
{
    return status >= 200 && status != 204 && status != 304;
}

#endif
