# A web server as a service: two instances, each on a port the scheduler chose.
#
#   drover job run docs/examples/hello.nomad.hcl
#   drover job status hello

variable "driver" {
  type        = string
  default     = "raw_exec"
  description = "exec isolates the task (the agent must run as root), raw_exec runs it as it is"
}

variable "web" {
  type        = string
  default     = "bin/examples/hello-web"
  description = "the web server's binary as the task sees it"
}

job "hello" {
  type = "service"

  group "web" {
    count = 2

    network {
      port "http" {}
    }

    service {
      name     = "hello"
      port     = "http"
      provider = "nomad"
      tags     = ["demo"]
    }

    task "server" {
      driver = var.driver

      config {
        command = var.web
        args    = ["-listen", "${NOMAD_ADDR_http}"]
      }

      env {
        GREETING = "Hello from ${NOMAD_ALLOC_NAME} on ${node.unique.name}"
      }

      resources {
        cpu    = 50
        memory = 32
      }
    }
  }
}
