/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * logged ADDRESS FILE: the hello with an access log, one line per request, written by a worker process
 * through the shared ring to the logger. perf/faults.py stops the logger and looks at the latency.
 */
#include "libweir/libweir.h"

#include <stdio.h>

static char memory[2 * (WR_READY_HEAD_MAX + 16)];
static struct wr_http_ready page;
static struct wr_log *log_of_worker;

static void on_request(struct wr_http_req *req, void *arg)
{
    (void)arg;
    (void)wr_http_reply_ready(req, &page);
}

static void on_done(struct wr_http_req *req, const struct wr_http_done *done, void *arg)
{
    char line[256];
    struct wr_span path = wr_http_path(req);
    (void)arg;
    int n = snprintf(line, sizeof line, "access status=%d bytes=%llu path=%.*s", done->status,
                     (unsigned long long)done->body_out, (int)(path.n < 128 ? path.n : 128),
                     path.p);
    (void)wr_log_raw(log_of_worker, 0, wr_span(line, (size_t)n));
}

static int on_start(struct wr_service *service)
{
    log_of_worker = wr_service_log(service);
    return 0;
}

/* Written once the worker serves nobody any more: what was lost, for whoever reads the file. */
static void on_stop(struct wr_service *service)
{
    struct wr_log_stats s = wr_log_stats(wr_service_log(service));
    WR_LOG(log_of_worker, NOTICE, "logged", "totals", "written=%llu dropped=%llu",
           (unsigned long long)s.written, (unsigned long long)s.dropped);
}

int main(int argc, char **argv)
{
    if (argc != 3 || wr_http_ready_form(&page, memory, sizeof memory, 200, WR_LIT("text/plain"),
                                        WR_LIT("hello, world\n")) != 0)
        return 64;
    return wr_service_run(&(struct wr_service_options){
        .name = "logged",
        .workers = 1,
        .log_file = argv[2],
        .on_start = on_start,
        .on_stop = on_stop,
        .http = {{.addr = argv[1], .on_request = on_request, .on_done = on_done}}});
}
