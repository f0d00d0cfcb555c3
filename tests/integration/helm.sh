#!/usr/bin/env bash
# helm 4 against our apiserver: a chart from `helm create`, installed, upgraded, rolled back, uninstalled; server-side
# apply and its conflicts, releases kept in secrets, dry runs on the server; then the helm 3 of the older packages.
cd "$(dirname "$0")/../.." || exit 1
. tests/integration/lib.sh
lib_start
need_kubectl v35
[ -x "$helm" ] || die "no helm beside $kubectl"
helm4=$helm kubectl35=$kubectl
need_kubectl v26
helm3=$helm
kubectl=$kubectl35
start_etcd
start_apiserver
works k create serviceaccount default
export HELM_CACHE_HOME=$dir/h/cache HELM_CONFIG_HOME=$dir/h/config HELM_DATA_HOME=$dir/h/data

day() { # RELEASE; $h is helm, $flags its flags
    local r=$1
    rm -rf "$dir/chart"
    sees 'Creating' "$helm4" create "$dir/chart"
    sees '1 chart\(s\) linted, 0 chart\(s\) failed' "$h" lint "$dir/chart"
    # shellcheck disable=SC2086
    sees 'STATUS: pending-install' "$h" install $r "$dir/chart" $dry
    refuses 'deployments.apps ".*" not found' k get deploy "$r-chart"
    # shellcheck disable=SC2086
    sees '^STATUS: deployed$' "$h" install $r "$dir/chart" --set replicaCount=2 --set autoscaling.enabled=false
    sees "^$r-chart +0/2" k get deploy
    sees "^$r-chart +ClusterIP +10.96" k get svc
    sees "^sh.helm.release.v1.$r.v1 +helm.sh/release.v1 +1" k get secrets
    sees "^$r[[:space:]]+default[[:space:]]+1[[:space:]].*deployed" "$h" list
    # shellcheck disable=SC2086
    sees 'STATUS: deployed' "$h" upgrade $r "$dir/chart" --set replicaCount=3 --set ingress.enabled=true --set 'ingress.hosts[0].host=a.b' --set 'ingress.hosts[0].paths[0].path=/' --set 'ingress.hosts[0].paths[0].pathType=Prefix'
    prints "3" k get deploy "$r-chart" -o 'jsonpath={.spec.replicas}'
    sees "^$r-chart .* a\.b " k get ingress
    sees '^1 .*superseded' "$h" history "$r"
    sees '^2 .*deployed' "$h" history "$r"
    sees 'Rollback was a success' "$h" rollback "$r" 1
    prints "2" k get deploy "$r-chart" -o 'jsonpath={.spec.replicas}'
    refuses 'ingresses.networking.k8s.io ".*" not found' k get ingress "$r-chart"
    sees '^STATUS: deployed' "$h" status "$r"
    sees '"?replicaCount"?: 2' "$h" get values "$r"
    sees '^kind: Deployment$' "$h" get manifest "$r"
    printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s-bad, labels: {x: "a b"}}\n' "$r" >"$dir/chart/templates/bad.yaml"
    # shellcheck disable=SC2086
    refuses 'a valid label must be' "$h" upgrade $r "$dir/chart"
    rm "$dir/chart/templates/bad.yaml"
    sees 'STATUS: deployed' "$h" upgrade "$r" "$dir/chart" --install --set autoscaling.enabled=true
    sees "^$r-chart +Deployment/$r-chart" k get hpa
    sees "release \"$r\" uninstalled" "$h" uninstall "$r"
    refuses 'not found' k get deploy "$r-chart"
    lacks "sh.helm.release" k get secrets
}

prints "v4" eval "$helm4 version --short | cut -c1-2"
h=$helm4 dry=--dry-run=server
day four
# helm 4 applies on the server: another manager's change is a conflict, and can be forced
sees 'STATUS: deployed' "$helm4" install five "$dir/chart" --set replicaCount=1
prints "helm" k get deploy five-chart --show-managed-fields -o 'jsonpath={.metadata.managedFields[0].manager}'
works k scale deploy five-chart --replicas=4
refuses 'conflict' "$helm4" upgrade five "$dir/chart" --set replicaCount=2
sees 'STATUS: deployed' "$helm4" upgrade five "$dir/chart" --set replicaCount=2 --force-conflicts
prints "2" k get deploy five-chart -o 'jsonpath={.spec.replicas}'
sees 'uninstalled' "$helm4" uninstall five

prints "v3" eval "$helm3 version --short | cut -c1-2"
h=$helm3 dry=--dry-run
day three
lib_end
