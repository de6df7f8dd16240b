/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/access/password.h"

#include "libweir/base/base64.h"
#include "libweir/base/err.h"
#include "libweir/base/heap.h"
#include "libweir/os/os.h"

#include <crypt.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#define SHA1_SIZE   20
#define MD5_SIZE    16
#define SALT_MAX    8 /* of apr1 */
#define APR1_ROUNDS 1000
#define STORED_MAX  512

static bool same(const void *a, const void *b, size_t n)
{
    return CRYPTO_memcmp(a, b, n) == 0;
}

/* ---- {SHA}, {SSHA}, {PLAIN} ----------------------------------------------------------------------------------- */

static int check_plain(const char *password, struct wr_span stored)
{
    size_t n = strlen(password);
    return n == stored.n && same(password, stored.p, n);
}

static int sha1(const char *password, struct wr_span salt, unsigned char out[SHA1_SIZE])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int good = ctx && EVP_DigestInit_ex(ctx, EVP_sha1(), NULL) &&
               EVP_DigestUpdate(ctx, password, strlen(password)) &&
               EVP_DigestUpdate(ctx, salt.p, salt.n) && EVP_DigestFinal_ex(ctx, out, NULL);
    EVP_MD_CTX_free(ctx);
    return good ? 0 : -ENOMEM;
}

/* The digest, and behind it the salt: none for {SHA}. */
static int check_sha(const char *password, struct wr_span stored, bool salted)
{
    char raw[STORED_MAX];
    unsigned char made[SHA1_SIZE];
    size_t n = 0;
    if (stored.n >= sizeof raw || wr_base64_decode(stored, false, raw, &n) || n < SHA1_SIZE ||
        (!salted && n != SHA1_SIZE))
        return WR_E_SYNTAX;
    int r = sha1(password, wr_span(raw + SHA1_SIZE, n - SHA1_SIZE), made);
    return r < 0 ? r : same(made, raw, SHA1_SIZE);
}

/* ---- $apr1$: Apache's variant of MD5-crypt --------------------------------------------------------------------- */

struct md5 {
    EVP_MD_CTX *ctx;
    bool good;
};

static void md5_begin(struct md5 *m)
{
    m->good = m->good && EVP_DigestInit_ex(m->ctx, EVP_md5(), NULL);
}

static void md5_add(struct md5 *m, const void *p, size_t n)
{
    m->good = m->good && EVP_DigestUpdate(m->ctx, p, n);
}

static void md5_end(struct md5 *m, unsigned char out[MD5_SIZE])
{
    m->good = m->good && EVP_DigestFinal_ex(m->ctx, out, NULL);
}

/* password, salt and a first digest, stirred together in the order that the format wants. */
static void apr1_first(struct md5 *m, struct wr_span pw, struct wr_span salt,
                       unsigned char out[MD5_SIZE])
{
    md5_begin(m);
    md5_add(m, pw.p, pw.n);
    md5_add(m, salt.p, salt.n);
    md5_add(m, pw.p, pw.n);
    md5_end(m, out);
    md5_begin(m);
    md5_add(m, pw.p, pw.n);
    md5_add(m, "$apr1$", 6);
    md5_add(m, salt.p, salt.n);
    for (size_t left = pw.n; left > 0; left -= left < MD5_SIZE ? left : MD5_SIZE)
        md5_add(m, out, left < MD5_SIZE ? left : MD5_SIZE);
    for (size_t bits = pw.n; bits; bits >>= 1)
        md5_add(m, bits & 1 ? "" : pw.p, 1);
    md5_end(m, out);
}

static void apr1_round(struct md5 *m, unsigned i, struct wr_span pw, struct wr_span salt,
                       unsigned char out[MD5_SIZE])
{
    md5_begin(m);
    md5_add(m, i & 1 ? pw.p : (const char *)out, i & 1 ? pw.n : MD5_SIZE);
    if (i % 3)
        md5_add(m, salt.p, salt.n);
    if (i % 7)
        md5_add(m, pw.p, pw.n);
    md5_add(m, i & 1 ? (const char *)out : pw.p, i & 1 ? MD5_SIZE : pw.n);
    md5_end(m, out);
}

static size_t apr1_digits(char *to, unsigned v, unsigned n)
{
    static const char digits[] =
        "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    for (unsigned i = 0; i < n; i++, v >>= 6)
        to[i] = digits[v & 63];
    return n;
}

static size_t apr1_text(const unsigned char d[MD5_SIZE], char out[22])
{
    size_t n = 0;
    for (unsigned i = 0; i < 5; i++) {
        unsigned third = i == 4 ? 5 : i + 12;
        n += apr1_digits(out + n, (unsigned)d[i] << 16 | (unsigned)d[i + 6] << 8 | d[third], 4);
    }
    return n + apr1_digits(out + n, d[11], 2);
}

/* stored: what is behind "$apr1$". */
static int check_apr1(const char *password, struct wr_span stored)
{
    ptrdiff_t end = wr_span_find_char(stored, '$');
    struct wr_span salt = wr_span_sub(stored, 0, end < 0 ? 0 : (size_t)end);
    struct wr_span hash = wr_span_sub(stored, (size_t)end + 1, stored.n);
    struct wr_span pw = wr_span_str(password);
    unsigned char d[MD5_SIZE] = {0};
    char text[22];
    if (end < 0)
        return WR_E_SYNTAX;
    if (salt.n > SALT_MAX)
        salt.n = SALT_MAX;
    struct md5 m = {EVP_MD_CTX_new(), true};
    m.good = m.ctx != NULL;
    apr1_first(&m, pw, salt, d);
    for (unsigned i = 0; i < APR1_ROUNDS; i++)
        apr1_round(&m, i, pw, salt, d);
    EVP_MD_CTX_free(m.ctx);
    if (!m.good)
        return -ENOMEM;
    size_t n = apr1_text(d, text);
    return n == hash.n && same(text, hash.p, n);
}

/* ---- crypt(3) ------------------------------------------------------------------------------------------------- */

static int check_crypt(const char *password, struct wr_span stored)
{
    char setting[STORED_MAX];
    if (stored.n == 0) /* nobody's: such a user cannot come in */
        return 0;
    if (stored.n >= sizeof setting)
        return WR_E_SYNTAX;
    memcpy(setting, stored.p, stored.n);
    setting[stored.n] = 0;
    struct crypt_data *data = wr_heap_zalloc(wr_os_heap(), sizeof *data); /* 32 KiB */
    if (!data)
        return -ENOMEM;
    const char *made = crypt_rn(password, setting, data, sizeof *data);
    int r = WR_E_SYNTAX;
    if (made && made[0] != '*') {
        size_t n = strlen(made);
        r = n == stored.n && same(made, setting, n);
    }
    OPENSSL_cleanse(data, sizeof *data);
    wr_heap_free(wr_os_heap(), data, sizeof *data);
    return r;
}

int password_check(const char *password, struct wr_span stored)
{
    static const struct wr_span plain = WR_LIT("{PLAIN}"), sha = WR_LIT("{SHA}"),
                                ssha = WR_LIT("{SSHA}"), apr1 = WR_LIT("$apr1$");
    if (wr_span_has_prefix(stored, plain))
        return check_plain(password, wr_span_sub(stored, plain.n, stored.n));
    if (wr_span_has_prefix(stored, sha))
        return check_sha(password, wr_span_sub(stored, sha.n, stored.n), false);
    if (wr_span_has_prefix(stored, ssha))
        return check_sha(password, wr_span_sub(stored, ssha.n, stored.n), true);
    if (wr_span_has_prefix(stored, apr1))
        return check_apr1(password, wr_span_sub(stored, apr1.n, stored.n));
    return check_crypt(password, stored);
}

/* ---- the file --------------------------------------------------------------------------------------------------- */

bool password_find(struct wr_span file, struct wr_span user, struct wr_span *out_stored)
{
    struct wr_span line;
    while (wr_span_split(&file, '\n', &line)) {
        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        ptrdiff_t colon = wr_span_find_char(line, ':');
        if (line.n == 0 || line.p[0] == '#' || colon < 0 ||
            !wr_span_eq(wr_span_sub(line, 0, (size_t)colon), user))
            continue;
        struct wr_span rest = wr_span_sub(line, (size_t)colon + 1, line.n);
        colon = wr_span_find_char(rest, ':');
        *out_stored = colon < 0 ? rest : wr_span_sub(rest, 0, (size_t)colon);
        return true;
    }
    return false;
}
