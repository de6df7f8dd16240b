/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What came of the client's certificate. The handshake succeeds in any case; the first request of the connection is
 * answered 495 or 496 when it should not have.
 *
 * Where ssl_ocsp says so, that request first waits for responders: one question for the client's certificate, with `on`
 * one for each of its chain below the trusted one. What the shared cache knows is not asked.
 *
 *   first request --chain--> find --known: good--> next of the chain --none left--> GOOD, the phases go on
 *                              |  \---known: otherwise-----------------------------> its fault, 495
 *                              |--too many ask--> WEB_LATER --its turn--> find ...
 *                              '--ask--> WEB_LATER --answer--> find ...
 *                                             '--no answer that counts--> FAILED, 495
 *
 * 1. The result is kept with the connection's SSL object: a connection asks once.
 * 2. Who did not answer, or not credibly, has not said that it is good: the certificate fails.
 * 3. An answer counts when it is signed by the issuer, by one above it, or by whom the issuer has delegated. The
 *    client's own certificate signs nothing.
 * 4. Everything lies in the request's arena and ends with its scope.
 */

#include "weir/ssl/ssl.h"
#include "weir/ssl/ssl_ocsp.h"
#include "weir/web/worker.h"

#include "libweir/base/err.h"
#include "libweir/io/board.h"
#include "libweir/io/log.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <string.h>

#define CHECKS_MAX \
    64 /* of a server in a worker ask at once: each has a socket; the others wait */
#define TURN_MS 20000 /* so long at most */
#define FRESH_S 3600  /* of an answer that does not say until when it counts */
#define DN_MAX  256

enum fault {
    NOT_CHECKED,
    GOOD,
    REVOKED,
    UNKNOWN,
    FAILED
};
static const char *const faults[] = {
    [NOT_CHECKED] = "certificate status not checked",
    [REVOKED] = "certificate revoked",
    [UNKNOWN] = "certificate status unknown",
    [FAILED] = "certificate status request failed",
};

struct check {
    struct web_req *r;
    struct wr_op op;
    struct ocsp_fetch fetch;
    struct ocsp_subject subject;
    struct ssl_server *server;
    SSL *ssl;
    STACK_OF(X509) * chain; /* ours; the client's certificate first */
    int at, end;            /* which one is asked about; behind the last one */
    const char *url;
    struct wr_span id;
    struct wr_list turn; /* in the server's list, while it waits for its turn */
    struct wr_timer patience;
};

static struct ssl_server *negotiated(SSL *ssl)
{
    return SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
}

const char *ssl_client_fault(SSL *ssl)
{
    long result = SSL_get_verify_result(ssl);
    enum fault f = (enum fault)(uintptr_t)SSL_get_app_data(ssl);
    if (result != X509_V_OK)
        return X509_verify_cert_error_string(result);
    if (f == NOT_CHECKED && !negotiated(ssl)->ocsp)
        return NULL;
    return faults[f];
}

/* ---- asking ----------------------------------------------------------------------------------------------------- */

static int advance(struct check *c);

/* A place is free: at the end of the turn, since a callback of another request may be running. */
static void leave_place(struct check *c)
{
    struct ssl_server *s = c->server;
    s->checking--;
    if (!wr_list_empty(&s->checks))
        wr_loop_at_turn_end(web_loop(c->r), &s->next_check);
}

static void leave_queue(struct check *c)
{
    wr_list_remove(&c->turn);
    wr_loop_timer_cancel(&c->patience);
}

static void put_down(struct check *c)
{
    wr_op_end(&c->op);
    leave_place(c);
}

static void free_check(void *arg)
{
    struct check *c = arg;
    ocsp_subject_deinit(&c->subject);
    sk_X509_pop_free(c->chain, X509_free);
}

static void on_cancel(struct wr_op *op, int why)
{
    struct check *c = wr_container_of(op, struct check, op);
    (void)why;
    if (wr_list_linked(&c->turn)) {
        leave_queue(c);
        return;
    }
    ocsp_fetch_stop(&c->fetch);
    leave_place(c);
}

static int settle(struct check *c, enum fault f)
{
    (void)SSL_set_app_data(c->ssl, (void *)(uintptr_t)f);
    if (f == GOOD)
        return WEB_NEXT;
    web_error(c->r, WR_LOG_INFO, 0, "client SSL certificate verify error: %s", faults[f]);
    ssl_cache_forget(c->ssl);
    return 495;
}

static int fail(struct check *c, const struct ocsp_why *why)
{
    char name[DN_MAX];
    X509 *x = sk_X509_value(c->chain, c->at);
    (void)X509_NAME_oneline(X509_get_subject_name(x), name, sizeof name);
    web_error(c->r, WR_LOG_ERROR, 0,
              "%s %s while requesting certificate status, responder: %s, certificate: \"%s\"",
              why->what, why->text, c->url, name);
    wr_seat_count(web_worker_of(c->r)->seat, WR_COUNTER_OCSP_FAILED, 1);
    return settle(c, FAILED);
}

static enum fault fault_of(int status)
{
    return status == V_OCSP_CERTSTATUS_GOOD      ? GOOD
           : status == V_OCSP_CERTSTATUS_REVOKED ? REVOKED
                                                 : UNKNOWN;
}

static uint64_t wall_s(const struct check *c)
{
    return wr_loop_wall_ns(web_loop(c->r)) / 1000000000u;
}

/* The issuers above this one, its own first. */
static STACK_OF(X509) * above(STACK_OF(X509) * chain, int at)
{
    STACK_OF(X509) *out = X509_chain_up_ref(chain);
    for (int i = 0; out && i <= at; i++)
        X509_free(sk_X509_shift(out));
    return out;
}

/* What is asked about the certificate at c->at. 0, -ENOMEM, or WR_E_SYNTAX: nobody can be asked. */
static int make_subject(struct check *c)
{
    struct ocsp_subject *s = &c->subject;
    X509 *x = sk_X509_value(c->chain, c->at);
    unsigned char *der = NULL;
    ocsp_subject_deinit(s);
    *s = (struct ocsp_subject){.near = above(c->chain, c->at),
                               .store = SSL_CTX_get_cert_store(SSL_get_SSL_CTX(c->ssl)),
                               .verify = true};
    int err = s->near ? ssl_responder_url(c->r->arena, c->server->ocsp_responder, x, &c->url)
                      : -ENOMEM;
    if (!err)
        err = *c->url ? ocsp_subject_init(s, c->r->arena, x, wr_span_str(c->url)) : WR_E_SYNTAX;
    int n = err ? 0 : i2d_OCSP_CERTID(s->id, &der);
    if (!err)
        err = n > 0 ? wr_arena_dup(c->r->arena, wr_span(der, (size_t)n), &c->id) : -ENOMEM;
    OPENSSL_free(der);
    return err;
}

static void on_patience(struct wr_timer *t)
{
    struct check *c = wr_container_of(t, struct check, patience);
    const struct ocsp_why why = {.what = "OCSP responder", .text = "is asked by too many"};
    leave_queue(c);
    wr_op_end(&c->op);
    web_resume(c->r, fail(c, &why));
}

/* Those whose turn it is look into the cache again: it may know by now. */
static void on_turn(struct wr_task *task)
{
    struct ssl_server *s = wr_container_of(task, struct ssl_server, next_check);
    while (s->checking < CHECKS_MAX && !wr_list_empty(&s->checks)) {
        struct check *c = wr_container_of(wr_list_first(&s->checks), struct check, turn);
        leave_queue(c);
        wr_op_end(&c->op);
        int rc = advance(c);
        if (rc != WEB_LATER)
            web_resume(c->r, rc);
    }
}

static int wait_for_turn(struct check *c)
{
    wr_list_add_tail(&c->server->checks, &c->turn);
    c->patience.fn = on_patience;
    wr_loop_timer_arm(web_loop(c->r), &c->patience, TURN_MS);
    return WEB_LATER;
}

static int ask(struct check *c)
{
    struct ocsp_why why = {.what = "OCSP responder"};
    if (wr_op_begin(c->r->scope, &c->op, on_cancel))
        return WEB_LATER; /* the request is being ended */
    if (c->server->checking >= CHECKS_MAX)
        return wait_for_turn(c);
    c->server->checking++;
    int err = ssl_responder_ask(&c->fetch, web_worker_of(c->r), c->server, &c->subject);
    if (!err)
        return WEB_LATER;
    put_down(c);
    (void)snprintf(why.text, sizeof why.text, "cannot be asked (%s)", wr_err_text(err));
    return fail(c, &why);
}

/* One certificate after the other, as far as it goes without waiting. */
static int advance(struct check *c)
{
    for (int status; c->at < c->end; c->at++) {
        int err = make_subject(c);
        if (err) {
            struct ocsp_why why = {.what = "OCSP responder", .text = "cannot be asked"};
            if (err == WR_E_SYNTAX)
                (void)snprintf(why.text, sizeof why.text, "%s",
                               *c->url ? "has an invalid URL" : "is not in the certificate");
            return fail(c, &why);
        }
        if (!ssl_status_find(c->server, c->id, wall_s(c), &status))
            return ask(c);
        wr_seat_count(web_worker_of(c->r)->seat, WR_COUNTER_OCSP_CACHE_HITS, 1);
        if (status != V_OCSP_CERTSTATUS_GOOD)
            return settle(c, fault_of(status));
    }
    return settle(c, GOOD);
}

static int take_answer(struct check *c, struct wr_span answer, const struct ocsp_why *why)
{
    struct ocsp_verdict v;
    struct ocsp_why bad;
    if (!answer.p)
        return fail(c, why);
    if (!ocsp_judge(&c->subject, answer, &v, &bad))
        return fail(c, &bad);
    int64_t left = v.left_s < INT64_MAX ? v.left_s : FRESH_S;
    ssl_status_keep(c->server, c->id, v.status, wall_s(c) + (uint64_t)left);
    if (v.status != V_OCSP_CERTSTATUS_GOOD)
        return settle(c, fault_of(v.status));
    c->at++;
    return advance(c);
}

static void on_fetched(struct ocsp_fetch *f, struct wr_span answer, const struct ocsp_why *why)
{
    struct check *c = wr_container_of(f, struct check, fetch);
    put_down(c);
    int rc = take_answer(c, answer, why);
    if (rc != WEB_LATER)
        web_resume(c->r, rc); /* which may be its end, and with it c's */
}

/* ---- the chain ---------------------------------------------------------------------------------------------------- */

/* Of a session that is resumed there is none: it is built anew from what the server trusts. */
static STACK_OF(X509) * rebuilt(SSL *ssl, X509 *cert)
{
    STACK_OF(X509) *chain = NULL;
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    X509_STORE *store = SSL_CTX_get_cert_store(SSL_get_SSL_CTX(ssl));
    if (ctx && X509_STORE_CTX_init(ctx, store, cert, SSL_get_peer_cert_chain(ssl)) == 1 &&
        X509_verify_cert(ctx) == 1)
        chain = X509_STORE_CTX_get1_chain(ctx);
    X509_STORE_CTX_free(ctx);
    ERR_clear_error();
    return chain;
}

static int begin(struct web_req *r, SSL *ssl, X509 *cert, struct ssl_server *s)
{
    struct check *c = wr_arena_zalloc(r->arena, sizeof *c);
    if (!c)
        return 500;
    STACK_OF(X509) *verified = SSL_get0_verified_chain(ssl);
    c->r = r;
    c->ssl = ssl;
    c->server = s;
    c->fetch.done = on_fetched;
    wr_list_init(&c->turn);
    c->chain = verified ? X509_chain_up_ref(verified) : rebuilt(ssl, cert);
    if (!c->chain)
        return settle(c, FAILED);
    if (wr_arena_defer(r->arena, free_check, c)) {
        free_check(c);
        return 500;
    }
    c->end = sk_X509_num(c->chain) - 1; /* the last one is trusted as it is */
    if (s->ocsp == SSL_OCSP_LEAF && c->end > 1)
        c->end = 1;
    return advance(c);
}

/* ---- the first request -------------------------------------------------------------------------------------------- */

static bool lacks_only_a_ca(long result)
{
    return result == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT ||
           result == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN ||
           result == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY ||
           result == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT ||
           result == X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE;
}

static int refuse(struct web_req *r, SSL *ssl, int status, const char *what)
{
    web_error(r, WR_LOG_INFO, 0, "%s", what);
    ssl_cache_forget(ssl);
    return status;
}

/* The name of the handshake chose what the client had to show: a request for another name may need something else. Like
 * nginx, this goes by the name where that is a server's, and beyond nginx by the server where a certificate was shown. */
static bool is_misdirected(const struct web_req *r, SSL *ssl, const X509 *cert)
{
    char text[SSL_NAME_MAX];
    struct wr_span sent =
        ssl_clean_name(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name), text);
    if (!sent.n || !r->host.n || wr_span_eq(r->host, sent))
        return false;
    return site_server_named(r->conn->listen, NULL, sent) ||
           (cert && r->server != r->conn->server);
}

int ssl_client_post_read(struct web_req *r)
{
    const struct ssl_server *s = ssl_of(r->server);
    SSL *ssl = r->conn->tls && r->http ? wr_http_ssl(r->http) : NULL;
    if (!ssl || s->verify == SSL_CLIENT_OFF || r->internal)
        return WEB_NEXT;
    X509 *cert = SSL_get0_peer_certificate(ssl);
    if (is_misdirected(r, ssl, cert)) {
        web_error(r, WR_LOG_INFO, 0,
                  "client attempted to request the server name different from the one that was "
                  "negotiated");
        return 421;
    }
    long result = SSL_get_verify_result(ssl);
    if (result != X509_V_OK &&
        (s->verify != SSL_CLIENT_OPTIONAL_NO_CA || !lacks_only_a_ca(result))) {
        web_error(r, WR_LOG_INFO, 0, "client SSL certificate verify error: (%ld:%s)", result,
                  X509_verify_cert_error_string(result));
        ssl_cache_forget(ssl);
        return 495;
    }
    if (!cert)
        return s->verify == SSL_CLIENT_ON
                   ? refuse(r, ssl, 496, "client sent no required SSL certificate")
                   : WEB_NEXT;
    if (!negotiated(ssl)->ocsp || result != X509_V_OK)
        return WEB_NEXT;
    enum fault known = (enum fault)(uintptr_t)SSL_get_app_data(ssl);
    if (known == NOT_CHECKED)
        return begin(r, ssl, cert, negotiated(ssl));
    return known == GOOD ? WEB_NEXT
                         : refuse(r, ssl, 495, "client SSL certificate verify error");
}

void ssl_client_stop(struct ssl_server *s)
{
    wr_task_cancel(&s->next_check);
}

/* ---- configuration ------------------------------------------------------------------------------------------------ */

int ssl_client_ready(struct conf_load *load, struct ssl_server *s)
{
    struct wr_target t;
    wr_list_init(&s->checks);
    wr_task_init(&s->next_check, on_turn);
    if (!s->ocsp)
        return 0;
    if (s->verify == SSL_CLIENT_OPTIONAL_NO_CA)
        return conf_fail(
            load, s->server->node, 0,
            "\"ssl_ocsp\" is incompatible with \"ssl_verify_client optional_no_ca\"");
    if (s->ocsp_responder.n) {
        if (ocsp_read_url(s->ocsp_responder, &t, NULL, NULL))
            return conf_fail(
                load, s->server->node, 0,
                "invalid OCSP responder \"%.*s\" in \"ssl_ocsp_responder\": it has "
                "to be http://host[:port][/path]",
                WR_SPANF(s->ocsp_responder));
        ssl_responder_note(s, &t);
    }
    return ssl_status_ready(load, s);
}
