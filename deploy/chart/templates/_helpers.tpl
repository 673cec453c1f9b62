{{/* The name of the objects. With the release name blackbox-daemon, it is the name that deploy/base has. */}}
{{- define "blackbox-daemon.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The first label is fixed, because the alerts rely on it: it becomes the name of the scrape job. */}}
{{- define "blackbox-daemon.selector" -}}
app.kubernetes.io/name: blackbox-daemon
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "blackbox-daemon.labels" -}}
{{ include "blackbox-daemon.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "blackbox-daemon.account" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "blackbox-daemon.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name: needed if serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "blackbox-daemon.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The port on which the agent listens. The Service has port 9464 in any case. */}}
{{- define "blackbox-daemon.port" -}}
{{- regexFind "[0-9]+$" (default "0.0.0.0:9464" .Values.settings.BLACKBOX_LISTEN) -}}
{{- end -}}
