/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/buf.h"

#include "libweir/base/err.h"
#include "tests/mem_kit.h"
#include "tests/nth.h"
#include "tests/tap.h"

#include <stdlib.h>

static struct mem_kit kit;

static void test_build(void)
{
    struct wr_buf b;
    char *to;
    wr_buf_init(&b, &kit.blocks, NULL);
    is_int(wr_buf_span(&b).n, 0, "empty");
    ok(!wr_buf_data(&b) && kit.blocks.live == 0, "and owns nothing");
    is_int(wr_buf_put(&b, "abc", 3) + wr_buf_put_char(&b, 'd') +
               wr_buf_put_span(&b, WR_LIT("ef")),
           0, "put");
    is_int(wr_buf_printf(&b, "-%05d", 42), 0, "printf");
    ok(wr_span_eq(wr_buf_span(&b), WR_LIT("abcdef-00042")), "in order");
    is_int(wr_buf_reserve(&b, 3, &to), 0, "reserve");
    memcpy(to, "xyz", 3);
    wr_buf_commit(&b, 2);
    wr_buf_truncate(&b, 100);
    ok(wr_span_eq(wr_buf_span(&b), WR_LIT("abcdef-00042xy")), "commit fewer");
    wr_buf_data(&b)[0] = 'A';
    wr_buf_truncate(&b, 6);
    ok(wr_span_eq(wr_buf_span(&b), WR_LIT("Abcdef")), "truncate");
    struct wr_bytes f = wr_buf_freeze(&b);
    ok(f.n == 6 && memcmp(f.p, "Abcdef", 6) == 0 && f.block->size == WR_BLOCK_SMALL,
       "few bytes freeze into a small block");
    is_int(kit.blocks.live, 1, "and the large one is gone");
    wr_bytes_drop(&f);
    wr_buf_deinit(&b);
}

/* Whatever emptied it, or left it empty. */
static void test_owns_nothing(void)
{
    struct wr_buf b;
    char *to;
    wr_buf_init(&b, &kit.blocks, NULL);
    is_int(wr_buf_printf(&b, "%s", ""), 0, "printf of nothing");
    is_int(kit.blocks.live, 0, "takes no block");
    is_int(wr_buf_reserve(&b, 100, &to), 0, "a read");
    wr_buf_commit(&b, 0);
    is_int(kit.blocks.live, 0, "that brought nothing gives its block back");
    is_int(wr_buf_put(&b, "abc", 3), 0, "three bytes");
    wr_buf_truncate(&b, 0);
    is_int(kit.blocks.live, 0, "cut off, their block goes");
    is_int(wr_buf_put(&b, "abc", 3) | wr_buf_printf(&b, "%s", ""), 0, "it can be used again");
    ok(wr_span_eq(wr_buf_span(&b), WR_LIT("abc")), "and holds what it was given");
    wr_buf_deinit(&b);
}

static void test_grow(void)
{
    struct wr_buf b;
    wr_buf_init(&b, &kit.blocks, NULL);
    int line = 0;
    while (wr_buf_span(&b).n < 70000)
        if (wr_buf_printf(&b, "%d\n", line++) < 0)
            abort();
    struct wr_span s = wr_buf_span(&b), one;
    int want = 0;
    bool right = true;
    while (wr_span_split(&s, '\n', &one) && one.n > 0)
        right &= (int)strtol(one.p, NULL, 10) == want++;
    ok(right && want == line, "%d lines across three steps, all there", line);
    is_int(b.block->size, 262144, "in the fourth step");
    char big[100] = {0};
    is_int(wr_buf_put(&b, big, WR_BLOCK_MAX), WR_E_TOO_BIG, "no more than a block");
    size_t n = wr_buf_span(&b).n;
    struct wr_bytes f = wr_buf_freeze(&b);
    ok(f.n == n && wr_buf_span(&b).n == 0 && kit.blocks.live == 1, "frozen without copying");
    wr_bytes_drop(&f);
    f = wr_buf_freeze(&b);
    ok(f.n == 0 && !f.block, "an empty one freezes to nothing");
    wr_buf_deinit(&b);
}

static void test_limit(void)
{
    struct wr_budget conn;
    struct wr_buf b;
    wr_budget_init(&conn, &kit.worker, "connection", 20000, 20000);
    wr_buf_init(&b, &kit.blocks, &conn);
    char text[4096];
    memset(text, 'x', sizeof text);
    is_int(wr_buf_put(&b, text, 4096), 0, "a step exactly");
    is_int(b.block->size, 4096, "takes that step");
    is_int(wr_buf_put(&b, text, 1), WR_E_BUDGET, "old and new together are over the limit");
    is_int(wr_buf_span(&b).n, 4096, "the buffer is as it was");
    struct wr_bytes f = wr_buf_freeze(&b);
    is_int(conn.used, 0, "frozen bytes are no longer the connection's");
    wr_bytes_drop(&f);
    wr_budget_deinit(&conn);
}

/* What is refused leaves the buffer as it was. */
static int refused(const struct wr_heap *heap, void *modes)
{
    struct mem_kit k;
    struct wr_buf b;
    int rc = mem_kit_init(&k, heap, modes);
    if (rc < 0)
        return rc;
    wr_buf_init(&b, &k.blocks, &k.worker);
    for (int i = 0; i < 3000 && rc == 0; i++) {
        size_t had = wr_buf_span(&b).n;
        rc = wr_buf_printf(&b, "%d bottles of beer on the wall\n", i);
        if (rc && wr_buf_span(&b).n != had)
            rc = 1;
    }
    struct wr_bytes whole = wr_buf_freeze(&b);
    if (rc == 0 && (rc = wr_buf_put(&b, "small", 5)) == 0) {
        struct wr_bytes small = wr_buf_freeze(&b);
        wr_bytes_drop(&small);
    }
    wr_bytes_drop(&whole);
    wr_buf_deinit(&b);
    mem_kit_validate(&k);
    mem_kit_deinit(&k);
    return rc;
}

int main(void)
{
    if (mem_kit_init(&kit, wr_heap_libc(), NULL) < 0)
        abort();
    test_build();
    test_owns_nothing();
    test_grow();
    test_limit();
    mem_kit_validate(&kit);
    mem_kit_deinit(&kit);
    char slabs[] = "slabs", passed[] = "passthrough";
    nth_every("buf, slabs", refused, slabs);
    nth_every("buf, passed through", refused, passed);
    return tap_done();
}
