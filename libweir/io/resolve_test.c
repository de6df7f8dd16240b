/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/resolve.h"

#include "libweir/io/scope.h"
#include "tests/dns_server.h"
#include "tests/nth.h"
#include "tests/tap.h"

#include <fcntl.h>

struct result {
    unsigned calls, addrs, srv;
    int err;
    struct wr_addr first, last;
    struct wr_resolved answer;
    struct wr_resolved_srv service;
};

static void on_resolved(void *arg, int err, const struct wr_resolved *a)
{
    struct result *r = arg;
    r->calls++;
    r->err = err;
    r->answer = *a;
    r->addrs = a->addr_count;
    r->srv = a->srv_count;
    if (a->addr_count) {
        r->first = a->addrs[0];
        r->last = a->addrs[a->addr_count - 1];
    }
    if (a->srv_count)
        r->service = a->srv[0];
}

struct bench {
    struct wr_loop *loop;
    struct dns_server server;
    struct wr_resolver *resolver;
    struct wr_scope scope;
};

static int begin(struct bench *b, struct wr_resolver_options *o, const struct wr_heap *heap)
{
    struct wr_loop_options lo = {.heap = heap};
    memset(b, 0, sizeof *b);
    int err = wr_loop_new(&lo, &b->loop);
    if (err)
        return err;
    wr_scope_init(&b->scope, b->loop, NULL, 0);
    err = dns_server_open(&b->server, b->loop);
    if (err)
        return err;
    if (!o->server_count) {
        o->servers = &b->server.addr;
        o->server_count = 1;
    }
    if (!o->resolv_conf)
        o->resolv_conf = "";
    if (!o->hosts)
        o->hosts = "";
    if (!o->timeout_ms)
        o->timeout_ms = 60;
    return wr_resolver_new(b->loop, o, &b->resolver);
}

static void finish(struct bench *b)
{
    if (!b->loop)
        return;
    if (b->resolver)
        wr_resolver_validate(b->resolver);
    wr_scope_deinit(&b->scope);
    wr_resolver_free(&b->resolver);
    dns_server_close(&b->server);
    wr_loop_free(&b->loop);
}

static struct result resolve(struct bench *b, const char *name, enum wr_resolve_want want)
{
    struct result r = {0};
    int err = wr_resolve(b->resolver, &b->scope, wr_span_str(name), 80, want, on_resolved, &r);
    if (err) {
        r.err = err;
        return r;
    }
    if (r.calls)
        ok(false, "%s: called before the call returned", name);
    (void)net_until(b->loop, 3000, r.calls);
    wr_resolver_validate(b->resolver);
    return r;
}

static void test_answers(struct bench *b)
{
    struct result r = resolve(b, "both.example", WR_RESOLVE_ANY);
    is_int(r.err, 0, "two families");
    is_int(r.addrs, 2, "two addresses");
    ok(r.first.kind == WR_ADDR_V6 && r.last.kind == WR_ADDR_V4 && r.first.port == 80,
       "v6 first");
    ok(!r.answer.from_cache && r.answer.ttl_s > 290, "fresh, ttl %u", r.answer.ttl_s);
    unsigned queries = b->server.queries;
    r = resolve(b, "BOTH.example.", WR_RESOLVE_ANY);
    ok(r.err == 0 && r.addrs == 2 && r.answer.from_cache,
       "again: from the cache, whatever the case");
    r = resolve(b, "both.example", WR_RESOLVE_V4);
    ok(r.err == 0 && r.addrs == 1 && r.first.kind == WR_ADDR_V4, "one family");
    is_int(b->server.queries, queries, "not asked again");
    r = resolve(b, "v4.example", WR_RESOLVE_ANY);
    ok(r.err == 0 && r.addrs == 1, "one family exists");
    r = resolve(b, "v4.example", WR_RESOLVE_V6);
    is_int(r.err, WR_E_DNS_NONAME, "the other does not");
    r = resolve(b, "nx.example", WR_RESOLVE_ANY);
    is_int(r.err, WR_E_DNS_NONAME, "no such name");
    queries = b->server.queries;
    r = resolve(b, "nx.example", WR_RESOLVE_ANY);
    ok(r.err == WR_E_DNS_NONAME && b->server.queries == queries, "kept, as the SOA says");
    r = resolve(b, "nodata.example", WR_RESOLVE_ANY);
    is_int(r.err, WR_E_DNS_NONAME, "no records");
    r = resolve(b, "srv.example", WR_RESOLVE_SRV);
    ok(r.err == 0 && r.srv == 2, "two services");
    ok(r.service.port == 80 && r.service.priority == 1, "the better one first");
    is_str(r.service.target, "a", "its host");
}

static void test_local(struct bench *b)
{
    unsigned queries = b->server.queries;
    struct result r = resolve(b, "10.1.2.3", WR_RESOLVE_ANY);
    ok(r.err == 0 && r.addrs == 1 && r.first.kind == WR_ADDR_V4 && r.first.port == 80,
       "literal");
    r = resolve(b, "localhost", WR_RESOLVE_ANY);
    ok(r.err == 0 && r.addrs == 2, "localhost");
    r = resolve(b, "x.LOCALHOST.", WR_RESOLVE_V4);
    ok(r.err == 0 && r.addrs == 1, "and below");
    r = resolve(b, "a..b", WR_RESOLVE_ANY);
    is_int(r.err, WR_E_DNS_NONAME, "a name that cannot be");
    is_int(b->server.queries, queries, "nothing was asked");
}

static void test_trouble(struct bench *b)
{
    struct wr_resolver_server_stats st;
    uint64_t cpu_ns = wr_os_now_ns(CLOCK_THREAD_CPUTIME_ID);
    struct result r = resolve(b, "wrongid.example", WR_RESOLVE_V4);
    is_int(r.err, 0, "a wrong id is ignored, the right one taken");
    ok(wr_resolver_server(b->resolver, 0, &st) && st.wrong >= 1, "and counted");
    ok(st.rtt_us > 0, "rtt %u us", st.rtt_us);
    r = resolve(b, "trunc.example", WR_RESOLVE_ANY);
    ok(r.err == 0 && r.addrs == 2, "truncated: asked over TCP");
    r = resolve(b, "bytewise.example", WR_RESOLVE_V4);
    ok(r.err == 0 && r.addrs == 1, "byte by byte");
    ok(b->server.tcp_queries >= 2, "over TCP");
    uint64_t before = wr_loop_stats(b->loop)->turns;
    r = resolve(b, "loop.example", WR_RESOLVE_V4);
    is_int(r.err, WR_E_DNS, "a compression loop is an error");
    ok(wr_loop_stats(b->loop)->turns - before < 100, "at once");
    r = resolve(b, "fail.example", WR_RESOLVE_V4);
    is_int(r.err, WR_E_DNS, "SERVFAIL");
    r = resolve(b, "otherq.example", WR_RESOLVE_V4);
    is_int(r.err, WR_E_DNS, "answers to another question are none");
    r = resolve(b, "mute.example", WR_RESOLVE_V4);
    is_int(r.err, WR_E_DNS, "silence");
    ok(wr_resolver_server(b->resolver, 0, &st) && st.timeouts >= 2, "every attempt timed out");
    is_int(wr_resolver_stats(b->resolver)->in_flight, 0, "nothing is in flight");
    uint64_t cpu_ms = (wr_os_now_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_ns) / 1000000;
    ok(cpu_ms < 20 * tap_scale(), "no turn can have taken 20 ms: all of it took %u",
       (unsigned)cpu_ms);
}

static void test_single_flight(struct bench *b)
{
    struct result r[20] = {0};
    unsigned queries = b->server.queries;
    for (int i = 0; i < 20; i++)
        is_int(wr_resolve(b->resolver, &b->scope, WR_LIT("herd.example"), 1, WR_RESOLVE_V4,
                          on_resolved, &r[i]),
               0, "call");
    ok(net_until(b->loop, 1000, r[19].calls), "all answered");
    is_int(b->server.queries - queries, 1, "by one query");
    unsigned good = 0;
    for (int i = 0; i < 20; i++)
        good += r[i].calls == 1 && r[i].err == 0;
    is_int(good, 20, "each once");
    uint16_t id = b->server.last_id, port = b->server.last_port;
    (void)resolve(b, "another.example", WR_RESOLVE_V4);
    ok(b->server.last_id != id || b->server.last_port != port, "id and port differ");
}

static void test_cancel(struct bench *b)
{
    struct result r = {0};
    struct wr_scope scope;
    wr_scope_init(&scope, b->loop, NULL, 20);
    is_int(wr_resolve(b->resolver, &scope, WR_LIT("mute.deadline"), 1, WR_RESOLVE_ANY,
                      on_resolved, &r),
           0, "a lookup with a deadline");
    ok(net_until(b->loop, 1000, r.calls), "ends with it");
    ok(r.err < 0 && r.err != WR_E_DNS, "with the scope's error: %s", wr_err_name(r.err));
    is_int(wr_resolve(b->resolver, &scope, WR_LIT("x.y"), 1, WR_RESOLVE_ANY, on_resolved, &r),
           r.err, "nothing begins in a dead scope");
    wr_scope_deinit(&scope);
    net_turns(b->loop, 200);
    is_int(r.calls, 1, "silence afterwards");
    wr_resolver_validate(b->resolver);
}

static void test_stale(void)
{
    struct bench b;
    struct wr_resolver_options o = {.ttl_max_s = 1, .timeout_ms = 100, .attempts = 1};
    is_int(begin(&b, &o, NULL), 0, "ttl of a second");
    struct result r = resolve(&b, "v4.stale", WR_RESOLVE_V4);
    is_int(r.err, 0, "fresh");
    b.server.mute = true;
    net_turns(b.loop, 1050);
    r = resolve(&b, "v4.stale", WR_RESOLVE_V4);
    ok(r.err == 0 && r.answer.stale && r.addrs == 1, "the servers are gone: the stale answer");
    is_int(wr_resolver_stats(b.resolver)->stale_hits, 1, "counted");
    b.server.mute = false;
    r = resolve(&b, "v4.stale", WR_RESOLVE_V4);
    ok(r.err == 0 && !r.answer.stale, "they are back: fresh");
    wr_resolver_flush(b.resolver);
    is_int(wr_resolver_stats(b.resolver)->entries, 0, "flushed");
    finish(&b);
}

static void test_bounds(void)
{
    struct bench b;
    struct wr_resolver_options o = {.max_entries = 4, .max_flights = 2};
    struct result r[4] = {0};
    char name[16] = "n0.example";
    is_int(begin(&b, &o, NULL), 0, "four entries, two flights");
    for (int i = 0; i < 10; i++) {
        name[1] = (char)('0' + i);
        if (resolve(&b, name, WR_RESOLVE_V4).err)
            ok(false, "%s", name);
    }
    is_int(wr_resolver_stats(b.resolver)->entries, 4, "bounded cache");
    for (int i = 0; i < 4; i++) {
        char mute[16] = "mute.0";
        mute[5] = (char)('0' + i);
        is_int(wr_resolve(b.resolver, &b.scope, wr_span_str(mute), 1, WR_RESOLVE_V4,
                          on_resolved, &r[i]),
               0, "call");
    }
    (void)wr_loop_turn(b.loop, 0);
    (void)wr_loop_turn(b.loop, 0);
    ok(r[2].err == WR_E_QUEUE_FULL && r[3].err == WR_E_QUEUE_FULL,
       "the third flight is refused");
    finish(&b);
    ok(r[0].err == WR_E_CANCELED && r[0].calls == 1, "the end cancels the others");
}

static void write_file(const char *path, const char *text)
{
    int fd = wr_os_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    (void)!wr_os_write(fd, text, strlen(text));
    (void)wr_os_close(fd);
}

static void test_files(void)
{
    struct bench b;
    char conf[64] = "/tmp/wr-resolve-conf-", hosts[64] = "/tmp/wr-resolve-hosts-";
    char *p = conf + strlen(conf), *q = hosts + strlen(hosts);
    for (int pid = wr_os_getpid(); pid; pid /= 10)
        *p++ = *q++ = (char)('0' + pid % 10);
    write_file(conf, "search nx first.example\noptions ndots:2\n");
    write_file(hosts, "10.0.0.1 here\n");
    struct wr_resolver_options o = {.resolv_conf = conf, .hosts = hosts};
    is_int(begin(&b, &o, NULL), 0, "with files");
    struct result r = resolve(&b, "here", WR_RESOLVE_ANY);
    ok(r.err == 0 && r.answer.from_hosts && r.first.v4[0] == 10, "from hosts");
    unsigned queries = b.server.queries;
    r = resolve(&b, "v4.nx", WR_RESOLVE_V4);
    is_int(r.err, 0, "one dot of two: the search list goes first");
    is_int(b.server.queries - queries, 1, "and answers");
    r = resolve(&b, "nx", WR_RESOLVE_V4);
    is_int(r.err, WR_E_DNS_NONAME, "no candidate exists");
    is_int(b.server.queries - queries, 4, "three were asked");
    r = resolve(&b, "nx.", WR_RESOLVE_V4);
    is_int(b.server.queries - queries, 4, "absolute: one, and that is cached");
    net_turns(b.loop, 1010);
    write_file(hosts, "10.0.0.2 here\n10.0.0.3 there\n");
    r = resolve(&b, "here", WR_RESOLVE_ANY);
    ok(r.err == 0 && r.first.v4[3] == 2, "a changed file is read again");
    ok(wr_resolver_stats(b.resolver)->reloads == 3, "only that one");
    finish(&b);
    (void)wr_os_unlink(conf);
    (void)wr_os_unlink(hosts);
}

static void test_two_servers(void)
{
    struct bench b;
    struct wr_addr servers[2];
    struct wr_resolver_options o = {.servers = servers, .server_count = 2, .timeout_ms = 40};
    struct wr_resolver_server_stats st;
    servers[0] = net_addr("127.0.0.1:1"); /* nobody there */
    servers[1] = servers[0];
    is_int(begin(&b, &o, NULL), 0, "two servers");
    wr_resolver_free(&b.resolver);
    servers[1] = b.server.addr;
    is_int(wr_resolver_new(b.loop, &o, &b.resolver), 0, "the first one is dead");
    struct result r = resolve(&b, "v4.one", WR_RESOLVE_V4);
    is_int(r.err, 0, "the second one answers");
    ok(wr_resolver_server(b.resolver, 0, &st) && st.errors + st.timeouts == 1,
       "the first was tried");
    r = resolve(&b, "v4.two", WR_RESOLVE_V4);
    ok(r.err == 0 && wr_resolver_server(b.resolver, 0, &st) && st.queries == 1,
       "and is not asked first any more");
    wr_resolver_free(&b.resolver);
    servers[0] = b.server.addr;
    o.server_count = 1;
    is_int(wr_resolver_new(b.loop, &o, &b.resolver), 0, "a list of servers");
    memset(servers, 0xa5, sizeof servers);
    r = resolve(&b, "v4.three", WR_RESOLVE_V4);
    is_int(r.err, 0, "that is gone after the call");
    finish(&b);
}

/* The answer of one family is lost on the way. */
static void test_half_answered(void)
{
    struct bench b;
    struct wr_resolver_options o = {.timeout_ms = 5000};
    is_int(begin(&b, &o, NULL), 0, "a server that never answers one type");
    struct result r = resolve(&b, "mute6.x", WR_RESOLVE_ANY);
    ok(r.err == 0 && r.addrs == 1 && r.first.kind == WR_ADDR_V4,
       "no AAAA: the A is the answer");
    r = resolve(&b, "mute4.x", WR_RESOLVE_ANY);
    ok(r.err == 0 && r.addrs == 1 && r.first.kind == WR_ADDR_V6,
       "no A: the AAAA is the answer");
    r = (struct result){0};
    is_int(
        wr_resolve(b.resolver, &b.scope, WR_LIT("mute6.y"), 1, WR_RESOLVE_ANY, on_resolved, &r),
        0, "asked");
    net_turns(b.loop, 50);
    is_int(r.calls, 0, "the second one is given a while");
    wr_scope_cancel(&b.scope, WR_E_STOPPED);
    ok(r.calls == 1 && r.err == WR_E_STOPPED, "cancelled meanwhile");
    net_turns(b.loop, 800);
    is_int(r.calls, 1, "silence");
    finish(&b);
}

static int scenario(const struct wr_heap *heap, void *arg)
{
    struct bench b;
    struct wr_resolver_options o = {.timeout_ms = 1000, .attempts = 1, .hosts = "/etc/hosts"};
    (void)arg;
    int err = begin(&b, &o, heap);
    static const char *const names[] = {"both.x", "trunc.x", "nx.x", "10.0.0.1"};
    for (int i = 0; i < 4 && !err; i++) {
        struct result r = {0};
        err = wr_resolve(b.resolver, &b.scope, wr_span_str(names[i]), 1, WR_RESOLVE_ANY,
                         on_resolved, &r);
        if (!err && !net_until(b.loop, 2000, r.calls))
            err = 1; /* not a refusal: forgotten */
        if (!err && r.err != WR_E_DNS_NONAME)
            err = r.err;
    }
    finish(&b);
    return err;
}

int main(void)
{
    struct bench b;
    struct wr_resolver_options o = {.attempts = 2};
    if (begin(&b, &o, NULL))
        return 1;
    test_answers(&b);
    test_local(&b);
    test_trouble(&b);
    test_single_flight(&b);
    test_cancel(&b);
    finish(&b);
    test_stale();
    test_bounds();
    test_files();
    test_two_servers();
    test_half_answered();
    nth_every("resolver", scenario, NULL);
    return tap_done();
}
