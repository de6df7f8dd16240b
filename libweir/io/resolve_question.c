/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/assert.h"
#include "libweir/base/err.h"
#include "libweir/base/heap.h"
#include "libweir/io/resolve_impl.h"

#include <errno.h>

#define PATIENCE_MS 1800 /* RFC 8767, section 5: the client response timer */

struct wr_span wr_question_name(const struct wr_question *q)
{
    return wr_span(q->key + 2, q->key_n - 2u);
}

/* ---- the table ------------------------------------------------------------------------------------------- */

static void drop_data(struct wr_question *q)
{
    wr_heap_free(q->resolver->heap, q->data, q->data_n);
    q->data = NULL;
    q->data_n = 0;
    q->count = 0;
    q->verdict = WR_DNS_SERVFAIL;
}

void wr_question_free(struct wr_question *q)
{
    struct wr_resolver *r = q->resolver;
    WR_ASSERT(wr_list_empty(&q->waits));
    wr_flight_stop(q);
    wr_loop_timer_cancel(&q->patience);
    (void)wr_table_remove(&r->table, wr_span(q->key, q->key_n));
    wr_list_remove(&q->lru);
    drop_data(q);
    r->stats.entries--;
    wr_heap_free(r->heap, q, sizeof *q);
}

static bool evict_one(struct wr_resolver *r)
{
    WR_LIST_EACH(l, &r->lru)
    {
        struct wr_question *q = wr_container_of(l, struct wr_question, lru);
        if (q->flight || !wr_list_empty(&q->waits))
            continue;
        wr_question_free(q);
        return true;
    }
    return false;
}

static size_t make_key(struct wr_span name, uint16_t type, char key[2 + WR_DNS_NAME_MAX])
{
    if (name.n && name.p[name.n - 1] == '.')
        name.n--;
    key[0] = (char)(type >> 8);
    key[1] = (char)type;
    for (size_t i = 0; i < name.n; i++)
        key[2 + i] = wr_ascii_lower(name.p[i]);
    return name.n + 2;
}

static void on_patience(struct wr_timer *t);

static struct wr_question *find_or_add(struct wr_resolver *r, struct wr_span name,
                                       uint16_t type)
{
    char key[2 + WR_DNS_NAME_MAX];
    size_t n = make_key(name, type, key);
    struct wr_question *q = wr_table_get(&r->table, wr_span(key, n));
    if (q) {
        wr_list_remove(&q->lru);
        wr_list_add_tail(&r->lru, &q->lru);
        return q;
    }
    if (r->stats.entries >= r->options.max_entries && !evict_one(r))
        return NULL;
    q = wr_heap_zalloc(r->heap, sizeof *q);
    if (!q)
        return NULL;
    q->resolver = r;
    q->type = type;
    q->verdict = WR_DNS_SERVFAIL;
    q->patience.fn = on_patience;
    q->key_n = (uint8_t)n;
    memcpy(q->key, key, n);
    wr_list_init(&q->waits);
    wr_list_init(&q->lru);
    if (wr_table_put(&r->table, wr_span(q->key, n), q)) {
        wr_heap_free(r->heap, q, sizeof *q);
        return NULL;
    }
    wr_list_add_tail(&r->lru, &q->lru);
    r->stats.entries++;
    return q;
}

/* ---- who waits --------------------------------------------------------------------------------------------- */

static void make_ready(struct wr_question_wait *w, int err, bool stale)
{
    if (w->ready)
        return;
    w->ready = true;
    w->err = err;
    w->stale = stale;
    wr_loop_at_turn_end(w->question->resolver->loop, w->task);
}

static void all_ready(struct wr_question *q, int err, bool stale)
{
    wr_loop_timer_cancel(&q->patience);
    WR_LIST_EACH(l, &q->waits)
    {
        make_ready(wr_container_of(l, struct wr_question_wait, link), err, stale);
    }
}

static bool stale_allowed(const struct wr_question *q)
{
    return q->verdict == WR_DNS_OK && !q->resolver->options.no_stale &&
           wr_loop_now_ms(q->resolver->loop) < q->stale_until_ms;
}

static void on_patience(struct wr_timer *t)
{
    struct wr_question *q = wr_container_of(t, struct wr_question, patience);
    if (stale_allowed(q)) {
        q->resolver->stats.stale_hits++;
        all_ready(q, 0, true);
    }
}

void wr_question_ask(struct wr_resolver *r, struct wr_span name, uint16_t type,
                     struct wr_question_wait *w)
{
    struct wr_question *q = find_or_add(r, name, type);
    w->question = q;
    w->stale = w->fresh = false;
    w->ready = !q;
    w->err = 0;
    if (!q) { /* every entry is being asked for, or memory is short */
        bool full = r->stats.entries >= r->options.max_entries;
        w->err = full ? (int)WR_E_QUEUE_FULL : -ENOMEM;
        return;
    }
    wr_list_add_tail(&q->waits, &w->link);
    if (q->verdict != WR_DNS_SERVFAIL && wr_loop_now_ms(r->loop) < q->expires_ms) {
        if (q->verdict == WR_DNS_OK)
            r->stats.cache_hits++;
        else
            r->stats.negative_hits++;
        w->ready = w->fresh = true;
        return;
    }
    if (q->flight) {
        r->stats.joined++;
        if (stale_allowed(q) && !wr_timer_armed(&q->patience)) {
            r->stats.stale_hits++; /* this flight had its time */
            w->ready = w->stale = true;
        }
        return;
    }
    int err = wr_flight_start(q);
    if (err) {
        w->ready = true;
        w->stale = stale_allowed(q);
        w->err = w->stale ? 0 : err;
    } else if (stale_allowed(q)) {
        wr_loop_timer_arm(r->loop, &q->patience, PATIENCE_MS);
    }
}

void wr_question_leave(struct wr_question_wait *w)
{
    if (!w->question)
        return;
    wr_list_remove(&w->link);
    w->question = NULL;
    w->ready = false;
}

/* ---- what became of a flight ----------------------------------------------------------------------------- */

/* By priority, then the heavier one first. */
static bool goes_before(const struct wr_dns_record *a, const struct wr_resolved_srv *b)
{
    return a->priority < b->priority || (a->priority == b->priority && a->weight > b->weight);
}

static void insert_srv(struct wr_resolved_srv *to, unsigned n, const struct wr_dns_record *rec)
{
    unsigned at = n;
    while (at > 0 && goes_before(rec, &to[at - 1])) {
        to[at] = to[at - 1];
        at--;
    }
    to[at] = (struct wr_resolved_srv){
        .port = rec->port, .priority = rec->priority, .weight = rec->weight};
    memcpy(to[at].target, rec->target, sizeof to[at].target);
}

static int store_data(struct wr_question *q, const struct wr_dns_answer *a)
{
    size_t each = q->type == WR_DNS_SRV ? sizeof(struct wr_resolved_srv) : 16;
    void *data = NULL;
    if (a->count) {
        data = wr_heap_array(q->resolver->heap, a->count, each);
        if (!data)
            return -ENOMEM;
    }
    drop_data(q);
    q->data = data;
    q->data_n = a->count * each;
    for (unsigned i = 0; i < a->count; i++) {
        if (q->type == WR_DNS_SRV)
            insert_srv(data, i, &a->records[i]);
        else
            memcpy((char *)data + i * each, a->records[i].ip, each);
    }
    q->count = a->count;
    q->verdict = a->verdict;
    return 0;
}

void wr_question_answered(struct wr_question *q, const struct wr_dns_answer *a)
{
    const struct wr_resolver_options *o = &q->resolver->options;
    uint64_t now = wr_loop_now_ms(q->resolver->loop), ttl_s = a->ttl_s;
    int err = store_data(q, a);
    if (err) {
        wr_question_failed(q, err);
        return;
    }
    if (a->verdict != WR_DNS_OK && ttl_s > o->negative_max_s)
        ttl_s = o->negative_max_s;
    if (a->verdict == WR_DNS_OK && ttl_s < o->ttl_min_s)
        ttl_s = o->ttl_min_s;
    if (ttl_s > o->ttl_max_s)
        ttl_s = o->ttl_max_s;
    q->expires_ms = now + ttl_s * 1000;
    q->stale_until_ms = q->expires_ms + o->stale_max_s * UINT64_C(1000);
    all_ready(q, 0, false);
}

void wr_question_failed(struct wr_question *q, int err)
{
    bool stale = stale_allowed(q);
    q->resolver->stats.failures++;
    if (stale && !wr_list_empty(&q->waits))
        q->resolver->stats.stale_hits++;
    all_ready(q, stale ? 0 : err, stale);
}
