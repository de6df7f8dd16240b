/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/log_ring.h"

#include "libweir/base/heap.h"
#include "libweir/io/log_ring.c"
#include "libweir/io/proc_testing.h"
#include "libweir/os/os.h"
#include "tests/tap.h"

#include <stdlib.h>

struct fixture {
    struct wr_shm *shm;
    struct wr_log_ring ring;
};

static void set_up(struct fixture *f, size_t bytes)
{
    struct wr_shm_part part = {WR_LOG_PART, WR_LOG_VERSION, wr_log_ring_size(2, bytes)};
    size_t n;
    bool good = wr_shm_new(wr_heap_libc(), "log", &part, 1, &f->shm) == 0 &&
                wr_log_ring_format(f->shm, 2, bytes) == 0;
    void *at = wr_shm_part(f->shm, WR_LOG_PART, WR_LOG_VERSION, &n);
    good = good && wr_log_ring_at(at, n, 1, &f->ring) == 0 && wr_log_ring_count(at, n) == 2 &&
           wr_log_ring_at(at, n, 2, &f->ring) == -EPROTO;
    ok(good, "a ring of %zu bytes", bytes);
}

static bool put_text(const struct wr_log_ring *r, const char *p, size_t n, uint64_t time)
{
    bool wake;
    struct wr_log_record rec = {.time_ns = time, .pid = 1, .text = wr_span(p, n)};
    return wr_log_ring_put(r, &rec, &wake);
}

/* Against a model: a queue of lengths. The payload's bytes follow from its number. */
static void fill(char *p, size_t n, unsigned number)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (char)(number * 31 + i * 7);
}

static void test_model(void)
{
    static char text[WR_LOG_RECORD_MAX + 100], got[WR_LOG_RECORD_MAX], want[WR_LOG_RECORD_MAX];
    static size_t length[100000];
    struct fixture f;
    unsigned written = 0, taken = 0, dropped = 0, seed = 1;
    bool good = true;
    set_up(&f, WR_LOG_RING_MIN);
    uint64_t pos = wr_log_ring_tail(&f.ring);
    for (unsigned step = 0; step < 100000; step++) {
        seed = seed * 1103515245 + 12345;
        unsigned what = seed >> 16 & 7;
        if (what < 4) {
            size_t n = (seed >> 8) % (what == 0 ? sizeof text : 300);
            fill(text, n, written);
            if (put_text(&f.ring, text, n, step))
                length[written++] = n < WR_LOG_RECORD_MAX ? n : WR_LOG_RECORD_MAX;
            else
                dropped++;
        } else if (what < 7) {
            struct wr_log_record rec;
            int r = wr_log_ring_get(&f.ring, &pos, got, &rec);
            good &= r == (taken < written);
            if (r != 1)
                continue;
            fill(want, length[taken], taken);
            good &= rec.text.n == length[taken] && memcmp(want, got, rec.text.n) == 0;
            taken++;
        } else {
            wr_log_ring_release(&f.ring, pos);
        }
    }
    ok(good, "what goes in comes out, in order, byte for byte");
    ok(dropped > 100 && written > 1000, "both room and no room were met");
    is_int(wr_log_ring_written(&f.ring), written, "written is exact");
    is_int(wr_log_ring_dropped(&f.ring), dropped, "dropped is exact");
    wr_shm_free(&f.shm);
}

static void test_drops(void)
{
    struct fixture f;
    struct wr_log_drops d;
    struct wr_log_record rec;
    static char text[4000], got[WR_LOG_RECORD_MAX];
    set_up(&f, WR_LOG_RING_MIN);
    ok(!wr_log_ring_drops(&f.ring, &d), "nothing dropped yet");
    unsigned n = 0;
    while (put_text(&f.ring, text, sizeof text, 100 + n))
        n++;
    is_int(n, 4, "a full ring");
    ok(!put_text(&f.ring, text, sizeof text, 200), "refuses again");
    ok(wr_log_ring_drops(&f.ring, &d) && d.count == 2 && d.from_ns == 104 && d.to_ns == 200,
       "how many and when");
    ok(!wr_log_ring_drops(&f.ring, &d), "told once");
    uint64_t pos = wr_log_ring_tail(&f.ring);
    is_int(wr_log_ring_get(&f.ring, &pos, got, &rec), 1, "one out");
    ok(!put_text(&f.ring, text, sizeof text, 300), "not released yet");
    wr_log_ring_release(&f.ring, pos);
    ok(put_text(&f.ring, text, sizeof text, 400), "released");
    ok(wr_log_ring_drops(&f.ring, &d) && d.count == 1 && d.from_ns == 300, "the new gap");
    wr_shm_free(&f.shm);
}

static void test_wake(void)
{
    struct fixture f;
    struct wr_log_record in = {.text = WR_LIT("x")}, out;
    static char got[WR_LOG_RECORD_MAX];
    bool wake;
    set_up(&f, WR_LOG_RING_MIN);
    uint64_t pos = wr_log_ring_tail(&f.ring);
    ok(wr_log_ring_put(&f.ring, &in, &wake) && !wake, "an awake reader is not rung for");
    ok(!wr_log_ring_sleep(&f.ring), "no sleep on a full ring");
    ok(wr_log_ring_put(&f.ring, &in, &wake) && wake, "that sleep is answered all the same");
    while (wr_log_ring_get(&f.ring, &pos, got, &out) == 1)
        wr_log_ring_release(&f.ring, pos);
    ok(wr_log_ring_sleep(&f.ring), "asleep");
    ok(wr_log_ring_put(&f.ring, &in, &wake) && wake, "the first record wakes");
    ok(wr_log_ring_put(&f.ring, &in, &wake) && !wake, "the second does not");
    unsigned wakes = 0;
    for (int i = 0; i < 450; i++)
        wakes += wr_log_ring_put(&f.ring, &in, &wake) && wake;
    is_int(wakes, 1, "half full: once more");
    wr_shm_free(&f.shm);
}

/* Writers that are killed anywhere: the reader sees whole records only, and the next one goes on. */
static int write_for_ever(void *arg)
{
    static char text[600];
    for (unsigned i = 0;; i++) {
        size_t n = 8 + i * 37 % (sizeof text - 8);
        memset(text, (int)(i & 0xff), n);
        memcpy(text, &n, sizeof n);
        (void)put_text(arg, text, n, i);
    }
    return 0;
}

static bool is_whole(struct wr_span s)
{
    size_t n = 0;
    if (s.n < 8)
        return false;
    memcpy(&n, s.p, sizeof n);
    for (size_t i = 9; i < s.n; i++)
        if (s.p[i] != s.p[8])
            return false;
    return n == s.n;
}

static void test_killed_writers(void)
{
    static char got[WR_LOG_RECORD_MAX];
    struct fixture f;
    struct wr_log_record rec;
    set_up(&f, WR_LOG_RING_MIN);
    uint64_t pos = wr_log_ring_tail(&f.ring), taken = 0;
    bool good = true;
    for (int round = 0; round < 20; round++) {
        int r;
        pid_t pid = wr_os_spawn(write_for_ever, &f.ring, NULL);
        uint64_t enough = taken + 500;
        while (taken < enough) {
            while ((r = wr_log_ring_get(&f.ring, &pos, got, &rec)) == 1) {
                good &= is_whole(rec.text);
                taken++;
            }
            good &= r == 0;
            wr_log_ring_release(&f.ring, pos);
        }
        good &= testing_kill(pid) == SIGKILL;
    }
    while (wr_log_ring_get(&f.ring, &pos, got, &rec) == 1)
        taken += is_whole(rec.text);
    ok(good, "whole records only");
    is_int(wr_log_ring_written(&f.ring) - taken <= 20, 1,
           "none lost (a death between count and publish may count one too many)");
    wr_shm_free(&f.shm);
}

static void test_damage(void)
{
    static char got[WR_LOG_RECORD_MAX];
    struct fixture f;
    struct wr_log_record rec;
    set_up(&f, WR_LOG_RING_MIN);
    uint64_t pos = wr_log_ring_tail(&f.ring);
    f.ring.words->head = 1ull << 40;
    is_int(wr_log_ring_get(&f.ring, &pos, got, &rec), -EPROTO, "a head too far");
    is_int(wr_log_ring_get(&f.ring, &pos, got, &rec), 0, "skipped");
    wr_log_ring_release(&f.ring, pos);
    ok(put_text(&f.ring, "abc", 3, 1), "and usable again");
    struct record_head *h = (void *)(f.ring.words->data + (pos & (f.ring.capacity - 1)));
    h->length = 1u << 30;
    is_int(wr_log_ring_get(&f.ring, &pos, got, &rec), -EPROTO, "a length too large");
    f.ring.words->tail = 12345;
    ok(!put_text(&f.ring, "abc", 3, 1), "a mad reader looks like a full ring");
    wr_shm_free(&f.shm);
}

int main(void)
{
    test_model();
    test_drops();
    test_wake();
    test_killed_writers();
    test_damage();
    return tap_done();
}
