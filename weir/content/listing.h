/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CONTENT_LISTING_H
#define CONTENT_LISTING_H

/*
 * The text of a directory's list, in nginx's four formats.
 *
 * listing_push for each name; listing_begin, listing_entry while there are any, listing_end. The names lie in a heap:
 * each takes its place when it is pushed, and the least leaves it when it is written, so that there is no moment at
 * which all of them are sorted. HTML shows names cut to 50 columns; all
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
    uint64_t size;
    int64_t mtime;
    size_t n;
    bool dir, file;
    char name[]; /* NUL-terminated */
};

struct listing {
    struct wr_span uri, callback;
    struct listing_entry **heap; /* the caller's, with room for each that is pushed */
    uint32_t n, written;
    enum listing_format format;
    bool exact_size, localtime, utf8;
};

void listing_push(struct listing *l, struct listing_entry *e);
struct wr_span listing_type(const struct listing *l);
WR_MUST int listing_begin(const struct listing *l, struct wr_buf *out);
/* The next one, of which there is one: directories first, then by bytes. */
WR_MUST int listing_entry(struct listing *l, struct wr_buf *out);
WR_MUST int listing_end(const struct listing *l, struct wr_buf *out);

#endif
