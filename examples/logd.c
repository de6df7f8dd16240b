/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * logd [ADDRESS] [log=FILE]
 *
 * Writes every line that comes into a log, and answers how many of them were written and how many dropped.
 * The log goes through a ring in shared memory to a logger process. Stop that process, and nobody waits:
 *
 *     logd log=/tmp/log &     pgrep -P $! -x logger
 *     kill -STOP PID;  yes | head -5000 | nc -N 127.0.0.1 2013 | tail -1;  kill -CONT PID
 *     grep log_dropped /tmp/log                                        the log itself tells what is missing
 */
#include "examples/option.h"
#include "libweir/libweir.h"

#include <stdio.h>

static struct wr_service *self;

static int on_frame(struct wr_conn *c, struct wr_view v)
{
    char answer[64];
    (void)wr_log_raw(wr_service_log(self), 0,
                     wr_view_span(v)); /* never waits; false: dropped */
    struct wr_log_stats s = wr_log_stats(wr_service_log(self));
    int n = snprintf(answer, sizeof answer, "written %llu dropped %llu",
                     (unsigned long long)s.written, (unsigned long long)s.dropped);
    return wr_conn_send(c, wr_span(answer, (size_t)n));
}

static int on_start(struct wr_service *service)
{
    self = service;
    return 0;
}

int main(int argc, char **argv)
{
    static const struct wr_proto proto = {.on_frame = on_frame};
    static const struct wr_codec lines = WR_CODEC_LINES(1024);
    return wr_service_run(&(struct wr_service_options){
        .name = "logd",
        .workers = 1, /* a master, a logger and one that serves */
        .log_file = option(argc, argv, "log", NULL),
        .on_start = on_start,
        .servers = {{.addr = option_address(argc, argv, "tcp://127.0.0.1:2013"),
                     .conn = {.proto = &proto, .codec = &lines}}}});
}
