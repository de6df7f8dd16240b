/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any text as the URL of a responder: it is refused, or there is somebody to connect to and the request is what was meant:
 * one line and three fields, whatever stood in the URL.
 */
#include "weir/ssl/ssl_ocsp.h"

#include "libweir/base/assert.h"
#include "libweir/base/err.h"
#include "libweir/base/mem_arena.h"
#include "libweir/io/loop.h"

#include <openssl/x509.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static X509 *cert;
static struct wr_loop *loop;
static struct wr_budget budget;
static struct wr_arena_source arenas;

static void set_up(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    cert = X509_new();
    WR_ASSERT(key && cert && ASN1_INTEGER_set(X509_get_serialNumber(cert), 7) &&
              X509_set_pubkey(cert, key) && X509_sign(cert, key, EVP_sha256()));
    EVP_PKEY_free(key);
    WR_ASSERT(wr_loop_new(NULL, &loop) == 0);
    wr_budget_init(&budget, NULL, "fuzz", 0, 1 << 20);
    wr_arena_source_init(&arenas, wr_loop_mem(loop), &budget, wr_loop_blocks(loop));
}

/* The lines of the request, which end with an empty one; none has a byte of control. */
static unsigned count_lines(struct wr_span text)
{
    unsigned lines = 0;
    while (text.n) {
        ptrdiff_t end = wr_span_find(text, WR_LIT("\r\n"));
        WR_ASSERT(end >= 0);
        for (ptrdiff_t i = 0; i < end; i++)
            WR_ASSERT((unsigned char)text.p[i] >= ' ' && (unsigned char)text.p[i] < 0x7f);
        lines++;
        text = wr_span_sub(text, (size_t)end + 2, text.n);
    }
    return lines;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wr_target target;
    struct wr_span url = wr_span(data, size), host, path;
    struct wr_arena arena;
    struct ocsp_subject s = {.near = NULL};
    if (!cert)
        set_up();
    int err = ocsp_read_url(url, &target, &host, &path);
    WR_ASSERT(err == 0 || err == WR_E_SYNTAX);
    if (err == 0) {
        WR_ASSERT(host.n > 0 && path.n > 0 && path.p[0] == '/');
        WR_ASSERT(target.addr.kind != WR_ADDR_NONE || target.name.n > 0);
    }
    wr_arena_init(&arena, &arenas, NULL, WR_ARENA_SMALL);
    s.near = sk_X509_new_null();
    WR_ASSERT(s.near && X509_up_ref(cert) && sk_X509_push(s.near, cert));
    WR_ASSERT(ocsp_subject_init(&s, &arena, cert, url) == err);
    if (err == 0)
        WR_ASSERT(wr_span_has_prefix(s.request, WR_LIT("GET /")) &&
                  count_lines(s.request) == 5);
    ocsp_subject_deinit(&s);
    wr_arena_deinit(&arena);
    return 0;
}
