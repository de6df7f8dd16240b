/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/mem.h"

#include "libweir/base/buf.h"
#include "libweir/base/chain.h"
#include "libweir/base/err.h"
#include "tests/mem_kit.h"
#include "tests/nth.h"
#include "tests/tap.h"

static void test_options(void)
{
    struct wr_mem_options o = {.seed = 1};
    is_int(wr_mem_options_parse(
               WR_LIT("passthrough, poison,tags,cold,fail=3,fail-random=1/50,seed=9"), &o),
           0, "every word");
    ok(o.passthrough && o.poison && o.tags && o.cold, "flags");
    ok(o.fail_nth == 3 && o.fail_one_in == 50 && o.seed == 9, "numbers");
    is_int(wr_mem_options_parse(WR_LIT("slabs"), &o), 0, "slabs");
    ok(!o.passthrough && o.poison, "takes back only passthrough");
    is_int(wr_mem_options_parse(WR_LIT(""), &o), 0, "nothing is fine");
    static const char *const bad[] = {"poisson",        "fail=",   "fail=x",
                                      "fail-random=50", "fail=-1", "seed=99999999999999999999",
                                      "tags;cold"};
    for (size_t i = 0; i < WR_ARRAY_LEN(bad); i++) {
        struct wr_mem_options before = o;
        is_int(wr_mem_options_parse(wr_span_str(bad[i]), &o), WR_E_SYNTAX, "refused: %s",
               bad[i]);
        ok(memcmp(&before, &o, sizeof o) == 0, "and nothing changed");
    }
    wr_mem_options_default(&o);
    is_int(o.passthrough, WR_ASAN, "passthrough is the default exactly under ASan");
}

/* The whole room at work: arena, buf, chain, view, pool, budgets. Also the scenario of every n. */
static int whole_room(struct mem_kit *k)
{
    struct wr_budget conn;
    struct wr_arena arena;
    struct wr_buf buf;
    struct wr_chain in, out;
    struct wr_view v;
    struct wr_bytes kept = {0}, small = {0}, frozen = {0};
    struct wr_iov iov[2];
    struct wr_span front;
    int r = -1;
    wr_budget_init(&conn, &k->worker, "connection", 4 << 20, 8 << 20);
    wr_arena_init(&arena, &k->arenas, &conn, WR_ARENA_SMALL);
    wr_buf_init(&buf, &k->blocks, &conn);
    wr_chain_init(&in, &k->blocks, &conn);
    wr_chain_init(&out, &k->blocks, &conn);

    for (int i = 0; i < 40; i++)
        if (!wr_arena_zalloc(&arena, 50 + (size_t)i * 30))
            goto fail;
    if (!wr_arena_alloc(&arena, 20000) || !wr_arena_printf(&arena, "%d bottles", 99))
        goto fail;
    for (int i = 0; i < 8; i++) {
        if ((r = wr_chain_reserve(&in, 9000, iov, 2)) < 0)
            goto fail;
        memset(iov[0].base, 'a' + i, iov[0].len);
        wr_chain_commit(&in, iov[0].len < 9000 ? iov[0].len : 9000);
    }
    if ((r = wr_chain_lend(&in, 10000, &v)) < 0)
        goto fail;
    r = wr_view_keep(v, &kept);
    if (r == 0)
        r = wr_view_keep(wr_view_sub(v, 5, 20), &small);
    wr_view_end(&v);
    if (r < 0 || (r = wr_chain_move(&out, &in, 30000)) < 0)
        goto fail;
    for (int i = 0; i < 300; i++)
        if ((r = wr_buf_printf(&buf, "line %d of the answer\n", i)) < 0)
            goto fail;
    frozen = wr_buf_freeze(&buf);
    if ((r = wr_chain_append(&out, &frozen)) < 0 ||
        (r = wr_chain_append_copy(&out, "tail", 4)) < 0)
        goto fail;
    static const char page[100000];
    if ((r = wr_chain_append_copy(&out, page, sizeof page)) < 0 ||
        (r = wr_chain_pullup(&out, 70000, &front)) < 0)
        goto fail;
    for (int i = 0; i < 10; i++)
        if ((r = wr_chain_append(&out, &(struct wr_bytes){"static", 6, NULL})) < 0)
            goto fail;
    wr_chain_validate(&in);
    wr_chain_validate(&out);
    wr_arena_validate(&arena);
    mem_kit_validate(k);
    r = kept.n == 10000 && kept.p[9999] == 'b' - (kept.p[9999] == 'a') ? 0 : -1;
fail:
    wr_bytes_drop(&kept);
    wr_bytes_drop(&small);
    wr_bytes_drop(&frozen);
    wr_chain_deinit(&in);
    wr_chain_deinit(&out);
    wr_buf_deinit(&buf);
    wr_arena_deinit(&arena);
    wr_budget_deinit(&conn);
    mem_kit_validate(k);
    return r;
}

static int scenario(const struct wr_heap *heap, void *modes)
{
    struct mem_kit k;
    int r = mem_kit_init(&k, heap, modes);
    if (r < 0)
        return r;
    r = whole_room(&k);
    mem_kit_deinit(&k);
    return r;
}

/* The same through the library's own fault gate, as WR_MEM=fail=n would do it. */
static void test_own_gate(void)
{
    char modes[64];
    int refused = 0, n = 1;
    for (; n < 10000; n++) {
        struct mem_kit k;
        (void)snprintf(modes, sizeof modes, "slabs,fail=%d", n);
        if (mem_kit_init(&k, wr_heap_libc(), modes) < 0)
            continue;
        int r = whole_room(&k);
        refused += r < 0;
        bool hit = k.mem.failing.fault.refused > 0;
        mem_kit_deinit(&k);
        if (!hit)
            break;
    }
    ok(n > 10 && n < 10000 && refused > 5,
       "fail=n for every n to %d: %d refusals felt, no leak", n, refused);
}

/* Three hundred connections against a worker that cannot hold them: refusals, never more than hard. */
static void test_overload(void)
{
    enum {
        CONNS = 300
    };
    static struct wr_budget conn[CONNS];
    static struct wr_chain in[CONNS];
    struct mem_kit k;
    struct wr_iov iov[1];
    size_t hard = 1 << 20;
    int refused = 0;
    if (mem_kit_init(&k, wr_heap_libc(), "slabs") < 0)
        return;
    wr_budget_set(&k.worker, hard / 2, hard, 0);
    for (int i = 0; i < CONNS; i++) {
        wr_budget_init(&conn[i], &k.worker, "connection", WR_BUDGET_NONE, WR_BUDGET_NONE);
        wr_chain_init(&in[i], &k.blocks, &conn[i]);
    }
    for (int i = 0; i < 30000; i++) {
        struct wr_chain *c = &in[(i * 7919) % CONNS];
        if (wr_chain_len(c) > 30000 || i % 11 == 0)
            wr_chain_consume(c, wr_chain_len(c));
        else if (wr_chain_reserve(c, 4096 + (size_t)(i % 5) * 8000, iov, 1) < 0)
            refused++;
        else
            wr_chain_commit(c, iov[0].len);
        if (i % 500 == 0)
            mem_kit_validate(&k);
    }
    ok(refused > 0, "%d reads refused", refused);
    ok(k.worker.peak <= hard && k.pages.mapped_bytes <= hard + hard / 2,
       "never over hard: peak %zu", k.worker.peak);
    for (int i = 0; i < CONNS; i++) {
        wr_chain_deinit(&in[i]);
        wr_budget_deinit(&conn[i]);
    }
    mem_kit_deinit(&k);
}

int main(void)
{
    static char slabs[] = "slabs,tags", passed[] = "passthrough,poison",
                poison[] = "slabs,poison,cold";
    test_options();
    (void)nth_every("the whole room, slabs and tags", scenario, slabs);
    (void)nth_every("the whole room, poison and cold", scenario, poison);
    (void)nth_every("the whole room, passed through", scenario, passed);
    nth_random("the whole room, slabs", scenario, slabs, 20, 200);
    nth_random("the whole room, passed through", scenario, passed, 20, 200);
    test_own_gate();
    test_overload();
    return tap_done();
}
