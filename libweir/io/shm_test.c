/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/shm.h"

#include "libweir/base/err.h"
#include "libweir/base/heap.h"
#include "libweir/os/os.h"
#include "tests/tap.h"

#include <errno.h>
#include <stdlib.h>

static const struct wr_shm_part parts[] = {
    {"one",             1, 100 },
    {"two",             3, 5000},
    {"a-name-of-15-by", 1, 1   },
};

static void test_layout(void)
{
    struct wr_shm *shm = NULL, *seen = NULL;
    is_int(wr_shm_new(wr_heap_libc(), "weir test", parts, 3, &shm), 0, "made");
    size_t n;
    char *one = wr_shm_part(shm, "one", 1, &n);
    ok(one && n == 100, "a part by its name");
    char *two = wr_shm_part(shm, "two", 3, &n);
    ok(two && n == 5000 && two - one == WR_SHM_PAGE, "each part on pages of its own");
    ok(!wr_shm_part(shm, "two", 2, &n), "another version is not given");
    ok(!wr_shm_part(shm, "three", 1, &n), "an unknown part is not given");
    ok(wr_shm_part(shm, "a-name-of-15-by", 1, &n) != NULL, "the longest name");
    two[4999] = 'x';

    is_int(wr_shm_attach(wr_heap_libc(), wr_shm_fd(shm), false, &seen), 0, "attached");
    const char *same = wr_shm_part(seen, "two", 3, &n);
    ok(same && same != two && same[4999] == 'x', "the same bytes elsewhere");
    wr_shm_free(&seen);
    ok(!seen, "pointer emptied");
    wr_shm_free(&seen);
    wr_shm_free(&shm);
}

static void test_strangers(void)
{
    const void *part;
    size_t n;
    char *page = calloc(2, WR_SHM_PAGE);
    is_int(wr_shm_find(page, WR_SHM_PAGE, "x", 1, &part, &n), -EPROTO, "zeroes are no memory");
    is_int(wr_shm_find(page, 10, "x", 1, &part, &n), -EPROTO, "too short");
    free(page);
    struct wr_shm *shm = NULL;
    int fd = wr_os_memfd("other", WR_SHM_PAGE);
    is_int(wr_shm_attach(wr_heap_libc(), fd, false, &shm), -EPROTO, "another memfd");
    (void)wr_os_close(fd);
    is_int(wr_shm_attach(wr_heap_libc(), -1, false, &shm), -EBADF, "no descriptor");
}

static void test_refused_memory(void)
{
    struct wr_heap_counting count;
    struct wr_heap_failing fail;
    struct wr_shm *shm = NULL;
    wr_heap_counting_init(&count, wr_heap_libc());
    wr_heap_failing_init(&fail, &count.heap, 1, 0, 1);
    is_int(wr_shm_new(&fail.heap, "weir test", parts, 3, &shm), -ENOMEM, "refused");
    is_int(wr_shm_new(&fail.heap, "weir test", parts, 3, &shm), 0, "and then not");
    wr_shm_free(&shm);
    is_int(count.objects, 0, "nothing left");
}

int main(void)
{
    test_layout();
    test_strangers();
    test_refused_memory();
    return tap_done();
}
