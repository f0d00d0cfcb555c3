// SPDX-License-Identifier: Apache-2.0
/* The kubelet's smaller pure parts: environment, names, volumes' files, images, probes, patches, configs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/api/meta.h"
#include "common/base/file.h"
#include "kubelet/api_build.h"
#include "kubelet/atomic_writer.h"
#include "kubelet/cni_config.h"
#include "kubelet/cri/runtime_events.h"
#include "kubelet/downward.h"
#include "kubelet/env.h"
#include "kubelet/image.h"
#include "kubelet/node.h"
#include "kubelet/pod_admit.h"
#include "kubelet/pod_net_files.h"
#include "kubelet/prober.h"
#include "kubelet/static_pods.h"
#include "kubelet/status_manager.h"
#include "kubelet/volumes.h"

static struct object *
pod_from(const char *json)
{
    struct object *obj = NULL;
    AUTO(kerr) *err = object_decode_json(json, strlen(json), NULL, NULL, &obj);

    if (err)
        fail_msg("%s", err->message);
    return obj;
}

/* --- environment --- */

static const char *
lookup(const char *name, void *arg)
{
    return !strcmp(name, "A") ? "one" : !strcmp(name, "EMPTY") ? "" : NULL;
}

static void
test_expand(void **state)
{
    static const char *const rows[][2] = {
        { "$(A)", "one" },     { "x$(A)y", "xoney" }, { "$$(A)", "$(A)" },    { "$(B)", "$(B)" },  { "$A", "$A" },
        { "$(A", "$(A" },      { "100$", "100$" },    { "$(EMPTY)|", "|" },   { "$$$$", "$$" },    { "$$$(A)", "$one" },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO_SBUF out = { 0 };

        env_expand(rows[i][0], lookup, NULL, &out);
        assert_string_equal(sbuf_str(&out), rows[i][1]);
    }
}

static struct kerr *
get_object(void *arg, const char *kind, const char *ns, const char *name, struct object **ret)
{
    if (!strcmp(kind, "ConfigMap") && !strcmp(name, "cm"))
        *ret = pod_from("{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"cm\"},\"data\":{\"k\":\"v\",\"other\":\"o\"}}");
    else if (!strcmp(kind, "Secret") && !strcmp(name, "s"))
        *ret = pod_from("{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"s\"},\"data\":{\"pw\":\"aGk=\"}}");
    else
        return kerr_not_found("", kind, name);
    return NULL;
}

static bool
list_services(void *arg, const char *ns, struct object_list *ret)
{
    object_list_add_take(ret, pod_from(!strcmp(ns, "default")
                                           ? "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"kubernetes\"},\"spec\":{\"clusterIP\":\"10.96.0.1\",\"ports\":[{\"name\":\"https\",\"port\":443,\"protocol\":\"TCP\"}]}}"
                                           : "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"my-db\"},\"spec\":{\"clusterIP\":\"10.96.0.7\",\"ports\":[{\"port\":5432}]}}"));
    return true;
}

static int tokens_asked;
static struct kerr *
get_token(void *arg, const struct pod *pod, const char *audience, int64_t expiration_s, char **ret, int64_t *ret_expires)
{
    *ret = xasprintf("token-%d", ++tokens_asked);
    *ret_expires = 1000 + expiration_s;
    return NULL;
}

static const struct object_source source = { get_object, list_services, get_token, NULL };

static void
test_env(void **state)
{
    AUTO(object) *obj = pod_from(
        "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\",\"namespace\":\"app\",\"uid\":\"u\",\"labels\":{\"l\":\"x\"}},\"spec\":{\"nodeName\":\"n1\",\"containers\":[{\"name\":\"c\","
        "\"command\":[\"run\",\"$(K)\",\"$(NOPE)\"],\"args\":[\"$(MY_DB_SERVICE_HOST)\"],\"resources\":{\"limits\":{\"memory\":\"1500Ki\",\"cpu\":\"250m\"}},"
        "\"envFrom\":[{\"prefix\":\"P_\",\"configMapRef\":{\"name\":\"cm\"}},{\"secretRef\":{\"name\":\"missing\",\"optional\":true}}],"
        "\"env\":[{\"name\":\"K\",\"valueFrom\":{\"configMapKeyRef\":{\"name\":\"cm\",\"key\":\"k\"}}},{\"name\":\"S\",\"valueFrom\":{\"secretKeyRef\":{\"name\":\"s\",\"key\":\"pw\"}}},"
        "{\"name\":\"N\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"spec.nodeName\"}}},{\"name\":\"L\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"metadata.labels['l']\"}}},"
        "{\"name\":\"IP\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"status.podIP\"}}},{\"name\":\"M\",\"valueFrom\":{\"resourceFieldRef\":{\"resource\":\"limits.memory\",\"divisor\":\"1Mi\"}}},"
        "{\"name\":\"CPU\",\"valueFrom\":{\"resourceFieldRef\":{\"resource\":\"limits.cpu\"}}},"
        "{\"name\":\"GONE\",\"valueFrom\":{\"secretKeyRef\":{\"name\":\"s\",\"key\":\"no\",\"optional\":true}}},{\"name\":\"SUM\",\"value\":\"$(K)-$(P_other)\"}]}]}}");
    static const char *const ips[] = { "10.1.0.5" };
    struct pod_facts f = { .pod = OBJECT_BODY(obj, pod), .pod_ips = ips, .npod_ips = 1 };
    struct container_request rq = { 0 };
    static const char *const expected[][2] = {
        { "P_k", "v" }, { "K", "v" }, { "S", "hi" }, { "N", "n1" }, { "L", "x" }, { "IP", "10.1.0.5" }, { "M", "2" }, { "CPU", "1" },
        { "SUM", "v-o" }, { "KUBERNETES_SERVICE_HOST", "10.96.0.1" }, { "KUBERNETES_SERVICE_PORT_HTTPS", "443" },
        { "MY_DB_PORT_5432_TCP", "tcp://10.96.0.7:5432" }, { "MY_DB_PORT", "tcp://10.96.0.7:5432" }, { "MY_DB_PORT_5432_TCP_ADDR", "10.96.0.7" },
    };

    assert_null(env_make(&f, &f.pod->spec.containers.items[0], &source, &rq));
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        assert_non_null(env_lookup(&rq, expected[i][0]));
        assert_string_equal(env_lookup(&rq, expected[i][0]), expected[i][1]);
    }
    assert_null(env_lookup(&rq, "GONE"));
    assert_string_equal(rq.command.items[1], "v");
    assert_string_equal(rq.command.items[2], "$(NOPE)");
    assert_string_equal(rq.args.items[0], "10.96.0.7");
    container_request_done(&rq);
}

static void
test_env_missing_key(void **state)
{
    AUTO(object) *obj = pod_from("{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\",\"namespace\":\"app\"},\"spec\":{\"containers\":[{\"name\":\"c\","
                                 "\"env\":[{\"name\":\"K\",\"valueFrom\":{\"configMapKeyRef\":{\"name\":\"cm\",\"key\":\"zzz\"}}}]}]}}");
    struct pod_facts f = { .pod = OBJECT_BODY(obj, pod) };
    struct container_request rq = { 0 };
    AUTO(kerr) *err = env_make(&f, &f.pod->spec.containers.items[0], &source, &rq);

    assert_non_null(err);
    assert_string_equal(err->message, "couldn't find key zzz in ConfigMap app/cm");
    container_request_done(&rq);
}

/* --- volumes --- */

static char *
temp_dir(void)
{
    char *dir = xstrdup("/tmp/ckube-test-XXXXXX");

    assert_non_null(mkdtemp(dir));
    return dir;
}

static void
assert_file(const char *dir, const char *name, const char *text)
{
    AUTO_FREE char *path = path_join(dir, name), *got = NULL;
    AUTO(kerr) *err = file_read(path, 65536, &got, NULL);

    if (err)
        fail_msg("%s", err->message);
    assert_string_equal(got, text);
}

static void
test_atomic_writer(void **state)
{
    AUTO_FREE char *dir = temp_dir(), *sub = path_join(dir, "d/e"), *stale = path_join(dir, "a");
    struct file_set fs = { 0 };
    struct stat st;
    bool changed = false;

    file_set_add(&fs, "a", "1", 1, 0644);
    file_set_add(&fs, "d/e", "2", 1, 0400);
    assert_null(atomic_write(dir, &fs, (gid_t)-1, &changed));
    assert_true(changed);
    assert_file(dir, "a", "1");
    assert_file(dir, "d/e", "2");
    assert_int_equal(stat(sub, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0400);
    assert_null(atomic_write(dir, &fs, (gid_t)-1, &changed));
    assert_false(changed);
    file_set_done(&fs);
    file_set_add(&fs, "b", "3", 1, 0644); /* a and d are gone from the source */
    assert_null(atomic_write(dir, &fs, (gid_t)-1, &changed));
    assert_true(changed);
    assert_file(dir, "b", "3");
    assert_int_equal(lstat(stale, &st), -1);
    file_set_done(&fs);
    file_set_add(&fs, "../x", "3", 1, 0644);
    AUTO(kerr) *err = atomic_write(dir, &fs, (gid_t)-1, NULL);
    assert_non_null(err);
    file_set_done(&fs);
    assert_null(file_remove_tree(dir));
}

static const struct file_set_entry *
entry(const struct file_set *fs, const char *path)
{
    for (size_t i = 0; i < fs->len; i++)
        if (!strcmp(fs->items[i].path, path))
            return &fs->items[i];
    return NULL;
}

static void
test_projected(void **state)
{
    AUTO_FREE char *dir = temp_dir();
    AUTO(object) *obj = pod_from("{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\",\"namespace\":\"app\",\"labels\":{\"a\":\"b\"}},\"spec\":{\"containers\":[{\"name\":\"c\"}],"
                                 "\"volumes\":[{\"name\":\"v\",\"projected\":{\"defaultMode\":420,\"sources\":[{\"serviceAccountToken\":{\"path\":\"token\",\"expirationSeconds\":1000}},"
                                 "{\"configMap\":{\"name\":\"cm\",\"items\":[{\"key\":\"k\",\"path\":\"x/k\",\"mode\":256}]}},{\"downwardAPI\":{\"items\":[{\"path\":\"labels\",\"fieldRef\":{\"fieldPath\":\"metadata.labels\"}}]}},"
                                 "{\"secret\":{\"name\":\"missing\",\"optional\":true}}]}}]}}");
    struct pod_facts f = { .pod = OBJECT_BODY(obj, pod) };
    struct volume_files_result r = { 0 };

    tokens_asked = 0;
    assert_null(volume_files(&f, &f.pod->spec.volumes.items[0], &source, dir, 1000, &r));
    assert_int_equal(r.files.len, 3);
    assert_int_equal(entry(&r.files, "labels")->len, 5);
    assert_memory_equal(entry(&r.files, "labels")->data, "a=\"b\"", 5);
    assert_int_equal(entry(&r.files, "x/k")->mode, 0400);
    assert_memory_equal(entry(&r.files, "token")->data, "token-1", 7);
    assert_int_equal(r.refresh_s, 1800); /* 80 % of 1000 s */
    assert_null(atomic_write(dir, &r.files, (gid_t)-1, NULL));
    file_set_done(&r.files);
    assert_null(volume_files(&f, &f.pod->spec.volumes.items[0], &source, dir, 1500, &r)); /* young: the same token */
    assert_int_equal(tokens_asked, 1);
    file_set_done(&r.files);
    assert_null(volume_files(&f, &f.pod->spec.volumes.items[0], &source, dir, 1801, &r));
    assert_int_equal(tokens_asked, 2);
    file_set_done(&r.files);
    assert_null(file_remove_tree(dir));
}

/* --- names --- */

static void
test_hosts(void **state)
{
    AUTO(object) *obj = pod_from("{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\",\"namespace\":\"app\"},\"spec\":{\"subdomain\":\"sub\",\"containers\":[{\"name\":\"c\"}],"
                                 "\"hostAliases\":[{\"ip\":\"1.2.3.4\",\"hostnames\":[\"a\",\"b\"]}]}}");
    const struct pod *pod = OBJECT_BODY(obj, pod);
    AUTO_FREE char *host = NULL, *domain = NULL;
    static const char *const ips[] = { "10.1.0.5" };
    AUTO_SBUF out = { 0 };

    assert_null(pod_hostname(pod, "node", "cluster.local", &host, &domain));
    assert_string_equal(host, "p");
    assert_string_equal(domain, "sub.app.svc.cluster.local");
    pod_hosts_text(pod, ips, 1, host, domain, NULL, &out);
    assert_string_equal(sbuf_str(&out), "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
                                        "fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n"
                                        "10.1.0.5\tp.sub.app.svc.cluster.local\tp\n\n# Entries added by HostAliases.\n1.2.3.4\ta\tb\n");
}

static void
resolve(const char *spec, struct sandbox_request *rq)
{
    AUTO_FREE char *json = xasprintf("{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\",\"namespace\":\"app\"},\"spec\":{\"containers\":[{\"name\":\"c\"}]%s}}", spec);
    AUTO(object) *obj = pod_from(json);
    AUTO_STRLIST dns = { 0 };
    struct resolver node = { 0 };

    strlist_add(&dns, "10.96.0.10");
    resolver_parse("# x\nnameserver 8.8.8.8\nsearch old\nsearch example.com corp\noptions ndots:2 rotate\n", &node);
    pod_resolver(OBJECT_BODY(obj, pod), &node, &dns, "cluster.local", rq);
    resolver_done(&node);
}

static void
test_resolver(void **state)
{
    struct sandbox_request rq = { 0 };

    resolve("", &rq);
    assert_string_equal(rq.dns_servers.items[0], "10.96.0.10");
    assert_int_equal(rq.dns_servers.len, 1);
    assert_string_equal(rq.dns_searches.items[0], "app.svc.cluster.local");
    assert_string_equal(rq.dns_searches.items[4], "corp");
    assert_string_equal(rq.dns_options.items[0], "ndots:5");
    sandbox_request_done(&rq);
    rq = (struct sandbox_request){ 0 };
    resolve(",\"hostNetwork\":true", &rq); /* ClusterFirst falls back to the node's */
    assert_string_equal(rq.dns_servers.items[0], "8.8.8.8");
    assert_string_equal(rq.dns_options.items[1], "rotate");
    sandbox_request_done(&rq);
    rq = (struct sandbox_request){ 0 };
    resolve(",\"dnsPolicy\":\"None\",\"dnsConfig\":{\"nameservers\":[\"1.1.1.1\"],\"options\":[{\"name\":\"ndots\",\"value\":\"3\"},{\"name\":\"edns0\"}]}", &rq);
    assert_int_equal(rq.dns_servers.len, 1);
    assert_string_equal(rq.dns_servers.items[0], "1.1.1.1");
    assert_string_equal(rq.dns_options.items[0], "ndots:3");
    assert_string_equal(rq.dns_options.items[1], "edns0");
    sandbox_request_done(&rq);
}

/* --- images --- */

static void
test_image_names(void **state)
{
    struct container c = { .image = "nginx" };

    assert_string_equal(image_policy(&c), "Always");
    c.image = "reg:5000/a/nginx";
    assert_string_equal(image_policy(&c), "Always");
    c.image = "reg:5000/a/nginx:1";
    assert_string_equal(image_policy(&c), "IfNotPresent");
    c.image = "a@sha256:00";
    assert_string_equal(image_policy(&c), "IfNotPresent");
    assert_true(image_name_valid("reg.io:5000/a/b_c:1.2"));
    assert_false(image_name_valid("Nginx:1"));
    assert_false(image_name_valid("a b"));
    assert_false(image_name_valid(""));
}

static void
test_image_auth(void **state)
{
    static const char doc[] = "{\"auths\":{\"https://index.docker.io/v1/\":{\"auth\":\"dTpw\"},\"reg.io\":{\"username\":\"a\",\"password\":\"b\"},"
                              "\"reg.io/team\":{\"username\":\"t\",\"password\":\"b\"},\"*.corp.io\":{\"username\":\"c\",\"password\":\"d\"}}}";
    static const char *const rows[][2] = {
        { "nginx:1", "u" }, { "docker.io/library/x", "u" }, { "reg.io/x", "a" }, { "reg.io/team/x", "t" }, { "k.corp.io/x", "c" }, { "else.io/x", NULL },
    };
    AUTO(arena) *a = arena_new(0);

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct image_auth auth = { 0 };
        bool found = image_auth_find(doc, sizeof doc - 1, false, rows[i][0], a, &auth);

        assert_int_equal(found, rows[i][1] != NULL);
        if (found)
            assert_string_equal(auth.username, rows[i][1]);
    }
}

/* --- probes --- */

static void
test_probe_count(void **state)
{
    const struct probe p = { .success_threshold = 2, .failure_threshold = 3 };
    static const struct { bool ok; int verdict; } steps[] = { /* -1: none is due */
        { true, -1 }, { true, 1 }, { true, -1 }, { false, -1 }, { false, -1 }, { true, -1 }, { false, -1 }, { false, -1 }, { false, 0 }, { false, -1 },
    };
    struct probe_state s = { 0 };

    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        bool verdict = false, due = probe_count(&s, &p, steps[i].ok, &verdict);

        assert_int_equal(due ? verdict : -1, steps[i].verdict);
    }
}

/* --- status patch --- */

static void
test_status_patch(void **state)
{
    AUTO(object) *old = pod_from("{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\",\"uid\":\"u\"},\"status\":{\"phase\":\"Pending\",\"message\":\"m\","
                                 "\"conditions\":[{\"type\":\"Ready\",\"status\":\"False\",\"reason\":\"X\"},{\"type\":\"PodScheduled\",\"status\":\"True\"}]}}");
    AUTO(object) *now = pod_from("{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\",\"uid\":\"u\"},\"status\":{\"phase\":\"Running\",\"podIP\":\"10.1.0.5\","
                                 "\"podIPs\":[{\"ip\":\"10.1.0.5\"}],\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"},{\"type\":\"PodScheduled\",\"status\":\"True\"}]}}");
    AUTO_SBUF out = { 0 };
    AUTO_SBUF none = { 0 };

    assert_true(pod_status_patch("u", &OBJECT_BODY(old, pod)->status, &OBJECT_BODY(now, pod)->status, &out));
    assert_non_null(strstr(sbuf_str(&out), "\"uid\":\"u\""));
    assert_non_null(strstr(sbuf_str(&out), "\"phase\":\"Running\""));
    assert_non_null(strstr(sbuf_str(&out), "\"message\":null"));
    assert_non_null(strstr(sbuf_str(&out), "\"reason\":null"));
    assert_null(strstr(sbuf_str(&out), "PodScheduled"));
    assert_false(pod_status_patch("u", &OBJECT_BODY(now, pod)->status, &OBJECT_BODY(now, pod)->status, &none));
    assert_int_equal(none.len, 0);
}

/* --- containerd's events --- */

static void
test_events_parse(void **state)
{
    /* Envelope{3: topic, 4: Any{1: url, 2: event{1: "abc", 2: "abc"}}} */
    static const char start[] = "\x1a\x0c/tasks/start\x22\x0a\x0a\x01x\x12\x05\x0a\x03" "abc";
    static const char exec_end[] = "\x1a\x0b/tasks/exit\x22\x0f\x0a\x01x\x12\x0a\x0a\x03" "abc\x12\x03" "xyz";
    static const char own_end[] = "\x1a\x0b/tasks/exit\x22\x0f\x0a\x01x\x12\x0a\x0a\x03" "abc\x12\x03" "abc";
    static const char other[] = "\x1a\x0b/images/new\x22\x0a\x0a\x01x\x12\x05\x0a\x03" "abc";
    char id[64];

    assert_true(runtime_events_parse(start, sizeof start - 1, id, sizeof id));
    assert_string_equal(id, "abc");
    assert_false(runtime_events_parse(exec_end, sizeof exec_end - 1, id, sizeof id));
    assert_true(runtime_events_parse(own_end, sizeof own_end - 1, id, sizeof id));
    assert_false(runtime_events_parse(other, sizeof other - 1, id, sizeof id));
    for (size_t n = 0; n < sizeof start - 1; n++)
        (void)runtime_events_parse(start, n, id, sizeof id); /* cut anywhere: no harm */
}

/* --- admission, CNI, static pods, node --- */

static void
test_admit_parts(void **state)
{
    AUTO(object) *x = pod_from("{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"x\"},\"spec\":{\"containers\":[{\"name\":\"c\",\"ports\":[{\"containerPort\":80,\"hostPort\":80}]}]}}");
    AUTO(object) *y = pod_from("{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"y\"},\"spec\":{\"containers\":[{\"name\":\"c\",\"ports\":[{\"containerPort\":1,\"hostPort\":80,\"hostIP\":\"127.0.0.1\"}]}]}}");
    AUTO(object) *z = pod_from("{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"z\"},\"spec\":{\"containers\":[{\"name\":\"c\",\"ports\":[{\"containerPort\":1,\"hostPort\":80,\"protocol\":\"UDP\"}]}]}}");

    assert_true(host_ports_clash(OBJECT_BODY(x, pod), OBJECT_BODY(y, pod)));
    assert_false(host_ports_clash(OBJECT_BODY(x, pod), OBJECT_BODY(z, pod)));
    assert_true(sysctl_is_safe("net.ipv4.tcp_syncookies"));
    assert_false(sysctl_is_safe("kernel.msgmax"));
}

static void
test_cni(void **state)
{
    AUTO_FREE char *dir = temp_dir(), *other = path_join(dir, "05-x.conf"), *ours = path_join(dir, "10-ckube.conflist");
    AUTO_STRLIST cidrs = { 0 };

    strlist_add(&cidrs, "10.244.1.0/24");
    assert_null(cni_config_write(dir, "never", &cidrs));
    assert_false(file_exists(ours));
    assert_null(file_write_atomic(other, "{}", 2, 0644));
    assert_null(cni_config_write(dir, "auto", &cidrs));
    assert_false(file_exists(ours)); /* somebody else's network */
    assert_null(cni_config_write(dir, "always", &cidrs));
    assert_true(file_exists(ours));
    assert_null(file_remove_tree(dir));
}

static void
test_static_pod(void **state)
{
    static const char text[] = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  containers: [{name: c, image: x, livenessProbe: {tcpSocket: {port: 1}}}]\n";
    AUTO(object) *obj = NULL;
    AUTO(object) *again = NULL;
    AUTO(object) *bad = NULL;
    const struct pod *p;

    assert_null(static_pod_parse("/m/web.yaml", text, sizeof text - 1, "n1", &obj));
    p = OBJECT_BODY(obj, pod);
    assert_string_equal(p->metadata.name, "web-n1");
    assert_string_equal(p->metadata.namespace, "default");
    assert_true(pod_is_static(p));
    assert_false(pod_is_mirror(p));
    assert_int_equal(p->spec.containers.items[0].liveness_probe->period_seconds, 10);
    assert_string_equal(p->spec.containers.items[0].image_pull_policy, "Always");
    assert_null(static_pod_parse("/m/web.yaml", text, sizeof text - 1, "n1", &again));
    assert_string_equal(p->metadata.uid, object_meta(again)->uid); /* found again after a restart */
    AUTO(kerr) *err = static_pod_parse("/m/x", "kind: [", 7, "n1", &bad);
    assert_non_null(err);
}

static void
test_node_status(void **state)
{
    AUTO(arena) *a = arena_new(0);
    struct kubelet_config cfg = { .node_name = "n1", .max_pods = 110, .port = 10250, .status_max_images = 50, .register_schedulable = true };
    static const char *const ips[] = { "10.0.0.9" };
    struct node_picture p = { .cfg = &cfg, .cpus = 2, .memory = 4ll << 30, .ephemeral = 100ll << 30, .hostname = "n1", .ips = ips, .nips = 1,
                              .architecture = "amd64", .runtime = { .ready = true, .network_ready = true }, .now_s = 1000 };
    struct node_status st;

    node_status_make(&p, a, &st);
    assert_string_equal(quantity_map_value(&st.capacity, "memory")->text, "4194304Ki");
    assert_string_equal(quantity_map_value(&st.allocatable, "memory")->text, "4091904Ki");
    assert_string_equal(st.conditions.items[3].type, "Ready");
    assert_string_equal(st.conditions.items[3].message, "kubelet is posting ready status");
    p.runtime.network_ready = false;
    snprintf(p.runtime.network_reason, sizeof p.runtime.network_reason, "NetworkPluginNotReady");
    snprintf(p.runtime.network_message, sizeof p.runtime.network_message, "cni plugin not initialized");
    node_status_make(&p, a, &st);
    assert_string_equal(st.conditions.items[3].status, "False");
    assert_string_equal(st.conditions.items[3].message,
                        "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:cni plugin not initialized");
    AUTO(object) *obj = node_object_make(&p);
    assert_string_equal(string_map_get(&object_meta(obj)->labels, "kubernetes.io/hostname"), "n1");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expand),      cmocka_unit_test(test_env),         cmocka_unit_test(test_env_missing_key),
        cmocka_unit_test(test_atomic_writer), cmocka_unit_test(test_projected), cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_resolver),    cmocka_unit_test(test_image_names), cmocka_unit_test(test_image_auth),
        cmocka_unit_test(test_probe_count), cmocka_unit_test(test_status_patch), cmocka_unit_test(test_events_parse),
        cmocka_unit_test(test_admit_parts), cmocka_unit_test(test_cni),         cmocka_unit_test(test_static_pod),
        cmocka_unit_test(test_node_status),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
