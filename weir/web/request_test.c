/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/tap.h"

#include "weir/web/request_kit.h"

/* Requests when memory is refused: an error or a closed connection, and everything comes back. */

static const char *const paths[] = {
    "/",       "/a.txt",  "/b.txt",  "/eq?m=bxyz", "/gz/b.txt", "/sub",    "/sf",  "/auto/",
    "/re/a/b", "/if?a=1", "/if?b=2", "/loop",      "/loop2",    "/named",  "/lim", "/sat",
    "/exp",    "/none",   "/d",      "/nest/a.x",  "/slow",     "/tokens",
};

static void all_paths(struct kit *k)
{
    for (size_t i = 0; i < WR_ARRAY_LEN(paths); i++) {
        char text[256];
        int n = snprintf(text, sizeof(text),
                         "GET %s HTTP/1.1\r\nHost: A.test\r\nAccept-Encoding: gzip\r\n"
                         "Connection: close\r\n\r\n",
                         paths[i]);
        kit_exchange(k, text, (size_t)n, 0, 0);
    }
}

/* The n-th allocation from the heap. */
static void test_heap(struct web_config *config)
{
    unsigned refused = 0;
    for (uint64_t nth = 1; nth < 200; nth++) {
        struct wr_heap_failing failing;
        struct kit k;
        wr_heap_failing_init(&failing, wr_os_heap(), 0, 0, 1);
        kit_start(&k, config, &failing.heap);
        failing.fault.nth = failing.fault.seen + nth;
        all_paths(&k);
        refused += failing.fault.refused > 0;
        bool end = failing.fault.refused == 0;
        kit_stop(&k);
        if (end)
            break;
    }
    ok(refused > 3, "%u single refusals of the heap", refused);
}

/* Pages up to a mark: everything that pools, arenas and blocks take. */
static void test_budget(struct web_config *config)
{
    unsigned refused = 0;
    for (size_t pages = 0; pages < 120; pages += 3) {
        struct kit k;
        kit_start(&k, config, wr_os_heap());
        size_t mark = k.budget.used + pages * 4096;
        wr_budget_set(&k.budget, mark, mark, 0);
        all_paths(&k);
        refused += k.budget.refusals > 0;
        kit_stop(&k);
    }
    ok(refused > 3 && refused < 40, "%u budgets that were too small", refused);
}

int main(void)
{
    struct web_config *config = kit_config();
    test_heap(config);
    test_budget(config);
    web_config_free(&config);
    return tap_done();
}
