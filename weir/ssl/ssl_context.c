/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * From a server's directives to its OpenSSL context. Runs in the master, while the configuration is loaded: what is
 * wrong is told with file and line, and OpenSSL's own reason behind it.
 */

#include "libweir/base/err.h"
#include "weir/ssl/ssl.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define DATA          "data:"
#define PASSWORDS_MAX 65536
#define STAPLE_MAX    65536
#define EARLY_MAX     16384

int ssl_fail(struct conf_load *load, const struct conf_node *node, uint32_t word,
             const char *fmt, ...)
{
    char what[512], why[256] = "";
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    unsigned long e = ERR_peek_error();
    if (e)
        ERR_error_string_n(e, why, sizeof why);
    ERR_clear_error();
    return conf_fail(load, node, word, "%s%s%s%s", what, e ? " (SSL: " : "", why, e ? ")" : "");
}

static void free_context(void *arg)
{
    SSL_CTX_free(arg);
}

/* ---- bytes ---------------------------------------------------------------------------------------------- */

/* A file, or what follows "data:". */
static BIO *open_pem(struct conf_load *load, const struct conf_node *node, uint32_t word)
{
    struct wr_span text = conf_arg(node, word), path;
    if (wr_span_has_prefix(text, WR_LIT(DATA)))
        return BIO_new_mem_buf(text.p + sizeof DATA - 1, (int)(text.n - (sizeof DATA - 1)));
    if (conf_path(load, text, &path))
        return NULL;
    BIO *b = BIO_new_file(path.p, "r");
    if (!b)
        (void)ssl_fail(load, node, word,
                       "cannot load certificate \"%s\": BIO_new_file() failed", path.p);
    return b;
}

static int read_whole(struct conf_load *load, const struct ssl_server *s, struct wr_span path,
                      size_t max, char **out, size_t *out_n)
{
    BIO *b = BIO_new_file(path.p, "r");
    char *p = wr_arena_alloc(load->arena, max + 2);
    int n = b && p ? BIO_read(b, p, (int)max) : -1;
    BIO_free(b);
    if (n < 0)
        return ssl_fail(load, s->server->node, 0, "cannot read \"%s\"", path.p);
    memset(p + n, 0, 2);
    *out = p;
    *out_n = (size_t)n;
    return 0;
}

/* Lines become strings, an empty one ends them. */
static int read_passwords(struct conf_load *load, struct ssl_server *s)
{
    char *p;
    size_t n, at = 0;
    if (!s->password_file.n)
        return 0;
    int rc = read_whole(load, s, s->password_file, PASSWORDS_MAX, &p, &n);
    if (rc)
        return rc;
    for (size_t i = 0; i < n; i++)
        if (p[i] != '\n' && p[i] != '\r')
            p[at++] = p[i];
        else if (at && p[at - 1])
            p[at++] = 0;
    p[at] = p[at + 1] = 0;
    s->passwords = p;
    return 0;
}

static int on_password(char *buf, int size, int writing, void *arg)
{
    (void)writing;
    const char *password = arg;
    size_t n = password ? strlen(password) : 0;
    if (n == 0 || n > (size_t)size)
        return -1;
    memcpy(buf, password, n);
    return (int)n;
}

/* ---- certificates and keys -------------------------------------------------------------------------------- */

bool ssl_pem_ended(void)
{
    unsigned long e = ERR_peek_last_error();
    bool ended = ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE;
    if (ended)
        ERR_clear_error();
    return ended;
}

static int use_certificate(struct conf_load *load, struct ssl_server *s,
                           const struct conf_node *node)
{
    BIO *b = open_pem(load, node, 1);
    X509 *x = b ? PEM_read_bio_X509_AUX(b, NULL, NULL, NULL) : NULL;
    if (!b)
        return WR_E_SYNTAX;
    int rc = 0;
    if (!x || SSL_CTX_use_certificate(s->ctx, x) != 1)
        rc = ssl_fail(load, node, 1, "cannot load certificate \"%s\"", conf_str(node, 1));
    X509_free(x);
    (void)SSL_CTX_clear_chain_certs(s->ctx);
    while (!rc && (x = PEM_read_bio_X509(b, NULL, NULL, NULL)))
        if (SSL_CTX_add0_chain_cert(s->ctx, x) != 1) {
            X509_free(x);
            rc = ssl_fail(load, node, 1, "SSL_CTX_add0_chain_cert(\"%s\") failed",
                          conf_str(node, 1));
        }
    if (!rc && !ssl_pem_ended())
        rc = ssl_fail(load, node, 1,
                      "cannot load certificate \"%s\": PEM_read_bio_X509() failed",
                      conf_str(node, 1));
    BIO_free(b);
    return rc;
}

EVP_PKEY *ssl_read_key(BIO *b, const struct ssl_server *s)
{
    const char *password = s->passwords;
    EVP_PKEY *key;
    do {
        key = PEM_read_bio_PrivateKey(b, NULL, on_password, (void *)(uintptr_t)password);
        if (password && *password)
            password += strlen(password) + 1;
        (void)BIO_reset(b);
    } while (!key && password && *password);
    return key;
}

static int use_key(struct conf_load *load, struct ssl_server *s, const struct conf_node *node)
{
    struct wr_span text = conf_arg(node, 1);
    if (wr_span_has_prefix(text, WR_LIT("engine:")) ||
        wr_span_has_prefix(text, WR_LIT("store:")))
        return conf_fail(load, node, 1,
                         "cannot load certificate key \"%s\": keys of engines and stores are "
                         "not supported, name a file",
                         conf_str(node, 1));
    BIO *b = open_pem(load, node, 1);
    EVP_PKEY *key = b ? ssl_read_key(b, s) : NULL;
    if (!b)
        return WR_E_SYNTAX;
    int rc = 0;
    if (!key)
        rc = ssl_fail(load, node, 1, "cannot load certificate key \"%s\"", conf_str(node, 1));
    else if (SSL_CTX_use_PrivateKey(s->ctx, key) != 1)
        rc =
            ssl_fail(load, node, 1, "SSL_CTX_use_PrivateKey(\"%s\") failed", conf_str(node, 1));
    else
        ERR_clear_error();
    EVP_PKEY_free(key);
    BIO_free(b);
    return rc;
}

static int use_certificates(struct conf_load *load, struct ssl_server *s)
{
    int rc = 0;
    for (uint32_t i = 0; i < s->certificates.n && !rc; i++) {
        const struct ssl_pem *cert = &s->certificates.list[i], *key = &s->keys.list[i];
        if (i >= s->keys.n)
            return conf_fail(load, cert->node, 1,
                             "no \"ssl_certificate_key\" is defined for certificate \"%s\"",
                             conf_str(cert->node, 1));
        if (!web_value_constant(&cert->value) || !web_value_constant(&key->value)) {
            rc = ssl_named_add(load, s, cert, key);
            continue;
        }
        rc = use_certificate(load, s, cert->node);
        if (!rc)
            rc = use_key(load, s, key->node);
    }
    return rc;
}

/* ---- what is spoken ---------------------------------------------------------------------------------------- */

static void set_protocols(SSL_CTX *ctx, uint32_t bits)
{
    static const uint64_t no[] = {0,
                                  SSL_OP_NO_SSLv3,
                                  SSL_OP_NO_TLSv1,
                                  SSL_OP_NO_TLSv1_1,
                                  SSL_OP_NO_TLSv1_2,
                                  SSL_OP_NO_TLSv1_3};
    for (unsigned i = 1; i < WR_ARRAY_LEN(no); i++)
        if (!(bits >> i & 1))
            (void)SSL_CTX_set_options(ctx, no[i]);
    if (bits & 4)
        (void)SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
    else if (bits & 8)
        (void)SSL_CTX_set_min_proto_version(ctx, TLS1_1_VERSION);
}

static int set_dhparam(struct conf_load *load, struct ssl_server *s)
{
    if (!s->dhparam.n)
        return 0;
    BIO *b = BIO_new_file(s->dhparam.p, "r");
    EVP_PKEY *dh = b ? PEM_read_bio_Parameters(b, NULL) : NULL;
    BIO_free(b);
    if (dh && SSL_CTX_set0_tmp_dh_pkey(s->ctx, dh) == 1)
        return 0;
    EVP_PKEY_free(dh);
    return ssl_fail(load, s->server->node, 0, "cannot use \"ssl_dhparam\" \"%s\"",
                    s->dhparam.p);
}

static void set_compression(struct conf_load *load, const struct ssl_server *s)
{
#ifdef SSL_OP_NO_TX_CERTIFICATE_COMPRESSION
    (void)load;
    if (!s->compression)
        (void)SSL_CTX_set_options(s->ctx, SSL_OP_NO_TX_CERTIFICATE_COMPRESSION);
#else
    if (s->compression)
        conf_warn(load, s->server->node, 0,
                  "\"ssl_certificate_compression\" is not supported on this platform, ignored");
#endif
}

/* Files that a command names lie beside the configuration, as those of directives do. */
static int run_command(struct conf_load *load, SSL_CONF_CTX *c, const struct conf_node *n)
{
    struct wr_span value = conf_arg(n, 2);
    int type = SSL_CONF_cmd_value_type(c, conf_str(n, 1));
    bool path = type == SSL_CONF_TYPE_FILE || type == SSL_CONF_TYPE_DIR;
    if (path && conf_path(load, value, &value))
        return -ENOMEM;
    if (SSL_CONF_cmd(c, conf_str(n, 1), value.p) > 0)
        return 0;
    return ssl_fail(load, n, 1, "SSL_CONF_cmd(\"%s\", \"%s\") failed", conf_str(n, 1), value.p);
}

static int set_commands(struct conf_load *load, struct ssl_server *s)
{
    if (s->commands.n == 0)
        return 0;
    SSL_CONF_CTX *c = SSL_CONF_CTX_new();
    if (!c)
        return -ENOMEM;
    (void)SSL_CONF_CTX_set_flags(c, SSL_CONF_FLAG_FILE | SSL_CONF_FLAG_SERVER |
                                        SSL_CONF_FLAG_CERTIFICATE | SSL_CONF_FLAG_SHOW_ERRORS);
    SSL_CONF_CTX_set_ssl_ctx(c, s->ctx);
    int rc = 0;
    for (uint32_t i = 0; i < s->commands.n && !rc; i++)
        rc = run_command(load, c, s->commands.list[i]);
    if (!rc && SSL_CONF_CTX_finish(c) != 1)
        rc = ssl_fail(load, s->server->node, 0, "SSL_CONF_finish() failed");
    SSL_CONF_CTX_free(c);
    return rc;
}

/* http/1.1 and older; a client that insists on something else is told so. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                   const unsigned char *in, unsigned in_n, void *arg)
{
    static const unsigned char ours[] = "\x08http/1.1\x08http/1.0\x08http/0.9";
    (void)ssl;
    (void)arg;
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, out_n, ours, sizeof ours - 1, in, in_n) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static int set_spoken(struct conf_load *load, struct ssl_server *s)
{
    set_protocols(s->ctx, s->protocols);
    (void)SSL_CTX_set_options(s->ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                          SSL_OP_SINGLE_DH_USE | SSL_OP_SINGLE_ECDH_USE);
    if (s->prefer_server_ciphers)
        (void)SSL_CTX_set_options(s->ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
    if (SSL_CTX_set_cipher_list(s->ctx, s->ciphers.p) != 1)
        return ssl_fail(load, s->server->node, 0, "SSL_CTX_set_cipher_list(\"%s\") failed",
                        s->ciphers.p);
    if (!wr_span_eq(s->curves, WR_LIT("auto")) &&
        SSL_CTX_ctrl(s->ctx, SSL_CTRL_SET_GROUPS_LIST, 0, (void *)(uintptr_t)s->curves.p) != 1)
        return ssl_fail(load, s->server->node, 0, "SSL_CTX_set1_curves_list(\"%s\") failed",
                        s->curves.p);
    if (s->early_data) {
        /* Requests may be replays, which $ssl_early_data says: tickets count for it like sessions in a cache. */
        (void)SSL_CTX_set_options(s->ctx, SSL_OP_NO_ANTI_REPLAY);
        (void)SSL_CTX_set_max_early_data(s->ctx, EARLY_MAX);
    }
    set_compression(load, s);
    SSL_CTX_set_alpn_select_cb(s->ctx, on_alpn, NULL);
    (void)SSL_CTX_set_tlsext_servername_callback(s->ctx, ssl_on_name);
    int rc = set_dhparam(load, s);
    return rc ? rc : set_commands(load, s);
}

/* ---- clients' certificates ----------------------------------------------------------------------------------- */

/* The handshake goes on whatever is found; the request is answered 495. */
static int on_verify(int good, X509_STORE_CTX *store)
{
    (void)good;
    (void)store;
    return 1;
}

static int load_crl(struct conf_load *load, struct ssl_server *s)
{
    if (!s->crl.n)
        return 0;
    X509_STORE *store = SSL_CTX_get_cert_store(s->ctx);
    X509_LOOKUP *l = X509_STORE_add_lookup(store, X509_LOOKUP_file());
    if (!l || X509_LOOKUP_load_file(l, s->crl.p, X509_FILETYPE_PEM) <= 0)
        return ssl_fail(load, s->server->node, 0, "cannot load \"ssl_crl\" \"%s\"", s->crl.p);
    (void)X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    return 0;
}

static int set_verify(struct conf_load *load, struct ssl_server *s)
{
    if (s->verify == SSL_CLIENT_OFF && !s->client_ca.n && !s->trusted.n)
        return 0;
    if (s->verify != SSL_CLIENT_OFF && s->verify != SSL_CLIENT_OPTIONAL_NO_CA &&
        !s->client_ca.n && !s->trusted.n)
        return conf_fail(load, s->server->node, 0,
                         "no ssl_client_certificate for ssl_verify_client");
    if (s->verify != SSL_CLIENT_OFF)
        SSL_CTX_set_verify(s->ctx, SSL_VERIFY_PEER, on_verify);
    SSL_CTX_set_verify_depth(s->ctx, (int)s->verify_depth);
    if (s->client_ca.n) {
        STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(s->client_ca.p);
        if (!names || SSL_CTX_load_verify_file(s->ctx, s->client_ca.p) != 1)
            return ssl_fail(load, s->server->node, 0,
                            "cannot load \"ssl_client_certificate\" \"%s\"", s->client_ca.p);
        SSL_CTX_set_client_CA_list(s->ctx, names);
    }
    if (s->trusted.n && SSL_CTX_load_verify_file(s->ctx, s->trusted.p) != 1)
        return ssl_fail(load, s->server->node, 0,
                        "cannot load \"ssl_trusted_certificate\" \"%s\"", s->trusted.p);
    ERR_clear_error();
    return load_crl(load, s);
}

/* ---- stapling ----------------------------------------------------------------------------------------------- */

static int set_stapling(struct conf_load *load, struct ssl_server *s)
{
    char *p;
    if (s->stapling && s->staple_file.n) {
        int rc = read_whole(load, s, s->staple_file, STAPLE_MAX, &p, &s->staple_n);
        if (rc)
            return rc;
        s->staple = (unsigned char *)p;
    }
    return ssl_staple_ready(load, s);
}

/* ---- all of it ------------------------------------------------------------------------------------------------ */

int ssl_context_new(struct conf_load *load, struct ssl_server *s)
{
    s->ctx = SSL_CTX_new(TLS_server_method());
    if (!s->ctx || wr_arena_defer(load->arena, free_context, s->ctx)) {
        SSL_CTX_free(s->ctx);
        return -ENOMEM;
    }
    (void)SSL_CTX_set_app_data(s->ctx, s);
    int rc = read_passwords(load, s);
    if (rc == 0)
        rc = use_certificates(load, s);
    if (rc == 0)
        rc = set_spoken(load, s);
    if (rc == 0)
        rc = set_verify(load, s);
    if (rc == 0)
        rc = ssl_client_ready(load, s);
    if (rc == 0)
        rc = set_stapling(load, s);
    if (rc == 0)
        rc = ssl_ticket_ready(load, s);
    if (rc == 0)
        rc = ssl_cache_ready(load, s);
    return rc;
}
