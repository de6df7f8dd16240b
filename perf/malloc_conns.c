/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * malloc_conns [requests]: the twin of mem_conns that asks malloc, for the allocator of the day
 * (LD_PRELOAD). Knows nothing of the library. Prints ns_per_request.
 */
#include "perf/draw.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define CONNS   10000
#define STRINGS 5
#define OBJECTS 16

struct conn {
    char *string[STRINGS];
    char state[280];
};

static struct conn *conns[CONNS];

static char *take(size_t n)
{
    char *p = malloc(n);
    if (!p)
        abort();
    p[0] = 1;
    p[n - 1] = 1;
    return p;
}

static struct conn *conn_open(void)
{
    struct conn *c = (struct conn *)(void *)take(sizeof *c);
    c->string[0] = take(46);
    c->string[1] = take(16 + draw(48));
    c->string[2] = take(16 + draw(100));
    c->string[3] = take(24);
    c->string[4] = take(64 + draw(192));
    return c;
}

static void conn_close(struct conn *c)
{
    for (int i = 0; i < STRINGS; i++)
        free(c->string[i]);
    free(c);
}

static char *body(void)
{
    char *p = take(1024);
    for (size_t n = 2048; n <= 8192; n *= 2) {
        char *more = realloc(p, n);
        if (!more)
            abort();
        p = more;
        p[n - 1] = 1;
    }
    return p;
}

static void request(void)
{
    char *object[OBJECTS];
    int n = 0;
    unsigned at = draw(CONNS);
    object[n++] = take(384);
    for (int h = 0; h < 10; h++)
        object[n++] = take(8 + draw(draw(4) ? 40 : 160));
    object[n++] = take(4096);
    object[n++] = take(24 + draw(200));
    if (draw(5) == 0)
        object[n++] = take(16384);
    if (draw(3) == 0)
        object[n++] = body();
    conns[at]->state[0]++;
    while (n > 0)
        free(object[--n]);
    if (draw(100) == 0) {
        conn_close(conns[at]);
        conns[at] = conn_open();
    }
}

int main(int argc, char **argv)
{
    long n = argc > 1 ? strtol(argv[1], NULL, 10) : 1000000;
    struct timespec from, to;
    draw_start();
    for (int i = 0; i < CONNS; i++)
        conns[i] = conn_open();
    (void)clock_gettime(CLOCK_MONOTONIC, &from);
    for (long i = 0; i < n; i++)
        request();
    (void)clock_gettime(CLOCK_MONOTONIC, &to);
    double ns = (double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec);
    printf("ns_per_request %.1f\n", ns / (double)n);
    return 0;
}
