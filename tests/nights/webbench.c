/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A load as Webbench makes it: CLIENTS processes, each of which connects, asks, reads to the end and begins anew until the time is
 * over, all blocking.
 *
 *     webbench CLIENTS SECONDS
 */
#include "tests/nights/night.h"

#include <arpa/inet.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

struct counts {
    long pages, failed;
};

static long now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

static bool page(void)
{
    char text[512];
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool good = connect(fd, (struct sockaddr *)&sa, sizeof sa) == 0 &&
                send(fd, "GET / HTTP/1.0\r\n\r\n", 18, MSG_NOSIGNAL) == 18 &&
                recv(fd, text, sizeof text, 0) > 0;
    while (good && recv(fd, text, sizeof text, 0) > 0)
        ;
    (void)close(fd);
    return good;
}

int main(int argc, char **argv)
{
    int clients = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 1,
        seconds = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 1;
    struct counts *all = mmap(NULL, sizeof *all * (size_t)clients, PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(all != MAP_FAILED, "mmap");
    long end = now_s() + seconds;
    for (int i = 0; i < clients; i++) {
        if (fork() != 0)
            continue;
        (void)alarm((unsigned)seconds + 1); /* as Webbench: the time ends a call that hangs */
        while (now_s() < end)
            *(page() ? &all[i].pages : &all[i].failed) += 1;
        _exit(0);
    }
    int hung = 0, status;
    long pages = 0, failed = 0;
    while (wait(&status) > 0)
        hung += WIFSIGNALED(status);
    for (int i = 0; i < clients; i++) {
        pages += all[i].pages;
        failed += all[i].failed;
    }
    (void)printf(
        "%d clients, running %d sec.\nRequests: %ld susceed, %ld failed; %d clients hung at "
        "the end.\n",
        clients, seconds, pages, failed, hung);
    return 0;
}
