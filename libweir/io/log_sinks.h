/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_IO_LOG_SINKS_H
#define WR_IO_LOG_SINKS_H

/*
 * Where a program's logs go, when that is known only after the logger was started and changes with every
 * new configuration: a table in memory that the process which reads the configuration shares with the
 * logger.
 *
 * Adding a sink gives its channel number; the same definition always gives the same number, so records
 * of old and new workers find their way over any number of reloads. The logger looks a number up when
 * the first record with it arrives, and opens the sink then.
 *
 * 1. Entries are only appended; what the logger has seen of an entry never changes, but for `live`.
 * 2. Channels below WR_LOGGER_SINKS are those of wr_logger_options. Channel 0 goes to the main sink of
 *    this table once there is one.
 * 3. Writers of logs need numbers only: a worker unmaps the table (wr_log_sinks_free) before it reads
 *    its first byte, so that whoever breaks into it cannot tell the logger to write elsewhere.
 *
 * One writer: the master. Reader: the logger.
 */

#include "libweir/base/compiler.h"
#include "libweir/io/addr.h"

struct wr_log_sinks; /* opaque, shared */

#define WR_LOG_PATH_MAX 1024
#define WR_LOG_TAG_MAX  32

enum wr_log_sink_kind {
    WR_LOG_TO_FILE = 1,
    WR_LOG_TO_STDERR,
    WR_LOG_TO_PATHS,  /* records name the file; path is what every name begins with */
    WR_LOG_TO_SYSLOG, /* one datagram per record */
};
#define WR_LOG_SEVERITY_OF_LEVEL 8

struct wr_log_sink_def { /* zero it before filling: it is compared as bytes */
    uint8_t kind;
    uint8_t gzip; /* level 1-9; 0: plain */
    uint8_t facility;
    uint8_t severity;      /* 0-7, or WR_LOG_SEVERITY_OF_LEVEL */
    uint8_t nohostname;    /* bool */
    uint32_t buffer_bytes; /* held back until so many; 0: not held */
    uint32_t flush_ms;     /* or until the oldest is so old; 0: never */
    /* PATHS: files kept open; 0: none longer than a moment */
    uint32_t cache_max, cache_min_uses, cache_inactive_ms, cache_valid_ms;
    struct wr_addr server; /* SYSLOG */
    char tag[WR_LOG_TAG_MAX + 1];
    char path[WR_LOG_PATH_MAX];
};

WR_MUST int wr_log_sinks_new(unsigned max, struct wr_log_sinks **out);
void wr_log_sinks_free(struct wr_log_sinks **sinks); /* this process's view of it */

/* Before the sinks of a new configuration are added: those that are not added again are no longer live,
 * and the logger may close their files. */
void wr_log_sinks_begin(struct wr_log_sinks *sinks);
/* 0; -ENOSPC: more different sinks since the start than the table holds. */
WR_MUST int wr_log_sinks_add(struct wr_log_sinks *sinks, const struct wr_log_sink_def *def,
                             unsigned *out_channel);
void wr_log_sinks_set_main(struct wr_log_sinks *sinks, unsigned channel);

/* Reader. */
unsigned wr_log_sinks_main(const struct wr_log_sinks *sinks);  /* 0: none */
unsigned wr_log_sinks_count(const struct wr_log_sinks *sinks); /* one above the last channel */
/* A copy. False: no such channel. */
bool wr_log_sinks_get(const struct wr_log_sinks *sinks, unsigned channel,
                      struct wr_log_sink_def *out);
bool wr_log_sinks_live(const struct wr_log_sinks *sinks, unsigned channel);

#endif
