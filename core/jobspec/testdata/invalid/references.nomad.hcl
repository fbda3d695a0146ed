job "a" {
  constraint {
    attribute = "${attr.x}"
    value     = "${atr.y}"
  }
  constraint {
    attribute = "${attr.x}"
    regexp    = "^${node.what}$"
  }
  constraint {
    attribute = "${attr.x}"
    value     = "${meta.a}-$${meta.b"
  }
  constraint {
    attribute = "${attr.x}"
    value     = "${meta.a}-${node.class}"
  }
  affinity {
    attribute = "${attr.x}"
    value     = "${job.name}"
  }
  group "g" {
    task "circle" {
      driver = "exec"
      env {
        A    = "${B}/a"
        B    = "x ${env["C"]}"
        C    = "${ A }"
        PATH = "${PATH}:/opt"
      }
    }
    task "device" {
      driver = "exec"
      resources {
        device "gpu" { count = 0 }
      }
    }
  }
}
