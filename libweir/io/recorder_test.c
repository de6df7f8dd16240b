/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/recorder.h"

#include "libweir/base/heap.h"
#include "libweir/io/proc_testing.h"
#include "libweir/io/shm.h"
#include "libweir/os/os.h"
#include "tests/tap.h"

#include <errno.h>

#define EVENTS 64

struct fixture {
    struct wr_shm *shm;
    const void *part;
    size_t size;
};

static void set_up(struct fixture *f)
{
    struct wr_shm_part part = {WR_RECORDER_PART, WR_RECORDER_VERSION,
                               wr_recorder_size(2, EVENTS)};
    is_int(wr_shm_new(wr_heap_libc(), "recorder", &part, 1, &f->shm), 0, "memory");
    is_int(wr_recorder_format(f->shm, 2, 48), -EINVAL, "a size that is no power of two");
    is_int(wr_recorder_format(f->shm, 2, EVENTS), 0, "recorder");
    f->part = wr_shm_part(f->shm, WR_RECORDER_PART, WR_RECORDER_VERSION, &f->size);
}

static void test_order(void)
{
    struct fixture f;
    struct wr_recorder rec = {0};
    struct wr_event e[EVENTS];
    set_up(&f);
    wr_record(&rec, 1, 2, WR_EVENT_OPEN, 0, 0, 0); /* not open yet: swallowed */
    is_int(wr_recorder_open(&rec, f.shm, 2, 7), -EINVAL, "no such ring");
    is_int(wr_recorder_open(&rec, f.shm, 1, 7), 0, "opened");
    is_int(wr_recorder_read(f.part, f.size, 1, 0, e, EVENTS), 0, "empty");
    for (uint64_t i = 0; i < 100; i++)
        wr_record(&rec, 1000 + i, i, WR_EVENT_ENTER, 5, i, i * 2);
    int n = wr_recorder_read(f.part, f.size, 1, 0, e, 10);
    is_int(n, 10, "as many as asked for");
    ok(e[0].number == 90 && e[9].number == 99, "the newest, oldest first");
    ok(e[9].time_ns == 1099 && e[9].id == 99 && e[9].code == WR_EVENT_ENTER &&
           e[9].stage == 5 && e[9].pid == 7 && e[9].a == 99 && e[9].b == 198,
       "every word of it");
    is_int(wr_recorder_read(f.part, f.size, 1, 0, e, EVENTS), EVENTS, "all that are left");
    is_int(wr_recorder_read(f.part, f.size, 1, 8, e, EVENTS), 0, "none of another process");
    is_int(wr_recorder_read(f.part, f.size, 0, 0, e, EVENTS), 0, "the other ring is empty");
    is_int(wr_recorder_read(f.part, f.size, 9, 0, e, EVENTS), -EPROTO, "no ring 9");
    wr_shm_free(&f.shm);
}

static void test_death_in_a_write(void)
{
    struct fixture f;
    struct wr_recorder rec = {0};
    struct wr_event e[EVENTS];
    set_up(&f);
    is_int(wr_recorder_open(&rec, f.shm, 0, 1), 0, "opened");
    for (uint64_t i = 0; i < EVENTS + 3; i++)
        wr_record(&rec, i, i, WR_EVENT_ENTER, 0, i, i);
    struct wr_recorder_event *torn = &rec.ring->event[rec.ring->next & rec.mask];
    torn->stamp = 0; /* as a writer leaves it that dies here */
    torn->a = 4711;
    int n = wr_recorder_read(f.part, f.size, 0, 0, e, EVENTS);
    is_int(n, EVENTS - 1, "all but the torn one");
    is_int(e[n - 1].number, EVENTS + 2, "up to the last whole one");
    struct wr_recorder next = {0};
    is_int(wr_recorder_open(&next, f.shm, 0, 2), 0, "a successor");
    wr_record(&next, 9, 9, WR_EVENT_START, 0, 0, 0);
    n = wr_recorder_read(f.part, f.size, 0, 0, e, EVENTS);
    ok(n == EVENTS && e[n - 1].pid == 2 && e[n - 2].pid == 1, "goes on behind its predecessor");
    wr_shm_free(&f.shm);
}

static int record_for_ever(void *arg)
{
    struct wr_recorder rec = {0};
    if (wr_recorder_open(&rec, arg, 0, (uint32_t)wr_os_getpid()) < 0)
        return 1;
    for (uint64_t i = 0; rec.ring; i++)
        wr_record(&rec, i, i, WR_EVENT_ENTER, (unsigned)(i & 0xff), i, ~i);
    return 0;
}

static bool whole(const struct wr_event *e)
{
    return e->time_ns == e->id && e->a == e->id && e->b == ~e->id && e->stage == (e->id & 0xff);
}

static void test_killed_writers(void)
{
    struct fixture f;
    struct wr_event e[EVENTS];
    set_up(&f);
    bool good = true, orderly = true;
    unsigned seen = 0;
    for (int round = 0; round < 20; round++) {
        pid_t pid = wr_os_spawn(record_for_ever, f.shm, NULL);
        for (int look = 0; look < 20; look++) { /* while it lives, and once dead */
            if (look == 15) {
                for (int i = 0;
                     i < 5000 && wr_recorder_read(f.part, f.size, 0, (uint32_t)pid, e, 1) == 0;
                     i++)
                    (void)wr_os_sleep_ns(1000000);
                good &= testing_kill(pid) == SIGKILL;
            }
            int n = wr_recorder_read(f.part, f.size, 0, (uint32_t)pid, e, EVENTS);
            for (int i = 0; i < n; i++) {
                good &= whole(&e[i]);
                orderly &= i == 0 || e[i].number > e[i - 1].number;
            }
            seen += n > 0 && look >= 15;
        }
    }
    ok(good, "no mixed event, from live or killed writers");
    ok(orderly, "in order");
    ok(seen >= 20 * 4, "a dead writer's last events are there");
    wr_shm_free(&f.shm);
}

static void test_text(void)
{
    char text[256];
    struct wr_event e = {3, 1700000000000000000ull, 0xab, WR_EVENT_REPLY, 2, 77, 200, 512};
    size_t n = wr_event_format(&e, text, sizeof text);
    is_str(text,
           "2023-11-14T22:13:20.000000Z pid=77 n=3 code=8 reply id=ab stage=2 a=200 b=512",
           "as text");
    is_int(n, strlen(text), "its length");
    is_int(wr_event_format(&e, text, 10), 9, "cut");
    is_str(wr_event_name(60000), "?", "an unknown code");
}

int main(void)
{
    test_order();
    test_death_in_a_write();
    test_killed_writers();
    test_text();
    return tap_done();
}
