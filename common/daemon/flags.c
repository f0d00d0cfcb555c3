// SPDX-License-Identifier: Apache-2.0
#include "common/daemon/flags.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>

struct section {
    const char *title;
    const struct flag *table;
    size_t len;
    void *options;
    bool *changed; /* per flag */
};

struct flags {
    const char *daemon_name, *about;
    struct section *sections;
    size_t nsections;
    const struct removed_flag **removed;
    size_t nremoved;
    struct strlist warnings;
};

struct found { /* a flag and where it stands */
    const struct flag *flag;
    struct section *section;
};

/* What upstream's daemons took once; one list for all five, since guides mix them up too. */
static const struct removed_flag known_removed[] = {
    { "insecure-port", "1.24", "remove it; only HTTPS on --secure-port is served", true },
    { "insecure-bind-address", "1.24", "remove it; only HTTPS on --bind-address is served", true },
    { "admission-control", "1.19", "use --enable-admission-plugins, which adds to the defaults" },
    { "kubelet-https", "1.22", "remove it; HTTPS is always used", true, true },
    { "basic-auth-file", "1.19", "use client certificates or --token-auth-file" },
    { "enable-swagger-ui", "1.18", "remove it", true, true },
    { "audit-dynamic-configuration", "1.19", "use --audit-policy-file", true, true },
    { "target-ram-mb", "1.22", "remove it", true },
    { "service-account-api-audiences", "1.19", "use --api-audiences" },
    { "experimental-encryption-provider-config", "1.20", "use --encryption-provider-config" },
    { "experimental-cluster-signing-duration", "1.22", "use --cluster-signing-duration" },
    { "pod-eviction-timeout", "1.27", "remove it; tolerations of the NoExecute taints decide (--default-unreachable-toleration-seconds)", true },
    { "enable-taint-manager", "1.27", "remove it; taint-based eviction is always on", true, true },
    { "horizontal-pod-autoscaler-use-rest-clients", "1.23", "remove it; metrics always come from the metrics APIs", true, true },
    { "port", "1.24", "use --secure-port" },
    { "address", "1.24", "use --bind-address (kubelet: address in the config file)" },
    { "algorithm-provider", "1.23", "use profiles in --config" },
    { "policy-config-file", "1.23", "use profiles in --config" },
    { "use-legacy-policy-config", "1.23", "use profiles in --config", false, true },
    { "deployment-controller-sync-period", "1.30", "remove it", true },
    { "network-plugin", "1.24", "remove it; the container runtime loads CNI plugins itself", true },
    { "cni-conf-dir", "1.24", "set conf_dir in the container runtime's configuration", true },
    { "cni-bin-dir", "1.24", "set bin_dir in the container runtime's configuration", true },
    { "cni-cache-dir", "1.24", "remove it", true },
    { "network-plugin-mtu", "1.24", "set the MTU in the CNI configuration", true },
    { "non-masquerade-cidr", "1.24", "use ipMasq in the CNI configuration", true },
    { "container-runtime", "1.27", "remove it; the runtime is always remote, by --container-runtime-endpoint", true },
    { "image-pull-progress-deadline", "1.24", "remove it", true },
    { "docker", "1.24", "remove it", true },
    { "docker-endpoint", "1.24", "use --container-runtime-endpoint", true },
    { "docker-root", "1.24", "remove it", true },
    { "docker-only", "1.24", "remove it", true, true },
    { "docker-tls", "1.24", "remove it", true, true },
    { "docker-env-metadata-whitelist", "1.24", "remove it", true },
    { "experimental-dockershim-root-directory", "1.24", "remove it", true },
    { "allow-privileged", "1.15", "remove it here; it is a flag of kube-apiserver", true, true },
    { "api-servers", "1.6", "use --kubeconfig" },
    { "require-kubeconfig", "1.10", "use --kubeconfig", true, true },
    { "enable-server", "1.22", "use enableServer in the config file", true, true },
    { "cadvisor-port", "1.12", "remove it; the kubelet serves /metrics/cadvisor", true },
    { "dynamic-config-dir", "1.24", "use --config" },
    { "register-schedulable", "1.23", "use --register-with-taints", true, true },
    { "enable-custom-metrics", "1.11", "remove it", true, true },
    { "keep-terminated-pod-volumes", "1.33", "remove it", true, true },
    { "experimental-bootstrap-kubeconfig", "1.19", "use --bootstrap-kubeconfig" },
    { "experimental-kernel-memcg-notification", "1.24", "use kernelMemcgNotification in the config file", true, true },
    { "experimental-check-node-capabilities-before-mount", "1.24", "remove it", true, true },
    { "experimental-allocatable-ignore-eviction", "1.31", "remove it", true, true },
    { "experimental-fail-swap-on", "1.24", "use failSwapOn in the config file", true, true },
    { "cleanup-iptables", "1.17", "use --cleanup", false, true },
    { "resource-container", "1.20", "remove it", true },
    { "udp-timeout", "1.26", "remove it", true },
    { "proxy-port-range", "1.26", "remove it", true },
};

struct flags *
flags_new(const char *daemon_name, const char *about)
{
    struct flags *fs = XNEW(struct flags);

    fs->daemon_name = daemon_name;
    fs->about = about;
    return fs;
}

static void *
target_of(const struct section *s, const struct flag *f)
{
    return (char *)s->options + f->offset;
}

static void
map_done(struct flag_map *m)
{
    for (size_t i = 0; i < m->len; i++) {
        free(m->items[i].key);
        free(m->items[i].value);
    }
    free(m->items);
    *m = (struct flag_map){ 0 };
}

/* Frees what the flag's place owns and makes it the zero value. */
static void
clear_target(const struct flag *f, void *at)
{
    switch (f->type) {
    case FLAG_BOOL:
        *(bool *)at = false;
        break;
    case FLAG_I32:
        *(int32_t *)at = 0;
        break;
    case FLAG_I64:
    case FLAG_DURATION:
        *(int64_t *)at = 0;
        break;
    case FLAG_FLOAT:
        *(double *)at = 0;
        break;
    case FLAG_STRING:
    case FLAG_IP:
        free(*(char **)at);
        *(char **)at = NULL;
        break;
    case FLAG_STRINGS:
    case FLAG_STRING_ARRAY:
    case FLAG_IPS:
    case FLAG_CIDRS:
        strlist_done(at);
        break;
    case FLAG_MAP:
    case FLAG_BOOL_MAP:
        map_done(at);
        break;
    case FLAG_IGNORED:
    case FLAG_IGNORED_BOOL:
        break;
    }
}

void
flags_free(struct flags *fs)
{
    if (!fs)
        return;
    for (size_t i = 0; i < fs->nsections; i++) {
        struct section *s = &fs->sections[i];
        for (size_t j = 0; j < s->len; j++)
            clear_target(&s->table[j], s->table[j].type >= FLAG_IGNORED ? NULL : target_of(s, &s->table[j]));
        free(s->changed);
    }
    free(fs->sections);
    free((void *)fs->removed);
    strlist_done(&fs->warnings);
    free(fs);
}

/* --- values --- */

static bool
is_ip(const char *s)
{
    unsigned char buf[16];

    return inet_pton(AF_INET, s, buf) == 1 || inet_pton(AF_INET6, s, buf) == 1;
}

static bool
is_cidr(const char *s)
{
    const char *slash = strchr(s, '/');
    int32_t bits;

    if (!slash || parse_i32(slash + 1, &bits) || bits < 0)
        return false;
    AUTO_FREE char *ip = xstrndup(s, (size_t)(slash - s));
    return is_ip(ip) && bits <= (strchr(ip, ':') ? 128 : 32);
}

/* "aggregator" in quotes, as unit files pass it: systemd keeps inner quotes. */
static char *
unquote(const char *s)
{
    size_t len = strlen(s);

    if (len >= 2 && (s[0] == '"' || s[0] == '\'') && s[len - 1] == s[0])
        return xstrndup(s + 1, len - 2);
    return xstrdup(s);
}

static struct kerr *
set_int(const struct flag *f, void *at, const char *value)
{
    int64_t n;
    int rc = parse_i64(value, &n);

    if (!rc && f->type == FLAG_I32 && (n < INT32_MIN || n > INT32_MAX))
        rc = -ERANGE;
    if (rc)
        return kerr_new(KERR_BAD_REQUEST, "strconv.ParseInt: parsing \"%s\": %s", value,
                        rc == -ERANGE ? "value out of range" : "invalid syntax");
    if (f->type == FLAG_I32)
        *(int32_t *)at = (int32_t)n;
    else
        *(int64_t *)at = n;
    return NULL;
}

static struct kerr *
set_float(void *at, const char *value)
{
    char *end;
    double n = strtod(value, &end);

    if (!*value || *end || isspace((unsigned char)*value) || !isfinite(n))
        return kerr_new(KERR_BAD_REQUEST, "strconv.ParseFloat: parsing \"%s\": invalid syntax", value);
    *(double *)at = n;
    return NULL;
}

static struct kerr *
set_bool(void *at, const char *value)
{
    if (parse_bool(value, at))
        return kerr_new(KERR_BAD_REQUEST, "strconv.ParseBool: parsing \"%s\": invalid syntax", value);
    return NULL;
}

static struct kerr *
set_duration(void *at, const char *value)
{
    if (parse_duration_ms(value, at) == 0)
        return NULL;
    if (*value && strspn(value, "0123456789.") == strlen(value))
        return kerr_new(KERR_BAD_REQUEST, "time: missing unit in duration \"%s\"", value);
    return kerr_new(KERR_BAD_REQUEST, "time: invalid duration \"%s\"", value);
}

/* A comma list as encoding/csv reads one line: "a,b",c is two items. */
static void
split_csv(const char *value, struct strlist *ret)
{
    struct sbuf item = { 0 };
    bool quoted = false, any = *value != '\0';

    for (const char *p = value; *p; p++) {
        if (*p == '"') {
            quoted = !quoted;
        } else if (*p == ',' && !quoted) {
            strlist_add(ret, sbuf_str(&item));
            sbuf_clear(&item);
        } else {
            sbuf_addc(&item, *p);
        }
    }
    if (any)
        strlist_add(ret, sbuf_str(&item));
    sbuf_done(&item);
}

static struct kerr *
set_list(const struct flag *f, void *at, const char *value)
{
    AUTO_STRLIST parts = { 0 };

    if (f->type == FLAG_STRING_ARRAY) {
        strlist_add(&parts, value);
    } else {
        split_csv(value, &parts);
    }
    for (size_t i = 0; i < parts.len; i++) {
        char *item = parts.items[i];
        if (f->type == FLAG_IPS || f->type == FLAG_CIDRS) {
            size_t lead = strspn(item, " ");
            memmove(item, item + lead, strlen(item + lead) + 1);
            item[strcspn(item, " ")] = '\0';
        }
        if (f->type == FLAG_IPS && !is_ip(item))
            return kerr_new(KERR_BAD_REQUEST, "invalid string being converted to IP address: %s", item);
        if (f->type == FLAG_CIDRS && !is_cidr(item))
            return kerr_new(KERR_BAD_REQUEST, "invalid CIDR address: %s", item);
    }
    for (size_t i = 0; i < parts.len; i++)
        strlist_add(at, parts.items[i]);
    return NULL;
}

static void
map_set(struct flag_map *m, const char *key, const char *value)
{
    for (size_t i = 0; i < m->len; i++) {
        if (str_eq(m->items[i].key, key)) {
            free(m->items[i].value);
            m->items[i].value = xstrdup(value);
            return;
        }
    }
    if (m->len == m->cap) {
        m->cap = m->cap ? m->cap * 2 : 8;
        m->items = xreallocarray(m->items, m->cap, sizeof *m->items);
    }
    m->items[m->len++] = (struct flag_pair){ xstrdup(key), xstrdup(value) };
}

static char *
trimmed(const char *s, size_t len)
{
    while (len && isspace((unsigned char)*s)) {
        s++;
        len--;
    }
    while (len && isspace((unsigned char)s[len - 1]))
        len--;
    return xstrndup(s, len);
}

static struct kerr *
set_map(const struct flag *f, void *at, const char *value)
{
    AUTO_STRLIST parts = { 0 };

    strlist_split(&parts, value, ',');
    for (size_t i = 0; i < parts.len; i++) {
        const char *eq = strchr(parts.items[i], '=');
        bool on;
        if (!eq) {
            AUTO_FREE char *all = trimmed(parts.items[i], strlen(parts.items[i]));
            if (!*all)
                continue;
            return f->type == FLAG_BOOL_MAP
                       ? kerr_new(KERR_BAD_REQUEST, "missing bool value for %s", all)
                       : kerr_new(KERR_BAD_REQUEST, "malformed pair, expect string=string");
        }
        AUTO_FREE char *key = trimmed(parts.items[i], (size_t)(eq - parts.items[i]));
        AUTO_FREE char *v = trimmed(eq + 1, strlen(eq + 1));
        if (f->type == FLAG_BOOL_MAP && parse_bool(v, &on))
            return kerr_new(KERR_BAD_REQUEST, "invalid value of %s=%s, err: strconv.ParseBool: parsing \"%s\": invalid syntax", key, v, v);
        map_set(at, key, f->type == FLAG_BOOL_MAP ? (on ? "true" : "false") : v);
    }
    return NULL;
}

static struct kerr *
set_text(const struct flag *f, void *at, const char *value)
{
    AUTO_FREE char *bare = trimmed(value, strlen(value));

    if (f->type == FLAG_IP && *bare && !is_ip(bare))
        return kerr_new(KERR_BAD_REQUEST, "failed to parse IP: \"%s\"", value);
    free(*(char **)at);
    *(char **)at = xstrdup(f->type == FLAG_IP ? bare : value);
    return NULL;
}

static struct kerr *
store(const struct flag *f, void *at, const char *value)
{
    switch (f->type) {
    case FLAG_BOOL:
        return set_bool(at, value);
    case FLAG_I32:
    case FLAG_I64:
        return set_int(f, at, value);
    case FLAG_FLOAT:
        return set_float(at, value);
    case FLAG_DURATION:
        return set_duration(at, value);
    case FLAG_STRING:
    case FLAG_IP:
        return set_text(f, at, value);
    case FLAG_STRINGS:
    case FLAG_STRING_ARRAY:
    case FLAG_IPS:
    case FLAG_CIDRS:
        return set_list(f, at, value);
    case FLAG_MAP:
    case FLAG_BOOL_MAP:
        return set_map(f, at, value);
    case FLAG_IGNORED:
    case FLAG_IGNORED_BOOL:
        return NULL;
    }
    return NULL;
}

static bool
is_list(const struct flag *f)
{
    return f->type == FLAG_STRINGS || f->type == FLAG_STRING_ARRAY || f->type == FLAG_IPS || f->type == FLAG_CIDRS ||
           f->type == FLAG_MAP || f->type == FLAG_BOOL_MAP;
}

/* --- tables --- */

static bool
same_name(const char *a, const char *b, size_t blen) /* underscores = dashes */
{
    for (size_t i = 0; i < blen; i++) {
        char cb = b[i] == '_' ? '-' : b[i];
        if (!a[i] || a[i] != cb)
            return false;
    }
    return a[blen] == '\0';
}

static bool
find(const struct flags *fs, const char *name, size_t len, struct found *ret)
{
    for (size_t i = 0; i < fs->nsections; i++) {
        struct section *s = &fs->sections[i];
        for (size_t j = 0; j < s->len; j++) {
            if (same_name(s->table[j].name, name, len)) {
                *ret = (struct found){ &s->table[j], s };
                return true;
            }
        }
    }
    return false;
}

void
flags_add(struct flags *fs, const char *section, const struct flag *table, size_t len, void *options)
{
    struct section s = { section, table, len, options, xcalloc(len ? len : 1, sizeof(bool)) };

    for (size_t i = 0; i < len; i++) {
        const struct flag *f = &table[i];
        struct found other;
        if (find(fs, f->name, strlen(f->name), &other))
            abort(); /* two tables of one daemon disagree */
        if (f->type >= FLAG_IGNORED)
            continue;
        struct kerr *err = f->def ? store(f, (char *)options + f->offset, f->def) : NULL;
        if (err)
            abort(); /* a bad default in a table */
    }
    fs->sections = xreallocarray(fs->sections, fs->nsections + 1, sizeof *fs->sections);
    fs->sections[fs->nsections++] = s;
}

void
flags_add_removed(struct flags *fs, const struct removed_flag *table, size_t len)
{
    fs->removed = xreallocarray((void *)fs->removed, fs->nremoved + len, sizeof(struct removed_flag *));
    for (size_t i = 0; i < len; i++)
        fs->removed[fs->nremoved++] = &table[i];
}

void
flags_add_known_removed(struct flags *fs)
{
    flags_add_removed(fs, known_removed, ARRAY_LEN(known_removed));
}

/* --- parsing --- */

/* Edits needed between two names, at most `limit`. */
static unsigned
distance(const char *a, const char *b, unsigned limit)
{
    unsigned row[128];
    size_t blen = strlen(b);

    if (blen >= ARRAY_LEN(row) || strlen(a) >= ARRAY_LEN(row))
        return limit;
    for (unsigned j = 0; j <= blen; j++)
        row[j] = j;
    for (unsigned i = 1; a[i - 1]; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= blen; j++) {
            unsigned up = row[j];
            unsigned best = diagonal + (a[i - 1] != b[j - 1]);
            if (up + 1 < best)
                best = up + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = up;
            row[j] = best;
        }
    }
    return row[blen] < limit ? row[blen] : limit;
}

static const char *
nearest(const struct flags *fs, const char *name)
{
    unsigned best = (unsigned)strlen(name) / 3 + 1;
    const char *found = NULL;

    for (size_t i = 0; i < fs->nsections; i++) {
        for (size_t j = 0; j < fs->sections[i].len; j++) {
            const struct flag *f = &fs->sections[i].table[j];
            unsigned d = distance(name, f->name, best);
            if (d < best && !f->deprecated) {
                best = d;
                found = f->name;
            }
        }
    }
    return found;
}

static struct kerr *
unknown(const struct flags *fs, const char *name, size_t len)
{
    AUTO_FREE char *plain = xstrndup(name, len);
    const char *near = nearest(fs, plain);

    if (near)
        return kerr_new(KERR_BAD_REQUEST, "unknown flag: --%s (did you mean --%s?)", plain, near);
    return kerr_new(KERR_BAD_REQUEST, "unknown flag: --%s", plain);
}

static const struct removed_flag *
find_removed(const struct flags *fs, const char *name, size_t len)
{
    for (size_t i = 0; i < fs->nremoved; i++) {
        if (same_name(fs->removed[i]->name, name, len))
            return fs->removed[i];
    }
    return NULL;
}

static void
warn(struct flags *fs, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    strlist_add_take(&fs->warnings, xvasprintf(fmt, ap));
    va_end(ap);
}

static struct kerr *
assign(struct flags *fs, const struct found *at, const char *value, const char *shown)
{
    const struct flag *f = at->flag;
    bool *changed = &at->section->changed[f - at->section->table];
    AUTO_FREE char *bare = unquote(value);

    if (f->type < FLAG_IGNORED) {
        void *target = target_of(at->section, f);
        struct kerr *err = f->check ? f->check(bare) : NULL;
        if (!err && is_list(f) && !*changed)
            clear_target(f, target);
        if (!err)
            err = store(f, target, bare);
        if (err)
            return kerr_wrap(err, "invalid argument \"%s\" for \"%s\" flag", value, shown);
    }
    if (f->deprecated && !*changed)
        warn(fs, "Flag --%s has been deprecated, %s", f->name, f->deprecated);
    *changed = true;
    return NULL;
}

/* Takes one word, and *next (may be NULL) when that is its value; *ret_used tells. */
static struct kerr *
parse_long(struct flags *fs, const char *word, const char *next, bool *ret_used)
{
    const char *name = word + 2;
    size_t len = strcspn(name, "=");
    const char *value = name[len] == '=' ? name + len + 1 : NULL;
    struct found at;

    if (len == 0 || name[0] == '-')
        return kerr_new(KERR_BAD_REQUEST, "bad flag syntax: %s", word);
    if (!find(fs, name, len, &at)) {
        const struct removed_flag *gone = find_removed(fs, name, len);
        if (!gone)
            return unknown(fs, name, len);
        AUTO_FREE char *text = xasprintf("--%s was removed in Kubernetes %s%s%s", gone->name, gone->release,
                                         gone->replacement ? ": " : "", str_safe(gone->replacement));
        if (!gone->ignore)
            return kerr_new(KERR_BAD_REQUEST, "unknown flag: %s", text);
        warn(fs, "%s (ignored)", text);
        *ret_used = !value && !gone->is_bool && next && next[0] != '-';
        return NULL;
    }
    if (!value && (at.flag->type == FLAG_BOOL || at.flag->type == FLAG_IGNORED_BOOL))
        value = "true";
    if (!value) {
        if (!next)
            return kerr_new(KERR_BAD_REQUEST, "flag needs an argument: --%s", at.flag->name);
        value = next;
        *ret_used = true;
    }
    AUTO_FREE char *shown = at.flag->shorthand ? xasprintf("-%s, --%s", at.flag->shorthand, at.flag->name)
                                               : xasprintf("--%s", at.flag->name);
    return assign(fs, &at, value, shown);
}

static bool
find_short(const struct flags *fs, char c, struct found *ret)
{
    for (size_t i = 0; i < fs->nsections; i++) {
        struct section *s = &fs->sections[i];
        for (size_t j = 0; j < s->len; j++) {
            if (s->table[j].shorthand && s->table[j].shorthand[0] == c) {
                *ret = (struct found){ &s->table[j], s };
                return true;
            }
        }
    }
    return false;
}

/* -h, -v=2, -v 2, -v2. */
static struct kerr *
parse_short(struct flags *fs, const char *word, const char *next, bool *ret_used)
{
    struct found at;

    for (const char *p = word + 1; *p; p++) {
        if (!find_short(fs, *p, &at))
            return kerr_new(KERR_BAD_REQUEST, "unknown shorthand flag: '%c' in %s", *p, word);
        AUTO_FREE char *shown = xasprintf("-%c, --%s", *p, at.flag->name);
        if (p[1] == '=')
            return assign(fs, &at, p + 2, shown);
        if (at.flag->type == FLAG_BOOL || at.flag->type == FLAG_IGNORED_BOOL) {
            struct kerr *err = assign(fs, &at, "true", shown);
            if (err)
                return err;
            continue;
        }
        if (p[1])
            return assign(fs, &at, p + 1, shown);
        if (!next)
            return kerr_new(KERR_BAD_REQUEST, "flag needs an argument: '%c' in %s", *p, word);
        *ret_used = true;
        return assign(fs, &at, next, shown);
    }
    return NULL;
}

static struct kerr *
stray(const struct flags *fs, const char *word)
{
    return kerr_new(KERR_BAD_REQUEST, "unknown command \"%s\" for \"%s\"", word, fs->daemon_name);
}

struct kerr *
flags_parse(struct flags *fs, int argc, char *const *argv)
{
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        const char *next = i + 1 < argc ? argv[i + 1] : NULL;
        bool used = false;
        struct kerr *err = NULL;

        if (!*word)
            continue; /* an empty $VAR of a unit file */
        if (strcmp(word, "--") == 0)
            return next && *next ? stray(fs, next) : NULL;
        if (word[0] != '-' || !word[1])
            err = stray(fs, word);
        else if (word[1] == '-')
            err = parse_long(fs, word, next, &used);
        else
            err = parse_short(fs, word, next, &used);
        if (err)
            return err;
        i += used;
    }
    return NULL;
}

const struct strlist *
flags_warnings(const struct flags *fs)
{
    return &fs->warnings;
}

bool
flags_changed(const struct flags *fs, const char *name)
{
    struct found at;

    return find(fs, name, strlen(name), &at) && at.section->changed[at.flag - at.section->table];
}

struct kerr *
flags_set(struct flags *fs, const char *name, const char *value)
{
    struct found at;

    if (!find(fs, name, strlen(name), &at))
        return unknown(fs, name, strlen(name));
    if (at.flag->type >= FLAG_IGNORED)
        return NULL;
    void *target = target_of(at.section, at.flag);
    if (is_list(at.flag))
        clear_target(at.flag, target);
    return kerr_wrap(store(at.flag, target, value), "invalid value \"%s\" for %s", value, name);
}

/* --- showing --- */

static void
add_duration(struct sbuf *out, int64_t ms)
{
    if (ms < 0) {
        sbuf_addc(out, '-');
        ms = -ms;
    }
    if (ms < 1000) {
        sbuf_addf(out, ms ? "%lldms" : "0s", (long long)ms);
        return;
    }
    long long h = ms / 3600000, m = ms / 60000 % 60, s = ms / 1000 % 60, rest = ms % 1000;
    if (h)
        sbuf_addf(out, "%lldh", h);
    if (h || m)
        sbuf_addf(out, "%lldm", m);
    sbuf_addf(out, "%lld", s);
    if (rest) {
        char frac[8];
        snprintf(frac, sizeof frac, "%03lld", rest);
        for (char *p = frac + 2; *p == '0'; p--)
            *p = '\0';
        sbuf_addf(out, ".%s", frac);
    }
    sbuf_addc(out, 's');
}

static void
add_value(struct sbuf *out, const struct flag *f, const void *at)
{
    switch (f->type) {
    case FLAG_BOOL:
        sbuf_adds(out, *(const bool *)at ? "true" : "false");
        break;
    case FLAG_I32:
        sbuf_add_i64(out, *(const int32_t *)at);
        break;
    case FLAG_I64:
        sbuf_add_i64(out, *(const int64_t *)at);
        break;
    case FLAG_FLOAT:
        sbuf_addf(out, "%g", *(const double *)at);
        break;
    case FLAG_DURATION:
        add_duration(out, *(const int64_t *)at);
        break;
    case FLAG_STRING:
    case FLAG_IP:
        sbuf_adds(out, *(char *const *)at);
        break;
    case FLAG_STRINGS:
    case FLAG_STRING_ARRAY:
    case FLAG_IPS:
    case FLAG_CIDRS: {
        const struct strlist *l = at;
        sbuf_addc(out, '[');
        for (size_t i = 0; i < l->len; i++)
            sbuf_addf(out, "%s%s", i ? "," : "", l->items[i]);
        sbuf_addc(out, ']');
        break;
    }
    case FLAG_MAP:
    case FLAG_BOOL_MAP: {
        const struct flag_map *m = at;
        for (size_t i = 0; i < m->len; i++)
            sbuf_addf(out, "%s%s=%s", i ? "," : "", m->items[i].key, m->items[i].value);
        break;
    }
    case FLAG_IGNORED:
    case FLAG_IGNORED_BOOL:
        break;
    }
}

void
flags_each(const struct flags *fs, void (*fn)(const char *name, const char *value, const char *def, bool changed, void *arg), void *arg)
{
    for (size_t i = 0; i < fs->nsections; i++) {
        const struct section *s = &fs->sections[i];
        for (size_t j = 0; j < s->len; j++) {
            const struct flag *f = &s->table[j];
            AUTO_SBUF value = { 0 };
            if (f->type >= FLAG_IGNORED)
                continue;
            add_value(&value, f, target_of(s, f));
            fn(f->name, sbuf_str(&value), str_safe(f->def), s->changed[j], arg);
        }
    }
}

static void
add_value_line(const char *name, const char *value, const char *def, bool changed, void *arg)
{
    (void)def;
    (void)changed;
    sbuf_addf(arg, "%s=%s\n", name, value);
}

void
flags_values(const struct flags *fs, struct sbuf *out)
{
    flags_each(fs, add_value_line, out);
}

/* Words of `text` after `column`, wrapped at 100. */
static void
add_wrapped(struct sbuf *out, const char *text, size_t column)
{
    size_t used = column;

    for (const char *p = text; *p;) {
        size_t len = strcspn(p, " \n");
        if (used + len + 1 > 110 && used > column) {
            sbuf_addf(out, "\n%*s", (int)column, "");
            used = column;
        }
        if (used > column) {
            sbuf_addc(out, ' ');
            used++;
        }
        sbuf_add(out, p, len);
        used += len;
        p += len;
        p += strspn(p, " \n");
    }
    sbuf_addc(out, '\n');
}

static const char *
type_name(const struct flag *f)
{
    static const char *const names[] = {
        [FLAG_BOOL] = "", [FLAG_STRING] = " string", [FLAG_I32] = " int32", [FLAG_I64] = " int", [FLAG_FLOAT] = " float",
        [FLAG_DURATION] = " duration", [FLAG_STRINGS] = " strings", [FLAG_STRING_ARRAY] = " stringArray",
        [FLAG_MAP] = " mapStringString", [FLAG_BOOL_MAP] = " mapStringBool", [FLAG_IP] = " ip", [FLAG_IPS] = " ipSlice",
        [FLAG_CIDRS] = " cidrs", [FLAG_IGNORED] = " string", [FLAG_IGNORED_BOOL] = "",
    };

    return names[f->type];
}

static void
help_default(struct sbuf *text, const struct flag *f)
{
    if (str_empty(f->def) || (f->type == FLAG_BOOL && str_eq(f->def, "false")) || str_eq(f->def, "0") || str_eq(f->def, "0s"))
        return;
    if (f->type == FLAG_STRING)
        sbuf_addf(text, " (default \"%s\")", f->def);
    else if (is_list(f))
        sbuf_addf(text, " (default [%s])", f->def);
    else
        sbuf_addf(text, " (default %s)", f->def);
}

void
flags_help(const struct flags *fs, struct sbuf *out)
{
    add_wrapped(out, fs->about, 0);
    sbuf_addf(out, "\nUsage:\n  %s [flags]\n", fs->daemon_name);
    for (size_t i = 0; i < fs->nsections; i++) {
        const struct section *s = &fs->sections[i];
        size_t width = 0;
        for (size_t j = 0; j < s->len; j++) {
            size_t len = strlen(s->table[j].name) + strlen(type_name(&s->table[j])) + 8;
            if (!s->table[j].deprecated && s->table[j].type < FLAG_IGNORED && len > width)
                width = len;
        }
        if (!width)
            continue;
        if (width > 50)
            width = 50;
        sbuf_addf(out, "\n%s flags:\n\n", s->title);
        for (size_t j = 0; j < s->len; j++) {
            const struct flag *f = &s->table[j];
            AUTO_SBUF text = { 0 };
            if (f->deprecated || f->type >= FLAG_IGNORED)
                continue;
            size_t before = out->len;
            sbuf_addf(out, f->shorthand ? "  -%s, " : "      ", f->shorthand);
            sbuf_addf(out, "--%s%s", f->name, type_name(f));
            size_t len = out->len - before;
            if (len + 2 > width + 2)
                sbuf_addf(out, "\n%*s", (int)width + 2, "");
            else
                sbuf_addf(out, "%*s", (int)(width + 2 - len), "");
            sbuf_adds(&text, str_safe(f->help));
            help_default(&text, f);
            add_wrapped(out, sbuf_str(&text), width + 2);
        }
    }
}

const char *
flag_map_get(const struct flag_map *m, const char *key)
{
    for (size_t i = 0; i < m->len; i++) {
        if (str_eq(m->items[i].key, key))
            return m->items[i].value;
    }
    return NULL;
}

bool
flag_map_bool(const struct flag_map *m, const char *key, bool fallback)
{
    const char *value = flag_map_get(m, key);
    bool on;

    return value && parse_bool(value, &on) == 0 ? on : fallback;
}
