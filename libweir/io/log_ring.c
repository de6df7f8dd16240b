/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/log_ring.h"

#include "libweir/base/assert.h"
#include "libweir/io/shm.h"

#include <errno.h>
#include <string.h>

#define LOG_MAGIC 0x3130474f4c524557ull /* "WERLOG01" */

struct log_head {
    uint64_t magic;
    uint64_t rings, bytes_each;
    uint64_t spare[5];
};

struct wr_log_ring_words {
    uint64_t capacity; /* the master's, once */
    /* the writer's words */
    WR_CACHE_ALIGNED uint64_t head;
    uint64_t written, dropped, drop_from_ns, drop_to_ns;
    uint64_t woken; /* the sleep that it has answered */
    /* the reader's words */
    WR_CACHE_ALIGNED uint64_t tail;
    uint64_t reported; /* of dropped */
    uint64_t sleeping; /* grows with every sleep */
    uint64_t held;
    WR_CACHE_ALIGNED char data[];
};

struct record_head {
    uint64_t time_ns;
    uint32_t length, pid;
    uint16_t channel;
    uint8_t level, flags, spare[4];
};
_Static_assert(sizeof(struct record_head) == 24, "the record's head is part of the layout");
_Static_assert(sizeof(struct log_head) == 64, "rings begin on a cache line");

static uint64_t get(const uint64_t *w)
{
    return __atomic_load_n(w, __ATOMIC_RELAXED);
}

static uint64_t get_acquire(const uint64_t *w)
{
    return __atomic_load_n(w, __ATOMIC_ACQUIRE);
}

static void set(uint64_t *w, uint64_t v)
{
    __atomic_store_n(w, v, __ATOMIC_RELAXED);
}

static void set_release(uint64_t *w, uint64_t v)
{
    __atomic_store_n(w, v, __ATOMIC_RELEASE);
}

static bool valid_capacity(uint64_t n)
{
    return n >= WR_LOG_RING_MIN && (n & (n - 1)) == 0;
}

size_t wr_log_ring_size(unsigned rings, size_t bytes_each)
{
    return sizeof(struct log_head) + rings * (sizeof(struct wr_log_ring_words) + bytes_each);
}

int wr_log_ring_format(struct wr_shm *shm, unsigned rings, size_t bytes_each)
{
    size_t size;
    struct log_head *h = wr_shm_part(shm, WR_LOG_PART, WR_LOG_VERSION, &size);
    if (!h || !valid_capacity(bytes_each) || size < wr_log_ring_size(rings, bytes_each))
        return -EINVAL;
    h->rings = rings;
    h->bytes_each = bytes_each;
    for (unsigned i = 0; i < rings; i++) {
        struct wr_log_ring_words *r =
            (void *)((char *)h + sizeof *h + i * (sizeof *r + bytes_each));
        r->capacity = bytes_each;
    }
    h->magic = LOG_MAGIC;
    return 0;
}

static bool check_head(const void *part, size_t size, struct log_head *h)
{
    if (size < sizeof *h || (uintptr_t)part % 8)
        return false;
    memcpy(h, part, sizeof *h);
    return h->magic == LOG_MAGIC && valid_capacity(h->bytes_each) && h->bytes_each < size &&
           h->rings < size &&
           h->rings <= (size - sizeof *h) / (sizeof(struct wr_log_ring_words) + h->bytes_each);
}

unsigned wr_log_ring_count(const void *part, size_t size)
{
    struct log_head h;
    return check_head(part, size, &h) ? (unsigned)h.rings : 0;
}

int wr_log_ring_at(void *part, size_t size, unsigned index, struct wr_log_ring *out)
{
    struct log_head h;
    if (!check_head(part, size, &h) || index >= h.rings)
        return -EPROTO;
    size_t at = sizeof h + index * (sizeof *out->words + h.bytes_each);
    *out = (struct wr_log_ring){(void *)((char *)part + at), h.bytes_each};
    return 0;
}

/* ---- the writer ------------------------------------------------------------------------------------- */

static void copy_in(const struct wr_log_ring *r, uint64_t at, const void *p, size_t n)
{
    size_t from = at & (r->capacity - 1);
    size_t first = n < r->capacity - from ? n : r->capacity - from;
    memcpy(r->words->data + from, p, first);
    memcpy(r->words->data, (const char *)p + first, n - first);
}

static size_t padded(size_t n)
{
    return (n + 7) & ~(size_t)7;
}

static bool drop(struct wr_log_ring_words *r, uint64_t now_ns)
{
    uint64_t dropped = get(&r->dropped);
    if (get(&r->reported) == dropped)
        set(&r->drop_from_ns, now_ns);
    set(&r->drop_to_ns, now_ns);
    set_release(&r->dropped, dropped + 1);
    return false;
}

/* The reader raises `sleeping` and then looks at head; we move head and then look at `sleeping`. With a
 * full barrier between on both sides one of the two sees the other. */
static bool reader_sleeps(struct wr_log_ring_words *r)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    uint64_t sleep = get(&r->sleeping);
    if (sleep == get(&r->woken))
        return false;
    set(&r->woken, sleep);
    return true;
}

bool wr_log_ring_put(const struct wr_log_ring *r, const struct wr_log_record *rec,
                     bool *out_wake)
{
    struct wr_log_ring_words *w = r->words;
    uint64_t head = get(&w->head), used = head - get_acquire(&w->tail);
    size_t length = rec->text.n < WR_LOG_RECORD_MAX ? rec->text.n : WR_LOG_RECORD_MAX;
    uint64_t need = sizeof(struct record_head) + padded(length);
    *out_wake = false;
    if (used > r->capacity || need > r->capacity - used)
        return drop(w, rec->time_ns);
    struct record_head h = {
        .time_ns = rec->time_ns,
        .length = (uint32_t)length,
        .pid = rec->pid,
        .level = rec->level,
        .channel = rec->channel,
        .flags = (uint8_t)(rec->flags | (length < rec->text.n ? WR_LOG_CUT : 0)),
    };
    copy_in(r, head, &h, sizeof h);
    if (length)
        copy_in(r, head + sizeof h, rec->text.p, length);
    set(&w->written, get(&w->written) + 1);
    set_release(&w->head, head + need);
    /* A half-full ring rings the bell too: the reader may be waiting for its period to end. */
    uint64_t half = r->capacity / 2;
    *out_wake = reader_sleeps(w) || (used < half && used + need >= half);
    return true;
}

/* ---- the reader ------------------------------------------------------------------------------------- */

static void copy_out(const struct wr_log_ring *r, uint64_t at, void *p, size_t n)
{
    size_t from = at & (r->capacity - 1);
    size_t first = n < r->capacity - from ? n : r->capacity - from;
    memcpy(p, r->words->data + from, first);
    memcpy((char *)p + first, r->words->data, n - first);
}

uint64_t wr_log_ring_tail(const struct wr_log_ring *r)
{
    return get(&r->words->tail);
}

static int skip_damage(uint64_t *pos, uint64_t head)
{
    *pos = head;
    return -EPROTO;
}

int wr_log_ring_get(const struct wr_log_ring *r, uint64_t *pos,
                    char buf[static WR_LOG_RECORD_MAX], struct wr_log_record *out)
{
    uint64_t head = get_acquire(&r->words->head), used = head - *pos;
    struct record_head h;
    if (used == 0)
        return 0;
    if (used > r->capacity || used < sizeof h || *pos % 8 || used % 8)
        return skip_damage(pos, head);
    copy_out(r, *pos, &h, sizeof h);
    if (h.length > WR_LOG_RECORD_MAX || sizeof h + padded(h.length) > used)
        return skip_damage(pos, head);
    copy_out(r, *pos + sizeof h, buf, h.length);
    *pos += sizeof h + padded(h.length);
    *out = (struct wr_log_record){
        .time_ns = h.time_ns,
        .pid = h.pid,
        .level = h.level,
        .channel = h.channel,
        .flags = h.flags,
        .text = wr_span(buf, h.length),
    };
    return 1;
}

void wr_log_ring_release(const struct wr_log_ring *r, uint64_t pos)
{
    set_release(&r->words->tail, pos);
}

bool wr_log_ring_drops(const struct wr_log_ring *r, struct wr_log_drops *out)
{
    uint64_t dropped = get_acquire(&r->words->dropped), reported = get(&r->words->reported);
    if (dropped == reported)
        return false;
    *out = (struct wr_log_drops){dropped - reported, get(&r->words->drop_from_ns),
                                 get(&r->words->drop_to_ns)};
    set_release(&r->words->reported, dropped);
    return true;
}

bool wr_log_ring_sleep(const struct wr_log_ring *r)
{
    set(&r->words->sleeping, get(&r->words->sleeping) + 1);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return get(&r->words->head) == get(&r->words->tail) &&
           get(&r->words->dropped) == get(&r->words->reported);
}

uint64_t wr_log_ring_written(const struct wr_log_ring *r)
{
    return get(&r->words->written);
}

uint64_t wr_log_ring_dropped(const struct wr_log_ring *r)
{
    return get(&r->words->dropped);
}

void wr_log_ring_hold(const struct wr_log_ring *r, uint64_t records)
{
    set(&r->words->held, records);
}

uint64_t wr_log_ring_held(const struct wr_log_ring *r)
{
    return get(&r->words->held);
}
