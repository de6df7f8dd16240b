/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/web/core.h"
#include "weir/web/request_private.h"

#include "libweir/base/err.h"
#include "libweir/base/mem_budget.h"
#include "libweir/io/log.h"
#include "libweir/io/work.h"
#include "libweir/os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

/*
 * The body of a request: in memory up to client_body_buffer_size, whatever is longer in a file of
 * client_body_temp_path. The library counts against client_max_body_size and watches that bytes come.
 */

struct body {
    struct web_req *r; /* who waits for it */
    char *mem;
    size_t n, cap;
    uint64_t total;
    struct web_file *file;
    bool remove; /* the file goes with the request */
    bool done;
    int err;
    unsigned writes;    /* that threads have: aio_write */
    uint64_t unwritten; /* their bytes */
    bool paused, ended;
};

/* What a thread writes: the piece's copy, and a descriptor that no end of the request takes away. */
struct write_job {
    struct top *t;
    const struct wr_heap *heap;
    struct wr_budget *budget;
    size_t size, n;
    uint64_t at;
    int fd, err;
    char mem[];
};

#define NAMES_MAX     100 /* tries for a free file name */
#define UNWRITTEN_MAX (256U << 10)

/* ---- the file --------------------------------------------------------------------------------------------------------- */

/* path/3/42/0000000423: directories from the end of the number, so many digits each. */
static char *temp_name(struct wr_arena *a, const struct core_temp_path *t, uint64_t number)
{
    char digits[24];
    size_t n = (size_t)snprintf(digits, sizeof(digits), "%010llu", (unsigned long long)number);
    size_t size = t->path.n + n + 16;
    char *p = wr_arena_alloc(a, size);
    if (!p)
        return NULL;
    memcpy(p, t->path.p, t->path.n);
    size_t at = t->path.n, end = n;
    for (uint8_t i = 0; i < t->nlevels && t->level[i] < end; i++) {
        end -= t->level[i];
        p[at++] = '/';
        memcpy(p + at, digits + end, t->level[i]);
        at += t->level[i];
    }
    p[at++] = '/';
    memcpy(p + at, digits, n);
    p[at + n] = '\0';
    return p;
}

static int make_directories(char *path, size_t from)
{
    for (size_t i = from; path[i]; i++) {
        if (path[i] != '/' || i == 0)
            continue;
        path[i] = '\0';
        int err = wr_os_mkdir(path, 0700);
        path[i] = '/';
        if (err && err != -EEXIST)
            return err;
    }
    return 0;
}

static int open_file(struct web_req *r, struct body *b)
{
    const struct core_location *c = core_of(r->location);
    static uint64_t number; /* of this process; a name that is taken is skipped */
    struct web_file *f = wr_arena_zalloc(r->arena, sizeof(*f));
    if (!f)
        return -ENOMEM;
    int fd = -EEXIST;
    char *path = NULL;
    for (int i = 0; i < NAMES_MAX && fd == -EEXIST; i++) {
        path = temp_name(r->arena, &c->body_temp_path, ++number);
        if (!path)
            return -ENOMEM;
        fd = wr_os_open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
        if (fd == -ENOENT && make_directories(path, c->body_temp_path.path.n) == 0)
            fd = wr_os_open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
        if (fd == -EEXIST)
            number += (uint64_t)wr_os_getpid();
    }
    if (fd < 0) {
        web_error(r, WR_LOG_CRIT, fd, "open() \"%s\" failed", path);
        return fd;
    }
    *f = (struct web_file){.fd = fd, .refs = 1, .path = path};
    b->file = f;
    b->remove = c->body_in_file_only != CORE_IN_FILE_ON;
    web_error(r, WR_LOG_WARN, 0, "a client request body is buffered to a temporary file %s",
              path);
    return 0;
}

static int write_all(int fd, struct wr_span piece, uint64_t at)
{
    while (piece.n) {
        ssize_t n = wr_os_pwrite(fd, piece.p, piece.n, (off_t)at);
        if (n <= 0)
            return n < 0 ? (int)n : -EIO;
        at += (uint64_t)n;
        piece = wr_span_sub(piece, (size_t)n, piece.n);
    }
    return 0;
}

/* ---- by a thread: aio threads and aio_write --------------------------------------------------------------------------- */

static int job_run(void *arg)
{
    struct write_job *j = arg;
    j->err = write_all(j->fd, wr_span(j->mem, j->n), j->at);
    return 0;
}

static void whole(struct web_req *r, struct body *b);

static void written(struct web_req *r, struct body *b)
{
    if (b->paused && b->unwritten < UNWRITTEN_MAX / 2) {
        b->paused = false;
        wr_http_pause_body(r->main->http, false);
    }
    if (b->ended && b->writes == 0) {
        whole(r, b);
        request_of(r)->body_fn(r);
    }
}

void body_give_up(struct top *t, int err)
{
    t->q.body_known = true;
    if (t->body && !t->body->err)
        t->body->err = err;
}

/* result: 0, or why the request has ended meanwhile. */
static void job_done(void *arg, int result)
{
    const struct write_job *j = arg;
    struct top *t = j->t;
    if (result)
        return;
    struct body *b = t->body;
    web_enter(t);
    b->writes--;
    b->unwritten -= j->n;
    if (!b->err && j->err) {
        body_give_up(t, j->err);
        web_finish(b->r, 500);
    }
    if (!b->err && !t->gone && !t->cut)
        written(b->r, b);
    web_leave(t);
}

static void job_drop(void *arg)
{
    struct write_job *j = arg;
    if (j->fd >= 0)
        (void)wr_os_close(j->fd);
    if (j->budget)
        wr_budget_release(j->budget, j->size);
    wr_heap_free(j->heap, j, j->size);
}

static struct write_job *job_new(struct top *t, const struct body *b, struct wr_span piece)
{
    struct wr_loop *loop = t->worker->loop;
    struct wr_budget *budget = wr_loop_budget(loop);
    size_t size = sizeof(struct write_job) + piece.n;
    if (budget && wr_budget_charge(budget, size))
        return NULL;
    struct write_job *j = wr_heap_alloc(wr_loop_heap(loop), size);
    if (!j) {
        if (budget)
            wr_budget_release(budget, size);
        return NULL;
    }
    *j = (struct write_job){.t = t,
                            .heap = wr_loop_heap(loop),
                            .budget = budget,
                            .size = size,
                            .n = piece.n,
                            .at = b->file->size,
                            .fd = wr_os_dup(b->file->fd)};
    memcpy(j->mem, piece.p, piece.n);
    return j;
}

/* True: a thread has it. */
static bool give_away(struct web_req *r, struct body *b, struct wr_span piece)
{
    const struct core_location *c = core_of(r->location);
    struct top *t = top_of(r);
    struct wr_work_pool *pool =
        c->aio_write && c->aio == CORE_AIO_THREADS ? c->thread_pool->pool : NULL;
    struct write_job *j = pool && piece.n ? job_new(t, b, piece) : NULL;
    if (!j)
        return false;
    if (j->fd < 0 || wr_work_submit(pool, t->q.r.scope, job_run, job_done, job_drop, j) != 0) {
        job_drop(j);
        return false;
    }
    b->writes++;
    b->unwritten += piece.n;
    if (b->unwritten > UNWRITTEN_MAX && !b->paused) {
        b->paused = true;
        wr_http_pause_body(r->main->http, true);
    }
    return true;
}

static int write_file(struct web_req *r, struct body *b, struct wr_span piece)
{
    int err = give_away(r, b, piece) ? 0 : write_all(b->file->fd, piece, b->file->size);
    b->file->size += piece.n;
    return err;
}

/* ---- taking it -------------------------------------------------------------------------------------------------------- */

static int to_file(struct web_req *r, struct body *b, struct wr_span piece)
{
    int err = b->file ? 0 : open_file(r, b);
    if (!err && b->n)
        err = write_file(r, b, wr_span(b->mem, b->n));
    b->n = 0;
    return err ? err : write_file(r, b, piece);
}

static int take(struct web_req *r, struct body *b, struct wr_span piece)
{
    const struct core_location *c = core_of(r->location);
    b->total += piece.n;
    if (b->total > c->client_max_body_size)
        return WR_E_TOO_BIG;
    if (b->file || c->body_in_file_only || b->n + piece.n > c->client_body_buffer_size)
        return to_file(r, b, piece);
    if (b->n + piece.n > b->cap) {
        size_t cap = b->cap ? b->cap * 2 : 1024;
        if (r->head->content_length && r->head->content_length <= c->client_body_buffer_size)
            cap = (size_t)r->head->content_length;
        while (cap < b->n + piece.n)
            cap *= 2;
        char *mem = wr_arena_alloc(r->arena, cap);
        if (!mem)
            return -ENOMEM;
        if (b->n)
            memcpy(mem, b->mem, b->n);
        b->mem = mem;
        b->cap = cap;
    }
    if (piece.n)
        memcpy(b->mem + b->n, piece.p, piece.n);
    b->n += piece.n;
    return 0;
}

static void whole(struct web_req *r, struct body *b)
{
    struct request *q = request_of(r);
    struct web_req *main = r->main;
    b->done = true;
    q->body_known = request_of(main)->body_known = true;
    main->body = r->body = wr_span(b->mem, b->file ? 0 : b->n);
    main->body_file = r->body_file = b->file;
    main->body_len = r->body_len = b->total;
}

static void on_body(struct wr_http_req *http, struct wr_span piece, bool last, void *arg)
{
    struct top *t = arg;
    struct body *b = t->body;
    struct web_req *r = b->r;
    (void)http;
    web_enter(t);
    if (!b->err && !b->done) {
        int err = take(r, b, piece);
        if (err) {
            body_give_up(t, err);
            web_finish(r, err == WR_E_TOO_BIG ? 413 : 500);
        } else if (last && b->writes) {
            b->ended = true;
        } else if (last) {
            whole(r, b);
            request_of(r)->body_fn(r);
        }
    }
    web_leave(t);
}

int web_read_body(struct web_req *r, void (*fn)(struct web_req *r))
{
    struct request *q = request_of(r);
    struct top *t = q->top;
    struct wr_http_req *http = r->main->http;
    if (!http)
        return WEB_ERROR;
    if (r->head->body == WR_BODY_NONE || q->body_known || request_of(r->main)->body_known ||
        r->main->discard_body) {
        q->body_known = true;
        fn(r);
        return WEB_LATER;
    }
    if (t->body)
        return 500; /* two readers of one body */
    struct body *b = wr_arena_zalloc(r->arena, sizeof(*b));
    if (!b)
        return 500;
    b->r = r;
    t->body = b;
    q->body_fn = fn;
    web_enter(t);
    wr_http_stream_body(http, on_body, t);
    web_leave_later(t);
    return WEB_LATER;
}

int web_discard_body(struct web_req *r)
{
    (void)
        r; /* the library reads on, or ends the connection, behind an answer that did not want the body */
    return 0;
}

void body_drop(struct top *t)
{
    struct body *b = t->body;
    if (!b || !b->file)
        return;
    wr_os_close(b->file->fd);
    if (b->remove)
        (void)wr_os_unlink(b->file->path);
}
