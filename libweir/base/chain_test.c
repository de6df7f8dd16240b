/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/chain.h"

#include "libweir/base/err.h"
#include "tests/mem_kit.h"
#include "tests/nth.h"
#include "tests/tap.h"

#include <stdlib.h>

static struct mem_kit kit;
static uint64_t rng = 88172645463325252u;

static unsigned rnd(unsigned n)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (unsigned)(rng >> 33) % n;
}

static struct wr_chain text_chain(const char *text)
{
    struct wr_chain c;
    wr_chain_init(&c, &kit.blocks, NULL);
    if (wr_chain_append_copy(&c, text, strlen(text)) < 0)
        abort();
    return c;
}

static bool holds(const struct wr_chain *c, const char *text)
{
    char got[64] = {0};
    size_t n = wr_chain_copy_out(c, 0, got, sizeof got - 1);
    wr_chain_validate(c);
    return n == strlen(text) && strcmp(got, text) == 0;
}

static void test_read(void)
{
    struct wr_chain c;
    struct wr_iov iov[2];
    wr_chain_init(&c, &kit.blocks, NULL);
    is_int(wr_chain_reserve(&c, 4096, iov, 2), 1, "an empty chain reserves one piece");
    is_int(iov[0].len, 4096, "of the step");
    wr_chain_commit(&c, 0);
    is_int(kit.blocks.live, 0, "nothing read: nothing held");
    is_int(wr_chain_reserve(&c, 4096, iov, 2), 1, "again");
    memcpy(iov[0].base, "GET /", 5);
    wr_chain_commit(&c, 5);
    is_int(wr_chain_reserve(&c, 8000, iov, 2), 2, "then the rest of the block, and another");
    ok(iov[0].len == 4091 && iov[1].len == 4096, "enough together");
    memset(iov[0].base, 'x', iov[0].len);
    memset(iov[1].base, 'y', 100);
    wr_chain_commit(&c, 4091 + 100);
    is_int(wr_chain_len(&c), 4196, "both parts count");
    is_int(wr_chain_iov(&c, iov, 2), 2, "two pieces");
    ok(iov[0].len == 4096 && iov[1].len == 100, "filled in order");
    wr_chain_validate(&c);
    is_int(wr_chain_reserve(&c, 5000, iov, 1), 1, "one piece: what there is");
    is_int(iov[0].len, 3996, "may be less than wanted");
    wr_chain_commit(&c, 3500);
    is_int(wr_chain_reserve(&c, 5000, iov, 1), 1, "but not when hardly anything is left");
    is_int(iov[0].len, 16384, "then a new block");
    wr_chain_commit(&c, 0);
    wr_chain_consume(&c, 4096);
    is_int(kit.blocks.live, 1, "a block goes as soon as its bytes are consumed");
    wr_chain_consume(&c, wr_chain_len(&c));
    is_int(kit.blocks.live, 0, "an empty chain owns nothing");
    wr_chain_deinit(&c);
}

static void test_move(void)
{
    struct wr_chain a = text_chain("hello "), b = text_chain("cruel world"), c;
    is_int(wr_chain_move(&a, &b, 6), 0, "part of a slice");
    ok(holds(&a, "hello cruel ") && holds(&b, "world"), "is shared, not copied");
    is_int(wr_chain_move(&a, &b, 100), 0, "all of it");
    ok(holds(&a, "hello cruel world") && holds(&b, ""), "and is one slice again");
    is_int(a.count, 2, "neighbours are joined");
    is_int(wr_chain_split(&a, 8, &c), 0, "split");
    ok(holds(&c, "hello cr") && holds(&a, "uel world"), "in two");
    is_int(wr_chain_append_copy(&a, "!", 1), 0, "a shared block is closed for writing");
    is_int(wr_chain_append_copy(&c, "?", 1), 0, "for both");
    ok(holds(&c, "hello cr?") && holds(&a, "uel world!"),
       "nobody writes into the other's bytes");
    struct wr_bytes lit = WR_BYTES_LIT("static");
    is_int(wr_chain_append(&c, &lit), 0, "static bytes");
    ok(lit.n == 0 && holds(&c, "hello cr?static"), "are taken");
    struct wr_chain moved = c; /* it may lie anywhere */
    ok(holds(&moved, "hello cr?static"), "moved by assignment");
    wr_chain_deinit(&a);
    wr_chain_deinit(&b);
    wr_chain_deinit(&moved);
    is_int(kit.blocks.live, 0, "none out");
}

static void test_pullup(void)
{
    struct wr_chain c;
    struct wr_span s;
    struct wr_bytes b;
    wr_chain_init(&c, &kit.blocks, NULL);
    for (int i = 0; i < 9; i++)
        if (wr_chain_append(&c, &(struct wr_bytes){&"abcdefghi"[i], 1, NULL}) < 0)
            abort();
    is_int(wr_chain_pullup(&c, 1, &s), 0, "the first byte");
    ok(c.count == 9 && s.n == 1, "needs no copy");
    is_int(wr_chain_pullup(&c, 5, &s), 0, "five");
    ok(c.count == 5 && wr_span_eq(s, WR_LIT("abcde")) && holds(&c, "abcdefghi"),
       "are one piece");
    is_int(wr_chain_pullup(&c, 9, &s), 0, "all");
    ok(c.count == 1 && wr_span_eq(s, WR_LIT("abcdefghi")), "are one piece");
    is_int(wr_chain_take(&c, 3, &b), 0, "take three");
    ok(wr_span_eq(wr_bytes_span(&b), WR_LIT("abc")) && holds(&c, "defghi"), "out of it");
    wr_bytes_drop(&b);
    is_int(wr_chain_pullup(&c, 0, &s), 0, "none");
    wr_chain_deinit(&c);

    /* The end of the pulled part lies inside a slice. */
    c = text_chain("12345");
    struct wr_chain d = text_chain("6789");
    is_int(wr_chain_move(&c, &d, 4), 0, "two slices");
    is_int(wr_chain_pullup(&c, 7, &s), 0, "seven of five and four");
    ok(wr_span_eq(s, WR_LIT("1234567")) && holds(&c, "123456789") && c.count == 2,
       "the rest stays");
    wr_chain_deinit(&c);
}

/* A block that others held was the pool's to pay for, and stays so when they have dropped it: the parts
 * of a full connection divide without a new charge. */
static void test_split_when_full(void)
{
    struct wr_budget conn;
    struct wr_chain c, front;
    struct wr_bytes shared, others, lit = WR_BYTES_LIT("<");
    static char text[300];
    wr_budget_init(&conn, &kit.worker, "connection", WR_BUDGET_NONE, WR_BUDGET_NONE);
    wr_chain_init(&c, &kit.blocks, &conn);
    if (wr_chain_append(&c, &lit) < 0 ||
        wr_bytes_copy(&kit.blocks, wr_span(text, sizeof text), &shared) < 0)
        abort();
    others = wr_bytes_ref(&shared);
    if (wr_chain_append(&c, &shared) < 0)
        abort();
    wr_bytes_drop(&others);
    lit = WR_BYTES_LIT(">");
    if (wr_chain_append(&c, &lit) < 0)
        abort();
    wr_budget_set(&conn, 100, 100, 0);
    int err = wr_chain_split(&c, 301, &front);
    is_int(err, 0, "a full connection's chain splits");
    is_int(wr_chain_len(&c), 1, "what is behind the cut stays");
    if (err == 0) {
        is_int(wr_chain_len(&front), 301, "what is before it is there");
        wr_chain_validate(&front);
        wr_chain_deinit(&front);
    }
    wr_chain_validate(&c);
    wr_chain_deinit(&c);
    ok(conn.used == 0, "and nothing is charged");
    wr_budget_deinit(&conn);
}

/* A long queue that gives at one end and takes at the other, as to a slow reader: sliding the row to its
 * front is paid for by what was consumed, however full the row is. */
static void test_long_queue(void)
{
    enum {
        LONG = 1023,
        ROUNDS = 20000
    };
    struct wr_chain c;
    size_t slid = 0;
    wr_chain_init(&c, &kit.blocks, NULL);
    for (int i = 0; i < LONG + ROUNDS; i++) {
        struct wr_bytes lit = WR_BYTES_LIT("x");
        if (i >= LONG)
            wr_chain_consume(&c, 1);
        uint32_t first = c.first;
        if (wr_chain_append(&c, &lit) < 0)
            abort();
        slid += c.first < first ? c.count : 0;
    }
    ok(slid <= 2 * ROUNDS, "%zu slices slid in %d rounds", slid, ROUNDS);
    wr_chain_validate(&c);
    wr_chain_deinit(&c);
}

static void test_budget(void)
{
    struct wr_budget a, b;
    struct wr_chain x, y;
    char text[20000];
    memset(text, 'z', sizeof text);
    wr_budget_init(&a, &kit.worker, "a", WR_BUDGET_NONE, WR_BUDGET_NONE);
    wr_budget_init(&b, &kit.worker, "b", 16384, 16384);
    wr_chain_init(&x, &kit.blocks, &a);
    wr_chain_init(&y, &kit.blocks, &b);
    is_int(wr_chain_append_copy(&x, text, 20000), 0, "20000 bytes");
    is_int(a.used, 16384 + 4096, "cost a 16K and a 4K block");
    is_int(wr_chain_append_copy(&y, text, 20000), WR_E_BUDGET, "too much for the other");
    ok(wr_chain_len(&y) == 0 && b.used == 0, "which is as it was");
    is_int(wr_chain_move(&y, &x, 20000), WR_E_BUDGET, "nor can it be given all");
    ok(wr_chain_len(&y) == 16384 && wr_chain_len(&x) == 3616, "only what fits");
    ok(a.used == 4096 && b.used == 16384, "the receiver pays from then on");
    struct wr_bytes kept;
    is_int(wr_chain_take(&y, 16000, &kept), 0, "somebody without a budget takes a part");
    is_int(b.used, 0, "the pool pays what is held twice");
    wr_chain_deinit(&x);
    wr_chain_deinit(&y);
    wr_budget_deinit(&a);
    wr_budget_deinit(&b);
    ok(kept.p[15999] == 'z', "bytes outlive the budgets of both chains");
    wr_bytes_drop(&kept);
}

/* Random acts on three chains against plain strings. */
enum {
    CHAINS = 3,
    LIMIT = 60000
};
struct model {
    struct wr_chain c;
    size_t n;
    char text[LIMIT * 2];
};
static struct model m[CHAINS];

static void model_cut(struct model *a, size_t n)
{
    memmove(a->text, a->text + n, a->n - n);
    a->n -= n;
}

static void act_read(struct model *a)
{
    struct wr_iov iov[2];
    size_t want = 1 + rnd(rnd(4) ? 3000 : 30000);
    int pieces = wr_chain_reserve(&a->c, want, iov, 1 + (int)rnd(2));
    size_t got = 0;
    for (int i = 0; i < pieces; i++)
        for (size_t j = 0; j < iov[i].len && got < want; j++)
            ((char *)iov[i].base)[j] = a->text[a->n + got++] = (char)rnd(256);
    wr_chain_commit(&a->c, got);
    a->n += got;
}

static void act_copy(struct model *a)
{
    size_t n = rnd(rnd(4) ? 300 : 30000);
    for (size_t i = 0; i < n; i++)
        a->text[a->n + i] = (char)rnd(256);
    if (wr_chain_append_copy(&a->c, a->text + a->n, n) < 0)
        abort();
    a->n += n;
}

static void act_move(struct model *a, struct model *b)
{
    size_t n = rnd((unsigned)b->n + 1);
    if (wr_chain_move(&a->c, &b->c, n) < 0)
        abort();
    memcpy(a->text + a->n, b->text, n);
    a->n += n;
    model_cut(b, n);
}

static void act_take(struct model *a, struct model *b)
{
    struct wr_bytes t;
    size_t n = rnd((unsigned)(a->n < 20000 ? a->n : 20000) + 1);
    if (wr_chain_take(&a->c, n, &t) < 0)
        abort();
    model_cut(a, n);
    memcpy(b->text + b->n, t.p ? t.p : "", n);
    b->n += n;
    if (wr_chain_append(&b->c, &t) < 0)
        abort();
}

static void act(struct model *a, struct model *b)
{
    struct wr_span s;
    size_t n = rnd((unsigned)a->n + 1);
    switch (rnd(7)) {
    case 0:
    case 1:
        act_read(a);
        break;
    case 2:
        act_copy(a);
        break;
    case 3:
        wr_chain_consume(&a->c, n);
        model_cut(a, n);
        break;
    case 4:
        act_move(a, b);
        break;
    case 5:
        act_take(a, b);
        break;
    default:
        if (wr_chain_pullup(&a->c, n < 30000 ? n : 30000, &s) < 0 ||
            memcmp(s.p, a->text, s.n) != 0)
            abort();
        break;
    }
}

static void test_random(void)
{
    static char got[LIMIT * 2];
    bool same = true;
    for (int i = 0; i < CHAINS; i++) {
        wr_chain_init(&m[i].c, &kit.blocks, NULL);
        m[i].n = 0;
    }
    for (int step = 0; step < 6000; step++) {
        unsigned i = rnd(CHAINS), j = (i + 1 + rnd(CHAINS - 1)) % CHAINS;
        act(&m[i], &m[j]);
        for (unsigned x = 0; x < CHAINS; x++) {
            if (m[x].n > LIMIT / 2) {
                wr_chain_consume(&m[x].c, m[x].n);
                m[x].n = 0;
            }
            wr_chain_validate(&m[x].c);
            if (step % 10 == 0) {
                size_t n = wr_chain_copy_out(&m[x].c, 0, got, sizeof got);
                same &= n == m[x].n && memcmp(got, m[x].text, n) == 0;
            }
        }
        if (step % 100 == 0)
            mem_kit_validate(&kit);
    }
    ok(same, "6000 random acts on three chains: always the bytes of the model");
    for (int i = 0; i < CHAINS; i++)
        wr_chain_deinit(&m[i].c);
    is_int(kit.blocks.live, 0, "none out");
}

static void with(const char *modes)
{
    if (mem_kit_init(&kit, wr_heap_libc(), modes) < 0)
        abort();
    test_read();
    test_move();
    test_pullup();
    test_long_queue();
    test_budget();
    test_split_when_full();
    test_random();
    mem_kit_validate(&kit);
    mem_kit_deinit(&kit);
}

/* Each act once, so often that slices outgrow the chain itself; what is refused leaves it sound. */
static int acts(struct mem_kit *k, struct wr_chain *a, struct wr_chain *b)
{
    static char page[5000];
    struct wr_iov iov[2];
    struct wr_bytes taken;
    struct wr_chain tail;
    struct wr_span s;
    int rc = 0;
    for (int i = 0; i < 12 && rc >= 0; i++) {
        struct wr_bytes bytes;
        if ((rc = wr_bytes_copy(&k->blocks, wr_span(page, 300), &bytes)) < 0)
            return rc;
        rc = wr_chain_append(a, &bytes);
        wr_bytes_drop(&bytes);
        wr_chain_validate(a);
    }
    if (rc < 0 || (rc = wr_chain_append_copy(a, page, sizeof page)) < 0 ||
        (rc = wr_chain_reserve(a, 6000, iov, 2)) < 0)
        return rc;
    wr_chain_commit(a, 100);
    if ((rc = wr_chain_pullup(a, 1000, &s)) < 0 || (rc = wr_chain_move(b, a, 4000)) < 0 ||
        (rc = wr_chain_take(b, 700, &taken)) < 0)
        return rc;
    wr_bytes_drop(&taken);
    if ((rc = wr_chain_split(b, 1500, &tail)) < 0)
        return rc;
    wr_chain_validate(&tail);
    wr_chain_deinit(&tail);
    return 0;
}

static int refused(const struct wr_heap *heap, void *modes)
{
    struct mem_kit k;
    struct wr_chain a, b;
    int rc = mem_kit_init(&k, heap, modes);
    if (rc < 0)
        return rc;
    wr_chain_init(&a, &k.blocks, &k.worker);
    wr_chain_init(&b, &k.blocks, &k.worker);
    rc = acts(&k, &a, &b);
    wr_chain_validate(&a);
    wr_chain_validate(&b);
    wr_chain_deinit(&a);
    wr_chain_deinit(&b);
    mem_kit_validate(&k);
    mem_kit_deinit(&k);
    return rc;
}

int main(void)
{
    with("slabs,poison");
    with("passthrough");
    char slabs[] = "slabs,poison", passed[] = "passthrough";
    nth_every("chain, slabs", refused, slabs);
    nth_every("chain, passed through", refused, passed);
    nth_random("chain, passed through", refused, passed, 10, 200);
    return tap_done();
}
