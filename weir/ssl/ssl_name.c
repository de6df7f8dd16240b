/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Which server a handshake is for. A connection begins with the context of its address's default server; the name
 * that the client sends (SNI) chooses the server as a Host field would.
 */

#include "weir/ssl/ssl.h"
#include "weir/web/worker.h"

#include <string.h>

/* The address that it came to, also where one socket serves several. */
static const struct web_listen *listen_of(const struct wr_http_conn *conn)
{
    const struct web_door *door = wr_http_conn_data_b(conn);
    struct wr_addr local;
    if (!door)
        return NULL;
    if (door->listen->ninner && wr_http_conn_local(conn, &local) == 0)
        return site_listen(door->listen, &local);
    return door->listen;
}

struct ssl_server *ssl_first(const SSL *ssl)
{
    const struct wr_http_conn *conn = wr_http_conn_of_ssl(ssl);
    const struct web_listen *l = conn ? listen_of(conn) : NULL;
    return l ? ssl_of(l->default_server) : SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
}

struct wr_span ssl_clean_name(const char *name, char out[static SSL_NAME_MAX])
{
    size_t n = name ? strlen(name) : 0;
    if (n > 0 && name[n - 1] == '.')
        n--;
    if (n > SSL_NAME_MAX)
        n = 0;
    for (size_t i = 0; i < n; i++)
        out[i] = wr_ascii_lower(name[i]);
    return wr_span(out, n);
}

static void take_context(SSL *ssl, const struct ssl_server *s)
{
    if (!s->ctx || SSL_get_SSL_CTX(ssl) == s->ctx)
        return;
    (void)SSL_set_SSL_CTX(ssl, s->ctx);
    SSL_set_verify(ssl, SSL_CTX_get_verify_mode(s->ctx), SSL_CTX_get_verify_callback(s->ctx));
    SSL_set_verify_depth(ssl, SSL_CTX_get_verify_depth(s->ctx));
    /* Of the options, OpenSSL takes over none. */
    (void)SSL_clear_options(ssl, SSL_get_options(ssl) & ~SSL_CTX_get_options(s->ctx));
    (void)SSL_set_options(ssl, SSL_CTX_get_options(s->ctx) | SSL_OP_NO_RENEGOTIATION);
}

static uint32_t record_max(const struct ssl_server *s)
{
    return (uint32_t)(s->buffer_size < 16384 ? s->buffer_size : 16384);
}

/* A session of another name has not shown the certificate that is wanted here. */
static bool is_foreign(SSL *ssl, const struct ssl_server *s, const char *name)
{
    const SSL_SESSION *session = SSL_get0_session(ssl);
    const char *of = session ? SSL_SESSION_get0_hostname(session) : NULL;
    return s->verify != SSL_CLIENT_OFF && of && (!name || strcmp(of, name) != 0);
}

int ssl_on_name(SSL *ssl, int *alert, void *arg)
{
    (void)arg;
    char text[SSL_NAME_MAX];
    struct wr_http_conn *conn = wr_http_conn_of_ssl(ssl);
    const struct web_listen *l = conn ? listen_of(conn) : NULL;
    if (!l)
        return SSL_TLSEXT_ERR_NOACK;
    const char *sent = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    struct wr_span name = ssl_clean_name(sent, text);
    const struct web_server *server = name.n ? site_server(l, NULL, name) : l->default_server;
    const struct ssl_server *s = ssl_of(server);
    if (s->reject_handshake) {
        *alert = SSL_AD_UNRECOGNIZED_NAME;
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    if (is_foreign(ssl, s, sent)) {
        *alert = SSL_AD_ACCESS_DENIED;
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    wr_http_conn_set_data(conn, (void *)(uintptr_t)server, wr_http_conn_data_b(conn));
    wr_tls_set_record_max(ssl, record_max(s));
    take_context(ssl, s);
    return name.n ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

static struct ssl_ctx_st *choose(struct wr_http_conn *conn, void *arg)
{
    struct web_door *door = arg;
    wr_http_conn_set_data(conn, NULL, door);
    const struct web_listen *l = listen_of(conn);
    return l->ssl ? ssl_of(l->default_server)->ctx : NULL;
}

int ssl_listen_options(struct web_listen *l, struct wr_http_tls *out)
{
    const struct ssl_server *s = ssl_of(l->default_server);
    *out = (struct wr_http_tls){.ctx = s->ctx,
                                .choose = choose,
                                .record_max = record_max(s),
                                .early_data = s->early_data};
    return 0;
}
