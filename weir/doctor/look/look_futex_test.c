/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/look/look.h"

#include "tests/tap.h"

#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_words(void)
{
    static const struct {
        const char *name;
        uint32_t words[6];
        uint32_t operation;
        uint64_t value;
        bool is;
    } rows[] = {
        {"a mutex",                   {2, 1, 811, 1, 0},                 FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 2, true },
        {"recursive",                 {2, 3, 811, 1, 1},                 FUTEX_WAIT,                      2, true },
        {"with a time limit",         {2, 1, 811, 1, 0},                 FUTEX_WAIT_BITSET,               2, true },
        {"between processes, robust", {0x8000032b, 1, 811, 1, 128 + 16}, FUTEX_WAIT,                      2, true },
        {"PI",                        {0x8000032b, 1, 811, 1, 32},       FUTEX_LOCK_PI2,                  0, true },
        {"PI, another owner",         {0x8000032c, 1, 811, 1, 32},       FUTEX_LOCK_PI,                   0, false},
        {"free again",                {0, 0, 0, 0, 0},                   FUTEX_WAIT,                      2, false},
        {"without waiters",           {1, 1, 811, 1, 0},                 FUTEX_WAIT,                      2, false},
        {"a condition variable",      {2, 0, 811, 1, 0},                 FUTEX_WAIT,                      0, false},
        {"a lock of stdio",           {2, 1, 0xf7d8a740, 0x7fff, 0},     FUTEX_WAIT,                      2, false},
        {"a kind that is none",       {2, 1, 811, 1, 4},                 FUTEX_WAIT,                      2, false},
        {"nobody uses it",            {2, 1, 811, 0, 0},                 FUTEX_WAIT,                      2, false},
        {"another operation",         {2, 1, 811, 1, 0},                 FUTEX_WAIT_REQUEUE_PI,           2, false},
    };
    for (unsigned i = 0; i < WR_ARRAY_LEN(rows); i++) {
        struct facts_futex f = {0};
        bool is = futex_is_mutex(rows[i].words, rows[i].operation, rows[i].value, &f);
        ok(is == rows[i].is && (!is || f.owner == 811), "%s", rows[i].name);
    }
}

static void test_risk(void)
{
    struct facts_thread t = {.state = 'D', .syscall = SYS_write};
    ok(!futex_is_risky(&t), "a thread that waits for a disk keeps nobody from the memory");
    t.syscall = SYS_munmap;
    ok(futex_is_risky(&t), "one in munmap may");
    t.syscall = FACTS_SYSCALL_UNKNOWN;
    ok(futex_is_risky(&t), "one in a page fault may");
    t.state = 'S';
    ok(!futex_is_risky(&t), "but not one that can be woken");
}

static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;

/* The thread of the look that waits for a mutex: it may take a moment until it does. */
static const struct facts_futex *wait_for(struct facts_look *l, uint32_t pid)
{
    for (unsigned i = 0; i < 1000 && l->futexes.n == 0; i++) {
        facts_look_deinit(l);
        facts_look_init(l, wr_heap_libc());
        if (look_process(l, pid, LOOK_THREADS, NULL) || facts_seal(l) ||
            look_futexes(l, &pid, 1))
            return NULL;
        (void)usleep(5000);
    }
    facts_seal_peeks(l);
    return l->futexes.n ? &l->futexes.v[0] : NULL;
}

/* The disease itself: fork while a lock is held that the child will want. */
static void test_real(void)
{
    struct facts_look l;
    (void)pthread_mutex_lock(&held);
    pid_t child = fork();
    if (child == 0) {
        (void)pthread_mutex_lock(&held);
        _exit(0);
    }
    facts_look_init(&l, wr_heap_libc());
    const struct facts_futex *f = wait_for(&l, (uint32_t)child);
    ok(f != NULL, "a child waits for a mutex");
    ok(f && f->owner == (uint32_t)getpid() && f->addr == (uintptr_t)&held && f->kind == 0,
       "that its parent has");
    ok(f && facts_futex(&l, f->pid, f->tid) == f && !facts_futex(&l, f->pid, f->tid + 1),
       "found again");
    facts_look_deinit(&l);
    (void)kill(child, SIGKILL);
    (void)waitpid(child, NULL, 0);
}

int main(void)
{
    test_words();
    test_risk();
    test_real();
    return tap_done();
}
