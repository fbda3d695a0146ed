# What is not known here is kept as text for the scheduler and the node.
variable "v" { default = "V" }
job "refs" {
  constraint {
    attribute = attr.kernel.name
    value     = "linux"
  }
  group "g" {
    task "t" {
      driver = "exec"
      config {
        bare     = NOMAD_PORT_http
        bracket  = "${NOMAD_PORT_http}"
        mixed    = "http://${NOMAD_IP_http}:${NOMAD_PORT_http}/${var.v}"
        index    = "${env["HOME"]}/x"
        digits   = "${attr.disk.0.size}"
        dashes   = "${attr.unique.network.ip-address}"
        escaped  = "$${not.a.reference} and %%{neither}"
        list     = [for p in ["a", "b"] : "${p}-${meta.x}"]
        cond     = var.v == "V" ? "${attr.cpu.arch}" : "no"
        heredoc  = <<-EOT
          #!/bin/sh
          echo ${NOMAD_ALLOC_ID} $HOME ${var.v}
          %{ for x in [1, 2] ~}
          line ${x}
          %{ endfor ~}
        EOT
      }
      env {
        ADDR = "${NOMAD_ADDR_http}"
      }
    }
  }
}
