/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/connect.h"

#include "libweir/io/ports.h"
#include "libweir/io/resolve.h"
#include "libweir/io/scope.h"
#include "tests/dns_server.h"
#include "tests/nth.h"
#include "tests/tap.h"

struct result {
    unsigned calls;
    int err;
    struct wr_connected c;
};

static void on_connected(void *arg, int err, const struct wr_connected *c)
{
    struct result *r = arg;
    r->calls++;
    r->err = err;
    r->c = *c;
}

static void on_accept(struct wr_listener *l, int fd, const struct wr_addr *peer, void *arg)
{
    (void)l;
    *(struct wr_addr *)arg = *peer;
    (void)wr_os_close(fd);
}

struct bench {
    struct wr_loop *loop;
    struct wr_scope scope;
    struct wr_listener *l; /* at 127.0.0.1 */
    struct wr_addr peer;   /* as the server saw it */
    struct dns_server dns;
    struct wr_resolver *resolver;
};

static int begin(struct bench *b, const struct wr_heap *heap)
{
    struct wr_loop_options lo = {.heap = heap};
    struct wr_listen_options o = {.addr = net_addr("127.0.0.1:0")};
    memset(b, 0, sizeof *b);
    int err = wr_loop_new(&lo, &b->loop);
    if (err)
        return err;
    wr_scope_init(&b->scope, b->loop, NULL, 0);
    err = wr_listener_open(b->loop, &o, on_accept, &b->peer, &b->l);
    if (!err)
        err = dns_server_open(&b->dns, b->loop);
    struct wr_resolver_options ro = {.servers = &b->dns.addr,
                                     .server_count = 1,
                                     .hosts = "",
                                     .resolv_conf = "",
                                     .timeout_ms = 50};
    return err ? err : wr_resolver_new(b->loop, &ro, &b->resolver);
}

static void finish(struct bench *b)
{
    if (!b->loop)
        return;
    wr_scope_deinit(&b->scope);
    wr_resolver_free(&b->resolver);
    dns_server_close(&b->dns);
    wr_listener_close(&b->l);
    wr_loop_free(&b->loop);
}

static struct wr_target target_of(const struct wr_addr *a)
{
    return (struct wr_target){.addr = *a, .port = a->port};
}

static struct wr_target name_of(const char *name, uint16_t port)
{
    return (struct wr_target){.name = wr_span_str(name), .port = port};
}

static struct result connect_to(struct bench *b, struct wr_target t,
                                const struct wr_connect_options *o)
{
    struct result r = {.c.fd = -1};
    int err = wr_connect(&b->scope, b->resolver, &t, o, on_connected, &r);
    if (err)
        r.err = err;
    else if (r.calls)
        ok(false, "called before the call returned");
    else
        (void)net_until(b->loop, 5000, r.calls);
    return r;
}

static void test_plain(struct bench *b)
{
    const struct wr_addr *at = wr_listener_addr(b->l);
    struct result r = connect_to(b, target_of(at), NULL);
    is_int(r.err, 0, "connected");
    ok(r.c.fd >= 0 && r.c.attempts == 1 && wr_addr_eq(&r.c.peer, at), "to the address");
    is_int(r.c.stage, WR_CONNECT_CONNECT, "stage");
    is_int(wr_os_send(r.c.fd, "x", 1, 0), 1, "a working socket");
    (void)wr_os_close(r.c.fd);
    struct wr_connect_options o = {.local = net_addr("127.0.0.2:0")};
    r = connect_to(b, target_of(at), &o);
    ok(net_until(b->loop, 1000, b->peer.kind == WR_ADDR_V4 && b->peer.v4[3] == 2),
       "from the local address");
    (void)wr_os_close(r.c.fd);
    o.local = net_addr("192.0.2.1:0");
    r = connect_to(b, target_of(at), &o);
    is_int(r.err, -EADDRNOTAVAIL, "from an address that is not ours");
    is_str(wr_connect_stage_name(r.c.stage), "port", "fails in the port stage");
    o = (struct wr_connect_options){.congestion = WR_LIT("nonsense")};
    r = connect_to(b, target_of(at), &o);
    ok(r.err < 0 && r.c.fd == -1, "an unknown congestion control is an error");
    struct wr_addr nobody = net_addr("127.0.0.1:1");
    r = connect_to(b, target_of(&nobody), NULL);
    is_int(r.err, -ECONNREFUSED, "refused");
    is_str(wr_connect_stage_name(r.c.stage), "connect", "in the connect stage");
    struct wr_addr gone = net_addr("unix:@wr-connect-test-nobody");
    r = connect_to(b, target_of(&gone), NULL);
    is_int(r.err, -ECONNREFUSED, "unix: refused");
}

static void test_unix(struct bench *b)
{
    struct wr_listen_options o = {.addr = net_addr("unix:@wr-connect-test")};
    struct wr_listener *l = NULL;
    is_int(wr_listener_open(b->loop, &o, on_accept, &b->peer, &l), 0, "unix listener");
    struct result r = connect_to(b, target_of(wr_listener_addr(l)), NULL);
    is_int(r.err, 0, "unix: connected");
    (void)wr_os_close(r.c.fd);
    wr_listener_close(&l);
}

static void test_names(struct bench *b)
{
    uint16_t port = wr_listener_addr(b->l)->port;
    struct result r = connect_to(b, name_of("both.example", port), NULL);
    is_int(r.err, 0, "a name with two addresses, only one of which listens");
    ok(r.c.peer.kind == WR_ADDR_V4 && r.c.attempts == 2,
       "a refusal starts the next attempt at once");
    ok(r.c.connect_ms < 200, "not after the stagger (%u ms)", r.c.connect_ms);
    (void)wr_os_close(r.c.fd);
    r = connect_to(b, name_of("nx.example", port), NULL);
    is_int(r.err, WR_E_DNS_NONAME, "no such name");
    is_str(wr_connect_stage_name(r.c.stage), "dns", "in the dns stage");
    r = connect_to(b, name_of("fail.example", port), NULL);
    is_int(r.err, WR_E_DNS, "no answer");
    struct wr_connect_options o = {.timeout_ms = 30};
    r = connect_to(b, name_of("mute.example", port), &o);
    is_int(r.err, WR_E_DEADLINE, "deadline");
    is_int(r.c.stage, WR_CONNECT_DNS, "in the dns stage");
    struct wr_target t = name_of("both.example", port);
    r = (struct result){0};
    ok(wr_connect(&b->scope, NULL, &t, NULL, on_connected, &r) == 0 &&
           net_until(b->loop, 1000, r.calls) && r.err == WR_E_DNS,
       "a name without a resolver");
}

/* A v6 listener whose queue is full answers nothing: a black hole on the same port. */
static void test_happy_eyeballs(struct bench *b)
{
    enum {
        FILL = 8
    };
    struct wr_listen_options o = {
        .addr = net_addr("[::1]:0"), .backlog = 1, .manual = true, .v6only = true};
    struct wr_listener *hole = NULL;
    int fill[FILL];
    o.addr.port = wr_listener_addr(b->l)->port;
    int err = wr_listener_open(b->loop, &o, on_accept, &b->peer, &hole);
    if (err) {
        skip("no v6 on the loopback");
        return;
    }
    for (int i = 0; i < FILL; i++)
        fill[i] = net_connect(&o.addr);
    net_turns(b->loop, 20);
    struct result r = connect_to(b, name_of("both.eyeballs", o.addr.port), NULL);
    is_int(r.err, 0, "the first address is a black hole");
    ok(r.c.peer.kind == WR_ADDR_V4 && r.c.attempts == 2, "the second wins");
    ok(r.c.connect_ms >= 240 && r.c.connect_ms < 2000, "after the stagger: %u ms",
       r.c.connect_ms);
    (void)wr_os_close(r.c.fd);
    struct wr_connect_options fast = {.stagger_ms = 20};
    r = connect_to(b, name_of("both.eyeballs", o.addr.port), &fast);
    ok(r.err == 0 && r.c.connect_ms < 200, "a shorter stagger: %u ms", r.c.connect_ms);
    (void)wr_os_close(r.c.fd);
    struct wr_connect_options bounded = {.timeout_ms = 60};
    r = connect_to(b, target_of(&o.addr), &bounded);
    is_int(r.err, WR_E_DEADLINE, "only the black hole: deadline");
    is_int(r.c.stage, WR_CONNECT_CONNECT, "in the connect stage");
    struct wr_scope scope;
    struct wr_target t = target_of(&o.addr);
    wr_scope_init(&scope, b->loop, NULL, 0);
    r = (struct result){0};
    is_int(wr_connect(&scope, NULL, &t, NULL, on_connected, &r), 0, "under way");
    net_turns(b->loop, 20);
    is_int(r.calls, 0, "waiting");
    wr_scope_cancel(&scope, WR_E_STOPPED);
    ok(r.calls == 1 && r.err == WR_E_STOPPED, "cancelled");
    net_turns(b->loop, 20);
    is_int(r.calls, 1, "once");
    wr_scope_deinit(&scope);
    wr_listener_close(&hole);
    for (int i = 0; i < FILL; i++)
        (void)wr_os_close(fill[i]);
}

static void test_cancel_in_dns(struct bench *b)
{
    struct wr_scope scope;
    struct wr_target t = name_of("mute.cancel", 80);
    struct result r = {0};
    wr_scope_init(&scope, b->loop, NULL, 0);
    is_int(wr_connect(&scope, b->resolver, &t, NULL, on_connected, &r), 0, "resolving");
    net_turns(b->loop, 10);
    wr_scope_cancel(&scope, WR_E_STOPPED);
    ok(r.calls == 1 && r.err == WR_E_STOPPED && r.c.stage == WR_CONNECT_DNS,
       "cancelled in the dns stage");
    is_int(wr_connect(&scope, b->resolver, &t, NULL, on_connected, &r), WR_E_STOPPED,
           "nothing begins afterwards");
    wr_scope_deinit(&scope);
    net_turns(b->loop, 150);
    is_int(r.calls, 1, "silence");
}

static void test_ports(struct bench *b)
{
    struct wr_port_budget_options po = {.limit = 1};
    struct wr_connect_options o = {0};
    struct wr_port_use use;
    const struct wr_addr *at = wr_listener_addr(b->l);
    struct wr_addr nobody = net_addr("127.0.0.1:1");
    is_int(wr_port_budget_new(wr_heap_libc(), &po, &o.ports), 0, "a budget of one port");
    struct result r = connect_to(b, target_of(at), &o), second;
    is_int(r.err, 0, "the first connects");
    second = connect_to(b, target_of(at), &o);
    is_int(second.err, WR_E_NOPORTS, "the second is refused before the kernel is asked");
    is_str(wr_connect_stage_name(second.c.stage), "port", "in the port stage");
    is_str(wr_err_stage(second.err), "port", "as the error itself says");
    (void)wr_os_close(r.c.fd);
    wr_port_budget_give(o.ports, at, false, wr_loop_now_ms(b->loop));
    r = connect_to(b, target_of(at), &o);
    is_int(r.err, 0, "given back: connects again");
    (void)wr_os_close(r.c.fd);
    second = connect_to(b, target_of(&nobody), &o);
    wr_port_budget_use(o.ports, &nobody, wr_loop_now_ms(b->loop), &use);
    ok(second.err == -ECONNREFUSED && use.open == 0, "a failed attempt gives its port back");
    wr_port_budget_validate(o.ports);
    wr_port_budget_free(&o.ports);
}

static void test_interleave(void)
{
    struct wr_addr a[6];
    char kinds[7] = "";
    for (int i = 0; i < 6; i++)
        a[i] = net_addr(i < 4 ? "[::2]:1" : "1.2.3.4:1");
    for (int i = 0; i < 6; i++)
        a[i].port = (uint16_t)i;
    wr_connect_interleave(a, 6);
    for (int i = 0; i < 6; i++)
        kinds[i] = a[i].kind == WR_ADDR_V6 ? '6' : '4';
    is_str(kinds, "646466", "the families take turns");
    ok(a[0].port == 0 && a[1].port == 4 && a[2].port == 1 && a[3].port == 5 && a[5].port == 3,
       "each in its order");
    wr_connect_interleave(a, 0);
    wr_connect_interleave(a, 1);
}

static int scenario(const struct wr_heap *heap, void *arg)
{
    struct bench b;
    struct result r = {.c.fd = -1};
    (void)arg;
    int err = begin(&b, heap);
    if (!err) {
        r = connect_to(&b, name_of("both.nth", wr_listener_addr(b.l)->port), NULL);
        err = r.err;
        if (r.c.fd >= 0)
            (void)wr_os_close(r.c.fd);
    }
    finish(&b);
    return err;
}

int main(void)
{
    struct bench b;
    if (begin(&b, NULL))
        return 1;
    test_plain(&b);
    test_unix(&b);
    test_names(&b);
    test_happy_eyeballs(&b);
    test_cancel_in_dns(&b);
    test_ports(&b);
    finish(&b);
    test_interleave();
    nth_every("connect", scenario, NULL);
    return tap_done();
}
