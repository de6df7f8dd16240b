/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * directio: large files are read past the page cache, by a thread, a chunk at a time.
 *
 * The thread opens the file anew with O_DIRECT (a flag of the open file, which the open-file cache shares), reads the
 * aligned blocks around what is wanted into aligned memory, and the sink copies the part in question to the connection.
 * So neither the start of a range nor a file's end need be aligned. A file system that refuses O_DIRECT is said once
 * in a worker's life, and the rest of that answer goes out by sendfile.
 *
 * A chunk's memory is charged to the worker while a thread has it. The job belongs to the request's scope.
 */
#include "weir/web/core.h"
#include "weir/web/request_private.h"

#include "libweir/base/err.h"
#include "libweir/base/mem_budget.h"
#include "libweir/base/num.h"
#include "libweir/io/log.h"
#include "libweir/io/work.h"
#include "libweir/os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#define CHUNK     (128U << 10)
#define ALIGN_MIN 512U
#define ALIGN_MAX (64U << 10)
#define PAGE      4096U /* memory is aligned to it at least */

struct direct_job {
    struct top *t;
    const struct wr_heap *heap;
    struct wr_budget *budget;
    struct web_file *file; /* a reference: its descriptor must not become another's */
    int from, fd;          /* that; -1, or the same file opened with O_DIRECT */
    uint64_t at;           /* aligned */
    size_t skip, want, room, size;
    char *aligned;
    ssize_t got;
    bool refused; /* with got: the file system does not want to */
    char mem[];
};

static struct wr_work_pool *pool_of(const struct core_location *c)
{
    const struct core_thread_pool *p =
        c->aio == CORE_AIO_THREADS ? c->thread_pool : c->direct_pool;
    return p ? p->pool : NULL;
}

bool direct_wanted(const struct top *t, const struct web_piece *p)
{
    if (p->kind != WEB_FILE_RANGE || p->len == 0)
        return false;
    const struct core_location *c = core_of(t->active->r.location);
    return p->file->size >= c->directio && !p->file->memory.p && !t->no_direct &&
           !t->q.r.header_only && pool_of(c);
}

static size_t least(uint64_t a, size_t b)
{
    return a < b ? (size_t)a : b;
}

static uint64_t alignment(const struct core_location *c)
{
    uint64_t n = ALIGN_MIN;
    while (n < c->directio_alignment && n < ALIGN_MAX)
        n *= 2;
    return n;
}

/* ---- in the thread ----------------------------------------------------------------------------------- */

static int job_run(void *arg)
{
    struct direct_job *j = arg;
    char path[40];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", j->from);
    j->fd = wr_os_open(path, O_RDONLY | O_DIRECT | O_CLOEXEC | O_NONBLOCK, 0);
    j->got = j->fd < 0 ? j->fd : wr_os_pread(j->fd, j->aligned, j->room, (off_t)j->at);
    j->refused = j->fd < 0 || j->got == -EINVAL;
    return 0;
}

/* ---- in the loop ------------------------------------------------------------------------------------- */

static void say_refused(struct top *t, const struct direct_job *j)
{
    const struct web_file *f = t->queue->piece.file;
    t->no_direct = true;
    if (t->worker->direct_said)
        return;
    t->worker->direct_said = true;
    web_error(&t->active->r, WR_LOG_WARN, (int)j->got,
              "directio: O_DIRECT is refused for \"%s\", it goes through the page cache",
              f->path ? f->path : "");
}

/* result: 0, or why the request has ended meanwhile. */
static void job_done(void *arg, int result)
{
    const struct direct_job *j = arg;
    struct top *t = j->t;
    if (result)
        return;
    web_enter(t);
    t->reading = false;
    if (t->gone || t->cut || !t->queue) {
        web_leave(t);
        return;
    }
    if (j->refused)
        say_refused(t, j);
    else if (j->got <= (ssize_t)j->skip) /* an error, or the file has become shorter */
        request_cut(t);
    else
        sink_direct_done(
            t, wr_span(j->aligned + j->skip, least(j->want, (size_t)j->got - j->skip)));
    sink_direct_go_on(t);
    web_leave(t);
}

static void job_drop(void *arg)
{
    struct direct_job *j = arg;
    if (j->fd >= 0)
        (void)wr_os_close(j->fd);
    web_file_unref(&j->file);
    if (j->budget)
        wr_budget_release(j->budget, j->size);
    wr_heap_free(j->heap, j, j->size);
}

static struct direct_job *job_new(struct top *t, uint64_t align)
{
    struct wr_loop *loop = t->worker->loop;
    size_t edge = align > PAGE ? align : PAGE;
    size_t size = sizeof(struct direct_job) + CHUNK + edge;
    struct wr_budget *budget = wr_loop_budget(loop);
    if (budget && wr_budget_charge(budget, size))
        return NULL;
    struct direct_job *j = wr_heap_alloc(wr_loop_heap(loop), size);
    if (!j) {
        if (budget)
            wr_budget_release(budget, size);
        return NULL;
    }
    *j = (struct direct_job){
        .t = t, .heap = wr_loop_heap(loop), .budget = budget, .fd = -1, .size = size};
    j->aligned = j->mem + (edge - (uintptr_t)j->mem % edge) % edge;
    return j;
}

int direct_read(struct top *t, const struct web_piece *p, uint64_t n)
{
    const struct core_location *c = core_of(t->active->r.location);
    uint64_t align = alignment(c);
    struct direct_job *j = job_new(t, align);
    if (!j)
        return WR_E_BUDGET;
    j->file = web_file_ref(p->file);
    j->from = p->file->fd;
    j->skip = p->off % align;
    j->at = p->off - j->skip;
    j->want = least(n, CHUNK - j->skip);
    j->room = (j->skip + j->want + align - 1) / align * align;
    t->reading = true;
    int err = wr_work_submit(pool_of(c), t->q.r.scope, job_run, job_done, job_drop, j);
    if (!err)
        return 0;
    t->reading = false;
    job_drop(j);
    return err == WR_E_QUEUE_FULL ? -EAGAIN : err;
}
