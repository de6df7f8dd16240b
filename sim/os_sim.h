/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_SIM_OS_SIM_H
#define WR_SIM_OS_SIM_H

/*
 * The inside of the simulated kernel: shared by os_sim*.c, seen by nobody else.
 *
 * A task is a coroutine (one thread of one process). A system call is a C function that runs on the
 * task's own stack; when it must wait it parks the task and returns to the scheduler. Kernel objects
 * are "files" (open file descriptions) with a reference count and a list of those who watch them.
 *
 * 1. The memory of a process (stacks and heap) lies at a fixed range of addresses of its family, and only
 *    one process's memory is mapped there at a time. So nothing here may read or write a process's memory
 *    except in a call made by a task of that process, while it runs.
 * 2. Everything that can wake somebody goes through sim_wake with the poll bits as key (0: any), as
 *    in Linux; epoll's edges are these wakes, and poll() is asked again when events are collected.
 * 3. Randomness comes from sim_rand alone, time from sim_now alone.
 */

#include "sim/sim.h"

#include "libweir/os/os.h"

static inline void sim_list_init(struct sim_list *l)
{
    l->next = l->prev = l;
}

static inline bool sim_list_empty(const struct sim_list *l)
{
    return l->next == l;
}

static inline void sim_list_add(struct sim_list *l, struct sim_list *n) /* at the tail */
{
    n->prev = l->prev;
    n->next = l;
    l->prev->next = n;
    l->prev = n;
}

static inline void sim_list_del(struct sim_list *n)
{
    n->prev->next = n->next;
    n->next->prev = n->prev;
    sim_list_init(n);
}

#define SIM_EACH_SAFE(list, it, following)                                        \
    for (struct sim_list *it = (list)->next, *following = it->next; it != (list); \
         it = following, following = it->next)

/* ---- files ----------------------------------------------------------------------------------------- */
enum sim_kind {
    SIM_EPOLL,
    SIM_EVENTFD,
    SIM_SIGNALFD,
    SIM_PIDFD,
    SIM_PIPE_READ,
    SIM_PIPE_WRITE,
    SIM_REGULAR,
    SIM_TCP,
    SIM_UNIX,
    SIM_UDP,
};

struct sim_file;
struct sim_file_ops {
    uint32_t (*poll)(struct sim_file *f);
    void (*release)(struct sim_file *f); /* the last reference is gone; frees it */
    /* One attempt: bytes, 0, or -EAGAIN when it would have to wait. */
    ssize_t (*recv)(struct sim_file *f, struct msghdr *m, int flags);
    ssize_t (*send)(struct sim_file *f, const struct msghdr *m, int flags);
};

struct sim_file {
    const struct sim_file_ops *ops;
    enum sim_kind kind;
    int refs;
    bool nonblock;
    struct sim_list waiters; /* of struct sim_waiter */
    struct sim_list watches; /* of epoll's items, to forget them on release */
};

struct sim_waiter {
    struct sim_list node;
    bool exclusive;
    /* True when an exclusive waiter was really woken: the walk stops after it. */
    bool (*fn)(struct sim_waiter *w, uint32_t key);
};

void sim_file_init(struct sim_file *f, enum sim_kind kind, const struct sim_file_ops *ops);
void sim_file_drop(struct sim_file *f); /* one reference less */
void sim_wake(struct sim_file *f, uint32_t key);
uint64_t sim_files_open(void);

/* ---- tasks and processes ----------------------------------------------------------------------------- */
enum sim_task_state {
    SIM_READY,
    SIM_RUNNING,
    SIM_WAITING,
    SIM_ENDED
};

struct sim_task {
    struct sim_proc *proc;
    struct sim_list node; /* in proc->tasks */
    enum sim_task_state state;
    uint32_t ready_place; /* 1 + index among the ready */
    void *context;        /* the saved stack pointer */
    char *stack_low;      /* canary lies here */
    void *asan_stack;
    void (*thread_fn)(void *arg);
    int (*main_fn)(void *arg);
    void *arg;
    struct sim_waiter waiter; /* on one file at most */
    struct sim_event timeout;
    bool timed_out;
    struct sim_file *held; /* by the call that is going on; dropped if the task dies in it */
    struct sim_task *joiner;
    bool is_main, joined_or_main;
    unsigned stack_slot;
};

struct sim_proc {
    pid_t pid, parent;
    char name[16];
    struct sim_list node; /* in world->procs */
    struct sim_list tasks;
    struct sim_file **fds;
    unsigned fd_count; /* size of the table */
    unsigned fd_open;
    uint64_t sigmask, pending;
    struct sim_list signalfds;
    int death_signal;
    bool ended, stopped, reaped;
    int status;
    struct sim_list pidfds;
    struct sim_file *exit_watch; /* waiters for the exit: pidfds share it */
    struct rlimit limits[RLIM_NLIMITS];
    uint64_t cpu_ns;
    int memory_slot; /* where its range is parked; -1 once dead */
    unsigned family;
    size_t memory_size; /* of the range, what is there */
    void *shadow;       /* of the sanitizer, while not mapped */
    unsigned stack_depth;
    uint64_t refuse_nth;
    size_t heap_live, heap_peak, heap_inherited, mapped;
    struct sim_event pause;
    bool paused;
};

/* ---- where processes' memory lies (os_sim_memory.c) ---------------------------------------------------- */
#define SIM_BASE       0x200000000000ull
#define SIM_PARK       0x210000000000ull
#define SIM_FAMILY     (1ull << 30) /* from one family's range to the next one's */
#define SIM_FAMILIES   8u
#define SIM_PAGE_TABLE (2ull << 20)
#define SIM_HEAP_SIZE  (96ull << 20)
#define SIM_STACK_SIZE (256ull << 10)
#define SIM_STACKS     48u
#define SIM_RANGE      (SIM_HEAP_SIZE + SIM_STACKS * SIM_STACK_SIZE)

struct sim_world {
    struct sim_options opt;
    uint64_t now, steps, random[4], next_order, heap_calls;
    struct sim_event **plan; /* binary heap by time */
    uint32_t planned, plan_room;
    struct sim_task **ready;
    uint32_t ready_count, ready_room;
    struct sim_list procs;
    struct sim_task *current;
    struct sim_proc *mapped[SIM_FAMILIES]; /* whose memory lies in the family's range */
    unsigned families;
    size_t memory_least; /* of a process */
    pid_t last_pid;
    void *context; /* of the scheduler */
    char violation[512];
    bool violated;
    struct sim_list tcps, listeners, bound_udp, bound_unix, inodes, flying;
    struct sim_tuple **tuples;
    uint64_t overflows, lost_queued;
    uint64_t files_open;
    uint64_t disk_used;
    bool disk_stuck;
    struct sim_file *disk_wait;
    char *captured;
    size_t captured_n;
};
extern struct sim_world *sim_world;

/* Begins a system call: time passes, due events happen, another process may run first. */
void sim_enter(void);
/* Parks the current task until a wake of f (NULL: none), or the time. False: the time came. */
bool sim_park(struct sim_file *f, uint64_t until_ns);
void sim_hold(struct sim_file *f); /* for the length of a call that may park */
void sim_let_go(void);
struct sim_proc *sim_self(void);
struct sim_proc *sim_proc_find(pid_t pid);
bool sim_fault(unsigned per_thousand);
void sim_resume(struct sim_task *t);
void sim_post_signal(struct sim_proc *p, int sig);
void sim_run_due(void);
struct sim_proc *sim_proc_new(const char *name, struct sim_proc *parent);
struct sim_task *sim_task_new(struct sim_proc *p);
void sim_proc_end(struct sim_proc *p, int status);
void sim_proc_free(struct sim_proc *p);
WR_NORETURN void sim_task_leave(void); /* the current task never runs again */
void sim_yield(void);
void sim_proc_stop(struct sim_proc *p, bool stop);
void sim_capture(const char *bytes, size_t n);

int sim_fd_new(struct sim_file *f);  /* takes the reference; -EMFILE drops it */
struct sim_file *sim_fd_get(int fd); /* NULL: bad descriptor; no new reference */
int sim_fd_close(struct sim_proc *p, int fd);

/* ---- coroutines and memory (os_sim_memory.c) ---------------------------------------------------------- */
void sim_memory_open(void);
void sim_memory_new(struct sim_proc *p, struct sim_proc *parent); /* a copy, or empty */
void sim_memory_drop(struct sim_proc *p);
void sim_memory_map(struct sim_proc *p);
void sim_stack_prepare(struct sim_task *t);
void sim_switch_to(struct sim_task *t); /* scheduler -> task; returns when it parks */
void sim_switch_back(bool for_ever);    /* task -> scheduler */
int sim_unmap_private(void *p, size_t n);
bool sim_address_private(const void *p); /* in the range, so a process's own */

/* ---- sockets --------------------------------------------------------------------------------------- */
struct sim_inet {
    struct in6_addr ip; /* v4 as ::ffff:a.b.c.d */
    uint16_t port;      /* host order */
};
int sim_inet_from(const struct sockaddr *sa, socklen_t n, struct sim_inet *out);
void sim_inet_to(const struct sim_inet *a, int family, struct sockaddr *sa, socklen_t *n);
struct sim_inet sim_inet_host(uint32_t host, uint16_t port);
bool sim_inet_local(const struct sim_inet *a); /* an address of the simulated machine */
bool sim_inet_loopback(const struct sim_inet *a);
bool sim_inet_any(const struct sim_inet *a);
bool sim_inet_twin(const struct sim_inet *four, const struct sim_inet *six);
uint64_t sim_latency(const struct sim_inet *to);
int sim_port_take(const struct sim_inet *from,
                  const struct sim_inet *to); /* a port or -errno */
void sim_port_free(const struct sim_inet *from, const struct sim_inet *to, bool linger);

struct sim_file *sim_tcp_new(int family);
struct sim_file *sim_udp_new(int family);
struct sim_file *sim_unix_new(int type);
int sim_unix_pair(int type, struct sim_file *out[2]);
void sim_tcp_close_all(void);
void sim_udp_close_all(void);
size_t sim_unix_room(struct sim_file *f);
size_t sim_tcp_room(struct sim_file *f);
void sim_served(struct sim_file *f,
                pid_t by); /* nothing happens unless it is a connection's end */
unsigned sim_ports_waiting(void);
void sim_ports_close(void);
size_t sim_file_room(struct sim_file *f); /* bytes a send would take now */

struct sim_sock_ops {
    int (*bind)(struct sim_file *f, const struct sockaddr *sa, socklen_t n);
    int (*listen)(struct sim_file *f, int backlog);
    int (*accept)(struct sim_file *f, struct sim_file **out); /* -EAGAIN: none */
    int (*connect)(struct sim_file *f, const struct sockaddr *sa, socklen_t n);
    int (*shutdown)(struct sim_file *f, int how);
    int (*getopt)(struct sim_file *f, int level, int opt, void *val, socklen_t *n);
    int (*setopt)(struct sim_file *f, int level, int opt, const void *val, socklen_t n);
    int (*name)(struct sim_file *f, bool peer, struct sockaddr *sa, socklen_t *n);
};
extern const struct sim_sock_ops sim_tcp_sock, sim_udp_sock, sim_unix_sock;
const struct sim_sock_ops *sim_sock_of(struct sim_file *f); /* NULL: not a socket */

size_t sim_iov_size(const struct iovec *v, size_t n);
void sim_iov_put(const struct iovec *v, size_t n, size_t at, const void *from, size_t len);
void sim_iov_get(const struct iovec *v, size_t n, size_t at, void *to, size_t len);
int sim_opt_int(void *val, socklen_t *n, int value);

/* ---- inodes (os_sim_file.c) ------------------------------------------------------------------------- */
struct sim_inode {
    struct sim_list node;
    char path[256];
    int refs; /* open files, mappings and the name */
    char *data;
    size_t size, room;
    bool device_null, device_full, capture, memfd, named;
    uint64_t number;
    mode_t mode;
    uint64_t mtime_ns;
};
struct sim_regular {
    struct sim_file f;
    struct sim_inode *inode;
    size_t at;
    int flags;
};
struct sim_file *sim_file_open(const char *path, int flags, mode_t mode, int *err);
struct sim_file *sim_file_memfd(size_t size);
void sim_files_open_all(void);
void sim_files_close_all(void);
ssize_t sim_regular_read(struct sim_regular *r, const struct iovec *v, size_t n, size_t at);
ssize_t sim_regular_write(struct sim_regular *r, const struct iovec *v, size_t n, size_t at);

struct sim_file *sim_epoll_new(void);
int sim_epoll_ctl(struct sim_file *ep, int op, int fd, struct sim_file *f,
                  const struct epoll_event *ev);
int sim_epoll_collect(struct sim_file *ep, struct epoll_event *evs, int max);
void sim_epoll_forget(struct sim_file *f); /* f is being released */

struct sim_file *sim_eventfd_new(unsigned value, bool semaphore);
int sim_pipe_new(int size_hint, struct sim_file *out[2]);
struct sim_file *sim_signalfd_new(const sigset_t *set);
int sim_signalfd_take(struct sim_file *f, struct signalfd_siginfo *out);
struct sim_file *sim_pidfd_new(struct sim_proc *p);
struct sim_proc *sim_pidfd_proc(struct sim_file *f);
struct sim_file *sim_pidfd_file(struct sim_list *node); /* of proc->pidfds */
uint64_t sim_set_bits(const sigset_t *set);

#endif
