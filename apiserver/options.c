// SPDX-License-Identifier: Apache-2.0
#include "apiserver/options.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/klog.h"

#define AT(member) offsetof(struct options, member)

static const struct flag generic[] = {
    { "advertise-address", FLAG_IP, AT(api.advertise_address), NULL, "The IP address on which to advertise the apiserver to members of the cluster." },
    { "external-hostname", FLAG_IGNORED, 0, NULL, "The hostname to use when generating externalized URLs for this master." },
    { "request-timeout", FLAG_DURATION, AT(api.request_timeout_ms), "1m0s", "The duration a handler may keep a request open, long-running ones aside." },
    { "min-request-timeout", FLAG_I64, AT(api.min_request_timeout_s), "1800", "The minimum number of seconds a watch is kept open." },
    { "max-requests-inflight", FLAG_IGNORED, 0, NULL, "Bound of non-mutating requests at work." },
    { "max-mutating-requests-inflight", FLAG_IGNORED, 0, NULL, "Bound of mutating requests at work." },
    { "shutdown-delay-duration", FLAG_IGNORED, 0, NULL, "Time to go on serving after a termination signal." },
    { "http2-max-streams-per-connection", FLAG_IGNORED, 0, NULL, "Limit of streams on an HTTP/2 connection." },
    { "goaway-chance", FLAG_IGNORED, 0, NULL, "Share of HTTP/2 requests answered with GOAWAY." },
    { "cors-allowed-origins", FLAG_IGNORED, 0, NULL, "Allowed origins for CORS." },
    { "strict-transport-security-directives", FLAG_IGNORED, 0, NULL, "Directives for HSTS." },
    { "event-ttl", FLAG_DURATION, AT(api.event_ttl_ms), "1h0m0s", "Amount of time to retain events." },
    { "runtime-config", FLAG_MAP, AT(runtime_config), NULL, "Switches API versions: api/all=true, group/version=false." },
    { "allow-privileged", FLAG_BOOL, AT(api.allow_privileged), "false", "If true, allow privileged containers." },
    { "endpoint-reconciler-type", FLAG_STRING, AT(api.endpoint_reconciler_type), "lease", "How the endpoints of the kubernetes Service are kept: lease, master-count, none." },
    { "apiserver-count", FLAG_IGNORED, 0, NULL, "Number of apiservers, for master-count." },
    { "enable-aggregator-routing", FLAG_IGNORED_BOOL, 0, NULL, "Dial endpoints instead of cluster IPs." },
    { "proxy-client-cert-file", FLAG_IGNORED, 0, NULL, "Certificate shown to aggregated servers and webhooks." },
    { "proxy-client-key-file", FLAG_IGNORED, 0, NULL, "Its key." },
    { "default-watch-cache-size", FLAG_IGNORED, 0, NULL, "No effect: the whole state is in memory." },
    { "watch-cache", FLAG_IGNORED_BOOL, 0, NULL, "No effect: the whole state is in memory." },
    { "watch-cache-sizes", FLAG_IGNORED, 0, NULL, "No effect: the whole state is in memory." },
    { "delete-collection-workers", FLAG_IGNORED, 0, NULL, "No effect." },
    { "max-connection-bytes-per-sec", FLAG_IGNORED, 0, NULL, "No effect." },
    { "enable-garbage-collector", FLAG_IGNORED_BOOL, 0, NULL, "No effect: always on." },
    { "enable-priority-and-fairness", FLAG_IGNORED_BOOL, 0, NULL, "No effect yet." },
};

static const struct flag etcd[] = {
    { "etcd-servers", FLAG_STRINGS, AT(etcd_servers), NULL, "List of etcd servers to connect with (scheme://ip:port), comma separated." },
    { "etcd-cafile", FLAG_STRING, AT(etcd_cafile), NULL, "SSL Certificate Authority file used to secure etcd communication." },
    { "etcd-certfile", FLAG_STRING, AT(etcd_certfile), NULL, "SSL certification file used to secure etcd communication." },
    { "etcd-keyfile", FLAG_STRING, AT(etcd_keyfile), NULL, "SSL key file used to secure etcd communication." },
    { "etcd-prefix", FLAG_STRING, AT(etcd_prefix), "/registry", "The prefix to prepend to all resource paths in etcd." },
    { "etcd-compaction-interval", FLAG_DURATION, AT(etcd_compaction_interval_ms), "5m0s", "The interval of compaction requests. 0 turns them off." },
    { "storage-backend", FLAG_STRING, AT(storage_backend), "etcd3", "The storage backend for persistence: etcd3." },
    { "storage-media-type", FLAG_IGNORED, 0, NULL, "No effect: objects are stored as application/json." },
    { "encryption-provider-config", FLAG_STRING, AT(encryption_provider_config), NULL, "File with the encryption at rest configuration." },
    { "etcd-count-metric-poll-period", FLAG_IGNORED, 0, NULL, "No effect: counts are exact." },
    { "etcd-healthcheck-timeout", FLAG_IGNORED, 0, NULL, "No effect." },
    { "etcd-db-metric-poll-interval", FLAG_IGNORED, 0, NULL, "No effect." },
};

static const struct flag serving[] = {
    { "bind-address", FLAG_IP, AT(api.bind_address), "0.0.0.0", "The IP address on which to listen." },
    { "secure-port", FLAG_I32, AT(api.secure_port), "6443", "The port on which to serve HTTPS." },
    { "tls-cert-file", FLAG_STRING, AT(tls_cert_file), NULL, "File containing the x509 certificate for HTTPS." },
    { "tls-private-key-file", FLAG_STRING, AT(tls_private_key_file), NULL, "File containing the private key matching --tls-cert-file." },
    { "cert-dir", FLAG_STRING, AT(cert_dir), "/var/run/kubernetes", "Where a self-signed certificate is put when none is given." },
    { "tls-min-version", FLAG_STRING, AT(tls_min_version), NULL, "Minimum TLS version: VersionTLS12, VersionTLS13." },
    { "tls-cipher-suites", FLAG_STRINGS, AT(tls_cipher_suites), NULL, "Cipher suites, by IANA name." },
    { "tls-sni-cert-key", FLAG_IGNORED, 0, NULL, "Further certificates by server name." },
};

static const struct flag authentication[] = {
    { "client-ca-file", FLAG_STRING, AT(api.client_ca_file), NULL, "Client certificates signed by one of the authorities in this file are who their CommonName says." },
    { "anonymous-auth", FLAG_BOOL, AT(anonymous_auth), "true", "Requests without credentials are system:anonymous." },
    { "token-auth-file", FLAG_STRING, AT(token_auth_file), NULL, "File of static tokens: token,user,uid,\"group1,group2\"." },
    { "enable-bootstrap-token-auth", FLAG_BOOL, AT(bootstrap_tokens), "false", "Accept tokens of kube-system secrets of type bootstrap.kubernetes.io/token." },
    { "service-account-issuer", FLAG_STRING_ARRAY, AT(api.service_account_issuer), NULL, "Identifier of the token issuer; the first one issues." },
    { "service-account-key-file", FLAG_STRING_ARRAY, AT(service_account_key_files), NULL, "PEM file with keys or certificates that verify service account tokens." },
    { "service-account-signing-key-file", FLAG_STRING, AT(service_account_signing_key_file), NULL, "PEM file with the private key that signs them." },
    { "service-account-lookup", FLAG_IGNORED_BOOL, 0, NULL, "Always on." },
    { "service-account-jwks-uri", FLAG_IGNORED, 0, NULL, "Overrides the jwks_uri of the discovery document." },
    { "service-account-max-token-expiration", FLAG_DURATION, AT(max_token_expiration_ms), "0s", "The longest validity of a token." },
    { "service-account-extend-token-expiration", FLAG_BOOL, AT(extend_token_expiration), "true", "Projected tokens live a year, warned after an hour." },
    { "api-audiences", FLAG_STRINGS, AT(api_audiences), NULL, "Identifiers of the API; default: the issuers." },
    { "requestheader-client-ca-file", FLAG_STRING, AT(api.requestheader_client_ca_file), NULL, "Authorities of front proxies." },
    { "requestheader-allowed-names", FLAG_STRINGS, AT(api.requestheader_allowed_names), NULL, "Their common names; empty: any." },
    { "requestheader-username-headers", FLAG_STRINGS, AT(api.requestheader_username_headers), "x-remote-user", "Headers with the user name." },
    { "requestheader-uid-headers", FLAG_IGNORED, 0, NULL, "Headers with the uid." },
    { "requestheader-group-headers", FLAG_STRINGS, AT(api.requestheader_group_headers), "x-remote-group", "Headers with the groups." },
    { "requestheader-extra-headers-prefix", FLAG_STRINGS, AT(api.requestheader_extra_headers_prefix), "x-remote-extra-", "Prefixes of headers with extra information." },
    { "authentication-token-webhook-cache-ttl", FLAG_IGNORED, 0, NULL, "No effect." },
};

static const struct flag authorization[] = {
    { "authorization-mode", FLAG_STRINGS, AT(authorization_mode), "AlwaysAllow", "Ordered list of authorizers: AlwaysAllow,AlwaysDeny,RBAC,Node." },
    { "authorization-webhook-cache-authorized-ttl", FLAG_IGNORED, 0, NULL, "No effect." },
    { "authorization-webhook-cache-unauthorized-ttl", FLAG_IGNORED, 0, NULL, "No effect." },
};

static const struct flag admission[] = {
    { "enable-admission-plugins", FLAG_STRINGS, AT(api.enable_admission), NULL, "Admission plugins on top of those that are on by default." },
    { "disable-admission-plugins", FLAG_STRINGS, AT(api.disable_admission), NULL, "Admission plugins to turn off." },
    { "default-not-ready-toleration-seconds", FLAG_I64, AT(api.default_not_ready_toleration_s), "300", "tolerationSeconds for notReady:NoExecute." },
    { "default-unreachable-toleration-seconds", FLAG_I64, AT(api.default_unreachable_toleration_s), "300", "tolerationSeconds for unreachable:NoExecute." },
};

static const struct flag audit[] = {
    { "audit-log-path", FLAG_STRING, AT(audit_log_path), NULL, "All requests to the apiserver are logged to this file, by the policy." },
    { "audit-policy-file", FLAG_STRING, AT(audit_policy_file), NULL, "The audit policy." },
    { "audit-log-maxage", FLAG_IGNORED, 0, NULL, "Days to keep rotated audit logs." },
    { "audit-log-maxbackup", FLAG_IGNORED, 0, NULL, "Number of rotated audit logs to keep." },
    { "audit-log-maxsize", FLAG_IGNORED, 0, NULL, "Megabytes at which an audit log is rotated." },
    { "audit-log-format", FLAG_IGNORED, 0, NULL, "json or legacy." },
    { "audit-log-mode", FLAG_IGNORED, 0, NULL, "blocking or batch." },
    { "audit-log-truncate-enabled", FLAG_IGNORED_BOOL, 0, NULL, "Truncate large events." },
};

static const struct flag network[] = {
    { "service-cluster-ip-range", FLAG_CIDRS, AT(api.service_cluster_ip_range), NULL, "CIDR from which cluster IPs of services are taken." },
    { "service-node-port-range", FLAG_STRING, AT(api.service_node_port_range), "30000-32767", "Ports reserved for services of type NodePort." },
    { "kubernetes-service-node-port", FLAG_IGNORED, 0, NULL, "Node port of the kubernetes Service." },
    { "kubelet-client-certificate", FLAG_STRING, AT(api.kubelet_client_certificate), NULL, "Client certificate for kubelets." },
    { "kubelet-client-key", FLAG_STRING, AT(api.kubelet_client_key), NULL, "Its key." },
    { "kubelet-certificate-authority", FLAG_STRING, AT(api.kubelet_certificate_authority), NULL, "Authority of the kubelets' serving certificates; unset: not verified." },
    { "kubelet-preferred-address-types", FLAG_STRINGS, AT(api.kubelet_preferred_address_types), "Hostname,InternalDNS,InternalIP,ExternalDNS,ExternalIP", "Order in which node addresses are tried." },
    { "kubelet-timeout", FLAG_DURATION, AT(api.kubelet_timeout_ms), "5s", "Timeout for kubelet operations." },
    { "kubelet-port", FLAG_IGNORED, 0, NULL, "No effect: nodes tell their port." },
};

void
options_add_flags(struct flags *fs, struct options *o)
{
    flags_add(fs, "Generic", generic, ARRAY_LEN(generic), o);
    flags_add(fs, "Etcd", etcd, ARRAY_LEN(etcd), o);
    flags_add(fs, "Secure serving", serving, ARRAY_LEN(serving), o);
    flags_add(fs, "Authentication", authentication, ARRAY_LEN(authentication), o);
    flags_add(fs, "Authorization", authorization, ARRAY_LEN(authorization), o);
    flags_add(fs, "Admission", admission, ARRAY_LEN(admission), o);
    flags_add(fs, "Auditing", audit, ARRAY_LEN(audit), o);
    flags_add(fs, "Network", network, ARRAY_LEN(network), o);
    flags_add_known_removed(fs);
}

/* The address of the interface with the default route; no packet is sent. */
static char *
outbound_address(void)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9) }, own;
    socklen_t len = sizeof own;
    char text[INET_ADDRSTRLEN] = "127.0.0.1";
    AUTO_FD int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    inet_pton(AF_INET, "192.0.2.1", &to.sin_addr);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0 && getsockname(fd, (struct sockaddr *)&own, &len) == 0)
        inet_ntop(AF_INET, &own.sin_addr, text, sizeof text);
    return xstrdup(text);
}

static struct kerr *
check_service_range(struct options *o)
{
    if (o->api.service_cluster_ip_range.len)
        return NULL;
    log_warning("No --service-cluster-ip-range given, the default 10.0.0.0/24 is used: the apiserver's certificate must name 10.0.0.1, and "
                "in-cluster clients fail otherwise");
    strlist_add(&o->api.service_cluster_ip_range, "10.0.0.0/24");
    return NULL;
}

struct kerr *
options_check(struct options *o)
{
    if (o->etcd_servers.len == 0)
        return kerr_new(KERR_BAD_REQUEST, "--etcd-servers must be specified");
    if (!str_eq(o->storage_backend, "etcd3"))
        return kerr_new(KERR_BAD_REQUEST, "--storage-backend invalid, allowed values: etcd3");
    if (o->api.service_account_issuer.len == 0)
        return kerr_new(KERR_BAD_REQUEST, "--service-account-issuer is required: the URL that becomes \"iss\" of service account tokens, "
                                          "such as https://kubernetes.default.svc.cluster.local");
    if (str_empty(o->service_account_signing_key_file))
        return kerr_new(KERR_BAD_REQUEST, "--service-account-signing-key-file is required: the private key (PEM) that signs service account tokens");
    if (o->service_account_key_files.len == 0)
        strlist_add(&o->service_account_key_files, o->service_account_signing_key_file);
    if (str_empty(o->tls_cert_file) != str_empty(o->tls_private_key_file))
        return kerr_new(KERR_BAD_REQUEST, "--tls-cert-file and --tls-private-key-file must be given together");
    if (!str_empty(o->encryption_provider_config))
        return kerr_new(KERR_BAD_REQUEST, "--encryption-provider-config: encryption at rest is not implemented in this release; "
                                          "starting without it would store secrets in the clear");
    if (!str_empty(o->audit_log_path) && str_empty(o->audit_policy_file))
        log_warning("--audit-log-path without --audit-policy-file: no audit events are written, as upstream does");
    if (!str_empty(o->audit_policy_file))
        return kerr_new(KERR_BAD_REQUEST, "--audit-policy-file: auditing is not implemented in this release");
    if (str_empty(o->api.advertise_address)) {
        free(o->api.advertise_address);
        o->api.advertise_address = str_empty(o->api.bind_address) || str_eq(o->api.bind_address, "0.0.0.0") || str_eq(o->api.bind_address, "::")
                                       ? outbound_address()
                                       : xstrdup(o->api.bind_address);
    }
    return check_service_range(o);
}

void
options_self_signed_names(const struct options *o, struct strlist *ret)
{
    static const char *const names[] = { "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
                                         "localhost", "127.0.0.1" };
    char first[64];

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        strlist_add(ret, names[i]);
    AUTO(kerr) *err = options_first_service_ip(&o->api, first);
    if (!err)
        strlist_add(ret, first);
}

char *
options_join(const struct strlist *l)
{
    struct sbuf b = { 0 };

    for (size_t i = 0; i < l->len; i++)
        sbuf_addf(&b, "%s%s", i ? "," : "", l->items[i]);
    return sbuf_steal(&b);
}

struct kerr *
options_first_service_ip(const struct apiserver_options *o, char ret[64])
{
    AUTO_FREE char *cidr = xstrdup(o->service_cluster_ip_range.len ? o->service_cluster_ip_range.items[0] : "10.0.0.0/24");
    struct in6_addr six;
    struct in_addr four;

    cidr[strcspn(cidr, "/")] = '\0';
    if (inet_pton(AF_INET, cidr, &four) == 1) {
        four.s_addr = htonl(ntohl(four.s_addr) + 1);
        inet_ntop(AF_INET, &four, ret, 64);
    } else if (inet_pton(AF_INET6, cidr, &six) == 1) {
        six.s6_addr[15]++;
        inet_ntop(AF_INET6, &six, ret, 64);
    } else {
        return kerr_new(KERR_BAD_REQUEST, "--service-cluster-ip-range: \"%s\" is no network", cidr);
    }
    return NULL;
}
