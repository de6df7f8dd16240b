/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DOCTOR_TOP_KIT_H
#define DOCTOR_TOP_KIT_H

/*
 * For the tests of top's model and view: invented facts of a small web server, two looks two seconds apart.
 *
 * pid 811 nginx holds :8080 with its workers 812 (busy, answers) and 813 (blocked in a write to a full pipe that
 * logger 900 does not read). An upstream 10.0.0.7:443 owes an answer. kit_world makes it; before kit_seal a test
 * adds what it is about.
 */

#include "weir/doctor/look/facts.h"
#include "weir/doctor/target.h"
#include "weir/doctor/top/top_model.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>

struct kit {
    struct facts facts;
    struct target_groups groups;
    struct top_model model;
    struct top_past past;
    struct findings found;
    enum doctor_lang lang;
};

#define KIT_LOOKS(w) for (int w = 0; w < 2; w++)

static inline struct facts_look *kit_look(struct kit *k, int which)
{
    return which ? &k->facts.b : &k->facts.a;
}

#define KIT_ADD(k, which, list, ...)                                         \
    do {                                                                     \
        __typeof__(*kit_look((k), (which))->list.v) row_ = __VA_ARGS__;      \
        if (FACTS_ADD(&kit_look((k), (which))->list, wr_heap_libc(), &row_)) \
            abort();                                                         \
    } while (0)

static inline uint32_t kit_text(struct kit *k, int which, const char *s)
{
    uint32_t at;
    if (facts_text_add(kit_look(k, which), wr_span_str(s), &at))
        abort();
    return at;
}

/* ip: the last byte of 10.0.0.x. tcp: FACTS_NONE, or the place of the facts added last. */
static inline void kit_socket(struct kit *k, int which, struct facts_socket s, unsigned ip,
                              bool tcp)
{
    s.proto = FACTS_TCP;
    s.family = AF_INET;
    s.tcp = tcp ? kit_look(k, which)->tcps.n - 1 : FACTS_NONE;
    s.local[0] = 10, s.local[3] = 1;
    s.remote[0] = 10, s.remote[3] = (uint8_t)ip;
    KIT_ADD(k, which, sockets, s);
}

static inline void kit_talk(struct kit *k, int which, uint32_t sent_ms, uint32_t received_ms)
{
    KIT_ADD(k, which, tcps,
            {.last_data_sent_ms = sent_ms,
             .last_data_recv_ms = received_ms,
             .bytes_received = 100,
             .bytes_sent = 1000,
             .bytes_retrans = 10,
             .data_segs_out = 3,
             .rtt_us = 450,
             .min_rtt_us = 120});
}

static inline void kit_process(struct kit *k, int which, uint32_t pid, uint32_t parent,
                               const char *comm)
{
    struct facts_process p = {.pid = pid,
                              .parent = parent,
                              .start = 100,
                              .threads = 1,
                              .fds = 9 + pid % 10,
                              .nofile_soft = 1024,
                              .rss_pages = 2560,
                              .state = 'S'};
    memcpy(p.comm, comm, strlen(comm));
    KIT_ADD(k, which, processes, p);
}

static inline void kit_thread(struct kit *k, int which, struct facts_thread t, const char *comm)
{
    t.start = 100;
    t.state = t.state ? t.state : 'S';
    memcpy(t.comm, comm, strlen(comm));
    KIT_ADD(k, which, threads, t);
}

static inline void kit_sockets(struct kit *k, int w)
{
    kit_socket(k, w,
               (struct facts_socket){.cookie = 1,
                                     .inode = 100,
                                     .state = FACTS_LISTEN,
                                     .local_port = 8080,
                                     .rqueue = w ? 131 : 40,
                                     .wqueue = 511,
                                     .drops = w ? 7 : 5},
               0, false);
    kit_talk(k, w, 5000, 210); /* asked 210 ms ago, not answered */
    kit_socket(k, w,
               (struct facts_socket){.cookie = 2,
                                     .inode = 102,
                                     .state = FACTS_ESTABLISHED,
                                     .local_port = 8080,
                                     .remote_port = 5001},
               21, true);
    kit_talk(k, w, 3100, 3100);
    kit_socket(k, w,
               (struct facts_socket){.cookie = 3,
                                     .inode = 103,
                                     .state = FACTS_ESTABLISHED,
                                     .local_port = 8080,
                                     .remote_port = 5002,
                                     .rqueue = 80},
               22, true);
    kit_talk(k, w, 41200, 41200);
    kit_socket(
        k, w,
        (struct facts_socket){
            .cookie = 4, .state = FACTS_ESTABLISHED, .local_port = 8080, .remote_port = 5003},
        23, true);
    kit_talk(k, w, 180, 9000); /* we asked 180 ms ago */
    kit_socket(k, w,
               (struct facts_socket){.cookie = 5,
                                     .inode = 105,
                                     .state = FACTS_ESTABLISHED,
                                     .local_port = 40001,
                                     .remote_port = 443},
               7, true);
    for (unsigned i = 0; i < 3; i++)
        kit_socket(k, w,
                   (struct facts_socket){.cookie = 6 + i,
                                         .state = FACTS_TIME_WAIT,
                                         .local_port = (uint16_t)(40100 + i),
                                         .remote_port = 443},
                   7, false);
}

static inline void kit_fds(struct kit *k, int w)
{
    for (uint32_t pid = 811; pid <= 813; pid++)
        KIT_ADD(k, w, fds, {.pid = pid, .fd = 3, .inode = 100, .kind = FACTS_FD_SOCKET});
    KIT_ADD(k, w, fds, {.pid = 812, .fd = 10, .inode = 102, .kind = FACTS_FD_SOCKET});
    KIT_ADD(k, w, fds, {.pid = 812, .fd = 11, .inode = 105, .kind = FACTS_FD_SOCKET});
    KIT_ADD(k, w, fds, {.pid = 813, .fd = 10, .inode = 103, .kind = FACTS_FD_SOCKET});
    KIT_ADD(k, w, fds, {.pid = 813, .fd = 2, .inode = 777, .kind = FACTS_FD_PIPE});
    KIT_ADD(k, w, fds, {.pid = 900, .fd = 0, .inode = 777, .kind = FACTS_FD_PIPE});
    KIT_ADD(k, w, pipes, {.inode = 777, .held = 65536, .room = 65536});
}

static inline void kit_world(struct kit *k)
{
    facts_init(&k->facts, wr_heap_libc());
    KIT_LOOKS(w)
    {
        struct facts_look *l = kit_look(k, w);
        l->at_ns = 5000000000U + w * 2000000000U;
        l->wall_ms = 1700000000000U + w * 2000U;
        l->ticks = 100;
        l->page = 4096;
        l->counter[FACTS_PASSIVE_OPENS] = 1000 + w * 824;
        l->counter[FACTS_ACTIVE_OPENS] = 500 + w * 20;
        l->counter[FACTS_LISTEN_OVERFLOWS] = 9;
        l->counter[FACTS_CURR_ESTAB] = 40 + w;
        l->sysctl[FACTS_SYS_PORT_RANGE][0] = 32768;
        l->sysctl[FACTS_SYS_PORT_RANGE][1] = 60999;
        kit_process(k, w, 811, 1, "nginx");
        kit_process(k, w, 812, 811, "nginx");
        kit_process(k, w, 813, 811, "nginx");
        kit_process(k, w, 900, 1, "logger");
        kit_thread(k, w,
                   (struct facts_thread){
                       .pid = 811, .tid = 811, .syscall = SYS_rt_sigsuspend, .ran_ns = 10},
                   "nginx");
        kit_thread(k, w,
                   (struct facts_thread){.pid = 812,
                                         .tid = 812,
                                         .syscall = SYS_epoll_pwait,
                                         .arg = {8},
                                         .voluntary = 100 + w * 1640U,
                                         .ran_ns = w * 620000000U,
                                         .waited_ns = w * 20000000U},
                   "nginx");
        kit_thread(
            k, w,
            (struct facts_thread){.pid = 813, .tid = 813, .syscall = SYS_write, .arg = {2}},
            "nginx");
        KIT_ADD(k, w, cgroups, {.pid = 812, .throttled_us = 1000 + w * 250000U});
        kit_sockets(k, w);
        kit_fds(k, w);
    }
}

/* The looks are whole: the target is the program with this name, NULL: all that listen. */
static inline void kit_seal(struct kit *k, const char *name)
{
    struct target t = {.kind = name ? TARGET_NAME : TARGET_HOST, .name = wr_span_str(name)};
    if (facts_seal(&k->facts.a) || facts_seal(&k->facts.b))
        abort();
    target_groups_init(&k->groups, wr_heap_libc());
    if (target_find(&k->facts.b, &t, 0, &k->groups) < 0)
        abort();
}

static inline void kit_model(struct kit *k)
{
    struct top_input in = {
        .facts = &k->facts, .groups = &k->groups, .findings = &k->found, .lang = k->lang};
    if (top_model_make(&k->model, &in, &k->past))
        abort();
}

static inline void kit_init(struct kit *k)
{
    top_model_init(&k->model, wr_heap_libc());
    top_past_init(&k->past, wr_heap_libc());
    findings_init(&k->found);
    findings_settle(&k->found);
    kit_world(k);
}

/* Facts anew, the past stays: the same world, later_ms after the last one. */
static inline void kit_later(struct kit *k, uint64_t later_ms)
{
    uint64_t at = k->facts.a.at_ns, wall = k->facts.a.wall_ms;
    facts_deinit(&k->facts);
    target_groups_deinit(&k->groups);
    kit_world(k);
    KIT_LOOKS(w)
    {
        kit_look(k, w)->at_ns = at + later_ms * 1000000U + w * 2000000000U;
        kit_look(k, w)->wall_ms = wall + later_ms + w * 2000U;
    }
}

static inline void kit_free(struct kit *k)
{
    facts_deinit(&k->facts);
    target_groups_deinit(&k->groups);
    top_model_free(&k->model);
    top_past_free(&k->past);
}

#endif
