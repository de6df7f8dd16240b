/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_IO_PROC_H
#define WR_IO_PROC_H

/*
 * A pool of worker processes under a single-threaded master.
 *
 * The master's loop watches each child by its pidfd and by a control channel (a socket pair). A child
 * that ends without having been asked to is replaced after a back-off that doubles with every early
 * death; a slot that spends its budget of restarts within a window rests for the remainder of it.
 * Stopping is: a word on the channel (SIGTERM when the channel is full), and at the deadline SIGKILL.
 *
 *   RESTING --start--> STARTING --ready--> READY --stop--> STOPPING --pidfd--> (gone)
 *      ^                  |                  |
 *      +---- back-off ----+---- pidfd -------+
 *
 * 1. The master never waits for a child; a stopped (SIGSTOP) child cannot block it.
 * 2. Only a single-threaded process forks: wr_procs_start refuses otherwise (-EDEADLK), so no child
 *    inherits a lock that nobody will release.
 * 3. A child holds no descriptor of its siblings' channels: when the master dies every child sees EOF.
 * 4. During wr_procs_replace the successor is ready before its predecessor is told to stop.
 * 5. Children share no memory with the master but what lies in wr_shm: `struct wr_worker` is a copy.
 *
 * The master owns the pool; a child owns its `struct wr_worker` until main returns.
 */

#include "libweir/base/compiler.h"

#include <stdbool.h>
#include <sys/types.h>

struct wr_board;
struct wr_log;
struct wr_loop;
struct wr_loop_stats;
struct wr_recorder;
struct wr_seat;
struct wr_shm;

struct wr_procs;  /* the pool, master's side */
struct wr_worker; /* one child, its own side */

enum wr_command {        /* master to worker, one byte on the channel */
    WR_COMMAND_STOP = 1, /* finish what is in flight, take nothing new */
    WR_COMMAND_STOP_NOW,
    WR_COMMAND_REOPEN, /* log files */
    WR_COMMAND_USER,   /* and above: the program's own */
};

enum wr_procs_event {
    WR_PROCS_STARTED, /* pid */
    WR_PROCS_UNBORN,  /* it could not be started: status is the (negative) error; tried again */
    WR_PROCS_WAITING, /* it ended early again: its successor waits for `status` milliseconds */
    WR_PROCS_READY,   /* pid */
    WR_PROCS_STOPPING, /* pid was told to stop */
    WR_PROCS_ENDED,    /* pid, status as waitpid's; expected or not */
    WR_PROCS_RESTING,  /* the slot spent its restart budget */
    WR_PROCS_STUCK,    /* the watchdog kills pid */
    WR_PROCS_REPLACED, /* wr_procs_replace is done */
    WR_PROCS_STOPPED,  /* all children are gone after wr_procs_stop */
};

#define WR_PROCS_CLOSE_MAX 4096
#define WR_PROCS_KEEP_MAX  4096

struct wr_procs_options {
    const char *name; /* of the children, as ps shows it: "weir worker" */
    unsigned workers;
    int (*main)(struct wr_worker *worker,
                void *arg); /* runs in the child; result = exit status */
    void *arg;
    const struct wr_shm *shm; /* log and recorder parts are opened for the child; may be NULL */
    struct wr_board *board;   /* may be NULL */
    unsigned first_seat,
        seats;                /* this pool's seats on the board; at least 2 * workers is wise */
    struct wr_log *log;       /* the master's */
    int log_wake_fd;          /* for the children's logs; -1 */
    unsigned log_level;       /* for the children's logs */
    unsigned healthy_ms;      /* a child that was ready for so long restarts at once; 0: 500 */
    unsigned backoff_min_ms;  /* 0: 100. The first restart is immediate */
    unsigned backoff_max_ms;  /* 0: 2000 */
    unsigned budget;          /* restarts per slot and window; 0: 100 */
    unsigned window_ms;       /* 0: 60000 */
    unsigned stop_timeout_ms; /* graceful stop, then SIGKILL; 0: 30000 */
    unsigned ready_timeout_ms; /* a child that does not get ready is killed; 0: 10000 */
    unsigned
        watchdog_ms; /* a READY child whose loop makes no turn for so long is killed; 0: off */
    bool
        die_with_master; /* children are killed with the master; otherwise they stop gracefully */
    void (*on_event)(struct wr_procs *procs, enum wr_procs_event event, unsigned index,
                     pid_t pid, int status, void *arg);
    void *event_arg;
    /* Asked in the master before each fork, with arg: lists descriptors that the child must not hold
     * (connections under way, siblings' channels); the child closes them first of all. Returns how
     * many, at most WR_PROCS_CLOSE_MAX. */
    unsigned (*list_to_close)(unsigned index, int out_fds[static WR_PROCS_CLOSE_MAX],
                              void *arg);
    /* The other way round, for children that need little: they keep 0, 1, 2, their channel and these
     * (up to WR_PROCS_KEEP_MAX), and close everything else. NULL: only what is listed is closed. The list is copied. */
    const int *keep_fds;
    unsigned n_keep;
    /* The same where it changes while the pool lives: asked in the master before each fork, with arg, in the place
     * of keep_fds. Returns how many, at most WR_PROCS_KEEP_MAX. */
    unsigned (*list_to_keep)(unsigned index, int out_fds[static WR_PROCS_KEEP_MAX], void *arg);
};

struct wr_procs_info {
    pid_t pid; /* 0: none now */
    unsigned seat;
    unsigned restarts;
    bool ready;
};

/* Starts all workers. */
int wr_procs_start(struct wr_loop *loop, const struct wr_procs_options *options,
                   struct wr_procs **out) WR_MUST;
/* Asks all to stop; WR_PROCS_STOPPED follows, at the latest stop_timeout_ms (not graceful: two seconds) later. */
void wr_procs_stop(struct wr_procs *procs, bool graceful);
/* One after another: start a successor, wait until it is ready, stop the old one. -EBUSY when under way. */
int wr_procs_replace(struct wr_procs *procs) WR_MUST;
/* To every child. A child whose channel is full is counted and logged, never waited for. */
void wr_procs_command(struct wr_procs *procs, unsigned command);
/* For another pool's list_to_close: the master's ends of this one's channels. A child that held them
 * would hide the master's death from this pool. procs may be NULL. Returns how many. */
unsigned wr_procs_list(const struct wr_procs *procs, int *out_fds, unsigned max);
unsigned wr_procs_alive(const struct wr_procs *procs);
bool wr_procs_info(const struct wr_procs *procs, unsigned index, struct wr_procs_info *out);
/* Kills what is left and frees. Takes NULL, empties the pointer. */
void wr_procs_free(struct wr_procs **procs);

/* ---- the child's side ------------------------------------------------------------------------------- */

/* What the child is busy with until it has a loop, and since now: in the words of its seat where a loop says what
 * it runs, so that a child that never gets there can be named with the step it stands in. */
void wr_worker_step(struct wr_worker *worker, void (*fn)(void));

enum wr_stop_reason {
    WR_STOP_GRACEFUL, /* channel, or SIGTERM/SIGQUIT sent to the worker itself */
    WR_STOP_NOW,
    WR_STOP_MASTER_GONE,
};

struct wr_worker_callbacks {
    void (*on_stop)(struct wr_worker *worker, enum wr_stop_reason why, void *arg);
    void (*on_command)(struct wr_worker *worker, unsigned command, void *arg); /* may be NULL */
    void *arg;
};

unsigned wr_worker_index(const struct wr_worker *worker);
unsigned
wr_worker_generation(const struct wr_worker *worker);     /* 0 for the slot's first process */
struct wr_seat *wr_worker_seat(struct wr_worker *worker); /* may be NULL */
struct wr_recorder *wr_worker_recorder(struct wr_worker *worker);
struct wr_log *wr_worker_log(struct wr_worker *worker); /* may be NULL */
struct wr_loop_stats *
wr_worker_loop_stats(struct wr_worker *worker); /* for wr_loop_new; may be NULL */
/* Watches the channel and the signals TERM, QUIT in the worker's loop and keeps the heartbeat. */
int wr_worker_attach(struct wr_worker *worker, struct wr_loop *loop,
                     const struct wr_worker_callbacks *callbacks) WR_MUST;
/* Tells the master that this worker serves. */
void wr_worker_ready(struct wr_worker *worker);
/* Before the loop is freed. */
void wr_worker_detach(struct wr_worker *worker);

/* "exit 3", "signal 9 (SIGKILL)", into out; returns out. */
const char *wr_exit_text(int status, char *out, size_t n);

#endif
