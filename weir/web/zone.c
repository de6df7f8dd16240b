/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/web/site_private.h"

#include "libweir/os/os.h"

#include <errno.h>

/* Memory of a zone, shared by the generations that name it alike. Only the master counts and unmaps. */
struct zone_memory {
    void *p;
    uint64_t size;
    uint32_t refs;
};

struct zone {
    struct web_zone z; /* first */
    struct zone_memory *mem;
    const struct conf_node *node;
    uint32_t word;
};

static struct zone *zone_of(struct web_zone *z)
{
    return (struct zone *)(void *)z;
}

static struct zone *find(const struct web_generation *g, struct wr_span name)
{
    for (uint32_t i = 0; i < g->nzones; i++)
        if (wr_span_eq(g->zones[i]->name, name))
            return zone_of(g->zones[i]);
    return NULL;
}

int web_zone_declare(struct conf_load *load, const struct conf_node *node, uint32_t word,
                     struct wr_span name, uint64_t size, enum web_module_id owner,
                     struct web_zone **out)
{
    struct web_generation *g = site_of(load);
    struct zone *zone = find(g, name);
    if (!zone) {
        zone = wr_arena_zalloc(load->arena, sizeof(*zone));
        if (!zone)
            return -ENOMEM;
        zone->z = (struct web_zone){.name = name, .owner = owner};
        zone->node = node;
        zone->word = word;
        int err = site_push(load->arena, (void ***)(void *)&g->zones, &g->nzones, &g->caps[3],
                            &zone->z);
        if (err)
            return err;
    }
    if (zone->z.owner != owner)
        return conf_fail(
            load, node, word,
            "the shared memory zone \"%.*s\" is already declared for a different use",
            WR_SPANF(name));
    if (size && zone->z.size && size != zone->z.size)
        return conf_fail(load, node, word,
                         "the size %llu of shared memory zone \"%.*s\" conflicts with already "
                         "declared size %llu",
                         (unsigned long long)size, WR_SPANF(name),
                         (unsigned long long)zone->z.size);
    if (size)
        zone->z.size = size;
    *out = &zone->z;
    return 0;
}

static int memory_new(uint64_t size, struct zone_memory **out)
{
    struct zone_memory *m = wr_heap_zalloc(wr_os_heap(), sizeof(*m));
    if (!m)
        return -ENOMEM;
    int fd = wr_os_memfd("weir-zone", size);
    if (fd >= 0) {
        m->p = wr_os_map_shared(fd, size, true);
        wr_os_close(fd);
    }
    if (!m->p) {
        wr_heap_free(wr_os_heap(), m, sizeof(*m));
        return -ENOMEM;
    }
    m->size = size;
    *out = m;
    return 0;
}

int site_zones_attach(struct conf_load *load, struct web_generation *g,
                      const struct web_generation *old)
{
    for (uint32_t i = 0; i < g->nzones; i++) {
        struct zone *z = zone_of(g->zones[i]);
        struct zone *was = old ? find(old, z->z.name) : NULL;
        if (z->z.size == 0)
            return conf_fail(load, z->node, z->word, "zero size shared memory zone \"%.*s\"",
                             WR_SPANF(z->z.name));
        z->z.fresh =
            !was || !was->mem || was->z.size != z->z.size || was->z.owner != z->z.owner;
        if (!z->z.fresh)
            z->mem = was->mem;
        else if (memory_new(z->z.size, &z->mem))
            return conf_fail(load, z->node, z->word, "no memory for zone \"%.*s\"",
                             WR_SPANF(z->z.name));
        z->mem->refs++;
        z->z.memory = z->mem->p;
    }
    return 0;
}

void site_zones_drop(struct web_generation *g)
{
    for (uint32_t i = 0; i < g->nzones; i++) {
        struct zone_memory *m = zone_of(g->zones[i])->mem;
        zone_of(g->zones[i])->mem = NULL;
        if (!m || --m->refs)
            continue;
        wr_os_unmap(m->p, m->size);
        wr_heap_free(wr_os_heap(), m, sizeof(*m));
    }
}

/* ---- the lock ----------------------------------------------------------------------------------------------------- */

#define SPINS 1000 /* before asking whether the holder lives */

bool web_zone_lock(uint32_t *word)
{
    uint32_t me = (uint32_t)wr_os_getpid(), seen = 0;
    for (unsigned spin = 1;; spin++) {
        seen = 0;
        if (__atomic_compare_exchange_n(word, &seen, me, false, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED))
            return false;
        if (spin % SPINS)
            continue;
        if (wr_os_kill((pid_t)seen, 0) == -ESRCH &&
            __atomic_compare_exchange_n(word, &seen, me, false, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED))
            return true;
        (void)wr_os_sleep_ns(20000); /* it was put to sleep inside: let it run */
    }
}

void web_zone_unlock(uint32_t *word)
{
    __atomic_store_n(word, 0, __ATOMIC_RELEASE);
}
