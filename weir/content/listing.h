/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CONTENT_LISTING_H
#define CONTENT_LISTING_H

/*
 * The text of a directory's list, in nginx's four formats.
 *
 * listing_sort, listing_begin, listing_entry for each, listing_end. HTML shows names cut to 50 columns; all
 * formats escape what a name may hold: markup, quotes, percent, control bytes. Pure: entries in, text out;
 * the time zone is asked for where localtime is set.
 */

#include "weir/content/dir.h"

#include "libweir/base/buf.h"

enum listing_format {
    LISTING_HTML,
    LISTING_XML,
    LISTING_JSON,
    LISTING_JSONP
};

struct listing_entry {
    const char *name; /* NUL-terminated */
    size_t n;
    uint64_t size;
    int64_t mtime;
    bool dir, file;
};

struct listing {
    struct wr_span uri, callback;
    struct listing_entry *entries;
    uint32_t n;
    enum listing_format format;
    bool exact_size, localtime, utf8;
};

void listing_sort(struct listing *l); /* directories first, then by bytes */
struct wr_span listing_type(const struct listing *l);
WR_MUST int listing_begin(const struct listing *l, struct wr_buf *out);
WR_MUST int listing_entry(const struct listing *l, uint32_t i, struct wr_buf *out);
WR_MUST int listing_end(const struct listing *l, struct wr_buf *out);

#endif
