/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a weir server keeps about itself: the scoreboard, the tables of connections and the flight recorder in the
 * shared memory of its family, which its master holds; and of any program on libweir what its pools have lent to
 * whom.
 *
 * Who calls itself weir may be anybody: memory that could shrink under us is not mapped, and every word is read by
 * functions that trust nothing.
 */
#include "weir/doctor/look/look.h"

#include "libweir/base/err.h"
#include "libweir/io/addr.h"
#include "libweir/io/board.h"
#include "libweir/io/leases.h"
#include "libweir/io/recorder.h"
#include "libweir/io/shm.h"
#include "libweir/os/os.h"
#include "weir/stats/conns.h"
#include "weir/stats/state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

#define MEMORY    "/memfd:weir"
#define ANY       "/memfd:"
#define EVENTS    6 /* of each worker's last ones */
#define POOLS_MAX 4096
#define SEATS_MAX 4096
#define MEMORY_MAX \
    (1LL << 30) /* to read what a program left empty would fill it: ours, not the program's */
#define MEMORIES 4 /* of a program that is not weir, which are tried */
#define MS       1000000ULL

struct books {
    struct facts_look *look;
    const uint32_t *pids;
    uint32_t n_pids;
    const void *memory;
    size_t size;
    struct wr_board_view board;
    struct state_words *state; /* a copy; NULL: the memory has none */
    uint64_t now_ns;           /* CLOCK_MONOTONIC */
    bool weir; /* it calls itself so: the words of its board mean what they are called */
    int err;
};

/* ---- the board ------------------------------------------------------------------------------------- */
static uint64_t word(const struct books *b, const char *name, unsigned seat)
{
    struct wr_board_field f;
    if (!wr_board_view_find(&b->board, wr_span_str(name), &f))
        return 0;
    return wr_board_view_word(&b->board, &f, seat, 0);
}

static uint64_t ago(uint64_t now, uint64_t then)
{
    return then == 0 ? FACTS_UNKNOWN : now > then ? (now - then) / MS : 0;
}

static void put_text(struct books *b, const char *text, uint32_t *out_at)
{
    if (!b->err)
        b->err = facts_text_add(b->look, wr_span_str(text), out_at);
}

static void add_worker(struct books *b, unsigned seat, uint32_t pid)
{
    struct facts_weir w = {.pid = pid,
                           .worker = (uint32_t)word(b, "seat_role", seat),
                           .state = (uint8_t)word(b, "seat_state", seat),
                           .accepted = word(b, "weir_connections_accepted_total", seat),
                           .requests = word(b, "weir_requests_total", seat),
                           .open = word(b, "weir_connections_open", seat),
                           .heartbeat_ms = ago(b->now_ns, word(b, "seat_heartbeat_ns", seat)),
                           .running_fn = word(b, "loop_running_fn", seat),
                           .stuck_ms = FACTS_UNKNOWN,
                           .fd = -1};
    w.running_ms = ago(b->now_ns, word(b, "loop_running_since_ns", seat));
    if (w.running_ms != FACTS_UNKNOWN)
        w.fd = (int32_t)word(b, "loop_running_fd", seat);
    const struct state_stuck *k =
        b->state && seat < STATE_SEATS ? &b->state->stuck[seat] : NULL;
    if (k && k->pid == pid) {
        w.stuck_ms = ago(b->now_ns, k->since_ns);
        w.fd = (int32_t)k->fd;
        put_text(b, k->what, &w.what);
        put_text(b, k->syscall, &w.syscall);
        put_text(b, k->path, &w.path);
    }
    if (!b->err)
        b->err = FACTS_ADD(&b->look->weirs, b->look->heap, &w);
}

/* ---- connections ------------------------------------------------------------------------------------- */
struct stages {
    struct conns_entry oldest[CONNS_STATES]; /* longest in that stage */
    uint32_t count[CONNS_STATES];
};

static void on_conn(const struct conns_entry *e, void *arg)
{
    struct stages *s = arg;
    if (e->state >= CONNS_STATES)
        return;
    if (s->count[e->state]++ == 0 || e->changed_ms < s->oldest[e->state].changed_ms)
        s->oldest[e->state] = *e;
}

static void put_peer(struct books *b, const struct conns_entry *e, uint32_t *out_at)
{
    char text[WR_ADDR_TEXT_MAX] = "unix:";
    struct wr_addr a =
        e->family == WR_ADDR_V6 ? wr_addr_v6(e->ip, 0, e->port) : wr_addr_v4(e->ip, e->port);
    if (e->family == WR_ADDR_V4 || e->family == WR_ADDR_V6)
        wr_addr_format(&a, text);
    put_text(b, text, out_at);
}

static void add_stage(struct books *b, uint32_t pid, uint8_t stage, const struct stages *s)
{
    const struct conns_entry *e = &s->oldest[stage];
    uint64_t now = b->now_ns / MS;
    struct facts_weir_stage g = {.pid = pid,
                                 .count = s->count[stage],
                                 .stage = stage,
                                 .number = e->number,
                                 .age_ms = now > e->opened_ms ? now - e->opened_ms : 0,
                                 .in_stage_ms = now > e->changed_ms ? now - e->changed_ms : 0,
                                 .left_ms = FACTS_UNKNOWN,
                                 .requests = e->requests,
                                 .fd = e->fd};
    if (e->due_ms != UINT64_MAX)
        g.left_ms = e->due_ms > now ? e->due_ms - now : 0;
    put_peer(b, e, &g.peer);
    if (!b->err)
        b->err = facts_text_add(b->look, wr_span(e->doing, e->doing_len), &g.doing);
    if (!b->err)
        b->err = FACTS_ADD(&b->look->weir_stages, b->look->heap, &g);
}

static bool find_part(const struct books *b, const char *name, uint32_t version,
                      const void **out, size_t *out_size)
{
    return wr_shm_find(b->memory, b->size, name, version, out, out_size) == 0;
}

static void add_connections(struct books *b, unsigned seat, uint32_t pid)
{
    struct stages s = {0};
    const void *part;
    size_t size;
    if (!find_part(b, CONNS_PART, CONNS_VERSION, &part, &size) ||
        conns_walk(part, size, seat, on_conn, &s) <= 0)
        return;
    for (uint8_t i = 0; i < CONNS_STATES; i++)
        if (s.count[i] > 0)
            add_stage(b, pid, i, &s);
}

/* ---- events ------------------------------------------------------------------------------------------ */
static void add_events(struct books *b, unsigned seat, uint32_t pid)
{
    struct wr_event e[EVENTS];
    const void *part;
    size_t size;
    char line[256];
    if (!find_part(b, WR_RECORDER_PART, WR_RECORDER_VERSION, &part, &size))
        return;
    int n = wr_recorder_read(part, size, seat, pid, e, EVENTS);
    for (int i = 0; i < n && !b->err; i++) {
        struct facts_weir_event row = {.pid = pid};
        (void)wr_event_format(&e[i], line, sizeof line);
        put_text(b, line, &row.line);
        if (!b->err)
            b->err = FACTS_ADD(&b->look->weir_events, b->look->heap, &row);
    }
}

/* ---- pools ------------------------------------------------------------------------------------------- */
static bool is_among(const struct books *b, uint64_t pid)
{
    for (uint32_t i = 0; i < b->n_pids; i++)
        if (b->pids[i] == pid)
            return true;
    return false;
}

static void add_pool(struct books *b, const struct wr_lease_book *k)
{
    uint64_t now = b->now_ns / MS;
    struct facts_weir_pool p = {.pid = (uint32_t)k->pid,
                                .max_open = k->max_open,
                                .open = k->open,
                                .lent = k->lent,
                                .waiting = k->waiting,
                                .waited_ms = FACTS_UNKNOWN};
    if (k->waits_since_ms)
        p.waited_ms = now > k->waits_since_ms ? now - k->waits_since_ms : 0;
    put_text(b, k->pool, &p.name);
    if (!b->err)
        b->err = FACTS_ADD(&b->look->weir_pools, b->look->heap, &p);
    for (uint64_t i = 0; i < k->lines && !b->err; i++) {
        const struct wr_lease_line *line = &k->line[i];
        struct facts_weir_lease l = {.pid = p.pid,
                                     .pool = p.name,
                                     .lease = line->lease,
                                     .held_ms =
                                         now > line->since_ms ? now - line->since_ms : 0};
        char where[128];
        (void)snprintf(where, sizeof where, "%s (%s:%" PRIu64 ")", line->func, line->file,
                       line->line);
        put_text(b, where, &l.where);
        if (!b->err)
            b->err = FACTS_ADD(&b->look->weir_leases, b->look->heap, &l);
    }
}

static bool is_read(const struct facts_look *l, uint64_t pid, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (l->weir_pools.v[i].pid == pid)
            return true;
    return false;
}

/* n: pools that another memory told already. */
static void read_pools(struct books *b)
{
    uint32_t n = b->look->weir_pools.n;
    struct wr_lease_book book;
    const void *part;
    size_t size;
    int r = 0;
    if (!find_part(b, WR_LEASES_PART, WR_LEASES_VERSION, &part, &size))
        return;
    for (unsigned i = 0; i < POOLS_MAX && r >= 0 && !b->err; i++) {
        r = wr_leases_read(part, size, i, &book);
        if (r == 1 && is_among(b, book.pid) && !is_read(b->look, book.pid, n))
            add_pool(b, &book);
    }
}

/* ---- a family ---------------------------------------------------------------------------------------- */
static bool is_known(const struct facts_look *l, uint32_t pid)
{
    for (uint32_t i = 0; i < l->weirs.n; i++)
        if (l->weirs.v[i].pid == pid)
            return true;
    return false;
}

static bool is_asked(const struct books *b, uint32_t pid)
{
    for (uint32_t i = 0; i < b->n_pids; i++)
        if (b->pids[i] == pid)
            return !is_known(b->look, pid);
    return false;
}

static void read_seats(struct books *b)
{
    unsigned first = b->state ? b->state->first_worker_seat : 0;
    for (unsigned seat = first; seat < b->board.seats && seat < SEATS_MAX && !b->err; seat++) {
        uint64_t pid = word(b, "seat_pid", seat), state = word(b, "seat_state", seat);
        if (state == WR_SEAT_EMPTY || state == WR_SEAT_DEAD || pid == 0 || pid > UINT32_MAX ||
            !is_asked(b, (uint32_t)pid))
            continue;
        add_worker(b, seat, (uint32_t)pid);
        add_connections(b, seat, (uint32_t)pid);
        add_events(b, seat, (uint32_t)pid);
    }
}

static void read_memory(struct books *b)
{
    const void *part;
    size_t size;
    read_pools(b);
    if (!b->weir || !find_part(b, WR_BOARD_PART, WR_BOARD_VERSION, &part, &size) ||
        wr_board_view_init(&b->board, part, size))
        return;
    if (find_part(b, STATE_PART, STATE_VERSION, &part, &size) &&
        size >= sizeof(struct state_words)) {
        b->state = wr_heap_alloc(b->look->heap, sizeof *b->state);
        if (b->state)
            (void)state_read(part,
                             b->state); /* torn at worst: its texts end, its pids are checked */
        else
            b->err = -ENOMEM;
    }
    read_seats(b);
    wr_heap_free(b->look->heap, b->state, sizeof *b->state);
    b->state = NULL;
}

/* ---- finding it ---------------------------------------------------------------------------------------- */
struct hunt {
    uint32_t pid;
    int fd;
};

static int on_fd(void *arg, int dir, uint32_t number)
{
    (void)dir;
    struct hunt *h = arg;
    char path[64], link[32];
    (void)snprintf(path, sizeof path, "/proc/%u/fd/%u", h->pid, number);
    ssize_t n = wr_os_readlink(path, link, sizeof link);
    if (n <= 0 || !wr_span_has_prefix(wr_span(link, (size_t)n), WR_LIT(MEMORY)))
        return 0;
    h->fd = wr_os_open(path, O_RDONLY | O_CLOEXEC, 0);
    return -EEXIST; /* enough */
}

static int open_memory(uint32_t pid)
{
    struct hunt h = {.pid = pid, .fd = -ENOENT};
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%u/fd", pid);
    int err = look_numbers(path, on_fd, &h);
    if (h.fd >= 0 && wr_os_cannot_shrink(h.fd) != 1) {
        (void)wr_os_close(h.fd);
        return -EPROTO;
    }
    return h.fd >= 0 || err == -EEXIST || err >= 0 ? h.fd : err;
}

static void read_from(struct books *b, int fd)
{
    struct wr_shm *shm;
    struct stat st;
    if (wr_os_fstat(fd, &st) || st.st_size > MEMORY_MAX ||
        wr_shm_attach(b->look->heap, fd, false, &shm))
        return;
    b->memory = wr_shm_base(shm);
    b->size = wr_shm_size(shm);
    read_memory(b);
    wr_shm_free(&shm);
}

static void read_family(struct books *b, uint32_t holder)
{
    int fd = open_memory(holder);
    b->weir = true;
    if (fd >= 0)
        read_from(b, fd);
    else if (fd == -EACCES || fd == -EPERM)
        facts_gap(b->look, "weir's own account", holder, fd);
    if (fd >= 0)
        (void)wr_os_close(fd);
}

/* Any program may have memory without a file; a libweir program's has a part of leases. */
static void read_program(struct books *b, uint32_t pid)
{
    uint32_t n;
    unsigned tried = 0;
    const struct facts_fd *v = facts_fds(b->look, pid, &n);
    b->weir = false;
    for (uint32_t i = 0; i < n && tried < MEMORIES && !b->err; i++) {
        char path[48];
        struct wr_span link = wr_span_str(facts_text(b->look, v[i].path));
        if (v[i].kind != FACTS_FD_FILE || !wr_span_has_prefix(link, WR_LIT(ANY)))
            continue;
        tried++;
        (void)snprintf(path, sizeof path, "/proc/%u/fd/%d", pid, v[i].fd);
        int fd = wr_os_open(path, O_RDONLY | O_CLOEXEC, 0);
        if (fd < 0)
            continue;
        if (wr_os_cannot_shrink(fd) == 1)
            read_from(b, fd);
        (void)wr_os_close(fd);
    }
}

static bool is_weir(const struct facts_look *l, const struct facts_process *p)
{
    struct wr_span exe = wr_span_str(facts_text(l, p->exe)), gone = WR_LIT(" (deleted)");
    if (wr_span_has_suffix(exe, gone))
        exe.n -= gone.n;
    if (exe.n > 0)
        return wr_span_has_suffix(exe, WR_LIT("/weir"));
    return strncmp(p->comm, "weir", 4) == 0;
}

/* Workers close what they do not need: the memory is their master's, who may be no target. */
int look_weir(struct facts_look *l, const uint32_t *pids, uint32_t n)
{
    struct books b = {.look = l, .pids = pids, .n_pids = n};
    uint32_t asked = 0;
    b.now_ns = wr_os_now_ns(CLOCK_MONOTONIC);
    for (uint32_t i = 0; i < n && !b.err; i++) {
        const struct facts_process *p = facts_process(l, pids[i]);
        if (p && !is_weir(l, p))
            read_program(&b, pids[i]);
        if (!p || !is_weir(l, p) || is_known(l, pids[i]))
            continue;
        const struct facts_process *parent = facts_process(l, p->parent);
        uint32_t holder = parent && is_weir(l, parent) ? p->parent : pids[i];
        if (holder != asked)
            read_family(&b, holder);
        asked = holder;
        if (!b.err && !parent && p->parent > 1 && !is_known(l, pids[i]))
            read_family(&b, p->parent);
    }
    return b.err == -ENOMEM || b.err == -E2BIG ? b.err : 0;
}
