/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/log.h"

#include "libweir/base/heap.h"
#include "libweir/io/log_text.h"
#include "libweir/io/shm.h"
#include "libweir/os/os.h"
#include "tests/tap.h"

#include <errno.h>

static struct wr_shm *shm;
static struct wr_log_ring ring;
static uint64_t pos;

static struct wr_log *set_up(unsigned burst, unsigned window_ms)
{
    struct wr_shm_part part = {WR_LOG_PART, WR_LOG_VERSION,
                               wr_log_ring_size(1, WR_LOG_RING_MIN)};
    struct wr_log *log = NULL;
    size_t n;
    if (wr_shm_new(wr_heap_libc(), "log", &part, 1, &shm) < 0 ||
        wr_log_ring_format(shm, 1, WR_LOG_RING_MIN) < 0)
        return NULL;
    void *at = wr_shm_part(shm, WR_LOG_PART, WR_LOG_VERSION, &n);
    if (wr_log_ring_at(at, n, 0, &ring) < 0)
        return NULL;
    struct wr_log_options o = {.ring = ring,
                               .wake_fd = -1,
                               .level = WR_LOG_INFO,
                               .burst = burst,
                               .window_ms = window_ms};
    is_int(wr_log_new(wr_heap_libc(), &o, &log), 0, "log");
    pos = wr_log_ring_tail(&ring);
    return log;
}

static const char *next_line(struct wr_log_record *rec)
{
    static char buf[WR_LOG_RECORD_MAX + 1];
    if (wr_log_ring_get(&ring, &pos, buf, rec) != 1)
        return "none";
    buf[rec->text.n] = 0;
    wr_log_ring_release(&ring, pos);
    return buf;
}

static void test_lines(void)
{
    struct wr_log_record rec;
    struct wr_log *log = set_up(0, 0);
    WR_LOG(log, WARN, "accept", "fd_limit", "fd=%d peer=%s", 3, "a b");
    is_str(next_line(&rec), "accept fd_limit fd=3 peer=\"a b\"", "a line");
    ok(rec.level == WR_LOG_WARN && rec.pid == (uint32_t)wr_os_getpid() && rec.time_ns,
       "its head");
    WR_LOG(log, DEBUG, "x", "y");
    WR_LOG((struct wr_log *)NULL, CRIT, "x", "y");
    is_str(next_line(&rec), "none", "below the level; no log");
    WR_LOG(log, ERROR, "x", "y");
    is_str(next_line(&rec), "x y", "without values");
    wr_log_set_level(log, WR_LOG_DEBUG);
    WR_LOG(log, DEBUG, "x", "z");
    is_str(next_line(&rec), "x z", "level lowered");
    ok(wr_log_raw(log, 2, WR_LIT("GET / 200\n")), "raw");
    is_str(next_line(&rec), "GET / 200\n", "as it was");
    ok(rec.channel == 2 && rec.flags == WR_LOG_RAW, "for its channel");
    wr_log_free(&log);
    wr_log_free(&log);
    wr_shm_free(&shm);
}

static void test_rate(void)
{
    struct wr_log_record rec;
    struct wr_log *log = set_up(3, 50);
    for (int i = 0; i < 20; i++)
        WR_LOG(log, INFO, "a", "b", "i=%d", i);
    is_str(next_line(&rec), "a b i=0", "first");
    (void)next_line(&rec);
    is_str(next_line(&rec), "a b i=2", "third");
    is_str(next_line(&rec), "none", "then silence");
    WR_LOG(log, INFO, "a", "other");
    is_str(next_line(&rec), "a other", "another site is heard");
    (void)wr_os_sleep_ns(60000000);
    struct wr_log_stats s;
    for (int i = 0; i < 20; i++) {
        if (i == 1)
            is_str(next_line(&rec), "none", "a site of its own");
        wr_log_tick(log);
        if (i == 0)
            ok(strstr(next_line(&rec), "a b suppressed=17 at=") != NULL,
               "the tick tells what is over");
    }
    s = wr_log_stats(log);
    is_int(s.written + s.dropped + s.suppressed - s.notes, 21, "the books balance");
    wr_log_free(&log);
    wr_shm_free(&shm);
}

static void warn_once(struct wr_log *log)
{
    WR_LOG(log, WARN, "a", "b");
}

static void test_suppressed_is_confessed(void)
{
    struct wr_log_record rec;
    struct wr_log *log = set_up(1, 50);
    for (int i = 0; i < 5; i++)
        warn_once(log);
    (void)next_line(&rec);
    (void)wr_os_sleep_ns(60000000);
    warn_once(log);
    is_str(next_line(&rec), "a b suppressed=4", "the next line of the site says so");
    warn_once(log);
    wr_log_free(&log);
    ok(strstr(next_line(&rec), "a b suppressed=1 at=") != NULL, "or the end does");
    wr_shm_free(&shm);
}

static void test_full(void)
{
    static char line[3000];
    struct wr_log *log = set_up(0, 0);
    memset(line, 'x', sizeof line);
    unsigned written = 0;
    for (int i = 0; i < 20; i++)
        written += wr_log_raw(log, 1, wr_span(line, sizeof line));
    struct wr_log_stats s = wr_log_stats(log);
    ok(written == s.written && s.written == 5 && s.dropped == 15, "nobody waits, all counted");
    wr_log_free(&log);
    wr_shm_free(&shm);
}

static void test_refused_memory(void)
{
    struct wr_heap_failing fail;
    struct wr_log *log = NULL;
    wr_heap_failing_init(&fail, wr_heap_libc(), 1, 0, 1);
    struct wr_log_options o = {.wake_fd = -1};
    is_int(wr_log_new(&fail.heap, &o, &log), -ENOMEM, "refused");
    ok(!log, "untouched");
}

int main(void)
{
    test_lines();
    test_rate();
    test_suppressed_is_confessed();
    test_full();
    test_refused_memory();
    return tap_done();
}
