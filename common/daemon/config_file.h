// SPDX-License-Identifier: Apache-2.0
/* config_file.h - component configuration files: YAML or JSON into a tree with typed getters that have defaults.
 * KubeletConfiguration and KubeProxyConfiguration are read strictly first, then leniently with one warning;
 * KubeSchedulerConfiguration is strict.  One thread, at start-up; freed as a whole.
 *
 *   static const struct config_key keys[] = { { "address", CONFIG_STRING }, { "authentication.anonymous.enabled", CONFIG_BOOL },
 *                                             { "evictionHard", CONFIG_MAP }, { "profiles[].schedulerName", CONFIG_STRING }, ... };
 *   static const struct config_schema schema = { "kubelet.config.k8s.io", "v1beta1", "KubeletConfiguration", keys, N, .lenient = true };
 *   err = config_file_load("/var/lib/kubelet/config.yaml", &schema, &cfg);
 *   port = config_i64(cfg, "port", 10250); */
#ifndef CKUBE_DAEMON_CONFIG_FILE_H
#define CKUBE_DAEMON_CONFIG_FILE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/kerr.h"
#include "common/base/str.h"

enum config_type {
    CONFIG_BOOL,
    CONFIG_INT,
    CONFIG_FLOAT,
    CONFIG_STRING,
    CONFIG_DURATION, /* "1m30s" */
    CONFIG_STRINGS,  /* list of strings */
    CONFIG_MAP,      /* of scalars, any keys */
    CONFIG_ANY,      /* a sub-tree that the reader checks itself */
};

struct config_key {
    const char *path; /* "a.b.c"; "[]" after a name = for every item of that list */
    enum config_type type;
};

struct config_schema {
    const char *group, *version, *kind;
    const struct config_key *keys;
    size_t nkeys;
    bool lenient; /* unknown keys: a warning, not an error.  Wrong types are always errors */
    /* Versions that existed once, NULL-terminated pairs: version, what to do.  Gives a better error; may be NULL. */
    const char *const (*old_versions)[2];
};

struct config_file;

struct kerr *config_file_load(const char *path, const struct config_schema *schema, struct config_file **ret) MUST_CHECK;
struct kerr *config_file_parse(const char *text, size_t len, const char *path, const struct config_schema *schema,
                               struct config_file **ret) MUST_CHECK;
/* As if the file were empty: all getters give their defaults. */
struct config_file *config_file_empty(const struct config_schema *schema) MUST_CHECK;
void config_file_free(struct config_file *cfg);
DEFINE_AUTO(config_file)

const struct strlist *config_warnings(const struct config_file *cfg); /* to be logged once logging is set up */
const char *config_file_path(const struct config_file *cfg);          /* "" for the empty one */
json_t *config_tree(const struct config_file *cfg);                   /* borrowed */

/* Getters by path; "profiles[0].schedulerName" picks list items.  null counts as absent.  Types were checked at load. */
bool config_has(const struct config_file *cfg, const char *path);
json_t *config_at(const struct config_file *cfg, const char *path); /* borrowed; NULL = absent */
bool config_bool(const struct config_file *cfg, const char *path, bool def);
int64_t config_i64(const struct config_file *cfg, const char *path, int64_t def);
double config_float(const struct config_file *cfg, const char *path, double def);
const char *config_string(const struct config_file *cfg, const char *path, const char *def); /* lives with cfg */
int64_t config_duration_ms(const struct config_file *cfg, const char *path, int64_t def_ms);
void config_strings(const struct config_file *cfg, const char *path, struct strlist *ret); /* appends */
size_t config_len(const struct config_file *cfg, const char *path); /* items of a list, members of a map */

#endif
