/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Night 000: a proxy that makes sessions to an upstream faster than ports come back.
 *
 *     sessions THREADS PER_SECOND
 *
 * Each session connects, asks, reads and closes first: the port stays in TIME_WAIT. A session whose connect fails waits in a table and tries
 * again; nothing refuses new ones. A request on its own port is answered with the count of sessions at each stage.
 */
#include "tests/nights/night.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#define UPSTREAM 9000
#define MOST     20000 /* sessions: so that the night ends before the memory */
#define WEIGHT   8192  /* bytes a session holds */

static atomic_long made, connected, answered, refused, alive;
static long each_ns;

struct session {
    struct session *next;
    char buffer[WEIGHT];
};

static void upstream(void)
{
    int one = 1, l = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(UPSTREAM)};
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)prctl(PR_SET_NAME, "upstream");
    (void)setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    must(bind(l, (struct sockaddr *)&sa, sizeof sa) == 0 && listen(l, 4096) == 0, "upstream");
    (void)!write(3, "u", 1);
    for (;;) {
        char c[64];
        int fd = accept(l, NULL, NULL);
        (void)answer(fd);
        (void)!recv(fd, c, sizeof c, 0); /* the proxy closes first */
        (void)close(fd);
    }
}

static bool attempt(struct session *s)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(UPSTREAM)};
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool good = fd >= 0 && connect(fd, (struct sockaddr *)&sa, sizeof sa) == 0;
    if (good)
        connected++;
    else
        refused++;
    good = good && send(fd, "GET / HTTP/1.0\r\n\r\n", 18, MSG_NOSIGNAL) == 18 &&
           recv(fd, s->buffer, 512, 0) > 0;
    if (good)
        answered++;
    (void)close(fd);
    return good;
}

/* New ones come at their pace; those that failed are tried again, one with each new one. */
static void *worker(void *arg)
{
    struct session *waiting = NULL, *s;
    (void)arg;
    for (;;) {
        nanosleep(&(struct timespec){.tv_nsec = each_ns}, NULL);
        if (alive < MOST && (s = malloc(sizeof *s)) != NULL) {
            memset(s, 1, sizeof *s);
            made++;
            alive++;
            s->next = waiting;
            waiting = s;
        }
        for (int tries = 0; waiting && tries < 2 && attempt(waiting); tries++) {
            s = waiting;
            waiting = s->next;
            free(s);
            alive--;
        }
    }
    return NULL;
}

static void status(int fd)
{
    char request[512], text[512], head[64];
    (void)!recv(fd, request, sizeof request, 0);
    int n = snprintf(
        text, sizeof text,
        "sessions made %ld, connected %ld, answered %ld, connect failed %ld, waiting now "
        "%ld\n",
        made, connected, answered, refused, alive);
    int h = snprintf(head, sizeof head, "HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n", n);
    (void)send(fd, head, (size_t)h, MSG_NOSIGNAL | MSG_MORE);
    (void)send(fd, text, (size_t)n, MSG_NOSIGNAL);
    (void)close(fd);
}

int main(int argc, char **argv)
{
    must(argc > 2, "sessions THREADS PER_SECOND");
    int threads = (int)strtol(argv[1], NULL, 10), up[2], listener = listen_here(100);
    char c;
    each_ns = 1000000000L / (int)strtol(argv[2], NULL, 10) * threads;
    must(pipe(up) == 0, "pipe");
    if (fork() == 0) {
        must(dup2(up[1], 3) == 3, "dup2");
        (void)close(listener == 3 ? -1 : listener);
        upstream();
    }
    must(read(up[0], &c, 1) == 1, "upstream");
    for (int i = 0; i < threads; i++) {
        pthread_t t;
        must(pthread_create(&t, NULL, worker, NULL) == 0, "pthread_create");
    }
    started();
    for (;;)
        status(accept(listener, NULL, NULL));
}
