/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/look/look.h"

#include "libweir/os/os.h"
#include "tests/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#define MOST 3000

/* ---- descriptors: each once, whatever numbers they have --------------------------------------------- */
struct seen {
    unsigned times[MOST];
    unsigned calls;
    int stop_at;
};

static int on_number(void *arg, int dir, uint32_t number)
{
    struct seen *s = arg;
    char name[16], link[64];
    s->calls++;
    if ((int)number == s->stop_at)
        return -ECANCELED;
    (void)snprintf(name, sizeof name, "%u", number);
    if (readlinkat(dir, name, link, sizeof link) < 0)
        return 0;
    if (number < MOST)
        s->times[number]++;
    return 1;
}

static bool open_between(int from, int to)
{
    for (int fd = from; fd < to; fd++)
        if (dup2(0, fd) != fd)
            return false;
    return true;
}

static void close_between(int from, int to)
{
    for (int fd = from; fd < to; fd++)
        close(fd);
}

/* Are they, in this range, all there once, or none? */
static bool is_all(const struct seen *s, int from, int to, unsigned times)
{
    for (int fd = from; fd < to; fd++)
        if (s->times[fd] != times)
            return false;
    return true;
}

static void test_descriptors(void)
{
    static struct seen s;
    s = (struct seen){.stop_at = -1};
    ok(open_between(20, 400), "a table without holes");
    is_int(look_descriptors("/proc/self/fd", on_number, &s), 0, "is read");
    ok(is_all(&s, 20, 400, 1) && is_all(&s, 400, MOST, 0), "each once, and no other");
    ok(s.calls < 500, "and few numbers are tried that are none");
    close_between(40, 60);
    ok(open_between(2000, 2100), "one with a hole, and a far end");
    s = (struct seen){.stop_at = -1};
    is_int(look_descriptors("/proc/self/fd", on_number, &s), 0, "is read");
    ok(is_all(&s, 20, 40, 1) && is_all(&s, 40, 60, 0) && is_all(&s, 60, 400, 1) &&
           is_all(&s, 400, 2000, 0) && is_all(&s, 2000, 2100, 1),
       "each once, on both sides of the holes");
    ok(s.calls < 900, "the large hole is not tried through");
    s = (struct seen){.stop_at = 200};
    is_int(look_descriptors("/proc/self/fd", on_number, &s), -ECANCELED, "fn ends it");
    ok(is_all(&s, 201, MOST, 0), "there");
    close_between(60, 400);
    close_between(2000, 2100);
    s = (struct seen){.stop_at = -1};
    is_int(look_descriptors("/proc/self/fd", on_number, &s), 0, "a small table");
    ok(is_all(&s, 20, 40, 1) && is_all(&s, 40, MOST, 0), "is listed");
    close_between(20, 40);
    is_int(look_descriptors("/proc/self/none", on_number, &s), -ENOENT, "no directory");
}

/* ---- stepping aside --------------------------------------------------------------------------------- */
static void test_pace(void)
{
    struct look_pace p;
    uint64_t begun = wr_os_now_ns(CLOCK_MONOTONIC);
    look_pause(NULL);
    look_pace(&p, 0);
    for (unsigned i = 0; i < 1000; i++)
        look_pause(&p);
    is_int((long)p.left_ns, 0, "no pauses where none are allowed");
    look_pace(&p, 5);
    while (p.left_ns > 0 && wr_os_now_ns(CLOCK_MONOTONIC) - begun < 20000000000ULL)
        look_pause(&p);
    is_int((long)p.left_ns, 0, "the time for pauses is used up");
    uint64_t piece = p.begun_ns;
    for (unsigned i = 0; i < 1000; i++)
        look_pause(&p);
    ok(p.begun_ns == piece, "and then it goes on without them");
}

int main(void)
{
    struct rlimit most = {MOST + 10, MOST + 10};
    if (setrlimit(RLIMIT_NOFILE, &most)) /* under valgrind, or a lower hard limit */
        skip("so many descriptors are not allowed here");
    else
        test_descriptors();
    test_pace();
    return tap_done();
}
