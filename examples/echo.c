/* SPDX-License-Identifier: BSD-2-Clause */
/* echo [ADDRESS]: sends back what it gets. Fifteen lines, and nothing is missing: see README.md.
 *
 *     echo &   printf 'hi\n' | nc -N 127.0.0.1 2007
 */
#include "libweir/libweir.h"

static int on_frame(struct wr_conn *c, struct wr_view v)
{
    return wr_conn_send_view(c, v);
}

static const struct wr_proto echo = {.on_frame = on_frame};

int main(int argc, char **argv)
{
    return wr_service_run(&(struct wr_service_options){
        .name = "echo",
        .servers = {
            {.addr = argc > 1 ? argv[1] : "tcp://127.0.0.1:2007", .conn = {.proto = &echo}}}});
}
