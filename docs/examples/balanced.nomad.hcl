# A web service behind a load balancer (haproxy.nomad.hcl) that loses no request while it is updated, drained or goes back.
#
#   drover job run docs/examples/haproxy.nomad.hcl
#   drover job run docs/examples/balanced.nomad.hcl
#   drover job run -var greeting=two docs/examples/balanced.nomad.hcl
#
# What keeps requests from being lost:
#   - shutdown_delay: an instance that is to end leaves the catalog first. The balancer's file is rendered anew within a
#     second of that and haproxy reloaded; only then is the instance told to end.
#   - the server finishes the requests it has when it is told to end (SIGTERM), for which kill_timeout leaves it time.
#   - update: an instance counts as updated when its check has passed for min_healthy_time; max_surge keeps the old one
#     running until then. A version that does not become healthy is taken back.
#   - migrate: a drain moves one instance at a time, and waits until its replacement is healthy.

variable "count" {
  type    = number
  default = 6
}

variable "greeting" {
  type    = string
  default = "one"
}

variable "canary" {
  type    = number
  default = 0
}

variable "web" {
  type        = string
  default     = "bin/examples/hello-web"
  description = "the web server's binary as the task sees it"
}

job "balanced" {
  group "web" {
    count          = var.count
    shutdown_delay = "3s"

    update {
      max_parallel      = 2
      max_surge         = 2
      canary            = var.canary
      min_healthy_time  = "1s"
      healthy_deadline  = "30s"
      progress_deadline = "1m"
      auto_revert       = true
    }
    migrate {
      max_parallel     = 2
      min_healthy_time = "1s"
      healthy_deadline = "30s"
    }
    restart {
      attempts = 1
      interval = "1m"
      delay    = "1s"
    }
    reschedule {
      attempts       = 1
      interval       = "1m"
      delay          = "5s"
      delay_function = "constant"
      unlimited      = false
    }

    spread {
      attribute = "${node.unique.id}"
    }

    network {
      port "http" {}
    }

    service {
      name     = "balanced"
      port     = "http"
      provider = "nomad"

      check {
        type     = "http"
        path     = "/"
        interval = "1s"
        timeout  = "1s"
      }
    }

    task "server" {
      driver       = "raw_exec"
      kill_timeout = "10s"

      config {
        command = var.web
        args    = ["-listen", "${NOMAD_ADDR_http}"]
      }

      env {
        GREETING = var.greeting
      }

      resources {
        cpu    = 20
        memory = 32
      }
    }
  }
}
