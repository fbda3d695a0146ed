job "a" {
  group "g" {
    network { mode = "none" }
    service {
      cluster = "other"
      check {
        type = "grpc"
      }
    }
    consul { cluster = "other" }
    task "t" {
      driver = "exec"
      resources {
        numa { affinity = "require" }
      }
    }
    task "same-as-default" {
      driver = "exec"
      resources {
        cores = 0
        numa { affinity = "none" }
      }
      consul { cluster = "default" }
      identity {}
    }
  }
}
