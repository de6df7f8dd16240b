/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WEB_SSL_OCSP_H
#define WEB_SSL_OCSP_H

/*
 * Asking a responder for the status of a certificate (OCSP, RFC 6960), in the loop of a worker.
 *
 * What is asked is made once (ssl_ocsp_request.c): the request for a certificate is the same each time.
 * A worker sends it over a connection of its own and collects the answer (ssl_ocsp.c), which is then judged as a
 * whole: it is of this certificate, it is valid now, and somebody who may signed it (ssl_ocsp_judge.c).
 *
 * 1. An answer that was not judged good is never handed on. A status of "revoked" is a good answer.
 * 2. A fetch ends within OCSP_FETCH_MS (the name within the time given) and holds at most OCSP_ROOM bytes; `done` is called exactly once for each that
 *    began, never from inside ocsp_fetch, and not at all after ocsp_fetch_stop.
 * 3. Nothing here waits or logs: what went wrong stands in `why`, in nginx's words.
 *
 * The subject belongs to the configuration, the fetch to the caller, who lets it lie still. Loop thread only.
 */

#include "libweir/base/compiler.h"
#include "libweir/io/addr.h"
#include "libweir/io/loop.h"
#include "libweir/io/scope.h"
#include "libweir/io/stream.h"

#include <openssl/ocsp.h>

#define OCSP_FETCH_MS   20000U
#define OCSP_ANSWER_MAX 65536U

struct wr_arena;
struct wr_resolver;

struct ocsp_subject {
    X509 *cert;            /* the context's */
    OCSP_CERTID *id;       /* ours */
    STACK_OF(X509) * near; /* ours: the issuer, then the chain */
    X509_STORE *store;     /* the context's */
    bool verify;           /* the signer has to be trusted, too */
    struct wr_target responder;
    struct wr_span request;
};

struct ocsp_why {
    char what[96], text[160];
};

/* "http://host[:port][/path]" into its target, the host as it is written and the path; both may be NULL.
 * WR_E_SYNTAX: it is no such URL. */
WR_MUST int ocsp_read_url(struct wr_span url, struct wr_target *out, struct wr_span *host,
                          struct wr_span *path);
/* The responder's "http://host[:port][/path]". WR_E_SYNTAX: it is no such URL. near has its issuer first. */
WR_MUST int ocsp_subject_init(struct ocsp_subject *s, struct wr_arena *arena, X509 *cert,
                              struct wr_span url);
void ocsp_subject_deinit(struct ocsp_subject *s);

struct ocsp_verdict {
    int status;     /* V_OCSP_CERTSTATUS_... */
    int64_t left_s; /* until nextUpdate; INT64_MAX without one */
};
WR_MUST bool ocsp_judge(const struct ocsp_subject *s, struct wr_span answer,
                        struct ocsp_verdict *out, struct ocsp_why *why);

struct ocsp_fetch {
    /* answer.p NULL: it failed, see why. The bytes live until done returns. */
    void (*done)(struct ocsp_fetch *f, struct wr_span answer, const struct ocsp_why *why);
    /* private */
    const struct ocsp_subject *subject;
    struct wr_loop *loop;
    struct wr_scope scope;
    struct wr_timer deadline;
    struct wr_io io;
    struct wr_stream stream;
    struct ocsp_flight *flight; /* NULL: none is under way */
};

/* resolver may be NULL when the responder is an address. connect_ms: to resolve its name and to connect. `done` may
 * free f, or begin the next fetch with it. */
WR_MUST int ocsp_fetch(struct ocsp_fetch *f, struct wr_loop *loop, struct wr_resolver *resolver,
                       const struct ocsp_subject *s, uint64_t connect_ms);
void ocsp_fetch_stop(struct ocsp_fetch *f);
static inline bool ocsp_fetching(const struct ocsp_fetch *f)
{
    return f->flight != NULL;
}

#endif
