/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/cmd/cmd.h"

#include "libweir/libweir.h"
#include "weir/cmd/out.h"
#include "weir/web/web.h"

#include <openssl/crypto.h>
#include <openssl/opensslv.h>

/*
 * -v and -V. Programs of other people read these lines to learn what a server can do, so each is in nginx's shape and
 * says what is so: a module is named as built in when it is in the table of modules.
 */

/* What nginx's configure knows. `usual`: there unless --without; else only with --with. */
static const struct {
    const char *name;
    bool usual;
} modules[] = {
    {"http_ssl",                 false},
    {"http_v2",                  false},
    {"http_v3",                  false},
    {"http_realip",              false},
    {"http_addition",            false},
    {"http_xslt",                false},
    {"http_image_filter",        false},
    {"http_geoip",               false},
    {"http_sub",                 false},
    {"http_dav",                 false},
    {"http_flv",                 false},
    {"http_mp4",                 false},
    {"http_gunzip",              false},
    {"http_gzip_static",         false},
    {"http_auth_request",        false},
    {"http_random_index",        false},
    {"http_secure_link",         false},
    {"http_degradation",         false},
    {"http_slice",               false},
    {"http_stub_status",         false},
    {"http_brotli",              false},
    {"http_zstd",                false},
    {"mail",                     false},
    {"stream",                   false},
    {"http_charset",             true },
    {"http_gzip",                true },
    {"http_ssi",                 true },
    {"http_userid",              true },
    {"http_access",              true },
    {"http_auth_basic",          true },
    {"http_mirror",              true },
    {"http_autoindex",           true },
    {"http_geo",                 true },
    {"http_map",                 true },
    {"http_split_clients",       true },
    {"http_referer",             true },
    {"http_rewrite",             true },
    {"http_proxy",               true },
    {"http_fastcgi",             true },
    {"http_uwsgi",               true },
    {"http_scgi",                true },
    {"http_grpc",                true },
    {"http_memcached",           true },
    {"http_limit_conn",          true },
    {"http_limit_req",           true },
    {"http_empty_gif",           true },
    {"http_browser",             true },
    {"http_upstream_hash",       true },
    {"http_upstream_ip_hash",    true },
    {"http_upstream_least_conn", true },
    {"http_upstream_random",     true },
    {"http_upstream_keepalive",  true },
    {"http_upstream_zone",       true },
};

static bool is_present(const char *name)
{
    for (int i = 0; i < WEB_MODULES; i++)
        if (strcmp(web_modules[i]->conf.name, name) == 0)
            return true;
    return false;
}

void cmd_print_version(int fd)
{
    out_print(fd, "nginx version: nginx/" CMD_NGINX " (weir " WR_VERSION ")\n");
}

void cmd_print_build(int fd)
{
    const char *running = OpenSSL_version(OPENSSL_VERSION);
    out_print(fd, "built with %s", OPENSSL_VERSION_TEXT);
    if (strcmp(running, OPENSSL_VERSION_TEXT) != 0)
        out_print(fd, " (running with %s)", running);
    out_print(fd, "\n%sconfigure arguments: --prefix=%s --conf-path=%s%s",
              is_present("http_ssl") ? "TLS SNI support enabled\n" : "", CMD_PREFIX, CMD_PREFIX,
              CMD_CONF);
    for (size_t i = 0; i < WR_ARRAY_LEN(modules); i++) {
        bool there = is_present(modules[i].name);
        bool room = strncmp(modules[i].name, "http_", 5) != 0; /* --with-mail, --with-stream */
        if (there != modules[i].usual)
            out_print(fd, " --%s-%s%s", there ? "with" : "without", modules[i].name,
                      room ? "" : "_module");
    }
    out_print(fd, "\n");
}
