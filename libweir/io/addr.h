/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_IO_ADDR_H
#define WR_IO_ADDR_H

/*
 * Where a socket is: IPv4, IPv6 with a scope, a unix path, an abstract unix name, or a descriptor that
 * somebody opened for us (systemd, or the binary before this one).
 *
 * One plain value type of fixed size that is copied freely. Text becomes an address with wr_addr_parse,
 * an address becomes text with wr_addr_format, and what one writes the other reads back. Names that
 * need the DNS are not addresses: wr_target_parse takes both and says which it was.
 *
 * Accepted text: "127.0.0.1:80", "[::1]:80", "[fe80::1%2]:80", "*:80" and ":80" (any v6, dual stack),
 * "80" (the same), "tcp://..." before any of those, "unix:/run/x.sock", "unix:@abstract", "fd:3",
 * "fd:name" (a name in LISTEN_FDNAMES).
 *
 * 1. Nothing here allocates, and nothing here asks the kernel or the DNS.
 * 2. A zeroed wr_addr has kind WR_ADDR_NONE and equals only its like.
 * 3. An IPv4-mapped IPv6 address that comes from the kernel is turned into IPv4.
 * 4. A v6 scope is a number in text: interface names need the kernel.
 *
 * Any thread.
 */

#include "libweir/base/compiler.h"
#include "libweir/base/span.h"

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

enum wr_addr_kind {
    WR_ADDR_NONE,
    WR_ADDR_V4,
    WR_ADDR_V6,
    WR_ADDR_UNIX, /* name[0] == 0: abstract */
    WR_ADDR_FD,   /* fd >= 0, or a name to look up in the inherited ones */
};

#define WR_ADDR_NAME_MAX 108 /* as in sockaddr_un */
#define WR_ADDR_TEXT_MAX 128 /* any address as text with its final NUL */

struct wr_addr {
    uint8_t kind;
    uint8_t name_len; /* unix and named fd */
    uint16_t port;    /* host byte order */
    union {
        uint8_t v4[4];
        struct {
            uint8_t v6[16];
            uint32_t scope;
        };
        int fd;
    };
    char name[WR_ADDR_NAME_MAX];
};

struct wr_addr wr_addr_v4(const uint8_t ip[4], uint16_t port);
struct wr_addr wr_addr_v6(const uint8_t ip[16], uint32_t scope, uint16_t port);

/* WR_E_SYNTAX, or WR_E_RANGE for a port over 65535 or a path over 107 bytes. */
WR_MUST int wr_addr_parse(struct wr_span text, struct wr_addr *out_addr);

/* An IP without port or brackets. */
WR_MUST int wr_addr_parse_ip(struct wr_span text, struct wr_addr *out_addr);

/* Writes text and a NUL, returns the length without it. buf holds WR_ADDR_TEXT_MAX. The second form
 * writes only the IP (or what wr_addr_format writes, for the others), as logs and headers want it. */
size_t wr_addr_format(const struct wr_addr *a, char *buf);
size_t wr_addr_format_ip(const struct wr_addr *a, char *buf);

bool wr_addr_eq(const struct wr_addr *a, const struct wr_addr *b);
bool wr_addr_is_loopback(const struct wr_addr *a);
int wr_addr_family(const struct wr_addr *a); /* AF_INET, AF_INET6, AF_UNIX, AF_UNSPEC */

/* For the kernel. WR_ADDR_NONE and WR_ADDR_FD have no sockaddr: -EAFNOSUPPORT. */
WR_MUST int wr_addr_to_sockaddr(const struct wr_addr *a, struct sockaddr_storage *out_sa,
                                socklen_t *out_len);
WR_MUST int wr_addr_from_sockaddr(const struct sockaddr *sa, socklen_t len,
                                  struct wr_addr *out_addr);
WR_MUST int wr_addr_of_socket(int fd, struct wr_addr *out_addr);
WR_MUST int wr_addr_of_peer(int fd, struct wr_addr *out_addr);

/* Something to connect to: an address, or a name and a port. The name points into the parsed text. */
struct wr_target {
    struct wr_addr addr; /* WR_ADDR_NONE: resolve the name */
    struct wr_span name; /* without brackets and port */
    uint16_t port;
};

/* default_port 0: a port is required (unix: never). */
WR_MUST int wr_target_parse(struct wr_span text, uint16_t default_port,
                            struct wr_target *out_target);

/*
 * Descriptors handed over by systemd's protocol. The three strings are the values of LISTEN_PID,
 * LISTEN_FDS and LISTEN_FDNAMES (NULL when unset): the environment is read by whoever owns main().
 */
struct wr_inherited {
    const char *listen_pid, *listen_fds, *listen_fdnames;
};

/* The descriptor that an address of kind WR_ADDR_FD means. "fd:3" needs no environment; "fd:name"
 * needs one that was meant for pid. WR_E_NOT_FOUND otherwise. */
WR_MUST int wr_addr_inherited_fd(const struct wr_addr *a, const struct wr_inherited *env,
                                 int pid, int *out_fd);

#endif
