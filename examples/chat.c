/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * chat [ADDRESS]: every line goes to everybody else. The room keeps ids, not pointers: somebody who left
 * meanwhile is simply not found. A slow reader does not hold the others up; over his hard limit he is out.
 *
 *     chat &     nc 127.0.0.1 2009     in two terminals: what one types the other reads
 */
#include "libweir/libweir.h"

static const struct wr_codec lines = WR_CODEC_LINES(1024);

static struct wr_server *room(struct wr_conn *c)
{
    struct wr_service **service = wr_conn_arg(c);
    return wr_service_server(*service, 0);
}

/* One copy of the line, counted; each connection holds a reference until it has been written. */
static void tell_others(struct wr_conn *from, struct wr_bytes *line)
{
    uint32_t cursor = 0;
    for (struct wr_conn *c; (c = wr_server_next(room(from), &cursor));) {
        if (c == from)
            continue;
        struct wr_bytes share = wr_bytes_ref(line);
        (void)wr_conn_send_bytes(c, &share);
    }
    wr_bytes_drop(line);
}

static void announce(struct wr_conn *c, const char *what)
{
    struct wr_buf buf;
    wr_buf_init(&buf, wr_loop_blocks(wr_conn_loop(c)), NULL);
    if (wr_buf_printf(&buf, "* %llx %s", (unsigned long long)wr_conn_id(c), what) == 0) {
        struct wr_bytes line = wr_buf_freeze(&buf);
        tell_others(c, &line);
    }
    wr_buf_deinit(&buf);
}

static int on_open(struct wr_conn *c)
{
    announce(c, "joined");
    return 0;
}

static int on_frame(struct wr_conn *c, struct wr_view v)
{
    struct wr_bytes line;
    int err = wr_view_keep(v, &line);
    if (err)
        return err;
    tell_others(c, &line);
    return 0;
}

static void on_close(struct wr_conn *c, enum wr_close why, int err)
{
    (void)err;
    if (why != WR_CLOSE_STOP)
        announce(c, "left");
}

static const struct wr_proto chat = {
    .on_open = on_open, .on_frame = on_frame, .on_close = on_close};

static int on_start(struct wr_service *s)
{
    *(struct wr_service **)wr_service_arg(s) = s;
    return 0;
}

int main(int argc, char **argv)
{
    static struct wr_service *self;
    return wr_service_run(&(struct wr_service_options){
        .name = "chat",
        .arg = &self,
        .on_start = on_start,
        .servers = {{.addr = argc > 1 ? argv[1] : "tcp://127.0.0.1:2009",
                     .conn = {.proto = &chat, .codec = &lines, .arg = &self}}}});
}
