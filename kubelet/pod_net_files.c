// SPDX-License-Identifier: Apache-2.0
#include "kubelet/pod_net_files.h"

#define MAX_SERVERS 3
#define MAX_SEARCHES 32
#define MAX_SEARCH_CHARS 2048

struct kerr *
pod_hostname(const struct pod *pod, const char *node_hostname, const char *cluster_domain, char **ret_host, char **ret_domain)
{
    const struct pod_spec *s = &pod->spec;
    char *host = xstrdup(str_or(s->hostname, pod->metadata.name));
    char *domain;

    if (!str_empty(s->hostname_override)) {
        free(host);
        *ret_host = xstrdup(s->hostname_override);
        *ret_domain = xstrdup("");
        return NULL;
    }
    if (s->host_network) {
        free(host);
        *ret_host = xstrdup(node_hostname);
        *ret_domain = xstrdup("");
        return NULL;
    }
    if (strlen(host) > 63) {
        size_t n = 63;

        while (n && (host[n - 1] == '-' || host[n - 1] == '.'))
            n--;
        host[n] = '\0';
    }
    domain = str_empty(s->subdomain) ? xstrdup("")
                                     : xasprintf("%s.%s.svc.%s", s->subdomain, pod->metadata.namespace, cluster_domain);
    if (s->set_hostname_as_fqdn && *s->set_hostname_as_fqdn && *domain) {
        char *fqdn = xasprintf("%s.%s", host, domain);

        free(host);
        host = fqdn;
        if (strlen(host) > 64) {
            struct kerr *err = kerr_new(KERR_INVALID, "Failed to construct FQDN from pod hostname and cluster domain, FQDN %s is too long (64 characters is the max, %zu characters requested)",
                                        host, strlen(host));

            free(host);
            free(domain);
            return err;
        }
    }
    *ret_host = host;
    *ret_domain = domain;
    return NULL;
}

void
pod_hosts_text(const struct pod *pod, const char *const *pod_ips, size_t nips, const char *host, const char *domain,
               const char *node_hosts, struct sbuf *out)
{
    const struct host_alias_slice *aliases = &pod->spec.host_aliases;

    if (pod->spec.host_network) {
        if (aliases->len)
            sbuf_adds(out, "# Kubernetes-managed hosts file (host network).\n");
        sbuf_adds(out, str_safe(node_hosts));
    } else {
        sbuf_adds(out, "# Kubernetes-managed hosts file.\n"
                       "127.0.0.1\tlocalhost\n"
                       "::1\tlocalhost ip6-localhost ip6-loopback\n"
                       "fe00::0\tip6-localnet\n"
                       "fe00::0\tip6-mcastprefix\n"
                       "fe00::1\tip6-allnodes\n"
                       "fe00::2\tip6-allrouters\n");
        for (size_t i = 0; i < nips; i++) {
            if (!str_empty(domain))
                sbuf_addf(out, "%s\t%s.%s\t%s\n", pod_ips[i], host, domain, host);
            else
                sbuf_addf(out, "%s\t%s\n", pod_ips[i], host);
        }
    }
    if (!aliases->len)
        return;
    sbuf_adds(out, "\n# Entries added by HostAliases.\n");
    for (uint32_t i = 0; i < aliases->len; i++) {
        sbuf_adds(out, str_safe(aliases->items[i].ip));
        for (uint32_t k = 0; k < aliases->items[i].hostnames.len; k++)
            sbuf_addf(out, "\t%s", aliases->items[i].hostnames.items[k]);
        sbuf_addc(out, '\n');
    }
}

/* --- resolver --- */

void
resolver_done(struct resolver *r)
{
    strlist_done(&r->servers);
    strlist_done(&r->searches);
    strlist_done(&r->options);
}

static void
add_words(struct strlist *l, const char *from, const char *end)
{
    while (from < end) {
        const char *word;

        while (from < end && (*from == ' ' || *from == '\t' || *from == '\r'))
            from++;
        word = from;
        while (from < end && *from != ' ' && *from != '\t' && *from != '\r')
            from++;
        if (from > word)
            strlist_add_take(l, xstrndup(word, (size_t)(from - word)));
    }
}

void
resolver_parse(const char *text, struct resolver *ret)
{
    for (const char *line = text; line && *line;) {
        const char *end = line + strcspn(line, "\n");
        const char *at = line + strspn(line, " \t");
        size_t key = strcspn(at, " \t\n");

        if (*at != '#' && *at != ';') {
            if (key == 10 && !strncmp(at, "nameserver", 10)) {
                add_words(&ret->servers, at + key, end);
            } else if (key == 6 && !strncmp(at, "search", 6)) { /* the last line counts */
                strlist_done(&ret->searches);
                ret->searches = (struct strlist){ 0 };
                add_words(&ret->searches, at + key, end);
            } else if (key == 7 && !strncmp(at, "options", 7)) {
                add_words(&ret->options, at + key, end);
            }
        }
        line = *end ? end + 1 : end;
    }
}

static void
add_unique(struct strlist *l, const char *s)
{
    if (!strlist_has(l, s))
        strlist_add(l, s);
}

static void
add_list(struct strlist *to, const struct strlist *from)
{
    for (size_t i = 0; i < from->len; i++)
        add_unique(to, from->items[i]);
}

static void
bound_list(struct strlist *l, size_t max, size_t max_chars)
{
    size_t chars = 0, keep = 0;

    while (keep < l->len && keep < max) {
        chars += strlen(l->items[keep]) + (keep ? 1 : 0);
        if (max_chars && chars > max_chars)
            break;
        keep++;
    }
    while (l->len > keep)
        free(l->items[--l->len]);
}

/* An option of dnsConfig replaces one of that name. */
static void
set_option(struct strlist *l, const char *name, const char *value)
{
    char *text = str_empty(value) ? xstrdup(name) : xasprintf("%s:%s", name, value);
    size_t n = strlen(name);

    for (size_t i = 0; i < l->len; i++)
        if (!strncmp(l->items[i], name, n) && (l->items[i][n] == ':' || !l->items[i][n])) {
            free(l->items[i]);
            l->items[i] = text;
            return;
        }
    strlist_add_take(l, text);
}

void
pod_resolver(const struct pod *pod, const struct resolver *node, const struct strlist *cluster_dns, const char *cluster_domain,
             struct sandbox_request *rq)
{
    const char *policy = str_or(pod->spec.dns_policy, "ClusterFirst");
    const struct pod_dns_config *cfg = pod->spec.dns_config;
    bool cluster = (!strcmp(policy, "ClusterFirst") && !pod->spec.host_network) || !strcmp(policy, "ClusterFirstWithHostNet");

    if (cluster && cluster_dns->len) {
        add_list(&rq->dns_servers, cluster_dns);
        if (!str_empty(cluster_domain)) {
            strlist_add_take(&rq->dns_searches, xasprintf("%s.svc.%s", pod->metadata.namespace, cluster_domain));
            strlist_add_take(&rq->dns_searches, xasprintf("svc.%s", cluster_domain));
            strlist_add(&rq->dns_searches, cluster_domain);
        }
        add_list(&rq->dns_searches, &node->searches);
        strlist_add(&rq->dns_options, "ndots:5");
    } else if (strcmp(policy, "None") != 0) {
        add_list(&rq->dns_servers, &node->servers);
        add_list(&rq->dns_searches, &node->searches);
        add_list(&rq->dns_options, &node->options);
    }
    for (uint32_t i = 0; cfg && i < cfg->nameservers.len; i++)
        add_unique(&rq->dns_servers, cfg->nameservers.items[i]);
    for (uint32_t i = 0; cfg && i < cfg->searches.len; i++)
        add_unique(&rq->dns_searches, cfg->searches.items[i]);
    for (uint32_t i = 0; cfg && i < cfg->options.len; i++)
        set_option(&rq->dns_options, cfg->options.items[i].name, cfg->options.items[i].value);
    bound_list(&rq->dns_servers, MAX_SERVERS, 0);
    bound_list(&rq->dns_searches, MAX_SEARCHES, MAX_SEARCH_CHARS);
}
