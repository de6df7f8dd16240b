/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a deadline costs: base_wheel_bench [connections], a million by default; a few seconds.
 * Connections of 192 bytes are refreshed in random order: by a deadline's stamp, by moving a timer
 * in the wheel, and in a binary heap. "touch" writes one word of the connection and nothing else:
 * what the cache takes anyway. Then a minute of busy connections with 60 s limits passes, and the
 * time spent in wr_wheel_advance is set against that minute.
 */
#include "libweir/base/heap.h"
#include "libweir/base/num.h"
#include "libweir/base/rand.h"
#include "libweir/base/wheel.h"
#include "libweir/os/os.h"

#include <stdio.h>

#define REFRESHES 4000000U
#define LIMIT_MS  60000U

struct conn {
    struct wr_deadline idle; /* its first line is the connection's hot line */
    struct wr_timer eager;
    uint64_t heap_due;
    uint32_t heap_at;
    char rest[64];
} WR_CACHE_ALIGNED;

struct bench {
    struct wr_wheel wheel;
    struct wr_rand rng;
    struct conn *conns;
    uint32_t *heap, *order;
    uint32_t n;
    uint64_t now_ms;
};

typedef void refresh(struct bench *b, struct conn *c);

static void touch(struct bench *b, struct conn *c)
{
    *(volatile uint64_t *)&c->idle.last_ms = b->now_ms;
}

static void lazy(struct bench *b, struct conn *c)
{
    wr_deadline_touch(&c->idle, b->now_ms);
}

static void eager(struct bench *b, struct conn *c)
{
    wr_wheel_arm(&b->wheel, &c->eager, b->now_ms + LIMIT_MS);
}

/* A later due time sinks towards the leaves. */
static void heap(struct bench *b, struct conn *c)
{
    uint32_t at = c->heap_at;
    c->heap_due = b->now_ms + LIMIT_MS;
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= b->n)
            break;
        if (child + 1 < b->n &&
            b->conns[b->heap[child + 1]].heap_due < b->conns[b->heap[child]].heap_due)
            child++;
        if (b->conns[b->heap[child]].heap_due >= c->heap_due)
            break;
        b->heap[at] = b->heap[child];
        b->conns[b->heap[at]].heap_at = at;
        at = child;
    }
    b->heap[at] = (uint32_t)(c - b->conns);
    c->heap_at = at;
}

/* The order is drawn beforehand, so that the draw is not measured. */
static void measure(struct bench *b, const char *name, refresh *fn)
{
    uint64_t start = wr_os_now_ns(CLOCK_THREAD_CPUTIME_ID);
    for (uint32_t i = 0; i < REFRESHES; i++) {
        b->now_ms += i % 256 == 0;
        fn(b, &b->conns[b->order[i]]);
    }
    uint64_t ns = wr_os_now_ns(CLOCK_THREAD_CPUTIME_ID) - start;
    printf("%-22s %6.1f ns per refresh\n", name, (double)ns / REFRESHES);
}

static void expired(struct wr_deadline *d)
{
    wr_container_of(d, struct conn, idle)->heap_due = 0;
}

static void never(struct wr_timer *t)
{
    (void)t;
}

/* Every connection is heard of about six times a minute. The clock is read twice per advance, and that
 * is in the figure. */
static void replace(struct bench *b)
{
    uint64_t ns = 0, worst = 0, ran = 0;
    for (uint32_t i = 0; i < b->n; i++)
        wr_wheel_cancel(&b->conns[i].eager);
    wr_wheel_advance(&b->wheel, b->now_ms);
    for (uint32_t i = 0; i < b->n; i++) {
        wr_deadline_start(&b->conns[i].idle, &b->wheel,
                          b->now_ms - wr_rand_below(&b->rng, LIMIT_MS), LIMIT_MS);
        wr_deadline_touch(&b->conns[i].idle, b->now_ms - wr_rand_below(&b->rng, LIMIT_MS / 6));
    }
    for (uint32_t ms = 1, at = 0; ms <= LIMIT_MS; ms++) {
        b->now_ms++;
        for (uint32_t i = 0; i < b->n / 10000; i++, at = (at + 1) % REFRESHES)
            wr_deadline_touch(&b->conns[b->order[at]].idle, b->now_ms);
        uint64_t start = wr_os_now_ns(CLOCK_THREAD_CPUTIME_ID);
        ran += wr_wheel_advance(&b->wheel, b->now_ms);
        uint64_t took = wr_os_now_ns(CLOCK_THREAD_CPUTIME_ID) - start;
        ns += took;
        worst = took > worst ? took : worst;
    }
    printf("%-22s %6.1f ns per connection and minute: %.3f %% of a core\n", "re-placement",
           (double)ns / b->n, (double)ns / (LIMIT_MS * 1e6) * 100);
    printf("%-22s %6.2f ms; %llu timers ran\n", "longest advance", (double)worst / 1e6,
           (unsigned long long)ran);
}

static int prepare(struct bench *b)
{
    const struct wr_heap *h = wr_heap_libc();
    char *raw = wr_heap_array(h, b->n + 1, sizeof(*b->conns));
    b->heap = wr_heap_array(h, b->n, sizeof(*b->heap));
    b->order = wr_heap_array(h, REFRESHES, sizeof(*b->order));
    if (!raw || !b->heap || !b->order)
        return -1;
    raw += -(uintptr_t)raw % WR_CACHE_LINE;
    b->conns = (struct conn *)(void *)raw;
    wr_rand_init(&b->rng, 1);
    for (uint32_t i = 0; i < REFRESHES; i++)
        b->order[i] = (uint32_t)wr_rand_below(&b->rng, b->n);
    b->now_ms = 1000000;
    wr_wheel_init(&b->wheel, b->now_ms);
    for (uint32_t i = 0; i < b->n; i++) {
        struct conn *c = &b->conns[i];
        c->idle.fn = expired;
        c->eager.fn = never;
        wr_wheel_arm(&b->wheel, &c->eager, b->now_ms + i % LIMIT_MS);
        c->heap_due = b->now_ms + (uint64_t)i * LIMIT_MS / b->n;
        c->heap_at = b->heap[i] = i;
    }
    return 0;
}

/* The memory goes with the process. */
int main(int argc, char **argv)
{
    static struct bench b;
    uint64_t n = 1000000;
    if (argc > 1 && wr_num_parse_between(wr_span_str(argv[1]), 10000, 4000000, &n) < 0) {
        printf("usage: base_wheel_bench [10000 to 4000000 connections]\n");
        return 2;
    }
    b.n = (uint32_t)n;
    if (prepare(&b) < 0) {
        printf("no memory for %u connections\n", b.n);
        return 1;
    }
    printf("%u connections of %zu bytes, random order\n", b.n, sizeof(struct conn));
    measure(&b, "touch", touch);
    measure(&b, "deadline (one store)", lazy);
    measure(&b, "timer moved in wheel", eager);
    measure(&b, "binary heap", heap);
    replace(&b);
    return 0;
}
