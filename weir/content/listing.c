/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/content/listing.h"

#include "libweir/os/os.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define COLUMNS 50 /* of a name in HTML */

static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

/* ---- a cursor with a sticky error --------------------------------------------------------------------------- */

struct text {
    struct wr_buf *buf;
    int err;
};

static void put(struct text *t, const char *p, size_t n)
{
    if (!t->err && n)
        t->err = wr_buf_put(t->buf, p, n);
}

static void put_str(struct text *t, const char *s)
{
    put(t, s, strlen(s));
}

static void put_html(struct text *t, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        switch (p[i]) {
        case '<':
            put_str(t, "&lt;");
            break;
        case '>':
            put_str(t, "&gt;");
            break;
        case '&':
            put_str(t, "&amp;");
            break;
        case '"':
            put_str(t, "&quot;");
            break;
        default:
            put(t, &p[i], 1);
            break;
        }
}

static void put_href(struct text *t, const char *p, size_t n)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                     (c >= '0' && c <= '9') || (c && strchr("-._~", c));
        if (plain)
            put(t, &p[i], 1);
        else
            put(t, (const char[]){'%', digits[c >> 4], digits[c & 15]}, 3);
    }
}

static void put_json(struct text *t, const char *p, size_t n)
{
    static const char from[] = "\n\r\t\b\f\"\\", to[] = "nrtbf\"\\";
    char code[8];
    for (size_t i = 0; i < n; i++) {
        const char *known = p[i] ? strchr(from, p[i]) : NULL;
        if (known) {
            put(t, (const char[]){'\\', to[known - from]}, 2);
        } else if ((unsigned char)p[i] < 0x20) {
            (void)snprintf(code, sizeof code, "\\u%04X", (unsigned)p[i]);
            put_str(t, code);
        } else {
            put(t, &p[i], 1);
        }
    }
}

/* ---- HTML ------------------------------------------------------------------------------------------------------ */

/* Characters, of which one may have many bytes; text that is not UTF-8 counts by bytes. */
static size_t char_bytes(const struct listing *l, const char *p, size_t n)
{
    unsigned char c = (unsigned char)*p;
    size_t want = !l->utf8 || c < 0xC2 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : c < 0xF5 ? 4 : 1;
    for (size_t i = 1; i < want; i++)
        if (i >= n || ((unsigned char)p[i] & 0xC0) != 0x80)
            return 1;
    return want;
}

/* Bytes of the first `columns` characters; *out_columns: how many there are in all. */
static size_t cut(const struct listing *l, const struct listing_entry *e, size_t columns,
                  size_t *out_columns)
{
    size_t at = 0, count = 0, bytes = e->n;
    while (at < e->n) {
        if (count == columns)
            bytes = at;
        at += char_bytes(l, e->name + at, e->n - at);
        count++;
    }
    *out_columns = count;
    return bytes;
}

static void put_name(struct text *t, const struct listing *l, const struct listing_entry *e)
{
    static const char blanks[COLUMNS + 1] =
        "                                                  ";
    size_t columns;
    size_t short_n = cut(l, e, COLUMNS - 3, &columns);
    if (columns > COLUMNS) {
        put_html(t, e->name, short_n);
        put_str(t, "..&gt;</a>");
        return;
    }
    put_html(t, e->name, e->n);
    if (e->dir && columns < COLUMNS) {
        put_str(t, "/");
        columns++;
    }
    put_str(t, "</a>");
    put(t, blanks, COLUMNS - columns);
}

static void put_size(struct text *t, const struct listing *l, const struct listing_entry *e)
{
    char out[32];
    uint64_t size = e->size, unit = 0;
    char scale = 0;
    if (l->exact_size) {
        if (e->dir)
            (void)snprintf(out, sizeof out, "%19s", "-");
        else
            (void)snprintf(out, sizeof out, "%19" PRIu64, size);
        put_str(t, out);
        return;
    }
    if (e->dir) {
        put_str(t, "      -");
        return;
    }
    if (size > (1u << 30) - 1)
        unit = 1u << 30, scale = 'G';
    else if (size > (1u << 20) - 1)
        unit = 1u << 20, scale = 'M';
    else if (size > 9999)
        unit = 1u << 10, scale = 'K';
    if (!unit)
        (void)snprintf(out, sizeof out, " %6" PRIu64, size);
    else
        (void)snprintf(out, sizeof out, "%6" PRIu64 "%c",
                       size / unit + (size % unit > unit / 2 - 1), scale);
    put_str(t, out);
}

static void html_entry(struct text *t, const struct listing *l, const struct listing_entry *e)
{
    char date[64];
    struct tm tm;
    put_str(t, "<a href=\"");
    put_href(t, e->name, e->n);
    put_str(t, e->dir ? "/\">" : "\">");
    put_name(t, l, e);
    wr_os_calendar(e->mtime, !l->localtime, &tm);
    (void)snprintf(date, sizeof date, " %02d-%s-%d %02d:%02d ", tm.tm_mday, months[tm.tm_mon],
                   tm.tm_year + 1900, tm.tm_hour, tm.tm_min);
    put_str(t, date);
    put_size(t, l, e);
    put_str(t, "\r\n");
}

/* ---- XML, JSON ------------------------------------------------------------------------------------------------- */

static void xml_entry(struct text *t, const struct listing *l, const struct listing_entry *e)
{
    const char *kind = e->dir ? "directory" : e->file ? "file" : "other";
    char head[128];
    struct tm tm;
    wr_os_calendar(e->mtime, !l->localtime, &tm);
    (void)snprintf(head, sizeof head, "<%s mtime=\"%4d-%02d-%02dT%02d:%02d:%02dZ\"", kind,
                   tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
                   tm.tm_sec);
    put_str(t, head);
    if (e->file) {
        (void)snprintf(head, sizeof head, " size=\"%" PRIu64 "\"", e->size);
        put_str(t, head);
    }
    put_str(t, ">");
    put_html(t, e->name, e->n);
    (void)snprintf(head, sizeof head, "</%s>\r\n", kind);
    put_str(t, head);
}

static void json_entry(struct text *t, const struct listing *l, const struct listing_entry *e)
{
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    char part[96];
    struct tm tm;
    put_str(t, l->written == 0 ? "{ \"name\":\"" : ",\r\n{ \"name\":\"");
    put_json(t, e->name, e->n);
    wr_os_calendar(e->mtime, !l->localtime, &tm);
    (void)snprintf(part, sizeof part,
                   "\", \"type\":\"%s\", \"mtime\":\"%s, %02d %s %d %02d:%02d:%02d GMT\"",
                   e->dir    ? "directory"
                   : e->file ? "file"
                             : "other",
                   days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900,
                   tm.tm_hour, tm.tm_min, tm.tm_sec);
    put_str(t, part);
    if (e->file) {
        (void)snprintf(part, sizeof part, ", \"size\":%" PRIu64, e->size);
        put_str(t, part);
    }
    put_str(t, " }");
}

/* ---- all formats ------------------------------------------------------------------------------------------------ */

static bool before(const struct listing_entry *a, const struct listing_entry *b)
{
    return a->dir != b->dir ? a->dir : strcmp(a->name, b->name) < 0;
}

void listing_push(struct listing *l, struct listing_entry *e)
{
    uint32_t at = l->n++;
    for (uint32_t up; at > 0 && before(e, l->heap[up = (at - 1) / 2]); at = up)
        l->heap[at] = l->heap[up];
    l->heap[at] = e;
}

static const struct listing_entry *pop(struct listing *l)
{
    struct listing_entry *least = l->heap[0], *e = l->heap[--l->n];
    uint32_t at = 0;
    for (uint32_t down; (down = 2 * at + 1) < l->n; at = down) {
        if (down + 1 < l->n && before(l->heap[down + 1], l->heap[down]))
            down++;
        if (!before(l->heap[down], e))
            break;
        l->heap[at] = l->heap[down];
    }
    l->heap[at] = e;
    return least;
}

struct wr_span listing_type(const struct listing *l)
{
    switch (l->format) {
    case LISTING_XML:
        return WR_LIT("text/xml");
    case LISTING_JSON:
        return WR_LIT("application/json");
    case LISTING_JSONP:
        return WR_LIT("application/javascript");
    case LISTING_HTML:
        break;
    }
    return WR_LIT("text/html");
}

int listing_begin(const struct listing *l, struct wr_buf *out)
{
    struct text t = {out, 0};
    switch (l->format) {
    case LISTING_HTML:
        put_str(&t, "<html>\r\n<head><title>Index of ");
        put_html(&t, l->uri.p, l->uri.n);
        put_str(&t, "</title></head>\r\n<body>\r\n<h1>Index of ");
        put_html(&t, l->uri.p, l->uri.n);
        put_str(&t, "</h1><hr><pre><a href=\"../\">../</a>\r\n");
        break;
    case LISTING_XML:
        put_str(&t, "<?xml version=\"1.0\"?>\r\n<list>\r\n");
        break;
    case LISTING_JSONP:
        put_str(&t, "/* callback */\r\n");
        put(&t, l->callback.p, l->callback.n);
        put_str(&t, "([\r\n");
        break;
    case LISTING_JSON:
        put_str(&t, "[\r\n");
        break;
    }
    return t.err;
}

int listing_entry(struct listing *l, struct wr_buf *out)
{
    struct text t = {out, 0};
    const struct listing_entry *e = pop(l);
    if (l->format == LISTING_HTML)
        html_entry(&t, l, e);
    else if (l->format == LISTING_XML)
        xml_entry(&t, l, e);
    else
        json_entry(&t, l, e);
    l->written++;
    return t.err;
}

int listing_end(const struct listing *l, struct wr_buf *out)
{
    struct text t = {out, 0};
    switch (l->format) {
    case LISTING_HTML:
        put_str(&t, "</pre><hr></body>\r\n</html>\r\n");
        break;
    case LISTING_XML:
        put_str(&t, "</list>\r\n");
        break;
    case LISTING_JSONP:
        put_str(&t, l->written ? "\r\n]);" : "]);");
        break;
    case LISTING_JSON:
        put_str(&t, l->written ? "\r\n]" : "]");
        break;
    }
    return t.err;
}
