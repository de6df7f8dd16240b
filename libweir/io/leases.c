/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/leases.h"

#include "libweir/io/shm.h"

#include <errno.h>
#include <string.h>

struct wr_leases {
    uint64_t books;
    uint64_t spare[7];
    struct wr_lease_book book[];
};

_Static_assert(sizeof(struct wr_lease_line) % 8 == 0 && sizeof(struct wr_lease_book) % 8 == 0,
               "books lie one behind the other, in words");

#define HEAD  offsetof(struct wr_lease_book, pool)
#define TRIES 8 /* of a reader whose writer is busy */

size_t wr_leases_size(unsigned books)
{
    return sizeof(struct wr_leases) + books * sizeof(struct wr_lease_book);
}

struct wr_leases *wr_leases_at(const struct wr_shm *shm)
{
    size_t size;
    return shm ? wr_shm_part(shm, WR_LEASES_PART, WR_LEASES_VERSION, &size) : NULL;
}

int wr_leases_format(struct wr_shm *shm, unsigned books)
{
    size_t size;
    struct wr_leases *l = wr_shm_part(shm, WR_LEASES_PART, WR_LEASES_VERSION, &size);
    if (!l || size < wr_leases_size(books))
        return -EINVAL;
    l->books = books;
    return 0;
}

struct wr_lease_book *wr_leases_open(struct wr_leases *l, pid_t pid)
{
    for (uint64_t i = 0; l && i < l->books; i++) {
        struct wr_lease_book *b = &l->book[i];
        uint64_t nobody = 0;
        if (__atomic_compare_exchange_n(&b->pid, &nobody, (uint64_t)pid, false,
                                        __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
            return b;
    }
    return NULL;
}

void wr_leases_write(struct wr_lease_book *b, const struct wr_lease_book *now)
{
    uint64_t stamp = b->stamp | 1; /* a writer that died in the middle left it odd */
    __atomic_store_n(&b->stamp, stamp, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    memcpy((char *)b + HEAD, (const char *)now + HEAD, sizeof *b - HEAD);
    __atomic_store_n(&b->stamp, stamp + 1, __ATOMIC_RELEASE);
}

/* Emptied before it is free: its next owner's pid never stands over an earlier one's words. */
static void give_back(struct wr_lease_book *b)
{
    static const struct wr_lease_book nothing;
    wr_leases_write(b, &nothing);
    __atomic_store_n(&b->pid, 0, __ATOMIC_RELEASE);
}

void wr_leases_close(struct wr_lease_book **book)
{
    struct wr_lease_book *b = *book;
    *book = NULL;
    if (b)
        give_back(b);
}

void wr_leases_forget(struct wr_leases *l, pid_t pid)
{
    for (uint64_t i = 0; l && i < l->books; i++)
        if (__atomic_load_n(&l->book[i].pid, __ATOMIC_RELAXED) == (uint64_t)pid)
            give_back(&l->book[i]);
}

/* ---- readers: over any bytes ------------------------------------------------------------------------ */
static bool copy_whole(const struct wr_lease_book *b, struct wr_lease_book *out)
{
    for (unsigned i = 0; i < TRIES; i++) {
        uint64_t stamp = __atomic_load_n(&b->stamp, __ATOMIC_ACQUIRE);
        memcpy(out, b, sizeof *out);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (!(stamp & 1) && __atomic_load_n(&b->stamp, __ATOMIC_RELAXED) == stamp)
            return true;
    }
    return false;
}

int wr_leases_read(const void *part, size_t size, unsigned i, struct wr_lease_book *out)
{
    const struct wr_leases *l = part;
    if (size < sizeof *l || (uintptr_t)part % 8 != 0 ||
        i >= (size - sizeof *l) / sizeof l->book[0] ||
        i >= __atomic_load_n(&l->books, __ATOMIC_RELAXED))
        return -EPROTO;
    if (__atomic_load_n(&l->book[i].pid, __ATOMIC_RELAXED) == 0 ||
        !copy_whole(&l->book[i], out) || out->pid == 0 || out->lines > WR_LEASES_OLDEST)
        return 0;
    out->pool[sizeof out->pool - 1] = 0;
    for (unsigned k = 0; k < WR_LEASES_OLDEST; k++) {
        struct wr_lease_line *line = &out->line[k];
        line->file[sizeof line->file - 1] = 0;
        line->func[sizeof line->func - 1] = 0;
    }
    return 1;
}
