/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/ports.h"

#include "libweir/base/assert.h"
#include "libweir/base/err.h"
#include "libweir/base/heap.h"
#include "libweir/base/list.h"
#include "libweir/base/table.h"
#include "libweir/os/os.h"

#include <errno.h>
#include <fcntl.h>

#define RING         64 /* seconds; more than the longest TIME_WAIT */
#define TIME_WAIT_S  60
#define REUSE_WAIT_S 1 /* with tcp_tw_reuse=1 a port is free again after a second */
#define KEY_BYTES    24
#define EVICT_LOOK   16

struct dest {
    char key[KEY_BYTES];
    struct wr_list link; /* in `used`, the first to be looked at when room is needed first */
    unsigned open, waiting;
    uint64_t second; /* the ring is true as of this one */
    uint64_t refused;
    uint32_t ring[RING]; /* ports that become free in second s: ring[s % RING] */
};

struct wr_port_budget {
    const struct wr_heap *heap;
    struct wr_table table;
    struct wr_list used;
    unsigned limit, max_dests, time_wait_s;
};

/* ---- the kernel's settings --------------------------------------------------------------------------- */

static bool take_number(struct wr_span *s, unsigned max, unsigned *out)
{
    unsigned v = 0;
    size_t i = 0;
    *s = wr_span_trim(*s);
    for (; i < s->n && s->p[i] >= '0' && s->p[i] <= '9' && v <= max; i++)
        v = v * 10 + (unsigned)(s->p[i] - '0');
    if (i == 0 || v > max)
        return false;
    *s = wr_span_sub(*s, i, s->n);
    *out = v;
    return true;
}

int wr_port_range_parse(struct wr_span text, unsigned *out_first, unsigned *out_last)
{
    unsigned first, last;
    if (text.n && text.p[text.n - 1] == '\n')
        text.n--;
    if (!take_number(&text, 65535, &first) || text.n == 0 ||
        (*text.p != '\t' && *text.p != ' ') || !take_number(&text, 65535, &last) ||
        wr_span_trim(text).n || first == 0 || last < first)
        return WR_E_SYNTAX;
    *out_first = first;
    *out_last = last;
    return 0;
}

static struct wr_span read_setting(const char *path, char *buf, size_t n)
{
    int fd = wr_os_open(path, O_RDONLY, 0);
    if (fd < 0)
        return (struct wr_span){0};
    ssize_t got = wr_os_read(fd, buf, n);
    (void)wr_os_close(fd);
    return wr_span(buf, got > 0 ? (size_t)got : 0);
}

static unsigned range_size(void)
{
    char buf[64];
    unsigned first = 32768, last = 60999; /* the kernel's default */
    struct wr_span text =
        read_setting("/proc/sys/net/ipv4/ip_local_port_range", buf, sizeof buf);
    (void)!wr_port_range_parse(text, &first, &last);
    return last - first + 1;
}

static unsigned time_wait_s(void)
{
    char buf[16];
    struct wr_span text = read_setting("/proc/sys/net/ipv4/tcp_tw_reuse", buf, sizeof buf);
    return text.n && text.p[0] == '1' ? REUSE_WAIT_S : TIME_WAIT_S;
}

/* ---- the budget -------------------------------------------------------------------------------------- */

int wr_port_budget_new(const struct wr_heap *heap, const struct wr_port_budget_options *options,
                       struct wr_port_budget **out)
{
    static const struct wr_port_budget_options none;
    const struct wr_port_budget_options *o = options ? options : &none;
    struct wr_port_budget *b = wr_heap_zalloc(heap, sizeof *b);
    if (!b)
        return -ENOMEM;
    b->heap = heap;
    wr_table_init(&b->table, heap, (struct wr_hash_key){0, 0});
    wr_list_init(&b->used);
    b->limit = o->limit;
    if (!b->limit) {
        unsigned range = range_size();
        unsigned reserve = o->reserve ? o->reserve : range / 16;
        b->limit = reserve < range ? range - reserve : 1;
    }
    if (o->share > 1)
        b->limit = b->limit / o->share ? b->limit / o->share : 1;
    b->max_dests = o->max_destinations ? o->max_destinations : 1024;
    b->time_wait_s = o->time_wait_s ? (unsigned)o->time_wait_s : time_wait_s();
    if (o->time_wait_s < 0)
        b->time_wait_s = 0;
    if (b->time_wait_s > RING - 2)
        b->time_wait_s = RING - 2;
    *out = b;
    return 0;
}

static void forget(struct wr_port_budget *b, struct dest *d)
{
    (void)wr_table_remove(&b->table, wr_span(d->key, KEY_BYTES));
    wr_list_remove(&d->link);
    wr_heap_free(b->heap, d, sizeof *d);
}

void wr_port_budget_free(struct wr_port_budget **bp)
{
    struct wr_port_budget *b = *bp;
    *bp = NULL;
    if (!b)
        return;
    for (struct wr_list *l; (l = wr_list_first(&b->used));)
        forget(b, wr_container_of(l, struct dest, link));
    wr_table_deinit(&b->table);
    wr_heap_free(b->heap, b, sizeof *b);
}

static void make_key(const struct wr_addr *a, char key[KEY_BYTES])
{
    memset(key, 0, KEY_BYTES);
    key[0] = (char)a->kind;
    memcpy(key + 2, &a->port, sizeof a->port);
    if (a->kind == WR_ADDR_V4)
        memcpy(key + 4, a->v4, 4);
    else
        memcpy(key + 4, a->v6, 16);
    if (a->kind == WR_ADDR_V6)
        memcpy(key + 20, &a->scope, 4);
}

/* Lets the seconds pass: what waited long enough is free. */
static void pass(struct dest *d, uint64_t now_ms)
{
    uint64_t now = now_ms / 1000;
    if (now <= d->second)
        return;
    if (now - d->second >= RING) {
        memset(d->ring, 0, sizeof d->ring);
        d->waiting = 0;
    }
    for (; d->second < now && d->waiting;) {
        uint32_t *slot = &d->ring[++d->second % RING];
        d->waiting -= *slot;
        *slot = 0;
    }
    d->second = now;
}

/* Those in use go behind the others, or the long-lived would hide the unused from every look. */
static bool evict_one(struct wr_port_budget *b, uint64_t now_ms)
{
    int looked = 0;
    WR_LIST_EACH(l, &b->used)
    {
        struct dest *d = wr_container_of(l, struct dest, link);
        pass(d, now_ms);
        if (d->open + d->waiting == 0) {
            forget(b, d);
            return true;
        }
        wr_list_remove(&d->link);
        wr_list_add_tail(&b->used, &d->link);
        if (++looked == EVICT_LOOK)
            return false;
    }
    return false;
}

static struct dest *find(struct wr_port_budget *b, const struct wr_addr *a, uint64_t now_ms)
{
    char key[KEY_BYTES];
    if (a->kind != WR_ADDR_V4 && a->kind != WR_ADDR_V6)
        return NULL;
    make_key(a, key);
    struct dest *d = wr_table_get(&b->table, wr_span(key, KEY_BYTES));
    if (d)
        pass(d, now_ms);
    return d;
}

static struct dest *add(struct wr_port_budget *b, const struct wr_addr *a, uint64_t now_ms)
{
    if (wr_table_count(&b->table) >= b->max_dests && !evict_one(b, now_ms))
        return NULL;
    struct dest *d = wr_heap_zalloc(b->heap, sizeof *d);
    if (!d)
        return NULL;
    make_key(a, d->key);
    d->second = now_ms / 1000;
    if (wr_table_put(&b->table, wr_span(d->key, KEY_BYTES), d)) {
        wr_heap_free(b->heap, d, sizeof *d);
        return NULL;
    }
    wr_list_init(&d->link);
    wr_list_add_tail(&b->used, &d->link);
    return d;
}

int wr_port_budget_take(struct wr_port_budget *b, const struct wr_addr *dest, uint64_t now_ms)
{
    if (dest->kind != WR_ADDR_V4 && dest->kind != WR_ADDR_V6)
        return 0;
    struct dest *d = find(b, dest, now_ms);
    if (!d)
        d = add(b, dest, now_ms);
    if (!d)
        return 0; /* untracked: the kernel's own limit still holds */
    wr_list_remove(&d->link);
    wr_list_add_tail(&b->used, &d->link);
    if (d->open + d->waiting >= b->limit) {
        d->refused++;
        return WR_E_NOPORTS;
    }
    d->open++;
    return 0;
}

void wr_port_budget_give(struct wr_port_budget *b, const struct wr_addr *dest, bool time_wait,
                         uint64_t now_ms)
{
    struct dest *d = find(b, dest, now_ms);
    if (!d || d->open == 0) /* taken while untracked */
        return;
    d->open--;
    if (time_wait && b->time_wait_s) {
        d->ring[(d->second + b->time_wait_s + 1) % RING]++;
        d->waiting++;
    }
}

void wr_port_budget_use(struct wr_port_budget *b, const struct wr_addr *dest, uint64_t now_ms,
                        struct wr_port_use *out)
{
    const struct dest *d = find(b, dest, now_ms);
    *out = (struct wr_port_use){.limit = b->limit};
    if (d) {
        out->open = d->open;
        out->waiting = d->waiting;
        out->refused = d->refused;
    }
}

unsigned wr_port_budget_limit(const struct wr_port_budget *b)
{
    return b->limit;
}

void wr_port_budget_validate(const struct wr_port_budget *b)
{
    size_t n = 0;
    WR_LIST_EACH(l, &b->used)
    {
        const struct dest *d = wr_container_of(l, struct dest, link);
        unsigned waiting = 0;
        for (int i = 0; i < RING; i++)
            waiting += d->ring[i];
        WR_ASSERT(waiting == d->waiting);
        WR_ASSERT(d->open + d->waiting <= b->limit);
        WR_ASSERT(wr_table_get(&b->table, wr_span(d->key, KEY_BYTES)) == d);
        n++;
    }
    WR_ASSERT(n == wr_table_count(&b->table) && n <= b->max_dests);
}
