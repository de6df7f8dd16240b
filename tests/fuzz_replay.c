/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs a fuzz target over the files of a folder (or over the files named), so that every compiler and
 * every `make test` replays the corpus. Prints one line; the target aborts on a finding.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned long replayed;

static void replay_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        (void)fprintf(stderr, "cannot open %s\n", path);
        exit(2);
    }
    static uint8_t data[1 << 20];
    size_t n = fread(data, 1, sizeof data, f);
    (void)fclose(f);
    uint8_t *copy = malloc(n ? n : 1); /* exact size: a sanitizer sees one byte too far */
    if (!copy)
        exit(2);
    for (size_t i = 0; i < n; i++)
        copy[i] = data[i];
    (void)LLVMFuzzerTestOneInput(copy, n);
    free(copy);
    replayed++;
}

static void replay_path(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) {
        replay_file(path);
        return;
    }
    DIR *d = opendir(path);
    if (!d)
        exit(2);
    for (struct dirent *e; (e = readdir(d));) {
        char name[4096];
        if (e->d_name[0] == '.')
            continue;
        (void)snprintf(name, sizeof name, "%s/%s", path, e->d_name);
        replay_file(name);
    }
    (void)closedir(d);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        replay_path(argv[i]);
    printf("replayed %lu inputs\n", replayed);
    return replayed ? 0 : 1;
}
