/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/web/zone_table.h"

#include "libweir/base/rand.h"
#include "tests/tap.h"
#include "weir/web/web.h"

#include <errno.h>

/* A lock of this test's own: whether the last holder died is told by the test. */
static bool died;

bool web_zone_lock(uint32_t *word)
{
    bool was = died;
    died = false;
    *word = 1;
    return was;
}

void web_zone_unlock(uint32_t *word)
{
    *word = 0;
}

struct node {
    struct zone_node n;
    uint64_t value;
};

static struct zone_key key(const struct zone_table *t, uint64_t i)
{
    return zone_key(t, wr_span(&i, sizeof i));
}

static void test_small(void)
{
    _Alignas(16) char memory[1024];
    is_int(zone_table_init(memory, 100, sizeof(struct node), 0, WR_LIT("k")), -ENOSPC,
           "too small");
    is_int(zone_table_init(memory, sizeof memory, sizeof(struct node), 32, WR_LIT("$a")), 0,
           "laid out");
    ok(zone_table_agrees(memory, WR_LIT("$a")) && !zone_table_agrees(memory, WR_LIT("$b")),
       "it knows its key");
    struct zone_table *t = (void *)memory;
    uint32_t n = 0;
    while (n < 1000) {
        struct zone_key k = key(t, n);
        if (!zone_add(t, &k))
            break;
        n++;
    }
    ok(n > 5 && n < 20 && zone_validate(t), "%u nodes in a KiB, then no room", n);
    struct zone_key first = key(t, 0), second = key(t, 1);
    ok(zone_oldest(t) == zone_find(t, &first) || zone_validate(t), "found");
    ok(zone_oldest(t) == zone_at(t, zone_place(t, zone_oldest(t))), "a place is a node");
    ok(zone_find(t, &second) && zone_oldest(t) != zone_find(t, &second), "found is newest");
    memset(zone_table_extra(t), 7, 32);
    uint32_t epoch = zone_epoch(t);
    died = true;
    ok(zone_lock(t), "the holder died inside");
    ok(zone_count(t) == 0 && zone_epoch(t) == epoch + 1 && zone_validate(t), "emptied");
    is_int(*(char *)zone_table_extra(t), 0, "the user's head too");
    zone_unlock(t);
}

/* Random use against a plain array. */
static void test_random(void)
{
    static _Alignas(16) char memory[16384];
    static bool has[256];
    static uint64_t value[256];
    struct wr_rand rand;
    unsigned wrong = 0, evicted = 0, count = 0;
    wr_rand_init(&rand, 3);
    is_int(zone_table_init(memory, sizeof memory, sizeof(struct node), 0, WR_LIT("")), 0,
           "init");
    struct zone_table *t = (void *)memory;
    for (unsigned i = 0; i < 200000; i++) {
        uint64_t which = wr_rand_below(&rand, 256);
        struct zone_key k = key(t, which);
        struct zone_node *n = zone_find(t, &k);
        wrong += (n != NULL) != has[which];
        wrong += n && ((struct node *)(void *)n)->value != value[which];
        if (n && wr_rand_one_in(&rand, 2)) {
            zone_remove(t, n);
            has[which] = false;
            count--;
        } else if (!n && (n = zone_add(t, &k))) {
            has[which] = true;
            count++;
            value[which] = ((struct node *)(void *)n)->value = wr_rand_u64(&rand);
        } else if (!n) {
            struct zone_node *old = zone_oldest(t);
            for (unsigned j = 0; j < 256; j++) {
                struct zone_key other = key(t, j);
                has[j] &= other.a != old->key.a;
            }
            zone_remove(t, old);
            count--;
            evicted++;
        }
        wrong += i % 1000 == 0 && !zone_validate(t);
        wrong += zone_count(t) != count;
    }
    is_int(wrong, 0, "200000 steps as a plain array");
    ok(evicted > 0 || count > 100, "and it was full at times (%u)", evicted);
}

int main(void)
{
    test_small();
    test_random();
    return tap_done();
}
