/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/addr.h"

#include "libweir/base/err.h"
#include "tests/tap.h"

#include <errno.h>
#include <netinet/in.h>

/* What is written is read back as the same address, and means what is expected. */
static void test_round_trip(void)
{
    static const struct {
        const char *text, *canonical;
        enum wr_addr_kind kind;
    } rows[] = {
        {"127.0.0.1:80",             "127.0.0.1:80",          WR_ADDR_V4  },
        {"tcp://127.0.0.1:80",       "127.0.0.1:80",          WR_ADDR_V4  },
        {"tcp://[::]:80",            "[::]:80",               WR_ADDR_V6  },
        {"*:80",                     "[::]:80",               WR_ADDR_V6  },
        {":80",                      "[::]:80",               WR_ADDR_V6  },
        {"80",                       "[::]:80",               WR_ADDR_V6  },
        {"0.0.0.0:0",                "0.0.0.0:0",             WR_ADDR_V4  },
        {"[::1]:65535",              "[::1]:65535",           WR_ADDR_V6  },
        {"[fe80::1%2]:80",           "[fe80::1%2]:80",        WR_ADDR_V6  },
        {"[2001:DB8:0:0:1:0:0:1]:1", "[2001:db8::1:0:0:1]:1", WR_ADDR_V6  },
        {"[1:0:2:3:4:5:6:7]:1",      "[1:0:2:3:4:5:6:7]:1",   WR_ADDR_V6  },
        {"[1:2:3:4:5:6:7:8]:1",      "[1:2:3:4:5:6:7:8]:1",   WR_ADDR_V6  },
        {"[1:2:3:4:5:6::]:1",        "[1:2:3:4:5:6::]:1",     WR_ADDR_V6  },
        {"[::ffff:10.1.2.3]:1",      "10.1.2.3:1",            WR_ADDR_V4  },
        {"[64:ff9b::10.1.2.3]:1",    "[64:ff9b::a01:203]:1",  WR_ADDR_V6  },
        {"unix:/run/x.sock",         "unix:/run/x.sock",      WR_ADDR_UNIX},
        {"unix:@abstract",           "unix:@abstract",        WR_ADDR_UNIX},
        {"fd:3",                     "fd:3",                  WR_ADDR_FD  },
        {"fd:http",                  "fd:http",               WR_ADDR_FD  },
    };
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        struct wr_addr a = {0}, b = {0};
        char buf[WR_ADDR_TEXT_MAX] = "";
        is_int(wr_addr_parse(wr_span_str(rows[i].text), &a), 0, "%s is read", rows[i].text);
        is_int(a.kind, rows[i].kind, "kind");
        is_int(wr_addr_format(&a, buf), strlen(rows[i].canonical), "length");
        is_str(buf, rows[i].canonical, "written");
        ok(wr_addr_parse(wr_span_str(buf), &b) == 0 && wr_addr_eq(&a, &b), "read back");
    }
}

static void test_refused(void)
{
    static const char *const rows[] = {
        "",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:x",
        "127.0.0.1:-1",
        "127.0.0:80",
        "1.2.3.4.5:80",
        "01.2.3.4:80",
        "256.0.0.1:80",
        "[::1]",
        "[::1:80",
        "[::1]80",
        "::1:80",
        "[127.0.0.1]:80",
        "[1::2::3]:80",
        "[:1]:80",
        "[12345::]:80",
        "[1:2:3:4:5:6:7:8:9]:80",
        "[1:2:3:4:5:6:7::8:]:80",
        "host:80",
        "unix:",
        "unix:@",
        "fd:",
        "fd:a b",
        "[fe80::1%eth0]:80",
        "[::1.2.3]:80",
        "[1.2.3.4::]:80",
        "[1:1.2.3.4::1]:80",
        "tcp://",
        "http://127.0.0.1:80",
        "80 ",
        "[*]:80",
        "[]:80",
    };
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        struct wr_addr a = {.kind = 77};
        is_int(wr_addr_parse(wr_span_str(rows[i]), &a), WR_E_SYNTAX, "\"%s\" is refused",
               rows[i]);
        is_int(a.kind, 77, "and nothing is written");
    }
    struct wr_addr a;
    char path[120] = "unix:/";
    memset(path + 6, 'x', 107);
    is_int(wr_addr_parse(wr_span_str(path), &a), WR_E_RANGE, "a path of 108 bytes");
    is_int(wr_addr_parse(wr_span(path, 5 + 107), &a), 0, "a path of 107 bytes");
    is_int(wr_addr_parse(WR_LIT("1.2.3.4:65536"), &a), WR_E_RANGE, "port too large");
    is_int(wr_addr_parse(WR_LIT("65536"), &a), WR_E_RANGE, "bare port too large");
}

static void test_target(void)
{
    struct wr_target t;
    is_int(wr_target_parse(WR_LIT("example.org:443"), 0, &t), 0, "name");
    ok(t.addr.kind == WR_ADDR_NONE && t.port == 443 &&
           wr_span_eq(t.name, WR_LIT("example.org")),
       "name and port");
    is_int(wr_target_parse(WR_LIT("example.org"), 80, &t), 0, "default port");
    is_int(t.port, 80, "is used");
    is_int(wr_target_parse(WR_LIT("[::1]"), 80, &t), 0, "v6 without port");
    ok(t.addr.kind == WR_ADDR_V6 && t.addr.port == 80, "is an address");
    is_int(wr_target_parse(WR_LIT("10.0.0.1:9"), 80, &t), 0, "v4");
    is_int(t.addr.port, 9, "own port wins");
    is_int(wr_target_parse(WR_LIT("unix:/x"), 0, &t), 0, "unix");
    is_int(wr_target_parse(WR_LIT("example.org"), 0, &t), WR_E_SYNTAX, "no port");
    is_int(wr_target_parse(WR_LIT("exa mple:1"), 0, &t), WR_E_SYNTAX, "space");
    is_int(wr_target_parse(WR_LIT("[example.org]:1"), 0, &t), WR_E_SYNTAX, "name in brackets");
    is_int(wr_target_parse(WR_LIT(":1"), 0, &t), WR_E_SYNTAX, "no name");
}

static void test_sockaddr(void)
{
    static const char *const rows[] = {"1.2.3.4:5", "[fe80::1%7]:65535", "unix:/a", "unix:@b"};
    for (size_t i = 0; i < WR_ARRAY_LEN(rows); i++) {
        struct wr_addr a, b;
        struct sockaddr_storage sa;
        socklen_t n = 0;
        ok(wr_addr_parse(wr_span_str(rows[i]), &a) == 0, "parse %s", rows[i]);
        is_int(wr_addr_to_sockaddr(&a, &sa, &n), 0, "to the kernel's form");
        is_int(sa.ss_family, wr_addr_family(&a), "family");
        is_int(wr_addr_from_sockaddr((struct sockaddr *)&sa, n, &b), 0, "and back");
        ok(wr_addr_eq(&a, &b), "the same");
        is_int(wr_addr_from_sockaddr((struct sockaddr *)&sa, 1, &b), -EINVAL, "too short");
    }
    struct wr_addr none = {0};
    struct sockaddr_storage sa;
    socklen_t n;
    is_int(wr_addr_to_sockaddr(&none, &sa, &n), -EAFNOSUPPORT, "none has no sockaddr");
    struct sockaddr_in6 mapped = {.sin6_family = AF_INET6, .sin6_port = htons(8)};
    mapped.sin6_addr.s6_addr[10] = mapped.sin6_addr.s6_addr[11] = 0xff;
    mapped.sin6_addr.s6_addr[12] = 127;
    struct wr_addr a;
    is_int(wr_addr_from_sockaddr((struct sockaddr *)&mapped, sizeof mapped, &a), 0, "mapped");
    ok(a.kind == WR_ADDR_V4 && a.v4[0] == 127 && a.port == 8, "becomes v4");
    ok(wr_addr_is_loopback(&a), "loopback");
}

static void test_inherited(void)
{
    struct wr_inherited env = {"42", "2", "web:admin"};
    struct wr_addr a;
    int fd = -1;
    ok(wr_addr_parse(WR_LIT("fd:admin"), &a) == 0, "named");
    is_int(wr_addr_inherited_fd(&a, &env, 42, &fd), 0, "found");
    is_int(fd, 4, "the second");
    is_int(wr_addr_inherited_fd(&a, &env, 41, &fd), WR_E_NOT_FOUND,
           "meant for another process");
    is_int(wr_addr_inherited_fd(&a, NULL, 42, &fd), WR_E_NOT_FOUND, "no environment");
    env.listen_fds = "1";
    is_int(wr_addr_inherited_fd(&a, &env, 42, &fd), WR_E_NOT_FOUND, "behind the count");
    ok(wr_addr_parse(WR_LIT("fd:9"), &a) == 0, "numbered");
    is_int(wr_addr_inherited_fd(&a, NULL, 42, &fd), 0, "needs no environment");
    is_int(fd, 9, "is the number");
}

int main(void)
{
    test_round_trip();
    test_refused();
    test_target();
    test_sockaddr();
    test_inherited();
    return tap_done();
}
