/* SPDX-License-Identifier: BSD-2-Clause */

/* The $ssl_ variables. */

#include "libweir/base/err.h"
#include "weir/ssl/ssl.h"
#include "weir/web/vars.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <string.h>

#define DAY_S 86400

/* Also while it shakes hands; NULL when the client has gone. */
static SSL *ssl_of_request(const struct web_req *r)
{
    return r->conn->tls && (r->main->http || r->main->handshake)
               ? wr_http_conn_ssl(r->conn->http)
               : NULL;
}

#define GET(name)                                                                    \
    static int name(struct web_req *r, const struct web_var *v, struct wr_span rest, \
                    struct web_val *out)

static int put_text(struct web_req *r, const char *text, struct web_val *out)
{
    struct wr_span copy;
    if (!text)
        return 0;
    if (wr_arena_dup(r->arena, wr_span_str(text), &copy))
        return -ENOMEM;
    return web_val_set(out, copy);
}

static int put_hex(struct web_req *r, const unsigned char *p, size_t n, bool upper,
                   struct web_val *out)
{
    const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    char *text = wr_arena_alloc(r->arena, 2 * n + 1);
    if (!text)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        text[2 * i] = digits[p[i] >> 4];
        text[2 * i + 1] = digits[p[i] & 15];
    }
    return web_val_set(out, wr_span(text, 2 * n));
}

/* What was written to a BIO, in r's arena; frees it. */
static int take_bio(struct web_req *r, BIO *b, struct wr_span *out)
{
    char *p = NULL;
    long n = b ? BIO_get_mem_data(b, &p) : 0;
    int rc =
        b ? wr_arena_dup(r->arena, wr_span(p ? p : "", n > 0 ? (size_t)n : 0), out) : -ENOMEM;
    BIO_free(b);
    return rc;
}

/* ---- the connection ---------------------------------------------------------------------------------------- */

enum {
    PROTOCOL,
    CIPHER,
    CIPHERS,
    CURVE,
    CURVES,
    NAME,
    SESSION_ID,
    REUSED,
    EARLY,
    ALPN,
    SIGALG,
    CLIENT_SIGALG
};

/* What the client offered, as it came; of a resumed session nothing is known. */
static int put_ciphers(struct web_req *r, SSL *ssl, struct web_val *out)
{
    const unsigned char *list = NULL;
    size_t unit = SSL_get0_raw_cipherlist(ssl, NULL);
    size_t n = SSL_get0_raw_cipherlist(ssl, &list);
    BIO *b = n && list ? BIO_new(BIO_s_mem()) : NULL;
    if (!b)
        return 0;
    for (size_t i = 0; i < n; i += unit) {
        const SSL_CIPHER *known = SSL_CIPHER_find(ssl, list + i);
        if (known)
            (void)BIO_printf(b, "%s%s", i ? ":" : "", SSL_CIPHER_get_name(known));
        else
            (void)BIO_printf(b, "%s0x%02x%02x", i ? ":" : "", list[i], list[i + 1]);
    }
    out->found = true;
    return take_bio(r, b, &out->text);
}

static int put_curves(struct web_req *r, SSL *ssl, struct web_val *out)
{
    int ids[64], n = (int)SSL_get1_curves(ssl, NULL);
    if (n <= 0 || n > (int)WR_ARRAY_LEN(ids))
        return 0;
    (void)SSL_get1_curves(ssl, ids);
    BIO *b = BIO_new(BIO_s_mem());
    for (int i = 0; b && i < n; i++) {
        bool unknown = ids[i] & TLSEXT_nid_unknown;
        const char *name = unknown ? NULL : OBJ_nid2sn(ids[i]);
        if (name)
            (void)BIO_printf(b, "%s%s", i ? ":" : "", name);
        else
            (void)BIO_printf(b, "%s0x%04x", i ? ":" : "", (unsigned)ids[i] & 0xffff);
    }
    out->found = true;
    return take_bio(r, b, &out->text);
}

static int put_session_id(struct web_req *r, SSL *ssl, struct web_val *out)
{
    unsigned n = 0;
    const SSL_SESSION *s = SSL_get0_session(ssl);
    const unsigned char *id = s ? SSL_SESSION_get_id(s, &n) : NULL;
    return id && n ? put_hex(r, id, n, false, out) : 0;
}

static int put_alpn(struct web_req *r, SSL *ssl, struct web_val *out)
{
    const unsigned char *p = NULL;
    unsigned n = 0;
    SSL_get0_alpn_selected(ssl, &p, &n);
    if (n == 0)
        return 0;
    out->found = true;
    return wr_arena_dup(r->arena, wr_span(p, n), &out->text);
}

/* In a handshake it becomes part of a file's name, which is of one case. */
static int put_name(struct web_req *r, const char *name, struct web_val *out)
{
    int rc = put_text(r, name, out);
    char *p = (char *)(uintptr_t)out->text.p;
    for (size_t i = 0; !rc && r->main->handshake && i < out->text.n; i++)
        p[i] = wr_ascii_lower(p[i]);
    return rc;
}

static int put_curve(struct web_req *r, SSL *ssl, struct web_val *out)
{
    int nid = (int)SSL_get_negotiated_group(ssl);
    if (nid & TLSEXT_nid_unknown)
        return web_val_printf(r, out, "0x%04x", (unsigned)nid & 0xffff);
    return put_text(r, nid ? OBJ_nid2sn(nid) : NULL, out);
}

/* Its name is known from OpenSSL 3.5 on. */
static const char *signature(SSL *ssl, bool client)
{
    const char *name = NULL;
#if OPENSSL_VERSION_NUMBER >= 0x30500000L
    if (client)
        (void)SSL_get0_peer_signature_name(ssl, &name);
    else
        (void)SSL_get0_signature_name(ssl, &name);
#else
    (void)ssl;
    (void)client;
#endif
    return name;
}

GET(get_connection)
{
    SSL *ssl = ssl_of_request(r);
    (void)rest;
    if (!ssl)
        return 0;
    switch (v->data) {
    case PROTOCOL:
        return put_text(r, SSL_get_version(ssl), out);
    case CIPHER:
        return put_text(r, SSL_get_cipher_name(ssl), out);
    case CIPHERS:
        return put_ciphers(r, ssl, out);
    case CURVE:
        return put_curve(r, ssl, out);
    case CURVES:
        return put_curves(r, ssl, out);
    case NAME:
        return put_name(r, SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name), out);
    case SESSION_ID:
        return put_session_id(r, ssl, out);
    case REUSED:
        return web_val_set(out, SSL_session_reused(ssl) ? WR_LIT("r") : WR_LIT("."));
    case EARLY:
        return r->main->http && wr_http_in_early_data(r->main->http)
                   ? web_val_set(out, WR_LIT("1"))
                   : 0;
    case SIGALG:
        return put_text(r, signature(ssl, false), out);
    case CLIENT_SIGALG:
        return put_text(r, signature(ssl, true), out);
    default:
        return put_alpn(r, ssl, out);
    }
}

/* ---- the client's certificate -------------------------------------------------------------------------------- */

enum {
    CERT,
    RAW_CERT,
    ESCAPED_CERT,
    S_DN,
    I_DN,
    S_DN_LEGACY,
    I_DN_LEGACY,
    SERIAL,
    FINGERPRINT,
    V_START,
    V_END,
    V_REMAIN
};

static int put_pem(struct web_req *r, X509 *x, struct wr_span *out)
{
    BIO *b = BIO_new(BIO_s_mem());
    if (b && PEM_write_bio_X509(b, x) != 1) {
        BIO_free(b);
        return -EIO;
    }
    return take_bio(r, b, out);
}

/* As a field value: lines after the first begin with a tab, the last line break goes. */
static int put_cert(struct web_req *r, X509 *x, struct web_val *out)
{
    struct wr_span pem;
    int rc = put_pem(r, x, &pem);
    if (rc || pem.n == 0)
        return rc;
    size_t lines = 0, at = 0;
    for (size_t i = 0; i < pem.n; i++)
        lines += pem.p[i] == '\n';
    char *text = wr_arena_alloc(r->arena, pem.n + lines);
    if (!text)
        return -ENOMEM;
    for (size_t i = 0; i + 1 < pem.n; i++) {
        text[at++] = pem.p[i];
        if (pem.p[i] == '\n')
            text[at++] = '\t';
    }
    return web_val_set(out, wr_span(text, at));
}

static bool unreserved(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '-' || c == '.' || c == '_' || c == '~';
}

static int put_escaped(struct web_req *r, X509 *x, struct web_val *out)
{
    struct wr_span pem;
    int rc = put_pem(r, x, &pem);
    char *text = rc ? NULL : wr_arena_alloc(r->arena, 3 * pem.n + 1);
    size_t at = 0;
    if (!text)
        return rc ? rc : -ENOMEM;
    for (size_t i = 0; i < pem.n; i++) {
        unsigned char c = (unsigned char)pem.p[i];
        if (unreserved(c)) {
            text[at++] = (char)c;
            continue;
        }
        text[at++] = '%';
        text[at++] = "0123456789ABCDEF"[c >> 4];
        text[at++] = "0123456789ABCDEF"[c & 15];
    }
    return web_val_set(out, wr_span(text, at));
}

static int put_dn(struct web_req *r, const X509_NAME *name, bool legacy, struct web_val *out)
{
    BIO *b = BIO_new(BIO_s_mem());
    if (legacy) {
        char *text = X509_NAME_oneline(name, NULL, 0);
        if (b && text)
            (void)BIO_puts(b, text);
        OPENSSL_free(text);
    } else if (b && X509_NAME_print_ex(b, name, 0, XN_FLAG_RFC2253) < 0) {
        BIO_free(b);
        return 0;
    }
    out->found = true;
    return take_bio(r, b, &out->text);
}

static int put_serial(struct web_req *r, X509 *x, struct web_val *out)
{
    BIO *b = BIO_new(BIO_s_mem());
    if (b)
        (void)i2a_ASN1_INTEGER(b, X509_get0_serialNumber(x));
    out->found = true;
    return take_bio(r, b, &out->text);
}

static int put_time(struct web_req *r, const ASN1_TIME *t, struct web_val *out)
{
    BIO *b = BIO_new(BIO_s_mem());
    if (b)
        (void)ASN1_TIME_print(b, t);
    out->found = true;
    return take_bio(r, b, &out->text);
}

static int put_remain(struct web_req *r, X509 *x, struct web_val *out)
{
    int days = 0, seconds = 0;
    if (ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(x)) != 1)
        return 0;
    return web_val_printf(r, out, "%d", days > 0 ? days : 0);
}

static int put_fingerprint(struct web_req *r, X509 *x, struct web_val *out)
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    return X509_digest(x, EVP_sha1(), sum, &n) == 1 ? put_hex(r, sum, n, false, out) : 0;
}

GET(get_client)
{
    SSL *ssl = ssl_of_request(r);
    X509 *x = ssl ? SSL_get0_peer_certificate(ssl) : NULL;
    (void)rest;
    if (!x)
        return 0;
    switch (v->data) {
    case CERT:
        return put_cert(r, x, out);
    case RAW_CERT:
        out->found = true;
        return put_pem(r, x, &out->text);
    case ESCAPED_CERT:
        return put_escaped(r, x, out);
    case S_DN:
    case S_DN_LEGACY:
        return put_dn(r, X509_get_subject_name(x), v->data == S_DN_LEGACY, out);
    case I_DN:
    case I_DN_LEGACY:
        return put_dn(r, X509_get_issuer_name(x), v->data == I_DN_LEGACY, out);
    case SERIAL:
        return put_serial(r, x, out);
    case FINGERPRINT:
        return put_fingerprint(r, x, out);
    case V_START:
        return put_time(r, X509_get0_notBefore(x), out);
    case V_END:
        return put_time(r, X509_get0_notAfter(x), out);
    default:
        return put_remain(r, x, out);
    }
}

GET(get_verify)
{
    SSL *ssl = ssl_of_request(r);
    (void)v;
    (void)rest;
    if (!ssl)
        return 0;
    if (!SSL_get0_peer_certificate(ssl))
        return web_val_set(out, WR_LIT("NONE"));
    const char *fault = ssl_client_fault(ssl);
    return fault ? web_val_printf(r, out, "FAILED:%s", fault)
                 : web_val_set(out, WR_LIT("SUCCESS"));
}

const struct web_var ssl_variables[] = {
    {"ssl_protocol",       get_connection, NULL, 0, PROTOCOL},
    {"ssl_cipher",                get_connection, NULL, 0, CIPHER},
    {"ssl_ciphers",            get_connection, NULL, 0, CIPHERS},
    {"ssl_curve",         get_connection, NULL, 0, CURVE},
    {"ssl_curves",                get_connection, NULL, 0, CURVES},
    {"ssl_server_name",              get_connection, NULL, 0, NAME},
    {"ssl_session_id",        get_connection, NULL, 0, SESSION_ID},
    {"ssl_session_reused",                get_connection, NULL, 0, REUSED},
    {"ssl_early_data",             get_connection, NULL, WEB_VAR_NO_CACHE, EARLY},
    {"ssl_alpn_protocol",          get_connection, NULL, 0, ALPN},
    {"ssl_sigalg",                get_connection, NULL, 0, SIGALG},
    {"ssl_client_sigalg",               get_connection, NULL, 0, CLIENT_SIGALG},
    {"ssl_ech_status",         web_var_none, NULL, 0, 0},
    {"ssl_ech_outer_server_name",                web_var_none, NULL, 0, 0},
    {"ssl_client_cert",              get_client, NULL, 0, CERT},
    {"ssl_client_raw_cert",    get_client, NULL, 0, RAW_CERT},
    {"ssl_client_escaped_cert",                get_client, NULL, 0, ESCAPED_CERT},
    {"ssl_client_s_dn",                get_client, NULL, 0, S_DN},
    {"ssl_client_i_dn",     get_client, NULL, 0, I_DN},
    {"ssl_client_s_dn_legacy",                get_client, NULL, 0, S_DN_LEGACY},
    {"ssl_client_i_dn_legacy",          get_client, NULL, 0, I_DN_LEGACY},
    {"ssl_client_serial", get_client, NULL, 0, SERIAL},
    {"ssl_client_fingerprint",                get_client, NULL, 0, FINGERPRINT},
    {"ssl_client_v_start",              get_client, NULL, 0, V_START},
    {"ssl_client_v_end",     get_client, NULL, 0, V_END},
    {"ssl_client_v_remain",                get_client, NULL, 0, V_REMAIN},
    {"ssl_client_verify",               get_verify, NULL, 0, 0},
    {0 },
};
