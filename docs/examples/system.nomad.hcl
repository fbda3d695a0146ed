# A system job runs on every node that fits, also on those that join later.
job "system" {
  type     = "system"
  priority = 80

  constraint {
    attribute = "${attr.kernel.name}"
    value     = "linux"
  }

  group "watch" {
    task "load" {
      driver = "raw_exec"

      config {
        command = "/bin/sh"
        args    = ["-c", "while true; do echo \"$NODE: $(cat /proc/loadavg)\"; sleep 10; done"]
      }

      env {
        NODE = "${node.unique.name}"
      }

      resources {
        cpu    = 20
        memory = 16
      }
    }
  }
}
