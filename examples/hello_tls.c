/* SPDX-License-Identifier: BSD-2-Clause */
/* hello_tls [ADDRESS] cert=FILE key=FILE [proxy=1] [early=1] [tickets=2] [size=BYTES]: one page over TLS. The certificate is the program's
 * business, and so is whatever OpenSSL can be told; the server only wants a context.
 *
 *     openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -keyout key.pem -out cert.pem
 *     hello_tls cert=cert.pem key=key.pem &   curl -k https://127.0.0.1:8443/      hello, secret world
 */
#include "examples/option.h"
#include "libweir/libweir.h"

#include <openssl/ssl.h>
#include <stdio.h>

#define SIZE_MAX_PAGE (1u << 20)

static char text[SIZE_MAX_PAGE] = "hello, secret world\n";
static char memory[2 * (WR_READY_HEAD_MAX + sizeof text)];
static struct wr_http_ready page;

static void tell(struct wr_http_req *req)
{
    SSL *ssl = wr_http_ssl(req);
    struct wr_addr src;
    char from[WR_ADDR_TEXT_MAX] = "-";
    if (wr_http_proxy_addr(req, &src, NULL))
        (void)wr_addr_format(&src, from);
    (void)wr_http_replyf(req, 200, "text/plain", "%s %s from %s%s\n",
                         ssl ? SSL_get_version(ssl) : "clear",
                         ssl ? SSL_get_cipher_name(ssl) : "-", from,
                         wr_http_in_early_data(req) ? " (may be a replay)" : "");
}

static void on_request(struct wr_http_req *req, void *arg)
{
    (void)arg;
    if (wr_span_eq(wr_http_path(req), WR_LIT("/")))
        (void)wr_http_reply_ready(req, &page);
    else if (wr_span_eq(wr_http_path(req), WR_LIT("/session")))
        tell(req);
    else
        (void)wr_http_error(req, 404);
}

static void on_refuse(struct wr_http_req *req, int status, const char *reason, void *arg)
{
    (void)arg;
    (void)wr_http_replyf(req, status == 497 ? 400 : status, "text/plain", "%d: %s\n", status,
                         reason);
}

int main(int argc, char **argv)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    const char *cert = option(argc, argv, "cert", "cert.pem");
    const char *key = option(argc, argv, "key", "key.pem");
    if (!ctx || SSL_CTX_use_certificate_chain_file(ctx, cert) != 1 ||
        SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1) {
        (void)fprintf(stderr, "hello_tls: cannot use %s and %s\n", cert, key);
        return 1;
    }
    (void)SSL_CTX_set_num_tickets(ctx, option_number(argc, argv, "tickets", 2));
    bool early = option_number(argc, argv, "early", 0);
    if (early)
        SSL_CTX_set_max_early_data(ctx, 16384);
    size_t n = option_number(argc, argv, "size", 0);
    n = n == 0 || n > sizeof text ? strlen(text) : n;
    if (wr_http_ready_form(&page, memory, sizeof memory, 200, WR_LIT("text/plain"),
                           wr_span(text, n)) != 0)
        return 1;
    int status = wr_service_run(&(struct wr_service_options){
        .name = "hello_tls",
        .http = {{.addr = option_address(argc, argv, "tcp://127.0.0.1:8443"),
                  .on_request = on_request,
                  .on_refuse = on_refuse,
                  .proxy_protocol = option_number(argc, argv, "proxy", 0),
                  .tls = {.ctx = ctx, .early_data = early}}}});
    SSL_CTX_free(ctx);
    return status;
}
