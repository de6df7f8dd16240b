/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef MASTER_PRIVATE_H
#define MASTER_PRIVATE_H

/*
 * What the master's files share. master.c sets up and tears down, control.c does what signals ask, crew.c is the
 * workers of one configuration seen from the master and worker.c from inside, family.c is the shared memory
 * and the logger, upgrade.c the next program, look.c finds who stands still, watch.c answers about it all,
 * queue.c sees connections that nobody takes, remedy.c knows what to do when a start fails.
 */

#include "libweir/io/log_sinks.h"
#include "libweir/io/logger.h"
#include "libweir/io/loop.h"
#include "libweir/io/proc.h"
#include "libweir/io/signal.h"
#include "weir/master/listener.h"
#include "weir/master/master.h"
#include "weir/master/server.h"
#include "weir/master/settings.h"
#include "weir/stats/state.h"

struct queue;
struct wr_board;
struct wr_log;
struct wr_shm;

/* Seats of board, recorder, log rings and tables of connections. */
#define SEAT_MASTER  0U
#define SEAT_LOGGER  1U
#define SEAT_WATCH   3U
#define SEAT_WORKERS 5U
#define LOG_RING     ((size_t)512 << 10) /* some 2000 lines: what a logger may be late */
#define EVENTS       1024U               /* of a flight recorder */
#define CONNECTIONS  16384U              /* listed per worker */
#define TEXT_MAX     1024

/* The workers of one configuration. */
struct crew {
    struct wr_list link; /* among those that are leaving */
    struct master *m;
    struct web_config *config;
    struct settings settings;
    struct listener_want *wants; /* by number of the generation's web_listen; in its arena */
    unsigned n_wants;
    uint64_t number;
    struct wr_procs *procs;
    struct server *server; /* master_process off: in this process */
    unsigned ready, failures;
    int unborn; /* why the latest start of a worker came to nothing; 0: it was born and died */
    bool gone;
    struct wr_free_later later;
};

struct watch_plan { /* what the watch is born with */
    struct master *m;
    int fd;         /* its listening socket */
    char addr[128]; /* as configured */
    /* Of the latest configuration: copies, for it may be started again when no crew serves. */
    bool has_user;
    char user[256];
    uid_t uid;
    gid_t gid;
    enum sandbox_mode sandbox;
};

struct master {
    const struct master_options *o;
    const struct wr_heap *heap;
    struct wr_loop *loop;
    struct wr_log *log;
    struct wr_timer log_tick, look_tick;
    int log_level;
    struct wr_shm *shm;
    struct wr_board *board;
    unsigned seats;
    struct state_words *state;
    int wake_fd;
    struct wr_procs *loggers, *watches;
    struct wr_logger_options logger_options;
    struct wr_log_sinks *sinks;
    struct watch_plan watch;
    struct listeners listeners;
    struct crew *crew;     /* that serves; NULL while none does */
    struct crew *incoming; /* that is starting, to take its place */
    struct wr_list leaving;
    uint64_t generations;
    struct wr_signal signals;
    /* the next program */
    struct wr_io next_program;
    pid_t next_pid;
    pid_t predecessor;    /* whose sockets these are; 0: none */
    struct queue *queues; /* of listening sockets, by descriptor (queue.c) */
    unsigned n_queues;
    /* files */
    char exe[TEXT_MAX], pid_path[TEXT_MAX];
    bool pid_written, oldbin;
    bool inherited, daemonized, reload_pending, resting, stopping, fast, over;
    bool started;   /* a crew has served: nobody waits at a terminal any more */
    int foreground; /* pipe to the process that waits for our start; -1 */
    int terminal;   /* its standard error; -1 */
    int result;
};

/* ---- saying things: the log in nginx's shape; until it is there, and for whoever waits, standard error ------ */
WR_PRINTF(3, 4)
void master_say(struct master *m, int level, const char *fmt, ...);
WR_PRINTF(4, 5)
void process_say(struct wr_log *log, struct wr_loop *loop, int level, const char *fmt, ...);
void master_say_text(void *master, int level, const char *text); /* for callbacks */
void master_said(void *master, int level, const char *text);     /* of what was said before */

/* What is to be done about it, to be put behind an error's text: "; raise ...", or nothing. */
const char *remedy_text(int err);

/* ---- family.c ------------------------------------------------------------------------------------------------ */
WR_MUST int family_open(struct master *m, unsigned workers);
WR_MUST int family_log_open(struct master *m);
WR_MUST int family_register_logs(struct master *m, struct web_config *config);
void family_reopen(struct master *m);
void family_close(struct master *m);
void family_state(struct master *m); /* the master's words, anew */
struct listener_say family_say(struct master *m);

/* ---- crew.c -------------------------------------------------------------------------------------------------- */
/* Takes the configuration. The sockets of its addresses are in the table (prepared). */
WR_MUST int crew_new(struct master *m, struct web_config **config, struct crew **out);
WR_MUST int crew_prepare(struct crew *c, unsigned retries);
WR_MUST int crew_start(struct crew *c); /* crew_ready or crew_failed follows */
void crew_leave(struct crew *c, bool graceful);
void crew_free(struct crew **c);
unsigned crew_sockets(const struct crew *c, unsigned index, struct web_worker_fd *out,
                      unsigned max);
unsigned crew_socket_count(const struct crew *c);
/* All crews, also those that leave. */
unsigned master_crews(const struct master *m, struct crew **out, unsigned max);

/* ---- worker.c ------------------------------------------------------------------------------------------------ */
int worker_main(struct wr_worker *worker, void *crew);
/* In the only process: serves the crew's generation on the master's loop. *out may be there after a failure, too. */
WR_MUST int worker_serve_here(struct master *m, struct crew *c, struct server **out);

/* ---- control.c ----------------------------------------------------------------------------------------------- */
WR_MUST int control_open(struct master *m);
void control_reload(struct master *m);
void control_stop(struct master *m, bool graceful);
void control_crew_ready(struct crew *c);
void control_crew_failed(struct crew *c);
void control_crew_gone(struct crew *c);
WR_MUST int control_first(struct master *m, struct web_config **config);

/* ---- upgrade.c ------------------------------------------------------------------------------------------------ */
void upgrade_start(struct master *m);
void upgrade_close(struct master *m);
void upgrade_inherit(struct master *m);
bool upgrade_shared(const struct master *m);
WR_MUST int pidfile_write(struct master *m);
void pidfile_remove(struct master *m);

/* ---- look.c --------------------------------------------------------------------------------------------------- */
void look_open(struct master *m);
void look_close(struct master *m);

/* ---- queue.c -------------------------------------------------------------------------------------------------- */
void queue_look(struct master *m, uint64_t now_ns);
void queue_close(struct master *m);

/* ---- dump.c ---------------------------------------------------------------------------------------------------- */
/* The last words of a worker that died, into the directory of postmortems. */
void dump_write(struct master *m, const char *directory, unsigned seat, pid_t pid, int status);

/* ---- watch.c --------------------------------------------------------------------------------------------------- */
void watch_follow(struct master *m,
                  const struct settings *s); /* starts, restarts or stops it */
void watch_stop(struct master *m);

#endif
