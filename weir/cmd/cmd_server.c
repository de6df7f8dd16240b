/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/cmd/cmd.h"

#include "libweir/base/err.h"
#include "libweir/base/num.h"
#include "libweir/io/log.h"
#include "libweir/os/os.h"
#include "weir/cmd/opt.h"
#include "weir/cmd/out.h"
#include "weir/cmd/site.h"
#include "weir/master/settings.h"
#include "weir/web/core.h"
#include "weir/web/load.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>

/* What a command line without a subcommand does: nginx's habits. */

static void print_help(void)
{
    out_print(2,
              "Usage: weir [-?hvVtTq] [-s signal] [-p prefix]\n"
              "            [-e filename] [-c filename] [-g directives]\n"
              "       weir COMMAND ...        (`weir help` lists the commands)\n\n"
              "Options:\n"
              "  -?,-h         : this help\n"
              "  -v            : show version and exit\n"
              "  -V            : show version and configure options then exit\n"
              "  -t            : test configuration and exit\n"
              "  -T            : test configuration, dump it and exit\n"
              "  -q            : suppress non-error messages during configuration testing\n"
              "  -s signal     : send signal to a master process: stop, quit, reopen, reload\n"
              "  -p prefix     : set prefix path (default: %s)\n"
              "  -e filename   : set error log file (default: stderr)\n"
              "  -c filename   : set configuration file (default: %s)\n"
              "  -g directives : set global directives out of configuration file\n",
              CMD_PREFIX, CMD_CONF);
}

/* ---- -t, -T --------------------------------------------------------------------------------------------------- */

static void dump(const struct conf_load *load)
{
    for (const struct conf_file *f = load->files; f; f = f->next) {
        if (f->one_line && strcmp(f->name, "command line") == 0)
            continue;
        out_print(1, "# configuration file %s:\n", f->name);
        out_span(1, f->text);
        out_print(1, "\n");
    }
}

static void say_setting(void *ctx, int level, const char *text)
{
    (void)ctx;
    out_print(2, "weir: [%s] %s\n", level < WR_LOG_WARN ? "emerg" : "warn", text);
}

static int test(const struct cmd_site *site, const struct opt *o)
{
    struct web_config *config;
    struct settings settings;
    int err = web_load(wr_os_heap(), &site->source, NULL, &config);
    if (!err && !o->quiet)
        out_print(2, "weir: the configuration file %s syntax is ok\n", site->path);
    if (!err)
        err = settings_read(config, &settings, say_setting, NULL);
    if (!err)
        err = cmd_site_try(config);
    if (err) {
        web_config_free(&config);
        out_print(2, "weir: configuration file %s test failed\n", site->path);
        return CMD_FAILED;
    }
    if (!o->quiet)
        out_print(2, "weir: configuration file %s test is successful\n", site->path);
    if (o->dump)
        dump(&config->load);
    web_config_free(&config);
    return CMD_OK;
}

/* ---- -s ----------------------------------------------------------------------------------------------------------- */

static int read_pid(const char *path, pid_t *out)
{
    char text[32];
    int fd = wr_os_open(path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0) {
        out_print(2, "weir: [error] open() \"%s\" failed (%d: %s)\n", path, -fd,
                  wr_err_text(fd));
        if (fd == -ENOENT)
            out_print(2, "weir: no server seems to run with this configuration\n");
        return fd;
    }
    ssize_t n = wr_os_read(fd, text, sizeof(text));
    wr_os_close(fd);
    struct wr_span word = wr_span(text, n > 0 ? (size_t)n : 0);
    while (word.n && (word.p[word.n - 1] == '\n' || word.p[word.n - 1] == '\r'))
        word.n--;
    uint64_t pid;
    if (wr_num_parse_between(word, 1, INT32_MAX, &pid)) {
        out_print(2, "weir: [error] invalid PID number \"%.*s\" in \"%s\"\n", WR_SPANF(word),
                  path);
        return WR_E_SYNTAX;
    }
    *out = (pid_t)pid;
    return 0;
}

static int send_signal(const struct cmd_site *site, const struct opt *o)
{
    static const int numbers[] = {
        [OPT_STOP] = SIGTERM,
        [OPT_QUIT] = SIGQUIT,
        [OPT_REOPEN] = SIGUSR1,
        [OPT_RELOAD] = SIGHUP,
    };
    struct web_source source = site->source;
    struct web_config *config;
    pid_t pid = 0;
    source.look_only = true;
    if (web_load(wr_os_heap(), &source, NULL, &config))
        return CMD_FAILED;
    const struct core_main *core = web_generation_core(config->generation, WEB_core);
    struct wr_span path = core->pid;
    int err = site_path(&config->load, core->pid, &path);
    if (!err && (core->pid.n == 0 || wr_span_eq(core->pid, WR_LIT("off")))) {
        out_print(2, "weir: [error] the configuration names no pid file: add \"pid FILE;\", or "
                     "signal the process itself\n");
        err = WR_E_NOT_FOUND;
    }
    if (!err)
        err = read_pid(path.p, &pid);
    web_config_free(&config);
    if (err)
        return CMD_FAILED;
    int sig = numbers[o->signal];
    err = wr_os_kill(pid, sig);
    if (err) {
        out_print(2, "weir: [alert] kill(%d, %d) failed (%d: %s)\n", (int)pid, sig, -err,
                  wr_err_text(err));
        if (err == -ESRCH)
            out_print(2, "weir: no server runs; its pid file was left behind\n");
        return CMD_FAILED;
    }
    return CMD_OK;
}

/* -e FILE: what is written to a file that cannot be opened would be lost without a word. A pipe may find its
 * reader later. */
static int try_error_log(const char *path)
{
    if (!path || strcmp(path, "stderr") == 0)
        return 0;
    int fd = wr_os_open(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_CLOEXEC, 0644);
    if (fd >= 0)
        return wr_os_close(fd);
    if (fd == -ENXIO)
        return 0;
    out_print(2, "weir: [emerg] open() \"%s\" failed (%d: %s)\nweir: -e names the error log\n",
              path, -fd, wr_err_text(fd));
    return fd;
}

/* ---- all ----------------------------------------------------------------------------------------------------------- */

int cmd_server(int argc, char **argv)
{
    struct opt o;
    struct cmd_site site;
    char error[512];
    if (opt_parse(argc, argv, &o, error, sizeof(error))) {
        out_print(2, "weir: %s\nweir: `weir -h` lists the switches, `weir help` the commands\n",
                  error);
        return CMD_FAILED;
    }
    if (o.help || o.version || o.details) {
        cmd_print_version(2);
        if (o.help)
            print_help();
        if (o.details)
            cmd_print_build(2);
        if (!o.test)
            return CMD_OK;
    }
    int err = cmd_site_init(&site, &o);
    if (err) {
        out_print(2, "weir: [emerg] %s\n", wr_err_text(err));
        return CMD_FAILED;
    }
    if (o.signal)
        return send_signal(&site, &o);
    if (o.test)
        return test(&site, &o);
    if (try_error_log(o.error_log))
        return CMD_FAILED;
    return cmd_site_run(&site, &o);
}
