/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * serial [PORT] [backlog=N]
 *
 * The simplest HTTP server there is, by hand: accept, read, write, close, one connection after the other,
 * and nothing with a deadline. accept_modes holds the others against it. To see what is wrong with it:
 *
 *     serial 2015 &   nc 127.0.0.1 2015 &   curl http://127.0.0.1:2015/      waits until nc has gone
 */
#include "examples/option.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    unsigned backlog = option_number(argc, argv, "backlog", 0);
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    char request[4096], body[64], answer[256];
    at.sin_port = htons((uint16_t)strtoul(option_address(argc, argv, "2015"), NULL, 10));
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0 ||
        listen(fd, backlog ? (int)backlog : 4096) != 0) {
        perror("serial");
        return 1;
    }
    int body_n = snprintf(body, sizeof body, "worker %d\n", (int)getpid());
    int n = snprintf(answer, sizeof answer,
                     "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s",
                     body_n, body);
    for (;;) {
        int c = accept(fd, NULL, NULL);
        if (c >= 0 && recv(c, request, sizeof request, 0) > 0)
            (void)send(c, answer, (size_t)n, MSG_NOSIGNAL);
        if (c >= 0)
            close(c);
    }
}
