/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/bytes.h"

#include "libweir/base/assert.h"
#include "libweir/base/buf.h"
#include "libweir/base/chain.h"
#include "libweir/base/err.h"
#include "tests/mem_kit.h"
#include "tests/tap.h"

#include <setjmp.h>
#include <stdlib.h>

static struct mem_kit kit;
static jmp_buf panicked;
static char panic_text[512];

static void on_panic(const char *message)
{
    (void)snprintf(panic_text, sizeof panic_text, "%s", message);
    longjmp(panicked, 1);
}

/*
 * The bug: a reader reuses one buffer for every read, and the packets it hands out are slices of it.
 * The worker that gets the packet later sees the bytes of the next one. Here the worker must keep what
 * it wants to use later, and the type of the queue (wr_bytes) says so; see also
 * tests/compile_fail/view_as_bytes.c. What remains is keeping too late, which must name both places.
 */
static struct wr_view lend_packet(struct wr_block *b, int *line)
{
    memset(b->data, 'A', 1000);
    *line = __LINE__ + 1;
    return wr_view_lend(b, b->data, 1000);
}

static bool keep_panics(struct wr_view v, struct wr_bytes *out, int *line)
{
    wr_panic_hook *old = wr_panic_set_hook(on_panic);
    volatile bool panics = true;
    *line = __LINE__ + 2;
    if (setjmp(panicked) == 0) {
        panics = wr_view_keep(v, out) < 0;
        panics = false;
    }
    (void)wr_panic_set_hook(old);
    return panics;
}

static void test_stale(void)
{
    struct wr_block *b;
    struct wr_bytes kept, late = {0};
    int lent_line, kept_line;
    char lent_at[64], kept_at[64];
    if (wr_block_take(&kit.blocks, NULL, 16384, &b) < 0)
        abort();
    struct wr_view v = lend_packet(b, &lent_line), copy = v;
    ok(!keep_panics(v, &kept, &kept_line), "kept in time");
    is_int(kept.n, 1000, "all of it");
    wr_view_end(&v);
    ok(!v.block && v.s.n == 0, "the lender's view is empty");
    ok(kept.p[0] == 'A' && kept.p[999] == 'A', "what was kept stands, poison or not");
    ok(keep_panics(copy, &late, &kept_line), "kept too late: panic");
    (void)snprintf(lent_at, sizeof lent_at, "bytes_test.c:%d", lent_line);
    (void)snprintf(kept_at, sizeof kept_at, "bytes_test.c:%d", kept_line);
    ok(strstr(panic_text, lent_at), "it names where they were lent: %s", panic_text);
    ok(strstr(panic_text, kept_at), "and where they were kept");
    wr_bytes_drop(&kept);

    /* The block is dropped and taken again: the old view is stale for that reason too. */
    v = lend_packet(b, &lent_line);
    wr_block_drop(&b);
    if (!kit.mem.opt.passthrough) {
        if (wr_block_take(&kit.blocks, NULL, 16384, &b) < 0)
            abort();
        ok(keep_panics(v, &late, &kept_line),
           "a view of an earlier life of the block is stale");
        wr_block_drop(&b);
    }
}

static void test_reader_takes_another_block(void)
{
    struct wr_chain in;
    struct wr_iov iov[1];
    struct wr_view v;
    struct wr_bytes packet[20];
    bool intact = true;
    wr_chain_init(&in, &kit.blocks, NULL);
    for (int i = 0; i < 20; i++) {
        if (wr_chain_reserve(&in, 4096, iov, 1) < 0)
            abort();
        memset(iov[0].base, 'a' + i, 300);
        wr_chain_commit(&in, 300);
        if (wr_chain_lend(&in, 300, &v) < 0 || wr_view_keep(v, &packet[i]) < 0)
            abort();
        wr_view_end(&v);
        wr_chain_consume(&in, 300);
    }
    for (int i = 0; i < 20; i++) {
        for (size_t j = 0; j < 300; j++)
            intact &= packet[i].p[j] == 'a' + i;
        wr_bytes_drop(&packet[i]);
    }
    ok(intact, "twenty packets kept from one reader: each has its own bytes");
    wr_chain_deinit(&in);
}

static void test_closed_for_writing(void)
{
    struct wr_block *b, *second;
    wr_panic_hook *old = wr_panic_set_hook(on_panic);
    volatile bool panics = true;
    if (wr_block_take(&kit.blocks, NULL, 4096, &b) < 0)
        abort();
    second = wr_block_ref(b);
    if (setjmp(panicked) == 0) {
        (void)wr_block_open(b);
        panics = false;
    }
    (void)wr_panic_set_hook(old);
    ok(panics && strstr(panic_text, "bytes_test.c") && strstr(panic_text, "2 hold it"),
       "a writer into a held block is stopped: %s", panic_text);
    wr_block_drop(&second);
    ok(wr_block_open(b), "alone it may write");
    wr_block_drop(&b);
}

static void test_small_copies(void)
{
    struct wr_block *b;
    struct wr_bytes k = {0};
    if (wr_block_take(&kit.blocks, NULL, 16384, &b) < 0)
        abort();
    memset(b->data, 'x', 16384);
    struct wr_view v = wr_view_lend(b, b->data, 16384);
    ok(wr_view_keep(wr_view_sub(v, 100, 255), &k) == 0 && k.block != b, "255 bytes are copied");
    ok(wr_block_writable(b), "and do not pin 16 KiB");
    wr_bytes_drop(&k);
    ok(wr_view_keep(wr_view_sub(v, 100, 256), &k) == 0 && k.block == b, "256 are a reference");
    is_int(k.n, 256, "of the right length");
    wr_bytes_drop(&k);
    wr_bytes_drop(&k);
    ok(wr_view_keep(wr_view_static(WR_LIT("for ever")), &k) == 0 && !k.block,
       "static bytes cost nothing");
    ok(wr_view_keep(wr_view_sub(v, 5, 0), &k) == 0 && !k.block, "nor do none");
    wr_view_end(&v);
    if (kit.mem.opt.poison && !WR_ASAN)
        is_int((unsigned char)b->data[7], WR_MEM_DEAD,
               "poison: what was lent and not kept is dead");
    wr_block_drop(&b);
}

static void test_bytes(void)
{
    struct wr_bytes a = {0}, lit = WR_BYTES_LIT("literal");
    char text[5000];
    memset(text, 't', sizeof text);
    is_int(wr_bytes_copy(&kit.blocks, wr_span(text, sizeof text), &a), 0, "copy");
    struct wr_bytes part = wr_bytes_sub(&a, 10, 20), none = wr_bytes_sub(&a, 6000, 1);
    is_int(a.block->refs, 2, "a part is one more holder; nothing is none");
    ok(part.n == 20 && part.p == a.p + 10 && none.n == 0, "of the same bytes");
    struct wr_bytes moved = wr_bytes_take(&a);
    ok(!a.block && moved.n == 5000, "ownership moves");
    wr_bytes_drop(&moved);
    ok(part.p[0] == 't', "the part outlives the whole");
    wr_bytes_drop(&part);
    wr_bytes_drop(&lit);
    wr_bytes_drop(&none);
    is_int(kit.blocks.live, 0, "none out");
}

static void with(const char *modes)
{
    if (mem_kit_init(&kit, wr_heap_libc(), modes) < 0)
        abort();
    test_stale();
    test_reader_takes_another_block();
    test_closed_for_writing();
    test_small_copies();
    test_bytes();
    mem_kit_validate(&kit);
    mem_kit_deinit(&kit);
}

int main(void)
{
    with("slabs");
    with("slabs,poison,tags");
    with("passthrough,poison");
    return tap_done();
}
