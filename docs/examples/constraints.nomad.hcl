# Where to run: what a node must offer, what it should offer, and how instances are distributed.
job "constraints" {
  datacenters = ["dc*"]

  # Must: nodes that do not fit are left out, and `drover job status` says how many and why.
  constraint {
    attribute = "${attr.kernel.name}"
    value     = "linux"
  }

  constraint {
    attribute = "${attr.cpu.arch}"
    operator  = "regexp"
    value     = "^(amd64|arm64)$"
  }

  constraint {
    attribute = "${attr.cpu.numcores}"
    operator  = ">="
    value     = "1"
  }

  group "app" {
    count = 2

    # Should: with a negative weight it would be avoided.
    affinity {
      attribute = "${meta.disk}"
      value     = "ssd"
      weight    = 60
    }

    # Instances go to as many different values as there are.
    spread {
      attribute = "${node.unique.id}"
    }

    task "sleep" {
      driver = "raw_exec"
      config {
        command = "/bin/sleep"
        args    = ["infinity"]
      }
      resources {
        cpu    = 20
        memory = 16
      }
    }
  }
}
