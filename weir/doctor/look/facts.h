/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DOCTOR_FACTS_H
#define DOCTOR_FACTS_H

/*
 * What the doctor saw: the facts that rules judge, and nothing that a rule concluded.
 *
 * A look is one pass over the kernel's answers: lists of plain rows (sockets, processes, threads, descriptors ...),
 * tables of counters and sysctls, and a list of what could not be read. Collectors (look_*.c) add rows, facts_seal
 * sorts them, and from then on nobody writes. Two looks with glances at the threads between them are the facts
 * of one examination; a file (record.h) holds the same.
 *
 * Invariants
 * 1. A sealed look does not change. Sockets are sorted by cookie, unix sockets and pipes by inode, processes by pid,
 *    threads by tid, descriptors, peeks and files by (pid, fd), watches by (inode, pid), futexes, rings and cgroups by pid, disks by
 *    mount; facts_* find in them by halving.
 * 2. Rows name each other by what the kernel calls them (pid, tid, inode, cookie), never by place: so the same
 *    thing is found in both looks.
 * 3. What is not known is said, not guessed: FACTS_UNKNOWN in a number, a bit in process.unread, a row in gaps.
 *    An empty list means "none" only where no gap tells otherwise.
 * 4. Text of the observed machine (names, paths) may hold any bytes but 0. Who prints it, escapes it.
 *
 * A look owns its memory, from the heap given to facts_look_init. Adding fails with -ENOMEM or, beyond
 * FACTS_ROWS_MAX, -E2BIG. One thread at a time while it is filled, any number afterwards.
 */

#include "libweir/base/compiler.h"
#include "libweir/base/heap.h"
#include "libweir/base/span.h"

#include <stdbool.h>

#define FACTS_UNKNOWN  UINT64_MAX /* of a 64-bit fact */
#define FACTS_NONE     UINT32_MAX /* of a 32-bit fact or a place */
#define FACTS_ROWS_MAX 4000000U   /* in one list */
#define FACTS_GLANCES  8          /* at most, between two looks */

enum { /* what there is to see, and what a rule has to */
    SEE_DIAG = 1 << 0,
    SEE_UDP = 1 << 1,
    SEE_UNIX = 1 << 2,
    SEE_FDS = 1 << 3,
    SEE_EPOLL = 1 << 4,
    SEE_THREADS = 1 << 5,
    SEE_MEMORY = 1 << 6,
    SEE_COUNTERS = 1 << 7,
    SEE_HOST = 1 << 8, /* sysctls, cgroups, pressure */
};

/* ---- sockets ------------------------------------------------------------------------------------- */
enum facts_proto {
    FACTS_TCP = 6,
    FACTS_UDP = 17,
};

enum facts_tcp_state { /* as the kernel numbers them */
    FACTS_ESTABLISHED = 1,
    FACTS_SYN_SENT,
    FACTS_SYN_RECV,
    FACTS_FIN_WAIT1,
    FACTS_FIN_WAIT2,
    FACTS_TIME_WAIT,
    FACTS_CLOSE,
    FACTS_CLOSE_WAIT,
    FACTS_LAST_ACK,
    FACTS_LISTEN,
    FACTS_CLOSING,
    FACTS_NEW_SYN_RECV,
    FACTS_BOUND_INACTIVE,
};

enum facts_timer {
    FACTS_TIMER_NONE,
    FACTS_TIMER_RETRANSMIT,
    FACTS_TIMER_KEEPALIVE,
    FACTS_TIMER_TIME_WAIT,
    FACTS_TIMER_PERSIST, /* the peer's window is closed */
};

struct facts_socket {
    uint64_t cookie;
    uint32_t
        inode; /* 0: no process has it: not accepted yet, or left behind by one that closed it */
    uint8_t proto, family; /* enum facts_proto; AF_INET, AF_INET6 */
    uint8_t state, timer;  /* enum facts_tcp_state, enum facts_timer */
    uint8_t retrans;       /* of the running timer */
    uint8_t shutdown;      /* bit 0: no more reading, bit 1: no more writing */
    uint16_t local_port, remote_port;
    uint8_t local[16], remote[16]; /* v4: the first 4 */
    uint32_t interface, uid;
    uint32_t
        rqueue; /* LISTEN: not accepted yet; else unread bytes, + 1 for a FIN that was not read */
    uint32_t wqueue; /* LISTEN: the backlog; else bytes not acknowledged */
    uint32_t timer_ms;
    uint32_t rmem, rcvbuf, wmem, sndbuf; /* FACTS_NONE: not told */
    uint32_t backlog_bytes;
    uint32_t drops; /* LISTEN: handshakes; UDP: datagrams */
    uint32_t
        tcp; /* place in look.tcps, FACTS_NONE: no such facts (TIME_WAIT, a young request) */
};

/* A subset of tcp_info. known: how many bytes of it this kernel gave; the rows of an old kernel end early, and
 * what it did not give is all ones. */
struct facts_tcp {
    uint8_t ca_state, retransmits, probes, backoff, options;
    uint16_t known;
    uint32_t rto_us, ato_us, snd_mss, rcv_mss;
    uint32_t unacked, sacked, lost, retrans, total_retrans;
    uint32_t last_data_sent_ms, last_data_recv_ms, last_ack_recv_ms;
    uint32_t rtt_us, rttvar_us, min_rtt_us, snd_cwnd, rcv_space, snd_wnd;
    uint32_t segs_out, segs_in, data_segs_in, data_segs_out, notsent_bytes, dsack_dups;
    uint32_t rcv_rtt_us, rcv_ssthresh; /* the receiver's round trip; the window it may offer */
    uint64_t bytes_acked, bytes_received, bytes_sent, bytes_retrans, delivery_rate;
    uint64_t busy_us, rwnd_limited_us, sndbuf_limited_us;
};

struct facts_unix {
    uint64_t cookie;
    uint32_t inode, peer; /* peer: inode, 0: none */
    uint8_t type, state; /* SOCK_STREAM ...; enum facts_tcp_state: LISTEN, ESTABLISHED, CLOSE */
    uint8_t shutdown;
    uint32_t rqueue, wqueue; /* as of facts_socket */
    uint32_t rmem, rcvbuf, wmem, sndbuf, drops;
    uint32_t name; /* text; abstract names begin with '@' */
};

/* ---- processes ----------------------------------------------------------------------------------- */
enum facts_unread { /* why a process's lists may be short */
    FACTS_UNREAD_STAT = 1 << 0,
    FACTS_UNREAD_FDS = 1 << 1,
    FACTS_UNREAD_FDINFO = 1 << 2,
    FACTS_UNREAD_THREADS = 1 << 3,
    FACTS_UNREAD_SYSCALL = 1 << 4,
    FACTS_UNREAD_LIMITS = 1 << 5,
    FACTS_UNREAD_EXE = 1 << 6,
    FACTS_UNREAD_MEMORY = 1 << 7,
};

struct facts_process {
    uint64_t start;        /* ticks after boot: with the pid, an identity */
    uint64_t utime, stime; /* ticks, all threads */
    uint64_t rss_pages;
    uint64_t fds; /* descriptors it has, known to everybody; FACTS_UNKNOWN on old kernels */
    uint64_t nofile_soft, nofile_hard; /* FACTS_UNKNOWN: not read; UINT64_MAX - 1: unlimited */
    uint64_t net;                      /* inode of its network namespace, 0: not known */
    uint32_t pid, parent, uid, threads, tracer;
    uint32_t unread;  /* bits of enum facts_unread */
    uint32_t zombies; /* children that ended and were not waited for; FACTS_NONE: not counted */
    char state;       /* as ps: R S D T t Z */
    char comm[16];
    uint32_t exe, cgroup; /* text */
    uint32_t script;      /* text: what an interpreter runs, "worker.py" */
};

enum facts_syscall {
    FACTS_SYSCALL_RUNNING = -1,
    FACTS_SYSCALL_UNKNOWN = -2,
};

struct facts_thread {
    uint64_t start;
    uint64_t voluntary, involuntary; /* context switches; FACTS_UNKNOWN */
    uint64_t utime, stime;           /* ticks */
    uint64_t ran_ns, waited_ns;      /* on the processor, for the processor; FACTS_UNKNOWN */
    uint64_t arg[6];
    int32_t syscall; /* number on this machine, or enum facts_syscall */
    uint32_t pid, tid;
    char state;
    char comm[16];
    char wchan[40]; /* "": not told */
};

enum facts_fd_kind {
    FACTS_FD_OTHER,
    FACTS_FD_FILE,
    FACTS_FD_SOCKET,
    FACTS_FD_PIPE,
    FACTS_FD_EPOLL,
    FACTS_FD_EVENT,
    FACTS_FD_TIMER,
    FACTS_FD_RING, /* io_uring */
    FACTS_FD_TTY,
};

struct facts_fd {
    uint64_t inode; /* of sockets and pipes, else 0 */
    uint32_t pid;
    int32_t fd;
    uint32_t path;  /* text, of files and ttys */
    uint32_t flags; /* O_NONBLOCK ..., FACTS_NONE: not asked */
    uint8_t kind;
};

#define FACTS_WATCH_EDGE      (1U << 31)
#define FACTS_WATCH_ONESHOT   (1U << 30)
#define FACTS_WATCH_EXCLUSIVE (1U << 28)

struct facts_watch { /* one descriptor in one epoll set */
    uint64_t inode;  /* FACTS_UNKNOWN on old kernels */
    uint32_t pid;
    int32_t epoll, fd;
    uint32_t events; /* the mask; of a one-shot that fired only the control bits are left */
};

struct facts_ring {
    uint32_t pid;
    int32_t fd;
    uint32_t sq_head, sq_tail, cq_head, cq_tail;
    uint32_t polls, accepts, reads; /* that it waits for */
};

struct facts_pipe {
    uint64_t inode;
    uint32_t held, room; /* bytes */
};

/* A glibc mutex that a thread waits for. Other locks have other layouts: a row is here only if all of it makes sense
 * as a mutex. */
struct facts_futex {
    uint64_t addr;
    uint32_t pid, tid, word; /* who waits; the lock word */
    uint32_t owner,
        kind; /* tid of who has it; as glibc numbers them: 0 normal, 1 recursive, +16 robust, +32 PI,
                             +128 shared between processes */
};

/* What the socket behind a descriptor says when it is asked (pidfd_getfd, getsockopt): of those that no dump
 * shows, of connections that look odd, and of a few others of each process. All ones: not told. */
struct facts_peek {
    uint64_t inode;
    uint64_t bytes; /* ever moved by it, both ways; FACTS_UNKNOWN: it is not TCP */
    uint32_t pid;
    int32_t fd;
    uint32_t name; /* text, of the protocol as the kernel calls it: "TCP", "TCPv6", "UDP" ... */
    uint16_t family, type, protocol; /* AF_..., SOCK_..., IPPROTO_... */
    uint8_t state;                   /* enum facts_tcp_state */
    uint8_t shown;                   /* 0: it is in no dump of this look */
    uint8_t nodelay, keepalive;      /* 0, 1 */
    uint32_t user_timeout_ms, receive_timeout_ms, send_timeout_ms; /* 0: none */
};

struct facts_disk { /* a file system on which a process has a file open for writing */
    uint64_t room, free, left;    /* bytes: all, not in use, and of these for who is not root */
    uint64_t inodes, inodes_left; /* 0: their number has no limit */
    uint32_t mount;               /* its id, the same in all mount namespaces */
    uint32_t type, dir;           /* text: "ext4", where it is mounted */
};

struct facts_file { /* open for writing there */
    uint64_t position, size;
    uint64_t changed_ns; /* CLOCK_REALTIME; a write that fails for want of room sets it too */
    uint32_t pid;
    int32_t fd;
    uint32_t mount;
};

/* What a process's cgroup allows it, and how often it said no. Limits of the cgroups above count too: quota and
 * memory are the tightest of them, the counters the sums. FACTS_UNKNOWN: not told, or no such limit. */
struct facts_cgroup {
    uint32_t pid;
    uint8_t version; /* 1, 2 */
    uint32_t path;   /* text */
    uint64_t periods, throttled, throttled_us;
    uint64_t quota_us, period_us;
    uint64_t memory, memory_max; /* bytes */
    uint64_t tcp, tcp_max;       /* bytes in sockets, where they have a limit (version 1) */
    uint64_t tcp_peak;           /* the most there ever were */
    uint64_t oom_kills;
};

struct facts_nic { /* an interface of the machine */
    uint32_t name; /* text */
    uint64_t rx_packets, rx_errors, rx_dropped, rx_fifo, tx_packets, tx_errors, tx_dropped;
};

/* ---- the machine ------------------------------------------------------------------------------ */
enum facts_counter {
#define COUNTER(id, group, name) FACTS_##id,
#define SYSCTL(id, path)
#include "weir/doctor/look/facts.def"
    FACTS_COUNTERS
};

enum facts_sysctl {
#define COUNTER(id, group, name)
#define SYSCTL(id, path) FACTS_SYS_##id,
#include "weir/doctor/look/facts.def"
    FACTS_SYSCTLS
};

struct facts_gap {
    uint32_t what; /* text: a file, or the question that was asked */
    uint32_t pid;  /* 0: the machine */
    int32_t error; /* -errno */
};

/* ---- who was asked for, and what a weir says of itself ------------------------------------------- */
struct
    facts_target { /* one process of one target; a target of which no process is seen has pid 0 */
    uint32_t group, pid, uid;
    uint16_t port; /* that was asked for, or of the listener whose owner is hidden */
    uint8_t lead;
};

struct facts_weir { /* a worker of weir, as its scoreboard in shared memory tells */
    uint32_t pid, worker;
    uint8_t state;                     /* enum wr_seat_state */
    uint64_t accepted, requests, open; /* connections, requests, open connections */
    uint64_t heartbeat_ms;             /* ago; FACTS_UNKNOWN: none yet */
    uint64_t running_ms;               /* in one callback; FACTS_UNKNOWN: it waits for events */
    uint64_t running_fn;               /* its address */
    uint64_t
        stuck_ms; /* since its master found that it does not move; FACTS_UNKNOWN: it moves */
    int32_t fd;   /* of the callback, or that it is stuck on; -1: none */
    uint32_t what, syscall, path; /* text: stuck in what, as the master found */
};

struct facts_weir_stage { /* its connections in one stage, and the oldest of them */
    uint32_t pid, count;
    uint8_t stage;                        /* enum conns_state */
    uint64_t number, age_ms, in_stage_ms; /* of the oldest: its id, its age, its time there */
    uint64_t left_ms;                     /* until its deadline; FACTS_UNKNOWN: it has none */
    uint32_t requests, fd;
    uint32_t peer, doing; /* text */
};

struct facts_weir_pool { /* of connections, of any program on libweir that lends from one */
    uint32_t pid;
    uint32_t name; /* text */
    uint64_t max_open, open, lent, waiting;
    uint64_t waited_ms; /* the oldest that waits; FACTS_UNKNOWN: nobody does */
};

struct facts_weir_lease { /* the longest held of a pool */
    uint32_t pid;
    uint32_t pool, where; /* text: name; who borrowed, "on_request (shop.c:42)" */
    uint64_t lease, held_ms;
};

struct facts_weir_event { /* from its flight recorder, oldest first */
    uint32_t pid;
    uint32_t line; /* text */
};

/* ---- a look --------------------------------------------------------------------------------------- */
#define FACTS_LIST(type) \
    struct {             \
        type *v;         \
        uint32_t n;      \
        uint32_t room;   \
    }

struct facts_index { /* places in a list, in another order than the list's */
    FACTS_LIST(uint32_t);
};

struct look_pace; /* look.h */

struct facts_look {
    uint64_t at_ns, took_ns; /* CLOCK_MONOTONIC at its begin */
    uint64_t wall_ms;        /* CLOCK_REALTIME */
    uint64_t net;            /* inode of the network namespace that was asked */
    uint32_t looker;         /* uid of who looked */
    uint32_t ticks;          /* per second, in utime, stime, start */
    uint32_t page;           /* bytes, in rss_pages */
    FACTS_LIST(struct facts_socket) sockets;
    FACTS_LIST(struct facts_tcp) tcps;
    FACTS_LIST(struct facts_unix) unixes;
    FACTS_LIST(struct facts_process) processes;
    FACTS_LIST(struct facts_thread) threads;
    FACTS_LIST(struct facts_fd) fds;
    FACTS_LIST(struct facts_watch) watches;
    FACTS_LIST(struct facts_ring) rings;
    FACTS_LIST(struct facts_pipe) pipes;
    FACTS_LIST(struct facts_futex) futexes;
    FACTS_LIST(struct facts_peek) peeks;
    FACTS_LIST(struct facts_disk) disks;
    FACTS_LIST(struct facts_file) files;
    FACTS_LIST(struct facts_cgroup) cgroups;
    FACTS_LIST(struct facts_nic) nics;
    FACTS_LIST(struct facts_gap) gaps;
    FACTS_LIST(struct facts_target) targets;
    FACTS_LIST(struct facts_weir) weirs;
    FACTS_LIST(struct facts_weir_stage) weir_stages;
    FACTS_LIST(struct facts_weir_event) weir_events;
    FACTS_LIST(struct facts_weir_pool) weir_pools;
    FACTS_LIST(struct facts_weir_lease) weir_leases;
    uint64_t counter[FACTS_COUNTERS];  /* FACTS_UNKNOWN */
    uint64_t sysctl[FACTS_SYSCTLS][3]; /* FACTS_UNKNOWN; most have one value */
    /* private */
    FACTS_LIST(char) text;          /* 0-terminated pieces; place 0 is "" */
    struct facts_index fd_by_inode; /* places in fds of sockets and pipes */
    struct facts_index socket_by_inode;
    const struct wr_heap *heap;
    struct look_pace *pace; /* of who fills it; NULL: as fast as it goes */
    bool sealed;
};

struct
    facts_glance { /* only the threads, between two looks; without wchan, ran_ns, waited_ns */
    uint64_t at_ns;
    FACTS_LIST(struct facts_thread) threads; /* sorted by tid */
};

struct facts {
    struct facts_look a, b;
    struct facts_glance glance[FACTS_GLANCES];
    uint32_t glances;
};

void facts_init(struct facts *f, const struct wr_heap *heap);
void facts_deinit(struct facts *f);

/* ---- finding in a sorted list ----------------------------------------------------------------------- */
/* The first place in 0..n for which the expression `before`, of the place `at`, is false: where a sorted list goes on. */
#define FACTS_FIRST_NOT(n, at, before)           \
    (__extension__({                             \
        uint32_t lo_ = 0, hi_ = (n);             \
        while (lo_ < hi_) {                      \
            uint32_t at = lo_ + (hi_ - lo_) / 2; \
            if (before)                          \
                lo_ = at + 1;                    \
            else                                 \
                hi_ = at;                        \
        }                                        \
        lo_;                                     \
    }))

/* ---- finding, in a sealed look: NULL when there is none ------------------------------------------ */
const struct facts_socket *facts_socket(const struct facts_look *l, uint64_t cookie);
const struct facts_socket *facts_socket_of_inode(const struct facts_look *l, uint64_t inode);
/* The TCP or UDP socket that this descriptor is. */
const struct facts_socket *facts_socket_of_fd(const struct facts_look *l,
                                              const struct facts_fd *fd);
const struct facts_unix *facts_unix(const struct facts_look *l, uint64_t inode);
const struct facts_process *facts_process(const struct facts_look *l, uint32_t pid);
const struct facts_fd *facts_fd(const struct facts_look *l, uint32_t pid, int fd);
const struct facts_pipe *facts_pipe(const struct facts_look *l, uint64_t inode);
const struct facts_peek *facts_peek(const struct facts_look *l, uint32_t pid, int fd);
const struct facts_disk *facts_disk(const struct facts_look *l, uint32_t mount);
const struct facts_file *facts_file(const struct facts_look *l, uint32_t pid, int fd);
const struct facts_futex *facts_futex(const struct facts_look *l, uint32_t pid, uint32_t tid);
const struct facts_cgroup *facts_cgroup(const struct facts_look *l, uint32_t pid);
/* The same thread in any list of threads: start tells it from a later one with the same number. */
const struct facts_thread *facts_thread(const struct facts_thread *v, uint32_t n, uint32_t tid,
                                        uint64_t start);
/* NULL where the kernel gave none. */
const struct facts_tcp *facts_tcp(const struct facts_look *l, const struct facts_socket *s);
const char *facts_text(const struct facts_look *l, uint32_t at);

/* Runs of rows: *out_n of them, side by side in their list. */
const struct facts_fd *facts_fds(const struct facts_look *l, uint32_t pid, uint32_t *out_n);
const struct facts_watch *facts_watches(const struct facts_look *l, uint64_t inode,
                                        uint32_t *out_n);
/* The i-th descriptor, of whatever process, that is this socket or pipe; NULL behind the last. */
const struct facts_fd *facts_owner(const struct facts_look *l, uint64_t inode, uint32_t i);

/* Calls fn for every descriptor that is a socket of the list, socket by socket: place is the socket's. */
void facts_owners(const struct facts_look *l,
                  void (*fn)(void *arg, uint32_t place, const struct facts_fd *fd), void *arg);

/* How much a counter rose from a to b: FACTS_UNKNOWN unless both have it; 0 when it fell. */
uint64_t facts_rise(const struct facts *f, enum facts_counter c);

/* ---- filling: collectors and record.c ---------------------------------------------------------- */
void facts_look_init(struct facts_look *l, const struct wr_heap *heap);
void facts_look_deinit(struct facts_look *l);
void facts_glance_deinit(struct facts_glance *g, const struct wr_heap *heap);

/* FACTS_ADD(&look->pipes, heap, &row): appends a copy of the row. 0, -ENOMEM, -E2BIG. */
#define FACTS_ADD(list, heap, row)                                                    \
    (__extension__({                                                                  \
        __typeof__(list) list_ = (list);                                              \
        int err_ = facts_grow_((heap), (void **)&list_->v, &list_->room, list_->n, 1, \
                               sizeof *list_->v);                                     \
        if (!err_)                                                                    \
            list_->v[list_->n++] = *(row);                                            \
        err_;                                                                         \
    }))
#define FACTS_DROP(list, heap)                                                     \
    do {                                                                           \
        wr_heap_free((heap), (list)->v, (size_t)(list)->room * sizeof *(list)->v); \
        (list)->v = NULL, (list)->n = (list)->room = 0;                            \
    } while (0)

int facts_grow_(const struct wr_heap *heap, void **io_v, uint32_t *io_room, uint32_t n,
                uint32_t more, size_t size) WR_MUST;

/* Keeps a piece of text, up to a byte 0 in it; *out_at is its place. */
WR_MUST int facts_text_add(struct facts_look *l, struct wr_span s, uint32_t *out_at);
/* Something could not be read. A gap for which there is no memory is lost. */
void facts_gap(struct facts_look *l, const char *what, uint32_t pid, int error);
/* Sorts and makes the indexes. -ENOMEM: the look is not sealed. */
WR_MUST int facts_seal(struct facts_look *l);
/* Sorts again the lists that are filled after sealing because filling them takes finding: pipes, futexes, peeks,
 * disks, files. */
void facts_seal_peeks(struct facts_look *l);
void facts_glance_seal(struct facts_glance *g);

const char *facts_counter_name(enum facts_counter c);  /* as the kernel calls it */
const char *facts_counter_group(enum facts_counter c); /* "TcpExt", "Tcp", "sockstat TCP" ... */
const char *facts_sysctl_path(enum facts_sysctl s);    /* below /proc/sys/ */

#endif
