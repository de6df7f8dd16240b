/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A certificate whose file is named by the client: `ssl_certificate /etc/keys/$ssl_server_name.pem`.
 *
 * OpenSSL asks for the certificate when the name is known (ssl_named_cert). The name is put into both paths, the files
 * are read by the worker, and what they hold is kept as ssl_certificate_cache says. Without that directive they are
 * read at each handshake, as by nginx.
 *
 * 1. A name is letters, digits, '-', '_' and single dots inside: no path leads out of its directory.
 * 2. Workers must be let: their user has to be able to read the files, and the sandbox opens the directory in front of
 *    the variable.
 * 3. The cache has at most max entries; the least used goes first. What cannot be read is not kept.
 */

#include "weir/web/ssl.h"
#include "weir/web/worker.h"

#include "libweir/base/err.h"
#include "libweir/base/num.h"
#include "libweir/io/log.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

#define NAME_MAX_BYTES 255
#define PATH_BYTES     4096
#define CACHE_MAX      1024

struct loaded {
    X509 *cert;
    STACK_OF(X509) * chain;
    EVP_PKEY *key;
};

struct entry {
    char name[NAME_MAX_BYTES + 1];
    struct loaded what; /* cert NULL: free */
    uint64_t read_ms, used_ms;
};

struct ssl_named {
    struct wr_span cert, key; /* with the variable in them */
    struct ssl_server *server;
    uint64_t inactive_ms, valid_ms;
    struct entry *entries;
    int64_t max; /* 0: nothing is kept */
};

/* ---- run time: reading -------------------------------------------------------------------------------------- */

static void unload(struct loaded *l)
{
    X509_free(l->cert);
    sk_X509_pop_free(l->chain, X509_free);
    EVP_PKEY_free(l->key);
    *l = (struct loaded){0};
}

static bool is_safe(const char *name, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char c = name[i];
        bool inside = c == '.' && i > 0 && i + 1 < n && name[i - 1] != '.';
        if (!inside && !(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' &&
            c != '_')
            return false;
    }
    return n <= NAME_MAX_BYTES;
}

#define PLAIN  "$ssl_server_name"
#define BRACED "${ssl_server_name}"

/* The path of a name. False: it is too long. */
static bool path_of(struct wr_span pattern, const char *name, char out[static PATH_BYTES])
{
    size_t n = 0, name_n = strlen(name);
    while (pattern.n) {
        size_t skip = wr_span_has_prefix(pattern, WR_LIT(PLAIN))    ? sizeof PLAIN - 1
                      : wr_span_has_prefix(pattern, WR_LIT(BRACED)) ? sizeof BRACED - 1
                                                                    : 0;
        size_t more = skip ? name_n : 1;
        if (n + more >= PATH_BYTES)
            return false;
        memcpy(out + n, skip ? name : pattern.p, more);
        n += more;
        pattern = wr_span_sub(pattern, skip ? skip : 1, pattern.n);
    }
    out[n] = '\0';
    return true;
}

static bool read_certificate(const char *path, struct loaded *out)
{
    BIO *b = BIO_new_file(path, "r");
    X509 *x;
    if (!b)
        return false;
    out->cert = PEM_read_bio_X509_AUX(b, NULL, NULL, NULL);
    out->chain = sk_X509_new_null();
    while (out->cert && out->chain && (x = PEM_read_bio_X509(b, NULL, NULL, NULL)))
        if (!sk_X509_push(out->chain, x))
            X509_free(x);
    ERR_clear_error(); /* the end of the file is one */
    BIO_free(b);
    return out->cert && out->chain;
}

/* NULL, or the path that could not be read. */
static const char *load_pair(const struct ssl_named *n, const char *name, struct loaded *out,
                             char path[static PATH_BYTES])
{
    if (!path_of(n->cert, name, path) || !read_certificate(path, out) ||
        !path_of(n->key, name, path))
        return path;
    BIO *b = BIO_new_file(path, "r");
    out->key = b ? ssl_read_key(b, n->server) : NULL;
    BIO_free(b);
    return out->key ? NULL : path;
}

/* ---- run time: keeping ---------------------------------------------------------------------------------------- */

static struct entry *kept(struct ssl_named *n, const char *name, uint64_t now_ms)
{
    for (int64_t i = 0; i < n->max; i++) {
        struct entry *e = &n->entries[i];
        if (!e->what.cert)
            continue;
        if (now_ms - e->used_ms >= n->inactive_ms || now_ms - e->read_ms >= n->valid_ms)
            unload(&e->what);
        else if (strcmp(e->name, name) == 0)
            return e;
    }
    return NULL;
}

static void keep(struct ssl_named *n, const char *name, struct loaded *what, uint64_t now_ms)
{
    struct entry *to = n->max ? &n->entries[0] : NULL;
    for (int64_t i = 0; i < n->max && to->what.cert; i++)
        if (!n->entries[i].what.cert || n->entries[i].used_ms < to->used_ms)
            to = &n->entries[i];
    if (!to)
        return;
    unload(&to->what);
    (void)snprintf(to->name, sizeof to->name, "%s", name);
    to->what = *what;
    to->read_ms = to->used_ms = now_ms;
    *what = (struct loaded){0};
}

/* ---- run time: the handshake ------------------------------------------------------------------------------------ */

static int give(SSL *ssl, const struct loaded *l)
{
    return SSL_use_cert_and_key(ssl, l->cert, l->key, l->chain, 1);
}

static void say(const struct wr_http_conn *conn, const char *path)
{
    const struct web_door *door = wr_http_conn_data_b(conn);
    if (door)
        WR_LOG(door->worker->log, ERROR, "cannot", "load", "certificate \"%s\"", path);
    ERR_clear_error();
}

static int on_certificate(SSL *ssl, void *arg)
{
    struct ssl_named *n = arg;
    struct wr_http_conn *conn = wr_http_conn_of_ssl(ssl);
    const char *sent = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    char name[NAME_MAX_BYTES + 1] = "", path[PATH_BYTES];
    const struct web_door *door = conn ? wr_http_conn_data_b(conn) : NULL;
    size_t size = sent ? strlen(sent) : 0;
    if (!door || size > NAME_MAX_BYTES)
        return 0;
    for (size_t i = 0; i < size; i++)
        name[i] = wr_ascii_lower(sent[i]);
    if (!is_safe(name, size))
        return 0;
    uint64_t now_ms = wr_loop_now_ms(door->worker->loop);
    struct entry *e = kept(n, name, now_ms);
    if (e) {
        e->used_ms = now_ms;
        return give(ssl, &e->what);
    }
    struct loaded l = {0};
    const char *bad = load_pair(n, name, &l, path);
    int good = bad ? 0 : give(ssl, &l);
    if (bad)
        say(conn, bad);
    else
        keep(n, name, &l, now_ms);
    unload(&l);
    return good;
}

/* ---- configuration ---------------------------------------------------------------------------------------------- */

static void free_named(void *arg)
{
    struct ssl_named *n = arg;
    for (int64_t i = 0; i < n->max; i++)
        unload(&n->entries[i].what);
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

static int check_name(struct conf_load *load, const struct conf_node *node)
{
    struct wr_span text = conf_arg(node, 1);
    for (ptrdiff_t at; (at = wr_span_find_char(text, '$')) >= 0;) {
        text = wr_span_sub(text, (size_t)at, text.n);
        if (!wr_span_has_prefix(text, WR_LIT(PLAIN)) &&
            !wr_span_has_prefix(text, WR_LIT(BRACED)))
            return conf_fail(load, node, 1,
                             "of variables, \"%s\" may have $ssl_server_name only",
                             conf_str(node, 0));
        text = wr_span_sub(text, 1, text.n);
    }
    return 0;
}

int ssl_named_ready(struct conf_load *load, struct ssl_server *s, const struct conf_node *cert,
                    const struct conf_node *key)
{
    int rc = check_name(load, cert);
    if (!rc)
        rc = check_name(load, key);
    if (!rc && s->certificates.n > 1)
        rc = conf_fail(load, cert, 1,
                       "a certificate that is named by a variable has to be the only one");
    if (rc)
        return rc;
    struct ssl_named *n = wr_arena_zalloc(load->arena, sizeof *n);
    if (!n)
        return -ENOMEM;
    n->server = s;
    if (conf_path(load, conf_arg(cert, 1), &n->cert) ||
        conf_path(load, conf_arg(key, 1), &n->key))
        return -ENOMEM;
    rc = read_cache(load, n, s->certificate_cache);
    if (!rc)
        rc = wr_arena_defer(load->arena, free_named, n);
    if (!rc)
        SSL_CTX_set_cert_cb(s->ctx, on_certificate, n);
    return rc;
}
