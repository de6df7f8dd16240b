/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A crowd of impatient clients, as simple load generators of old make it: N processes, each opening a
 * connection for every request, HTTP/1.0, reading to the end; for so many seconds.
 *
 *     crowd PROCESSES SECONDS PORT PATH       -> "N answered, M failed"
 *
 * Failed: no connection, a reset, an answer that does not begin with a 2xx status or ends before its length.
 */

#include <arpa/inet.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct count {
    uint64_t answered, failed;
};

static double now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* 0 when a whole answer with a good status came. */
static int ask(const struct sockaddr_in *to, const char *request)
{
    static char buf[65536];
    struct timeval patience = {.tv_sec = 10};
    int fd = socket(AF_INET, SOCK_STREAM, 0), rc = -1;
    size_t n = 0, total = 0;
    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd, (const struct sockaddr *)to, sizeof *to) == 0 &&
        send(fd, request, strlen(request), MSG_NOSIGNAL) == (ssize_t)strlen(request)) {
        ssize_t k;
        while ((k = recv(fd, buf + n, sizeof buf - 1 - n, 0)) > 0) {
            total += (size_t)k;
            n += n + (size_t)k < sizeof buf / 2 ? (size_t)k : 0;
        }
        buf[n ? n : 0] = 0;
        const char *body = strstr(buf, "\r\n\r\n");
        const char *length = strcasestr(buf, "\r\nContent-Length: ");
        if (k == 0 && body && strncmp(buf, "HTTP/1.", 7) == 0 && buf[9] == '2')
            rc = length && (size_t)(body + 4 - buf) + strtoul(length + 18, NULL, 10) != total;
    }
    (void)close(fd);
    return rc;
}

static void one_client(const struct sockaddr_in *to, const char *request, double until,
                       struct count *c)
{
    while (now() < until) {
        if (ask(to, request) == 0)
            c->answered++;
        else
            c->failed++;
    }
    _exit(0);
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        (void)fprintf(stderr, "usage: crowd PROCESSES SECONDS PORT PATH\n");
        return 64;
    }
    unsigned n = (unsigned)strtoul(argv[1], NULL, 10);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)strtoul(argv[3], NULL, 10)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char request[1024];
    (void)snprintf(request, sizeof request,
                   "GET %s HTTP/1.0\r\nUser-Agent: crowd\r\nHost: 127.0.0.1\r\n\r\n", argv[4]);
    struct count *counts = mmap(NULL, n * sizeof *counts, PROT_READ | PROT_WRITE,
                                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (counts == MAP_FAILED)
        return 1;
    double until = now() + strtod(argv[2], NULL);
    for (unsigned i = 0; i < n; i++) {
        pid_t pid = fork();
        if (pid == 0)
            one_client(&to, request, until, &counts[i]);
        if (pid < 0)
            counts[i].failed++;
    }
    while (wait(NULL) > 0)
        continue;
    struct count sum = {0};
    for (unsigned i = 0; i < n; i++) {
        sum.answered += counts[i].answered;
        sum.failed += counts[i].failed;
    }
    printf("%llu answered, %llu failed\n", (unsigned long long)sum.answered,
           (unsigned long long)sum.failed);
    return 0;
}
