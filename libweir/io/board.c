/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/board.h"

#include "libweir/base/assert.h"
#include "libweir/base/heap.h"
#include "libweir/io/shm.h"

#include <errno.h>
#include <string.h>

/*
 *   board_head | board_row x fields | seat x seats
 *
 * The rows say where in a seat a word lies and what it is called.
 */
#define BOARD_MAGIC 0x31304452414f4257ull /* "WBOARD01" */

struct board_head {
    uint64_t magic;
    uint32_t seats, fields;
    uint64_t fields_at, seats_at, seat_size;
    uint64_t spare[3];
};

struct board_row {
    char name[56], help[96];
    uint32_t kind, words;
    uint64_t offset;
};

struct wr_board {
    const struct wr_heap *heap;
    char *base;
    unsigned seats, n_extra;
    size_t seats_at, seat_size;
};

#define INFO(field)                                                           \
    {                                                                         \
        "seat_" #field, "", WR_BOARD_INFO, 1, offsetof(struct wr_seat, field) \
    }
#define LOOP(field)                                                                \
    {                                                                              \
        "loop_" #field, "", WR_BOARD_INFO, 1, offsetof(struct wr_seat, loop.field) \
    }
static const struct board_row known_rows[] = {
    INFO(state),        INFO(pid),           INFO(role),          INFO(holders),
    INFO(started_ns),   INFO(ended_ns),      INFO(exit_status),   INFO(lost),
    INFO(heartbeat_ns), INFO(request_id),    INFO(request_stage), LOOP(running_since_ns),
    LOOP(running_fn),   LOOP(running_fd),    LOOP(turns),         LOOP(events),
    LOOP(stale_events), LOOP(busy_ns),       LOOP(waited_ns),     LOOP(busy_permille),
    LOOP(lag_ns),       LOOP(lag_max_ns),    LOOP(longest_ns),    LOOP(longest_fn),
    LOOP(longest_fd),   LOOP(longest_at_ns),
#define WR_COUNTER(name, metric, help) \
    {metric, help, WR_BOARD_COUNTER, 1, offsetof(struct wr_seat, counter[WR_COUNTER_##name])},
#define WR_GAUGE(name, metric, help) \
    {metric, help, WR_BOARD_GAUGE, 1, offsetof(struct wr_seat, gauge[WR_GAUGE_##name])},
#define WR_STAGE(name, side, label)                            \
    {side "/" label, "operations by stage", WR_BOARD_STAGE, 3, \
     offsetof(struct wr_seat, stage[WR_STAGE_##name])},
#define WR_HIST(name, metric, help)                                             \
    {metric, help, WR_BOARD_HIST, (uint32_t)(sizeof(struct wr_board_hist) / 8), \
     offsetof(struct wr_seat, hist[WR_HIST_##name])},
#include "libweir/io/board.def"
};

static size_t rows_end(unsigned n_extra)
{
    return sizeof(struct board_head) +
           (WR_ARRAY_LEN(known_rows) + n_extra) * sizeof(struct board_row);
}

static size_t round_to_lines(size_t n)
{
    return (n + 2 * WR_CACHE_LINE - 1) & ~(size_t)(2 * WR_CACHE_LINE - 1);
}

static size_t seat_size_of(unsigned n_extra)
{
    return round_to_lines(sizeof(struct wr_seat) + n_extra * sizeof(uint64_t));
}

size_t wr_board_size(const struct wr_board_options *o)
{
    return round_to_lines(rows_end(o->n_extra)) + o->seats * seat_size_of(o->n_extra);
}

static void write_extra_row(struct board_row *row, const struct wr_board_word *word, unsigned i)
{
    size_t n = strnlen(word->name, sizeof row->name - 1);
    memcpy(row->name, word->name, n);
    row->kind = word->gauge ? WR_BOARD_GAUGE : WR_BOARD_COUNTER;
    row->words = 1;
    row->offset = offsetof(struct wr_seat, extra) + i * sizeof(uint64_t);
}

static void lay_out(struct wr_board *b, const struct wr_board_options *o)
{
    struct board_head *h = (void *)b->base;
    struct board_row *row = (void *)(b->base + sizeof *h);
    memcpy(row, known_rows, sizeof known_rows);
    for (unsigned i = 0; i < o->n_extra; i++)
        write_extra_row(&row[WR_ARRAY_LEN(known_rows) + i], &o->extra[i], i);
    h->seats = b->seats;
    h->fields = (uint32_t)(WR_ARRAY_LEN(known_rows) + o->n_extra);
    h->fields_at = sizeof *h;
    h->seats_at = b->seats_at;
    h->seat_size = b->seat_size;
    h->magic = BOARD_MAGIC;
}

int wr_board_new(const struct wr_heap *heap, struct wr_shm *shm,
                 const struct wr_board_options *o, struct wr_board **out)
{
    size_t size;
    char *base = wr_shm_part(shm, WR_BOARD_PART, WR_BOARD_VERSION, &size);
    if (!base || size < wr_board_size(o))
        return -EINVAL;
    struct wr_board *b = wr_heap_zalloc(heap, sizeof *b);
    if (!b)
        return -ENOMEM;
    b->heap = heap;
    b->base = base;
    b->seats = o->seats;
    b->n_extra = o->n_extra;
    b->seats_at = round_to_lines(rows_end(o->n_extra));
    b->seat_size = seat_size_of(o->n_extra);
    lay_out(b, o);
    *out = b;
    return 0;
}

void wr_board_free(struct wr_board **board)
{
    if (*board)
        wr_heap_free((*board)->heap, *board, sizeof **board);
    *board = NULL;
}

unsigned wr_board_seats(const struct wr_board *b)
{
    return b->seats;
}

struct wr_seat *wr_board_seat(const struct wr_board *b, unsigned index)
{
    WR_ASSERT(index < b->seats);
    return (void *)(b->base + b->seats_at + index * b->seat_size);
}

static bool is_free(const struct wr_seat *s)
{
    uint64_t state = wr_word_get(&s->state);
    return state == WR_SEAT_EMPTY || state == WR_SEAT_DEAD;
}

/* The words about "now" belong to the old holder's last moment until somebody new sits down. */
static void sit_down(struct wr_seat *s, unsigned role, uint64_t now_real_ns)
{
    wr_word_set(&s->heartbeat_ns, 0);
    memset(&s->loop, 0, sizeof s->loop);
    wr_word_set(&s->request_id, 0);
    wr_word_set(&s->request_stage, 0);
    wr_word_set(&s->pid, 0);
    wr_word_set(&s->role, role);
    wr_word_set(&s->started_ns, now_real_ns);
    wr_word_set(&s->exit_status, 0);
    wr_word_add(&s->holders, 1);
    wr_word_set(&s->state, WR_SEAT_STARTING);
}

int wr_board_occupy(struct wr_board *b, unsigned first, unsigned n, unsigned role,
                    uint64_t now_real_ns)
{
    int best = -EBUSY;
    for (unsigned i = first; i < first + n && i < b->seats; i++) {
        const struct wr_seat *s = wr_board_seat(b, i);
        if (!is_free(s))
            continue;
        if (best < 0 || wr_word_get(&s->ended_ns) <
                            wr_word_get(&wr_board_seat(b, (unsigned)best)->ended_ns))
            best = (int)i;
    }
    if (best >= 0)
        sit_down(wr_board_seat(b, (unsigned)best), role, now_real_ns);
    return best;
}

static uint64_t settle_stages(struct wr_seat *s)
{
    uint64_t lost = 0;
    for (unsigned i = 0; i < WR_STAGE_COUNT; i++) {
        struct wr_stage_words *w = &s->stage[i];
        uint64_t in_flight = w->entered - w->ok - w->failed;
        __atomic_store_n(&w->failed, w->failed + in_flight, __ATOMIC_RELEASE);
        lost += in_flight;
    }
    return lost;
}

static void clear_gauges(struct wr_board *b, struct wr_seat *s)
{
    const struct board_row *row = (void *)(b->base + sizeof(struct board_head));
    for (size_t i = 0; i < WR_ARRAY_LEN(known_rows) + b->n_extra; i++)
        if (row[i].kind == WR_BOARD_GAUGE)
            wr_word_set((uint64_t *)(void *)((char *)s + row[i].offset), 0);
}

uint64_t wr_board_vacate(struct wr_board *b, unsigned index, int exit_status,
                         uint64_t now_real_ns)
{
    struct wr_seat *s = wr_board_seat(b, index);
    uint64_t lost = settle_stages(s);
    clear_gauges(b, s);
    wr_word_add(&s->lost, lost);
    wr_word_set(&s->exit_status, (uint64_t)(int64_t)exit_status);
    wr_word_set(&s->ended_ns, now_real_ns);
    wr_word_set(&s->state, WR_SEAT_DEAD);
    return lost;
}

unsigned wr_board_bucket_of(uint64_t ns)
{
    if (ns < 1024)
        return 0;
    unsigned e = 63u - (unsigned)__builtin_clzll(ns);
    unsigned i = (e - 10) * 8 + ((unsigned)(ns >> (e - 3)) & 7) + 1;
    return i < WR_BOARD_BUCKETS ? i : WR_BOARD_BUCKETS - 1;
}

uint64_t wr_board_bucket_floor(unsigned i)
{
    if (i == 0)
        return 0;
    unsigned e = 10 + (i - 1) / 8;
    return (uint64_t)(8 + (i - 1) % 8) << (e - 3);
}

void wr_seat_measure(struct wr_seat *seat, enum wr_hist_id id, uint64_t ns)
{
    if (!seat)
        return;
    struct wr_board_hist *h = &seat->hist[id];
    wr_word_add(&h->bucket[wr_board_bucket_of(ns)], 1);
    wr_word_add(&h->sum_ns, ns);
    if (ns > wr_word_get(&h->max_ns))
        wr_word_set(&h->max_ns, ns);
    __atomic_store_n(&h->count, wr_word_get(&h->count) + 1, __ATOMIC_RELEASE);
}

/* ---- readers --------------------------------------------------------------------------------------- */

static bool region_fits(size_t size, uint64_t at, uint64_t n, uint64_t each)
{
    return at % 8 == 0 && at <= size && each > 0 && n <= (size - at) / each;
}

int wr_board_view_init(struct wr_board_view *v, const void *part, size_t size)
{
    struct board_head h;
    if (size < sizeof h || (uintptr_t)part % 8)
        return -EPROTO;
    memcpy(&h, part, sizeof h);
    if (h.magic != BOARD_MAGIC || h.seat_size % 8 ||
        !region_fits(size, h.fields_at, h.fields, sizeof(struct board_row)) ||
        !region_fits(size, h.seats_at, h.seats, h.seat_size))
        return -EPROTO;
    *v = (struct wr_board_view){
        .base = part,
        .size = size,
        .seats = h.seats,
        .fields = h.fields,
        .fields_at = h.fields_at,
        .seats_at = h.seats_at,
        .seat_size = h.seat_size,
    };
    return 0;
}

static uint32_t words_of(uint32_t kind)
{
    switch (kind) {
    case WR_BOARD_COUNTER:
    case WR_BOARD_GAUGE:
    case WR_BOARD_INFO:
        return 1;
    case WR_BOARD_STAGE:
        return 3;
    case WR_BOARD_HIST:
        return (uint32_t)(sizeof(struct wr_board_hist) / 8);
    default:
        return 0;
    }
}

bool wr_board_view_field(const struct wr_board_view *v, unsigned index,
                         struct wr_board_field *out)
{
    if (index >= v->fields)
        return false;
    const struct board_row *row =
        (const void *)(v->base + v->fields_at + index * sizeof(struct board_row));
    uint32_t kind = __atomic_load_n(&row->kind, __ATOMIC_RELAXED);
    uint64_t offset = wr_word_get(&row->offset);
    uint64_t need = words_of(kind) * sizeof(uint64_t);
    if (need == 0 || offset % 8 || offset > v->seat_size || need > v->seat_size - offset)
        return false;
    *out = (struct wr_board_field){
        .kind = (enum wr_board_kind)kind,
        .name = wr_span(row->name, strnlen(row->name, sizeof row->name)),
        .help = wr_span(row->help, strnlen(row->help, sizeof row->help)),
        .offset = offset,
    };
    return true;
}

bool wr_board_view_find(const struct wr_board_view *v, struct wr_span name,
                        struct wr_board_field *out)
{
    struct wr_board_field f;
    for (unsigned i = 0; i < v->fields; i++) {
        if (!wr_board_view_field(v, i, &f) || !wr_span_eq(f.name, name))
            continue;
        *out = f;
        return true;
    }
    return false;
}

uint64_t wr_board_view_word(const struct wr_board_view *v, const struct wr_board_field *f,
                            unsigned seat, unsigned word)
{
    if (seat >= v->seats || word >= words_of(f->kind))
        return 0;
    const char *at = v->base + v->seats_at + seat * v->seat_size + f->offset + word * 8;
    return __atomic_load_n((const uint64_t *)(const void *)at, __ATOMIC_ACQUIRE);
}

uint64_t wr_board_view_sum(const struct wr_board_view *v, const struct wr_board_field *f,
                           unsigned word)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < v->seats; i++)
        sum += wr_board_view_word(v, f, i, word);
    return sum;
}

struct wr_stage_words wr_board_view_stage(const struct wr_board_view *v,
                                          const struct wr_board_field *f, unsigned seat)
{
    struct wr_stage_words w; /* the leaves first: then no leave is seen without its enter */
    w.failed = wr_board_view_word(v, f, seat, 2);
    w.ok = wr_board_view_word(v, f, seat, 1);
    w.entered = wr_board_view_word(v, f, seat, 0);
    return w;
}
