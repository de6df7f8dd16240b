/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/mem_pool.h"

#include "libweir/base/assert.h"
#include "tests/mem_kit.h"
#include "tests/nth.h"
#include "tests/tap.h"

#include <setjmp.h>
#include <stdlib.h>

static uint64_t rng = 88172645463325252u;

static unsigned rnd(unsigned n)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (unsigned)(rng >> 33) % n;
}

static jmp_buf panicked;
static char panic_text[512];

static void on_panic(const char *message)
{
    (void)snprintf(panic_text, sizeof panic_text, "%s", message);
    longjmp(panicked, 1);
}

/* True if the statement panics. */
#define PANICS(statement)                                  \
    (__extension__({                                       \
        wr_panic_hook *old_ = wr_panic_set_hook(on_panic); \
        volatile bool did_ = true;                         \
        if (setjmp(panicked) == 0) {                       \
            statement;                                     \
            did_ = false;                                  \
        }                                                  \
        (void)wr_panic_set_hook(old_);                     \
        did_;                                              \
    }))

static void test_lifo(const char *modes, bool lifo)
{
    struct mem_kit k;
    struct wr_pool p;
    is_int(mem_kit_init(&k, wr_heap_libc(), modes), 0, "kit with %s", modes);
    wr_pool_init(&p, &k.mem, &k.worker, "test", 100);
    void *a = wr_pool_get(&p), *b = wr_pool_get(&p);
    ok(a && b && a != b && (uintptr_t)a % 16 == 0, "two objects, aligned");
    wr_pool_put(&p, a);
    void *c = wr_pool_get(&p);
    ok((c == a) == lifo, "%s is got first", lifo ? "the last put" : "the coldest");
    wr_pool_put(&p, b);
    wr_pool_put(&p, c);
    wr_pool_put(&p, NULL);
    is_int(wr_pool_live(&p), 0, "none live");
    wr_pool_validate(&p);
    wr_pool_deinit(&p);
    mem_kit_deinit(&k);
}

/* Random gets and puts of each size; every object carries its number in its first and last bytes. */
static void churn(size_t size, const char *modes)
{
    enum {
        N = 3000
    };
    static unsigned char *o[N];
    struct mem_kit k;
    struct wr_pool p;
    bool intact = true;
    if (mem_kit_init(&k, wr_heap_libc(), modes) < 0)
        abort();
    wr_pool_init(&p, &k.mem, &k.worker, "churn", size);
    for (int step = 0; step < 30000; step++) {
        unsigned i = rnd(N);
        if (o[i]) {
            intact &= o[i][0] == (unsigned char)i && o[i][size - 1] == (unsigned char)i;
            wr_pool_put(&p, o[i]);
            o[i] = NULL;
        } else if ((o[i] = wr_pool_get(&p))) {
            memset(o[i], (unsigned char)i, size);
        }
        if (step % 1000 == 0) {
            wr_pool_validate(&p);
            (void)wr_mem_tick(&k.mem, (uint64_t)step);
            wr_pool_validate(&p);
        }
    }
    for (unsigned i = 0; i < N; i++) {
        wr_pool_put(&p, o[i]);
        o[i] = NULL;
    }
    wr_pool_validate(&p);
    is_int(k.worker.used - k.blocks.budget.used, p.stats.resident_bytes,
           "charge is what is resident");
    wr_pool_deinit(&p);
    ok(intact, "objects of %zu bytes with %s: nobody's bytes in another's", size, modes);
    mem_kit_deinit(&k);
}

/* Ticks alone, as in a process that sleeps, give the memory back and then come to rest. */
static void test_gives_back(void)
{
    enum {
        N = 20000
    };
    static void *o[N];
    struct mem_kit k;
    struct wr_pool p;
    uint64_t now = 1000, next;
    if (mem_kit_init(&k, wr_heap_libc(), "slabs") < 0)
        abort();
    wr_pool_init(&p, &k.mem, &k.worker, "spike", 500);
    for (int i = 0; i < N; i++)
        o[i] = wr_pool_get(&p);
    size_t peak = p.stats.resident_bytes, largest = 0;
    (void)wr_mem_tick(&k.mem, now);
    for (int i = 0; i < N; i++)
        if (i % 20)
            wr_pool_put(&p, o[i]);
    is_int(p.stats.resident_bytes, peak, "put alone gives nothing back");
    for (next = now + WR_MEM_PERIOD_MS; next != UINT64_MAX && now < 10000;) {
        size_t before = p.stats.resident_bytes;
        now = next;
        next = wr_mem_tick(&k.mem, now);
        if (before - p.stats.resident_bytes > largest)
            largest = before - p.stats.resident_bytes;
        wr_pool_validate(&p);
    }
    ok(now <= 4000, "at rest after %llu ms", (unsigned long long)now - 1000);
    ok(largest <= WR_MEM_STEP_BYTES + WR_PAGES_UNIT, "no step larger than the bound: %zu",
       largest);
    ok(p.stats.resident_bytes < peak / 2,
       "of %zu bytes %zu are left, with one object in 20 alive", peak, p.stats.resident_bytes);
    is_int(wr_mem_tick(&k.mem, now + 1000000), UINT64_MAX, "and it stays at rest");
    for (int i = 0; i < N; i += 20)
        wr_pool_put(&p, o[i]);
    ok(wr_mem_trim(&k.mem) > 0 && p.stats.resident_bytes == 0, "trim gives back everything");
    is_int(k.worker.used, 0, "and its charge");
    wr_pool_deinit(&p);
    mem_kit_deinit(&k);
}

/* After a pile-up whose survivors lie in every page: looking for more to give back is bounded in each
 * step, and ends although the process goes on. */
static void test_searches_once(void)
{
    enum {
        N = 31 * 600
    };
    static void *o[N];
    struct mem_kit k;
    struct wr_pool p;
    uint64_t now = 1000, largest = 0;
    if (mem_kit_init(&k, wr_heap_libc(), "slabs") < 0)
        abort();
    wr_pool_init(&p, &k.mem, &k.worker, "two a page", 2048);
    for (int i = 0; i < N; i++)
        o[i] = wr_pool_get(&p);
    for (int i = 0; i < N; i += 2)
        wr_pool_put(&p, o[i]);
    for (int step = 0; step < 4000; step++, now++) {
        uint64_t before = p.stats.searched;
        wr_pool_put(&p, wr_pool_get(&p));
        (void)wr_mem_tick(&k.mem, now);
        if (p.stats.searched - before > largest)
            largest = p.stats.searched - before;
    }
    wr_pool_validate(&p);
    ok(p.stats.slabs >= 600, "%zu slabs", p.stats.slabs);
    ok(largest <= 128, "the longest step searched %d of them", (int)largest);
    ok(p.stats.searched <= 1200, "four busy seconds searched %d", (int)p.stats.searched);
    for (int i = 1; i < N; i += 2)
        wr_pool_put(&p, o[i]);
    ok(wr_mem_trim(&k.mem) > 0 && p.stats.resident_bytes == 0, "what is put is found again");
    wr_pool_deinit(&p);
    mem_kit_deinit(&k);
}

static void test_budget(void)
{
    struct mem_kit k;
    struct wr_pool p;
    void *o[40];
    if (mem_kit_init(&k, wr_heap_libc(), "slabs") < 0)
        abort();
    wr_pool_init(&p, &k.mem, &k.worker, "limited", 4000);
    wr_budget_set(&k.process, 65536, 65536, 0);
    int n = 0;
    while (n < 40 && (o[n] = wr_pool_get(&p)))
        n++;
    ok(n >= 12 && n <= 16, "a limit of 64 KiB gives %d objects of 4000", n);
    is_int(p.stats.refused, 1, "the refusal is counted");
    wr_pool_put(&p, o[--n]);
    ok((o[n++] = wr_pool_get(&p)), "after a put there is one again");
    while (n > 0)
        wr_pool_put(&p, o[--n]);
    wr_pool_deinit(&p);
    mem_kit_deinit(&k);
}

static void on_nothing(struct wr_budget_waiter *w, int err)
{
    if (err == 0)
        wr_budget_release(w->budget, w->n);
}

/* Who is refused must not keep from another what is left. */
static void test_refused_keeps_nothing(void)
{
    struct mem_kit k;
    struct wr_pool p;
    struct wr_budget_waiter w;
    struct wr_block *b;
    if (mem_kit_init(&k, wr_heap_libc(), "slabs") < 0)
        abort();
    wr_pool_init(&p, &k.mem, &k.worker, "large", 4096);
    wr_budget_set(&k.process, WR_PAGE, WR_PAGE, 0);
    ok(!wr_pool_get(&p), "an object needs two pages, there is one");
    is_int(k.process.used, 0, "the refused get holds nothing");
    int r = wr_budget_wait(&k.worker, &w, WR_PAGE, on_nothing);
    is_int(r, 1, "so nobody waits for nothing");
    if (r == 1)
        wr_budget_release(&k.worker, WR_PAGE);
    ok(wr_block_take(&k.blocks, NULL, 4096, &b) < 0, "a block needs its header's page as well");
    for (uint64_t now = 1000, next = 0; next != UINT64_MAX && now < 10000; now = next)
        next = wr_mem_tick(&k.mem, now);
    is_int(k.process.used, 0, "a refused block holds nothing when the ticks have come to rest");
    is_int(k.pages.mapped_bytes, 0, "not even addresses");
    wr_pool_deinit(&p);
    mem_kit_deinit(&k);
}

static struct wr_pool *woken_pool;
static void *woken;

static void on_woken(struct wr_budget_waiter *w, int err)
{
    wr_budget_release(w->budget, w->n);
    woken = err == 0 ? wr_pool_get(woken_pool) : NULL;
}

/* Memory kept for speed must not keep anybody waiting. */
static void test_pressure(void)
{
    struct mem_kit k;
    struct wr_pool p, other;
    struct wr_budget_waiter w;
    void *o[10];
    if (mem_kit_init(&k, wr_heap_libc(), "slabs") < 0)
        abort();
    wr_pool_init(&p, &k.mem, &k.worker, "p", 8000);
    wr_pool_init(&other, &k.mem, &k.worker, "other", 8000);
    for (int i = 0; i < 6; i++)
        o[i] = wr_pool_get(&p);
    wr_budget_set(&k.process, k.process.used, k.process.used, 0);
    ok(!wr_pool_get(&other), "full");
    is_int(wr_budget_wait(&k.worker, &w, 12288, on_woken), 0, "parked");
    woken_pool = &other;
    for (int i = 5; i >= 0; i--)
        wr_pool_put(&p, o[i]);
    ok(woken, "puts to one pool wake who waits for another, without a tick");
    wr_pool_put(&other, woken);
    wr_pool_validate(&p);
    wr_pool_validate(&other);
    wr_pool_deinit(&p);
    wr_pool_deinit(&other);
    mem_kit_deinit(&k);
}

static struct mem_kit *soft_kit;
static struct wr_pool *soft_pool;
static int soft_calls;

/* What a server does at a soft mark: let go of this and that, write a line, give back what is free. */
static void on_soft(struct wr_budget *b, bool over)
{
    (void)b;
    if (!over)
        return;
    soft_calls++;
    void *o[70] = {0};
    for (int i = 0; i < 70; i++)
        o[i] = wr_pool_get(soft_pool);
    for (int i = 0; i < 70; i++)
        wr_pool_put(soft_pool, o[i]);
    if (soft_calls % 3)
        (void)wr_mem_trim(&soft_kit->mem);
}

/* The charge of a page calls somebody who trims the pool that asked for it. */
static void test_soft_mark(size_t size)
{
    enum {
        N = 200
    };
    static void *o[N];
    struct mem_kit k;
    struct wr_pool p;
    bool intact = true;
    if (mem_kit_init(&k, wr_heap_libc(), "slabs") < 0)
        abort();
    wr_pool_init(&p, &k.mem, &k.worker, "soft", size);
    soft_kit = &k;
    soft_pool = &p;
    soft_calls = 0;
    k.worker.on_soft = on_soft;
    for (int i = 0; i < N; i++) {
        size_t head =
            i % 3 ? 0 : WR_PAGE; /* the next page crosses it, or the one behind that */
        wr_budget_set(&k.worker, k.worker.used + head, WR_BUDGET_NONE, 0);
        o[i] = wr_pool_get(&p);
        memset(o[i], i, size);
        wr_pool_validate(&p);
    }
    for (int i = 0; i < N; i++) {
        intact &= *(unsigned char *)o[i] == i && ((unsigned char *)o[i])[size - 1] == i;
        wr_pool_put(&p, o[i]);
    }
    ok(intact && soft_calls > 0, "objects of %zu, %d soft marks: nobody's bytes in another's",
       size, soft_calls);
    k.worker.on_soft = NULL;
    wr_pool_deinit(&p);
    is_int(k.worker.used, 0, "and every charge is back");
    mem_kit_deinit(&k);
}

static void *taken[64];

static void on_feast(struct wr_budget_waiter *w, int err)
{
    wr_budget_release(w->budget, w->n);
    for (int i = 0; err == 0 && i < 64; i++)
        taken[i] = wr_pool_get(woken_pool);
}

/* What a trim gave back is not less because somebody who waited for it takes more than that. */
static void test_trim_wakes(void)
{
    struct mem_kit k;
    struct wr_pool p;
    struct wr_budget_waiter w;
    void *o[8];
    if (mem_kit_init(&k, wr_heap_libc(), "slabs") < 0)
        abort();
    wr_pool_init(&p, &k.mem, &k.worker, "trimmed", 4096);
    for (int i = 0; i < 8; i++)
        o[i] = wr_pool_get(&p);
    wr_pool_put(&p, o[7]);
    size_t limit = k.process.used + 2 * WR_PAGE;
    wr_budget_set(&k.process, limit, limit, 0);
    woken_pool = &p;
    is_int(wr_budget_wait(&k.worker, &w, 3 * WR_PAGE, on_feast), 0, "parked");
    is_int(wr_mem_trim(&k.mem), WR_PAGE, "a trim gives back one page");
    ok(taken[0] && taken[2], "and whoever is woken by it takes three");
    for (int i = 0; i < 64; i++)
        wr_pool_put(&p, taken[i]);
    for (int i = 0; i < 7; i++)
        wr_pool_put(&p, o[i]);
    wr_pool_deinit(&p);
    mem_kit_deinit(&k);
}

/* ---- debug modes --------------------------------------------------------------------------------- */
static void test_faults(void)
{
    struct mem_kit k;
    struct wr_pool p;
    if (mem_kit_init(&k, wr_heap_libc(), "slabs,poison") < 0)
        abort();
    wr_pool_init(&p, &k.mem, NULL, "widgets", 64);
    void *a = wr_pool_get(&p);
    wr_pool_put(&p, a);
#if !WR_ASAN
    ((char *)a)[10] = 'x';
    ok(PANICS((void)!wr_pool_get(&p)), "a write after put is found at the next get");
    ok(strstr(panic_text, "widgets") && strstr(panic_text, "byte 10"), "and named: %s",
       panic_text);
    p.stats.live--; /* the get that did not return */
    ((char *)a)[10] = (char)WR_MEM_DEAD;
    p.stacked++;
#endif
    void *b = wr_pool_get(&p);
    ok(PANICS(wr_pool_deinit(&p)), "an object still out at the end is a panic");
    ok(strstr(panic_text, "widgets: 1 objects"), "that names pool and number");
    wr_pool_put(&p, b);
    (void)wr_pool_trim(&p);
    wr_pool_deinit(&p);
    mem_kit_deinit(&k);
}

static void test_double_put(void)
{
    struct mem_kit k;
    struct wr_pool p;
    if (mem_kit_init(&k, wr_heap_libc(), "slabs") < 0)
        abort();
    wr_pool_init(&p, &k.mem, NULL, "twice", 64);
    void *a = wr_pool_get(&p), *b = wr_pool_get(&p);
    wr_pool_put(&p, a);
    wr_pool_put(&p, a);
    ok(PANICS((void)wr_pool_trim(&p)),
       "putting back twice is found when the slot goes to its slab");
    (void)b; /* the pool is broken on purpose; its slab goes with the page source */
    while (k.mem.pools != &p)
        k.mem.pools = k.mem.pools->next;
    k.pages.pages.unmap(&k.pages, (void *)((uintptr_t)a & ~(uintptr_t)(WR_PAGES_UNIT - 1)),
                        WR_PAGES_UNIT);
}

static size_t leak_objects, leak_bytes;
static int leak_line, leak_sites;

static void on_leak(void *arg, const struct wr_site *site, size_t objects, size_t bytes)
{
    (void)arg;
    leak_sites++;
    leak_objects = objects;
    leak_bytes = bytes;
    leak_line = site->line;
}

static void test_tags(const char *modes)
{
    struct mem_kit k;
    struct wr_pool p;
    void *o[3];
    if (mem_kit_init(&k, wr_heap_libc(), modes) < 0)
        abort();
    wr_pool_init(&p, &k.mem, NULL, "tagged", 50);
    void *fine = wr_pool_get(&p);
    for (int i = 0; i < 3; i++)
        o[i] = wr_pool_zget(&p);
    int line = __LINE__ - 1;
    wr_pool_put(&p, fine);
    leak_sites = 0;
    is_int(wr_mem_leaks(&k.mem, on_leak, NULL), 3, "%s: three objects are out", modes);
    ok(leak_sites == 1 && leak_objects == 3 && leak_bytes == 150 && leak_line == line,
       "all from line %d", leak_line);
    for (int i = 0; i < 3; i++)
        wr_pool_put(&p, o[i]);
    is_int(wr_mem_leaks(&k.mem, NULL, NULL), 0, "none after");
    wr_pool_deinit(&p);
    mem_kit_deinit(&k);
}

static int pool_scenario(const struct wr_heap *heap, void *arg)
{
    struct mem_kit k;
    struct wr_pool p;
    void *o[200] = {0};
    int r = mem_kit_init(&k, heap, arg);
    if (r < 0)
        return r;
    wr_pool_init(&p, &k.mem, &k.worker, "nth", 1000);
    for (int i = 0; i < 200 && r == 0; i++)
        r = (o[i] = wr_pool_get(&p)) ? 0 : -1;
    for (int i = 0; i < 200; i++)
        wr_pool_put(&p, o[i]);
    wr_pool_deinit(&p);
    mem_kit_deinit(&k);
    return r;
}

int main(void)
{
    static char slabs[] = "slabs,tags", passed[] = "passthrough";
    static const size_t sizes[] = {1, 16, 40, 512, 1000, 4080, 4096, 5000, WR_POOL_MAX_SIZE};
    test_lifo("slabs", true);
    test_lifo("slabs,cold", false);
    for (size_t i = 0; i < WR_ARRAY_LEN(sizes); i++)
        churn(sizes[i], "slabs");
    churn(100, "slabs,poison,tags");
    churn(100, "slabs,cold,poison");
    churn(100, "passthrough,tags,poison");
    test_gives_back();
    test_searches_once();
    test_budget();
    test_refused_keeps_nothing();
    test_pressure();
    test_trim_wakes();
    test_soft_mark(100);
    test_soft_mark(1000);
    test_soft_mark(5000);
    test_soft_mark(WR_POOL_MAX_SIZE);
    test_faults();
    test_double_put();
    test_tags("slabs,tags");
    test_tags("passthrough,tags,poison");
    (void)nth_every("pool in slabs", pool_scenario, slabs);
    (void)nth_every("pool passed through", pool_scenario, passed);
    return tap_done();
}
