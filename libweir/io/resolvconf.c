/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/resolvconf.h"

#include "libweir/base/heap.h"
#include "libweir/io/dns.h"

#include <errno.h>

#define DNS_PORT        53
#define NDOTS_MAX       15
#define ATTEMPTS_MAX    5
#define TIMEOUT_MAX_S   30
#define HOSTS_PAIRS_MAX (1u << 20)

/* The next word of a line, or empty. */
static struct wr_span next_word(struct wr_span *line)
{
    size_t from = 0, to;
    while (from < line->n && strchr(" \t\r\f\v", line->p[from]))
        from++;
    for (to = from; to < line->n && !strchr(" \t\r\f\v", line->p[to]);)
        to++;
    struct wr_span word = wr_span_sub(*line, from, to - from);
    *line = wr_span_sub(*line, to, line->n);
    return word;
}

/* The next line without its comment. */
static bool next_line(struct wr_span *text, const char *comment, struct wr_span *out)
{
    if (!wr_span_split(text, '\n', out))
        return false;
    for (size_t i = 0; i < out->n; i++) {
        if (out->p[i] && strchr(comment, out->p[i])) {
            out->n = i;
            break;
        }
    }
    return true;
}

/* ---- resolv.conf ----------------------------------------------------------------------------------- */

static void add_server(struct wr_resolvconf *c, struct wr_span word)
{
    struct wr_addr a;
    if (c->server_count == WR_RESOLVCONF_SERVERS || wr_addr_parse_ip(word, &a))
        return;
    a.port = DNS_PORT;
    c->servers[c->server_count++] = a;
}

static void set_search(struct wr_resolvconf *c, struct wr_span line)
{
    c->search_count = 0;
    for (struct wr_span word; (word = next_word(&line)).n;) {
        if (word.p[word.n - 1] == '.')
            word.n--;
        if (c->search_count == WR_RESOLVCONF_SEARCH || !wr_dns_name_ok(word))
            continue;
        memcpy(c->search[c->search_count], word.p, word.n);
        c->search[c->search_count++][word.n] = 0;
    }
}

/* "name:value" with value at most max: true and *out set. */
static bool option_value(struct wr_span word, struct wr_span name, unsigned max, unsigned *out)
{
    unsigned v = 0;
    if (!wr_span_has_prefix(word, name) || word.n == name.n)
        return false;
    for (size_t i = name.n; i < word.n; i++) {
        if (word.p[i] < '0' || word.p[i] > '9')
            return false;
        v = v * 10 + (unsigned)(word.p[i] - '0');
        if (v > max)
            v = max;
    }
    *out = v;
    return true;
}

static void set_options(struct wr_resolvconf *c, struct wr_span line)
{
    for (struct wr_span word; (word = next_word(&line)).n;) {
        unsigned v;
        if (option_value(word, WR_LIT("ndots:"), NDOTS_MAX, &v))
            c->ndots = v;
        else if (option_value(word, WR_LIT("timeout:"), TIMEOUT_MAX_S, &v))
            c->timeout_ms = (v ? v : 1) * 1000;
        else if (option_value(word, WR_LIT("attempts:"), ATTEMPTS_MAX, &v))
            c->attempts = v ? v : 1;
        else if (wr_span_eq(word, WR_LIT("rotate")))
            c->rotate = true;
        else if (wr_span_eq(word, WR_LIT("use-vc")))
            c->use_tcp = true;
    }
}

void wr_resolvconf_parse(struct wr_span text, struct wr_resolvconf *out)
{
    struct wr_span line;
    *out = (struct wr_resolvconf){.ndots = 1, .timeout_ms = 5000, .attempts = 2};
    while (next_line(&text, "#;", &line)) {
        struct wr_span key = next_word(&line);
        if (wr_span_eq(key, WR_LIT("nameserver")))
            add_server(out, next_word(&line));
        else if (wr_span_eq(key, WR_LIT("search")) || wr_span_eq(key, WR_LIT("domain")))
            set_search(out, line);
        else if (wr_span_eq(key, WR_LIT("options")))
            set_options(out, line);
    }
    if (out->server_count == 0)
        add_server(out, WR_LIT("127.0.0.1"));
}

/* ---- hosts -------------------------------------------------------------------------------------------- */

struct pair {
    uint32_t name, name_n; /* where in the text */
    uint32_t next; /* in its bucket, in the order of the file; 0: last. Pairs count from 1 */
    uint8_t ip_n;  /* 4 or 16 */
    uint8_t ip[16];
};

struct wr_hosts {
    const struct wr_heap *heap;
    char *text;
    size_t text_n;
    struct pair *pairs; /* [0] is unused */
    uint32_t *buckets, *tails;
    uint32_t count, cap, mask;
};

static uint32_t name_hash(struct wr_span name)
{
    uint32_t h = 2166136261u; /* FNV-1a: the file is the administrator's, not an attacker's */
    for (size_t i = 0; i < name.n; i++)
        h = (h ^ (uint8_t)wr_ascii_lower(name.p[i])) * 16777619u;
    return h;
}

/* Calls add, if there is one, for every pair; returns how many there are. */
static uint32_t each_pair(struct wr_span text, struct wr_hosts *h,
                          void (*add)(struct wr_hosts *h, const struct wr_addr *a,
                                      struct wr_span name))
{
    struct wr_span line;
    uint32_t n = 0;
    while (next_line(&text, "#", &line)) {
        struct wr_addr a;
        if (wr_addr_parse_ip(next_word(&line), &a))
            continue;
        for (struct wr_span name; (name = next_word(&line)).n;) {
            if (!wr_dns_name_ok(name) || n == HOSTS_PAIRS_MAX)
                continue;
            if (add)
                add(h, &a, name);
            n++;
        }
    }
    return n;
}

static void add_pair(struct wr_hosts *h, const struct wr_addr *a, struct wr_span name)
{
    if (name.p[name.n - 1] == '.')
        name.n--;
    uint32_t i = ++h->count, b = name_hash(name) & h->mask;
    struct pair *p = &h->pairs[i];
    p->name = (uint32_t)(name.p - h->text);
    p->name_n = (uint32_t)name.n;
    p->ip_n = a->kind == WR_ADDR_V4 ? 4 : 16;
    memcpy(p->ip, p->ip_n == 4 ? a->v4 : a->v6, p->ip_n);
    if (h->tails[b])
        h->pairs[h->tails[b]].next = i;
    else
        h->buckets[b] = i;
    h->tails[b] = i;
}

int wr_hosts_new(const struct wr_heap *heap, struct wr_span text, struct wr_hosts **out)
{
    if (text.n > UINT32_MAX / 2)
        return -EFBIG;
    struct wr_hosts *h = wr_heap_zalloc(heap, sizeof *h);
    if (!h)
        return -ENOMEM;
    h->heap = heap;
    h->cap = each_pair(text, NULL, NULL) + 1;
    h->mask = 15;
    while (h->mask < h->cap)
        h->mask = h->mask << 1 | 1;
    h->text_n = text.n;
    h->text = wr_heap_strndup(heap, text.n ? text.p : "", text.n);
    h->pairs = wr_heap_array(heap, h->cap, sizeof *h->pairs);
    h->buckets = wr_heap_array(heap, (size_t)h->mask + 1, sizeof *h->buckets);
    h->tails = wr_heap_array(heap, (size_t)h->mask + 1, sizeof *h->tails);
    if (!h->text || !h->pairs || !h->buckets || !h->tails) {
        wr_hosts_free(&h);
        return -ENOMEM;
    }
    (void)each_pair(wr_span(h->text, text.n), h, add_pair);
    *out = h;
    return 0;
}

void wr_hosts_free(struct wr_hosts **hp)
{
    struct wr_hosts *h = *hp;
    *hp = NULL;
    if (!h)
        return;
    size_t buckets = ((size_t)h->mask + 1) * sizeof(uint32_t);
    wr_heap_free(h->heap, h->text, h->text_n + 1);
    wr_heap_free(h->heap, h->pairs, h->cap * sizeof *h->pairs);
    wr_heap_free(h->heap, h->buckets, buckets);
    wr_heap_free(h->heap, h->tails, buckets);
    wr_heap_free(h->heap, h, sizeof *h);
}

unsigned wr_hosts_find(const struct wr_hosts *h, struct wr_span name, struct wr_addr *out,
                       unsigned max)
{
    unsigned n = 0;
    if (name.n && name.p[name.n - 1] == '.')
        name.n--;
    uint32_t i = h->buckets[name_hash(name) & h->mask];
    for (; i && n < max; i = h->pairs[i].next) {
        const struct pair *p = &h->pairs[i];
        if (!wr_span_ieq(name, wr_span(h->text + p->name, p->name_n)))
            continue;
        out[n++] = p->ip_n == 4 ? wr_addr_v4(p->ip, 0) : wr_addr_v6(p->ip, 0, 0);
    }
    return n;
}

unsigned wr_hosts_count(const struct wr_hosts *h)
{
    return h->count;
}
