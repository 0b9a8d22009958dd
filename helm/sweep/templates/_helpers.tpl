{{/* Names, labels and the parts that several pods share. */}}

{{- define "sweep.name" -}}
{{ default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{/* Beginning of every object's name; 50 characters leave room for the longest end. */}}
{{- define "sweep.fullname" -}}
{{- $name := include "sweep.name" . -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains $name .Release.Name -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{/* What selects the pods of one component (a list of the top and its name): immutable once installed. */}}
{{- define "sweep.selector" -}}
{{- $top := index . 0 -}}
app.kubernetes.io/name: {{ include "sweep.name" $top }}
app.kubernetes.io/instance: {{ $top.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* All labels of one component. */}}
{{- define "sweep.labels" -}}
{{- $top := index . 0 -}}
{{ include "sweep.selector" . }}
app.kubernetes.io/version: {{ $top.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $top.Release.Service }}
app.kubernetes.io/part-of: sweep
helm.sh/chart: {{ printf "%s-%s" $top.Chart.Name $top.Chart.Version }}
{{- end }}

{{/* An image by digest or tag: a list of the top and `coordinator` or `worker`. */}}
{{- define "sweep.image" -}}
{{- $top := index . 0 -}}
{{- $image := index $top.Values.image (index . 1) -}}
{{- $repository := $image.repository -}}
{{- with $top.Values.image.registry }}{{ $repository = printf "%s/%s" (trimSuffix "/" .) $repository }}{{ end -}}
{{- if $image.digest -}}
{{ printf "%s@%s" $repository $image.digest }}
{{- else -}}
{{ printf "%s:%s" $repository (default $top.Chart.AppVersion $image.tag) }}
{{- end -}}
{{- end }}

{{/* Combinations of values that cannot work, each refused in words. Called once, by coordinator.yaml. */}}
{{- define "sweep.check" -}}
{{- $stores := 0 -}}
{{- range list .Values.redis.url .Values.redis.existingSecret .Values.redis.embedded.enabled }}{{ if . }}{{ $stores = add1 $stores }}{{ end }}{{ end -}}
{{- if eq (int $stores) 0 }}{{ fail "no store: give redis.url, redis.existingSecret, or for a first try redis.embedded.enabled=true" }}{{ end -}}
{{- if gt (int $stores) 1 }}{{ fail "several stores: give only one of redis.url, redis.existingSecret and redis.embedded.enabled" }}{{ end -}}
{{- if and .Values.redis.passwordSecret.name (not .Values.redis.url) }}{{ fail "redis.passwordSecret belongs to redis.url, which is not given" }}{{ end -}}
{{- if not (or .Values.blobs.url .Values.blobs.persistence.enabled) }}{{ fail "no place for data sets and checkpoints: give blobs.url, or blobs.persistence.enabled=true" }}{{ end -}}
{{- if and .Values.blobs.url .Values.blobs.persistence.enabled }}{{ fail "two places for data sets and checkpoints: give only one of blobs.url and blobs.persistence.enabled" }}{{ end -}}
{{- if and .Values.blobs.persistence.enabled (gt (int .Values.coordinator.replicas) 1) }}{{ fail "several coordinators need shared blobs: give blobs.url, or coordinator.replicas=1" }}{{ end -}}
{{- if ge (int .Values.worker.drainSeconds) (int .Values.worker.terminationGracePeriodSeconds) }}{{ fail "worker.drainSeconds must be less than worker.terminationGracePeriodSeconds, or pods are killed before they have handed their runs back" }}{{ end -}}
{{- if and (eq .Values.worker.device "cpu") (gt (int .Values.worker.gpu.count) 0) }}{{ fail "workers on the cpu would hold a GPU idle: set worker.gpu.count=0" }}{{ end -}}
{{- if and (hasPrefix "cuda" .Values.worker.device) (eq (int .Values.worker.gpu.count) 0) }}{{ fail "worker.device is a GPU, but worker.gpu.count is 0" }}{{ end -}}
{{- if gt (int .Values.keda.minReplicas) (int .Values.keda.maxReplicas) }}{{ fail "keda.minReplicas must not be more than keda.maxReplicas" }}{{ end -}}
{{- end }}

{{/* The generated secret `name` with these keys, as base64: kept from one upgrade to the next, made once per rendering. */}}
{{- define "sweep.generated" -}}
{{- $top := index . 0 -}}{{- $name := index . 1 -}}
{{- $made := get $top.Values "__generated" | default (dict) -}}
{{- if not (hasKey $made $name) -}}
{{- $there := (lookup "v1" "Secret" $top.Release.Namespace $name).data | default (dict) -}}
{{- $data := dict -}}
{{- range index . 2 }}{{ $_ := set $data . (get $there . | default (randAlphaNum 40 | b64enc)) }}{{ end -}}
{{- $_ := set $made $name $data -}}
{{- $_ := set $top.Values "__generated" $made -}}
{{- end -}}
{{- get $made $name | toJson -}}
{{- end }}

{{- define "sweep.authSecret" -}}
{{ default (printf "%s-auth" (include "sweep.fullname" .)) .Values.auth.existingSecret }}
{{- end }}

{{/* Changes when a Secret that this chart makes and these pods read does. */}}
{{- define "sweep.checksums" -}}
{{- if not .Values.auth.existingSecret }}
checksum/auth: {{ include "sweep.generated" (list . (include "sweep.authSecret" .) (list "read" "submit" "admin")) | sha256sum }}
{{- end }}
{{- if .Values.redis.embedded.enabled }}
checksum/redis: {{ include "sweep.generated" (list . (printf "%s-redis" (include "sweep.fullname" .)) (list "password")) | sha256sum }}
{{- end }}
{{- end }}

{{/* Secret and key of a Redis password that is mounted as a file, if there is one. */}}
{{- define "sweep.redisPassword" -}}
{{- if .Values.redis.embedded.enabled -}}
{{ dict "name" (printf "%s-redis" (include "sweep.fullname" .)) "key" "password" | toJson }}
{{- else if .Values.redis.passwordSecret.name -}}
{{ .Values.redis.passwordSecret | toJson }}
{{- else -}}
{}
{{- end -}}
{{- end }}

{{/* The variables both binaries read: store, pool, log. */}}
{{- define "sweep.env" -}}
- name: SWEEP_STORE
  {{- if .Values.redis.existingSecret }}
  valueFrom:
    secretKeyRef: {name: {{ .Values.redis.existingSecret }}, key: {{ .Values.redis.existingSecretKey }}}
  {{- else }}
  {{- $url := default (printf "redis://%s-redis:6379" (include "sweep.fullname" .)) .Values.redis.url }}
  {{- if (include "sweep.redisPassword" . | fromJson) }}
  {{- $url = printf "%s%spassword_file=/etc/sweep/redis/password" $url (ternary "&" "?" (contains "?" $url)) }}
  {{- end }}
  value: {{ $url | quote }}
  {{- end }}
- name: SWEEP_POOL
  value: {{ .Values.pool | quote }}
- name: SWEEP_LOG
  value: {{ .Values.log | quote }}
{{- end }}

{{- define "sweep.envFrom" -}}
{{- with .Values.blobs.existingSecret }}
envFrom:
  - secretRef: {name: {{ . }}}
{{- end }}
{{- end }}

{{/* Mount and volume of the Redis password. */}}
{{- define "sweep.redisMount" -}}
{{- if (include "sweep.redisPassword" . | fromJson) -}}
- {name: redis-password, mountPath: /etc/sweep/redis, readOnly: true}
{{- end -}}
{{- end }}
{{- define "sweep.redisVolume" -}}
{{- with (include "sweep.redisPassword" . | fromJson) -}}
- name: redis-password
  secret:
    secretName: {{ .name }}
    defaultMode: 0440
    items: [{key: {{ .key }}, path: password}]
{{- end -}}
{{- end }}

{{/* What every pod has: no privileges, no token of the Kubernetes API, no variables made of Services. */}}
{{- define "sweep.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "sweep.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{ default (include "sweep.fullname" .) .Values.serviceAccount.name }}
{{- else -}}
{{ default "default" .Values.serviceAccount.name }}
{{- end -}}
{{- end }}

{{- define "sweep.container" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Where a pod goes, of `coordinator` or `worker`. */}}
{{- define "sweep.scheduling" -}}
{{- with .nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}
