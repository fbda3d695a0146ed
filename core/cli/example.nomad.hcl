# A service that answers HTTP. Try it:
#   drover job run example.nomad.hcl
job "example" {
  type = "service"

  group "web" {
    count = 1

    network {
      port "http" {}
    }

    service {
      name     = "example"
      port     = "http"
      provider = "nomad"
    }

    task "server" {
      driver = "raw_exec"

      config {
        command = "python3"
        args    = ["-m", "http.server", "${NOMAD_PORT_http}"]
      }

      resources {
        cpu    = 100 # MHz
        memory = 64  # MB
      }
    }
  }
}
