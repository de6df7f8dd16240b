/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_SIM_SIM_H
#define WR_SIM_SIM_H

/*
 * The world around the simulated kernel: what a scenario may do with it.
 *
 * A world is one seed. Everything that the real kernel leaves to chance (which process runs next, how a
 * stream is cut into segments, when a packet arrives, which call fails) is drawn from that seed, so a
 * run is replayed exactly by its number. One world exists at a time; all of it lives in one thread.
 *
 * 1. Library code runs inside simulated processes: coroutines with a memory of their own. Spawning
 *    copies the memory, at the same addresses, as fork does. Statics are shared: the library has none.
 * 2. Clients and origins run outside of processes as state machines (actors) that the kernel calls.
 *    They never see a process's memory; what they know lies in the C library's heap.
 * 3. Simulated time advances by the cost of each system call, and jumps when nobody can run.
 * 4. A violation is recorded once, the first wins, and ends the run.
 * 5. wr_os_* may be called only inside a process; sim_* from anywhere unless it says otherwise.
 */

#include "libweir/base/compiler.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define SIM_US 1000ull
#define SIM_MS 1000000ull
#define SIM_S  1000000000ull

/* Chances are in 1/1000 per call; 0 switches a fault off. */
struct sim_faults {
    unsigned short_read, short_write; /* fewer bytes than asked for and possible */
    unsigned one_byte;                /* a short read or write is of exactly one byte */
    unsigned accept_again;            /* another process took it: -EAGAIN */
    unsigned accept_aborted;          /* -ECONNABORTED */
    unsigned no_files;                /* -ENFILE from socket, accept, open */
    unsigned no_buffers;              /* -ENOBUFS, -ENOMEM from socket calls */
    unsigned wait_spurious;           /* epoll_wait returns nothing before its time */
    unsigned preempt;                 /* another process runs first */
    unsigned split;                   /* a segment is cut at any byte */
    unsigned heap;                    /* an allocation of a process is refused */
    unsigned pause;                   /* a process is not scheduled for up to 50 ms */
};

struct sim_options {
    uint64_t seed;
    bool trace;          /* one line per system call on stdout */
    const char *mutant;  /* the planted bug that is switched on; NULL for none */
    uint64_t latency_ns; /* one way, between two hosts; loopback takes a tenth */
    uint64_t jitter_ns;  /* added at random */
    unsigned somaxconn;  /* 0: 4096 */
    unsigned port_min;   /* ephemeral ports; 0: 32768..60999 */
    unsigned port_max;
    unsigned nofile;     /* descriptors per process; 0: 1024 */
    uint32_t tcp_sndbuf; /* 0: 256 KiB */
    uint32_t tcp_rcvbuf; /* 0: 128 KiB */
    uint64_t disk_bytes; /* 0: unlimited */
    uint64_t
        max_steps; /* system calls + events before the run counts as endless; 0: 50 million */
    uint64_t refuse_nth; /* this allocation of all processes is refused; 0: none */
    struct sim_faults faults;
};

void sim_open(const struct sim_options *options);
void sim_close(void); /* kills all processes, frees everything */

/* A process without a parent (init adopts it). Returns its pid. */
pid_t sim_start(const char *name, int (*fn)(void *arg), void *arg);

/* Runs until the time is reached, a violation, or nothing is left that could happen. */
enum sim_end {
    SIM_TIME,
    SIM_IDLE,
    SIM_VIOLATED
};
enum sim_end sim_run(uint64_t until_ns);

uint64_t sim_now(void);        /* nanoseconds since the world began */
uint64_t sim_steps(void);      /* 0 when no world is open; may be asked in a signal handler, */
const char *sim_running(void); /* as may this: the process that runs now, for people */
uint64_t sim_rand(uint64_t n); /* 0..n-1 */
bool sim_chance(unsigned per_thousand);

WR_PRINTF(1, 2) void sim_violation(const char *fmt, ...);
void sim_give_up(void); /* does not return when a process calls it: its panic hook does */
const char *sim_violated(void); /* NULL while all is well */
WR_PRINTF(1, 2) void sim_trace(const char *fmt, ...);
const char *
sim_captured(void); /* what processes wrote to descriptors 1 and 2, the last 64 KiB */

/* ---- things that happen later -------------------------------------------------------------------- */
struct sim_list {
    struct sim_list *next, *prev;
};

struct sim_event {
    struct sim_list node; /* for whoever keeps events in a list */
    void (*fn)(struct sim_event *e);
    uint64_t at;
    uint64_t order; /* private: breaks ties, by seed */
    uint32_t place; /* private: 1 + index in the heap, 0 when not planned */
};
void sim_at(struct sim_event *e, uint64_t at_ns); /* replaces an earlier plan */
void sim_after(struct sim_event *e, uint64_t delay_ns);
void sim_cancel(struct sim_event *e);

/* ---- actors' sockets ------------------------------------------------------------------------------- */
struct sim_tcp;
struct sim_peer; /* one end of a connection, or a listener, held by an actor */
struct sim_peer_ops {
    void (*connected)(struct sim_peer *p, void *arg, int err); /* err 0 or -errno */
    void (*readable)(struct sim_peer *p, void *arg);           /* bytes, an end or an error */
    void (*writable)(struct sim_peer *p, void *arg);
    void (*incoming)(struct sim_peer *p, void *arg); /* a listener has a connection to accept */
};

/* host is the last 24 bits of 10.x.y.z; the simulated machine itself is 10.0.0.1. Other hosts are also
 * 2001:db8::10.x.y.z. Nobody answers at 192.0.x.y, there is no way to 198.51.x.y, and the same goes for
 * v6 addresses that end so. */
struct sim_peer *sim_dial(uint32_t from_host, uint32_t to_host, uint16_t port,
                          const struct sim_peer_ops *ops, void *arg);
struct sim_peer *sim_serve(uint32_t host, uint16_t port, int backlog,
                           const struct sim_peer_ops *ops, void *arg);
struct sim_peer *sim_take(struct sim_peer *listener, const struct sim_peer_ops *ops, void *arg);
ssize_t sim_recv(struct sim_peer *p, void *out, size_t n); /* 0: end; -EAGAIN; -errno */
ssize_t sim_send(struct sim_peer *p, const void *bytes, size_t n);
void sim_peer_shutdown(struct sim_peer *p);           /* no more bytes from here */
void sim_peer_window(struct sim_peer *p, uint32_t n); /* receive buffer; 0: a zero window */
void sim_hang_up(struct sim_peer **p, bool reset);    /* close, or abort with RST */
/* The process that accepted the other end, or was passed it last; 0: it waits in a listener's queue; -1: it
 * is being passed on; -2: it never came into the queue, which was full each time it was asked. */
pid_t sim_peer_server(const struct sim_peer *p);

/* Datagrams: a service gets each one; addresses are opaque to it. */
struct sim_inet;
typedef void sim_datagram_fn(void *arg, const struct sim_inet *from, const void *bytes,
                             size_t n);
void sim_datagram_serve(uint32_t host, uint16_t port, sim_datagram_fn *fn, void *arg);
/* From a host's port, delay_ns from now and the way: for services, which answer when they like. */
void sim_datagram_send(uint32_t from_host, uint16_t from_port, const struct sim_inet *to,
                       const void *bytes, size_t n, uint64_t delay_ns);

/* ---- looking at the machine ------------------------------------------------------------------------ */
struct sim_host_view {
    unsigned processes;
    unsigned established, close_wait, time_wait, embryos; /* of processes' sockets */
    unsigned queued;      /* connections that wait in the accept queues of processes */
    uint64_t overflows;   /* SYN or ACK dropped because a queue was full */
    uint64_t lost_queued; /* connections reset because their listener died */
    unsigned open_files;
    uint64_t oldest_queued_ns; /* how long the eldest of the queued has waited */
};
void sim_look(struct sim_host_view *out);
uint32_t sim_poll_now(int fd);       /* inside a process: what poll says of its descriptor */
int sim_fds(pid_t pid);              /* open descriptors, -1 when there is no such process */
const char *sim_fd_kinds(pid_t pid); /* a letter per descriptor, for people */
bool sim_alive(pid_t pid);
bool sim_asleep(pid_t pid);      /* all its tasks wait for something */
size_t sim_heap_live(pid_t pid); /* bytes allocated and not freed */
size_t sim_heap_peak(pid_t pid);
uint64_t sim_mapped(pid_t pid);
int sim_exit_status(pid_t pid);              /* as waitpid's; -1 while it runs */
pid_t sim_child(pid_t parent, unsigned nth); /* a live child, or 0 */
void sim_signal(pid_t pid, int sig);
uint64_t sim_heap_calls(void);                     /* allocations asked for, by all processes */
void sim_heap_refuse_nth(pid_t pid, uint64_t nth); /* counted from now; 0: never */
void sim_disk_stuck(bool stuck);
void sim_disk_limit(uint64_t bytes); /* 0: none */
void sim_set_faults(const struct sim_faults *faults);
int sim_file_put(const char *path, const void *bytes, size_t n);
ssize_t sim_file_get(const char *path, const char **out); /* the bytes as they lie; -ENOENT */

#endif
