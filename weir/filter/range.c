/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Range requests: 206 with a part, multipart/byteranges with several, 416.
 *
 *     max_ranges number;
 *
 * Works on a 200 of known length whose handler allows ranges. The head filter reads Range and If-Range and
 * plans what leaves: for each part a heading (multipart only) and a stretch of the body. The body filter
 * cuts the pieces that pass: parts that ascend are cut from any stream of pieces, others only from a body
 * that is one piece, as a file is. More parts than the body has bytes are answered with the whole.
 */
#include "weir/web/web.h"

#include "libweir/io/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

/* Enough for every reader of documents; a request that asks for more gets the whole. */
#define PARTS_MAX 512

struct location_conf {
    uint64_t max;
};

struct part {
    uint64_t from, to; /* to: behind the last byte */
    struct wr_span heading;
};

struct range_filter {
    struct web_filter f;
    uint64_t at; /* offset of the next piece's first byte */
    uint32_t n, now;
    bool ascending, headed, done;
    struct wr_span tail;
    struct part parts[];
};

/* ---- reading the request ------------------------------------------------------------------------------ */

enum verdict {
    WHOLE,
    PARTS,
    UNSATISFIABLE
};

struct reader {
    const char *at, *end;
};

static void skip_blanks(struct reader *in)
{
    while (in->at < in->end && *in->at == ' ')
        in->at++;
}

/* At least one digit, no more than fit. */
static bool read_number(struct reader *in, uint64_t *out)
{
    uint64_t v = 0;
    const char *start = in->at;
    for (; in->at < in->end && *in->at >= '0' && *in->at <= '9'; in->at++) {
        uint64_t digit = (uint64_t)(*in->at - '0');
        if (v > (INT64_MAX - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    *out = v;
    return in->at > start;
}

/* "a-b", "a-", "-n", clipped to the size; from >= to: not satisfiable. */
static bool read_part(struct reader *in, uint64_t size, struct part *out)
{
    uint64_t from = 0, last;
    skip_blanks(in);
    bool suffix = in->at < in->end && *in->at == '-';
    if (!suffix && !read_number(in, &from))
        return false;
    skip_blanks(in);
    if (in->at == in->end || *in->at++ != '-')
        return false;
    if (!suffix)
        skip_blanks(in);
    if (!suffix && (in->at == in->end || *in->at == ',')) {
        *out = (struct part){.from = from, .to = size};
        return true;
    }
    if (!read_number(in, &last))
        return false;
    skip_blanks(in);
    if (suffix)
        *out = (struct part){.from = last < size ? size - last : 0, .to = size};
    else
        *out = (struct part){.from = from, .to = last >= size ? size : last + 1};
    return in->at == in->end || *in->at == ',';
}

static enum verdict read_ranges(struct wr_span text, uint64_t size, uint64_t max,
                                struct part *parts, uint32_t *out_n)
{
    struct reader in = {text.p, text.p + text.n};
    uint64_t sum = 0;
    uint32_t n = 0;
    for (;; in.at++) {
        struct part part;
        if (!read_part(&in, size, &part))
            return UNSATISFIABLE;
        if (part.from < part.to) {
            if (n == max || n == PARTS_MAX)
                return WHOLE;
            sum += part.to - part.from;
            parts[n++] = part;
        } else if (part.from == 0) {
            return WHOLE; /* an empty representation has no parts to want */
        }
        if (in.at == in.end)
            break;
    }
    *out_n = n;
    return n == 0 ? UNSATISFIABLE : sum > size ? WHOLE : PARTS;
}

/* If-Range holds, or is not there. */
static bool unchanged(struct web_req *r)
{
    struct wr_span value = wr_head_get(r->head, WR_H_IF_RANGE);
    if (!wr_head_has(r->head, WR_H_IF_RANGE))
        return true;
    if (value.n >= 2 && value.p[value.n - 1] == '"')
        return r->out.etag.n > 0 && wr_span_eq(value, r->out.etag);
    int64_t s, now_s = (int64_t)(wr_loop_wall_ns(web_loop(r)) / 1000000000u);
    return r->out.last_modified >= 0 && wr_date_parse(value, now_s, &s) == 0 &&
           s == r->out.last_modified;
}

/* ---- the head ----------------------------------------------------------------------------------------- */

static int content_range(struct web_req *r, const struct part *p, uint64_t size)
{
    char *text = p ? wr_arena_printf(r->arena, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64,
                                     p->from, p->to - 1, size)
                   : wr_arena_printf(r->arena, "bytes */%" PRIu64, size);
    return text ? web_header_add(r, WR_LIT("Content-Range"), wr_span_str(text)) : -ENOMEM;
}

static int answer_unsatisfiable(struct web_req *r)
{
    int err = content_range(r, NULL, r->out.length);
    r->out.status_line = (struct wr_span){0};
    return err ? 500 : 416;
}

/* The boundary differs from answer to answer; a body that contains it is as unlikely as a guess of it. */
static uint64_t boundary_of(struct web_req *r)
{
    uint64_t seed = wr_loop_now_ns(web_loop(r)) ^ r->conn->number << 40;
    return (seed ^ seed >> 29) * UINT64_C(0xbf58476d1ce4e5b9) % UINT64_C(10000000000000000000);
}

static int form_headings(struct web_req *r, struct range_filter *f, uint64_t size)
{
    struct wr_span type = r->out.type, charset = r->out.charset;
    uint64_t boundary = boundary_of(r), length = 0;
    for (uint32_t i = 0; i < f->n; i++) {
        struct part *p = &f->parts[i];
        char *h =
            wr_arena_printf(r->arena,
                            "\r\n--%020" PRIu64 "%s%.*s%s%.*s\r\nContent-Range: bytes %" PRIu64
                            "-%" PRIu64 "/%" PRIu64 "\r\n\r\n",
                            boundary, type.n ? "\r\nContent-Type: " : "", WR_SPANF(type),
                            type.n && charset.n ? "; charset=" : "",
                            WR_SPANF(type.n ? charset : type), p->from, p->to - 1, size);
        if (!h)
            return -ENOMEM;
        p->heading = wr_span_str(h);
        length += p->heading.n + (p->to - p->from);
    }
    char *tail = wr_arena_printf(r->arena, "\r\n--%020" PRIu64 "--\r\n", boundary);
    char *multi =
        wr_arena_printf(r->arena, "multipart/byteranges; boundary=%020" PRIu64, boundary);
    if (!tail || !multi)
        return -ENOMEM;
    f->tail = wr_span_str(tail);
    r->out.type = wr_span_str(multi);
    r->out.charset = (struct wr_span){0};
    r->out.no_charset = true;
    r->out.length = length + f->tail.n;
    return 0;
}

static int range_body(struct web_filter *wf, struct web_req *r, struct web_piece *in);

static int answer_parts(struct web_req *r, const struct part *parts, uint32_t n)
{
    struct range_filter *f = wr_arena_zalloc(r->arena, sizeof *f + n * sizeof *parts);
    if (!f)
        return 500;
    f->f.body = range_body;
    f->n = n;
    memcpy(f->parts, parts, n * sizeof *parts);
    f->ascending = true;
    for (uint32_t i = 1; i < n; i++)
        f->ascending &= parts[i].from >= parts[i - 1].to;
    uint64_t size = r->out.length;
    r->out.status = 206;
    r->out.status_line = (struct wr_span){0};
    r->out.length = parts[0].to - parts[0].from;
    if (n == 1 ? content_range(r, &parts[0], size) : form_headings(r, f, size))
        return 500;
    web_filter_push_front(r, &f->f);
    return 0;
}

static bool is_bytes(struct wr_span value)
{
    return value.n > 6 && wr_span_ieq(wr_span_sub(value, 0, 6), WR_LIT("bytes="));
}

static int range_head(struct web_req *r)
{
    const struct location_conf *conf = web_location_conf(r, range);
    if (r->out.status != 200 || r != r->main || !r->out.allow_ranges ||
        r->out.length == WEB_LENGTH_UNKNOWN || conf->max == 0)
        return 0;
    struct wr_span value = wr_head_get(r->head, WR_H_RANGE);
    if (is_bytes(value) && unchanged(r)) {
        struct part parts[PARTS_MAX];
        uint32_t n;
        switch (
            read_ranges(wr_span_sub(value, 6, value.n), r->out.length, conf->max, parts, &n)) {
        case PARTS:
            return answer_parts(r, parts, n);
        case UNSATISFIABLE:
            return answer_unsatisfiable(r);
        case WHOLE:
            break;
        }
    }
    return web_header_add(r, WR_LIT("Accept-Ranges"), WR_LIT("bytes")) ? 500 : 0;
}

static bool range_wanted(const struct web_location *location)
{
    const struct location_conf *conf = location->conf[WEB_range];
    return conf->max > 0;
}

/* ---- the body ----------------------------------------------------------------------------------------- */

static int give(struct range_filter *f, struct web_req *r, struct wr_span mem, bool last)
{
    struct web_piece piece = {.kind = WEB_MEM, .mem = mem, .last = last};
    return web_filter_next(&f->f, r, &piece);
}

/* The stretch [from, to) of a piece whose first byte is at f->at. */
static int give_stretch(struct range_filter *f, struct web_req *r, const struct web_piece *in,
                        uint64_t from, uint64_t to, bool last)
{
    struct web_piece piece = {.kind = in->kind, .last = last, .flush = in->flush};
    uint64_t skip = from - f->at;
    switch ((enum web_piece_kind)in->kind) {
    case WEB_MEM:
        piece.mem = wr_span_sub(in->mem, skip, to - from);
        break;
    case WEB_BYTES:
        piece.bytes = wr_bytes_sub(&in->bytes, skip, to - from);
        break;
    case WEB_FILE_RANGE:
        piece.file = web_file_ref(in->file);
        piece.off = in->off + skip;
        piece.len = to - from;
        break;
    }
    return web_filter_next(&f->f, r, &piece);
}

/* The end of a part; of the last one the end of the body. 0, 1, or negative. */
static int part_ended(struct range_filter *f, struct web_req *r)
{
    f->headed = false;
    if (++f->now < f->n)
        return 0;
    f->done = true;
    return f->n > 1 ? give(f, r, f->tail, true) : 0;
}

/* All that this piece has of the parts, in their order. */
static int cut(struct range_filter *f, struct web_req *r, const struct web_piece *in)
{
    uint64_t len = web_piece_len(in), end = f->at + len;
    int clogged = 0;
    while (!f->done) {
        const struct part *p = &f->parts[f->now];
        uint64_t from = p->from > f->at || !f->ascending ? p->from : f->at;
        uint64_t to = p->to < end ? p->to : end;
        if (!f->ascending && (f->at > 0 || p->to > end)) {
            web_error(r, WR_LOG_ERROR, 0, "range in overlapped pieces");
            return WEB_ERROR;
        }
        if (from >= end)
            break;
        int rc = f->headed || f->n == 1 ? 0 : give(f, r, p->heading, false);
        f->headed = true;
        if (rc >= 0)
            rc = give_stretch(f, r, in, from, to, f->n == 1 && to == p->to);
        if (rc >= 0 && to == p->to) {
            clogged |= rc;
            rc = part_ended(f, r);
        }
        if (rc < 0)
            return rc;
        clogged |= rc;
        if (to < p->to)
            break;
    }
    f->at = end;
    return clogged;
}

static int range_body(struct web_filter *wf, struct web_req *r, struct web_piece *in)
{
    struct range_filter *f = wr_container_of(wf, struct range_filter, f);
    int clogged = 0;
    if (!in)
        return web_filter_next(wf, r, NULL);
    for (struct web_piece *next; in; in = next) {
        next = in->next;
        bool last = in->last;
        int rc = f->done ? 0 : cut(f, r, in);
        web_piece_drop(in);
        if (rc >= 0 && last && !f->done) { /* shorter than promised: the sink will see it */
            f->done = true;
            rc = give(f, r, (struct wr_span){0}, true);
        }
        if (rc < 0) {
            for (; next; next = in) {
                in = next->next;
                web_piece_drop(next);
            }
            return rc;
        }
        clogged |= rc;
    }
    return clogged;
}

/* ---- tables ------------------------------------------------------------------------------------------- */

static int set_max(struct conf_load *load, const struct conf_node *node,
                   const struct conf_row *row, void *field)
{
    int64_t max;
    (void)row;
    if (conf_read_num(conf_arg(node, 1), &max) || max < 0)
        return conf_fail(load, node, 1, "invalid number \"%s\"", conf_str(node, 1));
    *(uint64_t *)field = (uint64_t)max;
    return 0;
}

static const struct conf_row rows[] = {
    {"max_ranges", CONF_HSL, 1, 1, 0, CONF_AT_LOCATION, set_max,
     CONF_FIELD(struct location_conf, max), "2147483647", NULL, "number",
     "How many ranges of a request are honoured; 0 turns ranges off."},
    {0          },
};

/* ---- the module --------------------------------------------------------------------------------------- */

const struct web_module range_module = {
    .conf = {.name = "http_range",
             .size = {[CONF_AT_LOCATION] = sizeof(struct location_conf)},
             .rows = rows},
    .head_filter = range_head,
    .head_wanted = range_wanted,
    .head_fixed = range_wanted,
};
