/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_IO_LOGGER_H
#define WR_IO_LOGGER_H

/*
 * Log, reader's side: drains every ring of a log memory into files.
 *
 * It runs on a loop: in a process of its own (so that a stuck disk stops nobody) or inside the only
 * process of a small program. A writer rings its eventfd only when the logger sleeps on empty rings; then
 * it drains every few milliseconds until the rings are empty again. Each channel is one sink: the first
 * few are a path or a descriptor such as 2, given at the start; the others are entries of a table that may
 * grow while it runs (log_sinks.h): files with or without a buffer, gzip, names made by records, syslog.
 *
 * 1. A sink that fails or would block keeps a bounded buffer and is retried; beyond it, records for that
 *    sink are dropped and counted, while other sinks go on.
 * 2. What was dropped, by a full ring or a stuck sink, is told in the log itself once it can be told:
 *    `log log_dropped count=N from=... to=... where=ring|sink`.
 * 3. A record leaves its ring only after it was written, or counted as dropped, or is held for a stuck
 *    sink: a logger that is killed loses none but what it held (its successor says how many:
 *    `log_lost_at_most`), and its last batch may be written twice.
 * 4. A sink of the table that cannot be opened is told, and retried like one that fails.
 * 5. A file that is opened anew begins with a whole line, or gzip member, also when half of it is in the old one.
 *
 * The loop owns the moment; wr_logger_free writes what can be written now and closes the files.
 */

#include "libweir/base/compiler.h"
#include "libweir/base/span.h"

#include <stdint.h>

struct wr_heap;
struct wr_log_record;
struct wr_log_sinks;
struct wr_logger;
struct wr_loop;
struct wr_shm;

#define WR_LOGGER_SINKS 8

struct wr_logger_sink {
    const char *path; /* opened for append, 0644; NULL: use fd */
    int fd;           /* a descriptor of the caller's that stays open (2 = stderr) */
};

/* How text is packed for a sink with gzip: the library itself knows no compression. */
struct wr_logger_packer {
    size_t (*bound)(size_t n);
    int (*pack)(const struct wr_heap *heap, int level, struct wr_span in, char *out,
                size_t room, size_t *out_n);
};

struct wr_logger_options {
    const struct wr_shm *shm;                    /* has the part WR_LOG_PART, writable */
    int wake_fd;                                 /* eventfd that the writers ring; inherited */
    struct wr_logger_sink sink[WR_LOGGER_SINKS]; /* channel 0 is the error log */
    unsigned n_sinks;
    unsigned period_ms;                    /* while there is traffic; 0: 20 */
    unsigned retry_ms;                     /* a sink that failed; 0: 1000 */
    unsigned buffer_bytes;                 /* per sink; 0: 256 KiB */
    const struct wr_log_sinks *sinks;      /* channels from WR_LOGGER_SINKS on; may be NULL */
    const struct wr_logger_packer *packer; /* may be NULL: gzip is an error */
    /* How the lines of log.h look; NULL: wr_log_line. Returns the length, at most n. */
    size_t (*line)(char *out, size_t n, const struct wr_log_record *record);
};

struct wr_logger_stats {
    uint64_t lines, bytes, ring_drops, sink_drops, write_errors, damaged;
};

int wr_logger_open(struct wr_loop *loop, const struct wr_logger_options *options,
                   struct wr_logger **out) WR_MUST;
/* Opens every path anew (after a rename by logrotate). A path that cannot be opened keeps its old file. */
void wr_logger_reopen(struct wr_logger *logger);
/* Drains everything once, now. Returns the number of records taken. */
unsigned wr_logger_drain(struct wr_logger *logger);
struct wr_logger_stats wr_logger_stats(const struct wr_logger *logger);
void wr_logger_free(struct wr_logger **logger);

/* The body of a logger process for a pool of one (proc.h): arg is struct wr_logger_options *. Reopens
 * on wr_procs_command(WR_COMMAND_REOPEN) or SIGUSR1; ends when told to stop, after a last drain. */
struct wr_worker;
int wr_logger_main(struct wr_worker *worker, void *arg);

#endif
