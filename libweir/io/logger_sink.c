/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the logger's lines go: files, streams, syslog.
 */
#include "libweir/io/logger_private.h"

#include "libweir/base/err.h"
#include "libweir/base/heap.h"
#include "libweir/io/log.h"
#include "libweir/io/log_text.h"
#include "libweir/os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>

#define REST_MS     60000 /* a file of an earlier configuration is closed after so long */
#define BRIEF_PATHS 16    /* open at a time, for one round, without a cache */
#define SYSLOG_MAX  4096

static uint64_t now_ms(const struct wr_logger *l)
{
    return wr_loop_now_ms(l->loop);
}

/* ---- descriptors ---------------------------------------------------------------------------------------- */

#define APPENDS (O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK)

static int open_path(const char *path)
{
    return wr_os_open(path, APPENDS, 0644);
}

/* A descriptor of somebody else's may not become non-blocking: that would hit everyone who shares it.
 * A pipe or terminal is opened anew, a socket is asked not to wait, a file never would. */
static void borrow(struct wr_sink *s, int fd)
{
    struct stat st;
    char path[32];
    s->fd = fd;
    if (fd < 0 || wr_os_fstat(fd, &st) != 0)
        return;
    s->socket = S_ISSOCK(st.st_mode);
    if (!S_ISFIFO(st.st_mode) && !S_ISCHR(st.st_mode))
        return;
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int own = wr_os_open(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY, 0);
    if (own < 0)
        return;
    s->fd = own;
    s->own = true;
}

static int open_syslog(struct wr_sink *s)
{
    struct sockaddr_storage sa;
    socklen_t n;
    int r = wr_addr_to_sockaddr(&s->def.server, &sa, &n);
    if (r < 0)
        return r;
    int fd = wr_os_socket(wr_addr_family(&s->def.server), SOCK_DGRAM, 0);
    if (fd < 0)
        return fd;
    r = wr_os_connect(fd, (struct sockaddr *)&sa, n);
    if (r < 0) {
        (void)wr_os_close(fd);
        return r;
    }
    return fd;
}

static void close_fd(struct wr_sink *s)
{
    if (s->own && s->fd >= 0)
        (void)wr_os_close(s->fd);
    s->fd = -1;
}

static int standard_fd(const char *path)
{
    return strcmp(path, "/dev/stdout") == 0 ? 1 : strcmp(path, "/dev/stderr") == 0 ? 2 : -1;
}

/* The sink's file, in place of what was open; on failure that stays. Where /dev/stdout or /dev/stderr is a
 * socket, as systemd gives to services, it cannot be opened, but it is there. */
static int open_file(struct wr_sink *s)
{
    int fd = open_path(s->path);
    int standard = fd == -ENXIO ? standard_fd(s->path) : -1;
    if (fd < 0 && standard < 0)
        return fd;
    close_fd(s);
    if (standard >= 0) {
        borrow(s, standard);
        return 0;
    }
    s->fd = fd;
    s->own = true;
    return 0;
}

/* ---- failing, and being well again ---------------------------------------------------------------------- */

static const char *sink_name(const struct wr_sink *s, char buf[static WR_ADDR_TEXT_MAX])
{
    if (s->current)
        return s->current;
    if (s->def.kind == WR_LOG_TO_SYSLOG) {
        (void)wr_addr_format(&s->def.server, buf);
        return buf;
    }
    return s->path ? s->path : "fd";
}

static void sink_failed(struct wr_logger *l, struct wr_sink *s, int err)
{
    char name[WR_ADDR_TEXT_MAX];
    s->retry_at_ms = now_ms(l) + (err == -EAGAIN ? l->period_ms : l->retry_ms);
    if (err != -EAGAIN)
        l->stats.write_errors++;
    bool first = s->err == 0;
    s->err = err; /* before the telling: it may be this very sink that it goes to */
    if (first && err != -EAGAIN && s->channel != 0)
        (void)wr_logger_tell_(l, WR_LOG_ERROR, "log sink_failed sink=%u err=%s path=%s",
                              s->channel, wr_err_name(err), sink_name(s, name));
}

/* Taken out before it is told: a datagram that gets through tells that the sink works, and so on. */
static void sink_works(struct wr_logger *l, struct wr_sink *s)
{
    struct wr_log_drops drops = s->drops;
    s->err = 0;
    s->drops.count = 0;
    if (drops.count == 0 || wr_logger_tell_drops_(l, &drops, "sink", s->channel))
        return;
    if (s->drops.count == 0)
        s->drops.to_ns = drops.to_ns;
    s->drops.count += drops.count;
    s->drops.from_ns = drops.from_ns;
}

static void drop(struct wr_logger *l, struct wr_sink *s, uint64_t count)
{
    uint64_t now_ns = wr_loop_wall_ns(l->loop);
    if (s->drops.count == 0)
        s->drops.from_ns = now_ns;
    s->drops.count += count;
    s->drops.to_ns = now_ns;
    l->stats.sink_drops += count;
}

static bool resting(const struct wr_logger *l, const struct wr_sink *s)
{
    return s->err && now_ms(l) < s->retry_at_ms;
}

/* ---- buffers -------------------------------------------------------------------------------------------- */

size_t wr_sink_room(const struct wr_logger *l, const struct wr_sink *s)
{
    return l->capacity - (s->n - s->whole);
}

bool wr_sink_append(struct wr_logger *l, struct wr_sink *s, const char *p, size_t n)
{
    if (!s->buf)
        s->buf = wr_heap_alloc(l->heap, l->capacity);
    if (!s->buf)
        return false;
    if (s->n + n > l->capacity) {
        memmove(s->buf, s->buf + s->whole, s->n - s->whole);
        s->n -= s->whole;
        s->at -= s->whole;
        s->whole = 0;
    }
    if (s->n == s->at)
        s->since_ms = now_ms(l);
    memcpy(s->buf + s->n, p, n);
    s->n += n;
    return true;
}

static bool holds_back(const struct wr_logger *l, const struct wr_sink *s)
{
    return s->def.buffer_bytes > 0 && s->n - s->at < s->def.buffer_bytes &&
           (s->def.flush_ms == 0 || now_ms(l) - s->since_ms < s->def.flush_ms);
}

/* What waits becomes one complete member of a gzip file: the file can be read at any time. */
static int pack(struct wr_logger *l, struct wr_sink *s)
{
    const struct wr_logger_packer *p = l->options.packer;
    if (!p)
        return -ENOTSUP;
    size_t room = p->bound(l->capacity);
    if (!s->packed)
        s->packed = wr_heap_alloc(l->heap, s->packed_room = room);
    if (!s->packed)
        return -ENOMEM;
    int r = p->pack(l->heap, s->def.gzip, wr_span(s->buf + s->at, s->n - s->at), s->packed,
                    s->packed_room, &s->packed_n);
    if (r < 0)
        return r;
    s->packed_at = 0;
    s->at = s->n = 0;
    return 0;
}

static int write_out(struct wr_logger *l, const struct wr_sink *s, const char *p, size_t *at,
                     size_t n)
{
    while (*at < n) {
        ssize_t r = s->socket ? wr_os_send(s->fd, p + *at, n - *at, MSG_DONTWAIT)
                              : wr_os_write(s->fd, p + *at, n - *at);
        if (r <= 0)
            return r < 0 ? (int)r : -EIO;
        *at += (size_t)r;
        l->stats.bytes += (uint64_t)r;
    }
    return 0;
}

static int write_lines(struct wr_logger *l, struct wr_sink *s)
{
    int r = write_out(l, s, s->buf, &s->at, s->n);
    if (r < 0 && s->at > s->whole) {
        const char *end = memrchr(s->buf, '\n', s->at);
        s->whole = end ? (size_t)(end + 1 - s->buf) : 0;
    }
    return r;
}

static int flush_buffers(struct wr_logger *l, struct wr_sink *s)
{
    int r = 0;
    if (s->def.gzip) {
        r = write_out(l, s, s->packed, &s->packed_at, s->packed_n);
        if (r == 0 && s->at < s->n)
            r = pack(l, s);
        return r < 0 ? r : write_out(l, s, s->packed, &s->packed_at, s->packed_n);
    }
    return write_lines(l, s);
}

static void flush_file(struct wr_logger *l, struct wr_sink *s)
{
    int r = s->fd < 0 && s->path ? open_file(s) : 0;
    if (r < 0) {
        sink_failed(l, s, r);
        return;
    }
    r = flush_buffers(l, s);
    if (r < 0) {
        sink_failed(l, s, r);
        return;
    }
    s->at = s->n = s->whole = 0;
    s->held = 0;
    sink_works(l, s);
}

/* ---- files that records name ---------------------------------------------------------------------------- */

static void path_close(struct wr_logger *l, struct wr_sink *s, unsigned i)
{
    struct wr_sink_path *p = &s->paths[i];
    (void)wr_os_close(p->fd);
    wr_heap_free(l->heap, p->name, strlen(p->name) + 1);
    *p = s->paths[--s->n_paths];
}

static void paths_close(struct wr_logger *l, struct wr_sink *s)
{
    while (s->n_paths)
        path_close(l, s, s->n_paths - 1);
}

/* False: the name means another file by now. */
static bool path_valid(const struct wr_logger *l, const struct wr_sink *s,
                       struct wr_sink_path *p)
{
    struct stat st;
    if (now_ms(l) - p->checked_ms < s->def.cache_valid_ms)
        return true;
    p->checked_ms = now_ms(l);
    return wr_os_stat(p->name, &st) == 0 && st.st_ino == p->inode;
}

static void path_make_room(struct wr_logger *l, struct wr_sink *s)
{
    unsigned oldest = 0;
    if (s->n_paths < s->max_paths)
        return;
    for (unsigned i = 1; i < s->n_paths; i++)
        if (s->paths[i].used_ms < s->paths[oldest].used_ms)
            oldest = i;
    path_close(l, s, oldest);
}

/* The folder is the configuration's, links and all; what records add to its name goes through no link, so
 * that who may write in the folder cannot send our lines elsewhere. */
static int open_below(const struct wr_sink *s, const char *name)
{
    const char *slash = strrchr(s->def.path, '/');
    size_t n = slash ? (size_t)(slash - s->def.path) + 1 : 1;
    char folder[WR_LOG_PATH_MAX + 1] = "/";
    if (slash)
        memcpy(folder, s->def.path, n);
    folder[n] = 0;
    int dir = wr_os_open(folder, O_RDONLY | O_DIRECTORY, 0);
    if (dir < 0)
        return dir;
    int fd = wr_os_openat2(dir, name + n, APPENDS, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
    (void)wr_os_close(dir);
    /* Before Linux 5.6 at least the file itself is no link. */
    return fd == -ENOSYS ? wr_os_open(name, APPENDS | O_NOFOLLOW, 0644) : fd;
}

static int path_open(struct wr_logger *l, struct wr_sink *s, const char *name)
{
    struct stat st;
    if (!s->paths) {
        s->max_paths = s->def.cache_max ? s->def.cache_max : BRIEF_PATHS;
        s->paths = wr_heap_array(l->heap, s->max_paths, sizeof *s->paths);
    }
    if (!s->paths)
        return -ENOMEM;
    path_make_room(l, s);
    int fd = open_below(s, name);
    if (fd < 0)
        return fd;
    char *copy = wr_heap_strndup(l->heap, name, strlen(name));
    int r = copy ? wr_os_fstat(fd, &st) : -ENOMEM;
    if (r < 0) {
        (void)wr_os_close(fd);
        if (copy)
            wr_heap_free(l->heap, copy, strlen(copy) + 1);
        return r;
    }
    uint64_t now = now_ms(l);
    s->paths[s->n_paths++] = (struct wr_sink_path){
        .name = copy,
        .fd = fd,
        .checked_ms = now,
        .first_ms = now,
        .inode = st.st_ino,
    };
    return (int)s->n_paths - 1;
}

static int path_find(struct wr_logger *l, struct wr_sink *s, const char *name)
{
    for (unsigned i = 0; i < s->n_paths; i++) {
        if (strcmp(s->paths[i].name, name) != 0)
            continue;
        if (path_valid(l, s, &s->paths[i]))
            return (int)i;
        path_close(l, s, i);
        break;
    }
    return path_open(l, s, name);
}

/* A file that cannot be written keeps nothing: the next record may be for another one. */
static void flush_current(struct wr_logger *l, struct wr_sink *s)
{
    if (!s->current)
        return;
    int i = s->at < s->n ? path_find(l, s, s->current) : 0, r = i;
    if (i >= 0 && s->at < s->n) {
        struct wr_sink_path *p = &s->paths[i];
        p->uses++;
        p->used_ms = now_ms(l);
        s->fd = p->fd;
        r = write_out(l, s, s->buf, &s->at, s->n);
        s->fd = -1;
    }
    if (r < 0) {
        sink_failed(l, s, r);
        drop(l, s, s->held);
    } else {
        sink_works(l, s);
    }
    wr_heap_free(l->heap, s->current, strlen(s->current) + 1);
    s->current = NULL;
    s->at = s->n = 0;
    s->held = 0;
}

/* Kept open are those that were used min_uses times since they were opened or last idle. */
static void paths_rest(struct wr_logger *l, struct wr_sink *s)
{
    uint64_t now = now_ms(l);
    for (unsigned i = s->n_paths; i-- > 0;) {
        struct wr_sink_path *p = &s->paths[i];
        bool idle = now - p->used_ms >= s->def.cache_inactive_ms;
        bool rare =
            now - p->first_ms >= s->def.cache_inactive_ms && p->uses < s->def.cache_min_uses;
        if (!s->def.cache_max || idle || rare)
            path_close(l, s, i);
    }
}

/* Inside of what the configuration wrote, and not out again by "..". */
static bool path_allowed(const struct wr_sink *s, struct wr_span path)
{
    struct wr_span rest = path, segment;
    if (!wr_span_has_prefix(path, wr_span_str(s->def.path)) || path.n >= WR_LOG_PATH_MAX)
        return false;
    while (wr_span_split(&rest, '/', &segment))
        if (wr_span_eq(segment, WR_LIT("..")))
            return false;
    return true;
}

static void take_path(struct wr_logger *l, struct wr_sink *s, const struct wr_log_record *r)
{
    ptrdiff_t end = wr_span_find_char(r->text, 0);
    struct wr_span path = wr_span_sub(r->text, 0, end < 0 ? 0 : (size_t)end);
    if (end < 0 || !path_allowed(s, path)) {
        drop(l, s, 1);
        return;
    }
    bool same =
        s->current && strlen(s->current) == path.n && memcmp(s->current, path.p, path.n) == 0;
    if (!same || wr_sink_room(l, s) < WR_SINK_LINE_MAX) {
        flush_current(l, s);
        s->current = wr_heap_strndup(l->heap, path.p, path.n);
    }
    struct wr_log_record line = *r;
    line.text = wr_span_sub(r->text, (size_t)end + 1, r->text.n);
    size_t n = wr_log_line(l->line, WR_SINK_LINE_MAX, &line);
    if (!s->current || !wr_sink_append(l, s, l->line, n)) {
        drop(l, s, 1);
        return;
    }
    s->held++;
    l->stats.lines++;
}

/* ---- syslog --------------------------------------------------------------------------------------------- */

static unsigned severity(const struct wr_sink *s, const struct wr_log_record *r)
{
    static const uint8_t of_level[WR_LOG_LEVELS] = {
        [WR_LOG_DEBUG] = 7, [WR_LOG_INFO] = 6,  [WR_LOG_NOTICE] = 5,
        [WR_LOG_WARN] = 4,  [WR_LOG_ERROR] = 3, [WR_LOG_CRIT] = 2,
    };
    if (s->def.severity < WR_LOG_SEVERITY_OF_LEVEL)
        return s->def.severity;
    return r->level < WR_LOG_LEVELS ? of_level[r->level] : 6;
}

static size_t syslog_head(const struct wr_logger *l, const struct wr_sink *s,
                          const struct wr_log_record *r, char *out, size_t room)
{
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct tm tm;
    wr_os_calendar((int64_t)(wr_loop_wall_ns(l->loop) / 1000000000), false, &tm);
    int n = snprintf(
        out, room, "<%u>%s %2d %02d:%02d:%02d %s%s%s: ", s->def.facility * 8u + severity(s, r),
        months[tm.tm_mon % 12], tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
        s->def.nohostname ? "" : l->host, s->def.nohostname ? "" : " ", s->def.tag);
    return n > 0 && (size_t)n < room ? (size_t)n : 0;
}

static int send_datagram(struct wr_logger *l, struct wr_sink *s, struct wr_span text)
{
    int r = -ENOTCONN;
    /* A refused datagram is the answer to an earlier one: this one deserves a try of its own. */
    for (int i = 0; i < 2 && r < 0 && r != -EAGAIN; i++) {
        if (s->fd < 0)
            s->fd = open_syslog(s);
        if (s->fd < 0)
            return s->fd;
        s->own = true;
        ssize_t sent = wr_os_send(s->fd, text.p, text.n, MSG_DONTWAIT);
        r = sent < 0 ? (int)sent : 0;
        if (r < 0 && r != -EAGAIN)
            close_fd(s);
    }
    l->stats.bytes += r == 0 ? text.n : 0;
    return r;
}

static void take_syslog(struct wr_logger *l, struct wr_sink *s, const struct wr_log_record *r)
{
    char out[SYSLOG_MAX];
    if (resting(l, s)) {
        drop(l, s, 1);
        return;
    }
    size_t head = syslog_head(l, s, r, out, sizeof out);
    size_t n = wr_log_line(l->line, WR_SINK_LINE_MAX, r) - 1;
    if (n > sizeof out - head)
        n = sizeof out - head;
    memcpy(out + head, l->line, n);
    int err = send_datagram(l, s, wr_span(out, head + n));
    if (err < 0) {
        sink_failed(l, s, err);
        drop(l, s, 1);
        return;
    }
    l->stats.lines++;
    sink_works(l, s);
}

/* ---- what the logger calls ------------------------------------------------------------------------------ */

static size_t format(struct wr_logger *l, const struct wr_log_record *r)
{
    if (l->options.line && !(r->flags & WR_LOG_RAW))
        return l->options.line(l->line, WR_SINK_LINE_MAX, r);
    return wr_log_line(l->line, WR_SINK_LINE_MAX, r);
}

static void take_file(struct wr_logger *l, struct wr_sink *s, const struct wr_log_record *r)
{
    size_t n = format(l, r);
    bool over = s->def.buffer_bytes && s->n - s->at + n > s->def.buffer_bytes;
    if (n > wr_sink_room(l, s) || over) {
        wr_sink_flush(l, s, true);
        n = format(l, r); /* flushing may have told something there */
    }
    if (n > wr_sink_room(l, s) || !wr_sink_append(l, s, l->line, n)) {
        drop(l, s, 1);
        return;
    }
    s->held++;
    l->stats.lines++;
}

void wr_sink_take(struct wr_logger *l, struct wr_sink *s, const struct wr_log_record *r)
{
    s->used_ms = now_ms(l);
    if (s->def.kind == WR_LOG_TO_SYSLOG)
        take_syslog(l, s, r);
    else if (s->def.kind == WR_LOG_TO_PATHS)
        take_path(l, s, r);
    else
        take_file(l, s, r);
}

void wr_sink_flush(struct wr_logger *l, struct wr_sink *s, bool all)
{
    if (s->def.kind == WR_LOG_TO_PATHS) {
        flush_current(l, s);
        if (!s->def.cache_max)
            paths_close(l, s);
        return;
    }
    if (s->def.kind == WR_LOG_TO_SYSLOG || resting(l, s))
        return;
    if (!all && !s->err && holds_back(l, s))
        return;
    if (s->at < s->n || s->packed_at < s->packed_n || s->drops.count || s->err)
        flush_file(l, s);
}

static bool is_file(int fd, const struct stat *file)
{
    struct stat st;
    return wr_os_fstat(fd, &st) == 0 && st.st_dev == file->st_dev && st.st_ino == file->st_ino;
}

/* What went half into one file goes whole into the next. */
static void start_over(struct wr_sink *s)
{
    s->at = s->whole;
    if (s->packed_at < s->packed_n)
        s->packed_at = 0;
}

void wr_sink_reopen(struct wr_logger *l, struct wr_sink *s)
{
    s->retry_at_ms = 0; /* a new file may be on a disk that has room */
    wr_sink_flush(l, s, true);
    s->retry_at_ms = 0;
    if (s->def.kind == WR_LOG_TO_PATHS)
        paths_close(l, s);
    if (s->def.kind == WR_LOG_TO_SYSLOG)
        close_fd(s);
    if (!s->path)
        return;
    struct stat was;
    bool had = wr_os_fstat(s->fd, &was) == 0;
    int r = open_file(s);
    if (r < 0)
        (void)wr_logger_tell_(l, WR_LOG_ERROR, "log reopen_failed sink=%u err=%s path=%s",
                              s->channel, wr_err_name(r), s->path);
    else if (!had || !is_file(s->fd, &was))
        start_over(s);
}

bool wr_sink_backlog(const struct wr_sink *s)
{
    if (s->def.kind == WR_LOG_TO_SYSLOG)
        return false;
    return s->err || s->packed_at < s->packed_n || s->drops.count ||
           (s->at < s->n && !s->def.buffer_bytes);
}

void wr_sink_rest(struct wr_logger *l, struct wr_sink *s, bool live)
{
    if (s->def.kind == WR_LOG_TO_PATHS)
        paths_rest(l, s);
    wr_sink_flush(l, s, false);
    bool idle = s->at == s->n && s->packed_at == s->packed_n && !s->drops.count;
    if (!live && s->path && idle && now_ms(l) - s->used_ms >= REST_MS)
        close_fd(s);
}

/* ---- life ----------------------------------------------------------------------------------------------- */

int wr_sink_new(struct wr_logger *l, const struct wr_log_sink_def *def,
                const struct wr_logger_sink *given, unsigned channel, struct wr_sink **out)
{
    struct wr_sink *s = wr_heap_zalloc(l->heap, sizeof *s);
    int r = 0;
    if (!s)
        return -ENOMEM;
    s->fd = -1;
    s->channel = channel;
    if (def)
        s->def = *def;
    s->def.path[sizeof s->def.path - 1] = 0;
    s->def.tag[sizeof s->def.tag - 1] = 0;
    if (given) {
        s->def.kind = given->path ? WR_LOG_TO_FILE : WR_LOG_TO_STDERR;
        s->path = given->path;
    } else if (def && def->kind == WR_LOG_TO_FILE) {
        s->path = s->def.path;
    }
    if (s->path) {
        r = open_file(s);
    } else if (s->def.kind == WR_LOG_TO_STDERR) {
        borrow(s, given ? given->fd : 2);
        r = s->fd < 0 ? -EBADF : 0;
    }
    *out = s;
    return r < 0 ? r : 0;
}

void wr_sink_free(struct wr_logger *l, struct wr_sink **at)
{
    struct wr_sink *s = *at;
    *at = NULL;
    if (!s)
        return;
    close_fd(s);
    paths_close(l, s);
    if (s->paths)
        wr_heap_free(l->heap, s->paths, s->max_paths * sizeof *s->paths);
    if (s->current)
        wr_heap_free(l->heap, s->current, strlen(s->current) + 1);
    if (s->buf)
        wr_heap_free(l->heap, s->buf, l->capacity);
    if (s->packed)
        wr_heap_free(l->heap, s->packed, s->packed_room);
    wr_heap_free(l->heap, s, sizeof *s);
}
