/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/leases.h"

#include "libweir/base/heap.h"
#include "libweir/io/shm.h"
#include "tests/tap.h"

#include <errno.h>

struct table {
    struct wr_shm *shm;
    struct wr_leases *leases;
    void *part;
    size_t size;
};

static void set_up(struct table *t, unsigned books)
{
    struct wr_shm_part part = {WR_LEASES_PART, WR_LEASES_VERSION, wr_leases_size(books)};
    is_int(wr_shm_new(wr_heap_libc(), "leases", &part, 1, &t->shm), 0, "memory");
    is_int(wr_leases_format(t->shm, 100000), -EINVAL, "more books than there is room for");
    is_int(wr_leases_format(t->shm, books), 0, "a table");
    t->leases = wr_leases_at(t->shm);
    t->part = wr_shm_part(t->shm, WR_LEASES_PART, WR_LEASES_VERSION, &t->size);
}

static void test_books(void)
{
    struct table t;
    struct wr_lease_book now = {.pool = "db", .max_open = 8, .lent = 1, .lines = 1}, got;
    set_up(&t, 2);
    ok(wr_leases_open(NULL, 7) == NULL, "no table, no book");
    struct wr_lease_book *a = wr_leases_open(t.leases, 7), *b = wr_leases_open(t.leases, 8);
    ok(a && b && a != b, "two books");
    ok(wr_leases_open(t.leases, 9) == NULL, "and no third");
    now.line[0] = (struct wr_lease_line){.lease = 5, .since_ms = 1000, .line = 42};
    memcpy(now.line[0].file, "on.c", 5);
    wr_leases_write(a, &now);
    is_int(wr_leases_read(t.part, t.size, 0, &got), 1, "read");
    is_int((long)got.pid, 7, "whose it is");
    is_str(got.pool, "db", "its pool");
    is_int((long)got.line[0].line, 42, "who borrowed");
    wr_leases_forget(t.leases, 7);
    is_int(wr_leases_read(t.part, t.size, 0, &got), 0, "a dead process has none");
    is_int(wr_leases_read(t.part, t.size, 1, &got), 1, "the other one's stays");
    wr_leases_close(&b);
    ok(b == NULL && wr_leases_read(t.part, t.size, 1, &got) == 0, "nor after its close");
    a = wr_leases_open(t.leases, 9);
    ok(a && wr_leases_read(t.part, t.size, 0, &got) == 1 && got.lines == 0,
       "a new one is empty");
    wr_shm_free(&t.shm);
}

/* The moment when a book has its next owner's pid and nothing else of it yet. */
static void test_next_owner(bool died)
{
    struct table t;
    struct wr_lease_book now = {.pool = "old", .lines = 3}, got;
    set_up(&t, 1);
    struct wr_lease_book *b = wr_leases_open(t.leases, 7), *kept = b;
    wr_leases_write(b, &now);
    if (died) {
        b->stamp |= 1; /* while it wrote */
        wr_leases_forget(t.leases, 7);
    } else {
        wr_leases_close(&b);
    }
    kept->pid = 8;
    is_int(wr_leases_read(t.part, t.size, 0, &got), 1, "a next owner");
    ok(got.lines == 0 && got.pool[0] == 0, "has nothing of the one that %s",
       died ? "died" : "closed");
    wr_shm_free(&t.shm);
}

static void test_hostile(void)
{
    struct table t;
    struct wr_lease_book got;
    set_up(&t, 1);
    struct wr_lease_book *b = wr_leases_open(t.leases, 7);
    memset(b->pool, 'x', sizeof *b - offsetof(struct wr_lease_book, pool));
    b->lines = 1;
    is_int(wr_leases_read(t.part, t.size, 0, &got), 1, "texts without an end");
    is_int((long)strlen(got.pool), sizeof got.pool - 1, "are ended");
    b->lines = WR_LEASES_OLDEST + 1;
    is_int(wr_leases_read(t.part, t.size, 0, &got), 0, "more lines than there are");
    b->lines = 0;
    b->stamp = 3;
    is_int(wr_leases_read(t.part, t.size, 0, &got), 0, "for ever being written");
    is_int(wr_leases_read(t.part, t.size, 1, &got), -EPROTO, "behind the last");
    is_int(wr_leases_read(t.part, 70, 0, &got), -EPROTO, "a part that is cut");
    is_int(wr_leases_read(t.part, 5, 0, &got), -EPROTO, "or smaller still");
    *(uint64_t *)t.part = UINT64_MAX;
    is_int(wr_leases_read(t.part, t.size, 1000000, &got), -EPROTO, "or that lies");
    wr_shm_free(&t.shm);
}

int main(void)
{
    test_books();
    test_next_owner(false);
    test_next_owner(true);
    test_hostile();
    return tap_done();
}
