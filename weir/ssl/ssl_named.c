/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A certificate or key with variables: `ssl_certificate /etc/keys/$ssl_server_name.pem`, `data:$pem`.
 *
 * OpenSSL asks for the certificates when the client's name is known. Both values are then made, with the variables that
 * a connection has while it shakes hands; the files are read by the worker, and what they hold is kept as
 * ssl_certificate_cache says. Without that directive they are read at each handshake, as by nginx. A pair whose
 * certificate comes out empty is passed over.
 *
 * 1. The client's name is letters, digits, '-', '_' and single dots inside, and no value goes up a directory where the
 *    directive does not: no path leads out of its directory.
 * 2. Workers must be let: their user has to be able to read the files, and the sandbox opens the directory in front of
 *    the variable.
 * 3. The cache has at most max pairs; the least used goes first. What cannot be read is not kept, nor is data:.
 */

#include "weir/ssl/ssl.h"
#include "weir/web/worker.h"

#include "libweir/base/err.h"
#include "libweir/base/num.h"
#include "libweir/io/log.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

#define PATH_BYTES 4096
#define CACHE_MAX  1024
#define DATA       "data:"

struct loaded {
    X509 *cert;
    STACK_OF(X509) * chain;
    EVP_PKEY *key;
};

struct entry {
    char *cert, *key;   /* as they were named */
    struct loaded what; /* cert NULL: free */
    uint64_t read_ms, used_ms;
};

struct named_pair {
    struct named_pair *next;
    const struct ssl_pem *cert, *key;
};

struct ssl_named {
    struct named_pair *pairs, **tail;
    const char *base; /* of relative paths */
    struct ssl_server *server;
    uint64_t inactive_ms, valid_ms;
    struct entry *entries;
    int64_t max; /* 0: nothing is kept */
};

/* ---- run time: what is named -------------------------------------------------------------------------------- */

static bool is_safe(const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < n; i++) {
        char c = wr_ascii_lower(name[i]);
        bool inside = c == '.' && i > 0 && i + 1 < n && name[i - 1] != '.';
        if (!inside && !(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' &&
            c != '_')
            return false;
    }
    return n <= SSL_NAME_MAX;
}

static bool goes_up(struct wr_span path)
{
    for (size_t i = 0; i + 1 < path.n; i++) {
        bool begins = i == 0 || path.p[i - 1] == '/';
        bool ends = i + 2 == path.n || path.p[i + 2] == '/';
        if (begins && ends && path.p[i] == '.' && path.p[i + 1] == '.')
            return true;
    }
    return false;
}

static bool is_data(const char *value)
{
    return strncmp(value, DATA, sizeof DATA - 1) == 0;
}

/* The value, a path behind the base unless it is absolute; in r's arena. NULL: refused. */
static const char *value_of(const struct ssl_named *n, struct web_req *r,
                            const struct ssl_pem *pem)
{
    struct wr_span v;
    if (web_value_eval(r, &pem->value, &v) || strlen(v.p) != v.n)
        return NULL;
    if (v.n == 0 || is_data(v.p))
        return v.p;
    if (v.n >= PATH_BYTES || (goes_up(v) && !goes_up(pem->value.text)))
        return NULL;
    return v.p[0] == '/' ? v.p : wr_arena_printf(r->arena, "%s%s", n->base, v.p);
}

/* ---- run time: reading -------------------------------------------------------------------------------------- */

static void unload(struct loaded *l)
{
    X509_free(l->cert);
    sk_X509_pop_free(l->chain, X509_free);
    EVP_PKEY_free(l->key);
    *l = (struct loaded){0};
}

static void empty(struct entry *e)
{
    unload(&e->what);
    OPENSSL_free(e->cert);
    OPENSSL_free(e->key);
    e->cert = e->key = NULL;
}

static BIO *open_value(const char *value)
{
    return is_data(value) ? BIO_new_mem_buf(value + sizeof DATA - 1, -1)
                          : BIO_new_file(value, "r");
}

static bool read_certificate(const char *value, struct loaded *out)
{
    BIO *b = open_value(value);
    X509 *x;
    bool good = true;
    if (!b)
        return false;
    out->cert = PEM_read_bio_X509_AUX(b, NULL, NULL, NULL);
    out->chain = sk_X509_new_null();
    while (out->cert && out->chain && good && (x = PEM_read_bio_X509(b, NULL, NULL, NULL)))
        if (!sk_X509_push(out->chain, x)) {
            X509_free(x);
            good = false;
        }
    good = good && out->cert && out->chain && ssl_pem_ended();
    ERR_clear_error();
    BIO_free(b);
    return good;
}

/* NULL, or the value that could not be read. */
static const char *load_pair(const struct ssl_named *n, const char *cert, const char *key,
                             struct loaded *out)
{
    if (!read_certificate(cert, out))
        return cert;
    BIO *b = open_value(key);
    out->key = b ? ssl_read_key(b, n->server) : NULL;
    BIO_free(b);
    return out->key ? NULL : key;
}

/* ---- run time: keeping ---------------------------------------------------------------------------------------- */

static struct entry *kept(struct ssl_named *n, const char *cert, const char *key,
                          uint64_t now_ms)
{
    for (int64_t i = 0; i < n->max; i++) {
        struct entry *e = &n->entries[i];
        if (!e->what.cert)
            continue;
        if (now_ms - e->used_ms >= n->inactive_ms || now_ms - e->read_ms >= n->valid_ms)
            empty(e);
        else if (strcmp(e->cert, cert) == 0 && strcmp(e->key, key) == 0)
            return e;
    }
    return NULL;
}

static void keep(struct ssl_named *n, const char *cert, const char *key, struct loaded *what,
                 uint64_t now_ms)
{
    struct entry *to = n->max ? &n->entries[0] : NULL;
    for (int64_t i = 0; i < n->max && to->what.cert; i++)
        if (!n->entries[i].what.cert || n->entries[i].used_ms < to->used_ms)
            to = &n->entries[i];
    if (!to || is_data(cert) || is_data(key))
        return;
    empty(to);
    to->cert = OPENSSL_strdup(cert);
    to->key = OPENSSL_strdup(key);
    if (!to->cert || !to->key) {
        empty(to);
        return;
    }
    to->what = *what;
    to->read_ms = to->used_ms = now_ms;
    *what = (struct loaded){0};
}

/* ---- run time: the handshake ------------------------------------------------------------------------------------ */

static bool give(SSL *ssl, const struct loaded *l)
{
    return SSL_use_cert_and_key(ssl, l->cert, l->key, l->chain, 1) == 1;
}

/* Keys are not for logs. */
static void say(struct web_req *r, const char *value)
{
    bool data = value && is_data(value);
    web_error(r, WR_LOG_ERROR, 0, "cannot load certificate \"%s\"",
              data    ? "data:..."
              : value ? value
                      : "(refused)");
    ERR_clear_error();
}

static bool use_pair(struct ssl_named *n, SSL *ssl, struct web_req *r,
                     const struct named_pair *pair)
{
    uint64_t now_ms = wr_loop_now_ms(web_loop(r));
    const char *cert = value_of(n, r, pair->cert);
    if (cert && !*cert)
        return true;
    const char *key = cert ? value_of(n, r, pair->key) : NULL;
    if (!key) {
        say(r, NULL);
        return false;
    }
    struct entry *e = kept(n, cert, key, now_ms);
    if (e) {
        e->used_ms = now_ms;
        return give(ssl, &e->what);
    }
    struct loaded l = {0};
    const char *bad = load_pair(n, cert, key, &l);
    bool good = !bad && give(ssl, &l);
    if (bad)
        say(r, bad);
    else
        keep(n, cert, key, &l, now_ms);
    unload(&l);
    return good;
}

static int on_certificate(SSL *ssl, void *arg)
{
    struct ssl_named *n = arg;
    struct wr_http_conn *conn = wr_http_conn_of_ssl(ssl);
    const char *sent = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    struct web_door *door = conn ? wr_http_conn_data_b(conn) : NULL;
    struct web_req *r =
        door && (!sent || is_safe(sent)) ? web_handshake_begin(door, conn) : NULL;
    if (!r)
        return 0;
    bool good = true;
    for (const struct named_pair *p = n->pairs; p && good; p = p->next)
        good = use_pair(n, ssl, r, p);
    web_handshake_end(r);
    return good;
}

/* ---- configuration ---------------------------------------------------------------------------------------------- */

static void free_named(void *arg)
{
    struct ssl_named *n = arg;
    for (int64_t i = 0; i < n->max; i++)
        empty(&n->entries[i]);
}

/* off | max=N [inactive=time] [valid=time] */
static int read_cache(struct conf_load *load, struct ssl_named *n, const struct conf_node *node)
{
    n->inactive_ms = 10000;
    n->valid_ms = 60000;
    if (!node || wr_span_eq(conf_arg(node, 1), WR_LIT("off")))
        return 0;
    for (uint32_t i = 1; i < node->nwords; i++) {
        struct wr_span word = conf_arg(node, i);
        int bad = 1;
        if (wr_span_has_prefix(word, WR_LIT("max=")))
            bad = conf_read_num(wr_span_sub(word, 4, word.n), &n->max) || n->max <= 0;
        else if (wr_span_has_prefix(word, WR_LIT("inactive=")))
            bad = conf_read_msec(wr_span_sub(word, 9, word.n), &n->inactive_ms);
        else if (wr_span_has_prefix(word, WR_LIT("valid=")))
            bad = conf_read_msec(wr_span_sub(word, 6, word.n), &n->valid_ms);
        if (bad)
            return conf_fail(load, node, i, "invalid parameter \"%s\"", conf_str(node, i));
    }
    if (n->max == 0)
        return conf_fail(load, node, 0,
                         "\"ssl_certificate_cache\" must have the \"max\" parameter");
    n->max = n->max < CACHE_MAX ? n->max : CACHE_MAX;
    n->entries = wr_arena_zalloc(load->arena, (size_t)n->max * sizeof *n->entries);
    return n->entries ? 0 : -ENOMEM;
}

static int make_named(struct conf_load *load, struct ssl_server *s)
{
    struct ssl_named *n = wr_arena_zalloc(load->arena, sizeof *n);
    if (!n)
        return -ENOMEM;
    n->server = s;
    n->tail = &n->pairs;
    n->base = wr_arena_printf(load->arena, "%s", load->base ? load->base : "");
    if (!n->base)
        return -ENOMEM;
    int rc = read_cache(load, n, s->certificate_cache);
    if (!rc)
        rc = wr_arena_defer(load->arena, free_named, n);
    if (!rc)
        SSL_CTX_set_cert_cb(s->ctx, on_certificate, n);
    s->named = n;
    return rc;
}

int ssl_named_add(struct conf_load *load, struct ssl_server *s, const struct ssl_pem *cert,
                  const struct ssl_pem *key)
{
    struct named_pair *p = wr_arena_zalloc(load->arena, sizeof *p);
    int rc = p ? 0 : -ENOMEM;
    if (!rc && !s->named)
        rc = make_named(load, s);
    if (rc)
        return rc;
    p->cert = cert;
    p->key = key;
    *s->named->tail = p;
    s->named->tail = &p->next;
    return 0;
}
