/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Night 004, experiment 1: a server that hands each line of its log to a daemon of its own through a pipe, as a proxy with a log
 * child does. When the daemon stands still the pipe fills, and then the server stands in write().
 *
 *     logged
 *
 * Prints READY and its pid, then LOGD and the daemon's.
 */
#include "tests/nights/night.h"

#include <signal.h>

static void daemon_loop(int from)
{
    char lines[65536];
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)prctl(PR_SET_NAME, "logfile-daemon");
    int to = open("/dev/null", O_WRONLY);
    for (ssize_t n; (n = read(from, lines, sizeof lines)) > 0;)
        (void)!write(to, lines, (size_t)n);
    _exit(0);
}

int main(void)
{
    int log[2], listener = listen_here(100);
    must(pipe(log) == 0, "pipe");
    pid_t pid = fork();
    if (pid == 0) {
        (void)close(log[1]);
        daemon_loop(log[0]);
    }
    (void)close(log[0]);
    started();
    (void)printf("LOGD %d\n", (int)pid);
    (void)fflush(stdout);
    must(dup2(log[1], 2) == 2, "dup2");
    (void)close(log[1]);
    for (long number = 1;; number++) {
        char line[512];
        int fd = accept(listener, NULL, NULL);
        (void)answer(fd);
        (void)close(fd);
        int n = snprintf(line, sizeof line, "%ld GET / 200 %0400d\n", number, 0);
        (void)!write(2, line, (size_t)n);
    }
}
