/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fork_lock
 *
 * A child of fork has one thread and a copy of all locks, also of those that another thread held at that
 * moment: nobody in the child will release them. Three scenes, each in a process of its own:
 *
 *   1. by hand: a thread holds the lock, main forks, the child wants the lock and waits for ever;
 *   2. the same with wr_os_spawn, through which the library makes all its processes: it says no, with a
 *      sentence, instead of making a child that may stand still some day;
 *   3. the order that works: processes first, then threads.
 */
#include "libweir/libweir.h"
#include "libweir/os/os.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_MS 1000

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *hold_the_lock(void *arg)
{
    (void)pthread_mutex_lock(&lock);
    (void)!write(*(int *)arg, "", 1);
    for (;;)
        (void)pause();
    return NULL;
}

/* Returns when another thread holds the lock, and will not let go. */
static void start_thread(void)
{
    static int said[2];
    pthread_t thread;
    char byte;
    if (pipe(said) != 0 || pthread_create(&thread, NULL, hold_the_lock, &said[1]) != 0)
        _exit(9);
    (void)!read(said[0], &byte, 1);
}

static int want_the_lock(void *arg)
{
    (void)arg;
    (void)pthread_mutex_lock(&lock);
    return 0;
}

/* False: it still ran after PATIENCE_MS and was killed. */
static bool ended(pid_t pid, int *out_status)
{
    for (int ms = 0; ms < PATIENCE_MS; ms += 10) {
        if (waitpid(pid, out_status, WNOHANG) == pid)
            return true;
        (void)usleep(10000);
    }
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, out_status, 0);
    return false;
}

static int by_hand(void)
{
    int status;
    start_thread();
    pid_t pid = fork();
    if (pid == 0)
        _exit(want_the_lock(NULL));
    return ended(pid, &status) ? 1 : 0;
}

static int by_the_library(void)
{
    struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
    start_thread();
    return wr_os_spawn(want_the_lock, NULL, NULL) > 0 ? 1 : 2; /* not reached */
}

static int processes_first(void)
{
    int status = 0;
    pid_t pid = wr_os_spawn(want_the_lock, NULL, NULL);
    start_thread();
    return pid > 0 && ended(pid, &status) && status == 0 ? 0 : 1;
}

static int play(int (*scene)(void))
{
    int status = -1;
    (void)fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        _exit(scene());
    (void)waitpid(pid, &status, 0);
    return status;
}

static bool say(bool as_expected, const char *what)
{
    printf("%s: %s\n", as_expected ? "yes" : "NO", what);
    return as_expected;
}

int main(void)
{
    int hand = play(by_hand), library = play(by_the_library), order = play(processes_first);
    bool good = say(hand == 0, "by hand, the child waits for a lock that nobody will release");
    good &= say(WIFSIGNALED(library) && WTERMSIG(library) == SIGABRT,
                "wr_os_spawn refuses to fork a process that has threads");
    good &= say(order == 0, "processes first, threads later: the child gets the lock");
    return good ? 0 : 1;
}
