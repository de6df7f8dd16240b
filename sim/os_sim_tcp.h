/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_SIM_OS_SIM_TCP_H
#define WR_SIM_OS_SIM_TCP_H

/*
 * One end of a TCP connection, or a listener, or a socket that is neither yet.
 *
 *   NEW -> LISTEN
 *   NEW -> SYN_SENT -> OPEN -> DONE         (connect)
 *   embryo: SYN_RECV -> OPEN -> DONE        (born at a listener)
 *
 * A direction of the stream lives with its receiver as one ring: bytes that are ready, in flight and not
 * yet sent lie one behind the other and only counters move. What travels in a direction (bytes, the end,
 * a reset) goes through one queue, so it never overtakes.
 *
 * 1. An end is freed when its owner closed it and the other end can no longer reach it.
 * 2. DONE means: no more bytes in or out; what is ready may still be read.
 */

#include "sim/os_sim.h"

enum tcp_state {
    TCP_NEW,
    TCP_LISTENS,
    TCP_SYN_OUT,
    TCP_SYN_IN,
    TCP_OPEN,
    TCP_DONE
};

enum tcp_what {
    SEG_BYTES,
    SEG_END,
    SEG_RESET
};
struct tcp_segment {
    uint64_t at;
    uint32_t n;
    enum tcp_what what;
};

struct tcp_flow {
    char *data;
    size_t room, head;
    size_t ready, flight, unsent; /* in this order behind head */
    struct tcp_segment *segs;     /* ring */
    uint32_t seg_room, seg_head, seg_n;
    uint64_t last_at;
    bool end_wanted, end_sent; /* the sender shut down */
    struct sim_event arrival;
};

struct sim_tcp {
    struct sim_file f;
    struct sim_list all;
    int family;
    enum tcp_state state;
    int err;
    struct sim_inet local, peer;
    bool bound, reuse_port, reuse_addr, v6_only, port_owned, by_actor;
    bool linger_on;
    int linger_s, defer_s;
    uint32_t sndbuf, rcvbuf;
    bool shut_rd, shut_wr, got_end, got_reset, no_space, closed, connect_reported;
    struct sim_tcp *other; /* NULL when gone */
    struct tcp_flow in;    /* towards this end */
    /* connecting */
    struct sim_event handshake;
    unsigned tries;
    /* embryo and queue of a listener */
    struct sim_tcp *listener;
    struct sim_list in_queue; /* self-linked when not queued */
    bool acked;
    struct sim_list queue, embryos;
    unsigned queued, backlog;
    uint64_t opened_at, queued_at;
    pid_t served_by; /* the process that got the other end last; 0: none; see sim.h */
};

struct sim_tcp *tcp_make(int family);
void tcp_release(struct sim_tcp *t); /* its owner lets go of it */
int tcp_start_connect(struct sim_tcp *t, const struct sim_inet *to);
int tcp_start_listen(struct sim_tcp *t, int backlog);
struct sim_tcp *tcp_take(struct sim_tcp *listener);
ssize_t tcp_read(struct sim_tcp *t, const struct iovec *v, size_t n, bool peek);
ssize_t tcp_write(struct sim_tcp *t, const struct iovec *v, size_t n);
void tcp_shut(struct sim_tcp *t, bool rd, bool wr);
void tcp_reset_other(struct sim_tcp *t);
void tcp_push(
    struct sim_tcp *receiver); /* moves unsent bytes into flight while the window allows */
uint32_t tcp_poll(struct sim_file *f);
void tcp_arrival(struct sim_event *e);
size_t tcp_space(const struct sim_tcp *t); /* of the send buffer */
void tcp_free_if_gone(struct sim_tcp *t);
void tcp_handshake(struct sim_event *e);
void tcp_embryo_data(struct sim_tcp *t);  /* deferred connections wait for it */
void tcp_embryo_reset(struct sim_tcp *t); /* the client gave up before it was accepted */

#endif
