/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/resolve.h"

#include "libweir/base/assert.h"
#include "libweir/base/err.h"
#include "libweir/base/heap.h"
#include "libweir/io/resolve_impl.h"
#include "libweir/io/scope.h"
#include "libweir/os/os.h"

#include <errno.h>
#include <fcntl.h>

#define FILE_MAX  (8u << 20)
#define LOOK_MS   1000
#define HOSTS_MAX 16
#define ADDRS_MAX (2 * WR_DNS_RECORDS_MAX)
#define WAITS     2

/* So long the addresses of one family wait for the other's answer (RFC 8305, section 3): a datagram that is
 * lost must not use up the time of a connect. */
#define GRACE_MS 500

struct lookup {
    struct wr_resolver *resolver;
    const struct wr_heap *heap;
    struct wr_list link; /* in resolver->lookups */
    struct wr_op op;
    struct wr_task task;
    struct wr_timer grace; /* runs while one family has answered */
    struct wr_free_later later;
    wr_resolve_fn *fn;
    void *arg;
    enum wr_resolve_want want;
    uint16_t port;
    unsigned candidate, candidates; /* the next one, how many there are */
    bool as_is_first, asked, late;  /* late: the grace is over */
    int failed;                     /* an error, in case no candidate gives an answer */
    struct wr_question_wait waits[WAITS];
    uint8_t name_n;
    char name[WR_DNS_NAME_MAX + 1];
};

/* ---- files ---------------------------------------------------------------------------------------------- */

static struct wr_file_stamp look_at(const char *path)
{
    struct stat st;
    struct wr_file_stamp s = {0};
    if (*path && wr_os_stat(path, &st) == 0)
        s = (struct wr_file_stamp){st.st_mtim, st.st_size, st.st_ino, true};
    return s;
}

static bool same_stamp(const struct wr_file_stamp *a, const struct wr_file_stamp *b)
{
    return a->there == b->there && a->size == b->size && a->inode == b->inode &&
           a->mtime.tv_sec == b->mtime.tv_sec && a->mtime.tv_nsec == b->mtime.tv_nsec;
}

struct text {
    char *p;
    size_t n, size;
};

/* The whole file; no file is an empty one. Not so a file that cannot be read now. */
static int read_file(struct wr_resolver *r, const char *path, const struct wr_file_stamp *stamp,
                     struct text *out)
{
    struct text t = {.size = (size_t)stamp->size + 1};
    *out = (struct text){0};
    if (!stamp->there || stamp->size <= 0)
        return 0;
    if (stamp->size > FILE_MAX)
        return -EFBIG;
    int fd = wr_os_open(path, O_RDONLY, 0);
    if (fd < 0)
        return fd;
    t.p = wr_heap_alloc(r->heap, t.size);
    ssize_t got = t.p ? 1 : -ENOMEM;
    while (got > 0 && t.n < t.size) {
        got = wr_os_read(fd, t.p + t.n, t.size - t.n);
        t.n += got > 0 ? (size_t)got : 0;
    }
    (void)wr_os_close(fd);
    if (got < 0) {
        wr_heap_free(r->heap, t.p, t.size);
        return (int)got;
    }
    *out = t;
    return 0;
}

/* Those that were given with the options lie in r->servers from the start. */
static void set_servers(struct wr_resolver *r)
{
    if (r->options.server_count)
        return;
    r->server_count = r->conf.server_count;
    for (unsigned i = 0; i < r->server_count; i++) {
        const struct wr_addr *a = &r->conf.servers[i];
        struct wr_resolver_server *s = &r->servers[i];
        if (!wr_addr_eq(&s->stats.addr, a))
            *s = (struct wr_resolver_server){.stats = {.addr = *a}};
    }
}

static int load_conf(struct wr_resolver *r, const char *path, const struct wr_file_stamp *stamp)
{
    struct text t;
    int err = read_file(r, path, stamp, &t);
    if (err && r->conf.server_count)
        return err; /* keep what we have */
    wr_resolvconf_parse(wr_span(t.p, t.n), &r->conf);
    wr_heap_free(r->heap, t.p, t.size);
    set_servers(r);
    return err;
}

static int load_hosts(struct wr_resolver *r, const char *path,
                      const struct wr_file_stamp *stamp)
{
    struct text t;
    struct wr_hosts *h = NULL;
    int err = read_file(r, path, stamp, &t);
    if (!err && t.p)
        err = wr_hosts_new(r->heap, wr_span(t.p, t.n), &h);
    wr_heap_free(r->heap, t.p, t.size);
    if (err)
        return err;
    wr_hosts_free(&r->hosts);
    r->hosts = h;
    return 0;
}

static void look_at_files(struct wr_resolver *r)
{
    uint64_t now = wr_loop_now_ms(r->loop);
    const char *conf = r->options.resolv_conf ? r->options.resolv_conf : "/etc/resolv.conf";
    const char *hosts = r->options.hosts ? r->options.hosts : "/etc/hosts";
    bool first = !r->looked;
    if (!first && now - r->looked_ms < LOOK_MS)
        return;
    r->looked = true;
    r->looked_ms = now;
    struct wr_file_stamp conf_now = look_at(conf), hosts_now = look_at(hosts);
    /* a stamp is taken over only when its file was read: what failed is tried again */
    if ((first || !same_stamp(&conf_now, &r->conf_stamp)) && !load_conf(r, conf, &conf_now)) {
        r->conf_stamp = conf_now;
        r->stats.reloads++;
    }
    if ((first || !same_stamp(&hosts_now, &r->hosts_stamp)) &&
        !load_hosts(r, hosts, &hosts_now)) {
        r->hosts_stamp = hosts_now;
        r->stats.reloads++;
    }
}

/* ---- ending a lookup --------------------------------------------------------------------------------------- */

static void free_lookup(struct wr_free_later *f)
{
    struct lookup *k = wr_container_of(f, struct lookup, later);
    wr_heap_free(k->heap, k, sizeof *k);
}

static void finish(struct lookup *k, int err, const struct wr_resolved *answer)
{
    static const struct wr_resolved nothing;
    struct wr_resolver *r = k->resolver;
    for (int i = 0; i < WAITS; i++)
        wr_question_leave(&k->waits[i]);
    wr_task_cancel(&k->task);
    wr_loop_timer_cancel(&k->grace);
    wr_list_remove(&k->link);
    (void)wr_op_end(&k->op);
    wr_loop_free_later(r->loop, &k->later, free_lookup);
    k->fn(k->arg, err, answer ? answer : &nothing);
}

static void on_cancel(struct wr_op *op, int why)
{
    finish(wr_container_of(op, struct lookup, op), why, NULL);
}

/* ---- answers ------------------------------------------------------------------------------------------------ */

static struct wr_span lookup_name(const struct lookup *k)
{
    return wr_span(k->name, k->name_n);
}

static bool wanted(const struct lookup *k, const struct wr_addr *a)
{
    return k->want & (a->kind == WR_ADDR_V4 ? WR_RESOLVE_V4 : WR_RESOLVE_V6);
}

/* The wanted ones of addrs, v6 first. */
static void finish_addrs(struct lookup *k, const struct wr_addr *addrs, unsigned n,
                         struct wr_resolved *answer)
{
    struct wr_addr sorted[ADDRS_MAX];
    for (int kind = WR_ADDR_V6; kind >= WR_ADDR_V4; kind--) {
        for (unsigned i = 0; i < n && answer->addr_count < ADDRS_MAX; i++) {
            if (addrs[i].kind != kind || !wanted(k, &addrs[i]))
                continue;
            sorted[answer->addr_count] = addrs[i];
            sorted[answer->addr_count++].port = k->port;
        }
    }
    answer->addrs = sorted;
    finish(k, answer->addr_count ? 0 : (int)WR_E_DNS_NONAME, answer);
}

/* Literals, the hosts file, localhost: what needs no server. */
static bool finish_locally(struct lookup *k)
{
    static const uint8_t v4[4] = {127, 0, 0, 1}, v6[16] = {[15] = 1};
    struct wr_resolver *r = k->resolver;
    struct wr_resolved answer = {0};
    struct wr_addr addrs[HOSTS_MAX];
    struct wr_span name = lookup_name(k);
    if (k->want == WR_RESOLVE_SRV)
        return false;
    if (wr_addr_parse_ip(name, &addrs[0]) == 0) {
        finish_addrs(k, addrs, 1, &answer);
        return true;
    }
    unsigned n = r->hosts ? wr_hosts_find(r->hosts, name, addrs, HOSTS_MAX) : 0;
    if (n) {
        r->stats.hosts_hits++;
        answer.from_hosts = true;
        finish_addrs(k, addrs, n, &answer);
        return true;
    }
    if (name.n && name.p[name.n - 1] == '.')
        name.n--;
    if (!wr_span_ieq(name, WR_LIT("localhost")) &&
        !wr_span_ieq(wr_span_sub(name, name.n > 10 ? name.n - 10 : 0, 10),
                     WR_LIT(".localhost")))
        return false;
    addrs[0] = wr_addr_v6(v6, 0, 0); /* RFC 6761: never asked */
    addrs[1] = wr_addr_v4(v4, 0);
    finish_addrs(k, addrs, 2, &answer);
    return true;
}

static void note_wait(const struct lookup *k, const struct wr_question_wait *w,
                      struct wr_resolved *answer)
{
    uint64_t now = wr_loop_now_ms(k->resolver->loop);
    const struct wr_question *q = w->question;
    uint32_t left = q->expires_ms > now ? (uint32_t)((q->expires_ms - now + 999) / 1000) : 0;
    if (left < answer->ttl_s)
        answer->ttl_s = left;
    answer->stale |= w->stale;
    answer->from_cache &= w->fresh;
}

static void finish_asked(struct lookup *k)
{
    struct wr_addr addrs[ADDRS_MAX];
    struct wr_resolved answer = {.ttl_s = UINT32_MAX, .from_cache = true};
    unsigned n = 0;
    for (int i = 0; i < WAITS; i++) {
        const struct wr_question_wait *w = &k->waits[i];
        const struct wr_question *q = w->question;
        if (!q || !w->ready || w->err || q->verdict != WR_DNS_OK)
            continue;
        note_wait(k, w, &answer);
        if (q->type == WR_DNS_SRV) {
            answer.srv = q->data;
            answer.srv_count = q->count;
            continue;
        }
        for (unsigned j = 0; j < q->count; j++) {
            const uint8_t *ip = (const uint8_t *)q->data + (size_t)j * 16;
            addrs[n++] = q->type == WR_DNS_A ? wr_addr_v4(ip, 0) : wr_addr_v6(ip, 0, 0);
        }
    }
    if (k->want != WR_RESOLVE_SRV) {
        finish_addrs(k, addrs, n, &answer);
        return;
    }
    /* the records lie in the question, and finish lets go of it before it calls */
    struct wr_resolved_srv copy[WR_DNS_RECORDS_MAX];
    WR_ASSERT(answer.srv && answer.srv_count <= WR_DNS_RECORDS_MAX);
    memcpy(copy, answer.srv, answer.srv_count * sizeof copy[0]);
    answer.srv = copy;
    finish(k, 0, &answer);
}

/* ---- candidates --------------------------------------------------------------------------------------------- */

static void choose_candidates(struct lookup *k)
{
    const struct wr_resolvconf *conf = &k->resolver->conf;
    unsigned dots = 0;
    for (unsigned i = 0; i < k->name_n; i++)
        dots += k->name[i] == '.';
    bool absolute = k->name[k->name_n - 1] == '.';
    k->as_is_first = absolute || dots >= conf->ndots;
    k->candidates = absolute ? 1 : 1 + conf->search_count;
}

/* The n-th name to ask for, in buf; empty when it would be too long. */
static struct wr_span candidate(const struct lookup *k, unsigned n,
                                char buf[2 * WR_DNS_NAME_MAX + 2])
{
    const struct wr_resolvconf *conf = &k->resolver->conf;
    unsigned as_is = k->as_is_first ? 0 : k->candidates - 1;
    if (n == as_is)
        return lookup_name(k);
    unsigned at = k->as_is_first ? n - 1 : n;
    if (at >= conf->search_count) /* the file became shorter meanwhile */
        return (struct wr_span){0};
    size_t len = strlen(conf->search[at]);
    memcpy(buf, k->name, k->name_n);
    buf[k->name_n] = '.';
    memcpy(buf + k->name_n + 1, conf->search[at], len);
    struct wr_span name = wr_span(buf, k->name_n + 1u + len);
    return wr_dns_name_ok(name) ? name : (struct wr_span){0};
}

static void ask(struct lookup *k, struct wr_span name)
{
    struct wr_resolver *r = k->resolver;
    if (k->want == WR_RESOLVE_SRV)
        wr_question_ask(r, name, WR_DNS_SRV, &k->waits[0]);
    if (k->want & WR_RESOLVE_V6)
        wr_question_ask(r, name, WR_DNS_AAAA, &k->waits[0]);
    if (k->want & WR_RESOLVE_V4)
        wr_question_ask(r, name, WR_DNS_A, &k->waits[1]);
}

/* DONE: records; BAD: none from this candidate; MORE: still waiting. */
enum progress {
    MORE,
    DONE,
    BAD
};

static enum progress look_at_waits(struct lookup *k)
{
    enum progress p = BAD;
    bool more = false;
    for (int i = 0; i < WAITS; i++) {
        struct wr_question_wait *w = &k->waits[i];
        if (w->question && !w->ready)
            more = true;
        else if (w->err)
            k->failed = w->err;
        else if (w->question && w->question->verdict == WR_DNS_OK)
            p = DONE;
    }
    if (!more || (p == DONE && k->late))
        return p;
    if (p == DONE && !wr_timer_armed(&k->grace))
        wr_loop_timer_arm(k->resolver->loop, &k->grace, GRACE_MS);
    return MORE;
}

static void on_grace(struct wr_timer *t)
{
    struct lookup *k = wr_container_of(t, struct lookup, grace);
    k->late = true;
    wr_loop_at_turn_end(k->resolver->loop, &k->task);
}

static void next_candidate(struct lookup *k)
{
    char buf[2 * WR_DNS_NAME_MAX + 2];
    wr_loop_timer_cancel(&k->grace);
    k->late = false;
    for (int i = 0; i < WAITS; i++) {
        wr_question_leave(&k->waits[i]);
        k->waits[i].err = 0;
    }
    struct wr_span name = candidate(k, k->candidate++, buf);
    if (name.n)
        ask(k, name);
}

/* Runs at the end of a turn: after the call, and whenever a question it waits on has news. */
static void step(struct wr_task *t)
{
    struct lookup *k = wr_container_of(t, struct lookup, task);
    if (!k->asked) {
        k->asked = true;
        look_at_files(k->resolver);
        if (finish_locally(k))
            return;
        if (!wr_dns_name_ok(lookup_name(k))) {
            finish(k, WR_E_DNS_NONAME, NULL);
            return;
        }
        choose_candidates(k);
        next_candidate(k);
    }
    for (;;) {
        enum progress p = look_at_waits(k);
        if (p == MORE)
            return;
        if (p == DONE) {
            finish_asked(k);
            return;
        }
        if (k->candidate == k->candidates)
            break;
        next_candidate(k);
    }
    finish(k, k->failed ? k->failed : (int)WR_E_DNS_NONAME, NULL);
}

int wr_resolve(struct wr_resolver *r, struct wr_scope *scope, struct wr_span name,
               uint16_t port, enum wr_resolve_want want, wr_resolve_fn *fn, void *arg)
{
    if (name.n == 0 || name.n > WR_DNS_NAME_MAX)
        return WR_E_DNS_NONAME;
    if (r->closing)
        return WR_E_CLOSED;
    struct lookup *k = wr_heap_zalloc(r->heap, sizeof *k);
    if (!k)
        return -ENOMEM;
    int err = wr_op_begin(scope, &k->op, on_cancel);
    if (err) {
        wr_heap_free(r->heap, k, sizeof *k);
        return err;
    }
    k->resolver = r;
    k->heap = r->heap;
    k->fn = fn;
    k->arg = arg;
    k->want = want;
    k->port = port;
    k->name_n = (uint8_t)name.n;
    memcpy(k->name, name.p, name.n);
    for (int i = 0; i < WAITS; i++)
        k->waits[i].task = &k->task;
    wr_list_init(&k->link);
    wr_list_add_tail(&r->lookups, &k->link);
    wr_task_init(&k->task, step);
    k->grace.fn = on_grace;
    wr_loop_at_turn_end(r->loop, &k->task);
    r->stats.asked++;
    return 0;
}

/* ---- the resolver -------------------------------------------------------------------------------------------- */

static void set_defaults(struct wr_resolver_options *o)
{
    if (!o->max_entries)
        o->max_entries = 1024;
    if (!o->max_flights)
        o->max_flights = 256;
    if (!o->ttl_min_s)
        o->ttl_min_s = 1;
    if (!o->ttl_max_s)
        o->ttl_max_s = 86400;
    if (!o->negative_max_s)
        o->negative_max_s = 60;
    if (!o->stale_max_s)
        o->stale_max_s = 86400;
    if (o->server_count > WR_RESOLVCONF_SERVERS)
        o->server_count = WR_RESOLVCONF_SERVERS;
}

int wr_resolver_new(struct wr_loop *loop, const struct wr_resolver_options *options,
                    struct wr_resolver **out)
{
    const struct wr_heap *heap = wr_loop_heap(loop);
    struct wr_resolver *r = wr_heap_zalloc(heap, sizeof *r);
    struct wr_hash_key key;
    uint64_t seed = options ? options->seed : 0;
    if (!r)
        return -ENOMEM;
    int err = wr_os_random(&key, sizeof key);
    if (!err && !seed)
        err = wr_os_random(&seed, sizeof seed);
    if (err < 0) {
        wr_heap_free(heap, r, sizeof *r);
        return err;
    }
    r->loop = loop;
    r->heap = heap;
    if (options)
        r->options = *options;
    set_defaults(&r->options);
    r->server_count = r->options.server_count;
    for (unsigned i = 0; i < r->server_count; i++)
        r->servers[i].stats.addr = options->servers[i];
    r->options.servers = NULL; /* the caller's */
    wr_rand_init(&r->rand, seed);
    wr_table_init(&r->table, heap, key);
    wr_list_init(&r->lru);
    wr_list_init(&r->lookups);
    *out = r;
    return 0;
}

static void free_resolver(struct wr_free_later *f)
{
    struct wr_resolver *r = wr_container_of(f, struct wr_resolver, later);
    wr_heap_free(r->heap, r, sizeof *r);
}

void wr_resolver_free(struct wr_resolver **rp)
{
    struct wr_resolver *r = *rp;
    *rp = NULL;
    if (!r)
        return;
    r->closing = true;
    for (struct wr_list *l; (l = wr_list_first(&r->lookups));)
        finish(wr_container_of(l, struct lookup, link), WR_E_CANCELED, NULL);
    for (struct wr_list *l; (l = wr_list_first(&r->lru));)
        wr_question_free(wr_container_of(l, struct wr_question, lru));
    wr_table_deinit(&r->table);
    wr_hosts_free(&r->hosts);
    wr_loop_free_later(r->loop, &r->later, free_resolver);
}

const struct wr_resolver_stats *wr_resolver_stats(const struct wr_resolver *r)
{
    return &r->stats;
}

bool wr_resolver_server(const struct wr_resolver *r, unsigned n,
                        struct wr_resolver_server_stats *out)
{
    if (n >= r->server_count)
        return false;
    *out = r->servers[n].stats;
    return true;
}

void wr_resolver_flush(struct wr_resolver *r)
{
    WR_LIST_EACH(l, &r->lru)
    {
        struct wr_question *q = wr_container_of(l, struct wr_question, lru);
        if (!q->flight && wr_list_empty(&q->waits))
            wr_question_free(q);
        else
            q->expires_ms = q->stale_until_ms = 0;
    }
}

void wr_resolver_validate(const struct wr_resolver *r)
{
    unsigned entries = 0, flights = 0;
    WR_LIST_EACH(l, &r->lru)
    {
        const struct wr_question *q = wr_container_of(l, struct wr_question, lru);
        WR_ASSERT(wr_table_get(&r->table, wr_span(q->key, q->key_n)) == q);
        WR_ASSERT((q->verdict == WR_DNS_OK) == (q->count > 0));
        WR_ASSERT(wr_list_validate(&q->waits));
        WR_ASSERT(!q->flight || q->flight->question == q);
        flights += q->flight != NULL;
        entries++;
    }
    WR_ASSERT(entries == r->stats.entries && entries == wr_table_count(&r->table));
    WR_ASSERT(entries <= r->options.max_entries);
    WR_ASSERT(flights == r->stats.in_flight && flights <= r->options.max_flights);
}
