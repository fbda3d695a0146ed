# haproxy before the instances of the service "balanced" (balanced.nomad.hcl): its configuration is a template over the
# catalog, and it is reloaded by a signal when they change.
#
#   drover job run docs/examples/haproxy.nomad.hcl      waits until it is up: a reload while haproxy starts would be lost
#   drover service info haproxy        where it listens
#
# What keeps requests from being lost:
#   - -W: SIGUSR2 reloads the master, which hands the listening sockets to new workers; old ones finish their connections.
#   - idle-close-on-response: an old worker does not close an idle connection under a request that is on its way.
#   - redispatch, retries, retry-on: a request that an instance did not take or did not begin to answer goes to another.
#     It may then be done twice if the instance died over it: leave out empty-response for requests that must not be.

variable "haproxy" {
  type    = string
  default = "/usr/sbin/haproxy"
}

variable "node" {
  type        = string
  default     = ".*"
  description = "regular expression of the names of nodes it may run on"
}

job "haproxy" {
  group "haproxy" {
    constraint {
      attribute = "${node.unique.name}"
      operator  = "regexp"
      value     = var.node
    }

    update {
      min_healthy_time = "1s"
    }

    network {
      port "http" {}
    }

    service {
      name     = "haproxy"
      port     = "http"
      provider = "nomad"

      check {
        type     = "tcp"
        interval = "1s"
        timeout  = "1s"
      }
    }

    task "haproxy" {
      driver = "raw_exec"

      config {
        command = var.haproxy
        args    = ["-W", "-db", "-f", "local/haproxy.cfg"]
      }

      template {
        destination   = "local/haproxy.cfg"
        change_mode   = "signal"
        change_signal = "SIGUSR2"
        splay         = "0s"
        data          = <<-EOF
          defaults
            mode http
            timeout connect 1s
            timeout client  30s
            timeout server  30s
            option idle-close-on-response
            option redispatch 1
            retries 3
            retry-on conn-failure empty-response
          frontend http
            bind {{ env "NOMAD_ADDR_http" }}
            default_backend web
          backend web
            balance roundrobin
            option httpchk GET /
            default-server check inter 500ms fall 2 rise 1
            {{- range nomadService "balanced" }}
            server {{ .AllocID }} {{ .Address }}:{{ .Port }}
            {{- end }}
        EOF
      }

      resources {
        cpu    = 50
        memory = 64
      }
    }
  }
}
