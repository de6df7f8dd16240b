/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/mem.h"

#include "libweir/base/assert.h"
#include "libweir/base/block.h"
#include "libweir/base/err.h"
#include "libweir/base/mem_pool.h"

#include <errno.h>
#include <string.h>

#if WR_ASAN
#include <sanitizer/asan_interface.h>
#endif

/* ---- options ------------------------------------------------------------------------------------- */
void wr_mem_options_default(struct wr_mem_options *out)
{
    *out = (struct wr_mem_options){.passthrough = WR_ASAN, .poison = WR_DEBUG, .seed = 1};
}

static bool parse_count(struct wr_span s, uint64_t *out)
{
    uint64_t v = 0;
    if (s.n == 0 || s.n > 18)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        v = v * 10 + (uint64_t)(s.p[i] - '0');
    }
    *out = v;
    return true;
}

static bool parse_word(struct wr_span word, struct wr_mem_options *o)
{
    static const struct {
        const char *name;
        size_t field;
        bool value;
    } flags[] = {
        {"passthrough", offsetof(struct wr_mem_options, passthrough), true },
        {"slabs",       offsetof(struct wr_mem_options, passthrough), false},
        {"poison",      offsetof(struct wr_mem_options, poison),      true },
        {"tags",        offsetof(struct wr_mem_options, tags),        true },
        {"cold",        offsetof(struct wr_mem_options, cold),        true },
    };
    static const struct {
        struct wr_span prefix;
        size_t field;
    } counts[] = {
        {{"fail=", 5},           offsetof(struct wr_mem_options, fail_nth)   },
        {{"fail-random=1/", 14}, offsetof(struct wr_mem_options, fail_one_in)},
        {{"seed=", 5},           offsetof(struct wr_mem_options, seed)       },
    };
    for (size_t i = 0; i < WR_ARRAY_LEN(flags); i++)
        if (wr_span_eq(word, wr_span_str(flags[i].name))) {
            *(bool *)(void *)((char *)o + flags[i].field) = flags[i].value;
            return true;
        }
    for (size_t i = 0; i < WR_ARRAY_LEN(counts); i++)
        if (wr_span_has_prefix(word, counts[i].prefix))
            return parse_count(wr_span_sub(word, counts[i].prefix.n, word.n),
                               (uint64_t *)(void *)((char *)o + counts[i].field));
    return word.n == 0;
}

int wr_mem_options_parse(struct wr_span text, struct wr_mem_options *opt)
{
    struct wr_mem_options o = *opt;
    struct wr_span word;
    while (wr_span_split(&text, ',', &word))
        if (!parse_word(wr_span_trim(word), &o))
            return WR_E_SYNTAX;
    *opt = o;
    return 0;
}

/* ---- tags ---------------------------------------------------------------------------------------- */
struct wr_mem_tag {
    const struct wr_site *site;
    size_t objects, bytes;
};

/* Sites are static records in the text of a program: a fixed table is enough, and the last row takes
 * what is over. Rows never leave, so a release finds the row of its allocation. */
#define TAGS 1024

static struct wr_mem_tag *tag_row(const struct wr_mem *m, const struct wr_site *site)
{
    size_t at = ((uintptr_t)site >> 3) * 0x9e3779b97f4a7c15u >> 54;
    _Static_assert(TAGS == 1 << (64 - 54), "the hash gives as many bits as the table has");
    for (size_t i = 0; i < TAGS - 1; i++) {
        struct wr_mem_tag *t = &m->tags[(at + i) % (TAGS - 1)];
        if (t->site == site || !t->site)
            return t;
    }
    return &m->tags[TAGS - 1];
}

void wr_mem_tag(struct wr_mem *m, const struct wr_site *site, size_t bytes, int sign)
{
    static const struct wr_site other = {"(other sites)", 0, ""};
    if (!m->tags)
        return;
    struct wr_mem_tag *t = tag_row(m, site);
    if (!t->site)
        t->site = t == &m->tags[TAGS - 1] ? &other : site;
    if (sign > 0) {
        t->objects++;
        t->bytes += bytes;
    } else {
        WR_ASSERT(t->objects > 0 && t->bytes >= bytes);
        t->objects--;
        t->bytes -= bytes;
    }
}

size_t wr_mem_leaks(const struct wr_mem *m,
                    void (*fn)(void *arg, const struct wr_site *site, size_t objects,
                               size_t bytes),
                    void *arg)
{
    size_t total = 0;
    for (size_t i = 0; m->tags && i < TAGS; i++) {
        const struct wr_mem_tag *t = &m->tags[i];
        total += t->objects;
        if (t->objects > 0 && fn)
            fn(arg, t->site, t->objects, t->bytes);
    }
    return total;
}

/* ---- life ---------------------------------------------------------------------------------------- */
int wr_mem_init(struct wr_mem *m, const struct wr_heap *heap, const struct wr_pages *pages,
                const struct wr_mem_options *opt)
{
    struct wr_mem_options o;
    wr_mem_options_default(&o);
    if (opt)
        o = *opt;
    struct wr_mem_tag *tags = NULL;
    if (o.tags) {
        tags = wr_heap_array(heap, TAGS, sizeof *tags);
        if (!tags)
            return -ENOMEM;
    }
    *m = (struct wr_mem){.heap = heap, .opt = o, .pages = pages, .tags = tags};
    wr_heap_failing_init(&m->failing, heap, o.fail_nth, o.fail_one_in, o.seed);
    if (o.fail_nth || o.fail_one_in)
        m->heap = &m->failing.heap;
    return 0;
}

void wr_mem_deinit(struct wr_mem *m)
{
    WR_ASSERT(!m->pools && !m->block_pools && m->mapped_bytes == 0);
    wr_heap_free(m->failing.under, m->tags, TAGS * sizeof *m->tags);
    m->tags = NULL;
}

/* ---- pages --------------------------------------------------------------------------------------- */
void *wr_mem_map(struct wr_mem *m, size_t n)
{
    if (m->heap == &m->failing.heap && wr_fault_hits(&m->failing.fault))
        return NULL;
    void *p = m->pages->map(m->pages->ctx, n);
    if (p) {
        m->maps++;
        m->mapped_bytes += n;
    }
    return p;
}

void wr_mem_unmap(struct wr_mem *m, void *p, size_t n)
{
    WR_ASSERT(m->mapped_bytes >= n);
    wr_mem_unpoison(m, p, n);
    m->unmaps++;
    m->mapped_bytes -= n;
    m->pages->unmap(m->pages->ctx, p, n);
}

void wr_mem_purge(struct wr_mem *m, void *p, size_t n)
{
    m->purges++;
    wr_mem_unpoison(m, p, n);
    m->pages->purge(m->pages->ctx, p, n);
#if WR_ASAN
    if (m->opt.poison)
        ASAN_POISON_MEMORY_REGION(p,
                                  n); /* without the fill, which would make it resident again */
#endif
}

void wr_mem_poison(const struct wr_mem *m, void *p, size_t n)
{
    if (!m->opt.poison || n == 0)
        return;
    wr_mem_unpoison(m, p, n);
    memset(p, WR_MEM_DEAD, n);
#if WR_ASAN
    ASAN_POISON_MEMORY_REGION(p, n);
#endif
}

void wr_mem_unpoison(const struct wr_mem *m, void *p, size_t n)
{
    (void)m;
    (void)p;
    (void)n;
#if WR_ASAN
    if (m->opt.poison)
        ASAN_UNPOISON_MEMORY_REGION(p, n);
#endif
}

/* ---- the clock ----------------------------------------------------------------------------------- */
static enum wr_mem_more tick_all(struct wr_mem *m, bool period)
{
    enum wr_mem_more more = WR_MEM_REST;
    size_t room = WR_MEM_STEP_BYTES;
    for (struct wr_pool *p = m->pools; p; p = p->next) {
        enum wr_mem_more r = wr_pool_tick(p, period, &room);
        more = r > more ? r : more;
    }
    for (struct wr_block_pool *b = m->block_pools; b; b = b->next) {
        enum wr_mem_more r = wr_block_pool_tick(b, period, &room);
        more = r > more ? r : more;
    }
    return more;
}

uint64_t wr_mem_tick(struct wr_mem *m, uint64_t now_ms)
{
    if (now_ms < m->next_tick_ms)
        return m->next_tick_ms;
    bool period = now_ms >= m->next_period_ms;
    if (period)
        m->next_period_ms = now_ms + WR_MEM_PERIOD_MS;
    enum wr_mem_more more = tick_all(m, period);
    m->next_tick_ms = more == WR_MEM_DUE ? now_ms + WR_MEM_STEP_MS : m->next_period_ms;
    return more == WR_MEM_REST ? UINT64_MAX : m->next_tick_ms;
}

size_t wr_mem_trim(struct wr_mem *m)
{
    size_t n = 0; /* blocks first: their headers lie in pools */
    for (struct wr_block_pool *b = m->block_pools; b; b = b->next)
        n += wr_block_pool_trim(b);
    for (struct wr_pool *p = m->pools; p; p = p->next)
        n += wr_pool_trim(p);
    return n;
}

/* Under overload every refusal comes here: a scan of all slabs is paid for by what was freed. */
size_t wr_mem_make_room(struct wr_mem *m)
{
    if (m->freed < 16384 + m->mapped_bytes / 64)
        return 0;
    m->freed = 0;
    return wr_mem_trim(m);
}
