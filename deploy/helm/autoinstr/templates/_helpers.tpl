{{- define "autoinstr.name" -}}
{{- if contains "autoinstr" .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-autoinstr{{ end }}
{{- end }}

{{- define "autoinstr.selector" -}}
app.kubernetes.io/name: autoinstr
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "autoinstr.labels" -}}
{{ include "autoinstr.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "autoinstr.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (ternary (include "autoinstr.name" .) "default" .Values.serviceAccount.create) }}
{{- end }}

{{- /* Two names: Helm would not take over a Secret of cert-manager. */ -}}
{{- define "autoinstr.secret" -}}
{{ include "autoinstr.name" . }}-{{ ternary "issued" "tls" .Values.certManager.enabled }}
{{- end }}

{{- define "autoinstr.image" -}}
{{ required "set image.repository to the image of deploy/docker/Dockerfile, target webhook" .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "autoinstr.initImage" -}}
{{- if .Values.initImage.repository -}}
{{ .Values.initImage.repository }}:{{ .Values.initImage.tag | default .Chart.AppVersion }}
{{- else -}}
{{ include "autoinstr.image" . }}
{{- end }}
{{- end }}

{{- /* The names under which the API server calls the Service. */ -}}
{{- define "autoinstr.hosts" -}}
{{- $name := printf "%s.%s" (include "autoinstr.name" .) .Release.Namespace -}}
{{- list (printf "%s.svc" $name) (printf "%s.svc.cluster.local" $name) $name | toJson }}
{{- end }}
