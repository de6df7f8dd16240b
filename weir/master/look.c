/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who stands still, and in what. Twice a second the master reads its workers' words in shared memory; only for
 * one that does not move it asks the kernel: the process's state, the system call, the descriptor's path.
 *
 * The finding goes into the state part (for the watch) and, once per standstill, into the log.
 */
#include "libweir/io/board.h"
#include "libweir/io/log.h"
#include "libweir/os/os.h"
#include "weir/master/master_private.h"
#include "weir/master/symbol.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#define LOOK_MS     500
#define CALLBACK_NS 1000000000U /* a callback that runs so long keeps everybody waiting */
#define START_NS    5000000000U /* a worker that is not ready after so long does not get ready */

/* ---- the kernel's view --------------------------------------------------------------------------------- */

static ssize_t read_proc(pid_t pid, const char *name, char *out, size_t n)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    int fd = wr_os_open(path, O_RDONLY, 0);
    if (fd < 0)
        return fd;
    ssize_t len = wr_os_read(fd, out, n - 1);
    (void)wr_os_close(fd);
    out[len > 0 ? len : 0] = 0;
    return len;
}

/* 'R' 'S' 'D' 'T' ...; '?' when unknown. It stands behind the name, which may hold anything but ends with ')'. */
static char process_state(pid_t pid)
{
    char text[512];
    if (read_proc(pid, "stat", text, sizeof text) <= 0)
        return '?';
    const char *p = strrchr(text, ')');
    return p && p[1] == ' ' ? p[2] : '?';
}

static const struct {
    long number;
    const char *name;
    bool has_fd;
} calls[] = {
    {SYS_read,            "read",       true },
    {SYS_write,           "write",      true },
    {SYS_readv,           "readv",      true },
    {SYS_writev,          "writev",     true },
    {SYS_pread64,         "pread",      true },
    {SYS_pwrite64,        "pwrite",     true },
    {SYS_sendfile,        "sendfile",   true },
    {SYS_recvfrom,        "recv",       true },
    {SYS_sendto,          "send",       true },
    {SYS_recvmsg,         "recvmsg",    true },
    {SYS_sendmsg,         "sendmsg",    true },
    {SYS_fsync,           "fsync",      true },
    {SYS_fstat,           "fstat",      true },
    {SYS_getdents64,      "getdents",   true },
    {SYS_accept4,         "accept",     true },
    {SYS_connect,         "connect",    true },
    {SYS_openat,          "openat",     false},
    {SYS_openat2,         "openat2",    false},
    {SYS_newfstatat,      "stat",       false},
    {SYS_futex,           "futex",      false},
    {SYS_epoll_pwait,     "epoll_wait", false},
#ifdef SYS_epoll_wait
    {SYS_epoll_wait,      "epoll_wait", false},
#endif
    {SYS_clock_nanosleep, "nanosleep",  false},
};

static void describe_call(struct state_stuck *k, pid_t pid)
{
    char text[256];
    long number = -1;
    unsigned long first = 0;
    if (read_proc(pid, "syscall", text, sizeof text) <= 0 ||
        sscanf(text, "%ld %lx", &number, &first) < 1)
        return; /* "running", or not ours to see */
    if (number < 0)
        return;
    (void)snprintf(k->syscall, sizeof k->syscall, "syscall %ld", number);
    for (unsigned i = 0; i < WR_ARRAY_LEN(calls); i++) {
        if (calls[i].number != number)
            continue;
        state_text(k->syscall, sizeof k->syscall, calls[i].name);
        if (calls[i].has_fd)
            k->fd = (int64_t)(int)first;
    }
}

static void describe_fd(struct state_stuck *k, pid_t pid)
{
    char link[64];
    if (k->fd < 0)
        return;
    (void)snprintf(link, sizeof link, "/proc/%d/fd/%lld", (int)pid, (long long)k->fd);
    ssize_t n = wr_os_readlink(link, k->path, sizeof k->path - 1);
    k->path[n > 0 ? n : 0] = 0;
}

/* ---- one worker ------------------------------------------------------------------------------------------- */

/* Since when it starts, if that is too long ago; the step it is in begins later, or has never begun. */
static uint64_t starts_since(const struct wr_seat *seat, uint64_t now)
{
    uint64_t wall = wr_os_now_ns(CLOCK_REALTIME), born = wr_word_get(&seat->started_ns);
    uint64_t step = wr_word_get(&seat->loop.running_since_ns);
    uint64_t since = step ? step : wall > born && wall - born < now ? now - (wall - born) : now;
    return now > since && now - since > START_NS ? since : 0;
}

/* When it last moved, if it does not now; 0: it moves. */
static uint64_t stands_since(const struct wr_seat *seat, uint64_t now, uint64_t watchdog_ms,
                             const char **what)
{
    uint64_t running = wr_word_get(&seat->loop.running_since_ns);
    uint64_t beat = wr_word_get(&seat->heartbeat_ns);
    if (wr_word_get(&seat->state) == WR_SEAT_STARTING) {
        *what = "start";
        return starts_since(seat, now);
    }
    if (running && now > running && now - running > CALLBACK_NS) {
        *what = "callback";
        return running;
    }
    char state = process_state((pid_t)wr_word_get(&seat->pid));
    if (state == 'T' || state == 't') {
        *what = "stopped";
        return running ? running : beat ? beat : now;
    }
    uint64_t patience = (watchdog_ms / 4 + 1000) * 1000000;
    if (watchdog_ms && beat && now > beat && now - beat > patience) {
        *what = state == 'D' ? "disk" : "no heartbeat";
        return beat;
    }
    return 0;
}

static void describe(struct master *m, const struct wr_seat *seat, struct state_stuck *k,
                     const char *what, uint64_t since)
{
    pid_t pid = (pid_t)wr_word_get(&seat->pid);
    *k = (struct state_stuck){.pid = (uint64_t)pid, .since_ns = since, .fd = -1};
    state_text(k->what, sizeof k->what, what);
    if (wr_word_get(&seat->loop.running_since_ns)) {
        symbol_name(m->exe, wr_word_get(&seat->loop.running_fn), k->fn, sizeof k->fn);
        k->fd = (int64_t)__atomic_load_n(&seat->loop.running_fd, __ATOMIC_RELAXED);
    }
    describe_call(k, pid);
    describe_fd(k, pid);
}

static void look_at(struct master *m, unsigned at, uint64_t now)
{
    const struct wr_seat *seat = wr_board_seat(m->board, at);
    struct state_stuck *k = &m->state->stuck[at], found;
    uint64_t state = wr_word_get(&seat->state), pid = wr_word_get(&seat->pid);
    const char *what = "";
    uint64_t watchdog = m->crew ? m->crew->settings.watchdog_ms : 0;
    if (state != WR_SEAT_STARTING && state != WR_SEAT_READY && state != WR_SEAT_STOPPING)
        return;
    uint64_t since = stands_since(seat, now, watchdog == UINT64_MAX ? 0 : watchdog, &what);
    if (!since) {
        if (k->pid == pid)
            master_say(m, WR_LOG_NOTICE, "worker process %llu moves again after %llu ms",
                       (unsigned long long)pid,
                       (unsigned long long)((now - k->since_ns) / 1000000));
        if (k->pid)
            memset(k, 0, sizeof *k);
        return;
    }
    bool first = k->pid != pid;
    describe(m, seat, &found, what, first ? since : k->since_ns);
    state_begin(m->state);
    *k = found;
    state_end(m->state);
    if (first)
        master_say(
            m, WR_LOG_CRIT,
            "worker process %llu stands still for %llu ms: %s%s%s%s%s%s%s, %u connections",
            (unsigned long long)pid, (unsigned long long)((now - since) / 1000000), k->what,
            k->fn[0] ? " " : "", k->fn, k->syscall[0] ? " in " : "", k->syscall,
            k->path[0] ? " on " : "", k->path,
            (unsigned)wr_word_get(&seat->gauge[WR_GAUGE_OPEN]));
}

static void on_look(struct wr_timer *t)
{
    struct master *m = wr_container_of(t, struct master, look_tick);
    uint64_t now = wr_os_now_ns(CLOCK_MONOTONIC);
    wr_word_set(&m->state->heartbeat_ns, now);
    for (unsigned i = SEAT_WORKERS; i < m->seats; i++)
        look_at(m, i, now);
    queue_look(m, now);
    wr_loop_timer_arm(m->loop, t, LOOK_MS);
}

void look_open(struct master *m)
{
    m->look_tick.fn = on_look;
    wr_loop_timer_arm(m->loop, &m->look_tick, LOOK_MS);
}

void look_close(struct master *m)
{
    wr_loop_timer_cancel(&m->look_tick);
    queue_close(m);
}
