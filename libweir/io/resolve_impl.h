/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_IO_RESOLVE_IMPL_H
#define WR_IO_RESOLVE_IMPL_H

/*
 * The resolver's inside, in three files that each know only the one below:
 *
 *   resolve.c           a lookup: one call of wr_resolve. Goes through the candidate names of the search
 *                       list and asks questions; runs only from its task, at the end of a turn.
 *   resolve_question.c  a question: (name, type) with what is known of it (the cache) and who waits.
 *   resolve_flight.c    a flight: one question on its way to the servers, over UDP or TCP.
 *
 * 1. A question with waits or a flight is not evicted.
 * 2. Callbacks of the user run from lookup tasks only, so nothing below is ever re-entered.
 */

#include "libweir/base/list.h"
#include "libweir/base/rand.h"
#include "libweir/base/table.h"
#include "libweir/io/dns.h"
#include "libweir/io/loop.h"
#include "libweir/io/resolvconf.h"
#include "libweir/io/resolve.h"

#include <sys/stat.h>

struct wr_question;

/* One lookup's interest in one question. */
struct wr_question_wait {
    struct wr_list link;
    struct wr_question *question; /* NULL: not asked */
    struct wr_task *task;         /* scheduled when ready */
    bool ready, stale, fresh;     /* fresh: from the cache */
    int err;                      /* of a ready one: 0 or no answer could be had */
};

struct wr_flight {
    struct wr_resolver *resolver;
    const struct wr_heap *heap;
    struct wr_question *question;
    struct wr_io io;
    struct wr_timer timer;
    struct wr_free_later later;
    unsigned attempt, server;
    uint64_t sent_ns;
    uint16_t id;
    bool tcp, no_edns;
    uint8_t query[2 + WR_DNS_QUERY_MAX]; /* TCP: with its length in front */
    size_t query_n, query_at;
    uint8_t head[2]; /* TCP: length of the answer */
    uint8_t *answer;
    size_t answer_n, answer_at; /* answer_at counts the head too */
};

struct wr_question {
    struct wr_list lru;
    struct wr_list waits;
    struct wr_resolver *resolver;
    struct wr_flight *flight;
    struct wr_timer patience;    /* waits get the stale answer when it fires */
    enum wr_dns_verdict verdict; /* OK, NODATA, NXDOMAIN, or SERVFAIL: nothing is known */
    uint64_t expires_ms, stale_until_ms;
    void *data; /* count x 16 bytes, or x wr_resolved_srv */
    size_t data_n;
    unsigned count;
    uint16_t type;
    uint8_t key_n; /* 2 bytes of type, then the name in lower case */
    char key[2 + WR_DNS_NAME_MAX];
};

struct wr_resolver_server {
    struct wr_resolver_server_stats stats;
    unsigned fails; /* in a row */
};

struct wr_file_stamp {
    struct timespec mtime;
    off_t size;
    ino_t inode;
    bool there;
};

struct wr_resolver {
    struct wr_loop *loop;
    const struct wr_heap *heap;
    struct wr_resolver_options options;
    struct wr_resolvconf conf;
    struct wr_hosts *hosts;
    struct wr_file_stamp conf_stamp, hosts_stamp;
    uint64_t looked_ms;
    bool looked;
    struct wr_resolver_server servers[WR_RESOLVCONF_SERVERS];
    unsigned server_count, rotate_at;
    struct wr_rand rand;
    struct wr_table table; /* of questions */
    struct wr_list lru;    /* least recently asked first */
    struct wr_list lookups;
    struct wr_free_later later;
    bool closing;
    struct wr_resolver_stats stats;
};

/* ---- questions ----------------------------------------------------------------------------------------- */

/* Attaches w to the question and makes it ready at once or later. */
void wr_question_ask(struct wr_resolver *r, struct wr_span name, uint16_t type,
                     struct wr_question_wait *w);
void wr_question_leave(struct wr_question_wait *w);
void wr_question_answered(struct wr_question *q, const struct wr_dns_answer *a);
void wr_question_failed(struct wr_question *q, int err);
struct wr_span wr_question_name(const struct wr_question *q);
void wr_question_free(struct wr_question *q);

/* ---- flights --------------------------------------------------------------------------------------------- */

WR_MUST int wr_flight_start(struct wr_question *q);
void wr_flight_stop(struct wr_question *q); /* silently */

#endif
