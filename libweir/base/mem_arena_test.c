/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/mem_arena.h"

#include "libweir/base/chain.h"
#include "tests/mem_kit.h"
#include "tests/nth.h"
#include "tests/tap.h"

#include <errno.h>
#include <stdlib.h>

static struct mem_kit kit;
static struct wr_budget conn;

static void begin(const char *modes)
{
    if (mem_kit_init(&kit, wr_heap_libc(), modes) < 0)
        abort();
    wr_budget_init(&conn, &kit.worker, "connection", WR_BUDGET_NONE, WR_BUDGET_NONE);
}

static void end(void)
{
    mem_kit_validate(&kit);
    wr_budget_deinit(&conn);
    mem_kit_deinit(&kit);
}

static void test_chunks(void)
{
    struct wr_arena a;
    begin("slabs");
    wr_arena_init(&a, &kit.arenas, &conn, WR_ARENA_SMALL);
    is_int(wr_arena_held(&a) + conn.used, 0, "a new arena holds nothing");
    char *p = wr_arena_alloc(&a, 10), *q = wr_arena_alloc(&a, 10);
    ok(p && q == p + 16 && (uintptr_t)p % 16 == 0, "neighbours, aligned");
    is_int(wr_arena_held(&a), WR_ARENA_SMALL, "the first chunk is small");
    is_int(conn.used, WR_ARENA_SMALL, "and charged to the connection");
    ok(wr_arena_alloc(&a, 1000), "does not fit the first");
    is_int(wr_arena_held(&a), 2 * WR_ARENA_SMALL, "the second is small as well");
    ok(wr_arena_alloc(&a, 1010), "more than a small chunk");
    is_int(wr_arena_held(&a), 2 * WR_ARENA_SMALL + WR_ARENA_CHUNK, "gets a whole one");
    ok(wr_arena_alloc(&a, 2000) && wr_arena_alloc(&a, 2000),
       "one that still fits, and one of more than a quarter of a chunk lies apart");
    is_int(wr_arena_held(&a), 2 * WR_ARENA_SMALL + 2 * WR_ARENA_CHUNK, "in a chunk of its own");
    char *big = wr_arena_alloc(&a, 100000);
    ok(big && (uintptr_t)big % WR_PAGE == 0, "what is larger is a block");
    is_int(wr_arena_held(&a), 2 * WR_ARENA_SMALL + 2 * WR_ARENA_CHUNK + 262144, "of its step");
    is_int(conn.used, wr_arena_held(&a), "all charged");
    memset(big, 1, 100000);
    ok(!wr_arena_alloc(&a, WR_BLOCK_MAX + 1) && !wr_arena_alloc(&a, SIZE_MAX),
       "too much is refused");
    ok(wr_arena_alloc(&a, 0), "nothing is something");
    wr_arena_validate(&a);
    wr_arena_reset(&a, WR_ARENA_SMALL);
    is_int(wr_arena_held(&a), WR_ARENA_SMALL, "reset keeps a first chunk of that size");
    ok(wr_arena_alloc(&a, 10) == p, "and starts over in it");
    wr_arena_reset(&a, 0);
    is_int(wr_arena_held(&a) + conn.used, 0, "reset to 0 holds nothing");
    wr_arena_deinit(&a);
    end();
}

static void test_grow(void)
{
    struct wr_arena a;
    begin("slabs");
    wr_arena_init(&a, &kit.arenas, &conn, WR_ARENA_CHUNK);
    char *p = wr_arena_alloc(&a, 100);
    ok(wr_arena_grow(&a, p, 100, 900), "the last one grows in place");
    char *q = wr_arena_alloc(&a, 16);
    ok(q == p + 912, "what comes next lies behind it");
    ok(!wr_arena_grow(&a, p, 900, 1000), "one that is not the last does not");
    ok(wr_arena_grow(&a, p, 900, 10), "shrinking always works");
    ok(!wr_arena_grow(&a, q, 16, 8000), "nor one beyond its chunk");
    wr_arena_validate(&a);
    wr_arena_deinit(&a);
    end();
}

/* Where every allocation is the heap's own it has no padding to grow into. */
static void test_grow_passthrough(void)
{
    struct wr_arena a;
    begin("passthrough");
    wr_arena_init(&a, &kit.arenas, &conn, WR_ARENA_CHUNK);
    char *p = wr_arena_alloc(&a, 5);
    bool grew = wr_arena_grow(&a, p, 5, 16);
    if (grew)
        memset(p, 'x', 16);
    ok(!grew, "nothing grows in place");
    ok(wr_arena_grow(&a, p, 5, 3), "shrinking works");
    wr_arena_deinit(&a);
    end();
}

static char order[16];

static void note(void *arg)
{
    size_t n = strlen(order);
    order[n] = *(const char *)arg;
    order[n + 1] = '\0';
}

static void test_marks(const char *modes)
{
    static char names[] = "abc";
    struct wr_arena a;
    begin(modes);
    order[0] = '\0';
    wr_arena_init(&a, &kit.arenas, &conn, WR_ARENA_SMALL);
    struct wr_arena_mark empty = wr_arena_mark(&a);
    char *p = wr_arena_strndup(&a, "hello world", 5);
    is_str(p, "hello", "strndup");
    is_str(wr_arena_printf(&a, "%s %d", p, 7), "hello 7", "printf");
    is_int(wr_arena_defer(&a, note, &names[0]), 0, "defer a");
    struct wr_arena_mark m = wr_arena_mark(&a);
    size_t held = wr_arena_held(&a);
    for (int i = 0; i < 100; i++)
        if (!wr_arena_zalloc(&a, (size_t)i * 100))
            abort();
    is_int(wr_arena_defer(&a, note, &names[1]), 0, "defer b");
    is_int(wr_arena_defer(&a, note, &names[2]), 0, "defer c");
    wr_arena_validate(&a);
    wr_arena_rewind(&a, m);
    is_str(order, "cb", "a rewind runs the later ones backwards");
    is_int(wr_arena_held(&a), held, "and gives back what came after the mark");
    is_str(p, "hello", "what was before stands");
    ok(wr_arena_alloc(&a, 40), "and it goes on");
    wr_arena_rewind(&a, empty);
    is_str(order, "cba", "to the very beginning");
    is_int(wr_arena_held(&a), 0, "nothing held");
    wr_arena_deinit(&a);
    end();
}

static void test_budget(void)
{
    struct wr_arena a;
    begin("slabs");
    wr_budget_set(&conn, 10000, 10000, 0);
    wr_arena_init(&a, &kit.arenas, &conn, WR_ARENA_CHUNK);
    ok(wr_arena_alloc(&a, 1000) && !wr_arena_alloc(&a, 9000),
       "a connection's limit refuses a block");
    size_t n = 1;
    while (wr_arena_alloc(&a, 1000))
        n++;
    is_int(n, 8, "and a third chunk");
    is_int(conn.used, 2 * WR_ARENA_CHUNK, "two are charged");
    wr_arena_validate(&a);
    wr_arena_deinit(&a);
    is_int(conn.used, 0, "all back");
    end();
}

/* An idle keep-alive connection keeps its arena, chain and budget structs and nothing else. */
static void test_idle_cost(void)
{
    size_t n = sizeof(struct wr_arena) + sizeof(struct wr_chain) + sizeof(struct wr_budget);
    ok(n <= 512, "arena, chain and budget of an idle connection: %zu + %zu + %zu bytes",
       sizeof(struct wr_arena), sizeof(struct wr_chain), sizeof(struct wr_budget));
}

static void count_up(void *arg)
{
    ++*(int *)arg;
}

static int fill(struct wr_arena *a, int *deferred)
{
    struct wr_span out;
    for (int i = 0; i < 40; i++)
        if (!wr_arena_zalloc(a, (size_t)i * 37))
            return -ENOMEM;
    struct wr_arena_mark mark = wr_arena_mark(a);
    int rc = wr_arena_defer(a, count_up, deferred);
    if (rc)
        return rc;
    if (!wr_arena_alloc(a, 50000) || !wr_arena_printf(a, "%0900d", 7)) /* a block of its own */
        return -ENOMEM;
    rc = wr_arena_dup(a, WR_LIT("kept"), &out);
    wr_arena_validate(a);
    wr_arena_rewind(a, mark);
    return rc ? rc : *deferred == 1 ? 0 : 1;
}

static int refused(const struct wr_heap *heap, void *modes)
{
    struct mem_kit k;
    struct wr_arena a;
    int deferred = 0, rc = mem_kit_init(&k, heap, modes);
    if (rc < 0)
        return rc;
    wr_arena_init(&a, &k.arenas, &k.worker, WR_ARENA_SMALL);
    rc = fill(&a, &deferred);
    wr_arena_validate(&a);
    wr_arena_deinit(&a);
    mem_kit_validate(&k);
    mem_kit_deinit(&k);
    return rc;
}

int main(void)
{
    test_chunks();
    test_grow();
    test_grow_passthrough();
    test_marks("slabs,tags");
    test_marks("passthrough");
    test_budget();
    test_idle_cost();
    char slabs[] = "slabs,tags", passed[] = "passthrough";
    nth_every("arena, slabs", refused, slabs);
    nth_every("arena, passed through", refused, passed);
    return tap_done();
}
