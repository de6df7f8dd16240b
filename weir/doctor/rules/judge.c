/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/rules/judge.h"

#include "libweir/io/addr.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* clang-format off */
static void (*const rules[])(const struct judge *) = {
    rule_et_listener,
    rule_accept_overflow,
    rule_loop_blocked,
    rule_blocked_write,
    rule_unwatched,
    rule_stopped,
    rule_fd_limit,
    rule_reuseport,
    rule_inherited,
    rule_oneshot,
    rule_slow_upstream,
    rule_stuck_inside,
    rule_worker_pool,
    rule_fork_mutex,
    rule_mutex_cycle,
    rule_backlog,
    rule_syn_flood,
    rule_herd,
    rule_imbalance,
    rule_disk_full,
    rule_disk_stall,
    rule_dns,
    rule_close_wait,
    rule_unaccepted,
    rule_busy_spin,
    rule_loop_busy,
    rule_connect_pile_up,
    rule_conntrack,
    rule_cpu_starved,
    rule_cpu_throttled,
    rule_loss,
    rule_nagle,
    rule_no_keepalive,
    rule_no_protocol,
    rule_no_timeouts,
    rule_ports,
    rule_reset_storm,
    rule_rx_drop,
    rule_session_pile_up,
    rule_slow_path,
    rule_small_buffers,
    rule_stale_pool,
    rule_tcp_memory,
    rule_threads,
    rule_time_wait,
    rule_time_wait_server,
    rule_zero_window,
    rule_zombies,
};
/* clang-format on */

int judge_all(const struct facts *f, const struct judge_target *t, struct findings *out)
{
    struct judge_map map;
    struct judge j = {.facts = f, .target = t, .map = &map, .out = out};
    if (t->limits)
        j.limits = *t->limits;
    else
        thresholds_init(&j.limits);
    findings_init(out);
    int err = judge_map_init(&map, f, t);
    if (err)
        return err;
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        rules[i](&j);
    judge_map_deinit(&map);
    findings_settle(out);
    return 0;
}

bool judge_target_has(const struct judge_target *t, uint32_t pid)
{
    for (uint32_t i = 0; i < t->n_pids; i++) {
        if (t->pids[i] == pid)
            return true;
    }
    return t->n_pids == 0 && t->n_ports == 0;
}

bool judge_target_port(const struct judge_target *t, const struct facts_socket *s)
{
    for (uint32_t i = 0; i < t->n_ports; i++) {
        if (t->ports[i] == s->local_port)
            return true;
    }
    return t->n_pids == 0 && t->n_ports == 0;
}

bool judge_is_target(const struct judge *j, uint32_t pid)
{
    return judge_target_has(j->target, pid);
}

bool judge_owns(const struct judge *j, const struct facts_socket *s)
{
    const struct facts_fd *fd = facts_owner(&j->facts->b, s->inode, 0);
    return fd ? judge_is_target(j, fd->pid) : judge_target_port(j->target, s);
}

uint64_t judge_limit(const struct judge *j, enum threshold_name name)
{
    return j->limits.value[name];
}

void judge_addr(const struct facts_socket *s, bool remote, char out[64])
{
    const uint8_t *a = remote ? s->remote : s->local;
    unsigned port = remote ? s->remote_port : s->local_port;
    if (s->family == AF_INET) {
        (void)snprintf(out, 64, "%u.%u.%u.%u:%u", a[0], a[1], a[2], a[3], port);
        return;
    }
    struct wr_addr addr = wr_addr_v6(a, 0, (uint16_t)port);
    char text[WR_ADDR_TEXT_MAX];
    (void)wr_addr_format(&addr, text);
    (void)snprintf(out, 64, "%.63s", text);
}

static void peer_addr(const struct judge *j, const struct judge_peer *p, char out[64])
{
    const struct facts_socket *s = &j->facts->b.sockets.v[p->sample];
    if (p->role == JUDGE_OUT) {
        judge_addr(s, true, out);
        return;
    }
    struct wr_addr addr =
        s->family == AF_INET ? wr_addr_v4(s->remote, 0) : wr_addr_v6(s->remote, 0, 0);
    char text[WR_ADDR_TEXT_MAX];
    (void)wr_addr_format_ip(&addr, text);
    (void)snprintf(out, 64, "%.63s", text);
}

struct finding *judge_peer_finding(const struct judge *j, enum rule_name rule,
                                   const struct judge_peer *p, uint32_t process)
{
    char addr[64];
    struct finding *f = finding_add(j->out, rule);
    peer_addr(j, p, addr);
    judge_name(j, f, process);
    finding_peer(f, wr_span_str(addr));
    return f;
}

struct wr_span judge_comm(const char comm[16])
{
    return wr_span(comm, strnlen(comm, 16));
}

const struct facts_socket *judge_before(const struct judge *j, const struct facts_socket *s)
{
    return facts_socket(&j->facts->a, s->cookie);
}

static uint64_t rise(uint64_t a, uint64_t b)
{
    return b > a ? b - a : 0;
}

bool judge_flow(const struct judge *j, uint32_t place, struct judge_flow *out)
{
    static const struct facts_tcp nothing;
    const struct facts_look *a = &j->facts->a, *b = &j->facts->b;
    uint32_t before = j->map->conn[place].before;
    const struct facts_tcp *now = facts_tcp(b, &b->sockets.v[place]);
    const struct facts_tcp *was =
        before == FACTS_NONE ? &nothing : facts_tcp(a, &a->sockets.v[before]);
    if (!was) /* a handshake then */
        was = &nothing;
    if (!now || now->dsack_dups == FACTS_NONE || was->dsack_dups == FACTS_NONE)
        return false; /* the last of these that kernels learned */
    *out =
        (struct judge_flow){.elapsed_us = judge_span_ns(j) / 1000,
                            .busy_us = rise(was->busy_us, now->busy_us),
                            .rwnd_us = rise(was->rwnd_limited_us, now->rwnd_limited_us),
                            .sndbuf_us = rise(was->sndbuf_limited_us, now->sndbuf_limited_us),
                            .sent = rise(was->bytes_sent, now->bytes_sent),
                            .retrans = rise(was->bytes_retrans, now->bytes_retrans),
                            .received = rise(was->bytes_received, now->bytes_received),
                            .acked = rise(was->bytes_acked, now->bytes_acked),
                            .segs_out = rise(was->data_segs_out, now->data_segs_out),
                            .segs_in = rise(was->data_segs_in, now->data_segs_in),
                            .dsacks = rise(was->dsack_dups, now->dsack_dups)};
    return true;
}

/* Logs, measurements, streams: many pieces went one way and never one came back. Nobody waits for an answer. */
static bool is_one_way(uint64_t answered, uint32_t pieces)
{
    return answered == 0 && pieces != FACTS_NONE && pieces >= 8;
}

enum judge_debt judge_debt(const struct facts_look *l, const struct facts_socket *s,
                           enum judge_role role, uint32_t *out_age_ms)
{
    const struct facts_tcp *t = facts_tcp(l, s);
    if (!t || s->state != FACTS_ESTABLISHED || s->rqueue || s->wqueue || s->inode == 0 ||
        t->bytes_received == FACTS_UNKNOWN || t->bytes_sent == FACTS_UNKNOWN)
        return JUDGE_QUIET;
    uint32_t sent = t->last_data_sent_ms, received = t->last_data_recv_ms;
    if (role == JUDGE_IN && t->bytes_received > 0 &&
        !is_one_way(t->bytes_sent, t->data_segs_in) &&
        (t->bytes_sent == 0 || received < sent)) {
        *out_age_ms = received;
        return JUDGE_WE_OWE;
    }
    if (role == JUDGE_OUT && t->bytes_sent > 0 &&
        !is_one_way(t->bytes_received, t->data_segs_out) &&
        (t->bytes_received == 0 || sent < received)) {
        *out_age_ms = sent;
        return JUDGE_THEY_OWE;
    }
    return JUDGE_QUIET;
}

enum facts_tcp_state judge_was(const struct judge *j, uint32_t place)
{
    uint32_t before = j->map->conn[place].before;
    return before == FACTS_NONE ? 0 : j->facts->a.sockets.v[before].state;
}

bool judge_still(const struct judge *j, uint32_t place)
{
    const struct facts_look *a = &j->facts->a, *b = &j->facts->b;
    uint32_t before = j->map->conn[place].before;
    const struct facts_tcp *now = facts_tcp(b, &b->sockets.v[place]);
    const struct facts_tcp *was =
        before == FACTS_NONE ? NULL : facts_tcp(a, &a->sockets.v[before]);
    return was && now && now->bytes_received != FACTS_UNKNOWN &&
           was->bytes_received == now->bytes_received && was->bytes_sent == now->bytes_sent;
}

uint64_t judge_span_ns(const struct judge *j)
{
    return rise(j->facts->a.at_ns, j->facts->b.at_ns);
}

uint64_t judge_percent(uint64_t part, uint64_t whole)
{
    return whole ? part * 100 / whole : 0;
}

void judge_name(const struct judge *j, struct finding *f, uint32_t process)
{
    if (process == FACTS_NONE)
        return;
    const struct facts_process *p = &j->facts->b.processes.v[process];
    finding_subject(f, (int32_t)p->pid, 0, judge_comm(p->comm));
}

/* A listener on all addresses has a queue of connections to each of them. */
static bool belongs(const struct facts_socket *listener, const struct facts_socket *s)
{
    static const uint8_t any[16];
    if (s->proto != FACTS_TCP || s->local_port != listener->local_port || s->inode != 0)
        return false;
    if (s->state != FACTS_ESTABLISHED && s->state != FACTS_CLOSE_WAIT)
        return false;
    return memcmp(listener->local, any, 16) == 0 ||
           (listener->family == s->family && memcmp(listener->local, s->local, 16) == 0);
}

static uint64_t age_ms(const struct facts_look *l, const struct facts_socket *s)
{
    const struct facts_tcp *t = facts_tcp(l, s);
    return t && t->last_data_recv_ms != FACTS_NONE ? t->last_data_recv_ms : 0;
}

static uint64_t left(const struct judge *j, const struct facts_socket *listener)
{
    const struct facts_look *a = &j->facts->a;
    uint64_t n = 0;
    for (uint32_t i = 0; i < a->sockets.n; i++) {
        const struct facts_socket *s = &a->sockets.v[i];
        const struct facts_socket *now =
            belongs(listener, s) ? facts_socket(&j->facts->b, s->cookie) : s;
        n += !now || now->inode != s->inode;
    }
    return n;
}

static void put_waiting(struct judge_queue *q, const struct facts_socket *s, uint64_t age)
{
    q->waiting++;
    q->gave_up += s->state == FACTS_CLOSE_WAIT;
    q->oldest_ms = age > q->oldest_ms ? age : q->oldest_ms;
}

struct judge_queue judge_queue(const struct judge *j, const struct facts_socket *listener)
{
    struct judge_queue q = {0};
    const struct facts_look *b = &j->facts->b;
    for (uint32_t i = 0; i < b->sockets.n; i++) {
        const struct facts_socket *s = &b->sockets.v[i];
        if (!belongs(listener, s))
            continue;
        const struct facts_socket *before = judge_before(j, s);
        if (before && before->inode == 0 && before->state != FACTS_SYN_RECV)
            put_waiting(&q, s, age_ms(b, s));
    }
    q.left = left(j, listener);
    return q;
}

struct judge_queue judge_queue_of_ms(const struct judge *j, const struct facts_socket *listener,
                                     uint64_t least_ms)
{
    struct judge_queue q = {0};
    const struct facts_look *b = &j->facts->b;
    for (uint32_t i = 0; i < b->sockets.n; i++) {
        const struct facts_socket *s = &b->sockets.v[i];
        if (belongs(listener, s) && age_ms(b, s) >= least_ms)
            put_waiting(&q, s, age_ms(b, s));
    }
    q.left = left(j, listener);
    return q;
}
