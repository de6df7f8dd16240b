/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DOCTOR_LOOK_H
#define DOCTOR_LOOK_H

/*
 * The collectors: each asks the kernel one kind of question and adds the answers to a look.
 *
 * Reading and understanding are apart: look_* read, and hand bytes to functions that know nothing of the
 * kernel (row and text functions below), so that recorded, damaged and invented answers are understood
 * by the same code.
 *
 * 1. Nothing is changed, stopped, traced or opened for reading that could be consumed: netlink, readlink, and
 *    files below /proc that have no effect when read.
 * 2. What cannot be read becomes a gap or a bit in process.unread, and the look goes on. Only -ENOMEM and -E2BIG
 *    are returned: then the look is worth nothing.
 * 3. A process may end, and its number be given away, at any time: what vanished is left out without a gap.
 *
 * One thread; the look is the caller's.
 */

#include "weir/doctor/look/facts.h"

/* ---- stepping aside: look_pace.c ----------------------------------------------------------------- */
/*
 * A look is made in pieces of a tenth of a millisecond with pauses between them, so that no request waits longer
 * than a piece for it. The pauses are bounded: when they are used up, as they are on a machine so busy that each
 * lasts far longer than was asked for, the rest of the look is made in one go, and the answer comes in time.
 *
 * Never by a priority below the others': in many of its questions the kernel takes a lock that the observed program
 * takes too (of its epoll set, its pipe, its socket, its memory map), and who is kept from running while holding one
 * stops the program for as long. look_behind is all that is safe: the share stays, but whoever runs when we wake
 * goes on to the end of its turn.
 */
struct look_pace {
    uint64_t begun_ns; /* of this piece */
    uint64_t left_ns;  /* that may still be spent in pauses */
};
/* Of the calling thread and those it starts, for good. */
void look_behind(void);
/* A look begins. aside_ms: at most so much in pauses; 0: none. */
void look_pace(struct look_pace *p, uint32_t aside_ms);
/* Between two questions: pauses if the piece is over. NULL: never. */
void look_pause(struct look_pace *p);
#define LOOK_SOME \
    16 /* rows that cost so little that looking at the clock after each would be dear */

/* ---- sockets: look_tcp.c, look_unix.c ----------------------------------------------------------- */
#define LOOK_LISTEN_ONLY (1U << FACTS_LISTEN)
#define LOOK_ALL_STATES  0xffffffffU

struct look_ask {
    enum facts_proto proto;
    uint32_t states;       /* bits 1 << enum facts_tcp_state */
    const uint16_t *ports; /* only sockets with one of these at either end; none: all */
    uint32_t n_ports;
    const uint32_t *
        detail; /* sorted inodes: who gets a row of tcp facts, and so does inode 0; NULL: all */
    uint32_t n_detail;
};

/* Adds the sockets of both families. */
WR_MUST int look_inet(struct facts_look *l, const struct look_ask *ask);
WR_MUST int look_unix(struct facts_look *l);
/* The TCP sockets of a process's network namespace from /proc/PID/net: what is left where that namespace cannot be
 * entered. No tcp facts, no memory, no drops, no backlog of listeners. look_text.c */
WR_MUST int look_inet_text(struct facts_look *l, const struct look_ask *ask, uint32_t pid);
/* One line of it, family as the file's. -EPROTO: it is none of a socket. */
WR_MUST int look_inet_line(struct facts_look *l, const struct look_ask *ask, int family,
                           struct wr_span line);
/* Is it one of those asked for? */
bool look_is_asked(const struct look_ask *ask, const struct facts_socket *s);

/* One message of an answer. -EPROTO: too short to be one. */
WR_MUST int look_inet_row(struct facts_look *l, const struct look_ask *ask,
                          struct wr_span message);
WR_MUST int look_unix_row(struct facts_look *l, struct wr_span message);

/* ---- processes: look_proc.c ---------------------------------------------------------------------- */
enum look_what {
    LOOK_FDS = 1 << 0,  /* descriptors, and what each is */
    LOOK_SETS = 1 << 1, /* with LOOK_FDS: the epoll sets and io_urings among them */
    LOOK_THREADS = 1 << 2,
    LOOK_FEW_SETS =
        1 << 3, /* with LOOK_SETS: not the sets of who has more than LOOK_MANY_FDS */
};
#define LOOK_MANY_FDS 4096

/* One process; it is no error when there is none (any more). before: an earlier look, sealed, whose descriptors
 * need not all be read again; NULL: none. */
WR_MUST int look_process(struct facts_look *l, uint32_t pid, unsigned what,
                         const struct facts_look *before);
/* Its descriptors: look_fd.c. What cannot be read is noted in io->unread. -ENOMEM, -E2BIG. */
WR_MUST int look_fds(struct facts_look *l, struct facts_process *io, unsigned what,
                     const struct facts_look *before);
/* All that /proc shows. */
WR_MUST int look_processes(struct facts_look *l, unsigned what);
/* Who else has a socket or pipe. */
#define LOOK_HOLDER_FDS \
    512 /* the first ones of a process; the others only for what nobody has among these */
#define LOOK_SMALL_FDS \
    256 /* who has more is searched only once in an examination, unless it held something */
struct look_search {
    const uint64_t *inodes; /* what is searched; sorted */
    const uint32_t *skip;   /* processes that are not; sorted */
    const uint32_t *again;  /* who held something the last time; sorted */
    uint32_t n_inodes, n_skip, n_again;
    struct look_pace *pace; /* NULL: none */
    bool is_again;
    bool deep; /* all descriptors of those who have more than LOOK_HOLDER_FDS, and only those */
    /* Gets each descriptor that is one of them. -ENOMEM and -E2BIG end the search, another negative result the
     * search in this process. */
    int (*fn)(void *arg, const struct facts_fd *held);
    void *arg;
    bool hidden; /* out: there are processes whose descriptors are closed to us */
};
/* -ENOMEM, -E2BIG, or what keeps /proc from being read. */
WR_MUST int look_holders(struct look_search *s);
/* Takes out of these inodes (sorted) the pipes of which the first n_own descriptors of the look have both ends: nobody
 * else need have one. -ENOMEM. */
WR_MUST int look_one_sided(const struct facts_look *l, uint32_t n_own, uint64_t *inodes,
                           uint32_t *io_n);
/* Adds the descriptors, of whatever process, that are the listeners among the look's sockets; a gap says that there are
 * processes whose descriptors are closed to us. As look_holders. */
WR_MUST int look_listeners(struct facts_look *l);
/* The threads of one process again. pace: NULL: none. */
WR_MUST int look_glance(struct facts_glance *g, const struct wr_heap *heap, uint32_t pid,
                        struct look_pace *pace);

/* Of the processes whose parent is among these (sorted), how many are zombies: process.zombies. -ENOMEM. */
WR_MUST int look_zombies(struct facts_look *l, const uint32_t *parents, uint32_t n);
/* What the cgroups of these processes allow: look_cgroup.c. */
WR_MUST int look_cgroups(struct facts_look *l, const uint32_t *pids, uint32_t n);

/* ---- what takes a closer look: look_peek.c, look_futex.c ------------------------------------------ */
/* Both want a sealed look and add rows to its pipes, peeks and futexes (facts_seal_peeks afterwards), of these processes
 * (sorted) only.
 *
 * look_peek asks open files through a copy of the descriptor (pidfd_getfd) that lives for microseconds. While it
 * lives the file is not closed if its owner closes it just then; a reader or writer more is not counted, as an
 * open() of the pipe would be, and nothing is read. SO_ERROR is never asked: asking clears it.
 * whole: the look has every TCP socket, so that one which is in no dump is worth a question.
 *
 * look_futexes reads 24 bytes of the memory of threads that sleep in futex(). */
WR_MUST int look_peek(struct facts_look *l, const uint32_t *pids, uint32_t n, bool whole);
WR_MUST int look_futexes(struct facts_look *l, const uint32_t *pids, uint32_t n);
/* A thread that may hold its process's memory map, or wait for it, for ever: to read that memory would be to wait too. */
bool futex_is_risky(const struct facts_thread *t);
/* The words at addr of a thread that waits with this operation and value: false unless they are a glibc mutex. */
bool futex_is_mutex(const uint32_t words[6], uint32_t operation, uint64_t waits_on,
                    struct facts_futex *io);

/* ---- files open for writing, and the room on their disks: look_disk.c ------------------------------- */
/* Of these processes (sorted); wants a sealed look and adds rows to its disks and files (facts_seal_peeks afterwards).
 * Only file systems that answer from this machine's memory are asked: a file server that is gone would keep us for ever. */
WR_MUST int look_disks(struct facts_look *l, const uint32_t *pids, uint32_t n);

/* ---- a weir server's own books: look_weir.c -------------------------------------------------------- */
/* Of those of these processes that are weir's; the look is sealed. */
WR_MUST int look_weir(struct facts_look *l, const uint32_t *pids, uint32_t n);

/* ---- the machine: look_net.c ---------------------------------------------------------------------- */
/* Counters and sysctls as the calling thread's network namespace has them; with a pid, counters as that process's
 * namespace has them (its sysctls cannot be read from outside). */
void look_net(struct facts_look *l, uint32_t pid);
/* When, who, in which namespace: first of all. */
void look_begin(struct facts_look *l);
void look_end(struct facts_look *l);

/* ---- text of /proc, understood: proc_text.c -------------------------------------------------------- */
struct proc_stat {
    char comm[16];
    char state;
    uint32_t parent, threads;
    uint64_t utime, stime, start, rss_pages;
};
/* A stat file of a process or thread. 0 or -errno. */
WR_MUST int look_stat(const char *path, struct proc_stat *out);
/* What it holds: a line, but for newlines in the name. -EPROTO: it is none. */
WR_MUST int proc_stat(struct wr_span line, struct proc_stat *out);
/* One line of status, and of limits: what it tells goes into *io. */
void proc_status_line(struct wr_span line, struct facts_process *io);
void proc_thread_status_line(struct wr_span line, struct facts_thread *io);
void proc_limits_line(struct wr_span line, struct facts_process *io);
void proc_syscall(struct wr_span line, struct facts_thread *io);
void proc_schedstat(struct wr_span line, struct facts_thread *io);
/* proc_script.c: does this program run others' text, and which: the name in a command line, "" where there is none. */
bool proc_is_interpreter(struct wr_span exe);
struct wr_span proc_script(struct wr_span cmdline);
/* Where a descriptor's link points to. */
void proc_link(struct wr_span link, enum facts_fd_kind *out_kind, uint64_t *out_inode);
/* One line of an epoll set's fdinfo: true if it was a watch. */
bool proc_watch_line(struct wr_span line, struct facts_watch *io);
void proc_ring_line(struct wr_span line, struct facts_ring *io);

/* What fdinfo tells of the flags (octal) of an open file. */
void proc_flags_line(struct wr_span line, uint32_t *io);
/* "name value" as in cpu.stat, memory.events: true if it is that name. */
bool proc_named(struct wr_span line, struct wr_span name, uint64_t *out);
/* A line of mountinfo, if it is of the mount with this id. */
struct proc_mount {
    struct wr_span dir, type; /* dir: a blank in it is \040 */
    bool read_only;
};
bool proc_mount_line(struct wr_span line, uint32_t id, struct proc_mount *out);
/* A line of /proc/PID/cgroup, if it is of this controller; "" is version 2. */
bool proc_cgroup_line(struct wr_span line, struct wr_span controller, struct wr_span *out_path);

/* One line of netstat or snmp at a time: names, then values. names: kept by the caller between lines. */
void net_pair(struct facts_look *l, struct wr_span names, struct wr_span values);
void net_sockstat_line(struct facts_look *l, struct wr_span line);
void net_pressure_line(struct facts_look *l, const char *which, struct wr_span line);
void net_softnet_line(struct facts_look *l, struct wr_span line);
/* A line of net/dev; -EPROTO: it is none of an interface. */
WR_MUST int net_nic_line(struct facts_look *l, struct wr_span line);
void net_sysctl(struct facts_look *l, enum facts_sysctl s, struct wr_span text);

/* The next word between blanks; false when there is none. */
bool proc_word(struct wr_span *rest, struct wr_span *out);

/* ---- files and sets of numbers: look_file.c -------------------------------------------------------------------------- */
#define LOOK_LINE_MAX 16384 /* what is longer comes in pieces */

/* fn for every line, without its end. 0 or -errno; a file without a last newline has a last line. */
WR_MUST int look_lines(const char *path, void (*fn)(void *arg, struct wr_span line), void *arg);
/* fn for every number that is a name in this directory, which dir is. -errno, or the first negative result of fn. */
WR_MUST int look_numbers(const char *path, int (*fn)(void *arg, int dir, uint32_t number),
                         void *arg);
/* The same of a directory of descriptors, /proc/PID/fd, whose names are mostly 0, 1, 2 ...: they are tried, and listed only
 * where many are missing. fn returns 1 where there is one, 0 where there is none. */
WR_MUST int look_descriptors(const char *path, int (*fn)(void *arg, int dir, uint32_t number),
                             void *arg);

/* Is v in a sorted array? */
bool look_has32(const uint32_t *sorted, uint32_t n, uint32_t v);
bool look_has64(const uint64_t *sorted, uint32_t n, uint64_t v);
/* Makes an array one: sorted, each value once. The number that is left. */
uint32_t look_set32(uint32_t *v, uint32_t n);
uint32_t look_set64(uint64_t *v, uint32_t n);

#endif
