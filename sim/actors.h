/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_SIM_ACTORS_H
#define WR_SIM_ACTORS_H

/*
 * Scripted clients that know the right answer.
 *
 * A crowd is a set of clients against one port. Each client lives through a number of connections;
 * on each it sends requests that carry a random token, as its temper says, and compares every byte
 * that comes back. What ends a connection is counted under exactly one name.
 *
 * 1. A byte that the client did not expect is a violation (I1): it belongs to somebody else, or to
 *    nobody.
 * 2. A connection that the kernel completed gets all its answers, or an end that the crowd allows;
 *    else it is a violation, as is silence for longer than patience_ms.
 * 3. completed = answered + aborted + shed + cut, exactly, when nothing is open.
 */

#include "sim/sim.h"

enum temper {
    PLAIN,       /* sends, waits, sends again; then closes */
    PIPELINING,  /* several requests at once */
    DRIBBLING,   /* a few bytes at a time */
    HALF_CLOSER, /* ends its direction behind the last request and reads on */
    SLOW_READER, /* takes answers in small sips through a small window */
    ABORTER,     /* resets the connection at any moment */
    VANISHER,    /* closes at any moment, perhaps in the middle of a request */
    SILENT,      /* connects and says nothing: the server must end it */
    STALLER,     /* half a request, then nothing: the server must end it */
    TEMPERS
};

struct crowd;
struct client;

/* What is spoken. */
struct speech {
    const char *name;
    /* Writes request k of this client's connection; at most SPEECH_MAX bytes. last: no more follow. */
    size_t (*request)(struct client *c, char *out, bool last);
    /* Looks at n received bytes; how many of them are a whole, right answer; 0: more are needed;
     * -1: wrong, after sim_violation. */
    ssize_t (*answer)(struct client *c, const char *p, size_t n);
};
extern const struct speech speech_frames; /* 4-byte length and payload, echoed */
extern const struct speech speech_lines;  /* a line, echoed */
extern const struct speech speech_http;   /* GET and POST /echo, the body is the token */
#define SPEECH_MAX 20000u

struct crowd_options {
    uint32_t host; /* 10.x.y.z of the service */
    uint16_t port;
    const struct speech *speech;
    unsigned clients, connections; /* connections per client */
    unsigned requests_max;         /* per connection */
    unsigned size_max;             /* of a payload */
    uint64_t spread_ns;            /* clients begin within this time */
    uint64_t think_ns;             /* between an answer and the next request, at most */
    uint64_t patience_ns;          /* for an answer */
    uint32_t tempers;              /* bits: which ones occur */
    bool
        ends_allowed; /* the server may close or reset at any moment (a worker died, memory is short) */
    bool
        errors_allowed; /* HTTP: 5xx and 408 are answers, too; the connection ends after them */
    bool refusal_allowed; /* connecting may fail */
    bool timeout_allowed; /* connecting may time out where the queue is short */
    bool end_after_last;  /* the server closes behind the last answer */
};

struct crowd_tally {
    uint64_t dialled, completed, refused;         /* dialled = completed + refused + dialling */
    uint64_t answered, aborted, shed, cut, ended; /* how completed ones ended */
    uint64_t requests, answers;
    unsigned open;
};

struct crowd *crowd_new(const struct crowd_options *o);
void crowd_free(struct crowd *c);
bool crowd_done(const struct crowd *c);
const struct crowd_tally *crowd_tally(const struct crowd *c);
void crowd_check(const struct crowd *c); /* the balance; when nothing is open also the sum */
/* The process dies, or was told to stop: whom it serves, now or later, may be cut. resets: also with a
 * reset; else the end must be an orderly one. */
void crowd_excuse(struct crowd *c, pid_t server, bool resets);
/* The listener is going: whom nobody serves yet may be turned away. */
void crowd_excuse_unserved(struct crowd *c);

#endif
