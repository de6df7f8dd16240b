/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Night 004, experiment 4: a server whose worker is forked while another thread of the parent holds a lock. The child has the lock as it was,
 * locked, and not the thread that would unlock it.
 *
 *     forked held|free
 */
#include "tests/nights/night.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *other(void *arg)
{
    (void)arg;
    (void)pthread_mutex_lock(&lock);
    nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
    (void)pthread_mutex_unlock(&lock);
    return NULL;
}

static void serve(int listener)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    started();
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        (void)pthread_mutex_lock(&lock); /* to count the request */
        (void)pthread_mutex_unlock(&lock);
        (void)answer(fd);
        (void)close(fd);
    }
}

int main(int argc, char **argv)
{
    pthread_t t;
    int listener = listen_here(100);
    must(pthread_create(&t, NULL, other, NULL) == 0, "pthread_create");
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    if (argc > 1 && strcmp(argv[1], "free") == 0)
        (void)pthread_join(t, NULL);
    if (fork() == 0)
        serve(listener);
    (void)close(listener);
    (void)pthread_join(t, NULL);
    pause();
}
