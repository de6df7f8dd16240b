/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mem_spike [seconds]: does resident memory come back after a pile-up, while the process sleeps?
 *
 * Twenty thousand connections pile up, each with an arena of its own for itself and its strings, a 4 KiB
 * and a 16 KiB block, all written. Then nine in ten close, in random order, and the rest idle without
 * their blocks. From then on the process lies in epoll_wait and wakes only when the memory's tick asks
 * for it. malloc_spike is the twin that asks malloc. Prints MiB: rss_peak, rss_after, rss_1s ...
 */
#include "perf/mem_program.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CONNS   20000
#define STRINGS 14

struct conn {
    char *string[STRINGS];
    struct wr_arena arena;
    struct wr_block *work, *buf;
    unsigned char state[384];
};

static struct mem_program mem;
static struct conn *conns[CONNS];

static void *fill(void *p, size_t n)
{
    if (!p)
        abort();
    return memset(p, 1, n);
}

static struct wr_block *block(size_t n)
{
    struct wr_block *b;
    if (wr_block_take(&mem.blocks, &mem.listener, n, &b) < 0)
        abort();
    (void)fill(b->data, n);
    return b;
}

static struct conn *conn_open(void)
{
    struct wr_arena arena;
    wr_arena_init(&arena, &mem.arenas, &mem.listener, WR_ARENA_SMALL);
    struct conn *c = fill(wr_arena_alloc(&arena, sizeof *c), sizeof *c);
    for (int i = 0; i < STRINGS; i++) {
        size_t n = 16 + draw(draw(4) ? 64 : 240);
        c->string[i] = fill(wr_arena_alloc(&arena, n), n);
    }
    c->arena = arena;
    c->work = block(4096);
    c->buf = block(16384);
    return c;
}

static void conn_idle(struct conn *c)
{
    wr_block_drop(&c->work);
    wr_block_drop(&c->buf);
}

static void conn_close(struct conn *c)
{
    struct wr_arena arena = c->arena; /* the connection lies in it */
    conn_idle(c);
    wr_arena_deinit(&arena);
}

static double rss_mib(void)
{
    char text[128] = "";
    int fd = wr_os_open("/proc/self/statm", O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0 || wr_os_read(fd, text, sizeof text - 1) <= 0)
        abort();
    (void)wr_os_close(fd);
    return (double)strtol(strchr(text, ' '), NULL, 10) * 4096 / 1048576;
}

static void shuffle(void)
{
    for (int i = CONNS - 1; i > 0; i--) {
        int j = (int)draw((unsigned)i + 1);
        struct conn *t = conns[i];
        conns[i] = conns[j];
        conns[j] = t;
    }
}

static uint64_t now_ms(void)
{
    return wr_os_now_ns(CLOCK_MONOTONIC) / 1000000;
}

/* A loop without events. Returns how often it woke. */
static int sleep_until(int ep, uint64_t until_ms)
{
    struct epoll_event ev;
    int wakes = 0;
    for (uint64_t now; (now = now_ms()) < until_ms; wakes++) {
        uint64_t next = wr_mem_tick(&mem.mem, now);
        uint64_t to = next < until_ms ? next : until_ms;
        if (wr_os_epoll_wait(ep, &ev, 1, to > now ? (int)(to - now) : 0) < 0)
            abort();
    }
    return wakes;
}

int main(int argc, char **argv)
{
    int secs = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 2, ep = wr_os_epoll_create();
    draw_start();
    mem_program_start(&mem);
    for (int i = 0; i < CONNS; i++)
        conns[i] = conn_open();
    printf("rss_peak %.1f\n", rss_mib());
    shuffle();
    for (int i = 0; i < CONNS; i++) {
        if (i < CONNS / 10) {
            conn_idle(conns[i]);
        } else {
            conn_close(conns[i]);
            conns[i] = NULL;
        }
    }
    printf("rss_after %.1f\n", rss_mib());
    uint64_t start = now_ms();
    for (int s = 1; s <= secs; s++) {
        int wakes = sleep_until(ep, start + (uint64_t)s * 1000);
        printf("rss_%ds %.1f\nwakes_%ds %d\n", s, rss_mib(), s, wakes);
    }
    printf("charged %.1f\n", (double)mem.process.used / 1048576);
    for (int i = 0; i < CONNS / 10; i++)
        conn_close(conns[i]);
    mem_program_end(&mem);
    (void)wr_os_close(ep);
    return 0;
}
