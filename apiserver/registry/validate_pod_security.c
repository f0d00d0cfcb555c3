// SPDX-License-Identifier: Apache-2.0
/* Security contexts of pods and containers, and what depends on the operating system. */
#include <string.h>

#include "apiserver/registry/validate_parts.h"
#include "common/api/meta.h"

#define POD_SECCOMP_KEY "seccomp.security.alpha.kubernetes.io/pod"
#define CONTAINER_SECCOMP_KEY "container.seccomp.security.alpha.kubernetes.io/"
#define APPARMOR_KEY "container.apparmor.security.beta.kubernetes.io/"

static bool
is_true(const bool *b)
{
    return b && *b;
}

static void
check_seccomp(struct findings *f, const struct path *p, const struct seccomp_profile *sp)
{
    static const char *const types[] = { "Localhost", "RuntimeDefault", "Unconfined", NULL };

    if (!sp)
        return;
    if (str_empty(sp->type))
        find_required(f, AT(p, "type"), "type is required when seccompProfile is set");
    else if (!is_one_of(sp->type, types))
        find_unsupported(f, AT(p, "type"), sp->type, types);
    if (!str_eq(sp->type, "Localhost")) {
        if (sp->localhost_profile)
            find_invalid_struct(f, AT(p, "localhostProfile"), &api_type_seccomp_profile, sp,
                                "can only be set when seccomp type is Localhost");
    } else if (!sp->localhost_profile)
        find_required(f, AT(p, "localhostProfile"), "must be set when seccomp type is Localhost");
    else
        check_relative_path(f, AT(p, "localhostProfile"), sp->localhost_profile);
}

static void
check_apparmor(struct findings *f, const struct path *p, const struct app_armor_profile *ap)
{
    static const char *const types[] = { "Localhost", "RuntimeDefault", "Unconfined", NULL };
    static const char must[] = "must be set when AppArmor type is Localhost";

    if (!ap)
        return;
    if (str_empty(ap->type)) {
        find_required(f, AT(p, "type"), "type is required when appArmorProfile is set");
        return;
    }
    if (!is_one_of(ap->type, types)) {
        find_unsupported(f, AT(p, "type"), ap->type, types);
        return;
    }
    const struct path *at = AT(p, "localhostProfile");
    const char *profile = ap->localhost_profile;
    if (!str_eq(ap->type, "Localhost")) {
        if (profile)
            find_invalid(f, at, profile, "can only be set when AppArmor type is Localhost");
        return;
    }
    size_t len = strlen(str_safe(profile));
    if (!profile || len == 0)
        find_required(f, at, must);
    else if (strchr(" \t\r\n", profile[0]) || strchr(" \t\r\n", profile[len - 1]))
        find_invalid(f, at, profile, "must not be padded with whitespace");
    if (len > 4095)
        find_too_long(f, at, 4095);
}

static void
check_windows_user(struct findings *f, const struct path *p, const char *name)
{
    const char *slash = strchr(name, '\\'), *user = slash ? slash + 1 : name;
    size_t domain_len = slash ? (size_t)(slash - name) : 0;

    if (!*name) {
        find_invalid(f, p, name, "runAsUserName cannot be an empty string");
        return;
    }
    for (const char *c = name; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 127) {
            find_invalid(f, p, name, "runAsUserName cannot contain control characters");
            return;
        }
    if (slash && strchr(user, '\\')) {
        find_invalid(f, p, name, "runAsUserName cannot contain more than one backslash");
        return;
    }
    if (domain_len >= 256)
        find_invalid(f, p, name, "runAsUserName's Domain length must be under 256 characters");
    if (slash) {
        AUTO_FREE char *domain = xstrndup(name, domain_len);
        AUTO_FREE char *lower = str_lower(domain);
        bool netbios = domain_len >= 1 && domain_len <= 15 && domain[0] != '.' && !strpbrk(domain, "\\/:*?\"<>|");
        if (!netbios && !name_ok(NAME_DNS_SUBDOMAIN, lower))
            find_invalid(f, p, name, "runAsUserName's Domain doesn't match the NetBios nor the DNS format");
    }
    if (!*user)
        find_invalid(f, p, name, "runAsUserName's User cannot be empty");
    else if (strlen(user) > 104)
        find_invalid(f, p, name, "runAsUserName's User length must not be longer than 104 characters");
    if (*user && strspn(user, ". ") == strlen(user))
        find_invalid(f, p, name, "runAsUserName's User cannot contain only periods or spaces");
    if (strpbrk(user, "\"/\\:;|=,+*?<>@[]"))
        find_invalid(f, p, name, "runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]");
}

static void
check_windows_options(struct findings *f, const struct path *p, const struct windows_security_context_options *w)
{
    if (!w)
        return;
    if (w->gmsa_credential_spec_name)
        check_name(f, AT(p, "gmsaCredentialSpecName"), NAME_DNS_SUBDOMAIN, w->gmsa_credential_spec_name);
    if (w->gmsa_credential_spec && !*w->gmsa_credential_spec)
        find_invalid(f, AT(p, "gmsaCredentialSpec"), "", "gmsaCredentialSpec cannot be an empty string");
    else if (strlen(str_safe(w->gmsa_credential_spec)) > 64 * 1024)
        find_invalid(f, AT(p, "gmsaCredentialSpec"), w->gmsa_credential_spec, "gmsaCredentialSpec size must be under 64 KiB");
    if (w->run_as_user_name)
        check_windows_user(f, AT(p, "runAsUserName"), w->run_as_user_name);
}

/* [a-z0-9]([-_a-z0-9]*[a-z0-9])? joined by '.' or '/'. */
static bool
sysctl_name_ok(const char *s)
{
    size_t len = strlen(s);
    char before = '.';

    if (len == 0 || len > 253)
        return false;
    for (size_t i = 0; i < len; i++) {
        bool joint = s[i] == '.' || s[i] == '/', dash = s[i] == '-' || s[i] == '_';
        bool alnum = (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= '0' && s[i] <= '9');
        bool before_alnum = !strchr("./-_", before);
        if (!(alnum || (dash && (before_alnum || before == '-' || before == '_')) || (joint && before_alnum)))
            return false;
        before = s[i];
    }
    return !strchr("./-_", before);
}

static void
check_sysctls(struct findings *f, const struct path *p, const struct sysctl_slice *list, const struct pod_spec *spec)
{
    AUTO_INDEX names = { 0 };

    for (uint32_t i = 0; i < list->len; i++) {
        const char *name = list->items[i].name;
        const struct path *at = AT(AT_INDEX(p, i), "name");
        bool twice = name_index_add(&names, name, list) != NULL;
        if (str_empty(name))
            find_required(f, at, "");
        else if (!sysctl_name_ok(name))
            find_invalid(f, at, name,
                         "must have at most 253 characters and match regex "
                         "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$");
        else if (twice)
            find_duplicate(f, at, name);
        AUTO_FREE char *dotted = xstrdup(str_safe(name));
        for (char *c = dotted; *c; c++)
            *c = *c == '/' ? '.' : *c;
        bool ipc = str_has_prefix(dotted, "kernel.shm") || str_has_prefix(dotted, "kernel.msg") ||
                   strcmp(dotted, "kernel.sem") == 0 || str_has_prefix(dotted, "fs.mqueue.");
        if (spec->host_network && str_has_prefix(dotted, "net."))
            find_invalid(f, at, name, "may not be specified when 'hostNetwork' is true");
        else if (spec->host_ipc && ipc)
            find_invalid(f, at, name, "may not be specified when 'hostIPC' is true");
    }
}

static void
check_pod_context(struct findings *f, const struct path *p, const struct pod_security_context *sc, const struct pod_spec *spec)
{
    static const char *const change[] = { "Always", "OnRootMismatch", NULL };
    static const char *const groups[] = { "Merge", "Strict", NULL };
    static const char *const selinux[] = { "MountOption", "Recursive", NULL };

    check_user_id(f, AT(p, "fsGroup"), sc->fs_group);
    check_user_id(f, AT(p, "runAsUser"), sc->run_as_user);
    check_user_id(f, AT(p, "runAsGroup"), sc->run_as_group);
    for (uint32_t i = 0; i < sc->supplemental_groups.len; i++)
        check_user_id(f, AT_INDEX(AT(p, "supplementalGroups"), i), &sc->supplemental_groups.items[i]);
    if (is_true(spec->share_process_namespace) && spec->host_pid)
        find_invalid_bool(f, AT(p, "shareProcessNamespace"), true,
                          "ShareProcessNamespace and HostPID cannot both be enabled");
    check_sysctls(f, AT(p, "sysctls"), &sc->sysctls, spec);
    if (sc->fs_group_change_policy && !is_one_of(sc->fs_group_change_policy, change))
        find_unsupported(f, AT(p, "fsGroupChangePolicy"), sc->fs_group_change_policy, change);
    check_seccomp(f, AT(p, "seccompProfile"), sc->seccomp_profile);
    check_windows_options(f, AT(p, "windowsOptions"), sc->windows_options);
    check_apparmor(f, AT(p, "appArmorProfile"), sc->app_armor_profile);
    if (sc->supplemental_groups_policy && !is_one_of(sc->supplemental_groups_policy, groups))
        find_unsupported(f, AT(p, "supplementalGroupsPolicy"), sc->supplemental_groups_policy, groups);
    if (sc->se_linux_change_policy && !is_one_of(sc->se_linux_change_policy, selinux))
        find_unsupported(f, AT(p, "seLinuxChangePolicy"), sc->se_linux_change_policy, selinux);
}

void
check_container_security(struct findings *f, const struct path *p, const struct security_context *sc, bool host_users)
{
    static const char *const proc_mounts[] = { "Default", "Unmasked", NULL };

    if (!sc)
        return;
    if (is_true(sc->privileged) && !(f->opts && f->opts->allow_privileged))
        find_forbidden(f, AT(p, "privileged"), "disallowed by cluster policy");
    check_user_id(f, AT(p, "runAsUser"), sc->run_as_user);
    check_user_id(f, AT(p, "runAsGroup"), sc->run_as_group);
    if (sc->proc_mount) {
        if (!is_one_of(sc->proc_mount, proc_mounts))
            find_unsupported(f, AT(p, "procMount"), sc->proc_mount, proc_mounts);
        if (host_users && str_eq(sc->proc_mount, "Unmasked"))
            find_invalid(f, AT(p, "procMount"), sc->proc_mount, "`hostUsers` must be false to use `Unmasked`");
    }
    check_seccomp(f, AT(p, "seccompProfile"), sc->seccomp_profile);
    if (sc->allow_privilege_escalation && !*sc->allow_privilege_escalation) {
        if (is_true(sc->privileged))
            find_invalid_struct(f, p, &api_type_security_context, sc,
                                "cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
        if (sc->capabilities && string_slice_has(&sc->capabilities->add, "CAP_SYS_ADMIN"))
            find_invalid_struct(
                f, p, &api_type_security_context, sc,
                "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN");
    }
    check_windows_options(f, AT(p, "windowsOptions"), sc->windows_options);
    check_apparmor(f, AT(p, "appArmorProfile"), sc->app_armor_profile);
}

/* ---- operating systems ---- */

static void
no_windows_options(const struct container *c, const struct path *p, void *arg)
{
    if (c->security_context && c->security_context->windows_options)
        find_forbidden(arg, AT(AT(p, "securityContext"), "windowsOptions"), "windows options cannot be set for a linux pod");
}

struct linux_only {
    const char *field;
    bool set;
};

static void
forbid_on_windows(struct findings *f, const struct path *p, const struct linux_only *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (rows[i].set)
            find_forbidden(f, AT(p, rows[i].field), "cannot be set for a windows pod");
}

static void
no_linux_options(const struct container *c, const struct path *p, void *arg)
{
    const struct security_context *sc = c->security_context;

    if (!sc)
        return;
    const struct linux_only rows[] = {
        { "appArmorProfile", sc->app_armor_profile },
        { "seLinuxOptions", sc->se_linux_options },
        { "seccompProfile", sc->seccomp_profile },
        { "capabilities", sc->capabilities },
        { "readOnlyRootFilesystem", sc->read_only_root_filesystem },
        { "privileged", sc->privileged },
        { "allowPrivilegeEscalation", sc->allow_privilege_escalation },
        { "procMount", sc->proc_mount },
        { "runAsUser", sc->run_as_user },
        { "runAsGroup", sc->run_as_group },
    };
    forbid_on_windows(arg, AT(p, "securityContext"), rows, ARRAY_LEN(rows));
}

static void
check_windows_pod(struct findings *f, const struct path *p, const struct pod_spec *spec)
{
    const struct pod_security_context *sc = spec->security_context;
    const struct linux_only pod_rows[] = {
        { "hostUsers", spec->host_users },
        { "hostPID", spec->host_pid },
        { "hostIPC", spec->host_ipc },
        { "shareProcessNamespace", spec->share_process_namespace },
    };

    if (sc) {
        const struct linux_only rows[] = {
            { "appArmorProfile", sc->app_armor_profile },
            { "seLinuxOptions", sc->se_linux_options },
            { "seccompProfile", sc->seccomp_profile },
            { "fsGroup", sc->fs_group },
            { "fsGroupChangePolicy", sc->fs_group_change_policy },
            { "sysctls", sc->sysctls.len > 0 },
            { "runAsUser", sc->run_as_user },
            { "runAsGroup", sc->run_as_group },
            { "supplementalGroups", sc->supplemental_groups.items },
            { "supplementalGroupsPolicy", sc->supplemental_groups_policy },
            { "seLinuxChangePolicy", sc->se_linux_change_policy },
        };
        forbid_on_windows(f, AT(p, "securityContext"), rows, ARRAY_LEN(rows));
    }
    forbid_on_windows(f, p, pod_rows, ARRAY_LEN(pod_rows));
    each_container(spec, p, no_linux_options, f);
}

static void
check_os(struct findings *f, const struct path *p, const struct pod_spec *spec)
{
    static const char *const systems[] = { "linux", "windows", NULL };

    if (!spec->os)
        return;
    if (str_empty(spec->os->name))
        find_required(f, AT(AT(p, "os"), "name"), "cannot be empty");
    else if (!is_one_of(spec->os->name, systems))
        find_unsupported(f, AT(p, "os"), spec->os->name, systems);
    else if (str_eq(spec->os->name, "windows"))
        check_windows_pod(f, p, spec);
    else {
        if (spec->security_context && spec->security_context->windows_options)
            find_forbidden(f, AT(AT(p, "securityContext"), "windowsOptions"),
                           "windows options cannot be set for a linux pod");
        each_container(spec, p, no_windows_options, f);
    }
}

struct host_process {
    struct findings *f;
    const bool *pod;
    unsigned containers, host_processes;
};

static void
count_host_process(const struct container *c, const struct path *p, void *arg)
{
    struct host_process *hp = arg;
    const struct security_context *sc = c->security_context;
    const bool *own = sc && sc->windows_options ? sc->windows_options->host_process : NULL;

    hp->containers++;
    if (hp->pod && own && *hp->pod != *own)
        find_invalid_bool(hp->f, AT(AT(AT(p, "securityContext"), "windowsOptions"), "hostProcess"), *own,
                          *hp->pod ? "pod hostProcess value must be identical if both are specified, was true"
                                   : "pod hostProcess value must be identical if both are specified, was false");
    if (is_true(own ? own : hp->pod))
        hp->host_processes++;
}

static void
check_host_processes(struct findings *f, const struct path *p, const struct pod_spec *spec)
{
    const struct pod_security_context *sc = spec->security_context;
    struct host_process hp = { .f = f, .pod = sc && sc->windows_options ? sc->windows_options->host_process : NULL };

    each_container(spec, p, count_host_process, &hp);
    if (hp.host_processes == 0)
        return;
    if (hp.host_processes != hp.containers)
        find_invalid(f, p, "", "If pod contains any hostProcess containers then all containers must be HostProcess containers");
    if (!spec->host_network)
        find_invalid_bool(f, AT(p, "hostNetwork"), false,
                          "hostNetwork must be true if pod contains any hostProcess containers");
    if (!(f->opts && f->opts->allow_privileged))
        find_forbidden(f, p, "hostProcess containers are disallowed by cluster policy");
}

void
check_pod_security(struct findings *f, const struct path *spec_path, const struct pod_spec *spec)
{
    if (spec->security_context)
        check_pod_context(f, AT(spec_path, "securityContext"), spec->security_context, spec);
    check_host_processes(f, spec_path, spec);
    if (spec->host_users && !*spec->host_users) {
        static const char when[] = "when `pod.Spec.HostUsers` is false";
        if (spec->host_network)
            find_forbidden(f, AT(spec_path, "hostNetwork"), "%s", when);
        if (spec->host_pid)
            find_forbidden(f, AT(spec_path, "HostPID"), "%s", when);
        if (spec->host_ipc)
            find_forbidden(f, AT(spec_path, "HostIPC"), "%s", when);
    }
    check_os(f, spec_path, spec);
}

/* ---- the annotations that came before the fields ---- */

static void
check_seccomp_annotation(struct findings *f, const struct path *p, const char *value)
{
    if (str_eq(value, "runtime/default") || str_eq(value, "docker/default") || str_eq(value, "unconfined"))
        return;
    if (str_has_prefix(value, "localhost/"))
        check_relative_path(f, p, value + strlen("localhost/"));
    else
        find_invalid(f, p, value, "must be a valid seccomp profile");
}

struct name_search {
    const char *name;
    bool found;
};

static void
match_name(const struct container *c, const struct path *p, void *arg)
{
    struct name_search *s = arg;

    s->found = s->found || str_eq(c->name, s->name);
}

static void
check_apparmor_annotation(struct findings *f, const struct path *p, const char *container, const char *value,
                          const struct pod_spec *spec)
{
    struct name_search search = { .name = container };

    each_container(spec, NULL, match_name, &search);
    if (!search.found)
        find_invalid(f, p, container, "container not found");
    if (!str_empty(value) && !str_eq(value, "runtime/default") && !str_eq(value, "unconfined") &&
        !str_has_prefix(value, "localhost/"))
        find_invalid(f, p, value, "invalid AppArmor profile name: \"%s\"", value);
}

void
check_pod_annotations(struct findings *f, const struct path *p, const struct string_map *annotations,
                      const struct pod_spec *spec)
{
    static const char mirror[] = "kubernetes.io/config.mirror", cost[] = "controller.kubernetes.io/pod-deletion-cost";
    const char *value = string_map_get(annotations, mirror);
    int32_t number;

    if (value && str_empty(spec->node_name))
        find_invalid(f, AT_KEY(p, mirror), value, "must set spec.nodeName if mirror pod annotation is set");
    value = string_map_get(annotations, cost);
    if (value && (parse_i32(value, &number) || *value == '+' || (*value == '0' && value[1]) || str_eq(value, "-0")))
        find_invalid(f, AT_KEY(p, cost), value, "must be a 32bit integer");
    value = string_map_get(annotations, POD_SECCOMP_KEY);
    if (value)
        check_seccomp_annotation(f, AT(p, POD_SECCOMP_KEY), value);
    for (uint32_t i = 0; i < annotations->len; i++) {
        const char *key = annotations->items[i].key;
        if (str_has_prefix(key, CONTAINER_SECCOMP_KEY))
            check_seccomp_annotation(f, AT(p, key), str_safe(annotations->items[i].value));
        if (str_has_prefix(key, APPARMOR_KEY))
            check_apparmor_annotation(f, AT_KEY(p, key), key + strlen(APPARMOR_KEY), annotations->items[i].value, spec);
    }
}

/* Both forms of one setting must say the same. */
static void
check_profiles_match(struct findings *f, const struct path *p, const char *what, const char *annotation, const char *type,
                     const char *localhost)
{
    bool same_type = true;

    if (str_eq(type, "Unconfined"))
        same_type = str_eq(annotation, "unconfined");
    else if (str_eq(type, "RuntimeDefault"))
        same_type = str_eq(annotation, "runtime/default") || (str_eq(what, "seccomp") && str_eq(annotation, "docker/default"));
    else if (str_eq(type, "Localhost"))
        same_type = str_has_prefix(annotation, "localhost/");
    if (!same_type)
        find_forbidden(f, AT(p, "type"), "%s type in annotation and field must match", what);
    else if (str_eq(type, "Localhost") && (!localhost || !str_eq(annotation + strlen("localhost/"), localhost)))
        find_forbidden(f, AT(p, "localhostProfile"), "%s profile in annotation and field must match", what);
}

struct annotated {
    struct findings *f;
    const struct string_map *annotations;
    const struct pod_spec *spec;
};

static void
check_container_annotations(const struct container *c, const struct path *p, void *arg)
{
    struct annotated *a = arg;
    const struct security_context *sc = c->security_context;
    const struct seccomp_profile *seccomp = sc ? sc->seccomp_profile : NULL;
    const struct app_armor_profile *apparmor = sc ? sc->app_armor_profile : NULL;
    const struct path *at = AT(p, "securityContext");
    bool windows = a->spec->os && str_eq(a->spec->os->name, "windows");

    if (!apparmor && a->spec->security_context)
        apparmor = a->spec->security_context->app_armor_profile;
    AUTO_FREE char *seccomp_key = xasprintf(CONTAINER_SECCOMP_KEY "%s", str_safe(c->name));
    AUTO_FREE char *apparmor_key = xasprintf(APPARMOR_KEY "%s", str_safe(c->name));
    const char *value = seccomp ? string_map_get(a->annotations, seccomp_key) : NULL;
    if (value)
        check_profiles_match(a->f, AT(at, "seccompProfile"), "seccomp", value, seccomp->type, seccomp->localhost_profile);
    value = apparmor && !windows ? string_map_get(a->annotations, apparmor_key) : NULL;
    if (value)
        check_profiles_match(a->f, AT(at, "appArmorProfile"), "apparmor", value, apparmor->type, apparmor->localhost_profile);
}

void
check_security_annotations(struct findings *f, const struct path *spec_path, const struct string_map *annotations,
                           const struct pod_spec *spec)
{
    struct annotated a = { f, annotations, spec };
    const struct pod_security_context *sc = spec->security_context;
    const char *value = string_map_get(annotations, POD_SECCOMP_KEY);

    if (annotations->len == 0)
        return;
    if (value && sc && sc->seccomp_profile)
        check_profiles_match(f, AT(AT(spec_path, "securityContext"), "seccompProfile"), "seccomp", value,
                             sc->seccomp_profile->type, sc->seccomp_profile->localhost_profile);
    each_container(spec, spec_path, check_container_annotations, &a);
}
