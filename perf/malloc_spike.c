/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * malloc_spike [seconds]: the twin of mem_spike that asks malloc. Knows nothing of the library. Prints
 * MiB: rss_peak, rss_after, rss_1s ...
 */
#include "perf/draw.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONNS   20000
#define STRINGS 14

struct conn {
    char *string[STRINGS], *work, *buf;
    unsigned char state[384];
};

static struct conn *conns[CONNS];

static void *filled(size_t n)
{
    void *p = malloc(n);
    if (!p)
        abort();
    return memset(p, 1, n);
}

static struct conn *conn_open(void)
{
    struct conn *c = filled(sizeof *c);
    for (int i = 0; i < STRINGS; i++)
        c->string[i] = filled(16 + draw(draw(4) ? 64 : 240));
    c->work = filled(4096);
    c->buf = filled(16384);
    return c;
}

static void conn_idle(struct conn *c)
{
    free(c->work);
    free(c->buf);
    c->work = c->buf = NULL;
}

static void conn_close(struct conn *c)
{
    conn_idle(c);
    for (int i = 0; i < STRINGS; i++)
        free(c->string[i]);
    free(c);
}

static double rss_mib(void)
{
    static char buffer[256];
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f)
        abort();
    (void)setvbuf(f, buffer, _IOFBF, sizeof buffer);
    if (fscanf(f, "%*d %ld", &pages) != 1)
        abort();
    (void)fclose(f);
    return (double)pages * 4096 / 1048576;
}

int main(int argc, char **argv)
{
    int secs = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 2;
    draw_start();
    for (int i = 0; i < CONNS; i++)
        conns[i] = conn_open();
    printf("rss_peak %.1f\n", rss_mib());
    for (int i = CONNS - 1; i > 0; i--) {
        int j = (int)draw((unsigned)i + 1);
        struct conn *t = conns[i];
        conns[i] = conns[j];
        conns[j] = t;
    }
    for (int i = 0; i < CONNS; i++) {
        if (i < CONNS / 10)
            conn_idle(conns[i]);
        else
            conn_close(conns[i]);
    }
    printf("rss_after %.1f\n", rss_mib());
    for (int s = 1; s <= secs; s++) {
        (void)sleep(1);
        printf("rss_%ds %.1f\n", s, rss_mib());
    }
    return 0;
}
