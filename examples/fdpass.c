/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fdpass [ADDRESS]
 *
 * One process accepts, another serves: the connection itself travels, as a descriptor in a message
 * (SCM_RIGHTS). The number may differ in the two processes, what it stands for is the same.
 *
 *     fdpass &   echo hello | nc -N 127.0.0.1 2014
 *     fd 9 accepted by 4711, fd 7 served by 4712:
 *     hello
 */
#include "examples/option.h"
#include "libweir/libweir.h"
#include "libweir/os/os.h"

#include <errno.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* What comes with the descriptor. */
struct tag {
    pid_t acceptor;
    int fd;
};

/* ---- the process that serves ---------------------------------------------------------------------- */

struct serving {
    struct wr_loop *loop;
    struct wr_server *server;
    struct wr_io channel;
    struct tag tag;
    int fd;
};

static int on_open(struct wr_conn *c)
{
    struct serving *s = wr_conn_arg(c);
    char text[96];
    int n = snprintf(text, sizeof text, "fd %d accepted by %d, fd %d served by %d:", s->tag.fd,
                     (int)s->tag.acceptor, s->fd, (int)getpid());
    return wr_conn_send(c, wr_span(text, (size_t)n));
}

static int on_frame(struct wr_conn *c, struct wr_view v)
{
    return wr_conn_send_view(c, v);
}

static void on_channel(struct wr_io *io, uint32_t events)
{
    struct serving *s = wr_container_of(io, struct serving, channel);
    (void)events;
    for (;;) {
        unsigned n_fds = 1;
        size_t n_tag = sizeof s->tag;
        int rc = wr_fd_recv(wr_io_fd(io), &s->fd, &n_fds, &s->tag, &n_tag);
        if (rc == -EAGAIN)
            return;
        if (rc < 0) { /* the other end is closed */
            wr_loop_stop(s->loop);
            return;
        }
        if (n_fds == 1)
            (void)wr_server_adopt(s->server, s->fd);
    }
}

static int serve(void *arg)
{
    static const struct wr_proto proto = {.on_open = on_open, .on_frame = on_frame};
    static const struct wr_codec lines = WR_CODEC_LINES(1024);
    struct serving s = {.fd = -1};
    int *pair = arg;
    close(pair[0]);
    int rc = wr_loop_new(NULL, &s.loop);
    if (rc == 0)
        rc = wr_server_open(s.loop,
                            &(struct wr_server_options){
                                .conn = {.proto = &proto, .codec = &lines, .arg = &s}
        },
                            &s.server);
    if (rc == 0)
        rc = wr_io_open(s.loop, &s.channel, pair[1], WR_IO_READ, on_channel);
    if (rc == 0)
        rc = wr_loop_run(s.loop);
    wr_io_close(&s.channel);
    wr_server_close(&s.server);
    if (s.loop)
        (void)wr_loop_turn(s.loop, 0);
    wr_loop_free(&s.loop);
    return rc ? 1 : 0;
}

/* ---- the process that accepts ---------------------------------------------------------------------- */

static int channel;
static struct wr_listener *listener;

static void on_accept(struct wr_listener *l, int fd, const struct wr_addr *peer, void *arg)
{
    struct tag tag = {getpid(), fd};
    (void)l;
    (void)peer;
    (void)arg;
    if (wr_fd_send(channel, &fd, 1, wr_span(&tag, sizeof tag)) != 1)
        fprintf(stderr, "fdpass: the channel is full or closed; a connection is refused\n");
    close(fd); /* the message holds one of its own */
}

static int on_start(struct wr_service *service)
{
    struct wr_listen_options listen = {0};
    int rc = wr_addr_parse(wr_span_str(wr_service_arg(service)), &listen.addr);
    return rc ? rc
              : wr_listener_open(wr_service_loop(service), &listen, on_accept, NULL, &listener);
}

static void on_stop(struct wr_service *service)
{
    (void)service;
    wr_listener_close(&listener);
}

int main(int argc, char **argv)
{
    int pair[2], pidfd;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0)
        return 1;
    if (wr_os_spawn(serve, pair, &pidfd) < 0) /* before the first loop and the first thread */
        return 1;
    close(pair[1]);
    channel = pair[0];
    return wr_service_run(&(struct wr_service_options){
        .name = "fdpass",
        .arg = (void *)(uintptr_t)option_address(argc, argv, "tcp://127.0.0.1:2014"),
        .on_start = on_start,
        .on_stop = on_stop});
}
