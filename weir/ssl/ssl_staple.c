/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Stapling: the status of our certificate is sent along in the handshake.
 *
 * ssl_stapling_file gives the answer; without it each worker asks the certificate's responder. The first handshake that
 * wants a status starts that and gets none, as do all until the answer is there; nobody waits. An answer is sent until its
 * nextUpdate and asked for anew before that, by a timer if anybody was sent it. While the responder fails the old one is
 * sent as long as it is valid, and it is asked again in the middle of what is left.
 *
 * 1. A worker asks one responder about one certificate once at a time, after a failure not before RETRY_MS unless an
 *    answer ends before.
 * 2. What is sent was judged good when it came, and its nextUpdate has not passed.
 * 3. The same complaint is logged once, until an answer came.
 *
 * A staple lies in the configuration's memory; each worker has its own copy of that. Its answer is of OpenSSL's memory.
 */

#include "weir/ssl/ssl.h"
#include "weir/ssl/ssl_ocsp.h"
#include "weir/web/logs.h"
#include "weir/web/worker.h"

#include "libweir/base/err.h"
#include "libweir/io/board.h"
#include "libweir/io/log.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

#define RETRY_MS     300000U
#define RETRY_MAX_MS 1200000U
#define RETRY_MIN_MS 1000U
#define FRESH_S      3600
#define EARLY_S      300

struct ssl_staple {
    struct ssl_staple *next;
    struct ssl_server *server;
    struct ocsp_subject subject;
    const char *url, *cert_name;
    /* a worker's */
    struct web_worker *worker;
    struct ocsp_fetch fetch;
    struct wr_timer refresh; /* at again_ms, while there is an answer */
    bool wanted;             /* the answer was sent to somebody */
    unsigned char *answer;
    size_t answer_n;
    uint64_t valid_s;  /* wall clock; the answer is sent before it */
    uint64_t again_ms; /* of the loop's clock: not asked before it */
    uint32_t retry_ms;
    struct ocsp_why said;
};

/* ---- run time: asking --------------------------------------------------------------------------------------------- */

static uint64_t wall_s(const struct ssl_staple *st)
{
    return wr_loop_wall_ns(st->worker->loop) / 1000000000u;
}

static void say(struct ssl_staple *st, const struct ocsp_why *why)
{
    if (strcmp(st->said.what, why->what) == 0 && strcmp(st->said.text, why->text) == 0)
        return;
    st->said = *why;
    web_server_error(st->server->server, st->worker->log, wr_loop_wall_ns(st->worker->loop),
                     WR_LOG_ERROR,
                     "%s %s while requesting certificate status, responder: %s, "
                     "certificate: \"%s\"",
                     why->what, why->text, st->url, st->cert_name);
}

static bool is_valid(const struct ssl_staple *st)
{
    return st->answer && wall_s(st) < st->valid_s;
}

static void again_in(struct ssl_staple *st, uint64_t ms)
{
    st->again_ms = wr_loop_now_ms(st->worker->loop) + ms;
    if (is_valid(st))
        wr_loop_timer_arm(st->worker->loop, &st->refresh, ms);
}

static void ask_later(struct ssl_staple *st, const struct ocsp_why *why)
{
    uint32_t twice = 2 * st->retry_ms;
    st->retry_ms = !twice ? RETRY_MS : twice < RETRY_MAX_MS ? twice : RETRY_MAX_MS;
    uint64_t half_ms = is_valid(st) ? (st->valid_s - wall_s(st)) * 500 : UINT64_MAX;
    half_ms = half_ms < RETRY_MIN_MS ? RETRY_MIN_MS : half_ms;
    again_in(st, half_ms < st->retry_ms ? half_ms : st->retry_ms);
    wr_seat_count(st->worker->seat, WR_COUNTER_OCSP_FAILED, 1);
    say(st, why);
}

/* Well before it ends; one that ends soon is replaced in the middle of what is left. */
static uint64_t fresh_s(int64_t left)
{
    int64_t fresh = left > 2 * EARLY_S ? left - EARLY_S : left / 2;
    return (uint64_t)(fresh < FRESH_S ? fresh : FRESH_S);
}

static void keep(struct ssl_staple *st, struct wr_span answer, const struct ocsp_verdict *v)
{
    struct ocsp_why why = {.what = "certificate status"};
    unsigned char *copy = OPENSSL_memdup(answer.p, answer.n);
    int64_t left = v->left_s < INT64_MAX ? v->left_s : FRESH_S;
    if (!copy) {
        (void)snprintf(why.text, sizeof why.text, "not kept: no memory");
        ask_later(st, &why);
        return;
    }
    OPENSSL_free(st->answer);
    st->answer = copy;
    st->answer_n = answer.n;
    st->valid_s = wall_s(st) + (uint64_t)left;
    st->wanted = false;
    again_in(st, fresh_s(left) * 1000);
    st->retry_ms = 0;
    if (v->status == V_OCSP_CERTSTATUS_GOOD) {
        st->said = (struct ocsp_why){0};
        return;
    }
    (void)snprintf(why.text, sizeof why.text, "\"%s\" in the OCSP response",
                   OCSP_cert_status_str(v->status));
    say(st, &why);
}

static void on_fetched(struct ocsp_fetch *f, struct wr_span answer, const struct ocsp_why *why)
{
    struct ssl_staple *st = wr_container_of(f, struct ssl_staple, fetch);
    struct ocsp_verdict verdict;
    struct ocsp_why bad;
    if (!answer.p)
        ask_later(st, why);
    else if (ocsp_judge(&st->subject, answer, &verdict, &bad))
        keep(st, answer, &verdict);
    else
        ask_later(st, &bad);
}

static void ask(struct ssl_staple *st)
{
    if (ocsp_fetching(&st->fetch) || wr_loop_now_ms(st->worker->loop) < st->again_ms)
        return;
    int err = ssl_responder_ask(&st->fetch, st->worker, st->server, &st->subject);
    if (err) {
        struct ocsp_why why = {.what = "OCSP responder"};
        (void)snprintf(why.text, sizeof why.text, "cannot be asked (%s)", wr_err_text(err));
        ask_later(st, &why);
    }
}

static void on_refresh(struct wr_timer *t)
{
    struct ssl_staple *st = wr_container_of(t, struct ssl_staple, refresh);
    if (st->wanted)
        ask(st);
}

/* ---- run time: the handshake ----------------------------------------------------------------------------------------- */

static int give(SSL *ssl, const unsigned char *answer, size_t n)
{
    unsigned char *copy = OPENSSL_memdup(answer, n);
    if (!copy)
        return SSL_TLSEXT_ERR_NOACK;
    (void)SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)n);
    return SSL_TLSEXT_ERR_OK;
}

static int on_status_of_file(SSL *ssl, void *arg)
{
    const struct ssl_server *s = arg;
    return give(ssl, s->staple, s->staple_n);
}

static int on_status(SSL *ssl, void *arg)
{
    const struct ssl_server *s = arg;
    const X509 *shown = SSL_get_certificate(ssl);
    struct wr_http_conn *conn = wr_http_conn_of_ssl(ssl);
    const struct web_door *door = conn ? wr_http_conn_data_b(conn) : NULL;
    struct ssl_staple *st = s->staples;
    while (st && st->subject.cert != shown)
        st = st->next;
    if (!st || !door)
        return SSL_TLSEXT_ERR_NOACK;
    st->worker = door->worker;
    ask(st);
    if (!is_valid(st))
        return SSL_TLSEXT_ERR_NOACK;
    st->wanted = true;
    return give(ssl, st->answer, st->answer_n);
}

/* ---- configuration ------------------------------------------------------------------------------------------------------ */

static void free_staple(void *arg)
{
    struct ssl_staple *st = arg;
    ocsp_subject_deinit(&st->subject);
}

/* Of the chain that is sent, else of what is trusted. The caller's, or NULL. */
static X509 *issuer_of(SSL_CTX *ctx, X509 *cert, STACK_OF(X509) * chain)
{
    X509 *issuer = NULL;
    for (int i = 0; i < sk_X509_num(chain); i++)
        if (X509_check_issued(sk_X509_value(chain, i), cert) == X509_V_OK)
            return X509_up_ref(sk_X509_value(chain, i)) ? sk_X509_value(chain, i) : NULL;
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    X509_STORE_CTX *look = store ? X509_STORE_CTX_new() : NULL;
    if (look && X509_STORE_CTX_init(look, store, NULL, NULL) == 1 &&
        X509_STORE_CTX_get1_issuer(&issuer, look, cert) != 1)
        issuer = NULL;
    X509_STORE_CTX_free(look);
    ERR_clear_error();
    return issuer;
}

/* The issuer, which this takes, and the chain. */
static STACK_OF(X509) * near_of(X509 *issuer, STACK_OF(X509) * chain)
{
    STACK_OF(X509) *near = chain ? X509_chain_up_ref(chain) : sk_X509_new_null();
    if (near && sk_X509_unshift(near, issuer))
        return near;
    sk_X509_pop_free(near, X509_free);
    X509_free(issuer);
    return NULL;
}

static int start_staple(struct conf_load *load, struct ssl_server *s, struct ssl_staple *st,
                        X509 *cert, X509 *issuer, STACK_OF(X509) * chain)
{
    st->server = s;
    st->fetch.done = on_fetched;
    st->refresh.fn = on_refresh;
    st->subject.store = SSL_CTX_get_cert_store(s->ctx);
    st->subject.verify = s->stapling_verify;
    st->subject.near = near_of(issuer, chain);
    if (!st->subject.near)
        return -ENOMEM;
    int rc = wr_arena_defer(load->arena, free_staple, st);
    if (rc) {
        free_staple(st);
        return rc;
    }
    rc = ocsp_subject_init(&st->subject, load->arena, cert, wr_span_str(st->url));
    if (rc == WR_E_SYNTAX) {
        conf_warn(load, s->server->node, 0,
                  "\"ssl_stapling\" ignored, invalid OCSP responder \"%s\": it has to be "
                  "http://host[:port][/path]",
                  st->url);
        return 0;
    }
    if (!rc) {
        ssl_responder_note(s, &st->subject.responder);
        st->next = s->staples;
        s->staples = st;
    }
    return rc;
}

static int add_staple(struct conf_load *load, struct ssl_server *s, uint32_t nth)
{
    X509 *cert = SSL_CTX_get0_certificate(s->ctx);
    STACK_OF(X509) *chain = NULL;
    (void)SSL_CTX_get0_chain_certs(s->ctx, &chain);
    struct ssl_staple *st = wr_arena_zalloc(load->arena, sizeof *st);
    if (!st)
        return -ENOMEM;
    bool one = s->certificates.n == 1 && nth == 0;
    st->cert_name = one ? conf_str(s->certificates.list[0].node, 1) : s->server->name.p;
    X509 *issuer = issuer_of(s->ctx, cert, chain);
    if (!issuer) {
        conf_warn(
            load, s->server->node, 0,
            "\"ssl_stapling\" ignored, issuer certificate not found for certificate \"%s\"",
            st->cert_name);
        return 0;
    }
    int rc = ssl_responder_url(load->arena, s->stapling_responder, cert, &st->url);
    if (rc == 0 && *st->url)
        return start_staple(load, s, st, cert, issuer, chain);
    X509_free(issuer);
    if (rc == 0)
        conf_warn(load, s->server->node, 0,
                  "\"ssl_stapling\" ignored, no OCSP responder URL in the certificate \"%s\"",
                  st->cert_name);
    return rc;
}

static int add_staples(struct conf_load *load, struct ssl_server *s)
{
    int rc = 0;
    uint32_t nth = 0;
    for (long more = SSL_CTX_set_current_cert(s->ctx, SSL_CERT_SET_FIRST); more == 1 && !rc;
         more = SSL_CTX_set_current_cert(s->ctx, SSL_CERT_SET_NEXT))
        rc = add_staple(load, s, nth++);
    return rc;
}

int ssl_staple_ready(struct conf_load *load, struct ssl_server *s)
{
    if (!s->stapling)
        return 0;
    int rc = s->staple ? 0 : add_staples(load, s);
    if (rc == 0 && (s->staple || s->staples)) {
        if (s->staple)
            (void)SSL_CTX_set_tlsext_status_cb(s->ctx, on_status_of_file);
        else
            (void)SSL_CTX_set_tlsext_status_cb(s->ctx, on_status);
        (void)SSL_CTX_set_tlsext_status_arg(s->ctx, s);
    }
    return rc;
}

/* ---- a worker's life ------------------------------------------------------------------------------------------------------ */

static void stop_staple(struct ssl_staple *st)
{
    ocsp_fetch_stop(&st->fetch);
    wr_loop_timer_cancel(&st->refresh);
    OPENSSL_free(st->answer);
    st->answer = NULL;
    st->again_ms = st->retry_ms = 0;
}

void ssl_staple_stop(struct ssl_server *s)
{
    for (struct ssl_staple *st = s->staples; st; st = st->next)
        stop_staple(st);
}
