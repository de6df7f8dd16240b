/* SPDX-License-Identifier: BSD-2-Clause */
/* hello [ADDRESS] [defer=1]: an HTTP server with one page.
 *
 *     hello &   curl http://127.0.0.1:8080/      hello, world
 */
#include "examples/option.h"
#include "libweir/libweir.h"

static const struct wr_span body = WR_LIT("hello, world\n");
static char memory[2 * (WR_READY_HEAD_MAX + 16)];
static struct wr_http_ready page;

static void on_request(struct wr_http_req *req, void *arg)
{
    (void)arg;
    if (!wr_span_eq(wr_http_path(req), WR_LIT("/")))
        (void)wr_http_error(req, 404);
    else if (wr_http_method(req) != WR_METHOD_GET && wr_http_method(req) != WR_METHOD_HEAD)
        (void)wr_http_error(req, 405);
    else
        (void)wr_http_reply_ready(req, &page);
}

int main(int argc, char **argv)
{
    if (wr_http_ready_form(&page, memory, sizeof memory, 200, WR_LIT("text/plain"), body) != 0)
        return 1;
    return wr_service_run(&(struct wr_service_options){
        .name = "hello",
        .http = {{.addr = option_address(argc, argv, "tcp://127.0.0.1:8080"),
                  .listen = {.defer_accept_s = option_number(argc, argv, "defer", 0)},
                  .on_request = on_request}}});
}
