/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/stats/conns.h"

#include "libweir/io/addr.h"
#include "libweir/io/shm.h"
#include "libweir/os/os.h"
#include "tests/tap.h"

struct seen {
    unsigned n;
    uint64_t numbers;
    struct conns_entry last;
};

static void see(const struct conns_entry *e, void *arg)
{
    struct seen *s = arg;
    s->n++;
    s->numbers += e->number;
    s->last = *e;
}

int main(void)
{
    struct wr_shm *shm;
    struct wr_shm_part part = {CONNS_PART, CONNS_VERSION, conns_size(3, 4)};
    size_t size = 0;
    ok(wr_shm_new(wr_os_heap(), "conns", &part, 1, &shm) == 0, "memory");
    ok(conns_format(shm, 3, 4) == 0, "layout");
    void *p = wr_shm_part(shm, CONNS_PART, CONNS_VERSION, &size);

    struct conns_table t;
    struct wr_addr peer = wr_addr_v4((const uint8_t[4]){127, 0, 0, 1}, 99);
    ok(conns_begin(&t, wr_os_heap(), shm, 1) == 0, "a seat's table begins");
    uint32_t at[5];
    for (unsigned i = 0; i < 5; i++)
        at[i] = conns_open(&t, 10 + i, 7, &peer, 1000, 2000);
    ok(at[3] != CONNS_NONE && at[4] == CONNS_NONE, "full is full");
    conns_request(&t, at[3], WR_LIT("GET /x"), 1500, 2500);
    conns_request(&t, at[4], WR_LIT("GET /none"), 1500, 2500); /* listed nowhere: swallowed */
    struct seen s = {0};
    ok(conns_walk(p, size, 1, see, &s) == 4 && s.numbers == 10 + 11 + 12 + 13,
       "what is listed");
    ok(s.last.state == CONNS_HANDLE && s.last.port == 99 && s.last.due_ms == 2500 &&
           s.last.doing_len == 6 && memcmp(s.last.doing, "GET /x", 6) == 0,
       "the last one's words");
    ok(conns_walk(p, size, 0, see, &s) == 0 && conns_walk(p, size, 2, see, &s) == 0,
       "other seats are empty");
    ok(conns_walk(p, size, 3, see, &s) < 0 && conns_walk(p, size - 1, 0, see, &s) < 0,
       "out of bounds is refused");

    conns_close(&t, at[1]);
    s = (struct seen){0};
    ok(conns_walk(p, size, 1, see, &s) == 3 && s.numbers == 10 + 12 + 13,
       "a closed one is gone");
    ok(conns_open(&t, 20, 8, NULL, 1, 1) == at[1], "its entry is used again");
    conns_end(&t); /* as a killed worker: its connections stay readable */
    s = (struct seen){0};
    ok(conns_walk(p, size, 1, see, &s) == 4, "a dead worker's connections stay");
    conns_clear(shm, 1);
    ok(conns_walk(p, size, 1, see, &s) == 0, "a cleared table is empty");
    ok(strcmp(conns_state_name(CONNS_IDLE), "idle") == 0, "states have names");
    wr_shm_free(&shm);
    return tap_done();
}
