/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mem_conns [requests]: what an HTTP/1.1 worker asks of its memory, answered by pools and arenas. malloc_conns asks malloc for the same objects in the same order; both draw the same random
 * numbers and touch the same bytes. Prints ns_per_request.
 *
 * Ten thousand kept connections, each an object of a typed pool with its strings in an arena of its own.
 * A request's small objects lie in the worker's request arena, its buffers are blocks, its growing body
 * is a wr_buf; they go together when it ends. One connection in a hundred closes after its request.
 */
#include "libweir/base/mem_arena.h"
#include "libweir/io/pages.h"
#include "libweir/os/os.h"
#include "perf/mem_program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CONNS 10000

struct conn {
    char *peer, *name, *route, *tag, *log;
    char state[280];
    struct wr_arena arena;
};

struct worker {
    struct mem_program mem;
    struct wr_pool conns;
    struct wr_arena request;
    struct conn *conn[CONNS];
};

static char *touch(void *p, size_t n)
{
    char *c = p;
    if (!c)
        abort();
    c[0] = 1;
    c[n - 1] = 1;
    return c;
}

static inline __attribute__((always_inline)) char *take(struct wr_arena *a, size_t n)
{
    return touch(wr_arena_alloc(a, n), n);
}

static struct conn *conn_open(struct worker *w)
{
    struct conn *c = wr_pool_get(&w->conns);
    (void)touch(c, offsetof(struct conn, arena));
    wr_arena_init(&c->arena, &w->mem.arenas, &w->mem.listener, WR_ARENA_SMALL);
    c->peer = take(&c->arena, 46);
    c->name = take(&c->arena, 16 + draw(48));
    c->route = take(&c->arena, 16 + draw(100));
    c->tag = take(&c->arena, 24);
    c->log = take(&c->arena, 64 + draw(192));
    return c;
}

static void conn_close(struct worker *w, struct conn *c)
{
    wr_arena_deinit(&c->arena);
    wr_pool_put(&w->conns, c);
}

static void body(struct wr_arena *a)
{
    char *p = take(a, 1024);
    for (size_t n = 2048; n <= 8192; n *= 2) {
        if (!wr_arena_grow(a, p, n / 2, n)) {
            char *more = wr_arena_alloc(a, n);
            if (!more)
                abort();
            p = memcpy(more, p, n / 2);
        }
        p[n - 1] = 1;
    }
}

static void request(struct worker *w)
{
    struct wr_arena *a = &w->request;
    unsigned at = draw(CONNS);
    (void)take(a, 384);
    for (int h = 0; h < 10; h++)
        (void)take(a, 8 + draw(draw(4) ? 40 : 160));
    (void)take(a, 4096);
    (void)take(a, 24 + draw(200));
    if (draw(5) == 0)
        (void)take(a, 16384);
    if (draw(3) == 0)
        body(a);
    w->conn[at]->state[0]++;
    wr_arena_reset(a, WR_ARENA_BLOCK);
    if (draw(100) == 0) {
        conn_close(w, w->conn[at]);
        w->conn[at] = conn_open(w);
    }
}

int main(int argc, char **argv)
{
    static struct worker w;
    long n = argc > 1 ? strtol(argv[1], NULL, 10) : 1000000;
    draw_start();
    mem_program_start(&w.mem);
    wr_pool_init(&w.conns, &w.mem.mem, &w.mem.worker, "conn", sizeof(struct conn));
    wr_arena_init(&w.request, &w.mem.arenas, &w.mem.listener, WR_ARENA_BLOCK);
    for (int i = 0; i < CONNS; i++)
        w.conn[i] = conn_open(&w);
    uint64_t from = wr_os_now_ns(CLOCK_MONOTONIC);
    for (long i = 0; i < n; i++)
        request(&w);
    uint64_t took = wr_os_now_ns(CLOCK_MONOTONIC) - from;
    printf("ns_per_request %.1f\n", (double)took / (double)n);
    for (int i = 0; i < CONNS; i++)
        conn_close(&w, w.conn[i]);
    wr_arena_deinit(&w.request);
    wr_pool_deinit(&w.conns);
    mem_program_end(&w.mem);
    return 0;
}
