/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/recorder.h"

#include "libweir/io/log_text.h"
#include "libweir/io/shm.h"

#include <errno.h>
#include <string.h>

#define RECORDER_MAGIC 0x3130434552524557ull /* "WERREC01" */

struct recorder_head {
    uint64_t magic;
    uint32_t rings, events;
    uint64_t spare[6];
};

static size_t ring_size(uint64_t events)
{
    return sizeof(struct wr_recorder_ring) + events * sizeof(struct wr_recorder_event);
}

size_t wr_recorder_size(unsigned rings, unsigned events)
{
    return sizeof(struct recorder_head) + rings * ring_size(events);
}

int wr_recorder_format(struct wr_shm *shm, unsigned rings, unsigned events)
{
    size_t size;
    struct recorder_head *h = wr_shm_part(shm, WR_RECORDER_PART, WR_RECORDER_VERSION, &size);
    if (!h || size < wr_recorder_size(rings, events) || !events || (events & (events - 1)))
        return -EINVAL;
    h->rings = rings;
    h->events = events;
    h->magic = RECORDER_MAGIC;
    return 0;
}

/* The ring's place, checked against the part's size; NULL when there is none. */
static const struct wr_recorder_ring *find_ring(const void *part, size_t size, unsigned ring,
                                                uint64_t *out_events)
{
    struct recorder_head h;
    if (size < sizeof h || (uintptr_t)part % 8)
        return NULL;
    memcpy(&h, part, sizeof h);
    if (h.magic != RECORDER_MAGIC || h.events == 0 || (h.events & (h.events - 1)) ||
        ring >= h.rings || h.rings > (size - sizeof h) / ring_size(h.events))
        return NULL;
    *out_events = h.events;
    return (const void *)((const char *)part + sizeof h + ring * ring_size(h.events));
}

int wr_recorder_open(struct wr_recorder *rec, const struct wr_shm *shm, unsigned ring,
                     uint32_t pid)
{
    size_t size;
    uint64_t events;
    char *part = wr_shm_part(shm, WR_RECORDER_PART, WR_RECORDER_VERSION, &size);
    const struct wr_recorder_ring *at = part ? find_ring(part, size, ring, &events) : NULL;
    if (!at)
        return -EINVAL;
    rec->ring = (void *)(part + ((const char *)at - part));
    rec->mask = events - 1;
    rec->pid = pid;
    return 0;
}

/* False when the event is not the whole event of that number. */
static bool read_event(const struct wr_recorder_event *e, uint64_t number, struct wr_event *out)
{
    if (__atomic_load_n(&e->stamp, __ATOMIC_ACQUIRE) != number + 1)
        return false;
    uint64_t what = __atomic_load_n(&e->what, __ATOMIC_RELAXED);
    *out = (struct wr_event){
        .number = number,
        .time_ns = __atomic_load_n(&e->time_ns, __ATOMIC_RELAXED),
        .id = __atomic_load_n(&e->id, __ATOMIC_RELAXED),
        .code = (uint16_t)what,
        .stage = (uint16_t)(what >> 16),
        .pid = (uint32_t)(what >> 32),
        .a = __atomic_load_n(&e->a, __ATOMIC_RELAXED),
        .b = __atomic_load_n(&e->b, __ATOMIC_RELAXED),
    };
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return __atomic_load_n(&e->stamp, __ATOMIC_RELAXED) == number + 1;
}

static void reverse(struct wr_event *e, unsigned n)
{
    for (unsigned i = 0; i < n / 2; i++) {
        struct wr_event t = e[i];
        e[i] = e[n - 1 - i];
        e[n - 1 - i] = t;
    }
}

int wr_recorder_read(const void *part, size_t size, unsigned ring, uint32_t pid,
                     struct wr_event *out, unsigned max)
{
    uint64_t events;
    const struct wr_recorder_ring *r = find_ring(part, size, ring, &events);
    if (!r)
        return -EPROTO;
    uint64_t next = __atomic_load_n(&r->next, __ATOMIC_ACQUIRE);
    uint64_t behind = next < events ? next : events;
    unsigned n = 0;
    for (uint64_t k = 1; k <= behind && n < max; k++) {
        uint64_t number = next - k;
        if (read_event(&r->event[number & (events - 1)], number, &out[n]) &&
            (pid == 0 || out[n].pid == pid))
            n++;
    }
    reverse(out, n);
    return (int)n;
}

const char *wr_event_name(unsigned code)
{
    static const char *const names[] = {
        [WR_EVENT_NONE] = "none",   [WR_EVENT_START] = "start",     [WR_EVENT_STOP] = "stop",
        [WR_EVENT_ENTER] = "enter", [WR_EVENT_LEAVE] = "leave",     [WR_EVENT_OPEN] = "open",
        [WR_EVENT_CLOSE] = "close", [WR_EVENT_REQUEST] = "request", [WR_EVENT_REPLY] = "reply",
        [WR_EVENT_SLOW] = "slow",   [WR_EVENT_LIMIT] = "limit",     [WR_EVENT_ERROR] = "error",
        [WR_EVENT_PANIC] = "panic",
    };
    return code < WR_ARRAY_LEN(names) ? names[code] : "?";
}

size_t wr_event_format(const struct wr_event *e, char *out, size_t n)
{
    char time[WR_LOG_TIME_SIZE];
    if (n == 0)
        return 0;
    wr_log_time(time, e->time_ns);
    size_t len = wr_log_format(out, n - 1,
                               "%.*s pid=%u n=%llu code=%u %s id=%llx stage=%u a=%lld b=%llu",
                               (int)sizeof time, time, e->pid, (unsigned long long)e->number,
                               e->code, wr_event_name(e->code), (unsigned long long)e->id,
                               e->stage, (long long)e->a, (unsigned long long)e->b);
    out[len] = 0;
    return len;
}
