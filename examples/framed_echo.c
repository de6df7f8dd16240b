/* SPDX-License-Identifier: BSD-2-Clause */
/* framed_echo [ADDRESS]: whole messages back, each behind its length in 4 bytes, big-endian.
 *
 *     framed_echo &   printf '\0\0\0\2hi' | nc -N 127.0.0.1 2008 | xxd      0000 0002 6869
 */
#include "libweir/libweir.h"

static int on_frame(struct wr_conn *c, struct wr_view v)
{
    return wr_conn_send_view(c, v);
}

static const struct wr_proto echo = {.on_frame = on_frame};
static const struct wr_codec codec = WR_CODEC_LEN32(1 << 20);

int main(int argc, char **argv)
{
    return wr_service_run(&(struct wr_service_options){
        .name = "framed_echo",
        .servers = {{.addr = argc > 1 ? argv[1] : "tcp://127.0.0.1:2008",
                     .conn = {.proto = &echo, .codec = &codec}}}});
}
