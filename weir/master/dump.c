/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Postmortems: what a worker that died left in shared memory, as a text, written by the master at its death.
 *
 * DIR/weir-postmortem.0 to .9 take turns, so that a crash loop fills no disk. `weir postmortem` prints the
 * latest, or that of a pid.
 */
#include "libweir/base/err.h"
#include "libweir/base/heap.h"
#include "libweir/base/num.h"
#include "libweir/io/board.h"
#include "libweir/io/log.h"
#include "libweir/io/log_text.h"
#include "libweir/io/recorder.h"
#include "libweir/io/shm.h"
#include "libweir/os/os.h"
#include "weir/master/master_private.h"
#include "weir/master/postmortem.h"
#include "weir/master/symbol.h"
#include "weir/stats/conns.h"
#include "weir/stats/text.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define EVENTS_SHOWN 256U
#define FILE_MAX     ((size_t)4 << 20)
#define FIRST_WORDS  "weir postmortem pid="

/* ---- forming ------------------------------------------------------------------------------------------------ */

struct conns_out {
    struct stats_text *t;
    uint64_t now_ms;
};

static unsigned long long ago(uint64_t now, uint64_t then)
{
    return now > then ? (unsigned long long)(now - then) : 0;
}

static void put_conn(const struct conns_entry *e, void *arg)
{
    struct conns_out *o = arg;
    char peer[WR_ADDR_TEXT_MAX] = "-", doing[4 * sizeof e->doing + 1];
    struct wr_addr a =
        e->family == WR_ADDR_V6 ? wr_addr_v6(e->ip, 0, e->port) : wr_addr_v4(e->ip, e->port);
    if (e->family == WR_ADDR_V4 || e->family == WR_ADDR_V6)
        wr_addr_format(&a, peer);
    size_t n = wr_log_escape(doing, sizeof doing - 1, wr_span(e->doing, e->doing_len));
    doing[n] = 0;
    stats_printf(
        o->t, "  id=%llu peer=%s state=%s for_ms=%llu age_ms=%llu requests=%u fd=%u %s\n",
        (unsigned long long)e->number, peer, conns_state_name(e->state),
        ago(o->now_ms, e->changed_ms), ago(o->now_ms, e->opened_ms), e->requests, e->fd, doing);
}

static void put_conns(struct stats_text *t, const struct master *m, unsigned seat)
{
    size_t size;
    const void *part = wr_shm_part(m->shm, CONNS_PART, CONNS_VERSION, &size);
    struct conns_out o = {t, wr_os_now_ns(CLOCK_MONOTONIC) / 1000000};
    stats_put(t, WR_LIT("connections that it held:\n"));
    if (!part || conns_walk(part, size, seat, put_conn, &o) <= 0)
        stats_put(t, WR_LIT("  none\n"));
}

static void put_events(struct stats_text *t, const struct master *m, unsigned seat, pid_t pid)
{
    size_t size;
    const void *part = wr_shm_part(m->shm, WR_RECORDER_PART, WR_RECORDER_VERSION, &size);
    struct wr_event *e = wr_heap_array(m->heap, EVENTS_SHOWN, sizeof *e);
    char line[256];
    stats_put(t, WR_LIT("its last events:\n"));
    if (!part || !e)
        return;
    int n = wr_recorder_read(part, size, seat, (uint32_t)pid, e, EVENTS_SHOWN);
    for (int i = 0; i < n; i++) {
        (void)wr_event_format(&e[i], line, sizeof line);
        stats_printf(t, "  %s\n", line);
    }
    wr_heap_free(m->heap, e, EVENTS_SHOWN * sizeof *e);
}

static void put_running(struct stats_text *t, const struct master *m, const struct wr_seat *s)
{
    char fn[96];
    uint64_t since = wr_word_get(&s->loop.running_since_ns);
    if (!since) {
        stats_put(t, WR_LIT("it was waiting for events\n"));
        return;
    }
    symbol_name(m->exe, wr_word_get(&s->loop.running_fn), fn, sizeof fn);
    stats_printf(t, "it was running %s, fd %lld, for %llu ms\n", fn,
                 (long long)s->loop.running_fd,
                 ago(wr_os_now_ns(CLOCK_MONOTONIC), since) / 1000000);
}

static void form(struct stats_text *t, const struct master *m, unsigned seat, pid_t pid,
                 int status)
{
    const struct wr_seat *s = wr_board_seat(m->board, seat);
    char how[64], when[WR_LOG_TIME_SIZE];
    uint64_t now = wr_os_now_ns(CLOCK_REALTIME);
    wr_log_time(when, now);
    stats_printf(t, FIRST_WORDS "%d at=%.*s ns=%llu\n", (int)pid, WR_LOG_TIME_SIZE, when,
                 (unsigned long long)now);
    stats_printf(t, "worker %llu, pid %d, ended by %s after %llu s\n",
                 (unsigned long long)wr_word_get(&s->role), (int)pid,
                 wr_exit_text(status, how, sizeof how),
                 ago(now, wr_word_get(&s->started_ns)) / 1000000000);
    put_running(t, m, s);
    stats_printf(t, "in all: %llu connections accepted, %llu requests, %llu loop turns\n",
                 (unsigned long long)wr_word_get(&s->counter[WR_COUNTER_ACCEPTED]),
                 (unsigned long long)wr_word_get(&s->counter[WR_COUNTER_REQUESTS]),
                 (unsigned long long)wr_word_get(&s->loop.turns));
    put_conns(t, m, seat);
    put_events(t, m, seat, pid);
}

/* ---- writing ------------------------------------------------------------------------------------------------ */

static int file_name(char *out, size_t n, const char *directory, unsigned i)
{
    size_t len = strlen(directory);
    int w = snprintf(out, n, "%s%sweir-postmortem.%u", directory,
                     len && directory[len - 1] == '/' ? "" : "/", i);
    return w > 0 && (size_t)w < n ? 0 : -1;
}

static int write_file(const char *path, const struct stats_text *t)
{
    (void)wr_os_unlink(path); /* not into what somebody has put there */
    int fd = wr_os_open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    if (fd < 0)
        return fd;
    ssize_t n = wr_os_write(fd, t->p, t->n);
    (void)wr_os_close(fd);
    return n < 0 ? (int)n : 0;
}

void dump_write(struct master *m, const char *directory, unsigned seat, pid_t pid, int status)
{
    struct stats_text t = {.heap = m->heap};
    char path[TEXT_MAX];
    form(&t, m, seat, pid, status);
    int err = file_name(path, sizeof path, directory,
                        (unsigned)(m->state->deaths % POSTMORTEM_FILES));
    if (err == 0 && !t.failed)
        err = write_file(path, &t);
    if (err)
        master_say(m, WR_LOG_WARN, "postmortem of %d: \"%s\" (%d: %s)", (int)pid, path, -err,
                   wr_err_text(err));
    else
        master_say(m, WR_LOG_NOTICE, "postmortem of worker process %d: \"%s\"", (int)pid, path);
    stats_text_free(&t);
}

/* ---- printing ----------------------------------------------------------------------------------------------- */

static char *read_file(const struct wr_heap *heap, const char *path, size_t *out_n)
{
    struct stat st;
    int fd = wr_os_open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
    if (fd < 0)
        return NULL;
    char *p = NULL;
    *out_n = 0;
    if (wr_os_fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (size_t)st.st_size <= FILE_MAX)
        p = wr_heap_zalloc(heap, (size_t)st.st_size + 1);
    ssize_t n = p ? wr_os_read(fd, p, (size_t)st.st_size) : 0;
    (void)wr_os_close(fd);
    *out_n = p ? (size_t)st.st_size + 1 : 0;
    if (p && n <= 0) {
        wr_heap_free(heap, p, *out_n);
        return NULL;
    }
    return p;
}

/* What the first line says; false: not such a file. */
static bool read_first(const char *text, int *out_pid, unsigned long long *out_ns)
{
    return sscanf(text, FIRST_WORDS "%d at=%*s ns=%llu", out_pid, out_ns) == 2;
}

int postmortem_print(const char *directory, int pid, int fd)
{
    const struct wr_heap *heap = wr_os_heap();
    char path[TEXT_MAX], *best = NULL;
    size_t best_n = 0, n;
    unsigned long long best_ns = 0;
    for (unsigned i = 0; i < POSTMORTEM_FILES; i++) {
        int of;
        unsigned long long ns;
        char *text =
            file_name(path, sizeof path, directory, i) == 0 ? read_file(heap, path, &n) : NULL;
        if (!text)
            continue;
        if (!read_first(text, &of, &ns) || (pid && of != pid) || ns < best_ns) {
            wr_heap_free(heap, text, n);
            continue;
        }
        wr_heap_free(heap, best, best_n);
        best = text;
        best_n = n;
        best_ns = ns;
    }
    if (!best)
        return WR_E_NOT_FOUND;
    (void)!wr_os_write(fd, best, strlen(best));
    wr_heap_free(heap, best, best_n);
    return 0;
}
