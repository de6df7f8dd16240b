/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/filter/recode.h"

#include "libweir/base/err.h"
#include "libweir/io/log.h"
#include "libweir/os/os.h"
#include "weir/web/core.h"

#include <errno.h>
#include <string.h>

#define READ_MIN ((size_t)512)
#define READ_MAX ((size_t)1 << 20)

struct recode_held {
    struct recode_held *next;
    struct web_piece piece;
    char *copy; /* room of ours that piece.mem may lie in */
    size_t copy_cap;
    bool copied;
};

static void close_all(void *arg)
{
    struct recode *c = arg;
    wr_task_cancel(&c->task);
    for (struct recode_held *h = c->first; h; h = h->next)
        web_piece_drop(&h->piece);
    c->first = NULL;
    if (c->state)
        c->coder->close(c->state);
    c->state = NULL;
}

static int recode_body(struct web_filter *f, struct web_req *r, struct web_piece *in);

static void on_task(struct wr_task *task)
{
    struct recode *c = wr_container_of(task, struct recode, task);
    web_filter_go_on(&c->filter, c->r); /* may be the request's end */
}

int recode_new(struct web_req *r, const struct recode_coder *coder, void *state, size_t out_cap,
               struct recode **out)
{
    struct recode *c = wr_arena_zalloc(r->arena, sizeof *c);
    if (c)
        wr_task_init(&c->task, on_task);
    if (!c || wr_arena_defer(r->arena, close_all, c)) {
        coder->close(state);
        return -ENOMEM;
    }
    c->filter.body = recode_body;
    c->coder = coder;
    c->state = state;
    c->r = r;
    c->out_cap = out_cap;
    c->tail = &c->first;
    c->out = wr_arena_alloc(r->arena, out_cap);
    if (!c->out)
        return -ENOMEM;
    *out = c;
    return 0;
}

/* ---- the held queue ----------------------------------------------------------------------------------- */

static int hold(struct recode *c, struct web_piece *in)
{
    for (; in; in = in->next) {
        struct recode_held *h = c->spare;
        if (h)
            c->spare = h->next;
        else
            h = wr_arena_zalloc(c->r->arena, sizeof *h);
        if (!h) {
            for (; in; in = in->next)
                web_piece_drop(in);
            return -ENOMEM;
        }
        h->next = NULL;
        h->copied = false;
        h->piece = *in;
        h->piece.next = NULL;
        in->kind = WEB_MEM; /* what it owned has moved */
        in->mem = (struct wr_span){0};
        *c->tail = h;
        c->tail = &h->next;
    }
    return 0;
}

static void let_go(struct recode *c)
{
    struct recode_held *h = c->first;
    web_piece_drop(&h->piece);
    c->first = h->next;
    if (!c->first)
        c->tail = &c->first;
    h->next = c->spare;
    c->spare = h;
}

static int make_own(struct recode *c, struct recode_held *h, struct wr_span mem)
{
    if (h->copy_cap < mem.n) {
        h->copy = wr_arena_alloc(c->r->arena, mem.n);
        h->copy_cap = h->copy ? mem.n : 0;
        if (!h->copy)
            return -ENOMEM;
    }
    if (mem.n)
        memcpy(h->copy, mem.p, mem.n);
    h->piece.mem = wr_span(h->copy, mem.n);
    h->copied = true;
    return 0;
}

/* What is held beyond this call must not lie in the caller's memory. */
static int keep(struct recode *c)
{
    for (struct recode_held *h = c->first; h; h = h->next) {
        if (h->piece.kind != WEB_MEM || h->copied)
            continue;
        bool begun = h == c->first && c->data.p;
        int rc = make_own(c, h, begun ? c->data : h->piece.mem);
        if (rc)
            return rc;
        if (begun)
            c->data = h->piece.mem;
    }
    return 0;
}

/* ---- through the coder ---------------------------------------------------------------------------------- */

/* As output_buffers says. */
static size_t read_size(const struct web_req *r)
{
    uint64_t size = core_of(r->location)->output_buffers.size;
    return size < READ_MIN ? READ_MIN : size > READ_MAX ? READ_MAX : (size_t)size;
}

static int read_file(struct recode *c, struct web_piece *p)
{
    if (!c->in_buf) {
        c->in_size = read_size(c->r);
        c->in_buf = wr_arena_alloc(c->r->arena, c->in_size);
        if (!c->in_buf)
            return -ENOMEM;
    }
    size_t want = p->len < c->in_size ? (size_t)p->len : c->in_size;
    if (p->file->memory.p && p->off + want <= p->file->memory.n) {
        c->data = wr_span_sub(p->file->memory, (size_t)p->off, want);
    } else {
        ssize_t n = wr_os_pread(p->file->fd, c->in_buf, want, (off_t)p->off);
        if (n <= 0) {
            web_error(c->r, WR_LOG_CRIT, n < 0 ? (int)n : 0, "pread() \"%s\" %s", p->file->path,
                      n < 0 ? "failed" : "ended before its size");
            return -EIO;
        }
        c->data = wr_span(c->in_buf, (size_t)n);
    }
    p->off += c->data.n;
    p->len -= c->data.n;
    return 0;
}

/* The next bytes and what to do with them. 1: there is something to do. */
static int next_input(struct recode *c)
{
    while (c->first) {
        struct web_piece *p = &c->first->piece;
        if (c->data.n)
            return 1;
        if (p->kind == WEB_FILE_RANGE && p->len) {
            int rc = read_file(c, p);
            return rc ? rc : 1;
        }
        if (!c->data.p && p->kind != WEB_FILE_RANGE) {
            c->data = p->kind == WEB_MEM ? p->mem : wr_bytes_span(&p->bytes);
            if (!c->data.p)
                c->data.p = "";
            continue;
        }
        c->op = p->last ? RECODE_FINISH : p->flush ? RECODE_FLUSH : RECODE_RUN;
        if (c->op != RECODE_RUN)
            return 1;
        c->data = (struct wr_span){0};
        let_go(c);
    }
    return 0;
}

static int give_on(struct recode *c, bool last, bool flush)
{
    struct web_piece p = {
        .kind = WEB_MEM, .mem = wr_span(c->out, c->out_n), .last = last, .flush = flush};
    c->bytes_out += c->out_n;
    c->out_n = 0;
    int rc = web_filter_next(&c->filter, c->r, &p);
    c->clogged = rc > 0;
    return rc < 0 ? rc : 0;
}

static int step(struct recode *c)
{
    size_t before = c->data.n, n = 0;
    bool done = false;
    int rc = c->coder->run(c->state, &c->data, (enum recode_op)c->op, c->out + c->out_n,
                           c->out_cap - c->out_n, &n, &done);
    c->bytes_in += before - c->data.n;
    c->out_n += n;
    if (rc < 0) {
        web_error(c->r, WR_LOG_ERROR, 0, "%s failed", c->coder->name);
        return rc;
    }
    bool ended = c->op != RECODE_RUN && done && c->data.n == 0;
    if (!ended)
        return c->out_cap - c->out_n < RECODE_ROOM ? give_on(c, false, false) : 0;
    bool last = c->op == RECODE_FINISH;
    c->op = RECODE_RUN;
    c->data = (struct wr_span){0};
    c->finished = last;
    let_go(c);
    return give_on(c, last, !last);
}

/* True: it has eaten its share, others have their turn before the rest. */
static bool rests(struct recode *c)
{
    if (!c->first || c->bytes_in - c->turn_from < WR_IO_TURN_BYTES)
        return false;
    wr_loop_at_turn_end(web_loop(c->r), &c->task);
    return true;
}

static void note_turn(struct recode *c)
{
    uint64_t turn = wr_loop_stats(web_loop(c->r))->turns;
    if (turn == c->turn)
        return;
    c->turn = turn;
    c->turn_from = c->bytes_in;
}

static int recode_body(struct web_filter *f, struct web_req *r, struct web_piece *in)
{
    bool resting = false;
    struct recode *c = (struct recode *)f;
    int rc = hold(c, in);
    if (rc == 0 && c->clogged) {
        rc = web_filter_next(f, r, NULL);
        c->clogged = rc > 0;
    }
    if (rc < 0)
        return rc;
    note_turn(c);
    while (!c->clogged && !c->finished && !(resting = rests(c))) {
        rc = next_input(c);
        if (rc == 0)
            break;
        if (rc < 0 || (rc = step(c)) < 0)
            return rc;
    }
    rc = keep(c);
    f->holds = c->clogged || c->first;
    return rc < 0 ? rc : c->clogged || resting;
}
