/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/stats/conns.h"

#include "libweir/base/heap.h"
#include "libweir/io/addr.h"
#include "libweir/io/shm.h"

#include <errno.h>

/* A seat's first entry is its head: number is how many of the others were ever used. Whoever reads goes no
 * further, since reading shared memory would make pages of what nobody has written. */
static size_t seat_size(unsigned entries)
{
    return WR_SHM_ALIGN(((size_t)entries + 1) * sizeof(struct conns_entry));
}

static uint32_t used_of(const struct conns_entry *head, uint32_t entries)
{
    uint64_t n = __atomic_load_n(&head->number, __ATOMIC_ACQUIRE);
    return n < entries ? (uint32_t)n : entries;
}

size_t conns_size(unsigned seats, unsigned entries)
{
    return WR_SHM_PAGE + seats * seat_size(entries);
}

int conns_format(struct wr_shm *shm, unsigned seats, unsigned entries)
{
    size_t size;
    struct conns_head *h = wr_shm_part(shm, CONNS_PART, CONNS_VERSION, &size);
    if (!h || size < conns_size(seats, entries))
        return -EINVAL;
    h->seats = seats;
    h->entries = entries;
    return 0;
}

/* The table of a seat, or NULL when the head and the part's size do not agree. */
static const struct conns_entry *table_at(const void *part, size_t size, unsigned seat,
                                          uint32_t *out_entries)
{
    const struct conns_head *h = part;
    if (size < WR_SHM_PAGE)
        return NULL;
    uint32_t seats = h->seats, entries = h->entries;
    if (seat >= seats || seats > 1u << 16 || entries > 1u << 24 ||
        conns_size(seats, entries) > size)
        return NULL;
    *out_entries = entries;
    return (const void *)((const char *)part + WR_SHM_PAGE + seat * seat_size(entries));
}

static struct conns_entry *own_table(const struct wr_shm *shm, unsigned seat,
                                     uint32_t *out_entries)
{
    size_t size;
    char *part = wr_shm_part(shm, CONNS_PART, CONNS_VERSION, &size);
    const struct conns_entry *e = part ? table_at(part, size, seat, out_entries) : NULL;
    return e ? (void *)(part + ((const char *)e - part)) : NULL;
}

void conns_clear(const struct wr_shm *shm, unsigned seat)
{
    uint32_t n = 0;
    struct conns_entry *head = own_table(shm, seat, &n);
    if (!head)
        return;
    for (uint32_t i = 1; i <= used_of(head, n); i++)
        __atomic_store_n(&head[i].number, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&head->number, 0, __ATOMIC_RELEASE);
}

int conns_begin(struct conns_table *t, const struct wr_heap *heap, const struct wr_shm *shm,
                unsigned seat)
{
    *t = (struct conns_table){.free = CONNS_NONE, .heap = heap};
    struct conns_entry *e = own_table(shm, seat, &t->entries);
    if (!e)
        return -EPROTO;
    t->next_free = wr_heap_alloc(heap, t->entries * sizeof *t->next_free + 1);
    if (!t->next_free)
        return -ENOMEM;
    t->entry = e + 1;
    return 0;
}

void conns_end(struct conns_table *t)
{
    if (t->next_free)
        wr_heap_free(t->heap, t->next_free, t->entries * sizeof *t->next_free + 1);
    *t = (struct conns_table){.free = CONNS_NONE};
}

static void put_peer(struct conns_entry *e, const struct wr_addr *peer)
{
    e->family = peer ? peer->kind : WR_ADDR_NONE;
    e->port = 0;
    if (e->family == WR_ADDR_V4)
        memcpy(e->ip, peer->v4, 4);
    else if (e->family == WR_ADDR_V6)
        memcpy(e->ip, peer->v6, 16);
    if (e->family == WR_ADDR_V4 || e->family == WR_ADDR_V6)
        e->port = peer->port;
}

static uint32_t take(struct conns_table *t)
{
    uint32_t at = t->free;
    if (!t->entry)
        return CONNS_NONE;
    if (at != CONNS_NONE) {
        t->free = t->next_free[at];
        return at;
    }
    if (t->used == t->entries)
        return CONNS_NONE;
    at = t->used++;
    __atomic_store_n(&t->entry[-1].number, t->used, __ATOMIC_RELEASE);
    return at;
}

uint32_t conns_open(struct conns_table *t, uint64_t number, int fd, const struct wr_addr *peer,
                    uint64_t now_ms, uint64_t due_ms)
{
    uint32_t at = take(t);
    if (at == CONNS_NONE)
        return at;
    struct conns_entry *e = &t->entry[at];
    e->opened_ms = now_ms;
    e->requests = 0;
    e->fd = (uint32_t)fd;
    e->doing_len = 0;
    put_peer(e, peer);
    conns_set(t, at, CONNS_FIRST, now_ms, due_ms);
    __atomic_store_n(&e->number, number, __ATOMIC_RELEASE);
    return at;
}

void conns_peer(struct conns_table *t, uint32_t at, const struct wr_addr *peer)
{
    if (at != CONNS_NONE && t->entry)
        put_peer(&t->entry[at], peer);
}

void conns_close(struct conns_table *t, uint32_t at)
{
    if (at == CONNS_NONE || !t->entry)
        return;
    __atomic_store_n(&t->entry[at].number, 0, __ATOMIC_RELEASE);
    t->next_free[at] = t->free;
    t->free = at;
}

const char *conns_state_name(unsigned state)
{
    static const char *const name[CONNS_STATES] = {"first",  "handshake", "head", "body",
                                                   "handle", "send",      "idle", "closing"};
    return state < CONNS_STATES ? name[state] : "?";
}

int conns_walk(const void *part, size_t size, unsigned seat,
               void (*fn)(const struct conns_entry *e, void *arg), void *arg)
{
    uint32_t n = 0;
    int count = 0;
    const struct conns_entry *table = table_at(part, size, seat, &n);
    if (!table)
        return -EPROTO;
    uint32_t used = used_of(table, n);
    for (uint32_t i = 1; i <= used; i++) {
        uint64_t number = __atomic_load_n(&table[i].number, __ATOMIC_ACQUIRE);
        if (!number)
            continue;
        struct conns_entry copy = table[i];
        if (__atomic_load_n(&table[i].number, __ATOMIC_ACQUIRE) != number)
            continue;
        copy.number = number;
        if (copy.doing_len > sizeof copy.doing)
            copy.doing_len = sizeof copy.doing;
        fn(&copy, arg);
        count++;
    }
    return count;
}
