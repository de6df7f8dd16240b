/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/logger.h"

#include "libweir/base/heap.h"
#include "libweir/io/board.h"
#include "libweir/io/log.h"
#include "libweir/io/log_sinks.h"
#include "libweir/io/loop.h"
#include "libweir/io/proc.h"
#include "libweir/io/proc_testing.h"
#include "libweir/io/shm.h"
#include "tests/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define RINGS 4

static const struct wr_board_options board_options = {.seats = RINGS};

struct fixture {
    struct wr_shm *shm;
    struct wr_board *board;
    struct wr_loop *loop;
    struct wr_log *log;
    int wake_fd;
    char dir[64], error_path[96], access_path[96];
    /* logger process */
    struct wr_procs *procs;
    struct wr_logger_options options;
    struct rlimit file_size;
    unsigned ready, stopped, ended;
};

static void set_up(struct fixture *f)
{
    struct wr_shm_part parts[] = {
        {WR_LOG_PART, WR_LOG_VERSION, wr_log_ring_size(RINGS, 1 << 16)},
        {WR_BOARD_PART,           WR_BOARD_VERSION,             wr_board_size(&board_options)        },
    };
    struct wr_loop_options o = {.heap = wr_heap_libc()};
    size_t n;
    *f = (struct fixture){0};
    (void)snprintf(f->dir, sizeof f->dir, "/tmp/weir-logger-%d-XXXXXX", (int)getpid());
    bool good = mkdtemp(f->dir) && wr_shm_new(wr_heap_libc(), "log", parts, 2, &f->shm) == 0 &&
                wr_log_ring_format(f->shm, RINGS, 1 << 16) == 0 &&
                wr_board_new(wr_heap_libc(), f->shm, &board_options, &f->board) == 0 &&
                wr_loop_new(&o, &f->loop) == 0;
    (void)snprintf(f->error_path, sizeof f->error_path, "%s/error.log", f->dir);
    (void)snprintf(f->access_path, sizeof f->access_path, "%s/access.log", f->dir);
    f->wake_fd = wr_os_eventfd(0, 0);
    void *part = wr_shm_part(f->shm, WR_LOG_PART, WR_LOG_VERSION, &n);
    struct wr_log_options lo = {.wake_fd = f->wake_fd, .burst = 1000000};
    good = good && wr_log_ring_at(part, n, 1, &lo.ring) == 0 &&
           wr_log_new(wr_heap_libc(), &lo, &f->log) == 0;
    f->options = (struct wr_logger_options){
        .shm = f->shm,
        .wake_fd = f->wake_fd,
        .sink = {{f->error_path, -1}, {f->access_path, -1}},
        .n_sinks = 2,
        .period_ms = 5,
        .retry_ms = 20,
    };
    ok(good, "set up");
}

static void tear_down(struct fixture *f)
{
    char old[128];
    wr_procs_free(&f->procs);
    wr_log_free(&f->log);
    wr_loop_free(&f->loop);
    wr_board_free(&f->board);
    wr_shm_free(&f->shm);
    (void)wr_os_close(f->wake_fd);
    (void)snprintf(old, sizeof old, "%s/old.log", f->dir);
    (void)wr_os_unlink(f->error_path);
    (void)wr_os_unlink(f->access_path);
    (void)wr_os_unlink(old);
    is_int(rmdir(f->dir), 0, "nothing else was written");
}

/* The whole file, closed with 0; the caller frees it. */
static char *slurp(const char *path)
{
    FILE *f = fopen(path, "r");
    char *text = calloc(1, 8 << 20);
    if (f && text)
        text[fread(text, 1, (8 << 20) - 1, f)] = 0;
    if (f)
        (void)fclose(f);
    return text;
}

static unsigned count_in(const char *path, const char *what)
{
    unsigned n = 0;
    char *text = slurp(path);
    for (const char *p = text; p && (p = strstr(p, what)); p++)
        n++;
    free(text);
    return n;
}

static void turns(struct fixture *f, unsigned ms)
{
    uint64_t end = wr_os_now_ns(CLOCK_MONOTONIC) + ms * 1000000ull;
    while (wr_os_now_ns(CLOCK_MONOTONIC) < end)
        (void)wr_loop_turn(f->loop, 5);
}

/* ---- in the same process --------------------------------------------------------------------------- */

static void test_lines(void)
{
    struct fixture f;
    struct wr_logger *l = NULL;
    set_up(&f);
    is_int(wr_logger_open(f.loop, &f.options, &l), 0, "open");
    turns(&f, 20);
    WR_LOG(f.log, WARN, "test", "one", "k=%s", "a b");
    ok(wr_log_raw(f.log, 1, WR_LIT("GET / 200")), "raw");
    turns(&f, 40);
    is_int(count_in(f.error_path, "warn"), 1, "written without being asked: the bell");
    is_int(count_in(f.error_path, "test one k=\"a b\"\n"), 1, "the line");
    is_int(count_in(f.access_path, "GET / 200\n"), 1, "the other channel");
    is_int(count_in(f.error_path, "GET"), 0, "and only there");
    wr_logger_free(&l);
    tear_down(&f);
}

static void test_reopen(void)
{
    struct fixture f;
    struct wr_logger *l = NULL;
    char old[128];
    set_up(&f);
    (void)snprintf(old, sizeof old, "%s/old.log", f.dir);
    is_int(wr_logger_open(f.loop, &f.options, &l), 0, "open");
    WR_LOG(f.log, INFO, "test", "before");
    turns(&f, 30);
    is_int(wr_os_rename(f.error_path, old), 0, "rotated");
    WR_LOG(f.log, INFO, "test", "between");
    turns(&f, 30);
    wr_logger_reopen(l);
    WR_LOG(f.log, INFO, "test", "after");
    turns(&f, 30);
    ok(count_in(old, "before") == 1 && count_in(old, "between") == 1, "the old file");
    ok(count_in(f.error_path, "after") == 1 && count_in(f.error_path, "before") == 0,
       "the new file");
    wr_logger_free(&l);
    tear_down(&f);
}

/* A disk without room: the other channel goes on, the loss is counted and told. */
static void test_full_disk(void)
{
    struct fixture f;
    struct wr_logger *l = NULL;
    enum {
        LINES = 3000
    };
    set_up(&f);
    f.options.buffer_bytes = 64 << 10;
    is_int(symlink("/dev/full", f.access_path), 0, "the access log lies on a full disk");
    is_int(wr_logger_open(f.loop, &f.options, &l), 0, "open");
    unsigned written = 0;
    for (int i = 0; i < LINES; i++) {
        written +=
            wr_log_raw(f.log, 1, WR_LIT("access line of some fifty bytes, more or less xxx"));
        if (i % 100 == 0)
            (void)wr_loop_turn(f.loop, 0);
    }
    WR_LOG(f.log, INFO, "test", "error_log_works");
    turns(&f, 50);
    struct wr_logger_stats s = wr_logger_stats(l);
    is_int(count_in(f.error_path, "error_log_works"), 1, "the error log works");
    is_int(count_in(f.error_path, "sink_failed sink=1 err=ENOSPC"), 1,
           "and says what does not");
    ok(s.sink_drops > 0 && s.write_errors > 0, "dropped at the sink: %llu",
       (unsigned long long)s.sink_drops);
    is_int(wr_os_unlink(f.access_path), 0, "room again");
    wr_logger_reopen(l);
    turns(&f, 50);
    s = wr_logger_stats(l);
    unsigned there = count_in(f.access_path, "access line");
    is_int(written + s.ring_drops, LINES, "put + dropped at the ring is exact");
    is_int(there + s.sink_drops, written, "written + dropped at the sink too");
    char want[64];
    (void)snprintf(want, sizeof want, "log_dropped count=%llu from=20",
                   (unsigned long long)s.sink_drops);
    is_int(count_in(f.error_path, want), 1, "and told: %s", want);
    wr_logger_free(&l);
    tear_down(&f);
}

static void test_ring_drops_are_told(void)
{
    struct fixture f;
    struct wr_logger *l = NULL;
    set_up(&f);
    unsigned written = 0;
    for (int i = 0; i < 5000; i++) /* nobody reads yet */
        written += wr_log_raw(f.log, 1, WR_LIT("a line that will not fit for ever"));
    is_int(wr_logger_open(f.loop, &f.options, &l), 0, "the logger comes late");
    turns(&f, 50);
    char want[64];
    (void)snprintf(want, sizeof want, "log_dropped count=%u from=20", 5000 - written);
    is_int(count_in(f.access_path, "\n"), written, "what fitted is there");
    is_int(count_in(f.error_path, want), 1, "what did not is told: %s", want);
    wr_logger_free(&l);
    tear_down(&f);
}

static void test_refused_memory(void)
{
    struct fixture f;
    struct wr_heap_counting count;
    struct wr_heap_failing fail;
    struct wr_loop *loop;
    bool through = false;
    set_up(&f);
    wr_heap_counting_init(&count, wr_heap_libc());
    for (uint64_t n = 1; n < 50 && !through; n++) {
        struct wr_logger *l = NULL;
        wr_heap_failing_init(&fail, &count.heap, n, 0, 1);
        struct wr_loop_options o = {.heap = &fail.heap};
        if (wr_loop_new(&o, &loop) < 0)
            continue;
        int r = wr_logger_open(loop, &f.options, &l);
        through = r == 0 && fail.fault.refused == 0;
        wr_logger_free(&l);
        wr_loop_free(&loop);
        if (count.objects)
            break;
    }
    ok(through && count.objects == 0, "every allocation refused once, nothing left behind");
    tear_down(&f);
}

/* ---- as a process ------------------------------------------------------------------------------------ */

static int logger_process(struct wr_worker *w, void *arg)
{
    struct fixture *f = arg;
    if (f->file_size.rlim_cur && wr_os_rlimit_set(RLIMIT_FSIZE, &f->file_size) < 0)
        return 9;
    return wr_logger_main(w, &f->options);
}

static void on_event(struct wr_procs *p, enum wr_procs_event event, unsigned index, pid_t pid,
                     int status, void *arg)
{
    struct fixture *f = arg;
    (void)p, (void)index, (void)pid, (void)status;
    f->ready += event == WR_PROCS_READY;
    f->ended += event == WR_PROCS_ENDED;
    f->stopped += event == WR_PROCS_STOPPED;
}

static pid_t start_process(struct fixture *f)
{
    struct wr_procs_info info = {0};
    struct wr_procs_options o = {
        .name = "weir logger",
        .workers = 1,
        .main = logger_process,
        .healthy_ms = 1,
        .arg = f,
        .board = f->board,
        .first_seat = 2,
        .seats = 2,
        .log_wake_fd = -1,
        .on_event = on_event,
        .event_arg = f,
    };
    if (wr_procs_start(f->loop, &o, &f->procs) < 0)
        return -1;
    for (int i = 0; i < 500 && !f->ready; i++)
        (void)wr_loop_turn(f->loop, 10);
    (void)wr_procs_info(f->procs, 0, &info);
    return info.pid;
}

static void stop_process(struct fixture *f)
{
    wr_procs_stop(f->procs, true);
    for (int i = 0; i < 500 && !f->stopped; i++)
        (void)wr_loop_turn(f->loop, 10);
    is_int(f->stopped, 1, "the logger ended in order");
}

static unsigned put_numbered(struct fixture *f, unsigned from, unsigned n, uint64_t *longest_ns)
{
    unsigned written = 0;
    for (unsigned i = from; i < from + n; i++) {
        char line[64];
        int len = snprintf(line, sizeof line, "<%u> something happened", i);
        uint64_t t = wr_os_now_ns(CLOCK_MONOTONIC);
        written += wr_log_raw(f->log, 1, wr_span(line, (size_t)len));
        t = wr_os_now_ns(CLOCK_MONOTONIC) - t;
        if (longest_ns && t > *longest_ns)
            *longest_ns = t;
    }
    return written;
}

static void test_stopped_logger(void)
{
    struct fixture f;
    uint64_t longest = 0;
    set_up(&f);
    pid_t pid = start_process(&f);
    ok(pid > 0, "a logger process");
    unsigned written = put_numbered(&f, 0, 100, NULL);
    turns(&f, 50);
    is_int(count_in(f.access_path, "happened"), 100, "it writes");
    is_int(wr_os_kill(pid, SIGSTOP), 0, "now it is stopped");
    written += put_numbered(&f, 100, 20000, &longest);
    ok(written < 20100, "the ring is full: %u of 20100", written);
    ok(longest < 50000000, "nobody waited: the longest call took %llu us",
       (unsigned long long)longest / 1000);
    is_int(wr_os_kill(pid, SIGCONT), 0, "it goes on");
    turns(&f, 300);
    char want[64];
    (void)snprintf(want, sizeof want, "log_dropped count=%u from=20", 20100 - written);
    is_int(count_in(f.access_path, "happened"), written, "all that was taken is written");
    is_int(count_in(f.error_path, want), 1, "the rest is told: %s", want);
    stop_process(&f);
    tear_down(&f);
}

static void test_killed_logger(void)
{
    struct fixture f;
    set_up(&f);
    (void)start_process(&f);
    unsigned next = 0, lost = 0;
    for (unsigned kills = 0; kills < 10; kills++) {
        struct wr_procs_info info = {0};
        (void)wr_procs_info(f.procs, 0, &info);
        next += put_numbered(&f, next, 200, NULL);
        turns(&f, 3);
        if (info.pid > 0 && wr_os_kill(info.pid, SIGKILL) < 0)
            break;
        next += put_numbered(&f, next, 200, NULL);
        unsigned want = f.ready + 1;
        for (int i = 0; i < 500 && f.ready < want; i++)
            (void)wr_loop_turn(f.loop, 10);
    }
    is_int(f.ended, 10, "killed ten times");
    turns(&f, 100);
    stop_process(&f);
    char *text = slurp(f.access_path);
    for (unsigned i = 0; i < next; i++) {
        char want[32];
        (void)snprintf(want, sizeof want, "<%u>", i);
        lost += !strstr(text, want);
    }
    free(text);
    is_int(next, 4000, "all were taken");
    is_int(lost, 0, "and all are written");
    tear_down(&f);
}

static void test_file_size_limit(void)
{
    struct fixture f;
    set_up(&f);
    f.file_size = (struct rlimit){20000, RLIM_INFINITY};
    f.options.buffer_bytes = 1; /* the least there is */
    (void)start_process(&f);
    unsigned written = 0;
    for (unsigned i = 0; i < 20; i++) {
        written += put_numbered(&f, i * 500, 500, NULL);
        turns(&f, 10);
    }
    is_int(f.ended, 0, "a file at its limit does not kill the logger (%u lines)", written);
    is_int(count_in(f.error_path, "sink_failed sink=1 err=EFBIG"), 1, "it says what is wrong");
    is_int(wr_os_unlink(f.access_path), 0, "a new file");
    wr_procs_command(f.procs, WR_COMMAND_REOPEN);
    turns(&f, 100);
    ok(count_in(f.access_path, "happened") > 100, "reopened by command, and written to");
    stop_process(&f);
    tear_down(&f);
}

/* ---- sinks of the table ----------------------------------------------------------------------------- */

static size_t pack_bound(size_t n)
{
    return n + 2;
}

/* Angle brackets around it: enough to see what became one member. */
static int pack_brackets(const struct wr_heap *heap, int level, struct wr_span in, char *out,
                         size_t room, size_t *out_n)
{
    (void)heap;
    if (in.n + 2 > room || level != 3)
        return -EINVAL;
    out[0] = '<';
    memcpy(out + 1, in.p, in.n);
    out[in.n + 1] = '>';
    *out_n = in.n + 2;
    return 0;
}

static const struct wr_logger_packer packer = {pack_bound, pack_brackets};

static unsigned add_sink(struct wr_log_sinks *sinks, struct wr_log_sink_def *def,
                         const char *dir, const char *name)
{
    unsigned channel = 0;
    (void)snprintf(def->path, sizeof def->path, "%s/%s", dir, name);
    if (wr_log_sinks_add(sinks, def, &channel) < 0)
        return 0;
    return channel;
}

static void remove_in(const struct fixture *f, const char *name)
{
    char path[160];
    (void)snprintf(path, sizeof path, "%s/%s", f->dir, name);
    is_int(wr_os_unlink(path), 0, "%s was there", name);
}

static unsigned count_in_dir(const struct fixture *f, const char *name, const char *what)
{
    char path[160];
    (void)snprintf(path, sizeof path, "%s/%s", f->dir, name);
    return count_in(path, what);
}

static void test_table(void)
{
    struct fixture f;
    struct wr_logger *l = NULL;
    struct wr_log_sinks *sinks = NULL;
    struct wr_log_sink_def def = {.kind = WR_LOG_TO_FILE};
    set_up(&f);
    is_int(wr_log_sinks_new(4, &sinks), 0, "a table");
    f.options.sinks = sinks;
    f.options.packer = &packer;
    is_int(wr_logger_open(f.loop, &f.options, &l), 0, "open");
    unsigned plain = add_sink(sinks, &def, f.dir, "plain");
    ok(plain >= WR_LOGGER_SINKS, "a channel");
    is_int(add_sink(sinks, &def, f.dir, "plain"), plain, "the same sink, the same channel");
    def.buffer_bytes = 100;
    def.flush_ms = 300;
    unsigned held = add_sink(sinks, &def, f.dir, "held");
    def.gzip = 3;
    def.flush_ms = 0;
    unsigned packed = add_sink(sinks, &def, f.dir, "packed");
    for (int i = 0; i < 3; i++) {
        (void)wr_log_raw(f.log, plain, WR_LIT("plain line"));
        (void)wr_log_raw(f.log, held, WR_LIT("held line"));
        (void)wr_log_raw(f.log, packed, WR_LIT("a packed line of about thirty bytes"));
    }
    turns(&f, 30);
    is_int(count_in_dir(&f, "plain", "plain line\n"), 3, "at once");
    is_int(count_in_dir(&f, "held", "held line\n"), 0, "held back");
    is_int(count_in_dir(&f, "packed", "<a packed"), 1, "two of three filled the buffer");
    turns(&f, 350);
    is_int(count_in_dir(&f, "held", "held line\n"), 3, "its time was over");
    is_int(count_in(f.error_path, "plain line"), 0, "not in the main log");
    (void)wr_log_raw(f.log, 300, WR_LIT("lost soul"));
    turns(&f, 30);
    is_int(count_in(f.error_path, "lost soul"), 1, "an unknown channel is the main log's");
    wr_log_sinks_set_main(sinks, plain);
    WR_LOG(f.log, WARN, "test", "moved");
    turns(&f, 30);
    is_int(count_in_dir(&f, "plain", "test moved"), 1, "channel 0 goes to the main sink");
    wr_log_sinks_begin(sinks);
    ok(!wr_log_sinks_live(sinks, held), "not live any more");
    def.gzip = 0;
    ok(add_sink(sinks, &def, f.dir, "fourth") > 0, "the fourth");
    is_int(add_sink(sinks, &def, f.dir, "fifth"), 0, "there is no fifth");
    wr_logger_free(&l);
    is_int(count_in_dir(&f, "packed", ">"), 2, "the end writes what was held");
    remove_in(&f, "plain");
    remove_in(&f, "held");
    remove_in(&f, "packed");
    wr_log_sinks_free(&sinks);
    tear_down(&f);
}

/* A name that takes a page and then no more, as a disk that gets full. */
static int narrow_pipe(const struct fixture *f, const char *name)
{
    char path[160];
    (void)snprintf(path, sizeof path, "%s/%s", f->dir, name);
    int fd = mkfifo(path, 0600) ? -1 : open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    ok(fd >= 0 && fcntl(fd, F_SETPIPE_SZ, 4096) == 4096, "a pipe at %s", name);
    return fd;
}

static unsigned count_in_pipe(int fd, const char *what)
{
    char text[4097];
    ssize_t n = read(fd, text, sizeof text - 1);
    text[n < 0 ? 0 : n] = 0;
    unsigned found = 0;
    for (const char *p = text; (p = strstr(p, what)); p += strlen(what))
        found++;
    (void)close(fd);
    return found;
}

static void move_away(const struct fixture *f, const char *name)
{
    char path[160], away[168];
    (void)snprintf(path, sizeof path, "%s/%s", f->dir, name);
    (void)snprintf(away, sizeof away, "%s.old", path);
    is_int(wr_os_rename(path, away), 0, "%s is rotated", name);
}

/* A new file begins with a whole line, or a whole member, also when the old one got half of it. */
static void test_reopen_halfway(void)
{
    enum {
        LINES = 200
    };
    struct fixture f;
    struct wr_logger *l = NULL;
    struct wr_log_sinks *sinks = NULL;
    struct wr_log_sink_def def = {.kind = WR_LOG_TO_FILE};
    set_up(&f);
    int plain_fd = narrow_pipe(&f, "plain"), packed_fd = narrow_pipe(&f, "packed");
    is_int(wr_log_sinks_new(4, &sinks), 0, "a table");
    f.options.sinks = sinks;
    f.options.packer = &packer;
    f.options.buffer_bytes = 1; /* as small as may be: what waits is moved within it */
    is_int(wr_logger_open(f.loop, &f.options, &l), 0, "open");
    unsigned plain = add_sink(sinks, &def, f.dir, "plain");
    def.buffer_bytes = 8000;
    def.gzip = 3;
    unsigned packed = add_sink(sinks, &def, f.dir, "packed");
    for (int i = 0; i < LINES; i++) {
        (void)wr_log_raw(f.log, plain, WR_LIT("[a line of about forty bytes, is it not]"));
        (void)wr_log_raw(f.log, packed, WR_LIT("a packed line of about forty bytes, no?"));
        if (i % 20 == 0)
            turns(&f, 10);
    }
    turns(&f, 30);
    move_away(&f, "plain");
    move_away(&f, "packed");
    wr_logger_reopen(l);
    turns(&f, 50);
    char first[2] = "", path[160];
    unsigned there = count_in_dir(&f, "plain", "[a line of about forty bytes, is it not]\n");
    is_int(there + count_in_pipe(plain_fd, "[a line of about forty bytes, is it not]\n"), LINES,
           "every line is whole in one of the files");
    is_int(count_in_dir(&f, "plain", "["), there, "and none half in the new one");
    wr_logger_free(&l);
    (void)snprintf(path, sizeof path, "%s/packed", f.dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ok(fd >= 0 && read(fd, first, 1) == 1 && first[0] == '<', "a member from its beginning");
    (void)close(fd);
    is_int(count_in_dir(&f, "packed", "a packed line"), LINES, "with all that it packs");
    (void)close(packed_fd);
    remove_in(&f, "plain");
    remove_in(&f, "plain.old");
    remove_in(&f, "packed");
    remove_in(&f, "packed.old");
    wr_log_sinks_free(&sinks);
    tear_down(&f);
}

/* A record of a PATHS sink: the name, a 0, the line. */
static void put_named(struct fixture *f, unsigned channel, const char *name, const char *line)
{
    char text[256];
    int n = snprintf(text, sizeof text, "%s/%s%c%s", f->dir, name, 0, line);
    (void)wr_log_raw(f->log, channel, wr_span(text, (size_t)n));
}

static void test_paths(void)
{
    struct fixture f;
    struct wr_logger *l = NULL;
    struct wr_log_sinks *sinks = NULL;
    struct wr_log_sink_def def = {.kind = WR_LOG_TO_PATHS,
                                  .cache_max = 2,
                                  .cache_valid_ms = 1000,
                                  .cache_inactive_ms = 40,
                                  .cache_min_uses = 1};
    set_up(&f);
    is_int(wr_log_sinks_new(4, &sinks), 0, "a table");
    f.options.sinks = sinks;
    is_int(wr_logger_open(f.loop, &f.options, &l), 0, "open");
    unsigned ch = add_sink(sinks, &def, f.dir, "p-");
    const char *names[] = {"p-a", "p-b", "p-c"};
    for (int i = 0; i < 30; i++)
        put_named(&f, ch, names[i % 3], "x");
    put_named(&f, ch, "p-../../../../tmp/weir-never", "bad");
    put_named(&f, ch, "q-a", "bad");
    (void)wr_log_raw(f.log, ch, WR_LIT("no name at all"));
    turns(&f, 30);
    for (int i = 0; i < 3; i++)
        is_int(count_in_dir(&f, names[i], "x\n"), 10, "every line found its file");
    is_int(wr_logger_stats(l).sink_drops, 3, "names from outside are dropped and counted");
    is_int(count_in(f.error_path, "log_dropped count=3"), 1, "and told");
    char link[160];
    (void)snprintf(link, sizeof link, "%s/p-link", f.dir);
    is_int(symlink(f.access_path, link), 0, "somebody makes a link");
    put_named(&f, ch, "p-link", "z");
    turns(&f, 40);
    is_int(count_in(f.access_path, "z\n"), 0, "no line goes through it");
    is_int(count_in(f.error_path, "err=ELOOP"), 1, "and that is told");
    remove_in(&f, "p-link");
    turns(&f, 80);
    for (int i = 0; i < 3; i++)
        remove_in(&f, names[i]);
    put_named(&f, ch, "p-a", "y");
    turns(&f, 30);
    is_int(count_in_dir(&f, "p-a", "y\n"), 1, "an idle file was closed, and opened anew");
    remove_in(&f, "p-a");
    wr_logger_free(&l);
    wr_log_sinks_free(&sinks);
    tear_down(&f);
}

static void test_syslog(void)
{
    struct fixture f;
    struct wr_logger *l = NULL;
    struct wr_log_sinks *sinks = NULL;
    struct wr_log_sink_def def = {.kind = WR_LOG_TO_SYSLOG,
                                  .facility = 23,
                                  .severity = 6,
                                  .nohostname = 1,
                                  .tag = "weir"};
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    char got[256] = "", text[160];
    set_up(&f);
    is_int(wr_log_sinks_new(4, &sinks), 0, "a table");
    f.options.sinks = sinks;
    (void)snprintf(sa.sun_path, sizeof sa.sun_path, "%s/s", f.dir);
    (void)snprintf(text, sizeof text, "unix:%s", sa.sun_path);
    is_int(wr_addr_parse(wr_span_str(text), &def.server), 0, "address");
    is_int(wr_logger_open(f.loop, &f.options, &l), 0, "open");
    unsigned ch = add_sink(sinks, &def, "", "");
    (void)wr_log_raw(f.log, ch, WR_LIT("nobody there"));
    turns(&f, 30);
    is_int(count_in(f.error_path, "sink_failed sink=8 err=ENOENT"), 1, "no server is told");
    int fd = wr_os_socket(AF_UNIX, SOCK_DGRAM, 0);
    is_int(wr_os_bind(fd, (struct sockaddr *)&sa, sizeof sa), 0, "a server");
    turns(&f, 30);
    (void)wr_log_raw(f.log, ch, WR_LIT("hello"));
    turns(&f, 30);
    ssize_t n = wr_os_recv(fd, got, sizeof got - 1, 0);
    got[n > 0 ? n : 0] = 0;
    ok(strncmp(got, "<190>", 5) == 0, "local7.info: %s", got);
    ok(strlen(got) == 5 + 15 + strlen(" weir: hello") && strstr(got, " weir: hello"),
       "date, tag, line");
    is_int(count_in(f.error_path, "log_dropped count=1"), 1, "the lost one is counted");
    (void)wr_os_close(fd);
    (void)wr_os_unlink(sa.sun_path);
    wr_logger_free(&l);
    wr_log_sinks_free(&sinks);
    tear_down(&f);
}

/* Nothing but syslog, without a server, and then with one: each failure and each gap is told once, there. */
static void test_syslog_main(void)
{
    struct fixture f;
    struct wr_logger *l = NULL;
    struct wr_log_sinks *sinks = NULL;
    struct wr_log_sink_def def = {.kind = WR_LOG_TO_SYSLOG,
                                  .severity = WR_LOG_SEVERITY_OF_LEVEL,
                                  .nohostname = 1,
                                  .tag = "weir"};
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    char text[160], got[1024];
    set_up(&f);
    is_int(wr_log_sinks_new(4, &sinks), 0, "a table");
    f.options.sinks = sinks;
    (void)snprintf(sa.sun_path, sizeof sa.sun_path, "%s/sock", f.dir);
    (void)snprintf(text, sizeof text, "unix:%s", sa.sun_path);
    is_int(wr_addr_parse(wr_span_str(text), &def.server), 0, "address");
    wr_log_sinks_set_main(sinks, add_sink(sinks, &def, "", ""));
    is_int(wr_logger_open(f.loop, &f.options, &l), 0, "open");
    WR_LOG(f.log, WARN, "test", "nobody_there");
    turns(&f, 30);
    ok(wr_logger_stats(l).sink_drops > 0, "no server: counted");
    int fd = wr_os_socket(AF_UNIX, SOCK_DGRAM, 0);
    is_int(wr_os_bind(fd, (struct sockaddr *)&sa, sizeof sa), 0, "a server");
    turns(&f, 40);
    WR_LOG(f.log, WARN, "test", "hello");
    turns(&f, 30);
    unsigned hellos = 0, gaps = 0, n = 0;
    for (ssize_t r; n < 1000 && (r = wr_os_recv(fd, got, sizeof got - 1, 0)) > 0; n++) {
        got[r] = 0;
        hellos += strstr(got, "test hello") != NULL;
        gaps += strstr(got, "log_dropped count=") != NULL;
    }
    ok(hellos == 1 && gaps == 1 && n == 2,
       "the next line comes once, and the gap is told once");
    (void)wr_os_close(fd);
    (void)wr_os_unlink(sa.sun_path);
    wr_logger_free(&l);
    wr_log_sinks_free(&sinks);
    tear_down(&f);
}

int main(void)
{
    test_lines();
    test_reopen();
    test_reopen_halfway();
    test_full_disk();
    test_ring_drops_are_told();
    test_refused_memory();
    test_table();
    test_paths();
    test_syslog();
    test_syslog_main();
    if (!testing_has_pidfd()) {
        skip("no pidfd here");
        return tap_done();
    }
    test_stopped_logger();
    test_killed_logger();
    test_file_size_limit();
    return tap_done();
}
