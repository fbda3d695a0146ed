job "a" {
  group "g" {
    network {
      mode     = "bridge"
      hostname = "not a name"
      cni {
        args = { "a;b" = "c" }
      }
      port "a" { static = 80 }
      port "b" { static = 80 }
      port "c" {
        static       = 80
        host_network = "other"
      }
      port "d" { static = 70000 }
      port "e" { to = -2 }
      port "f" {
        static           = 81
        ignore_collision = true
      }
      port "a" {}
      port "g" { static = -5 }
    }
    network {
      mode = "cni/"
    }
    task "t" {
      driver = "exec"
      resources {
        network {
          port "a" {}
        }
      }
    }
  }
}
