/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WEB_TRACE_H
#define WEB_TRACE_H

/*
 * What would happen to a request, step by step and without a connection: for `weir explain`.
 *
 * web_trace takes a head as it would come over the wire, chooses address, server and location with the functions
 * that serve requests, and runs the phases up to rewriting (realip included). Each step is told as it is made. Access
 * rules, limits and handlers are not run.
 *
 * 1. Nothing is sent, opened for writing, or counted. Conditions of `if` look at the file system, as they would.
 * 2. The request stays valid as long as the trace: variables can be asked for.
 *
 * For a process that does nothing else: the generation is not used to serve.
 */

#include "weir/web/site.h"
#include "weir/web/worker.h"

enum web_trace_kind {
    TRACE_REFUSED,   /* text: why; nothing follows */
    TRACE_LISTEN,    /* node: the listen; text: the address */
    TRACE_SERVER,    /* node: the server; text: why it */
    TRACE_URI,       /* text: the URI as locations see it */
    TRACE_CANDIDATE, /* node: a location; text: does it match */
    TRACE_LOCATION,  /* node: the one that is chosen, NULL: none; text: why */
    TRACE_STEP,      /* text: a line of rewriting */
    TRACE_STATUS,    /* number: the answer; text: its Location, or empty */
};

struct web_trace {
    struct web_generation *generation;
    struct wr_span head; /* "GET / HTTP/1.1\r\nHost: ...\r\n\r\n" */
    struct wr_addr client;
    uint16_t port; /* 0: any */
    bool tls;
    void (*tell)(void *ctx, enum web_trace_kind kind, const struct conf_node *node, int number,
                 const char *text);
    void *ctx;
    /* out */
    struct web_req *r;
    bool answered; /* rewriting gave the answer */
    /* private */
    struct web_worker worker;
};

/* 0 when the request got as far as a location, or an answer; WR_E_SYNTAX when its head is refused. */
WR_MUST int web_trace_run(struct web_trace *trace);
void web_trace_end(struct web_trace *trace);

#endif
