/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * ssl_session_cache: sessions in memory that all workers share, so that a client resumes with any of them.
 *
 * A session is its DER text, cut into nodes of a zone table (zone_table.h) under the keys id+0, id+1, ... ; the first
 * says how long it is and until when it may be used. When there is no room the oldest nodes go: a session that
 * lost one is no session any more.
 *
 * A session is resumed by servers that show the same certificates and verify clients in the same way, and by no other:
 * with it goes what was found of the client's certificate.
 */

#include "libweir/base/err.h"
#include "libweir/io/clock.h"
#include "weir/ssl/ssl.h"
#include "weir/web/worker.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <string.h>

#define PART      400
#define PARTS_MAX 16

struct session_part {
    struct zone_node node; /* first */
    uint64_t until_s;
    uint32_t total, serial;
    unsigned char bytes[PART];
};

static struct zone_table *table_of(SSL *ssl)
{
    const struct ssl_server *s = ssl_first(ssl);
    return s->cache.zone ? s->cache.zone->memory : NULL;
}

static struct zone_key part_key(const struct zone_table *t, const unsigned char *id, unsigned n,
                                unsigned part)
{
    char text[SSL_MAX_SSL_SESSION_ID_LENGTH + 1];
    memcpy(text, id, n);
    text[n] = (char)part;
    return zone_key(t, wr_span(text, n + 1));
}

static struct session_part *add_part(struct zone_table *t, const struct zone_key *key)
{
    struct zone_node *old = zone_find(t, key), *node;
    if (old)
        zone_remove(t, old);
    while (!(node = zone_add(t, key))) {
        struct zone_node *oldest = zone_oldest(t);
        if (!oldest)
            return NULL;
        zone_remove(t, oldest);
    }
    return (struct session_part *)(void *)node;
}

static int on_new(SSL *ssl, SSL_SESSION *session)
{
    unsigned char der[PART * PARTS_MAX], *p = der;
    unsigned id_n;
    const unsigned char *id = SSL_SESSION_get_id(session, &id_n);
    int n = i2d_SSL_SESSION(session, NULL);
    struct zone_table *t = table_of(ssl);
    if (!t || n <= 0 || n > (int)sizeof der || i2d_SSL_SESSION(session, &p) != n)
        return 0;
    uint64_t until =
        (uint64_t)(SSL_SESSION_get_time(session) + SSL_SESSION_get_timeout(session));
    (void)zone_lock(t);
    for (unsigned part = 0; part * PART < (unsigned)n; part++) {
        struct zone_key key = part_key(t, id, id_n, part);
        struct session_part *s = add_part(t, &key);
        if (!s)
            break;
        size_t at = (size_t)part * PART, len = (size_t)n - at < PART ? (size_t)n - at : PART;
        s->until_s = until;
        s->total = (uint32_t)n;
        s->serial = (uint32_t)SSL_SESSION_get_time(session);
        memcpy(s->bytes, der + at, len);
    }
    zone_unlock(t);
    return 0; /* no reference is kept */
}

static uint64_t now_s(SSL *ssl)
{
    struct wr_http_conn *conn = wr_http_conn_of_ssl(ssl);
    const struct web_door *door = conn ? wr_http_conn_data_b(conn) : NULL;
    return door ? wr_loop_wall_ns(door->worker->loop) / 1000000000 : 0;
}

/* All parts into der; 0: it is not there whole. */
static size_t collect(struct zone_table *t, const unsigned char *id, unsigned id_n,
                      uint64_t now, unsigned char der[static PART * PARTS_MAX])
{
    size_t total = 0, at = 0;
    uint32_t serial = 0;
    for (unsigned part = 0; part == 0 || at < total; part++) {
        struct zone_key key = part_key(t, id, id_n, part);
        const struct session_part *s = (const void *)zone_find(t, &key);
        if (!s || (part && s->serial != serial) || s->total > PART * PARTS_MAX)
            return 0;
        if (part == 0 && s->until_s < now)
            return 0;
        serial = s->serial;
        total = s->total;
        size_t len = total - at < PART ? total - at : PART;
        memcpy(der + at, s->bytes, len);
        at += len;
    }
    return total;
}

static SSL_SESSION *on_get(SSL *ssl, const unsigned char *id, int n, int *copy)
{
    unsigned char der[PART * PARTS_MAX];
    const unsigned char *p = der;
    struct zone_table *t = table_of(ssl);
    *copy = 0;
    if (!t || n <= 0 || n > SSL_MAX_SSL_SESSION_ID_LENGTH)
        return NULL;
    (void)zone_lock(t);
    size_t total = collect(t, id, (unsigned)n, now_s(ssl), der);
    zone_unlock(t);
    return total ? d2i_SSL_SESSION(NULL, &p, (long)total) : NULL;
}

static void on_remove(SSL_CTX *ctx, SSL_SESSION *session)
{
    const struct ssl_server *s = SSL_CTX_get_app_data(ctx);
    struct zone_table *t = s && s->cache.zone ? s->cache.zone->memory : NULL;
    unsigned n;
    const unsigned char *id = SSL_SESSION_get_id(session, &n);
    if (!t || n == 0)
        return;
    (void)zone_lock(t);
    struct zone_key key = part_key(t, id, n, 0);
    struct zone_node *node = zone_find(t, &key);
    if (node)
        zone_remove(t, node);
    zone_unlock(t);
}

void ssl_cache_forget(SSL *ssl)
{
    SSL_SESSION *session = SSL_get_session(ssl);
    if (session)
        (void)SSL_CTX_remove_session(ssl_first(ssl)->ctx, session);
}

static bool add(EVP_MD_CTX *md, const void *p, size_t n)
{
    return EVP_DigestUpdate(md, &n, sizeof n) == 1 && EVP_DigestUpdate(md, p, n) == 1;
}

static bool add_text(EVP_MD_CTX *md, struct wr_span text)
{
    return add(md, text.n ? text.p : "", text.n);
}

/* The certificates that are shown: what is in the context, and what variables will name. */
static bool add_certificates(EVP_MD_CTX *md, const struct ssl_server *s)
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    bool good = true;
    for (long more = SSL_CTX_set_current_cert(s->ctx, SSL_CERT_SET_FIRST); more == 1 && good;
         more = SSL_CTX_set_current_cert(s->ctx, SSL_CERT_SET_NEXT))
        good = X509_digest(SSL_CTX_get0_certificate(s->ctx), EVP_sha256(), sum, &n) == 1 &&
               add(md, sum, n);
    for (uint32_t i = 0; s->named && i < s->certificates.n && good; i++)
        good = add_text(md, s->certificates.list[i].value.text);
    return good;
}

/* How clients are verified: a session keeps the verdict of the one that it began with. */
static bool add_verification(EVP_MD_CTX *md, const struct ssl_server *s)
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    const STACK_OF(X509_NAME) *names = SSL_CTX_get_client_CA_list(s->ctx);
    bool good = add(md, &s->verify, sizeof s->verify) &&
                add(md, &s->verify_depth, sizeof s->verify_depth) &&
                add_text(md, s->client_ca) && add_text(md, s->trusted) && add_text(md, s->crl);
    for (int i = 0; i < sk_X509_NAME_num(names) && good; i++)
        good = X509_NAME_digest(sk_X509_NAME_value(names, i), EVP_sha256(), sum, &n) == 1 &&
               add(md, sum, n);
    return good;
}

/* What a session may be resumed for. */
static int set_context_id(struct ssl_server *s)
{
    unsigned char id[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool good = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
                add_certificates(md, s) && add_verification(md, s) &&
                EVP_DigestFinal_ex(md, id, &n) == 1 &&
                SSL_CTX_set_session_id_context(s->ctx, id, n) == 1;
    EVP_MD_CTX_free(md);
    return good ? 0 : -ENOMEM;
}

static void use_cache(SSL_CTX *ctx, const struct ssl_server *s)
{
    long mode = SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_AUTO_CLEAR;
    if (s->cache.mode == SSL_CACHE_OFF && !s->cache.zone)
        mode = SSL_SESS_CACHE_OFF;
    else if (s->cache.mode != SSL_CACHE_BUILTIN)
        mode |= SSL_SESS_CACHE_NO_INTERNAL;
    (void)SSL_CTX_set_session_cache_mode(ctx, mode);
    if (s->cache.builtin)
        (void)SSL_CTX_sess_set_cache_size(ctx, s->cache.builtin);
    (void)SSL_CTX_set_timeout(ctx, (long)s->session_timeout_s);
    if (!s->cache.zone)
        return;
    SSL_CTX_sess_set_new_cb(ctx, on_new);
    SSL_CTX_sess_set_get_cb(ctx, on_get);
    SSL_CTX_sess_set_remove_cb(ctx, on_remove);
}

int ssl_cache_ready(struct conf_load *load, struct ssl_server *s)
{
    struct web_zone *z = s->cache.zone;
    struct wr_span tag = WR_LIT("ssl sessions");
    int rc = set_context_id(s);
    if (rc)
        return rc;
    use_cache(s->ctx, s);
    if (!z || !z->memory)
        return 0;
    if (!z->fresh && zone_table_agrees(z->memory, tag))
        return 0;
    rc = zone_table_init(z->memory, z->size, sizeof(struct session_part), 0, tag);
    z->fresh = false;
    return rc ? conf_fail(load, s->server->node, 0, "session cache \"%.*s\" is too small",
                          WR_SPANF(z->name))
              : 0;
}
